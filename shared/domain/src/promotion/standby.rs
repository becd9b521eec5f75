//! Standbys that are no member of a global database: a read replica, or snapshots and nothing else. Both are always lossy.

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS_MAX, Decision, Facts, Observed, SETTLE, TargetCluster, ask_again, still_dark};
use crate::blocked::{Blocked, Guard};
use crate::order::{Means, Order};
use crate::quorum::Quorum;
use crate::{Timestamp, age};

/// What stands by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standby {
    /// A member of a global database, which says how it stands.
    #[default]
    GlobalDatabase,
    /// A cross-Region read replica: its own cluster says how it stands.
    ReadReplica,
    /// Snapshots.
    Snapshot {
        /// The newest that can be restored; none where there is none.
        newest: Observed<Option<Backup>>,
        /// The cluster of the target's name; none before it is restored.
        restored: Observed<Option<TargetCluster>>,
    },
}

/// A snapshot that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its identifier.
    pub id: String,
    /// What was written later is not in it.
    pub taken_at: Timestamp,
}

impl Facts {
    /// The target holds the writer before anything was asked for: there is nothing to promote.
    #[must_use]
    pub fn is_there_already(&self) -> bool {
        match &self.standby {
            Standby::GlobalDatabase => self.target_is_sole_writer() && self.is_idle(),
            Standby::ReadReplica => matches!(&self.target_cluster, Observed::Seen(target) if target.writes()),
            Standby::Snapshot { restored, .. } => {
                matches!(restored, Observed::Seen(Some(target)) if target.writes())
            }
        }
    }

    /// By which call the target can become the writer; `None` where there is nothing to restore.
    pub(super) fn means(&self) -> Option<Means> {
        match &self.standby {
            Standby::GlobalDatabase => Some(Means::GlobalDatabase),
            Standby::ReadReplica => Some(Means::ReadReplica),
            Standby::Snapshot { newest: Observed::Seen(Some(backup)), .. } => {
                Some(Means::Snapshot { id: backup.id.clone(), taken_at: backup.taken_at })
            }
            Standby::Snapshot { newest: Observed::Seen(None) | Observed::Unseen { .. }, .. } => None,
        }
    }
}

impl TargetCluster {
    /// It replicates nobody, and has a writer that works.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.replication_source.is_none() && self.status == "available" && self.has_available_writer()
    }
}

/// What keeps a cluster from being restored: no snapshot, or a cluster of that name. Nobody can vouch for either.
pub(super) fn in_the_way(facts: &Facts) -> Vec<Blocked> {
    let Standby::Snapshot { newest, restored } = &facts.standby else { return Vec::new() };
    let block = |guard: Guard, evidence: String, override_with: String| Blocked {
        guard,
        evidence,
        evidence_age: None,
        override_with,
    };
    let (region, name) = (&facts.incident.to, facts.target.identifier());
    let no_snapshot = match newest {
        Observed::Seen(Some(_)) => None,
        Observed::Seen(None) => Some(format!("{region} has no snapshot of {} to restore", facts.source.identifier())),
        Observed::Unseen { why } => Some(why.clone()),
    };
    let look = format!("look: aws rds describe-db-cluster-snapshots --region {region}");
    let taken = match restored {
        Observed::Seen(None) => None,
        Observed::Seen(Some(cluster)) => {
            Some(format!("{name} exists already ({}): nothing is restored over it", cluster.status))
        }
        Observed::Unseen { why } => Some(why.clone()),
    };
    let rename = format!("look: aws rds describe-db-clusters --region {region} --db-cluster-identifier {name}");
    no_snapshot
        .map(|evidence| block(Guard::TargetHeadless, evidence, look))
        .into_iter()
        .chain(taken.map(|evidence| block(Guard::ClusterUnseen, evidence, rename)))
        .collect()
}

/// The next step after RDS was asked, or is about to be.
pub(super) fn promoting(facts: &Facts, order: Order, now: Timestamp, slow: bool) -> Decision {
    let look_again = |waiting_for: String| Decision::LookAgain { waiting_for, slow };
    match &facts.standby {
        Standby::GlobalDatabase | Standby::ReadReplica => match &facts.target_cluster {
            Observed::Unseen { why } => look_again(format!("the replica cannot be described: {why}")),
            Observed::Seen(target) if target.writes() => Decision::Prove,
            Observed::Seen(target) if target.status != "available" => {
                look_again(format!("the replica is {}", target.status))
            }
            Observed::Seen(target) if target.replication_source.is_none() => {
                look_again("the promoted cluster has no available writer instance".into())
            }
            Observed::Seen(_) => ask_again(facts, order, now, slow),
        },
        Standby::Snapshot { restored, .. } => match restored {
            Observed::Unseen { why } => look_again(format!("the restored cluster cannot be described: {why}")),
            Observed::Seen(None) => ask_again(facts, order, now, slow),
            Observed::Seen(Some(target)) if target.writes() => Decision::Prove,
            Observed::Seen(Some(target)) if target.status != "available" => {
                look_again(format!("the restored cluster is {}", target.status))
            }
            Observed::Seen(Some(target)) if !target.instances.is_empty() => {
                look_again("the restored cluster's instance is not available yet".into())
            }
            Observed::Seen(Some(_)) => add_instance(facts, order, now, slow),
        },
    }
}

/// A restore takes so long that the old Region may be back by now, with everything that was ever written: then nothing is
/// moved. The cluster without an instance stays; it serves nobody, and a person deletes it.
fn add_instance(facts: &Facts, order: Order, now: Timestamp, slow: bool) -> Decision {
    match &facts.incident.intent {
        Some(intent) if age(intent.at, now) < SETTLE => {
            Decision::LookAgain { waiting_for: "RDS has not shown the instance yet".into(), slow }
        }
        Some(intent) if intent.attempt >= ATTEMPTS_MAX * 2 => {
            let reason = format!("RDS was asked {} times and {} has no instance", intent.attempt, order.target());
            Decision::Fail { reason }
        }
        intent => {
            if let (seen @ (Quorum::Wavering | Quorum::Unknown { .. }), None) =
                (&facts.quorum, &facts.incident.approval)
            {
                let waiting_for = format!("whether {} is still dark: {seen}", facts.incident.from);
                return Decision::LookAgain { waiting_for, slow };
            }
            let attempt = intent.as_ref().map_or(1, |intent| intent.attempt.saturating_add(1));
            still_dark(facts, now, Decision::AddInstance { order, attempt })
        }
    }
}
