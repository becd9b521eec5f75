//! Whether each store replicates, each way: a state with its sentence, and never "in sync" for want of evidence.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Region, Timestamp};

mod canary;
mod gate;
mod ledger;
mod objects;
mod record;
mod table;

pub use canary::{Canary, CanaryReading, OBJECT_POLLS, Sent, TABLE_POLLS};
pub use gate::reasons_not_to_move;
pub use ledger::{LedgerEvidence, ledger};
pub use objects::{BucketRule, ObjectEvidence, ObjectStatus, objects};
pub use record::{Change, LinkRecord, ReplicationRecord};
pub use table::{Cliff, CliffStage, Metric, Replica, TableDescription, TableEvidence, WitnessReplica, table};

/// Something that is kept in more than one Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// The payments team's table of attempts.
    Attempts,
    /// Aurora.
    Ledger,
    /// The buckets of receipts.
    Receipts,
}

/// One store, one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// What is replicated.
    pub store: Store,
    /// Where it is written.
    pub from: Region,
    /// Where it must arrive.
    pub to: Region,
}

/// How a link stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreState {
    /// Everything that was looked at says that it replicates.
    InSync {
        /// How long what was sent took, at most.
        lag: Duration,
    },
    /// It replicates, but later than it should.
    Lagging {
        /// How far behind.
        lag: Duration,
        /// How far behind it may be.
        lag_max: Duration,
    },
    /// It does not replicate.
    Stalled {
        /// What shows it.
        why: String,
    },
    /// It could not be learned. Absence of evidence is never "in sync".
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A state without its numbers: what a change is a change of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It replicates.
    InSync,
    /// Late.
    Lagging,
    /// Not at all.
    Stalled,
    /// Not known.
    Unknown,
}

/// What was found out about a link in one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it stands.
    pub state: StoreState,
    /// Set-ups that will lose something although it replicates now.
    pub findings: Vec<String>,
    /// A replica that AWS will remove for good.
    pub cliff: Option<Cliff>,
}

/// One piece of evidence, judged. The verdict is the worst that is known for certain.
pub(crate) type Judgement = StoreState;

impl StoreState {
    /// Without its numbers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::InSync { .. } => Kind::InSync,
            Self::Lagging { .. } => Kind::Lagging,
            Self::Stalled { .. } => Kind::Stalled,
            Self::Unknown { .. } => Kind::Unknown,
        }
    }

    /// A lag that was measured, against what is allowed.
    pub(crate) fn measured(lag: Duration, lag_max: Duration) -> Self {
        if lag <= lag_max { Self::InSync { lag } } else { Self::Lagging { lag, lag_max } }
    }

    pub(crate) fn stalled(why: impl Into<String>) -> Self {
        Self::Stalled { why: why.into() }
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }
}

/// Puts the evidence together: one certain stall is a stall whatever else is unknown; one unknown keeps it from being in
/// sync; without any evidence it is unknown.
pub(crate) fn worst(judgements: Vec<Judgement>) -> StoreState {
    let mut worst = StoreState::unknown("nothing was looked at");
    let mut rank_of_worst = 0;
    let mut stalls: Vec<String> = Vec::new();
    let mut unknowns: Vec<String> = Vec::new();
    for judgement in judgements {
        match &judgement {
            StoreState::Stalled { why } => stalls.push(why.clone()),
            StoreState::Unknown { why } => unknowns.push(why.clone()),
            StoreState::InSync { lag } | StoreState::Lagging { lag, .. } => {
                let known = match &worst {
                    StoreState::InSync { lag } | StoreState::Lagging { lag, .. } => *lag,
                    StoreState::Stalled { .. } | StoreState::Unknown { .. } => Duration::ZERO,
                };
                let rank = if judgement.kind() == Kind::Lagging { 2 } else { 1 };
                if rank > rank_of_worst || (rank == rank_of_worst && *lag > known) {
                    rank_of_worst = rank;
                    worst = judgement;
                }
            }
        }
    }
    let said = |mut whys: Vec<String>| {
        whys.dedup();
        whys.join("; ")
    };
    match () {
        () if !stalls.is_empty() => StoreState::Stalled { why: said(stalls) },
        () if !unknowns.is_empty() => StoreState::Unknown { why: said(unknowns) },
        () => worst,
    }
}

/// How long ago something was, for a sentence.
pub(crate) fn seconds_since(then: Timestamp, now: Timestamp) -> u64 {
    crate::age(then, now).as_secs()
}

impl Store {
    /// How far behind the store may be before it is said to lag. A planned move waits for no more than this.
    #[must_use]
    pub fn lag_max(self) -> Duration {
        match self {
            // "Typically a second or less" for both (DDB V2globaltables_HowItWorks, AUG aurora-global-database).
            Self::Attempts | Self::Ledger => Duration::from_secs(5),
            // Receipts are not on the path of a payment; S3 promises most within 15 minutes, and shows seconds.
            Self::Receipts => Duration::from_secs(120),
        }
    }

    /// Nothing has arrived for so long: it does not lag, it stands still.
    #[must_use]
    pub fn stalled_after(self) -> Duration {
        match self {
            // AWS's own example alarm waits for 180 s; a failover is over by then.
            Self::Attempts | Self::Ledger => Duration::from_secs(45),
            Self::Receipts => Duration::from_secs(900),
        }
    }
}

impl Link {
    /// A store from one Region to another.
    #[must_use]
    pub fn new(store: Store, from: &Region, to: &Region) -> Self {
        Self { store, from: from.clone(), to: to.clone() }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attempts => "attempts",
            Self::Ledger => "ledger",
            Self::Receipts => "receipts",
        })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.store, self.from, self.to)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InSync => "in sync",
            Self::Lagging => "lagging",
            Self::Stalled => "stalled",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for StoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InSync { lag } => write!(f, "in sync, {} ms behind", lag.as_millis()),
            Self::Lagging { lag, lag_max } => {
                write!(f, "lagging: {} ms behind, {} allowed", lag.as_millis(), lag_max.as_millis())
            }
            Self::Stalled { why } => write!(f, "stalled: {why}"),
            Self::Unknown { why } => write!(f, "unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
