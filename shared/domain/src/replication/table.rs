//! DynamoDB global tables: canaries, what both Regions say of their replicas, and the cliffs behind which a replica is gone.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canary::{Canary, CanaryReading};
use super::{Judgement, Link, StoreState, Verdict, worst};
use crate::attempt::Consistency;
use crate::promotion::Observed;
use crate::{Region, Timestamp};

/// A table as one Region describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// `TableStatus`.
    pub status: String,
    /// `MultiRegionConsistency`.
    pub consistency: Consistency,
    /// `Replicas`.
    pub replicas: Vec<Replica>,
    /// `GlobalTableWitnesses`.
    pub witnesses: Vec<WitnessReplica>,
}

/// One replica, as another describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// `RegionName`.
    pub region: String,
    /// `ReplicaStatus`, as a string: the list grows.
    pub status: String,
    /// `ReplicaInaccessibleDateTime`.
    pub inaccessible_since: Option<Timestamp>,
}

/// A witness of a strongly consistent table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessReplica {
    /// `RegionName`.
    pub region: String,
    /// `WitnessStatus`.
    pub status: String,
}

/// The newest point of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// There is one.
    Point {
        /// Its value, in milliseconds.
        value_ms: u64,
        /// When it was measured.
        at: Timestamp,
    },
    /// There is none. That is not zero.
    Missing {
        /// Why not.
        why: String,
    },
}

/// What one round learned of a table, one way.
#[derive(Clone, Debug)]
pub struct TableEvidence {
    /// `DescribeTable`, asked where it is written.
    pub described_there: Observed<TableDescription>,
    /// `DescribeTable`, asked where it must arrive.
    pub described_here: Observed<TableDescription>,
    /// The canary.
    pub canary: CanaryReading,
    /// `ReplicationLatency`; strongly consistent tables have none.
    pub latency: Metric,
}

/// A replica that AWS removes for good unless somebody repairs it in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cliff {
    /// The replica.
    pub region: String,
    /// Its status.
    pub status: String,
    /// Since when, as AWS says; else since it was first seen.
    pub since: Timestamp,
    /// When it is removed.
    pub deadline: Timestamp,
}

/// How near a cliff is: each stage is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CliffStage {
    /// More than eight hours are left.
    Seen,
    /// Less than eight hours.
    EightHours,
    /// Less than two hours.
    TwoHours,
    /// Less than half an hour.
    HalfAnHour,
    /// It is over.
    Over,
}

const HOUR: Duration = Duration::from_secs(3600);
/// `REGION_DISABLED` and `INACCESSIBLE_ENCRYPTION_CREDENTIALS` (API ReplicaDescription), MREC without authorization.
const REMOVED_AFTER: Duration = Duration::from_secs(20 * 3600);
/// A strongly consistent replica without authorization becomes inaccessible for good (DDB globaltables-security).
const MRSC_INACCESSIBLE_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// A point older than this says nothing about now.
const METRIC_AGE_MAX: Duration = Duration::from_secs(300);

/// How a table replicates from one Region to the other. `known_cliff` is the one that was remembered, for its beginning.
pub fn table(
    link: &Link,
    evidence: &TableEvidence,
    canary: &mut Canary,
    known_cliff: Option<&Cliff>,
    now: Timestamp,
) -> Verdict {
    let mut judgements = vec![canary.judge(&evidence.canary, link, now)];
    let mut cliff: Option<Cliff> = None;
    let sides = [(&link.from, &link.to, &evidence.described_there), (&link.to, &link.from, &evidence.described_here)];
    for (asked, other, described) in sides {
        match described {
            Observed::Unseen { why } => judgements.push(StoreState::unknown(format!("{asked} does not say: {why}"))),
            Observed::Seen(table) => {
                judgements.extend(table_status(asked, &table.status));
                let strong = table.consistency == Consistency::Strong;
                if !table.replicas.iter().any(|replica| replica.region == other.as_str()) {
                    judgements.push(StoreState::stalled(format!("{asked} knows of no replica in {other}")));
                }
                for replica in &table.replicas {
                    judgements.extend(replica_status(asked, replica));
                    if let Some(found) = cliff_of(replica, strong, known_cliff, now)
                        && cliff.as_ref().is_none_or(|known| found.deadline < known.deadline)
                    {
                        cliff = Some(found);
                    }
                }
                judgements.extend(table.witnesses.iter().filter_map(|witness| witness_status(asked, witness)));
                if let Consistency::Unknown { why } = &table.consistency {
                    judgements.push(StoreState::unknown(why.clone()));
                }
            }
        }
    }
    let strong = matches!(&evidence.described_here, Observed::Seen(table) if table.consistency == Consistency::Strong);
    if !strong {
        let arrived = canary.under_way.is_empty();
        judgements.push(latency(link, &evidence.latency, arrived, now));
    }
    let mut findings = Vec::new();
    if !strong && matches!(&evidence.described_here, Observed::Seen(_)) {
        findings.push(NOT_UNIQUE.to_owned());
    }
    Verdict { state: worst(judgements), findings, cliff }
}

/// Said in each report of such a table.
const NOT_UNIQUE: &str = "the table replicates asynchronously (MREC): a key can be accepted in both Regions at once, so uniqueness across Regions is not guaranteed";

/// What the metric says. AWS: a drop to 0 "indicates stalled replication".
fn latency(link: &Link, metric: &Metric, canary_arrived: bool, now: Timestamp) -> Judgement {
    match metric {
        Metric::Missing { why } => StoreState::unknown(format!("ReplicationLatency is missing: {why}")),
        Metric::Point { at, .. } if crate::age(*at, now) > METRIC_AGE_MAX => {
            let minutes = crate::age(*at, now).as_secs() / 60;
            StoreState::unknown(format!("ReplicationLatency was last measured {minutes} minutes ago"))
        }
        Metric::Point { value_ms: 0, .. } if canary_arrived => {
            StoreState::unknown("ReplicationLatency is 0, which means stalled, and yet the canary has arrived")
        }
        Metric::Point { value_ms: 0, .. } => StoreState::stalled("ReplicationLatency has dropped to 0"),
        Metric::Point { value_ms, .. } => {
            // The metric is of the last minutes and of a backlog that may be gone; the canary is of now and decides.
            let lag = Duration::from_millis(*value_ms);
            StoreState::InSync { lag: if lag <= link.store.lag_max() { lag } else { Duration::ZERO } }
        }
    }
}

fn table_status(asked: &Region, status: &str) -> Option<Judgement> {
    match status {
        "ACTIVE" | "UPDATING" => None,
        "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
        | "REPLICATION_NOT_AUTHORIZED"
        | "ARCHIVING"
        | "ARCHIVED"
        | "DELETING" => Some(StoreState::stalled(format!("the table in {asked} is {status}"))),
        other => Some(StoreState::unknown(format!("the table in {asked} is {other}"))),
    }
}

fn replica_status(asked: &Region, replica: &Replica) -> Option<Judgement> {
    let Replica { region, status, .. } = replica;
    match status.as_str() {
        "ACTIVE" | "UPDATING" => None,
        "REGION_DISABLED"
        | "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
        | "REPLICATION_NOT_AUTHORIZED"
        | "CREATION_FAILED"
        | "DELETING"
        | "ARCHIVING"
        | "ARCHIVED" => Some(StoreState::stalled(format!("the replica in {region} is {status}, as {asked} sees it"))),
        other => Some(StoreState::unknown(format!("the replica in {region} is {other}, as {asked} sees it"))),
    }
}

fn witness_status(asked: &Region, witness: &WitnessReplica) -> Option<Judgement> {
    let WitnessReplica { region, status } = witness;
    match status.as_str() {
        "ACTIVE" => None,
        "DELETING" => Some(StoreState::stalled(format!("the witness in {region} is {status}, as {asked} sees it"))),
        other => Some(StoreState::unknown(format!("the witness in {region} is {other}, as {asked} sees it"))),
    }
}

fn cliff_of(replica: &Replica, strong: bool, known: Option<&Cliff>, now: Timestamp) -> Option<Cliff> {
    let after = match (replica.status.as_str(), strong) {
        ("REGION_DISABLED" | "INACCESSIBLE_ENCRYPTION_CREDENTIALS", _) => REMOVED_AFTER,
        ("REPLICATION_NOT_AUTHORIZED", false) => REMOVED_AFTER,
        ("REPLICATION_NOT_AUTHORIZED", true) => MRSC_INACCESSIBLE_AFTER,
        (_, _) => return None,
    };
    let remembered = known.filter(|known| known.region == replica.region && known.status == replica.status);
    let since = replica.inaccessible_since.or_else(|| remembered.map(|known| known.since)).unwrap_or(now);
    let deadline = since.checked_add(after).unwrap_or(Timestamp::MAX);
    Some(Cliff { region: replica.region.clone(), status: replica.status.clone(), since, deadline })
}

impl Cliff {
    /// What is left until the replica is gone.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        self.deadline.duration_since(now).try_into().unwrap_or_default()
    }

    /// How near it is.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> CliffStage {
        match self.left(now) {
            left if left.is_zero() => CliffStage::Over,
            left if left <= HOUR / 2 => CliffStage::HalfAnHour,
            left if left <= HOUR * 2 => CliffStage::TwoHours,
            left if left <= HOUR * 8 => CliffStage::EightHours,
            _ => CliffStage::Seen,
        }
    }
}

impl fmt::Display for Cliff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, status, since, deadline } = self;
        write!(
            f,
            "the replica in {region} is {status} since {since:.0}; AWS takes it out of the table for good at {deadline:.0}"
        )
    }
}
