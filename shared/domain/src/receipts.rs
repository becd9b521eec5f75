//! Two buckets, one truth: what must happen to one key, judged by ancestry.
//!
//! Replication keeps version ids. When one side's current version, object or delete marker, is in the other side's
//! history, that side is only behind. Equal content has converged. Everything else is a conflict, and both contents stay.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

mod batch;
mod content;
mod decision;
mod inventory;
mod lease;
mod policy;
mod report;
mod verdict;

pub use batch::{Job, JobState, NOT_REPORTED, Ways, replicated_from};
pub use content::{Checksum, ChecksumKind, Content, Sameness, compare};
pub use decision::{Decision, Wanted, decide, settle};
pub use inventory::{InventoryError, InventoryFile, Manifest, Row, Schema, newest_first, younger_than_the_lists};
pub use lease::ApplyLease;
pub use policy::{AtScale, Conflicts, ReceiptsPolicy};
pub use report::{Count, Lists, PlanLine, State, Summary, Tally};
pub use verdict::{Class, Copy, Delete, Over, Reason, Verdict};

/// Which bucket. The names are those of the reference installation: the first and the second of `topology.data_regions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The bucket of the first data Region.
    Dublin,
    /// The bucket of the second data Region.
    London,
}

impl Side {
    /// Both, in the order of the configuration.
    pub const BOTH: [Self; 2] = [Self::Dublin, Self::London];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dublin => Self::London,
            Self::London => Self::Dublin,
        }
    }

    /// Its place in `topology.data_regions`.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Dublin => 0,
            Self::London => 1,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dublin => "Dublin",
            Self::London => "London",
        })
    }
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanFrom {
    /// A listing of both buckets, as they are.
    Listing,
    /// The newest S3 inventories of both buckets, as they were.
    Inventory,
}

/// Keys under this prefix are Holdfast's own: canaries, plans and checkpoints. They are nobody's receipts.
pub const OWN_PREFIX: &str = "holdfast/";
/// The object metadata of a copy made by Holdfast: `<bucket>/<version id>` of what was copied.
pub const ORIGIN: &str = "holdfast-origin";
/// The version id of what was written before versioning was switched on: it names nothing, and is the same everywhere.
const NULL_VERSION: &str = "null";

/// `x-amz-replication-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// S3 will get there.
    Pending,
    /// It has arrived in the other bucket.
    Completed,
    /// Permissions or keys: S3 never tries again.
    Failed,
    /// It came from the other bucket.
    Replica,
}

impl Replication {
    /// From S3's word; `None` for a word that says nothing.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "PENDING" => Some(Self::Pending),
            "COMPLETED" | "COMPLETE" => Some(Self::Completed),
            "FAILED" => Some(Self::Failed),
            "REPLICA" => Some(Self::Replica),
            _ => None,
        }
    }
}

/// What `HeadObject` says of a version, and a listing does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its replication status; `None` when no rule meant it.
    pub replication: Option<Replication>,
    /// The version id that it is a copy of, when Holdfast made it.
    pub origin: Option<String>,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// It is encrypted under KMS: its ETag says nothing of its content.
    pub kms: bool,
}

/// Whether a version was looked at beyond the listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Not yet.
    No,
    /// It was, and this was found.
    Found(Head),
    /// S3 refused, with this code.
    Refused(String),
}

/// One version of a key in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its version id, which replication keeps.
    pub id: String,
    /// When it was written; listings give whole seconds, and replicas keep it.
    pub modified: Timestamp,
    /// What is in it; `None` for a delete marker.
    pub content: Option<Content>,
    /// What `HeadObject` says of it.
    pub looked: Looked,
}

impl Version {
    fn head(&self) -> Option<&Head> {
        match &self.looked {
            Looked::Found(head) => Some(head),
            Looked::No | Looked::Refused(_) => None,
        }
    }

    fn origin(&self) -> Option<&str> {
        self.head().and_then(|head| head.origin.as_deref())
    }

    /// The same version, or a copy of it that Holdfast made.
    fn is(&self, other: &Self) -> bool {
        let own = |id: &str| id != NULL_VERSION;
        let same = |one: Option<&str>, other: Option<&str>| one.is_some_and(own) && one == other;
        let (id, other_id) = (Some(self.id.as_str()), Some(other.id.as_str()));
        same(id, other_id)
            || same(self.origin(), other_id)
            || same(id, other.origin())
            || same(self.origin(), other.origin())
    }
}

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its versions in the first bucket, newest first.
    pub dublin: Vec<Version>,
    /// Its versions in the second bucket, newest first.
    pub london: Vec<Version>,
}

impl Facts {
    /// The versions on one side, newest first.
    #[must_use]
    pub fn on(&self, side: Side) -> &[Version] {
        match side {
            Side::Dublin => &self.dublin,
            Side::London => &self.london,
        }
    }

    /// The versions on one side, to note what was found.
    pub fn on_mut(&mut self, side: Side) -> &mut Vec<Version> {
        match side {
            Side::Dublin => &mut self.dublin,
            Side::London => &mut self.london,
        }
    }
}

#[cfg(test)]
mod tests;
