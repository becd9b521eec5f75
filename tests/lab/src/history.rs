//! What every client was told, and when: the only ground for a measurement.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_world::Region;

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The write is made, or the read is answered.
    Acknowledged,
    /// The key is taken by another value: final, and nothing was written.
    Taken,
    /// Not now.
    Refused,
    /// Nothing in time: it may have been made.
    Nothing,
}

/// Why a client did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A payment of the workload.
    Write,
    /// A read of the workload.
    Read,
    /// A write that only looks whether writes work again: it counts for the time of recovery and for nothing else.
    WriteProbe,
    /// The same for reads.
    ReadProbe,
}

/// One request of one client.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Why.
    pub kind: Kind,
    /// The key.
    pub key: String,
    /// What was to be stored; empty for a read.
    pub value: String,
    /// Where the client is.
    pub near: Region,
    /// Where it was sent.
    pub sent_to: Region,
    /// 0 for the first try.
    pub attempt: u32,
    /// Since the start of the world.
    pub started: Duration,
    /// Since the start of the world.
    pub ended: Duration,
    /// How long the service took, where it answered.
    pub service_took: Option<Duration>,
    /// The stretch of time that this arrival stands for.
    pub stands_for: Duration,
    /// What the client was told.
    pub told: Told,
}

impl Operation {
    /// The client was told that it is done.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.told == Told::Acknowledged
    }
}

/// Everything that every client was told, in order of its end.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    operations: Vec<Operation>,
    /// When the youngest write, and read, whose first try was acknowledged was begun.
    write_worked: Option<Duration>,
    read_worked: Option<Duration>,
}

impl History {
    /// Adds what has ended.
    pub fn record(&self, operation: Operation) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if operation.acknowledged() && operation.attempt == 0 {
            let began = Some(operation.started);
            match operation.kind {
                Kind::Write | Kind::WriteProbe => recorded.write_worked = recorded.write_worked.max(began),
                Kind::Read | Kind::ReadProbe => recorded.read_worked = recorded.read_worked.max(began),
            }
        }
        recorded.operations.push(operation);
    }

    /// All of it.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).operations.clone()
    }

    /// Whether a write, or a read, that was begun after `moment` has been acknowledged at its first try.
    #[must_use]
    pub fn has_worked_since(&self, moment: Duration, is_write: bool) -> bool {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let youngest = if is_write { recorded.write_worked } else { recorded.read_worked };
        youngest.is_some_and(|began| began > moment)
    }
}
