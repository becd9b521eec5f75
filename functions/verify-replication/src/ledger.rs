//! Aurora and the metrics of both stores: what exists only in the Region where it exists.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric as SdkMetric, MetricDataQuery, MetricStat, ScanBy};
use aws_types::SdkConfig;
use holdfast_aws::failure::causes;
use holdfast_domain::arn::ClusterArn;
use holdfast_domain::promotion::Observed;
use holdfast_domain::replication::Metric;
use holdfast_domain::{Region, Timestamp};

use crate::peer::Side;

/// How far back metrics are looked for. They have one point a minute, and come a minute or two late.
const WINDOW: Duration = Duration::from_secs(900);

/// Where the writer is, and whether the other member is connected.
#[derive(Clone, Debug)]
pub(crate) struct GlobalCluster {
    pub(crate) writer: Region,
    pub(crate) standby_connected: Option<bool>,
}

/// The global cluster, as this Region's RDS describes it.
pub(crate) async fn global_cluster(sdk: &SdkConfig, id: &str) -> Observed<GlobalCluster> {
    let unseen = |why: String| Observed::Unseen { why };
    let answer = aws_sdk_rds::Client::new(sdk).describe_global_clusters().global_cluster_identifier(id).send().await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return unseen(format!("DescribeGlobalClusters failed: {}", causes(&error))),
    };
    let members = answer.global_clusters().first().map(|cluster| cluster.global_cluster_members()).unwrap_or_default();
    let writers: Vec<&str> = members
        .iter()
        .filter(|member| member.is_writer() == Some(true))
        .filter_map(|member| member.db_cluster_arn())
        .collect();
    let [writer] = writers.as_slice() else {
        return unseen(format!("RDS names {} writers in {id}", writers.len()));
    };
    let standby = members.iter().find(|member| member.is_writer() != Some(true));
    match ClusterArn::parse(writer) {
        Ok(arn) => Observed::Seen(GlobalCluster {
            writer: arn.region().clone(),
            standby_connected: standby
                .and_then(|member| member.synchronization_status())
                .map(|status| status.as_str() == "connected"),
        }),
        Err(problem) => unseen(format!("the writer cannot be read: {problem}")),
    }
}

/// The metrics that exist on one side.
#[derive(Clone, Debug)]
pub(crate) struct SideMetrics {
    /// `AuroraGlobalDBRPOLag` of this side's cluster behind the other.
    pub(crate) ledger_lag: Metric,
    /// `ReplicationLatency` of the attempts table from this side to the other.
    pub(crate) table_latency: Metric,
    /// `OperationsFailedReplication` of this side's bucket, summed over all of its rules and minutes.
    pub(crate) failed_objects: Observed<Option<u64>>,
}

/// All metrics of one side with one call.
pub(crate) async fn metrics(side: &Side, other: &Region, table: &str, now: Timestamp) -> SideMetrics {
    let missing = |why: &str| Metric::Missing { why: why.to_owned() };
    let unknown = |why: &str| SideMetrics {
        ledger_lag: missing(why),
        table_latency: missing(why),
        failed_objects: Observed::Unseen { why: why.to_owned() },
    };
    let sdk = match &side.sdk {
        Ok(sdk) => sdk,
        Err(why) => return unknown(why),
    };
    let cluster = side.data.cluster_arn.identifier();
    let lag = query(
        "ledger",
        "AWS/RDS",
        "AuroraGlobalDBRPOLag",
        [("DBClusterIdentifier", cluster), ("SourceRegion", other.as_str())],
        "Maximum",
    );
    let latency = query(
        "attempts",
        "AWS/DynamoDB",
        "ReplicationLatency",
        [("TableName", table), ("ReceivingRegion", other.as_str())],
        "Average",
    );
    // The dimension RuleId is the installation's own: whatever it is, it is found.
    let failed = format!(
        r#"SEARCH('{{AWS/S3,DestinationBucket,RuleId,SourceBucket}} MetricName="OperationsFailedReplication" SourceBucket="{}"', 'Sum', 60)"#,
        side.data.receipts_bucket
    );
    let failed = MetricDataQuery::builder().id("failed").expression(failed).build();
    let seconds = |at: Timestamp| aws_smithy_types::DateTime::from_secs(at.as_second());
    let answer = aws_sdk_cloudwatch::Client::new(sdk)
        .get_metric_data()
        .metric_data_queries(lag)
        .metric_data_queries(latency)
        .metric_data_queries(failed)
        .start_time(seconds(now.checked_sub(WINDOW).unwrap_or(now)))
        .end_time(seconds(now.checked_add(Duration::from_secs(60)).unwrap_or(now)))
        .scan_by(ScanBy::TimestampDescending)
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return unknown(&format!("GetMetricData failed: {}", causes(&error))),
    };
    let newest = |id: &str| {
        let result = answer.metric_data_results().iter().find(|result| result.id() == Some(id));
        let points = result.map(|it| it.timestamps().iter().zip(it.values())).into_iter().flatten();
        match points.max_by_key(|(at, _)| at.secs()) {
            None => missing(&format!("no point in the last {} minutes", WINDOW.as_secs() / 60)),
            Some((at, value)) => match (format!("{:.0}", value.ceil()).parse(), Timestamp::from_second(at.secs())) {
                (Ok(value_ms), Ok(at)) => Metric::Point { value_ms, at },
                (Err(_), _) | (_, Err(_)) => missing(&format!("its newest point is {value}")),
            },
        }
    };
    let found = answer.metric_data_results().iter().filter(|result| result.id() == Some("failed"));
    let counts =
        found.flat_map(|result| result.values()).map(|count| format!("{:.0}", count.ceil()).parse::<u64>().ok());
    let failed_objects = counts.fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0).saturating_add(count?)));
    SideMetrics {
        ledger_lag: newest("ledger"),
        table_latency: newest("attempts"),
        failed_objects: Observed::Seen(failed_objects),
    }
}

fn query(id: &str, namespace: &str, name: &str, dimensions: [(&str, &str); 2], stat: &str) -> MetricDataQuery {
    let dimensions = dimensions.map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let metric = SdkMetric::builder().namespace(namespace).metric_name(name).set_dimensions(Some(dimensions.to_vec()));
    let stat = MetricStat::builder().metric(metric.build()).period(60).stat(stat).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}
