//! Marks of attempts in time buckets: what lets anybody count, a second after the outage, what was acknowledged.
//!
//! This is the reference for a payments team. An attempt is marked as begun before its intent is written, and as
//! acknowledged after its row is committed and before anybody is told; whoever asks again is told the same.

use holdfast_world::Region;
use holdfast_world::dynamodb::Item;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lease::item;
use crate::service::PaymentRequest;

/// Into how many partitions a minute's marks are spread: `topology.attempts.shards`.
pub const SHARDS: u32 = 2;

/// The partition of an attempt's marks at an instant.
#[must_use]
pub fn bucket(at: Timestamp, key: &str) -> String {
    // FNV-1a: any spread does, readers read every shard.
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let minute = at.to_string();
    format!("at#{}#{}", minute.get(..16).unwrap_or(&minute), hash % SHARDS)
}

/// The mark of an attempt that begins. The Region is in the key: in a table that replicates late, last-writer-wins must not
/// hide that two Regions have begun the same.
#[must_use]
pub fn begun(payment: &PaymentRequest, region: Region, at: Timestamp) -> Item {
    mark(&bucket(at, &payment.key), payment, "begun", region, at, json!({}))
}

/// The mark of an attempt that is about to be acknowledged, in the bucket that its outcome names.
#[must_use]
pub fn acknowledged(bucket: &str, payment: &PaymentRequest, reference: &str, region: Region, at: Timestamp) -> Item {
    mark(bucket, payment, "acknowledged", region, at, json!({"network_reference": {"S": reference}}))
}

/// The key of an acknowledgement by a Region in a bucket.
#[must_use]
pub fn acknowledgement_key(bucket: &str, key: &str, region: Region) -> Item {
    item(json!({"pk": {"S": bucket}, "sk": {"S": format!("{key}#acknowledged#{region}")}}))
}

fn mark(bucket: &str, payment: &PaymentRequest, stage: &str, region: Region, at: Timestamp, more: Value) -> Item {
    let mut mark = item(json!({
        "pk": {"S": bucket}, "sk": {"S": format!("{}#{stage}#{region}", payment.key)},
        "attempt_key": {"S": payment.key}, "stage": {"S": stage}, "region": {"S": region.as_str()},
        "amount_minor": {"N": payment.amount_minor.to_string()}, "currency": {"S": payment.currency},
        "at": {"N": at.as_millisecond().to_string()},
    }));
    mark.extend(item(more));
    mark
}
