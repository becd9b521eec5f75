//! Decisions with everything that they rested on: what an auditor, or another policy, can decide again.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::incident::Incident;
use crate::policy::Policy;
use crate::promotion::{Decision, Facts, decide};

/// The most that are kept of one incident: the first and the last of them. Each takes some 4 kB of a table item's 400.
pub const JUDGEMENTS_MAX: usize = 24;

/// A decision, when it was made, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The driver's clock.
    pub at: Timestamp,
    /// The policy in force.
    pub policy: Policy,
    /// The facts. The incident's own sentences are left out: nothing is decided from them.
    pub facts: Facts,
    /// Which kind of decision it was.
    pub kind: String,
    /// The decision, as its sentence.
    pub decision: String,
}

/// A decision that was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// When it was first made.
    pub at: Timestamp,
    /// The phase that the incident was in.
    pub phase: crate::incident::Phase,
    /// What was decided then.
    pub then: String,
    /// What would be decided now, from the same facts.
    pub now: String,
}

impl Judgement {
    /// What was decided from these facts.
    #[must_use]
    pub fn new(facts: &Facts, policy: &Policy, decision: &Decision, at: Timestamp) -> Self {
        let mut facts = facts.clone();
        facts.incident.history.iter_mut().for_each(|milestone| milestone.sentence.clear());
        Self { at, policy: policy.clone(), facts, kind: decision.kind().to_owned(), decision: decision.to_string() }
    }

    /// The same step of the same phase again: it says nothing new.
    fn repeats(&self, before: &Self) -> bool {
        self.kind == before.kind && self.phase() == before.phase() && self.epoch() == before.epoch()
    }

    fn phase(&self) -> crate::incident::Phase {
        self.facts.incident.phase
    }

    fn epoch(&self) -> u64 {
        self.facts.incident.epoch
    }

    /// Decides again, perhaps under another policy.
    #[must_use]
    pub fn replay(&self, policy: Option<&Policy>) -> Replayed {
        let now = decide(&self.facts, policy.unwrap_or(&self.policy), self.at);
        Replayed { at: self.at, phase: self.phase(), then: self.decision.clone(), now: now.to_string() }
    }
}

impl Replayed {
    /// It would be another decision.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.then != self.now
    }
}

/// Adds a judgement to those of its incident, unless it repeats the last one; what is in the middle of very many goes.
pub fn remember(judgements: &mut Vec<Judgement>, new: Judgement) {
    if judgements.last().is_some_and(|last| new.repeats(last)) {
        return;
    }
    if judgements.len() >= JUDGEMENTS_MAX {
        judgements.remove(JUDGEMENTS_MAX / 2);
    }
    judgements.push(new);
}

/// An incident that is over, with its judgements, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// What was decided in it.
    #[serde(default)]
    pub judgements: Vec<Judgement>,
}
