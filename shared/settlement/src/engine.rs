//! The fast pass: what is the same on both sides leaves as a fingerprint, and only the residue is looked at.

pub(crate) mod marks;
pub(crate) mod row;
pub(crate) mod runs;
pub(crate) mod sketch;
