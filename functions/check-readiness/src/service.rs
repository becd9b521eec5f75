//! The payments service: ECS, scaling, the load balancer before it, and what the account may run.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_sdk_servicequotas::Client as Quotas;
use holdfast_aws::failure::causes;
use holdfast_domain::Timestamp;
use holdfast_domain::readiness::{Seen, Setting, Value as Shown};
use serde_json::{Value, json};

use crate::properties::{attribute, existing, flag, listed, number, properties, seen, sorted};
use crate::side::{Reads, Side, observed};

const GROUP: &str = "AWS::EC2::SecurityGroup";
const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
/// The newest point of a metric that has one each minute, and comes a minute or two late.
const RECENT: Duration = Duration::from_secs(900);

/// Every read of the service; none where the configuration names none.
pub(crate) async fn service(side: &Side, now: Timestamp) -> Reads {
    let Some((cluster, name)) = side.policy.service_names() else { return Reads::new() };
    let region = &side.data.region;
    let arn = format!("arn:aws:ecs:{region}:{}:service/{cluster}/{name}", side.account());
    let found = properties(&side.sdk, "AWS::ECS::Service", &format!("{arn}|{cluster}")).await;
    let there = found.as_ref().map(|it| vec![seen(Setting::ServiceThere, name, Shown::Flag(it.is_some()))]);
    let mut reads = Reads::from([("the ECS service".to_owned(), observed(there.map_err(Clone::clone)))]);
    let document = found.and_then(|it| it.ok_or_else(|| format!("there is no ECS service {name}")));
    let (task, scaling, tasks, target, balancer, groups, fargate) = tokio::join!(
        Box::pin(task(side, name, &document)),
        Box::pin(scaling(side, cluster, name)),
        Box::pin(tasks(side, cluster, name, &document, now)),
        Box::pin(target(side, name, &document)),
        Box::pin(balancer(side, name, &document)),
        Box::pin(groups(side, name, &document)),
        Box::pin(quota(side, Setting::QuotaFargate, "fargate", "L-3032A538")),
    );
    for (read, found) in [
        ("the ECS service's settings", settings(name, &document)),
        ("the task definition", task),
        ("scaling", scaling),
        ("the running tasks", tasks),
        ("the target group", target),
        ("the load balancer", balancer),
        ("the service's security groups", groups),
        ("the quota of Fargate", fargate),
    ] {
        reads.insert(read.to_owned(), observed(found));
    }
    reads
}

fn settings(name: &str, document: &Result<Value, String>) -> Result<Vec<Seen>, String> {
    let service = document.as_ref().map_err(Clone::clone)?;
    let breaker = &service["DeploymentConfiguration"]["DeploymentCircuitBreaker"];
    Ok(vec![
        seen(Setting::ServiceDesired, name, number(&service["DesiredCount"])),
        seen(Setting::ServiceRollback, name, flag(&breaker["Rollback"])),
    ])
}

async fn task(side: &Side, name: &str, document: &Result<Value, String>) -> Result<Vec<Seen>, String> {
    let arn = text(&document.as_ref().map_err(Clone::clone)?["TaskDefinition"]);
    let task = existing(&side.sdk, "AWS::ECS::TaskDefinition", &arn).await?;
    let container = &task["ContainerDefinitions"][0];
    let image = text(&container["Image"]);
    // A registry of its own in each Region is no difference; the digest is what runs.
    let (what, pinned) = match image.rsplit_once('@') {
        Some((_, digest)) => (digest.to_owned(), true),
        None => (image.rsplit('/').next().unwrap_or_default().to_owned(), false),
    };
    let names = |list: &Value| sorted(list.as_array().into_iter().flatten().map(|it| text(&it["Name"])));
    let variable = |wanted: &str| {
        let mut all = container["Environment"].as_array().into_iter().flatten();
        all.find(|it| it["Name"] == wanted).map(|it| it["Value"].clone()).unwrap_or_default()
    };
    let mut found = vec![
        seen(Setting::ServiceImage, name, Shown::Text(what)),
        seen(Setting::ServiceImagePinned, name, Shown::Flag(pinned)),
        seen(Setting::ServiceCpu, name, number(&task["Cpu"])),
        seen(Setting::ServiceMemory, name, number(&task["Memory"])),
        seen(Setting::ServiceEnvironment, name, names(&container["Environment"])),
        seen(Setting::ServiceSecrets, name, names(&container["Secrets"])),
    ];
    // A service that finds its writer in another way has no such variables, and nothing is said of them.
    let endpoint = variable("LEDGER_ENDPOINT");
    if !endpoint.is_null() {
        let right = endpoint == side.topology.writer_endpoint.as_str();
        found.push(seen(Setting::ServiceWriterEndpoint, name, Shown::Flag(right)));
    }
    let cached = variable("DNS_CACHE_SECONDS");
    if !cached.is_null() {
        found.push(seen(Setting::ServiceDnsCache, name, number(&cached)));
    }
    Ok(found)
}

async fn scaling(side: &Side, cluster: &str, name: &str) -> Result<Vec<Seen>, String> {
    let id = format!("service/{cluster}/{name}|ecs:service:DesiredCount|ecs");
    let target = existing(&side.sdk, "AWS::ApplicationAutoScaling::ScalableTarget", &id).await?;
    Ok(vec![
        seen(Setting::ScalingMin, name, number(&target["MinCapacity"])),
        seen(Setting::ScalingMax, name, number(&target["MaxCapacity"])),
    ])
}

/// The peak of the days that are looked at, and what of the wanted tasks does not run now. No points are no zero.
async fn tasks(
    side: &Side,
    cluster: &str,
    name: &str,
    document: &Result<Value, String>,
    now: Timestamp,
) -> Result<Vec<Seen>, String> {
    let Shown::Number(desired) = number(&document.as_ref().map_err(Clone::clone)?["DesiredCount"]) else {
        return Err("the service does not say how many tasks it wants".into());
    };
    let days = Duration::from_secs(u64::from(side.policy.peak_days) * 86_400);
    let (used, running) = tokio::join!(
        metric(side, (cluster, name), ("CpuUtilized", "Sum"), now, days),
        metric(side, (cluster, name), ("RunningTaskCount", "Maximum"), now, RECENT),
    );
    let peak = used?.into_iter().map(|(_, units)| units).max();
    let newest = running?.into_iter().max_by_key(|(at, _)| *at).map(|(_, count)| count);
    match (peak, newest) {
        (Some(peak), Some(running)) => Ok(vec![
            seen(Setting::CpuPeak, name, Shown::Number(peak)),
            seen(Setting::ServiceMissing, name, Shown::Number(desired.saturating_sub(running))),
        ]),
        (None, _) | (_, None) => Err("ECS/ContainerInsights has no points; turn Container Insights on".into()),
    }
}

/// One point for each minute; more than fifteen days back CloudWatch has none.
async fn metric(
    side: &Side,
    (cluster, service): (&str, &str),
    (name, stat): (&str, &str),
    now: Timestamp,
    back: Duration,
) -> Result<Vec<(i64, u64)>, String> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("ECS/ContainerInsights")
        .metric_name(name)
        .dimensions(dimension("ClusterName", cluster))
        .dimensions(dimension("ServiceName", service));
    let stat = MetricStat::builder().metric(metric.build()).period(60).stat(stat).build();
    let seconds = |at: Timestamp| aws_smithy_types::DateTime::from_secs(at.as_second());
    let answer = aws_sdk_cloudwatch::Client::new(&side.sdk)
        .get_metric_data()
        .metric_data_queries(MetricDataQuery::builder().id("points").metric_stat(stat).build())
        .start_time(seconds(now.checked_sub(back).unwrap_or(now)))
        .end_time(seconds(now.checked_add(Duration::from_secs(60)).unwrap_or(now)))
        .scan_by(ScanBy::TimestampDescending)
        .send()
        .await
        .map_err(|error| format!("GetMetricData failed: {}", causes(&error)))?;
    let points = answer.metric_data_results().iter().flat_map(|it| it.timestamps().iter().zip(it.values()));
    points.map(|(at, value)| Ok((at.secs(), whole(*value)?))).collect()
}

/// A count that a service sends as a fraction.
fn whole(value: f64) -> Result<u64, String> {
    format!("{:.0}", value.ceil()).parse().map_err(|_| format!("{value} is no count"))
}

async fn target(side: &Side, name: &str, document: &Result<Value, String>) -> Result<Vec<Seen>, String> {
    let group = target_group(side, document).await?;
    let attributes = &group["TargetGroupAttributes"];
    Ok(vec![
        seen(Setting::TargetPath, name, Shown::Flag(text(&group["HealthCheckPath"]) == side.liveness_path())),
        seen(Setting::TargetInterval, name, number(&group["HealthCheckIntervalSeconds"])),
        seen(Setting::TargetThreshold, name, number(&group["UnhealthyThresholdCount"])),
        seen(Setting::TargetDelay, name, number(&attribute(attributes, "deregistration_delay.timeout_seconds"))),
    ])
}

async fn target_group(side: &Side, document: &Result<Value, String>) -> Result<Value, String> {
    let arn = text(&document.as_ref().map_err(Clone::clone)?["LoadBalancers"][0]["TargetGroupArn"]);
    if arn.is_empty() {
        return Err("the ECS service has no target group".into());
    }
    existing(&side.sdk, "AWS::ElasticLoadBalancingV2::TargetGroup", &arn).await
}

async fn balancer(side: &Side, name: &str, document: &Result<Value, String>) -> Result<Vec<Seen>, String> {
    let arn = text(&target_group(side, document).await?["LoadBalancerArns"][0]);
    if arn.is_empty() {
        return Err("the target group has no load balancer".into());
    }
    let model = json!({"LoadBalancerArn": arn});
    let (balancer, listeners) = tokio::join!(
        existing(&side.sdk, "AWS::ElasticLoadBalancingV2::LoadBalancer", &arn),
        listed(&side.sdk, LISTENER, &model)
    );
    let (balancer, listeners) = (balancer?, listeners?);
    let reads = listeners.iter().map(|arn| existing(&side.sdk, LISTENER, arn));
    let (listeners, rules) =
        tokio::join!(futures_util::future::try_join_all(reads), rules(side, &balancer["SecurityGroups"]));
    let listeners = listeners?;
    let attributes = &balancer["LoadBalancerAttributes"];
    let of = |key: &str| attribute(attributes, key);
    let described = listeners.iter().map(|it| {
        let action = text(&it["DefaultActions"][0]["Type"]);
        format!("{} {} {action}", text(&it["Protocol"]), it["Port"])
    });
    let policies = listeners.iter().map(|it| format!("{}: {}", it["Port"], text(&it["SslPolicy"])));
    Ok(vec![
        seen(Setting::BalancerKeepAlive, name, number(&of("client_keep_alive.seconds"))),
        seen(Setting::BalancerIdle, name, number(&of("idle_timeout.timeout_seconds"))),
        seen(Setting::BalancerProtected, name, flag(&of("deletion_protection.enabled"))),
        seen(Setting::BalancerRules, name, rules?),
        seen(Setting::Listeners, name, sorted(described)),
        seen(Setting::ListenerTls, name, sorted(policies)),
    ])
}

async fn groups(side: &Side, name: &str, document: &Result<Value, String>) -> Result<Vec<Seen>, String> {
    let service = document.as_ref().map_err(Clone::clone)?;
    let groups = &service["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"];
    Ok(vec![seen(Setting::ServiceRules, name, rules(side, groups).await?)])
}

/// The rules of all groups. Groups have other ids in each Region: a rule for a group is "a group".
async fn rules(side: &Side, ids: &Value) -> Result<Shown, String> {
    let ids: Vec<String> = ids.as_array().into_iter().flatten().map(text).collect();
    let reads = ids.iter().map(|id| existing(&side.sdk, GROUP, id));
    let groups = futures_util::future::try_join_all(reads).await?;
    let mut rules = Vec::new();
    for group in &groups {
        for (way, list, other) in [
            ("in", &group["SecurityGroupIngress"], "SourceSecurityGroupId"),
            ("out", &group["SecurityGroupEgress"], "DestinationSecurityGroupId"),
        ] {
            for rule in list.as_array().into_iter().flatten() {
                let whom = match (&rule["CidrIp"], &rule["CidrIpv6"], &rule[other]) {
                    (Value::String(cidr), _, _) | (_, Value::String(cidr), _) => cidr.clone(),
                    (_, _, Value::String(_)) => "a group".into(),
                    (_, _, _) => "something else".into(),
                };
                let ports = format!("{}-{}", rule["FromPort"], rule["ToPort"]);
                rules.push(format!("{way} {} {ports} {whom}", text(&rule["IpProtocol"])));
            }
        }
    }
    Ok(sorted(rules))
}

/// A quota of the account, as it is applied.
pub(crate) async fn quota(side: &Side, setting: Setting, service: &str, code: &str) -> Result<Vec<Seen>, String> {
    let answer = Quotas::new(&side.sdk).get_service_quota().service_code(service).quota_code(code).send().await;
    let answer = answer.map_err(|error| format!("GetServiceQuota of {service} {code} failed: {}", causes(&error)))?;
    let value = answer.quota().and_then(|quota| quota.value());
    let value = value.ok_or_else(|| format!("the quota {service} {code} has no value"))?;
    Ok(vec![seen(setting, "account", Shown::Number(whole(value)?))])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
