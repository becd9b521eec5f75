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
        }
    }

    /// Whether a person's word can get past it. What only AWS or a repair can clear says so in `override_with`.
    #[must_use]
    pub fn can_be_overridden(self) -> bool {
        match self {
            Self::TargetHeadless | Self::OperationInFlight | Self::ClusterUnseen | Self::PrimaryNotHealthy => false,
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
            | Self::InDoubtEmpty => true,
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
