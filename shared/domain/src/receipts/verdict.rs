//! What one key comes to, with its numbers and one sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Side;

/// What lies at the key where something is about to be written: the write is refused when it has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "over", rename_all = "snake_case")]
pub enum Over {
    /// No current object: nothing, or a delete marker.
    Nothing {
        /// The delete marker that is current; a later one means a later delete, which the write must not undo.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over_marker: Option<String>,
    },
    /// This object, which stays under its version id.
    Object {
        /// Its version id.
        over_version: String,
        /// Its ETag: the precondition.
        over_etag: String,
    },
}

/// Why a copy is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The other side never had the key.
    OnlyThere,
    /// The other side has an older version.
    Behind,
    /// It was deleted and written again.
    WrittenAfterDelete,
    /// S3 gave its replication up.
    ReplicationFailed,
    /// S3 has not replicated it within the policy's bound.
    Overdue,
    /// It was erased on the other side, and the policy restores.
    Erased,
    /// Both sides wrote, and the policy prefers this one.
    Preferred,
}

impl Reason {
    fn sentence(self) -> &'static str {
        match self {
            Self::OnlyThere => "the other side never had the key",
            Self::Behind => "the other side is behind",
            Self::WrittenAfterDelete => "it was written after the other side's delete",
            Self::ReplicationFailed => "S3 has given its replication up",
            Self::Overdue => "S3 has not replicated it in time",
            Self::Erased => "it was erased on the other side, and the policy restores",
            Self::Preferred => "both sides wrote, and the policy prefers this one",
        }
    }
}

/// An object that is to be copied to the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The version to copy, current on its side.
    pub version: String,
    /// Its size.
    pub bytes: u64,
    /// What it is put over.
    #[serde(flatten)]
    pub over: Over,
    /// Why.
    pub reason: Reason,
}

/// A delete that is to be made on the other side, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Where an object must become noncurrent under a delete marker.
    pub to: Side,
    /// The marker that says so, current on its side.
    pub marker: String,
    /// The object that is hidden, and stays under its version id.
    pub version: String,
    /// Its ETag: the precondition.
    pub etag: String,
    /// Its size.
    pub bytes: u64,
}

/// What one key comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class")]
pub enum Verdict {
    /// The same is current on both sides, or nothing is.
    InSync,
    /// S3 is still replicating: it is left alone.
    Pending {
        /// Where the newer version is.
        from: Side,
        /// It.
        version: String,
        /// How old it is.
        age_seconds: u64,
        /// Its size; 0 for a delete marker.
        bytes: u64,
    },
    /// London's version becomes current in Dublin.
    CopyToDublin(Copy),
    /// Dublin's version becomes current in London.
    CopyToLondon(Copy),
    /// A delete marker newer than the object wins.
    DeletePropagates(Delete),
    /// Both sides wrote: both contents stay, and a person decides.
    Conflict {
        /// What is current in Dublin.
        dublin: String,
        /// What is current in London.
        london: String,
        /// The larger size.
        bytes: u64,
    },
    /// Both sides have an object, and nothing says whether they are the same.
    Uncheckable {
        /// What is current in Dublin.
        dublin: String,
        /// What is current in London.
        london: String,
        /// Why.
        why: String,
        /// The larger size.
        bytes: u64,
    },
    /// S3 says that the version was on the other side, and it is not: it was deleted there by its id.
    Erased {
        /// Where it is missing.
        from: Side,
        /// It, still on the other side.
        version: String,
        /// Its size.
        bytes: u64,
    },
    /// S3 refused to say or to do what was asked.
    Failed {
        /// Where.
        at: Side,
        /// S3's code.
        code: String,
        /// The size of what it is about.
        bytes: u64,
    },
}

/// A verdict without its numbers, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// See [`Verdict::InSync`].
    InSync,
    /// See [`Verdict::Pending`].
    Pending,
    /// See [`Verdict::CopyToDublin`].
    CopyToDublin,
    /// See [`Verdict::CopyToLondon`].
    CopyToLondon,
    /// See [`Verdict::DeletePropagates`].
    DeletePropagates,
    /// See [`Verdict::Conflict`].
    Conflict,
    /// See [`Verdict::Uncheckable`].
    Uncheckable,
    /// See [`Verdict::Erased`].
    Erased,
    /// See [`Verdict::Failed`].
    Failed,
}

impl Class {
    /// Its name in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InSync => "InSync",
            Self::Pending => "Pending",
            Self::CopyToDublin => "CopyToDublin",
            Self::CopyToLondon => "CopyToLondon",
            Self::DeletePropagates => "DeletePropagates",
            Self::Conflict => "Conflict",
            Self::Uncheckable => "Uncheckable",
            Self::Erased => "Erased",
            Self::Failed => "Failed",
        }
    }

    /// Its metric.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::InSync => "ReceiptsInSync",
            Self::Pending => "ReceiptsPending",
            Self::CopyToDublin => "ReceiptsCopyToDublin",
            Self::CopyToLondon => "ReceiptsCopyToLondon",
            Self::DeletePropagates => "ReceiptsDeletePropagates",
            Self::Conflict => "ReceiptsConflict",
            Self::Uncheckable => "ReceiptsUncheckable",
            Self::Erased => "ReceiptsErased",
            Self::Failed => "ReceiptsFailed",
        }
    }
}

impl Verdict {
    /// Without its numbers.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::InSync => Class::InSync,
            Self::Pending { .. } => Class::Pending,
            Self::CopyToDublin(_) => Class::CopyToDublin,
            Self::CopyToLondon(_) => Class::CopyToLondon,
            Self::DeletePropagates(_) => Class::DeletePropagates,
            Self::Conflict { .. } => Class::Conflict,
            Self::Uncheckable { .. } => Class::Uncheckable,
            Self::Erased { .. } => Class::Erased,
            Self::Failed { .. } => Class::Failed,
        }
    }

    /// The bytes that it is about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::InSync => 0,
            Self::CopyToDublin(copy) | Self::CopyToLondon(copy) => copy.bytes,
            Self::DeletePropagates(delete) => delete.bytes,
            Self::Pending { bytes, .. }
            | Self::Conflict { bytes, .. }
            | Self::Uncheckable { bytes, .. }
            | Self::Erased { bytes, .. }
            | Self::Failed { bytes, .. } => *bytes,
        }
    }

    /// The copy that it asks for.
    #[must_use]
    pub fn copy(&self) -> Option<&Copy> {
        match self {
            Self::CopyToDublin(copy) | Self::CopyToLondon(copy) => Some(copy),
            Self::InSync
            | Self::Pending { .. }
            | Self::DeletePropagates(_)
            | Self::Conflict { .. }
            | Self::Uncheckable { .. }
            | Self::Erased { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// A copy towards a side.
    #[must_use]
    pub fn copy_to(side: Side, copy: Copy) -> Self {
        match side {
            Side::Dublin => Self::CopyToDublin(copy),
            Side::London => Self::CopyToLondon(copy),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copied = |f: &mut fmt::Formatter<'_>, to: Side, copy: &Copy| {
            let Copy { version, bytes, over, reason } = copy;
            write!(f, "copy {version} ({bytes} bytes) to {to}")?;
            if let Over::Object { over_version, .. } = over {
                write!(f, " over {over_version}, which stays as a noncurrent version")?;
            }
            write!(f, ": {}", reason.sentence())
        };
        match self {
            Self::InSync => f.write_str("in sync"),
            Self::Pending { from, version, age_seconds, .. } => {
                write!(f, "left to S3: {version} in {from} is {age_seconds} s old and on its way")
            }
            Self::CopyToDublin(copy) => copied(f, Side::Dublin, copy),
            Self::CopyToLondon(copy) => copied(f, Side::London, copy),
            Self::DeletePropagates(Delete { to, marker, version, .. }) => {
                write!(
                    f,
                    "delete in {to}: marker {marker} is newer than {version}, which stays as a noncurrent version"
                )
            }
            Self::Conflict { dublin, london, .. } => {
                write!(
                    f,
                    "conflict: {dublin} in Dublin and {london} in London differ, and neither knows the other; both stay, a person decides"
                )
            }
            Self::Uncheckable { dublin, london, why, .. } => {
                write!(
                    f,
                    "uncheckable: {dublin} in Dublin and {london} in London may be the same: {why}; compare their bytes"
                )
            }
            Self::Erased { from, version, .. } => {
                write!(
                    f,
                    "erased: S3 says that {version} was in {from}, and it is not; it was deleted there by its version id"
                )
            }
            Self::Failed { at, code, .. } => write!(f, "failed: S3 in {at} answers {code}"),
        }
    }
}
