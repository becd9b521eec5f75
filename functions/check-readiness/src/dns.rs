//! Route 53: the records that clients resolve, and the health checks behind them. Its control plane is in us-east-1 alone.

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{HealthCheckConfig, HealthCheckType, ResourceRecordSet};
use aws_types::SdkConfig;
use holdfast_aws::clients::in_region;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::readiness::{DNS_READ, DnsRecord, Seen, Setting, Value};

use crate::properties::seen;
use crate::side::{Reads, Side, observed};

/// The time to live of an alias to a load balancer, in seconds: AWS has fixed it.
const ALIAS_TTL: u64 = 60;
/// A name has one record for each data Region, and perhaps as many of another type.
const RECORDS_MAX: i32 = 20;
/// A calculated check of Holdfast's has two children.
const CHILDREN_MAX: usize = 10;

/// What DNS says of both Regions, in their order.
pub(crate) async fn records(sides: &[Side; 2]) -> [Reads; 2] {
    let Some(record) = sides[0].policy.record.clone() else { return [Reads::new(), Reads::new()] };
    let Ok(home) = Region::new("us-east-1") else { return [Reads::new(), Reads::new()] };
    let sdk = in_region(&sides[0].sdk, &home);
    let sets = sets(&sdk, &record).await;
    let [one, other] = sides;
    let (one, other) = tokio::join!(Box::pin(of(&sdk, one, &record, &sets)), Box::pin(of(&sdk, other, &record, &sets)));
    [one, other].map(|read| Reads::from([(DNS_READ.to_owned(), observed(read))]))
}

async fn sets(sdk: &SdkConfig, record: &DnsRecord) -> Result<Vec<ResourceRecordSet>, String> {
    let answer = Client::new(sdk)
        .list_resource_record_sets()
        .hosted_zone_id(&record.zone)
        .start_record_name(&record.name)
        .max_items(RECORDS_MAX)
        .send()
        .await
        .map_err(|error| format!("ListResourceRecordSets failed: {}", causes(&error)))?;
    let wanted = |set: &&ResourceRecordSet| set.name().trim_end_matches('.') == record.name.trim_end_matches('.');
    Ok(answer.resource_record_sets().iter().filter(wanted).cloned().collect())
}

async fn of(
    sdk: &SdkConfig,
    side: &Side,
    record: &DnsRecord,
    sets: &Result<Vec<ResourceRecordSet>, String>,
) -> Result<Vec<Seen>, String> {
    let name = record.name.as_str();
    let sets = sets.as_ref().map_err(Clone::clone)?;
    let region = side.data.region.as_str();
    let set = sets.iter().find(|set| set.region().is_some_and(|it| it.as_str() == region));
    let Some(set) = set else { return Ok(vec![seen(Setting::RecordThere, name, Value::Flag(false))]) };
    let ttl = match (set.alias_target(), set.ttl()) {
        (Some(_), _) => Some(ALIAS_TTL),
        (None, ttl) => ttl.and_then(|ttl| u64::try_from(ttl).ok()),
    };
    let mut found = vec![
        seen(Setting::RecordThere, name, Value::Flag(true)),
        seen(Setting::RecordTtl, name, ttl.map_or(Value::Absent, Value::Number)),
        seen(Setting::RecordChecked, name, Value::Flag(set.health_check_id().is_some())),
    ];
    // Without a check there is one thing wrong, and not four.
    let Some(id) = set.health_check_id() else { return Ok(found) };
    let top = check(sdk, id).await?;
    let mut checks = vec![top.clone()];
    if *top.r#type() == HealthCheckType::Calculated {
        let children = top.child_health_checks().iter().take(CHILDREN_MAX).map(|id| check(sdk, id));
        checks = futures_util::future::try_join_all(children).await?;
    }
    let inverted = |it: &&HealthCheckConfig| it.inverted() == Some(true);
    let path = |it: &HealthCheckConfig| format!("/{}", it.resource_path().unwrap_or_default().trim_start_matches('/'));
    let switch = side.switch_of(&side.peer);
    let watched = checks.iter().filter(inverted).any(|it| {
        let host = it.fully_qualified_domain_name().unwrap_or_default();
        host.starts_with(&format!("{switch}.")) && path(it) == format!("/evacuate/{region}")
    });
    found.push(seen(Setting::RecordSwitch, name, Value::Flag(watched)));
    let liveness = checks.iter().find(|it| !inverted(it));
    let liveness = liveness.ok_or_else(|| format!("the health check {id} looks at nothing"))?;
    let number = |value: Option<i32>, default: u64| value.and_then(|it| u64::try_from(it).ok()).unwrap_or(default);
    // What is not said is Route 53's default.
    let (interval, threshold) = (number(liveness.request_interval(), 30), number(liveness.failure_threshold(), 3));
    found.push(seen(Setting::RecordDetection, name, Value::Number(interval.saturating_mul(threshold))));
    found.push(seen(Setting::RecordInterval, name, Value::Number(interval)));
    found.push(seen(Setting::RecordThreshold, name, Value::Number(threshold)));
    found.push(seen(Setting::RecordPath, name, Value::Flag(path(liveness) == side.liveness_path())));
    Ok(found)
}

async fn check(sdk: &SdkConfig, id: &str) -> Result<HealthCheckConfig, String> {
    let answer = Client::new(sdk).get_health_check().health_check_id(id).send().await;
    let answer = answer.map_err(|error| format!("GetHealthCheck of {id} failed: {}", causes(&error)))?;
    let config = answer.health_check().and_then(|check| check.health_check_config());
    config.cloned().ok_or_else(|| format!("the health check {id} has no configuration"))
}
