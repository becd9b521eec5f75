//! The Cloud Control API: any resource as the JSON that its CloudFormation type describes.

use aws_sdk_cloudcontrol::Client;
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;
use holdfast_domain::readiness::{Seen, Setting, Value as Shown};
use serde_json::Value;

/// A load balancer of a payments service has one or two listeners.
const LISTED_MAX: i32 = 20;

/// A resource's properties; `None`: it is not there.
pub(crate) async fn properties(sdk: &SdkConfig, kind: &str, id: &str) -> Result<Option<Value>, String> {
    match Client::new(sdk).get_resource().type_name(kind).identifier(id).send().await {
        Ok(answer) => {
            let text = answer.resource_description().and_then(|it| it.properties()).unwrap_or_default();
            let read =
                serde_json::from_str(text).map_err(|problem| format!("{kind} {id} cannot be read: {problem}"))?;
            Ok(Some(read))
        }
        Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => Ok(None),
        Err(error) => Err(format!("GetResource of {kind} failed: {}", causes(&error))),
    }
}

/// A resource that others name: without it they would be wrong.
pub(crate) async fn existing(sdk: &SdkConfig, kind: &str, id: &str) -> Result<Value, String> {
    properties(sdk, kind, id).await?.ok_or_else(|| format!("there is no {kind} {id}"))
}

/// The identifiers of all resources of a kind that fit a model.
pub(crate) async fn listed(sdk: &SdkConfig, kind: &str, model: &Value) -> Result<Vec<String>, String> {
    let answer = Client::new(sdk)
        .list_resources()
        .type_name(kind)
        .resource_model(model.to_string())
        .max_results(LISTED_MAX)
        .send()
        .await
        .map_err(|error| format!("ListResources of {kind} failed: {}", causes(&error)))?;
    if answer.next_token().is_some() {
        return Err(format!("there are more than {LISTED_MAX} of {kind}"));
    }
    Ok(answer.resource_descriptions().iter().filter_map(|it| it.identifier()).map(str::to_owned).collect())
}

/// A field as a number; CloudFormation's types have some of them as text.
pub(crate) fn number(value: &Value) -> Shown {
    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.map_or(Shown::Absent, Shown::Number)
}

/// A field as on or off; what is not there is off.
pub(crate) fn flag(value: &Value) -> Shown {
    Shown::Flag(value.as_bool().unwrap_or_else(|| value.as_str() == Some("true")))
}

/// A list of `Key` and `Value`.
pub(crate) fn attribute(attributes: &Value, key: &str) -> Value {
    let found = attributes.as_array().into_iter().flatten().find(|it| it["Key"] == key);
    found.map(|it| it["Value"].clone()).unwrap_or_default()
}

/// A list as sorted text, the same however AWS orders it.
pub(crate) fn sorted(parts: impl IntoIterator<Item = String>) -> Shown {
    let mut parts: Vec<String> = parts.into_iter().collect();
    parts.sort();
    if parts.is_empty() { Shown::Text("none".into()) } else { Shown::Text(parts.join(", ")) }
}

/// A setting of a subject.
pub(crate) fn seen(setting: Setting, subject: &str, value: Shown) -> Seen {
    Seen::new(setting, subject, value)
}
