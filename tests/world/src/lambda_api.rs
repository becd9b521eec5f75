//! Lambda's API, as far as reading a function's configuration goes: REST with JSON.
//!
//! `World::show` changes what a function shows under `lambda <function>`; every deployed one shows something.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::region::Region;
use crate::service::{json_error, respond};
use crate::world::World;

/// `/2015-03-31/functions/<name>/configuration` and its like.
fn asked(request: &http::Request<Bytes>) -> (String, &str) {
    let parts: Vec<&str> = request.uri().path().split('/').collect();
    match parts.as_slice() {
        [_, _, "functions", name, what] => ((*name).to_owned(), what),
        _ => (String::new(), "?"),
    }
}

pub(crate) fn operation(request: &http::Request<Bytes>) -> &'static str {
    match asked(request).1 {
        "configuration" => "GetFunctionConfiguration",
        "concurrency" => "GetFunctionConcurrency",
        _ => "?",
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let (name, what) = asked(request);
    let short = name.trim_start_matches("holdfast-");
    let state = world.state();
    let timeout = state.lambda.timeout(at, short);
    let shown = state.shown(at, &format!("lambda {short}"));
    let (Some(timeout), false) = (timeout, shown == Some(&Value::Null)) else {
        let message = format!("Function not found: arn:aws:lambda:{at}:123456789012:function:{name}");
        return json_error(404, "ResourceNotFoundException", &message);
    };
    let mut all = json!({
        "FunctionName": name, "Runtime": "provided.al2023", "CodeSha256": format!("hash-of-{short}"),
        "Timeout": timeout.as_secs(), "MemorySize": 256,
        "Environment": {"Variables": {"HOLDFAST_CONFIG": "{\"topology\":{}}"}}, "ReservedConcurrentExecutions": 3,
    });
    for (field, value) in shown.and_then(Value::as_object).into_iter().flatten() {
        all[field] = value.clone();
    }
    let body = match what {
        "configuration" => all,
        "concurrency" if all["ReservedConcurrentExecutions"].is_null() => json!({}),
        "concurrency" => json!({"ReservedConcurrentExecutions": all["ReservedConcurrentExecutions"]}),
        _ => {
            return json_error(
                400,
                "UnknownOperationException",
                "this world's Lambda shows configuration and concurrency",
            );
        }
    };
    respond(200, "application/json", body.to_string())
}
