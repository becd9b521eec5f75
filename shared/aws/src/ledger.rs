//! The ledger through SQL: the one port that is not an AWS API.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use holdfast_domain::beacon::Standing;
use holdfast_domain::money::Totals;

mod postgresql;

pub use postgresql::PostgresLedger;

/// What holds the ledger. PostgreSQL in production, a simulation in the drill.
pub trait Ledger: Send + Sync + Debug {
    /// Writes the epoch into the fence row through the writer endpoint: the proof that writes work.
    ///
    /// Safe to repeat. A row with a higher epoch is never overwritten.
    fn write_fence_row(&self, epoch: u64) -> LedgerFuture<'_>;

    /// How far this Region's own copy has come. It answers while the other Region is dark.
    fn standing(&self) -> LedgerFuture<'_, Standing>;

    /// What was booked after one instant and up to another, by the database's clock, as this Region's own copy has it.
    fn booked_between(&self, after: Timestamp, until: Timestamp) -> LedgerFuture<'_, Totals>;

    /// Which of these attempts are booked, in batches of `KEYS_MAX`.
    fn booked(&self, through: Through, keys: Vec<String>) -> LedgerFuture<'_, BTreeSet<String>>;

    /// Writes rows of the view as CSV, with a header and times in UTC, all from one snapshot. Returns how many there were.
    ///
    /// Never more than a piece of the answer is in memory. What was written before an error must not be used.
    fn export<'a>(
        &'a self,
        through: Through,
        rows: Selection,
        within: Duration,
        to: &'a mut (dyn Write + Send),
    ) -> LedgerFuture<'a, u64>;
}

/// The columns of an export, in order.
pub const EXPORT_HEADER: &str = "attempt_key,network_reference,kind,amount_minor,currency,booked_at\n";

/// Which rows are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those booked within, both instants included.
    Window(Window),
    /// Those of these keys, in batches of `KEYS_MAX`.
    Keys {
        /// The keys.
        keys: Vec<String>,
        /// Leaves out what was booked within: somebody has those rows already.
        outside: Option<Window>,
    },
}

/// Pending work on the ledger.
pub type LedgerFuture<'a, T = ()> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Which copy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// This Region's reader endpoint: what a promotion of this Region would begin with.
    LocalReader,
    /// The writer endpoint: the truth after a promotion, where a reader may be some milliseconds behind.
    Writer,
    /// A cluster that was restored from the old volume's snapshot: `topology.ledger.salvage_endpoint`.
    OldVolume,
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalReader => "the local reader endpoint",
            Self::Writer => "the writer endpoint",
            Self::OldVolume => "the restored old volume",
        })
    }
}

/// Keys that are looked up with one statement.
pub const KEYS_MAX: usize = 1000;
/// How long one reading may take: connecting and asking.
pub const READ_MAX: Duration = Duration::from_secs(2);

/// An export that gives nothing for so long has failed.
pub const EXPORT_IDLE_MAX: Duration = Duration::from_secs(30);
/// How long one try may take: connecting, asking and writing.
pub const FENCE_WRITE_MAX: Duration = Duration::from_secs(3);

/// Writes could not be proven. Nothing is known about whether applications can write.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No connection.
    #[error("the writer endpoint {endpoint} cannot be reached: {why}")]
    Unreachable {
        /// Host name.
        endpoint: String,
        /// The driver's words.
        why: String,
    },
    /// It is still a replica.
    #[error("{endpoint} answers, but is in recovery: it is still a replica")]
    InRecovery {
        /// Host name.
        endpoint: String,
    },
    /// Somebody has fenced with a higher epoch: this driver is not the last word.
    #[error("the fence row already holds an epoch above {epoch}: a later incident has taken over")]
    FencedOff {
        /// The epoch that was to be written.
        epoch: u64,
    },
    /// The statement failed.
    #[error("writing the fence row failed: {why}")]
    Statement {
        /// The driver's words.
        why: String,
    },
    /// It took too long.
    #[error("no answer from {endpoint} within {} s", FENCE_WRITE_MAX.as_secs())]
    TimedOut {
        /// Host name.
        endpoint: String,
    },
    /// A reading took too long.
    #[error("no answer from {endpoint} to a reading within {} s", READ_MAX.as_secs())]
    ReadTimedOut {
        /// Host name.
        endpoint: String,
    },
    /// A reading failed, or its answer makes no sense.
    #[error("reading the ledger failed: {why}")]
    Reading {
        /// The driver's words.
        why: String,
    },
    /// An export took too long.
    #[error("the export from {endpoint} was not done within {} s; ask for a shorter stretch of time", within.as_secs())]
    ExportTimedOut {
        /// Host name.
        endpoint: String,
        /// How long it was given.
        within: Duration,
    },
    /// What was exported could not be kept.
    #[error("the export could not be written down: {why}; give more ephemeral storage")]
    Spool {
        /// The system's words.
        why: String,
    },
    /// The installation lacks what a safe connection needs.
    #[error("the ledger connection is not configured: {why}")]
    Configuration {
        /// What is missing, and where it goes.
        why: String,
    },
}
