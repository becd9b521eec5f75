//! Guards. What stops an action names itself, shows its evidence, and says how to get past it (law 8).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A reason not to act yet. The name is what a person writes in `"override": [...]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// Two fresh votes from outside the suspect Region are needed.
    Quorum,
    /// The suspect Region still writes its own votes.
    StillHeard,
    /// A planned switchover needs the primary alive.
    PrimaryNotHealthy,
    /// The global cluster could not be described.
    ClusterUnseen,
    /// The target cluster has no instance that could become the writer.
    TargetHeadless,
    /// The target cluster is not `available`.
    TargetNotAvailable,
    /// Engine versions differ: Aurora would refuse.
    EngineVersion,
    /// RDS has another operation in flight.
    OperationInFlight,
    /// The lag is unknown.
    LagUnknown,
    /// The lag was measured too long ago.
    LagStale,
    /// The lag is above what was accepted.
    LagHigh,
    /// An automatic promotion in the same direction was a short while ago.
    Cooldown,
    /// A person has frozen the cluster.
    Frozen,
    /// A person has said no to this incident.
    Vetoed,
    /// The policy is to say what would be done, and to touch nothing.
    ObserveMode,
    /// A store is not known to be in sync: a planned move would leave something behind.
    Replication,
    /// An earlier incident is not closed: its ledger and in-doubt list are not clean.
    IncidentOpen,
    /// Redundancy is not rebuilt.
    Redundancy,
    /// The old primary's volume is not secured by a manual snapshot.
    OldVolume,
    /// The ledger is not reconciled.
    LedgerClean,
    /// Payments are still in doubt.
    InDoubtEmpty,
    /// The two receipt buckets do not hold the same.
    ReceiptsConverged,
    /// What watches the writer still watches the old one.
    AlarmsMoved,
    /// The infrastructure's plan would change something.
    PlanClean,
    /// No other Region serves.
    LastServingRegion,
    /// The Region that is to carry the traffic is not alive, as two observers see it.
    RegionNotHealthy,
    /// The Region that is to carry the traffic is not known to be able to.
    NotReady,
}

impl Guard {
    /// The name as it is written in commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::StillHeard => "still_heard",
            Self::PrimaryNotHealthy => "primary_not_healthy",
            Self::ClusterUnseen => "cluster_unseen",
            Self::TargetHeadless => "target_headless",
            Self::TargetNotAvailable => "target_not_available",
            Self::EngineVersion => "engine_version",
            Self::OperationInFlight => "operation_in_flight",
            Self::LagUnknown => "lag_unknown",
            Self::LagStale => "lag_stale",
            Self::LagHigh => "lag_high",
            Self::Cooldown => "cooldown",
            Self::Frozen => "frozen",
            Self::Vetoed => "vetoed",
            Self::ObserveMode => "observe_mode",
            Self::Replication => "replication",
            Self::IncidentOpen => "incident_open",
            Self::Redundancy => "redundancy",
            Self::OldVolume => "old_volume",
            Self::LedgerClean => "ledger_clean",
            Self::InDoubtEmpty => "in_doubt_empty",
            Self::ReceiptsConverged => "receipts_converged",
            Self::AlarmsMoved => "alarms_moved",
            Self::PlanClean => "plan_clean",
            Self::LastServingRegion => "last_serving_region",
            Self::RegionNotHealthy => "region_not_healthy",
            Self::NotReady => "not_ready",
        }
    }

    /// Whether a person's word can get past it. What only AWS or a repair can clear says so in `override_with`.
    #[must_use]
    pub fn can_be_overridden(self) -> bool {
        match self {
            Self::TargetHeadless
            | Self::OperationInFlight
            | Self::ClusterUnseen
            | Self::PrimaryNotHealthy
            | Self::LastServingRegion => false,
            Self::Quorum
            | Self::StillHeard
            | Self::TargetNotAvailable
            | Self::EngineVersion
            | Self::LagUnknown
            | Self::LagStale
            | Self::LagHigh
            | Self::Cooldown
            | Self::Frozen
            | Self::Vetoed
            | Self::ObserveMode
            | Self::Replication
            | Self::IncidentOpen
            | Self::Redundancy
            | Self::OldVolume
            | Self::LedgerClean
            | Self::InDoubtEmpty
            | Self::ReceiptsConverged
            | Self::AlarmsMoved
            | Self::PlanClean
            | Self::RegionNotHealthy
            | Self::NotReady => true,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An action that was not taken, and the way to have it taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// What stopped it.
    pub guard: Guard,
    /// What was seen, with its numbers.
    pub evidence: String,
    /// How old that is; absent when it was seen just now or never.
    pub evidence_age: Option<Duration>,
    /// The exact payload or command that clears it.
    pub override_with: String,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guard, self.evidence)?;
        if let Some(age) = self.evidence_age {
            write!(f, " (evidence {} s old)", age.as_secs())?;
        }
        write!(f, "; to go on: {}", self.override_with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every guard, and whether a person's word is enough to pass it.
    const GUARDS: [(Guard, &str, bool); 20] = [
        (Guard::Quorum, "quorum", true),
        (Guard::StillHeard, "still_heard", true),
        (Guard::PrimaryNotHealthy, "primary_not_healthy", false),
        (Guard::ClusterUnseen, "cluster_unseen", false),
        (Guard::TargetHeadless, "target_headless", false),
        (Guard::TargetNotAvailable, "target_not_available", true),
        (Guard::EngineVersion, "engine_version", true),
        (Guard::OperationInFlight, "operation_in_flight", false),
        (Guard::LagUnknown, "lag_unknown", true),
        (Guard::LagStale, "lag_stale", true),
        (Guard::LagHigh, "lag_high", true),
        (Guard::Cooldown, "cooldown", true),
        (Guard::Frozen, "frozen", true),
        (Guard::Vetoed, "vetoed", true),
        (Guard::ObserveMode, "observe_mode", true),
        (Guard::IncidentOpen, "incident_open", true),
        (Guard::Redundancy, "redundancy", true),
        (Guard::OldVolume, "old_volume", true),
        (Guard::LedgerClean, "ledger_clean", true),
        (Guard::InDoubtEmpty, "in_doubt_empty", true),
    ];

    #[test]
    fn a_guard_has_one_name_in_pages_in_commands_and_in_storage() {
        for (guard, name, _) in GUARDS {
            assert_eq!((guard.name(), guard.to_string().as_str()), (name, name));
            assert_eq!(serde_json::to_string(&guard).unwrap(), format!("\"{name}\""));
        }
    }

    #[test]
    fn no_word_passes_what_only_the_world_can_change() {
        for (guard, _, expected) in GUARDS {
            assert_eq!(guard.can_be_overridden(), expected, "{guard}");
        }
    }

    #[track_caller]
    fn check(evidence_age: Option<Duration>, expected: &str) {
        let evidence = "12 s behind".to_owned();
        let blocked = Blocked { guard: Guard::LagHigh, evidence, evidence_age, override_with: "wait".into() };
        assert_eq!(blocked.to_string(), expected);
    }

    #[test]
    fn a_block_says_what_was_seen_how_old_that_is_and_the_way_past_it() {
        check(None, "lag_high: 12 s behind; to go on: wait");
        check(Some(Duration::from_secs(61)), "lag_high: 12 s behind (evidence 61 s old); to go on: wait");
    }
}
