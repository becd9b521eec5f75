//! What must hold in every run, whatever went wrong. Each has a name, which is printed when it does not hold.

use std::fmt;
use std::time::Duration;

use super::evidence::Evidence;

mod driver;
mod liveness;
mod money;
mod paging;
mod promotion;
mod replication;

pub(crate) use liveness::{STOOD_DOWN_MAX, is_terminal, pages_owed, waits_in_vain};

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// One driver at a time: another takes over only from one that was silent for a whole lease.
    SingleDriver,
    /// The incident's history is only ever added to, along the table of phases, under rising epochs.
    LawfulHistory,
    /// RDS is asked only by the driver, after the intent was recorded, once for each intent.
    IntentBeforeCall,
    /// RDS is asked only under an epoch that is raised for the target: the old writer's lease runs out.
    FenceBeforeCall,
    /// RDS takes on at most one promotion under one epoch.
    OnePromotionPerEpoch,
    /// A failover is one, a switchover is one: ARN, Region and `AllowDataLoss` as law 2 has them.
    LawfulOrder,
    /// No failover while a quorum can still reach a writing primary, or hears it vote.
    NoFalsePromotion,
    /// Nothing is promoted without the consent that the policy asks for, against a veto, or in a freeze.
    Consent,
    /// An automatic failover rests on a lag that was really measured, is fresh, and is within the acceptance.
    AcceptedLoss,
    /// What is promoted has an instance that can write.
    FitTarget,
    /// Restored means that the fence row stands in the new writer's volume.
    ProvenWrites,
    /// No payment is committed in the old Region after the fence and one lease.
    NoWriteBehindTheFence,
    /// Every acknowledged payment is in the ledger, or on the loss list.
    KeptOrListed,
    /// No attempt is charged twice.
    ChargedOnce,
    /// A price that is said to be exact is, to the payment and the minor unit; one that is a lower bound is one.
    HonestPrice,
    /// A store that is held back, or whose other Region is dark, is never said to be in sync.
    InSyncIsTrue,
    /// A planned move loses nothing.
    SwitchoverLosesNothing,
    /// A person is paged within five seconds of every state that needs one.
    PagedInTime,
    /// Nobody is paged twice for one state.
    NoDuplicatePage,
    /// A lower state never follows a settled one.
    NoReopening,
    /// Each provider gets what it has missed once it is back, and an alert whose incident is over is closed.
    EveryChannelTold,
    /// Nothing is sent to a dark Region or to a control plane in a third place.
    NothingToTheDark,
    /// A dark primary, a healthy target and a quorum bring writes back in time, unless a named guard stops it.
    Liveness,
    /// An incident that waits for a person or a guard is dismissed once its Region is back.
    StandsDown,
    /// Once writes are said to work, clients' payments are committed there.
    PaymentsFlow,
    /// After all troubles are over, nothing is left half-done.
    TerminalPhase,
    /// A condition that no machine should act on is told to a person.
    DoubtIsTold,
    /// No function panics.
    NoPanic,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, since the start, as near as it can be told.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.invariant, self.at.as_secs_f64(), self.what)
    }
}

/// Collects what does not hold.
#[derive(Default)]
pub(crate) struct Findings(Vec<Violation>);

impl Findings {
    fn hold(&mut self, invariant: Invariant, at: Duration, claim: bool, otherwise: impl FnOnce() -> String) {
        if !claim {
            self.0.push(Violation { invariant, at, what: otherwise() });
        }
    }
}

/// Everything that did not hold, in order of time.
pub(crate) fn violations(evidence: &Evidence) -> Vec<Violation> {
    let mut findings = Findings::default();
    driver::check(evidence, &mut findings);
    promotion::check(evidence, &mut findings);
    money::check(evidence, &mut findings);
    replication::check(evidence, &mut findings);
    paging::check(evidence, &mut findings);
    liveness::check(evidence, &mut findings);
    let mut violations = findings.0;
    violations.sort_by_key(|violation| (violation.at, violation.invariant));
    violations
}
