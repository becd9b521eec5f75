//! A run: sources in, report out.

mod gather;
mod source;

use std::io;
use std::path::PathBuf;

use holdfast_domain::attempt::Attempt;

use self::gather::Gathered;
pub use self::source::{Seekable, Source, Streamed};
use crate::engine::marks::Marks;
use crate::engine::sketch::{BUCKET_BITS, Dirty};
use crate::format::{Finding, FormatError};
use crate::matching::{Matched, fold, settle};
use crate::policy::Policy;
use crate::record::{Position, Record, Side};
use crate::report::{Presence, Report, Resume, Settlement, SourceSummary, Tally, conserve};

/// How the two sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every row's fingerprint, sorted: each source is read once, and the residue again.
    Sort,
    /// Two sums per bucket: little memory, each source is read twice. Falls back to sorting where the sides differ too much.
    Sketch {
        /// Buckets as a power of two; 16 bytes each. 64 times the breaks that are expected is enough.
        bucket_bits: u32,
        /// More buckets in percent than this that did not cancel mean sorting.
        dirty_percent_max: u64,
    },
}

impl Method {
    /// A million buckets; sorting where more than a tenth of them did not cancel.
    #[must_use]
    pub const fn sketch() -> Self {
        Self::Sketch { bucket_bits: BUCKET_BITS, dirty_percent_max: 10 }
    }
}

/// What a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory for sorted rows, in bytes, 32 each; what does not fit is spilled.
    pub memory_bytes: usize,
    /// Where to spill.
    pub spill_directory: Option<PathBuf>,
    /// The most rows without an exact partner. More of them mean that the sides do not belong together.
    pub residue_rows_max: usize,
}

impl Default for Limits {
    /// 384 MiB for rows, nowhere to spill, a million rows of residue.
    fn default() -> Self {
        Self { memory_bytes: 384 << 20, spill_directory: None, residue_rows_max: 1_000_000 }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The source that is being read.
    pub source: &'a str,
    /// Rows read of all sources, in all passes.
    pub rows_done: u64,
    /// Which reading of the sources this is, from one.
    pub pass: u8,
    /// Bytes that this reading has behind it, and all that it has to read; `None` where a source does not say.
    pub bytes: Option<(u64, u64)>,
}

/// Whether a run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// It stops, as the time is up or for another reason, and its report is `Unknown`.
    Stop(String),
}

/// Why there is no report at all. Nothing was decided, and nothing may be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A source cannot be read as what it should be. Put it aside.
    #[error("a source cannot be used; put it aside")]
    Source(#[from] FormatError),
    /// Two sources have the same records.
    #[error("{second} has the same {rows} records as {first}: one file was given twice; leave one out")]
    SameFileTwice {
        /// The first.
        first: String,
        /// The second.
        second: String,
        /// Records of each.
        rows: u64,
    },
    /// The file was settled in an earlier run.
    #[error("{name} has the same records as {earlier}, which was settled before; leave it out")]
    SettledBefore {
        /// The file.
        name: String,
        /// The earlier one.
        earlier: String,
    },
    /// Far too little matches.
    #[error(
        "more than {allowed} rows have no partner: the sources do not belong together, or their references are not ours; check both"
    )]
    HardlyAnythingMatches {
        /// How many may have none.
        allowed: usize,
    },
    /// Rows could not be spilled.
    #[error("rows could not be written to or read from the spill directory; give more memory or more disk")]
    Spill(#[source] io::Error),
    /// More sources than a row can name.
    #[error("{0} sources are more than the 65,000 that one run can have; split the run")]
    TooManySources(usize),
}

/// What was picked out of shards, and what was not.
#[derive(Clone, Copy)]
pub(crate) struct OfShards<'a> {
    /// Of references whose buckets cancelled, not every row is among those picked.
    pub(crate) dirty: &'a Dirty,
    /// So many sources are picked rows; the others are whole.
    pub(crate) sources: usize,
    /// Rows of the network that were not picked.
    pub(crate) clean_pairs: u64,
    /// Attempts that were not picked.
    pub(crate) clean_attempts: u64,
}

/// A reconciliation of attempts, ledger and network.
pub struct Reconciliation<'a> {
    policy: Policy,
    method: Method,
    limits: Limits,
    sources: Vec<(Side, Box<dyn Source + 'a>)>,
    attempts: Vec<Attempt>,
    folded: Vec<Record>,
    narrowed: Option<OfShards<'a>>,
    settled_before: Vec<(u128, String)>,
}

impl<'a> Reconciliation<'a> {
    /// A run with nothing to read yet, that sorts.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            method: Method::Sort,
            limits: Limits::default(),
            sources: Vec::new(),
            attempts: Vec::new(),
            folded: Vec::new(),
            narrowed: None,
            settled_before: Vec::new(),
        }
    }

    /// Compares in another way.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Uses more, or less.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds rows of the ledger.
    #[must_use]
    pub fn ledger(mut self, source: impl Source + 'a) -> Self {
        self.sources.push((Side::Ledger, Box::new(source)));
        self
    }

    /// Adds a file of the network, the provider or the bank.
    #[must_use]
    pub fn network(mut self, source: impl Source + 'a) -> Self {
        self.sources.push((Side::Network, Box::new(source)));
        self
    }

    /// Adds attempts: all marks of a window. They are kept in memory, about 300 bytes each.
    #[must_use]
    pub fn attempts(mut self, attempts: impl IntoIterator<Item = Attempt>) -> Self {
        self.attempts.extend(attempts);
        self
    }

    /// The sources are what was picked out of shards.
    pub(crate) fn of_shards(mut self, narrowed: OfShards<'a>) -> Self {
        self.narrowed = Some(narrowed);
        self
    }

    /// Adds attempts that are folded already.
    pub(crate) fn folded_attempts(mut self, attempts: Vec<Record>) -> Self {
        self.folded = attempts;
        self
    }

    /// Names a file of an earlier run by its digest, so that it is not settled twice.
    #[must_use]
    pub fn settled_before(mut self, digest: u128, name: &str) -> Self {
        self.settled_before.push((digest, name.to_owned()));
        self
    }

    /// Folded, and those of one key beside each other.
    fn all_attempts(&self) -> Vec<Record> {
        let mut attempts = fold(&self.attempts);
        attempts.extend_from_slice(&self.folded);
        attempts.sort_by(|a, b| a.merchant_ref.cmp(&b.merchant_ref));
        attempts
    }

    /// Runs. `progress` is asked at every source's begin and every 65,536 rows.
    pub fn run(&self, progress: &mut dyn FnMut(Progress<'_>) -> Go) -> Result<Report, RunError> {
        if self.sources.len() > 65_000 {
            return Err(RunError::TooManySources(self.sources.len()));
        }
        let gathered = gather::gather(self, Marks::new(self.all_attempts()), progress)?;
        Ok(match gathered {
            Gathered::Stopped { why, resume } => Report::Unknown { why, resume },
            Gathered::All(all) => {
                let matched = settle(&all.open, &self.policy);
                let left_out = self.narrowed.map_or((0, 0), |of| (of.clean_pairs, of.clean_attempts));
                let (pairs, attempts) = left_out;
                let has_network = self.policy.network_complete_until.is_some();
                Report::Complete(Settlement {
                    conservation: conserve(&all.tally.without(&matched.set_aside), &matched.breaks, has_network),
                    presence: presence(&matched, all.clean_pairs + pairs, all.clean_attempts + attempts),
                    breaks: matched.breaks,
                    sources: all.sources,
                    findings: all.findings,
                    set_aside: matched.set_aside,
                })
            }
        })
    }
}

/// Everything that was read.
struct All {
    open: crate::matching::Open,
    tally: Tally,
    sources: Vec<SourceSummary>,
    findings: Vec<Finding>,
    clean_pairs: u64,
    clean_attempts: u64,
}

fn presence(matched: &Matched, clean_pairs: u64, clean_attempts: u64) -> Presence {
    let settled = matched.presence.settled + clean_attempts;
    let pairs = matched.presence.settled_unmarked + clean_pairs;
    Presence { settled, settled_unmarked: pairs.saturating_sub(settled), ..matched.presence }
}

fn resume(source: &str, position: Position, rows_done: u64) -> Resume {
    Resume { source: source.to_owned(), position, rows_done }
}
