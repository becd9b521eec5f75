//! What is remembered of a thread's pages, and whether the next one is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Page, Turn};
use crate::incident::Phase;
use crate::{Timestamp, age};

/// What is remembered of a thread's pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The highest rank that was sent.
    pub highest_rank: u8,
    /// The kinds that were sent.
    pub sent: BTreeSet<String>,
    /// The kinds that have asked for a decision: each may have an alert of its own open.
    #[serde(default)]
    pub asked: BTreeSet<String>,
    /// The kinds that somebody is about to send.
    pub claimed: BTreeSet<String>,
    /// When the thread was last heard of.
    pub last_heard: Timestamp,
}

/// The rank from which on nothing lower is sent: writes are back, or it is over.
pub const SETTLED_RANK: u8 = 60;
/// A condition that is still heard of after this long is remembered as heard, at most this often.
const HEARD_AGAIN: Duration = Duration::from_secs(60);

/// What to do with a page, given what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Send it, then remember it.
    Send,
    /// Already sent; remember only that it was heard of again.
    Heard,
    /// Already sent, or overtaken by a later state.
    Skip,
    /// Somebody is about to send it: look again, and send it when nothing comes of that.
    Wait,
}

impl Page {
    /// Whether to send it. Without a record it is sent: a duplicate is better than a miss.
    #[must_use]
    pub fn delivery(&self, record: Option<&PageRecord>, now: Timestamp) -> Delivery {
        let told = |kind: &String| record.is_some_and(|record| record.sent.contains(kind));
        if !told(&self.kind) && self.follows().is_some_and(|before| !told(&before)) {
            return Delivery::Wait;
        }
        let Some(record) = record else { return Delivery::Send };
        if record.claimed.contains(&self.kind) {
            return Delivery::Wait;
        }
        let unheard_for = age(record.last_heard, now);
        if let Some(quiet) = self.quiet {
            return match () {
                () if unheard_for > quiet || !record.sent.contains(&self.kind) => Delivery::Send,
                () if unheard_for > HEARD_AGAIN => Delivery::Heard,
                () => Delivery::Skip,
            };
        }
        if self.is_overtaken(record) || record.sent.contains(&self.kind) { Delivery::Skip } else { Delivery::Send }
    }

    /// A later state of its thread has settled it: whatever alert it opened is taken back.
    #[must_use]
    pub fn is_overtaken(&self, record: &PageRecord) -> bool {
        self.quiet.is_none() && record.highest_rank >= SETTLED_RANK && self.rank < record.highest_rank
    }

    /// The kind that people read first, where both may be sent in the same breath: that writes work again, before what
    /// follows from the old Region being back.
    fn follows(&self) -> Option<String> {
        (self.kind == Phase::Reconciling.to_string()).then(|| Phase::Restored.to_string())
    }

    /// The record that says that this page is about to be sent: two Regions that page at once settle it by who writes it.
    #[must_use]
    pub fn claimed(&self, record: Option<PageRecord>, now: Timestamp) -> PageRecord {
        let mut record = PageRecord::next(record, now);
        record.claimed.insert(self.kind.clone());
        record
    }

    /// The record after this page was sent, or heard of again.
    #[must_use]
    pub fn remembered(&self, record: Option<PageRecord>, now: Timestamp) -> PageRecord {
        let mut record = PageRecord::next(record, now);
        record.highest_rank = record.highest_rank.max(self.rank);
        record.claimed.remove(&self.kind);
        record.sent.insert(self.kind.clone());
        if self.turn == Turn::Asks {
            record.asked.insert(self.kind.clone());
        }
        record.last_heard = record.last_heard.max(now);
        record
    }
}

impl PageRecord {
    fn next(record: Option<Self>, now: Timestamp) -> Self {
        let mut record = record.unwrap_or(Self {
            version: 0,
            highest_rank: 0,
            sent: BTreeSet::new(),
            asked: BTreeSet::new(),
            claimed: BTreeSet::new(),
            last_heard: now,
        });
        record.version = record.version.saturating_add(1);
        record
    }
}
