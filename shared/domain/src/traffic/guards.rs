//! What speaks against an order. Each names itself, shows its evidence, and says how to get past it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::blocked::{Blocked, Guard};
use crate::promotion::Observed;
use crate::quorum::Quorum;
use crate::readiness::{Capacity, ReadinessRecord};
use crate::traffic::decision::Answers;
use crate::traffic::{Routing, Traffic, TrafficRecord, Way};
use crate::{Region, Timestamp, age};

/// What an order is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFacts {
    /// Whose traffic is to go or to come back.
    pub region: Region,
    /// The other data Region.
    pub other: Region,
    /// What is wanted now.
    pub record: TrafficRecord,
    /// What the observers say about the Region that is to carry what moves.
    pub quorum: Quorum,
    /// What check-readiness says about it.
    pub readiness: Observed<Option<ReadinessRecord>>,
    /// What each resolver answers for the service's name.
    pub answers: Vec<Answers>,
}

/// What speaks against taking a Region's traffic away, less what a person vouches for.
///
/// That no other Region serves cannot be vouched for: with no healthy record Route 53 answers all of them, so the switch
/// would do nothing.
#[must_use]
pub fn reasons_not_to_evacuate(
    facts: &OrderFacts,
    traffic: &Traffic,
    overrides: &BTreeSet<Guard>,
    now: Timestamp,
) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    blocked.extend(last_serving(facts, traffic));
    blocked.extend(carrier(facts, &facts.other, Way::Evacuate));
    blocked.extend(readiness(facts, &facts.other, traffic, Way::Evacuate, now));
    less_vouched_for(blocked, overrides)
}

/// What speaks against giving a Region its traffic again, less what a person vouches for.
#[must_use]
pub fn reasons_not_to_restore(
    facts: &OrderFacts,
    traffic: &Traffic,
    overrides: &BTreeSet<Guard>,
    now: Timestamp,
) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    blocked.extend(carrier(facts, &facts.region, Way::Restore));
    blocked.extend(readiness(facts, &facts.region, traffic, Way::Restore, now));
    less_vouched_for(blocked, overrides)
}

fn less_vouched_for(mut blocked: Vec<Blocked>, overrides: &BTreeSet<Guard>) -> Vec<Blocked> {
    blocked.retain(|block| !(block.guard.can_be_overridden() && overrides.contains(&block.guard)));
    blocked
}

fn block(facts: &OrderFacts, way: Way, guard: Guard, evidence: String, evidence_age: Option<Duration>) -> Blocked {
    let override_with =
        format!(r#"{{"action":"{way}","region":"{}","by":"<you>","override":["{guard}"]}}"#, facts.region);
    Blocked { guard, evidence, evidence_age, override_with }
}

/// Another Region must serve: by the record, and by what DNS answers.
fn last_serving(facts: &OrderFacts, traffic: &Traffic) -> Option<Blocked> {
    let other = &facts.other;
    let refused = |evidence: String| Blocked {
        guard: Guard::LastServingRegion,
        evidence,
        evidence_age: None,
        override_with: format!(
            r#"nothing gets past this: with both Regions out, Route 53 answers both. First: {{"action":"restore","region":"{other}","by":"<you>"}}"#
        ),
    };
    if let Some(shift) = facts.record.shift.as_ref().filter(|shift| shift.region == *other && shift.takes_away()) {
        return Some(refused(format!("{other} is out of service itself ({shift})")));
    }
    match &facts.quorum {
        Quorum::Dark(proof) => return Some(refused(format!("{other} is {proof}"))),
        Quorum::StillHeard { .. }
        | Quorum::Grey { .. }
        | Quorum::Split { .. }
        | Quorum::Wavering
        | Quorum::Alive
        | Quorum::Unknown { .. } => {}
    }
    // With weights, a Region that stands by has none of the answers and serves all the same when it is called upon.
    if traffic.routing != Routing::Latency {
        return None;
    }
    let seen: Vec<&Answers> = facts.answers.iter().filter(|answers| answers.was_answered()).collect();
    let all_without = !seen.is_empty() && seen.iter().all(|answers| !answers.names(other));
    all_without.then(|| {
        refused(format!("DNS does not answer {other}: {}", seen.first().map(ToString::to_string).unwrap_or_default()))
    })
}

/// Who is to carry the traffic must be alive, as two observers see it.
fn carrier(facts: &OrderFacts, carrier: &Region, way: Way) -> Option<Blocked> {
    let evidence = format!("{carrier}: {}", facts.quorum);
    match &facts.quorum {
        Quorum::Alive => None,
        // Named as the last serving Region already.
        Quorum::Dark(_) if way == Way::Evacuate => None,
        Quorum::Unknown { evidence_age, .. } => {
            Some(block(facts, way, Guard::RegionNotHealthy, evidence, *evidence_age))
        }
        Quorum::Dark(_) | Quorum::StillHeard { .. } | Quorum::Grey { .. } | Quorum::Split { .. } | Quorum::Wavering => {
            Some(block(facts, way, Guard::RegionNotHealthy, evidence, None))
        }
    }
}

/// Who is to carry the traffic must have been found able to, lately.
fn readiness(facts: &OrderFacts, carrier: &Region, traffic: &Traffic, way: Way, now: Timestamp) -> Option<Blocked> {
    let not_ready = |evidence, age| Some(block(facts, way, Guard::NotReady, evidence, age));
    match &facts.readiness {
        Observed::Unseen { why } => not_ready(format!("whether {carrier} could carry it is unknown: {why}"), None),
        Observed::Seen(None) => not_ready(format!("nobody has ever judged whether {carrier} could carry it"), None),
        Observed::Seen(Some(record)) => {
            let old = age(record.checked_at, now);
            match &record.capacity {
                Capacity::Ready if old <= traffic.readiness_age_max() => None,
                Capacity::Ready => {
                    let limit = traffic.readiness_age_max_seconds;
                    let evidence = format!(
                        "that {carrier} was ready is {} s old, and counts for {limit} s; ask check-readiness again",
                        old.as_secs()
                    );
                    not_ready(evidence, Some(old))
                }
                capacity @ (Capacity::NotReady { .. } | Capacity::Unknown { .. }) => {
                    not_ready(format!("{carrier} is {capacity}"), Some(old))
                }
            }
        }
    }
}
