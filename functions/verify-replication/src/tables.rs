//! DynamoDB: canaries through the attempts table, and what both Regions say of it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::types::{AttributeValue, MultiRegionConsistency};
use aws_types::SdkConfig;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Consistency;
use holdfast_domain::promotion::Observed;
use holdfast_domain::replication::{CanaryReading, Replica, Sent, TABLE_POLLS, TableDescription, WitnessReplica};

use crate::peer::Side;

/// The canaries' partition; the sort key is the Region that wrote it. They are overwritten and never deleted.
const CANARY: &str = "holdfast-canary";

/// Sends a canary from one side and looks for it on the other until it is there or the round is over.
pub(crate) async fn canary(table: &str, from: &Side, to: &Side, sent: Sent) -> CanaryReading {
    let writer = match &from.sdk {
        Ok(sdk) => sdk,
        Err(why) => return CanaryReading::NotSent { why: why.clone() },
    };
    let origin = from.data.region.as_str();
    if let Err(why) = send(writer, table, origin, sent).await {
        return CanaryReading::NotSent { why };
    }
    let reader = match &to.sdk {
        Ok(sdk) => sdk,
        Err(why) => return CanaryReading::NotRead { why: why.clone() },
    };
    let mut waited = Duration::ZERO;
    let mut last = CanaryReading::NotRead { why: "it was not looked for".into() };
    for poll in TABLE_POLLS {
        tokio::time::sleep(poll.saturating_sub(waited)).await;
        waited = poll;
        last = match arrived(reader, table, origin, sent).await {
            Ok(sequence) => CanaryReading::Seen { sequence, after: poll },
            Err(why) => CanaryReading::NotRead { why },
        };
        if matches!(last, CanaryReading::Seen { sequence, .. } if sequence >= sent.sequence) {
            break;
        }
    }
    last
}

async fn send(sdk: &SdkConfig, table: &str, origin: &str, sent: Sent) -> Result<(), String> {
    let number = |value: String| AttributeValue::N(value);
    let put = Client::new(sdk)
        .put_item()
        .table_name(table)
        .item("pk", AttributeValue::S(CANARY.into()))
        .item("sk", AttributeValue::S(origin.into()))
        .item("number", number(sent.sequence.to_string()))
        .item("at", number(sent.at.as_millisecond().to_string()));
    let once = Config::builder().retry_config(never_retried());
    put.customize().config_override(once).send().await.map(drop).map_err(|error| causes(&error))
}

/// The sequence that is there; 0 when there is none yet. One of the same number from a round that was never remembered
/// is not this one.
async fn arrived(sdk: &SdkConfig, table: &str, origin: &str, sent: Sent) -> Result<u64, String> {
    let answer = Client::new(sdk)
        .get_item()
        .table_name(table)
        .consistent_read(true)
        .key("pk", AttributeValue::S(CANARY.into()))
        .key("sk", AttributeValue::S(origin.into()))
        .send()
        .await
        .map_err(|error| causes(&error))?;
    let Some(item) = answer.item() else { return Ok(0) };
    let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok());
    match (number("number"), number("at")) {
        (Some(sequence), Some(at_ms)) => Ok(seen(sequence, at_ms, sent)),
        (None, _) | (_, None) => Err("the canary cannot be read".into()),
    }
}

/// What was seen, as a sequence of this round's counting.
pub(crate) fn seen(sequence: u64, at_ms: u64, sent: Sent) -> u64 {
    let older = i64::try_from(at_ms).is_ok_and(|at_ms| at_ms < sent.at.as_millisecond());
    if sequence == sent.sequence && older { sequence - 1 } else { sequence }
}

/// `DescribeTable`, asked on one side.
pub(crate) async fn describe(table: &str, side: &Side) -> Observed<TableDescription> {
    let sdk = match &side.sdk {
        Ok(sdk) => sdk,
        Err(why) => return Observed::Unseen { why: why.clone() },
    };
    match Client::new(sdk).describe_table().table_name(table).send().await {
        Ok(answer) => match answer.table() {
            Some(table) => Observed::Seen(read(table)),
            None => Observed::Unseen { why: "DescribeTable answers without a table".into() },
        },
        Err(error) => Observed::Unseen { why: format!("DescribeTable failed: {}", causes(&error)) },
    }
}

/// Statuses are kept as strings: the SDK's enums do not know what AWS adds later.
fn read(table: &aws_sdk_dynamodb::types::TableDescription) -> TableDescription {
    let named = |name: Option<&str>| name.unwrap_or("unnamed").to_owned();
    let replicas = table.replicas().iter().map(|replica| Replica {
        region: named(replica.region_name()),
        status: named(replica.replica_status().map(|status| status.as_str())),
        inaccessible_since: replica
            .replica_inaccessible_date_time()
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
    });
    let witnesses = table.global_table_witnesses().iter().map(|witness| WitnessReplica {
        region: named(witness.region_name()),
        status: named(witness.witness_status().map(|status| status.as_str())),
    });
    TableDescription {
        status: named(table.table_status().map(|status| status.as_str())),
        consistency: match table.multi_region_consistency() {
            Some(MultiRegionConsistency::Strong) => Consistency::Strong,
            Some(_) | None => Consistency::Eventual,
        },
        replicas: replicas.collect(),
        witnesses: witnesses.collect(),
    }
}
