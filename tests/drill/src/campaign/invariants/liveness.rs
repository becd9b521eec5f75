//! Whether what should happen does, in the end and in time.

use std::time::Duration;

use holdfast_domain::blocked::Guard;
use holdfast_domain::event::Event;
use holdfast_domain::incident::{ClusterState, Phase};
use holdfast_domain::page::{Turn, compose};
use holdfast_domain::policy::Mode;
use holdfast_domain::topology::Topology;
use holdfast_world::aurora;
use holdfast_world::sns::Letter;

use super::{Findings, Invariant};
use crate::campaign::evidence::Evidence;
use crate::campaign::plan::{Person, Plan};
use crate::campaign::trouble::{Ask, Trouble};

/// From the last trouble to writes being back, beside the person's and AWS's own time: detection, a driver that is
/// replaced, a call to RDS that is made again.
const RECOVERY_MAX: Duration = Duration::from_secs(75);
/// A condition that no machine should act on is told after three rounds of doubt, and some.
const DOUBT_MAX: Duration = Duration::from_secs(45);

/// An incident that waits is looked at once a minute, and a look takes a while.
pub(crate) const STOOD_DOWN_MAX: Duration = Duration::from_secs(100);

/// One look at an incident that waits takes no longer than this.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// A page that is owed to somebody.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) thread: String,
    pub(crate) kind: String,
    /// What it is to the thread's alert.
    pub(crate) turn: Turn,
    /// When the state was saved.
    pub(crate) since: Duration,
    /// When another state followed that owes a page of its own.
    pub(crate) until: Option<Duration>,
}

impl Owed {
    pub(crate) fn is_settled_by(&self, letter: &Letter) -> bool {
        let attribute = |name: &str| letter.attributes.get(name).map(String::as_str);
        attribute("thread") == Some(&self.thread) && attribute("kind") == Some(&self.kind)
    }
}

/// A page for each state of an incident that a person must know of.
pub(crate) fn pages_owed(states: &[(Duration, ClusterState)], topology: &Topology) -> Vec<Owed> {
    let mut owed: Vec<Owed> = Vec::new();
    for (at, state) in states {
        let Some(incident) = &state.incident else { continue };
        // The evidence was gathered a moment ago; what follows from it is said in the same breath.
        if incident.phase == Phase::Confirmed {
            continue;
        }
        let Some(page) = compose(&Event::IncidentAdvanced { incident: Box::new(incident.clone()) }, topology) else {
            continue;
        };
        if let Some(last) = owed.last_mut() {
            if (&last.thread, &last.kind) == (&page.thread, &page.kind) {
                continue;
            }
            last.until.get_or_insert(*at);
        }
        owed.push(Owed { thread: page.thread, kind: page.kind, turn: page.turn, since: *at, until: None });
    }
    owed
}

/// Nothing is half-done: it is over, it waits for a person or a guard, or writes are back.
pub(crate) fn is_terminal(state: Option<&ClusterState>) -> bool {
    let Some(state) = state else { return true };
    let phase_is_terminal = state.incident.as_ref().is_none_or(|incident| match incident.phase {
        Phase::AwaitingApproval
        | Phase::Blocked
        | Phase::Restored
        | Phase::Reconciling
        | Phase::Dismissed
        | Phase::Failed
        | Phase::Closed => true,
        Phase::Suspected | Phase::Confirmed | Phase::Fencing | Phase::Promoting | Phase::Proving => false,
    });
    phase_is_terminal && state.driver.is_none()
}

/// It waits, although the Region that was dark has come back and nobody insists.
pub(crate) fn waits_in_vain(plan: &Plan, state: &ClusterState) -> bool {
    let gone = plan.faults.iter().any(|fault| fault.until.is_none() && matches!(fault.trouble, Trouble::Dark(_)));
    let asked = plan.asks_for(Ask::Failover) || plan.asks_for(Ask::Switchover);
    let waits = state.incident.as_ref().is_some_and(|incident| {
        matches!(incident.phase, Phase::AwaitingApproval | Phase::Blocked) && incident.approval.is_none()
    });
    waits && !gone && !asked
}

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    let last = evidence.states.last().map(|(_, state)| state);
    // Whatever is heard makes somebody look again: what counts is that each look ends.
    let lately = evidence.ended.saturating_sub(LOOK_MAX);
    let ended = evidence.states.iter().rev().take_while(|(at, _)| *at >= lately).any(|(_, it)| is_terminal(Some(it)));
    findings.hold(Invariant::TerminalPhase, evidence.ended, ended || is_terminal(last), || {
        let phase = last.and_then(|state| state.incident.as_ref()).map(ToString::to_string);
        format!("{}, driven by {:?}", phase.unwrap_or_default(), last.and_then(|state| state.driver.clone()))
    });
    writes_come_back(evidence, findings);
    let due = evidence.troubles_over() + STOOD_DOWN_MAX;
    let waits = last.filter(|state| waits_in_vain(&evidence.plan, state));
    findings.hold(Invariant::StandsDown, due, waits.is_none() || evidence.ended < due, || {
        waits.and_then(|state| state.incident.as_ref()).map(ToString::to_string).unwrap_or_default()
    });
    payments_flow(evidence, findings);
    doubt_is_told(evidence, findings);
}

/// When the primary went dark for good, if it did.
fn dark_since(evidence: &Evidence) -> Option<Duration> {
    let plan = &evidence.plan;
    plan.faults
        .iter()
        .find(|fault| fault.until.is_none() && fault.trouble == Trouble::Dark(plan.primary))
        .map(|fault| fault.from)
}

fn writes_come_back(evidence: &Evidence, findings: &mut Findings) {
    let plan = &evidence.plan;
    let Some(dark) = dark_since(evidence) else { return };
    let asked_for_a_move =
        plan.faults.iter().any(|fault| matches!(fault.trouble, Trouble::Asked { what: Ask::Switchover, .. }));
    // A switchover that is under way with a primary that is gone is AWS's to give up, after minutes.
    if asked_for_a_move {
        return;
    }
    let person = match (plan.mode, plan.person) {
        (Mode::Auto, _) => Duration::ZERO,
        (Mode::Approve, Person::Approves(after)) => after,
        (Mode::Approve, Person::Absent) if plan.countdown_seconds.is_some() => {
            // The tick that finds the countdown over comes once a minute.
            Duration::from_secs(plan.countdown_seconds.unwrap_or_default() + 60)
        }
        (Mode::Approve | Mode::Observe, _) => return,
    };
    let due = dark.max(evidence.troubles_over()) + RECOVERY_MAX + plan.promotion + person;
    let restored = evidence.states.iter().find(|(_, state)| {
        let phase = state.incident.as_ref().map(|incident| incident.phase);
        matches!(phase, Some(Phase::Restored | Phase::Reconciling | Phase::Closed))
    });
    let in_time = restored.is_some_and(|(at, _)| *at <= due);
    let guard = guarded(evidence);
    findings.hold(Invariant::Liveness, due, in_time || guard || evidence.ended < due, || {
        let at = restored.map(|(at, _)| at.as_secs_f64());
        let stands = evidence.states.last().and_then(|(_, state)| state.incident.as_ref()).map(ToString::to_string);
        format!("dark since {:.3} s, writes back at {at:?} s: {}", dark.as_secs_f64(), stands.unwrap_or_default())
    });
}

/// The payments tier waits out the old writer's lease, clients try every few seconds.
const FLOW_MAX: Duration = Duration::from_secs(15);

fn payments_flow(evidence: &Evidence, findings: &mut Findings) {
    let Some((at, state)) = evidence
        .states
        .iter()
        .find(|(_, state)| state.incident.as_ref().is_some_and(|incident| incident.phase == Phase::Restored))
    else {
        return;
    };
    let due = at.max(&evidence.troubles_over()).saturating_add(FLOW_MAX);
    let to = state.incident.as_ref().map(|incident| incident.to.to_string()).unwrap_or_default();
    let flows = aurora::bookings(&evidence.world)
        .iter()
        .any(|(booked, there, _)| there.as_str() == to && booked >= at && *booked <= due);
    let moved_on = evidence.states.last().is_some_and(|(_, last)| last.epoch > state.epoch);
    findings.hold(Invariant::PaymentsFlow, *at, flows || moved_on || evidence.ended < due, || {
        format!("writes are said to work in {to}, and no payment was committed there by {:.3} s", due.as_secs_f64())
    });
}

/// A named guard stops it at the end, and what it says is true.
fn guarded(evidence: &Evidence) -> bool {
    let Some(incident) = evidence.states.last().and_then(|(_, state)| state.incident.as_ref()) else { return false };
    let newest = aurora::measured_lags(&evidence.world, evidence.plan.standby()).into_iter().max();
    // Nothing is measured of a primary that is gone: what counts is how old the last lag was when it went.
    let gone = dark_since(evidence).unwrap_or(evidence.ended);
    let age = newest.map(|(at, _)| gone.saturating_sub(at));
    let policy = evidence.plan.setup().config.policy;
    let slack = Duration::from_secs(35);
    incident.phase == Phase::Blocked
        && !incident.blocked.is_empty()
        && incident.blocked.iter().all(|block| match block.guard {
            Guard::Frozen => evidence.plan.asks_for(Ask::Freeze),
            Guard::TargetHeadless => evidence.plan.standby_instances == 0,
            Guard::LagStale => age.is_none_or(|age| age + slack > policy.lag_age_max()),
            Guard::LagUnknown => evidence.plan.has(&Trouble::Unmeasured),
            Guard::LagHigh => newest.is_some_and(|(_, lag_ms)| lag_ms > 10_000),
            Guard::Replication => evidence.plan.has_a_store_held(),
            Guard::Vetoed
            | Guard::ObserveMode
            | Guard::Quorum
            | Guard::StillHeard
            | Guard::PrimaryNotHealthy
            | Guard::ClusterUnseen
            | Guard::TargetNotAvailable
            | Guard::EngineVersion
            | Guard::OperationInFlight
            | Guard::Cooldown
            | Guard::IncidentOpen
            | Guard::Redundancy
            | Guard::OldVolume
            | Guard::LedgerClean
            | Guard::InDoubtEmpty
            | Guard::ReceiptsConverged
            | Guard::AlarmsMoved
            | Guard::PlanClean
            | Guard::LastServingRegion
            | Guard::RegionNotHealthy
            | Guard::NotReady => false,
        })
}

/// A writer that answers but cannot write, for long enough, in an otherwise quiet night: somebody is told.
fn doubt_is_told(evidence: &Evidence, findings: &mut Findings) {
    for fault in &evidence.plan.faults {
        let grey = matches!(fault.trouble, Trouble::WritesBroken(_) | Trouble::FrontDoorClosed(_));
        let alone = evidence.plan.faults.iter().all(|other| {
            other == fault
                || matches!(other.trouble, Trouble::LateEffects(_) | Trouble::Lag(_) | Trouble::StartedTwice { .. })
        });
        let long = fault.until.is_none_or(|until| until.saturating_sub(fault.from) >= DOUBT_MAX);
        if !(grey && alone && long) {
            continue;
        }
        let told = evidence.letters.iter().any(|letter| {
            letter.attributes.get("kind").is_some_and(|kind| kind == "region-doubtful")
                && letter.sent >= fault.from
                && letter.sent <= fault.from + DOUBT_MAX
        });
        findings.hold(Invariant::DoubtIsTold, fault.from, told, || format!("nobody was told: {fault}"));
    }
}
