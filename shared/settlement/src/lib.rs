#![doc = include_str!("../README.md")]

pub mod currencies;
pub mod decimal;
mod engine;
pub mod format;
pub mod matching;
pub mod pan;
pub mod policy;
pub mod record;
pub mod report;
mod run;
pub mod shard;

pub use engine::row::{Fingerprinter, Row};
pub use engine::sketch::{Dirty, Sketch};
pub use policy::{Judged, Policy, Scope};
pub use record::Record;
pub use report::{Break, Conservation, Proposal, Report, Settlement, What};
pub use run::{Go, Limits, Method, Progress, Reconciliation, RunError, Seekable, Source, Streamed};
