//! A page that is not done with: a channel has not taken it yet, or nobody has said that they have it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Page, Severity, Turn};
use crate::paging::Paging;
use crate::{Timestamp, age};

/// A thread's page that somebody still has to hear of, or to acknowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPage {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The thread's latest page, whole: whoever sends it again needs nothing else.
    pub page: Page,
    /// When it was first tried.
    pub first_tried_at: Timestamp,
    /// The channels that have not taken it, each with why.
    pub undelivered: BTreeMap<String, String>,
    /// How many escalation steps it has taken.
    pub steps_taken: usize,
    /// Who has it.
    pub acknowledged: Option<Acknowledgement>,
    /// Until when somebody is at it.
    pub claimed_until: Option<Timestamp>,
}

/// That a person has a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they said.
    pub comment: String,
    /// By which way: a command, a signed request, PagerDuty.
    pub via: String,
    /// When.
    pub at: Timestamp,
}

/// What the next look at an open page does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Send it through these channels; it has then taken so many escalation steps.
    Send {
        /// The channels.
        channels: BTreeSet<String>,
        /// Escalation steps taken, these included.
        steps: usize,
        /// They are those that have not taken it before: it comes late.
        late: bool,
    },
    /// Nothing now.
    Rest,
    /// Forget it.
    Done,
}

/// A channel that has not taken a page for so long will not; a page about the channel itself has long been sent.
const RETRIED_FOR: Duration = Duration::from_secs(6 * 3600);
/// Nobody is waited for longer than this.
const AWAITED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Whoever dies while sending holds the others up so long: longer than a delivery takes with all its time-outs.
const CLAIM: Duration = Duration::from_secs(30);
/// Shorter than a minute is not late: the page was on its way.
const LATE: Duration = Duration::from_secs(30);

impl OpenPage {
    /// The thread's open page after this one was tried; `None` when there is nothing left to do for it.
    ///
    /// A lower state does not replace a higher one. Who has the thread keeps it, unless the page asks for a decision.
    #[must_use]
    pub fn after(
        before: Option<Self>,
        page: &Page,
        undelivered: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Option<Self> {
        let version = before.as_ref().map_or(0, |it| it.version).saturating_add(1);
        if let Some(before) = &before
            && before.page.quiet.is_none()
            && before.page.rank > page.rank
        {
            return Some(Self { version, ..before.clone() });
        }
        let acknowledged = before.and_then(|it| it.acknowledged).filter(|_| page.turn == Turn::Tells);
        let open = Self {
            version,
            page: page.clone(),
            first_tried_at: now,
            undelivered,
            steps_taken: 0,
            acknowledged,
            claimed_until: None,
        };
        (open.is_awaited() || !open.undelivered.is_empty() || version > 1).then_some(open)
    }

    /// Somebody must say that they have it.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let rings = match self.page.turn {
            Turn::Tells | Turn::Asks => self.page.severity == Severity::Critical,
            Turn::Rehearses => true,
            Turn::Ends => false,
        };
        rings && self.acknowledged.is_none()
    }

    /// What is to be done for it now.
    #[must_use]
    pub fn chore(&self, paging: &Paging, now: Timestamp) -> Chore {
        if self.claimed_until.is_some_and(|until| now < until) {
            return Chore::Rest;
        }
        let waited = age(self.first_tried_at, now);
        let missed = if waited <= RETRIED_FOR { self.undelivered.keys().cloned().collect() } else { BTreeSet::new() };
        // A rehearsal calls nobody else: it measures how long people take.
        let escalates = self.is_awaited() && self.page.turn != Turn::Rehearses && waited <= AWAITED_FOR;
        let due = if escalates { paging.steps_due(self.steps_taken, waited) } else { None };
        match due {
            Some((steps, called)) => Chore::Send { channels: &missed | &called, steps, late: false },
            None if !missed.is_empty() => Chore::Send { channels: missed, steps: self.steps_taken, late: true },
            None if self.is_awaited() && waited <= AWAITED_FOR => Chore::Rest,
            None => Chore::Done,
        }
    }

    /// The page while somebody is at it.
    #[must_use]
    pub fn claimed(&self, now: Timestamp) -> Self {
        let until = now.checked_add(CLAIM).ok();
        Self { version: self.version.saturating_add(1), claimed_until: until, ..self.clone() }
    }

    /// The page after it was sent again through some channels; the others are as they were.
    #[must_use]
    pub fn tried(&self, channels: &BTreeSet<String>, steps: usize, failed: BTreeMap<String, String>) -> Self {
        let mut undelivered = self.undelivered.clone();
        undelivered.retain(|channel, _| !channels.contains(channel));
        undelivered.extend(failed);
        Self {
            version: self.version.saturating_add(1),
            undelivered,
            steps_taken: steps,
            claimed_until: None,
            ..self.clone()
        }
    }

    /// The page after somebody has said that they have it. Who says so first is kept.
    #[must_use]
    pub fn acknowledged_by(&self, acknowledgement: Acknowledgement) -> Self {
        Self {
            version: self.version.saturating_add(1),
            acknowledged: Some(self.acknowledged.clone().unwrap_or(acknowledgement)),
            ..self.clone()
        }
    }

    /// How long it could not be delivered, when that is worth saying.
    #[must_use]
    pub fn late_by(&self, now: Timestamp) -> Option<Duration> {
        Some(age(self.first_tried_at, now)).filter(|late| *late >= LATE)
    }
}

#[cfg(test)]
mod tests;
