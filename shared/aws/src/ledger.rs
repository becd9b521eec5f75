//! The ledger through SQL: the one port that is not an AWS API.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

mod postgresql;

pub use postgresql::PostgresLedger;

/// What holds the ledger. PostgreSQL in production, a simulation in the drill.
pub trait Ledger: Send + Sync + Debug {
    /// Writes the epoch into the fence row through the writer endpoint: the proof that writes work.
    ///
    /// Safe to repeat. A row with a higher epoch is never overwritten.
    fn write_fence_row(&self, epoch: u64) -> LedgerFuture<'_>;
}

/// A pending fence write.
pub type LedgerFuture<'a> = Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send + 'a>>;

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
    /// The installation lacks what a safe connection needs.
    #[error("the ledger connection is not configured: {why}")]
    Configuration {
        /// What is missing, and where it goes.
        why: String,
    },
}
