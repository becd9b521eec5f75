//! When two objects have the same content. An ETag is a content hash only of what was put in one part and without KMS.

use super::Head;

/// An object's content as far as a listing knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// Without quotation marks.
    pub etag: String,
}

impl Content {
    fn is_multipart(&self) -> bool {
        self.etag.contains('-')
    }
}

/// How a checksum was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumKind {
    /// Over the whole object.
    FullObject,
    /// Over the checksums of its parts: another cut gives another value.
    Composite,
}

/// A checksum that S3 keeps with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Such as `CRC64NVME`.
    pub algorithm: String,
    /// How it was made.
    pub kind: ChecksumKind,
    /// In base 64.
    pub value: String,
}

/// Whether two contents are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// Proven the same.
    Same,
    /// Proven different.
    Different,
    /// Nothing comparable is known, for this reason.
    Unknown(&'static str),
}

/// Compares two objects of one key.
#[must_use]
pub fn compare(one: (&Content, &Head), other: (&Content, &Head)) -> Sameness {
    if one.0.size != other.0.size {
        return Sameness::Different;
    }
    if let (Some(mine), Some(theirs)) = (&one.1.checksum, &other.1.checksum)
        && mine.algorithm == theirs.algorithm
        && mine.kind == theirs.kind
    {
        match mine.kind {
            _ if mine.value == theirs.value => return Sameness::Same,
            ChecksumKind::FullObject => return Sameness::Different,
            // The same bytes in other parts have another composite checksum.
            ChecksumKind::Composite => {}
        }
    }
    if one.1.kms || other.1.kms {
        return Sameness::Unknown("one is under KMS, and they have no common checksum");
    }
    if one.0.is_multipart() || other.0.is_multipart() {
        return Sameness::Unknown("one was put in parts, and they have no common checksum");
    }
    if one.0.etag.is_empty() || other.0.etag.is_empty() {
        return Sameness::Unknown("one has no ETag, and they have no common checksum");
    }
    if one.0.etag == other.0.etag { Sameness::Same } else { Sameness::Different }
}
