//! What S3 Batch Operations may be given, and what became of it.
//!
//! Batch Replication only. It keeps version ids and creation times, so that what it brings lies where it belongs in the
//! other side's history: under a delete or a receipt that has come there since. The operation "Copy" makes a new, current
//! version, and takes no condition on what it is put over (userguide/batch-ops-copy-object.html): hours after the decision
//! it would hide a newer receipt and bring a deleted one back. What Batch Replication cannot do is copied by the function
//! itself, each under its own condition.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Copy, Reason, Side, Verdict};

/// Which ways are replicated by a rule that selects every object. Batch Replication follows rules, and does nothing without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// From Dublin to London.
    pub from_dublin: bool,
    /// From London to Dublin.
    pub from_london: bool,
}

impl Ways {
    /// Whether a rule replicates from there.
    #[must_use]
    pub fn from(self, side: Side) -> bool {
        match side {
            Side::Dublin => self.from_dublin,
            Side::London => self.from_london,
        }
    }
}

/// The side whose bucket replicates the version, if Batch Replication may be given it.
#[must_use]
pub fn replicated_from(verdict: &Verdict, ways: Ways) -> Option<Side> {
    let (from, copy) = match verdict {
        Verdict::CopyToDublin(copy) => (Side::London, copy),
        Verdict::CopyToLondon(copy) => (Side::Dublin, copy),
        Verdict::InSync
        | Verdict::Pending { .. }
        | Verdict::DeletePropagates(_)
        | Verdict::Conflict { .. }
        | Verdict::Uncheckable { .. }
        | Verdict::Erased { .. }
        | Verdict::Failed { .. } => return None,
    };
    (ways.from(from) && may_be_replicated(copy)).then_some(from)
}

fn may_be_replicated(copy: &Copy) -> bool {
    match copy.reason {
        // Replication status NONE or FAILED, and newer than all that the other side has.
        Reason::OnlyThere | Reason::Behind | Reason::ReplicationFailed => true,
        // It may be there already under the delete: then a replica changes nothing.
        Reason::WrittenAfterDelete => false,
        // PENDING is not for Batch Replication.
        Reason::Overdue => false,
        // What was deleted by its id is not replicated again (DstObjectHardDeleted).
        Reason::Erased => false,
        // By its time it may lie under the other one.
        Reason::Preferred => false,
    }
}

/// How far a job is, from S3's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It works, or is about to.
    Working,
    /// It waits for a person: paused, or not confirmed.
    Waiting,
    /// Every task was tried.
    Complete,
    /// It was given up by S3: too many tasks failed, or its manifest or role cannot be used.
    Failed,
    /// A person has ended it.
    Cancelled,
}

impl JobState {
    /// From `DescribeJob`'s word; an unknown one is taken for work that goes on.
    #[must_use]
    pub fn named(word: &str) -> Self {
        match word {
            "Complete" => Self::Complete,
            "Failed" => Self::Failed,
            "Cancelled" => Self::Cancelled,
            "Paused" | "Suspended" => Self::Waiting,
            _ => Self::Working,
        }
    }

    /// Nothing will come any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Complete | Self::Failed | Self::Cancelled => true,
            Self::Working | Self::Waiting => false,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Working => "at work",
            Self::Waiting => "WAITING FOR A PERSON",
            Self::Complete => "complete",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        })
    }
}

/// One job, as the summary tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// S3's id; absent before S3 has answered.
    pub id: Option<String>,
    /// Whose bucket replicates.
    pub from: Side,
    /// How far it is.
    pub state: JobState,
    /// Keys in its manifest.
    pub keys: u64,
    /// Keys that its completion report says are replicated.
    pub done: u64,
    /// Keys that are not, by S3's code. What the report does not name is here, too.
    pub refused: BTreeMap<String, u64>,
    /// Why it has failed, in S3's words.
    pub why: Option<String>,
}

/// The code of keys that a job has ended without a word about.
pub const NOT_REPORTED: &str = "NotInTheCompletionReport";

impl Job {
    /// Takes a completion report: replicated keys, and the others by code. What it does not name was not done.
    pub fn fold(&mut self, done: u64, refused: BTreeMap<String, u64>) {
        let named = refused.values().fold(done, |sum, number| sum.saturating_add(*number));
        (self.done, self.refused) = (done, refused);
        let silent = self.keys.saturating_sub(named);
        if silent > 0 {
            *self.refused.entry(NOT_REPORTED.to_owned()).or_default() += silent;
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("not created yet");
        write!(f, "job {id} from {}: {}, {} of {} keys replicated", self.from, self.state, self.done, self.keys)?;
        for (code, number) in &self.refused {
            write!(f, ", {number} {code}")?;
        }
        match &self.why {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipts::Over;

    fn copy(reason: Reason) -> Copy {
        Copy { version: "v".into(), bytes: 1, over: Over::Nothing { over_marker: None }, reason }
    }

    #[track_caller]
    fn check(reason: Reason, expected: bool) {
        let ways = Ways { from_dublin: true, from_london: false };
        let (to_london, to_dublin) = (Verdict::CopyToLondon(copy(reason)), Verdict::CopyToDublin(copy(reason)));
        assert_eq!(replicated_from(&to_london, ways), expected.then_some(Side::Dublin), "{reason:?}");
        assert_eq!(replicated_from(&to_dublin, ways), None, "there is no rule from London");
        assert_eq!(replicated_from(&to_london, Ways::default()), None);
    }

    #[test]
    fn only_what_lies_where_it_belongs_is_given_to_batch_replication() {
        check(Reason::OnlyThere, true);
        check(Reason::Behind, true);
        check(Reason::ReplicationFailed, true);
        check(Reason::WrittenAfterDelete, false);
        check(Reason::Overdue, false);
        check(Reason::Erased, false);
        check(Reason::Preferred, false);
    }
    #[test]
    fn a_state_that_is_not_known_is_not_an_end() {
        for (word, ended) in
            [("Complete", true), ("Failed", true), ("Cancelled", true), ("Active", false), ("Suspended", false)]
        {
            assert_eq!(JobState::named(word).has_ended(), ended, "{word}");
        }
        assert_eq!(JobState::named("Something new"), JobState::Working);
    }
    #[test]
    fn what_a_completion_report_does_not_name_was_not_done() {
        let mut job = Job {
            id: Some("j1".into()),
            from: Side::Dublin,
            state: JobState::Failed,
            keys: 10,
            done: 0,
            refused: BTreeMap::new(),
            why: Some("too many tasks failed".into()),
        };
        job.fold(4, BTreeMap::from([("DstObjectHardDeleted".to_owned(), 1)]));
        assert_eq!(
            job.to_string(),
            "job j1 from Dublin: FAILED, 4 of 10 keys replicated, 1 DstObjectHardDeleted, 5 NotInTheCompletionReport (too many tasks failed)"
        );
    }
}
