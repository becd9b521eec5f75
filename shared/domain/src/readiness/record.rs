//! What check-readiness remembers of one data Region: what others act on without comparing anything themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::region::Region;

/// Whether a data Region was found able to carry everything, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessRecord {
    /// The Region that was judged.
    pub region: Region,
    /// When the last read that it rests on ended.
    pub checked_at: Timestamp,
    /// What was found.
    pub capacity: Capacity,
    /// One above the version that it replaces.
    pub version: u64,
}

/// Whether a Region could carry everything alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "capacity")]
pub enum Capacity {
    /// Everything that was compared and counted says so.
    Ready,
    /// Something would stop it; each is one sentence, the worst first.
    NotReady {
        /// What was found.
        because: Vec<String>,
    },
    /// Something could not be read: that is not readiness.
    Unknown {
        /// What could not, and why.
        why: Vec<String>,
    },
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready to carry everything"),
            Self::NotReady { because } => write!(f, "not ready: {}", because.join("; ")),
            Self::Unknown { why } => write!(f, "unknown: {}", why.join("; ")),
        }
    }
}
