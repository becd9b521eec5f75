//! Canaries: a fixed key for each direction, overwritten with a rising sequence, never deleted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Judgement, Link, StoreState, seconds_since};
use crate::Timestamp;

/// After so long each, the other table is looked at. Each is below twice the one before and 0.8 s: whatever the lag, a
/// round that sees the canary at all sees it within twice the lag and a second.
pub const TABLE_POLLS: [Duration; 3] =
    [Duration::from_millis(400), Duration::from_millis(1600), Duration::from_millis(4000)];
/// The same for buckets, which are slower and not worth a third call.
pub const OBJECT_POLLS: [Duration; 2] = [Duration::from_millis(800), Duration::from_millis(2400)];

/// A canary that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Rises by one with each of its direction.
    pub sequence: u64,
    /// When, by the sender's clock.
    pub at: Timestamp,
}

/// What is remembered of a direction's canaries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Those that were sent and have not been seen to arrive, oldest first.
    pub under_way: Vec<Sent>,
    /// The highest that was ever seen to arrive.
    pub arrived: u64,
    /// The highest that was ever sent.
    pub sent: u64,
}

/// What one round saw of a direction's canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanaryReading {
    /// The other side has this sequence.
    Seen {
        /// The sequence that it has; 0 when it has none yet.
        sequence: u64,
        /// How long after this round's canary was sent it was looked at.
        after: Duration,
    },
    /// This round's canary could not be sent.
    NotSent {
        /// Why not.
        why: String,
    },
    /// The other side could not be read.
    NotRead {
        /// Why not.
        why: String,
    },
}

/// So many unarrived canaries are remembered: a quarter of an hour of them.
const UNDER_WAY_MAX: usize = 16;

impl Canary {
    /// The next canary of this direction, which is under way from now on.
    pub fn send(&mut self, now: Timestamp) -> Sent {
        self.sent = self.sent.saturating_add(1);
        let sent = Sent { sequence: self.sent, at: now };
        if self.under_way.len() >= UNDER_WAY_MAX {
            // The oldest says since when nothing arrives; the one after it says no more than its neighbours.
            self.under_way.remove(1);
        }
        self.under_way.push(sent);
        sent
    }

    /// Judges a reading, and remembers it.
    pub(super) fn judge(&mut self, reading: &CanaryReading, link: &Link, now: Timestamp) -> Judgement {
        let (sequence, after) = match reading {
            CanaryReading::Seen { sequence, after } => (*sequence, *after),
            CanaryReading::NotSent { why } => {
                return StoreState::unknown(format!("no canary could be sent in {}: {why}", link.from));
            }
            CanaryReading::NotRead { why } => {
                return StoreState::unknown(format!("the canary could not be looked for in {}: {why}", link.to));
            }
        };
        if sequence < self.arrived {
            let why = format!("{} has gone back from canary {} to {sequence}", link.to, self.arrived);
            return StoreState::stalled(why);
        }
        self.arrived = sequence;
        self.under_way.retain(|sent| sent.sequence > sequence);
        let Some(oldest) = self.under_way.first() else {
            return StoreState::measured(after, link.store.lag_max());
        };
        let missing = self.sent.saturating_sub(sequence);
        let waited = crate::age(oldest.at, now);
        if waited >= link.store.stalled_after() {
            let seconds = seconds_since(oldest.at, now);
            return StoreState::stalled(format!("{missing} canaries have not arrived, the oldest after {seconds} s"));
        }
        match StoreState::measured(waited, link.store.lag_max()) {
            // It has not arrived: how late it will be is not known yet.
            StoreState::InSync { .. } => {
                StoreState::unknown(format!("canary {} has not arrived after {} ms", self.sent, waited.as_millis()))
            }
            late @ (StoreState::Lagging { .. } | StoreState::Stalled { .. } | StoreState::Unknown { .. }) => late,
        }
    }
}
