//! Matching: what the fast pass could not pair, in memory, one pass after the other.
//!
//! Network reference first, exact; then sums of what shares it; then our own key; then sums by key and by payment. Each record is
//! consumed once. Amount and date only ever suggest. What is left has a name.

mod draft;
mod leftovers;
mod passes;
mod suggest;
mod world;

use std::collections::BTreeMap;

use holdfast_domain::Timestamp;
use holdfast_domain::attempt::{Attempt, Stage};
use jiff::SignedDuration;

use self::world::World;
use crate::policy::Policy;
use crate::record::{Position, Record};
use crate::report::{Break, Presence};

/// What is to be matched.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// Records of ledger and network that have no exact partner, with everything of the same network reference.
    pub residue: Vec<Record>,
    /// Records that have one, and share a reference with the residue: they are not matched again, and tell what was charged before.
    pub matched: Vec<Record>,
    /// Attempts, folded by [`fold`].
    pub attempts: Vec<Record>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// In order: the most money with the least time first.
    pub breaks: Vec<Break>,
    /// Who has what; of `matched`, only those that an attempt was found for.
    pub presence: Presence,
    /// Bookings of other days that nothing needed: they are not part of the run's sums.
    pub set_aside: Vec<Record>,
}

/// Attempts by key: one record per reference that was acknowledged, and one in doubt where none was.
///
/// A key's marks are several items; the acknowledged ones settle the begun one.
#[must_use]
pub fn fold(attempts: &[Attempt]) -> Vec<Record> {
    let mut order: Vec<&Attempt> = attempts.iter().collect();
    order.sort_by_key(|mark| (&mark.key, reference(mark), mark.at, &mark.region, mark.currency, mark.amount_minor));
    let mut folded: Vec<Record> = Vec::new();
    let mut begun: Option<&Attempt> = None;
    for (place, attempt) in order.iter().enumerate() {
        if matches!(attempt.stage, Stage::Begun) {
            begun = begun.or(Some(attempt));
        } else if folded.last().is_none_or(|last| {
            (last.merchant_ref.as_str(), last.event_ref.as_str())
                != (attempt.key.as_str(), reference(attempt).unwrap_or(""))
        }) {
            folded.push(Record::from(*attempt));
        }
        let last_of_key = order.get(place + 1).is_none_or(|next| next.key != attempt.key);
        if last_of_key {
            let acknowledged = folded.last().is_some_and(|last| last.merchant_ref == attempt.key);
            if let Some(begun) = begun.take().filter(|_| !acknowledged) {
                folded.push(Record::from(begun));
            }
        }
    }
    for record in &mut folded {
        record.position = Position { source: u16::MAX, byte: 0, line: 0 };
    }
    folded
}

fn reference(attempt: &Attempt) -> Option<&str> {
    match &attempt.stage {
        Stage::Begun => None,
        Stage::Acknowledged { network_reference } => Some(network_reference),
    }
}

/// Matches what is open. The result does not depend on the order of the records.
#[must_use]
pub fn settle(open: &Open, policy: &Policy) -> Matched {
    let mut world = World::new(open, policy);
    if policy.network_complete_until.is_some() {
        world.pair_exactly();
        world.sum_within_references();
        world.compare_within_references();
        world.pair_by_key();
        world.sum_by_key();
        world.sum_by_payment();
    }
    world.name_attempts();
    world.name_network();
    world.name_ledger();
    world.suggest();
    let presence = world.presence();
    let set_aside = world.set_aside.iter().map(|of| (*of).clone()).collect();
    Matched { breaks: finish(world.into_breaks(), policy), presence, set_aside }
}

/// Gives deadlines and ids, and puts the most money with the least time first.
fn finish(mut breaks: Vec<Break>, policy: &Policy) -> Vec<Break> {
    for found in &mut breaks {
        found.deadline = deadline(found, policy);
        found.evidence.sort_unstable();
    }
    breaks.sort_by(|a, b| canonical(a).cmp(&canonical(b)));
    let mut like: BTreeMap<String, usize> = BTreeMap::new();
    for found in &mut breaks {
        for proposal in &mut found.proposals {
            proposal.identify(policy, &found.what, 0);
            let nth = like.entry(proposal.id.clone()).or_insert(0);
            if *nth > 0 {
                proposal.identify(policy, &found.what, *nth);
            }
            *nth += 1;
        }
    }
    breaks.sort_by_key(|found| std::cmp::Reverse(urgency(found, policy.now)));
    breaks
}

fn canonical(of: &Break) -> impl Ord + '_ {
    (&of.what, &of.event_ref, &of.merchant_ref, of.kind, of.currency, of.at_risk_minor, of.since, &of.evidence)
}

fn deadline(found: &Break, policy: &Policy) -> Timestamp {
    let days = found.what.days_to_act();
    let since = found.since.unwrap_or(policy.now);
    since.checked_add(SignedDuration::from_hours(days * 24)).unwrap_or(Timestamp::MAX)
}

/// Money divided by the hours that are left; what is overdue has one hour.
///
/// Amounts of different currencies are compared as numbers of their main unit: good enough to decide what is looked at first.
fn urgency(found: &Break, now: Timestamp) -> i128 {
    let finest = 4_u32;
    let digits = u32::try_from(found.currency.exponent()).unwrap_or(2).min(finest);
    let amount = i128::from(found.at_risk_minor) * 10_i128.pow(finest - digits);
    let hours = found.deadline.duration_since(now).as_hours().max(1);
    amount * 1_000 / i128::from(hours)
}
