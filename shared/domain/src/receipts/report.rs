//! What a run says: one line for each key that is not in sync, and a summary that fits a screen.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Class, Job, Verdict};
use crate::{Region, Timestamp, age};

/// Jobs that the summary names; it must fit a screen.
const JOBS_SHOWN: usize = 6;

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// The key.
    pub key: String,
    /// What it comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The same as a sentence, for people.
    #[serde(default)]
    pub says: String,
}

/// Keys and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Keys and bytes of each class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(pub BTreeMap<Class, Count>);

impl Tally {
    /// Counts keys of a class.
    pub fn add(&mut self, class: Class, keys: u64, bytes: u64) {
        let count = self.0.entry(class).or_default();
        count.keys = count.keys.saturating_add(keys);
        count.bytes = count.bytes.saturating_add(bytes);
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            self.add(*class, count.keys, count.bytes);
        }
    }

    /// Keys of a class.
    #[must_use]
    pub fn keys(&self, class: Class) -> u64 {
        self.0.get(&class).map_or(0, |count| count.keys)
    }

    /// Every key.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(count.keys))
    }

    /// Keys that an apply would change.
    #[must_use]
    pub fn to_do(&self) -> u64 {
        [Class::CopyToDublin, Class::CopyToLondon, Class::DeletePropagates]
            .into_iter()
            .fold(0, |sum, class| sum.saturating_add(self.keys(class)))
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is not finished: what it has not looked at is unknown.
    Unfinished,
    /// Every key was looked at, and nothing was changed.
    Planned,
    /// Every key was looked at, and every action was tried.
    Applied,
}

/// The inventories that a run was planned from, and when each was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// Of Dublin's bucket.
    pub dublin: Timestamp,
    /// Of London's bucket.
    pub london: Timestamp,
}

impl Lists {
    /// What the plan is as old as.
    #[must_use]
    pub fn as_of(&self) -> Timestamp {
        self.dublin.min(self.london)
    }
}

/// What a run has found and done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run: String,
    /// Where it was driven from.
    pub region: Region,
    /// How far it has come.
    pub state: State,
    /// What the keys came to.
    pub plan: Tally,
    /// Copies and deletes that S3 has confirmed.
    pub done: u64,
    /// Keys that had changed since they were listed: the next run decides.
    pub moved_on: u64,
    /// Actions that S3 refused, by its code.
    pub refused: BTreeMap<String, u64>,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, over all of its invocations.
    pub took_ms: u64,
    /// Pages of versions that were listed.
    pub pages: u64,
    /// Where its lines are: bucket and prefix.
    pub lines: String,
    /// What it was planned from, where that was not a listing of the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<Lists>,
    /// What was given to S3 Batch Replication.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
}

impl Summary {
    /// Nothing is left that this or any later run would change or a person must decide.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.state != State::Unfinished && self.plan.all() == self.plan.keys(Class::InSync)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unfinished => "NOT FINISHED: what was not looked at is unknown",
            State::Planned => "planned, nothing was changed",
            State::Applied => "applied",
        };
        writeln!(f, "receipts, run {} in {}: {state}", self.run, self.region)?;
        writeln!(f, "  {:<18} {:>12} {:>18}", "class", "keys", "bytes")?;
        for (class, count) in &self.plan.0 {
            writeln!(f, "  {:<18} {:>12} {:>18}", class.name(), count.keys, count.bytes)?;
        }
        let keys = self.plan.all();
        let rate = keys.saturating_mul(1000) / self.took_ms.max(1);
        let seconds = self.took_ms / 1000;
        let rest = self.took_ms % 1000;
        writeln!(f, "  {keys} keys in {seconds}.{rest:03} s, {rate} keys/s, {} pages", self.pages)?;
        if self.state == State::Applied || self.done > 0 {
            let refused = self.refused.values().fold(0_u64, |sum, number| sum.saturating_add(*number));
            writeln!(f, "  {} done, {} had moved on, {refused} refused {:?}", self.done, self.moved_on, self.refused)?;
        }
        for job in self.jobs.iter().take(JOBS_SHOWN) {
            writeln!(f, "  {job}")?;
        }
        if let Some(more) = self.jobs.len().checked_sub(JOBS_SHOWN).filter(|more| *more > 0) {
            writeln!(f, "  and {more} more jobs")?;
        }
        if let Some(lists) = &self.lists {
            let minutes = age(lists.as_of(), self.began).as_secs() / 60;
            writeln!(f, "  planned from inventories of {:.0}, {minutes} minutes before it began", lists.as_of())?;
        }
        write!(f, "  lines: {}", self.lines)
    }
}
