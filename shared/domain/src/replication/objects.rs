//! S3, from one bucket to the other: rules, canary objects, and what the source says of them.

use super::canary::{Canary, CanaryReading};
use super::{Link, StoreState, Verdict, worst};
use crate::Timestamp;
use crate::promotion::Observed;

/// One rule of a bucket's replication configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRule {
    /// `Status` is `Enabled`.
    pub enabled: bool,
    /// The bucket's name in `Destination.Bucket`.
    pub destination: String,
    /// It selects by prefix or tag: not everything is replicated.
    pub selects: Option<String>,
    /// `DeleteMarkerReplication` is enabled.
    pub delete_markers: bool,
    /// `SourceSelectionCriteria.ReplicaModifications` is enabled.
    pub replica_modifications: bool,
    /// `SourceSelectionCriteria.SseKmsEncryptedObjects` is enabled.
    pub kms_objects: bool,
    /// `Destination.Metrics` is enabled: CloudWatch counts what FAILED.
    pub metrics: bool,
}

/// `x-amz-replication-status` of the canary where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectStatus {
    /// It was not asked: the canary has arrived.
    NotNeeded,
    /// S3 will get there.
    Pending,
    /// Permissions or keys: S3 never tries again.
    Failed,
    /// Done, or not subject to any rule.
    Other(String),
    /// It could not be learned.
    Unseen {
        /// Why not.
        why: String,
    },
}

/// What one round learned of a bucket, one way.
#[derive(Clone, Debug)]
pub struct ObjectEvidence {
    /// The bucket that it must arrive in.
    pub destination: String,
    /// The rules of the bucket that is written to; empty when it has no configuration.
    pub rules: Observed<Vec<BucketRule>>,
    /// The canary.
    pub canary: CanaryReading,
    /// What the source says of a canary that has not arrived.
    pub status: ObjectStatus,
    /// How many objects FAILED lately, by `OperationsFailedReplication`; `None` when it has no points: the canary then
    /// is all that is known.
    pub failed: Observed<Option<u64>>,
}

/// How a bucket replicates into the other.
pub fn objects(link: &Link, evidence: &ObjectEvidence, canary: &mut Canary, now: Timestamp) -> Verdict {
    let mut judgements = Vec::new();
    let mut findings = Vec::new();
    match &evidence.rules {
        Observed::Unseen { why } => {
            judgements.push(StoreState::unknown(format!("the rules in {} could not be read: {why}", link.from)));
        }
        Observed::Seen(rules) => {
            match rules.iter().find(|rule| rule.enabled && rule.destination == evidence.destination) {
                None => judgements.push(StoreState::stalled(format!(
                    "no rule replicates from {} to {}: what is written in {} never arrives",
                    link.from, link.to, link.from
                ))),
                Some(rule) => findings.extend(what_the_rule_leaves_out(link, rule)),
            }
        }
    }
    judgements.push(canary.judge(&evidence.canary, link, now));
    match &evidence.status {
        ObjectStatus::NotNeeded | ObjectStatus::Pending | ObjectStatus::Other(_) => {}
        ObjectStatus::Failed => judgements.push(StoreState::stalled(format!(
            "replication of the canary in {} has FAILED, and S3 does not try again",
            link.from
        ))),
        ObjectStatus::Unseen { why } => judgements.push(StoreState::unknown(format!("its status: {why}"))),
    }
    match &evidence.failed {
        Observed::Seen(None | Some(0)) => {}
        Observed::Seen(Some(failed)) => judgements.push(StoreState::stalled(format!(
            "{failed} objects of {} have FAILED lately, and S3 does not try again: replicate them by S3 Batch Replication",
            link.from
        ))),
        Observed::Unseen { why } => judgements.push(StoreState::unknown(format!("what FAILED was not counted: {why}"))),
    }
    Verdict { state: worst(judgements), findings, cliff: None }
}

fn what_the_rule_leaves_out(link: &Link, rule: &BucketRule) -> Vec<String> {
    let mut findings = Vec::new();
    let way = format!("from {} to {}", link.from, link.to);
    if let Some(selection) = &rule.selects {
        findings.push(format!("{way}: only {selection} is replicated"));
    }
    if !rule.delete_markers {
        findings.push(format!("{way}: DeleteMarkerReplication is off, so what is deleted comes back with the peer"));
    }
    if !rule.replica_modifications {
        findings.push(format!("{way}: ReplicaModifications is off, so tags and locks of replicas drift apart"));
    }
    if !rule.kms_objects {
        findings.push(format!("{way}: objects under SSE-KMS are not selected, and are not replicated"));
    }
    if !rule.metrics {
        findings.push(format!("{way}: Metrics are off in the rule, so nobody counts what FAILED"));
    }
    findings
}
