//! Secrets Manager: one value for each name, in each Region by itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::region::Region;
use crate::service::{json_error, respond};
use crate::world::{ACCOUNT, World};

#[derive(Default)]
pub(crate) struct Secrets {
    values: BTreeMap<(Region, String), String>,
}

impl World {
    /// Creates or replaces a secret.
    pub fn put_secret(&self, region: Region, name: &str, value: &str) {
        self.state().secrets.values.insert((region, name.to_owned()), value.to_owned());
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if target != "secretsmanager.GetSecretValue" {
        return json_error(400, "InvalidRequestException", "this world's Secrets Manager speaks GetSecretValue");
    }
    let input: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let name = input["SecretId"].as_str().unwrap_or_default().to_owned();
    match world.state().secrets.values.get(&(at, name.clone())) {
        Some(value) => {
            let body = json!({
                "ARN": format!("arn:aws:secretsmanager:{at}:{ACCOUNT}:secret:{name}-AbCdEf"), "Name": name,
                "SecretString": value, "VersionId": "00000000-0000-0000-0000-000000000000",
            });
            respond(200, "application/x-amz-json-1.1", body.to_string())
        }
        None => json_error(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    }
}
