//! Which service a request is for, what it asks, and the shapes of errors.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::region::Region;
use crate::world::World;
use crate::{cloud_control, cloudwatch, dynamodb, events, lambda_api, quotas, rds, route53_api, s3, secrets, sns};

/// What a service answers, and how long it takes beside the way there and back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: http::Response<Bytes>,
    pub(crate) delay: Duration,
}

impl From<http::Response<Bytes>> for Answer {
    fn from(response: http::Response<Bytes>) -> Self {
        Self { response, delay: Duration::ZERO }
    }
}

/// The AWS services of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    CloudControl,
    CloudWatch,
    DynamoDb,
    EventBridge,
    Lambda,
    Rds,
    Route53,
    S3,
    SecretsManager,
    Quotas,
    Sns,
}

/// `rds.eu-west-2.amazonaws.com` and its like; `None` for what is no AWS endpoint of this world.
pub(crate) fn of_host(host: &str) -> Option<(Service, Region)> {
    let name = host.strip_suffix(".amazonaws.com")?;
    // A bucket's own host name, such as `receipts.s3.eu-west-2`.
    if let Some((_, region)) = name.split_once(".s3.") {
        return Some((Service::S3, Region::named(region)?));
    }
    // S3 Batch Operations, such as `123456789012.s3-control.eu-west-2`.
    if let Some((_, region)) = name.split_once(".s3-control.") {
        return Some((Service::S3, Region::named(region)?));
    }
    // Route 53 has one control plane, in us-east-1, and no Region in its name.
    if name == "route53" {
        return Some((Service::Route53, Region::N_VIRGINIA));
    }
    let (prefix, rest) = name.split_once('.')?;
    Some((Service::named(prefix)?, Region::named(rest)?))
}

/// From the SigV4 credential scope: what a client that was pointed at one endpoint means.
pub(crate) fn of_signature(authorization: &str) -> Option<(Service, Region)> {
    let scope = authorization.split("Credential=").nth(1)?.split([',', ' ']).next()?;
    let parts: Vec<&str> = scope.split('/').collect();
    let [_, _, region, service, _] = parts.as_slice() else { return None };
    Some((Service::named(service)?, Region::named(region)?))
}

impl Service {
    fn named(prefix: &str) -> Option<Self> {
        match prefix {
            "cloudcontrolapi" => Some(Self::CloudControl),
            "monitoring" => Some(Self::CloudWatch),
            "dynamodb" => Some(Self::DynamoDb),
            "events" => Some(Self::EventBridge),
            "lambda" => Some(Self::Lambda),
            "rds" => Some(Self::Rds),
            "route53" => Some(Self::Route53),
            "s3" => Some(Self::S3),
            "secretsmanager" => Some(Self::SecretsManager),
            "servicequotas" => Some(Self::Quotas),
            "sns" => Some(Self::Sns),
            _ => None,
        }
    }

    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::CloudControl => "cloudcontrolapi",
            Self::CloudWatch => "monitoring",
            Self::DynamoDb => "dynamodb",
            Self::EventBridge => "events",
            Self::Lambda => "lambda",
            Self::Rds => "rds",
            Self::Route53 => "route53",
            Self::S3 => "s3",
            Self::SecretsManager => "secretsmanager",
            Self::Quotas => "servicequotas",
            Self::Sns => "sns",
        }
    }

    pub(crate) fn operation(self, request: &http::Request<Bytes>) -> String {
        match self {
            Self::CloudControl | Self::DynamoDb | Self::EventBridge | Self::SecretsManager | Self::Quotas => {
                let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
                target.and_then(|target| target.rsplit('.').next()).unwrap_or("?").to_owned()
            }
            Self::CloudWatch => request.uri().path().rsplit('/').next().unwrap_or("?").to_owned(),
            Self::Rds | Self::Sns => self.parameters(request).remove("Action").unwrap_or_else(|| "?".into()),
            Self::Lambda => lambda_api::operation(request).to_owned(),
            Self::Route53 => route53_api::operation(request).to_owned(),
            Self::S3 => s3::operation(request).to_owned(),
        }
    }

    pub(crate) fn parameters(self, request: &http::Request<Bytes>) -> BTreeMap<String, String> {
        match self {
            Self::Rds => form_urlencoded::parse(request.body()).into_owned().collect(),
            // The SDK sends attributes in the order of a hash map, which is another one in each run; the letter has
            // them by name.
            Self::Sns => form_urlencoded::parse(request.body())
                .into_owned()
                .filter(|(name, _)| !name.starts_with("MessageAttributes."))
                .collect(),
            // What a resource is decides which service is asked behind it, and so what a role must allow.
            Self::CloudControl => {
                let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
                let named = |name: &str| Some((name.to_owned(), body[name].as_str()?.to_owned()));
                ["TypeName", "Identifier"].into_iter().filter_map(named).collect()
            }
            Self::CloudWatch
            | Self::DynamoDb
            | Self::EventBridge
            | Self::Lambda
            | Self::Route53
            | Self::S3
            | Self::SecretsManager
            | Self::Quotas => BTreeMap::new(),
        }
    }

    pub(crate) fn handle(self, world: &World, at: Region, request: &http::Request<Bytes>) -> Answer {
        match self {
            Self::CloudControl => cloud_control::handle(world, at, request).into(),
            Self::CloudWatch => cloudwatch::handle(world, at, request).into(),
            Self::DynamoDb => dynamodb::handle(world, at, request),
            Self::EventBridge => events::handle(world, at, request).into(),
            Self::Lambda => lambda_api::handle(world, at, request).into(),
            Self::Rds => rds::handle(world, at, request).into(),
            Self::Route53 => route53_api::handle(world, at, request).into(),
            Self::S3 => s3::handle(world, at, request).into(),
            Self::SecretsManager => secrets::handle(world, at, request).into(),
            Self::Quotas => quotas::handle(world, at, request).into(),
            Self::Sns => sns::handle(world, at, request).into(),
        }
    }
}

/// An answer with a body.
pub(crate) fn respond(status: u16, content_type: &str, body: impl Into<Bytes>) -> http::Response<Bytes> {
    let response = http::Response::builder()
        .status(status)
        .header("content-type", content_type)
        .header("x-amzn-requestid", "00000000-0000-0000-0000-000000000000")
        .body(body.into());
    response.unwrap_or_default()
}

/// What a caller is told of a request that a deliberate bug kept from being sent.
pub(crate) fn obeyed(request: &http::Request<Bytes>) -> http::Response<Bytes> {
    if request.headers().contains_key("x-amz-target") {
        return respond(200, "application/x-amz-json-1.0", r#"{"FailedEntryCount":0,"Entries":[{"EventId":"0"}]}"#);
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    respond(200, "text/xml", format!("<{action}Response><{action}Result></{action}Result></{action}Response>"))
}

/// An error of the services that speak JSON.
pub(crate) fn json_error(status: u16, code: &str, message: &str) -> http::Response<Bytes> {
    let body = json!({"__type": code, "message": message}).to_string();
    respond(status, "application/x-amz-json-1.0", body)
}

/// An error of the services that speak the query protocol.
pub(crate) fn query_error(status: u16, code: &str, message: &str) -> http::Response<Bytes> {
    let side = if status < 500 { "Sender" } else { "Receiver" };
    let message = quick_xml::escape::escape(message);
    let body = format!(
        "<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    );
    respond(status, "text/xml", body)
}

/// An injected error in the shape of the service.
pub(crate) fn error(service: &str, status: u16, code: &str) -> Answer {
    let message = "injected by the world";
    let response = match service {
        "rds" | "route53" | "sns" => query_error(status, code, message),
        "http" => respond(status, "text/plain", message),
        "s3" => respond(status, "application/xml", s3::error_body(code, message)),
        _ => json_error(status, code, message),
    };
    response.into()
}
