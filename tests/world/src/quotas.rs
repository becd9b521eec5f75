//! Service Quotas: `GetServiceQuota`, in JSON. `World::show` sets one under `quota <service> <code>`.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::region::Region;
use crate::service::{json_error, respond};
use crate::world::World;

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if target != "ServiceQuotasV20190624.GetServiceQuota" {
        return json_error(400, "UnknownOperationException", "this world's Service Quotas speaks GetServiceQuota");
    }
    let input: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let (service, code) =
        (input["ServiceCode"].as_str().unwrap_or_default(), input["QuotaCode"].as_str().unwrap_or_default());
    match world.state().shown(at, &format!("quota {service} {code}")) {
        Some(value) => {
            let quota = json!({"Quota": {"ServiceCode": service, "QuotaCode": code, "Value": value}});
            respond(200, "application/x-amz-json-1.1", quota.to_string())
        }
        None => json_error(400, "NoSuchResourceException", "The specified resource does not exist."),
    }
}
