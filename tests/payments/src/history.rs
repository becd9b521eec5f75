//! What clients were told, and when: the only ground for a verdict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_world::Region;
use serde::Serialize;

/// One request of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// The attempt key.
    pub key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// The Region whose clients sent it.
    pub client: String,
    /// The Region that it was sent to.
    pub sent_to: String,
    /// When it was sent, since the start of the run.
    pub started: Duration,
    /// When the client knew, since the start of the run.
    pub ended: Duration,
    /// What the client was told.
    pub told: Told,
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// The payment is made: this must never be lost.
    Acknowledged {
        /// The card network's reference.
        network_reference: String,
    },
    /// Not made, try again.
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// Nothing within the time-out: it may have been made.
    Nothing,
}

/// Everything that every client was told, in order of its end.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Vec<Operation>>>);

impl History {
    /// Adds an operation that has ended.
    pub fn record(&self, operation: Operation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// All of them.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those after the first `known`.
    #[must_use]
    pub fn since(&self, known: usize) -> Vec<Operation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().skip(known).cloned().collect()
    }
}

/// One read of one client.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Where the client is.
    pub near: Region,
    /// Since the start.
    pub started: Duration,
    /// Since the start.
    pub ended: Duration,
    /// Whether it got an answer.
    pub answered: bool,
}

/// Every read, in order of its end.
#[derive(Clone, Debug, Default)]
pub struct Reads(Arc<Mutex<Vec<Read>>>);

impl Reads {
    /// Adds a read that has ended.
    pub fn record(&self, read: Read) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
