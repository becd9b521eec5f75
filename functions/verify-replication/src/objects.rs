//! S3: canary objects, and the replication rules of both buckets.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    DeleteMarkerReplicationStatus, MetricsStatus, ReplicaModificationsStatus, ReplicationRule, ReplicationRuleStatus,
    SseKmsEncryptedObjectsStatus,
};
use aws_types::SdkConfig;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::promotion::Observed;
use holdfast_domain::replication::{BucketRule, CanaryReading, OBJECT_POLLS, ObjectStatus, Sent};

use crate::peer::Side;
use crate::tables::seen;

/// The canary's object metadata.
const SEQUENCE: &str = "holdfast-sequence";
const AT: &str = "holdfast-at";

/// What one round saw of a canary object.
#[derive(Clone, Debug)]
pub(crate) struct CanaryObject {
    pub(crate) reading: CanaryReading,
    pub(crate) status: ObjectStatus,
}

fn key(origin: &Region) -> String {
    format!("holdfast/canary-from-{origin}")
}

/// Writes a canary object on one side and looks for it on the other until it is there or the round is over.
pub(crate) async fn canary(from: &Side, to: &Side, sent: Sent) -> CanaryObject {
    let not_sent =
        |why: String| CanaryObject { reading: CanaryReading::NotSent { why }, status: ObjectStatus::NotNeeded };
    let key = key(&from.data.region);
    let writer = match &from.sdk {
        Ok(sdk) => sdk,
        Err(why) => return not_sent(why.clone()),
    };
    let put = Client::new(writer)
        .put_object()
        .bucket(&from.data.receipts_bucket)
        .key(&key)
        .metadata(SEQUENCE, sent.sequence.to_string())
        .metadata(AT, sent.at.as_millisecond().to_string())
        .body(ByteStream::from(format!("canary {} of {}\n", sent.sequence, from.data.region).into_bytes()));
    let once = Config::builder().retry_config(never_retried());
    if let Err(error) = put.customize().config_override(once).send().await {
        return not_sent(causes(&error));
    }
    let mut reading = CanaryReading::NotRead { why: "it was not looked for".into() };
    let reader = match &to.sdk {
        Ok(sdk) => sdk,
        Err(why) => {
            let reading = CanaryReading::NotRead { why: why.clone() };
            return CanaryObject { reading, status: ObjectStatus::NotNeeded };
        }
    };
    let mut waited = Duration::ZERO;
    for poll in OBJECT_POLLS {
        tokio::time::sleep(poll.saturating_sub(waited)).await;
        waited = poll;
        reading = match arrived(reader, &to.data.receipts_bucket, &key, sent).await {
            Ok(sequence) => CanaryReading::Seen { sequence, after: poll },
            Err(why) => CanaryReading::NotRead { why },
        };
        if matches!(reading, CanaryReading::Seen { sequence, .. } if sequence >= sent.sequence) {
            return CanaryObject { reading, status: ObjectStatus::NotNeeded };
        }
    }
    let status = status(writer, &from.data.receipts_bucket, &key).await;
    CanaryObject { reading, status }
}

/// The sequence that is there; 0 when there is none yet.
async fn arrived(sdk: &SdkConfig, bucket: &str, key: &str, sent: Sent) -> Result<u64, String> {
    match Client::new(sdk).head_object().bucket(bucket).key(key).send().await {
        Ok(answer) => {
            let of = |name: &str| answer.metadata().and_then(|all| all.get(name)).and_then(|text| text.parse().ok());
            match (of(SEQUENCE), of(AT)) {
                (Some(sequence), Some(at_ms)) => Ok(seen(sequence, at_ms, sent)),
                (None, _) | (_, None) => Err("the canary object has lost its sequence".into()),
            }
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(0),
        Err(error) => Err(causes(&error)),
    }
}

/// `x-amz-replication-status` where it was written.
async fn status(sdk: &SdkConfig, bucket: &str, key: &str) -> ObjectStatus {
    match Client::new(sdk).head_object().bucket(bucket).key(key).send().await {
        Ok(answer) => match answer.replication_status().map(|status| status.as_str()) {
            Some("PENDING") => ObjectStatus::Pending,
            Some("FAILED") => ObjectStatus::Failed,
            Some(other) => ObjectStatus::Other(other.to_owned()),
            None => ObjectStatus::Other("subject to no rule".into()),
        },
        Err(error) => ObjectStatus::Unseen { why: causes(&error) },
    }
}

/// The rules of one side's bucket; none when it has no configuration.
pub(crate) async fn rules(side: &Side) -> Observed<Vec<BucketRule>> {
    let sdk = match &side.sdk {
        Ok(sdk) => sdk,
        Err(why) => return Observed::Unseen { why: why.clone() },
    };
    match Client::new(sdk).get_bucket_replication().bucket(&side.data.receipts_bucket).send().await {
        Ok(answer) => {
            let rules = answer.replication_configuration().map(|it| it.rules()).unwrap_or_default();
            Observed::Seen(rules.iter().map(rule).collect())
        }
        Err(error) if error.code() == Some("ReplicationConfigurationNotFoundError") => Observed::Seen(Vec::new()),
        Err(error) => Observed::Unseen { why: format!("GetBucketReplication failed: {}", causes(&error)) },
    }
}

fn rule(rule: &ReplicationRule) -> BucketRule {
    let selection = rule.source_selection_criteria();
    let destination = rule.destination().map(|it| it.bucket()).unwrap_or_default();
    let prefix = rule.filter().and_then(|filter| filter.prefix()).filter(|prefix| !prefix.is_empty());
    let tagged = rule.filter().is_some_and(|filter| filter.tag().is_some() || filter.and().is_some());
    BucketRule {
        enabled: *rule.status() == ReplicationRuleStatus::Enabled,
        destination: destination.rsplit(':').next().unwrap_or_default().to_owned(),
        selects: match (prefix, tagged) {
            (Some(prefix), _) => Some(format!("the prefix {prefix}")),
            (None, true) => Some("what has certain tags".into()),
            (None, false) => None,
        },
        delete_markers: rule.delete_marker_replication().and_then(|it| it.status())
            == Some(&DeleteMarkerReplicationStatus::Enabled),
        replica_modifications: selection.and_then(|it| it.replica_modifications()).map(|it| it.status())
            == Some(&ReplicaModificationsStatus::Enabled),
        kms_objects: selection.and_then(|it| it.sse_kms_encrypted_objects()).map(|it| it.status())
            == Some(&SseKmsEncryptedObjectsStatus::Enabled),
        metrics: rule.destination().and_then(|it| it.metrics()).map(|it| it.status()) == Some(&MetricsStatus::Enabled),
    }
}
