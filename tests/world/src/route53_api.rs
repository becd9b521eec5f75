//! The control plane of Route 53, which is in us-east-1 alone: `ListResourceRecordSets`, `ChangeResourceRecordSets` of weights
//! and `GetHealthCheck`, in REST-XML.
//!
//! `World::show` sets, in us-east-1: `record <set identifier>` with `name`, `ttl` (absent: an alias), `check`; and
//! `check <id>` with `type`, `host`, `path`, `interval`, `threshold`, `inverted`, `children`.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;

use crate::region::Region;
use crate::service::{query_error, respond};
use crate::world::World;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

pub(crate) fn operation(request: &http::Request<Bytes>) -> &'static str {
    let path = request.uri().path();
    match () {
        () if path.trim_end_matches('/').ends_with("/rrset") && request.method() == http::Method::POST => {
            "ChangeResourceRecordSets"
        }
        () if path.ends_with("/rrset") => "ListResourceRecordSets",
        () if path.contains("/healthcheck/") => "GetHealthCheck",
        () => "?",
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    if operation(request) == "ChangeResourceRecordSets" {
        return change(world, request);
    }
    let state = world.state();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match operation(request) {
        "ListResourceRecordSets" => {
            let mut sets = String::new();
            for (name, record) in state.all_shown(at, "record ") {
                let answer = match record["ttl"].as_u64() {
                    Some(ttl) => format!("<TTL>{ttl}</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>"),
                    None => "<AliasTarget><HostedZoneId>Z32O12XQLNTSW2</HostedZoneId><DNSName>lb.example.com.</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>".into(),
                };
                let check = record["check"].as_str().map(|id| format!("<HealthCheckId>{id}</HealthCheckId>"));
                let set = name.trim_start_matches("record ");
                let weight = Region::named(set).and_then(|region| state.route53.weights.get(&region));
                let policy = match weight {
                    Some(weight) => format!("<Weight>{weight}</Weight>"),
                    None => format!("<Region>{set}</Region>"),
                };
                let _ = write!(
                    sets,
                    "<ResourceRecordSet><Name>{}.</Name><Type>A</Type><SetIdentifier>{set}</SetIdentifier>{policy}{answer}{}</ResourceRecordSet>",
                    text(&record["name"]),
                    check.unwrap_or_default()
                );
            }
            xml(format!(
                r#"<ListResourceRecordSetsResponse xmlns="{NAMESPACE}"><ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"#
            ))
        }
        "GetHealthCheck" => {
            let id = request.uri().path().rsplit('/').next().unwrap_or_default();
            let Some(check) = state.shown(at, &format!("check {id}")) else {
                return query_error(
                    404,
                    "NoSuchHealthCheck",
                    &format!("No health check exists with the specified ID: {id}"),
                );
            };
            let mut fields = format!("<Type>{}</Type>", text(&check["type"]));
            for (field, element) in [
                ("host", "FullyQualifiedDomainName"),
                ("path", "ResourcePath"),
                ("interval", "RequestInterval"),
                ("threshold", "FailureThreshold"),
                ("inverted", "Inverted"),
            ] {
                let value = &check[field];
                if !value.is_null() {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let _ = write!(fields, "<{element}>{text}</{element}>");
                }
            }
            if let Some(children) = check["children"].as_array() {
                let children: String =
                    children.iter().map(|id| format!("<ChildHealthCheck>{}</ChildHealthCheck>", text(id))).collect();
                let _ = write!(fields, "<ChildHealthChecks>{children}</ChildHealthChecks>");
            }
            xml(format!(
                r#"<GetHealthCheckResponse xmlns="{NAMESPACE}"><HealthCheck><Id>{id}</Id><CallerReference>x</CallerReference><HealthCheckConfig>{fields}</HealthCheckConfig><HealthCheckVersion>1</HealthCheckVersion></HealthCheck></GetHealthCheckResponse>"#
            ))
        }
        _ => query_error(400, "InvalidInput", "this world's Route 53 shows record sets and health checks"),
    }
}

/// Weights that all records of the batch have after it, or none.
fn change(world: &World, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let within = |text: &str, name: &str| -> Option<String> {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    let mut weights = std::collections::BTreeMap::new();
    for change in body.split("<Change>").skip(1) {
        let set = within(change, "SetIdentifier").and_then(|set| Region::named(&set));
        let weight = within(change, "Weight").and_then(|weight| weight.parse::<u64>().ok()).filter(|it| *it <= 255);
        match (set, weight, within(change, "Action").as_deref()) {
            (Some(region), Some(weight), Some("UPSERT")) => weights.insert(region, weight),
            _ => return query_error(400, "InvalidChangeBatch", "this world changes weights, by UPSERT"),
        };
    }
    let said: Vec<String> = weights.iter().map(|(region, weight)| format!("{region} {weight}")).collect();
    world.record("route53", format!("has the weights {}", said.join(", ")));
    world.weigh(weights);
    xml(format!(
        r#"<ChangeResourceRecordSetsResponse xmlns="{NAMESPACE}"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-11-24T14:08:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>"#
    ))
}

fn xml(body: String) -> http::Response<Bytes> {
    respond(200, "text/xml", body)
}
