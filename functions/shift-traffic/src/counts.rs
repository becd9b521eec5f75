//! What a load balancer has counted.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;
use holdfast_domain::Timestamp;
use holdfast_domain::promotion::Observed;
use holdfast_domain::traffic::{Doors, Requests, newest_minute};

/// How far back is looked. Counts have one point a minute, and come two minutes late.
const WINDOW: Duration = Duration::from_secs(600);

/// The newest whole minute of a Region's load balancer, with one call.
pub(crate) async fn requests(sdk: &SdkConfig, doors: &Doors, now: Timestamp) -> Observed<Requests> {
    let seconds = |at: Timestamp| aws_smithy_types::DateTime::from_secs(at.as_second());
    let answer = aws_sdk_cloudwatch::Client::new(sdk)
        .get_metric_data()
        .metric_data_queries(query("requests", "RequestCount", &doors.load_balancer))
        .metric_data_queries(query("reported", "ConsumedLCUs", &doors.load_balancer))
        .start_time(seconds(now.checked_sub(WINDOW).unwrap_or(now)))
        .end_time(seconds(now))
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Observed::Unseen { why: format!("GetMetricData failed: {}", causes(&error)) },
    };
    let points = |id: &str| {
        let result = answer.metric_data_results().iter().find(|result| result.id() == Some(id));
        result.map(minutes).unwrap_or_default()
    };
    let reported: Vec<Timestamp> = points("reported").into_keys().collect();
    newest_minute(&reported, &points("requests"), doors.probes_per_minute, now)
}

fn query(id: &str, name: &str, load_balancer: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name("LoadBalancer").value(load_balancer).build();
    let metric = Metric::builder().namespace("AWS/ApplicationELB").metric_name(name).dimensions(dimension).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Sum").build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

/// Whole numbers by the minute that they count; what is no number is left out.
fn minutes(result: &MetricDataResult) -> BTreeMap<Timestamp, u64> {
    let points = result.timestamps().iter().zip(result.values());
    points
        .filter_map(|(at, value)| {
            Some((Timestamp::from_second(at.secs()).ok()?, format!("{:.0}", value.ceil()).parse().ok()?))
        })
        .collect()
}
