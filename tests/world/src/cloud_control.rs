//! The Cloud Control API, as far as reading goes: `GetResource` and `ListResources`, in JSON.
//!
//! Documents are set by `World::show` under `<type> <identifier>`. Buckets are shown as S3 really has them.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::region::Region;
use crate::s3;
use crate::service::{json_error, respond};
use crate::world::World;

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let input: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let kind = input["TypeName"].as_str().unwrap_or_default();
    match target {
        "CloudApiService.GetResource" => {
            let id = input["Identifier"].as_str().unwrap_or_default();
            match document(world, at, kind, id) {
                Some(properties) => {
                    let described = json!({"Identifier": id, "Properties": properties.to_string()});
                    answer(&json!({"TypeName": kind, "ResourceDescription": described}))
                }
                None => json_error(
                    400,
                    "com.amazonaws.cloudapiservice#ResourceNotFoundException",
                    &format!("Resource of type '{kind}' with identifier '{id}' was not found."),
                ),
            }
        }
        "CloudApiService.ListResources" => {
            let model: Value =
                serde_json::from_str(input["ResourceModel"].as_str().unwrap_or("{}")).unwrap_or_default();
            let state = world.state();
            let prefix = format!("{kind} ");
            // What is given of a model must be as it says; what is listed has its identifier and little else.
            let fits =
                |shown: &Value| model.as_object().into_iter().flatten().all(|(name, value)| shown[name] == *value);
            let found: Vec<Value> = state
                .all_shown(at, &prefix)
                .filter(|(_, shown)| fits(shown))
                .map(|(name, _)| json!({"Identifier": name.trim_start_matches(&prefix), "Properties": "{}"}))
                .collect();
            answer(&json!({"TypeName": kind, "ResourceDescriptions": found}))
        }
        _ => json_error(
            400,
            "UnknownOperationException",
            "this world's Cloud Control speaks GetResource and ListResources",
        ),
    }
}

fn document(world: &World, at: Region, kind: &str, id: &str) -> Option<Value> {
    let state = world.state();
    let shown = state.shown(at, &format!("{kind} {id}")).cloned();
    drop(state);
    if kind == "AWS::S3::Bucket" { s3::described(world, at, id, shown) } else { shown }
}

fn answer(body: &Value) -> http::Response<Bytes> {
    respond(200, "application/x-amz-json-1.0", body.to_string())
}
