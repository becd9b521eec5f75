//! Payments: none lost unlisted, none charged twice, none written behind the fence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_domain::incident::Verb;
use holdfast_domain::money::{Currency, Totals};
use holdfast_payments::lease::LEASE;
use holdfast_world::aurora;
use holdfast_world::rds::writer;

use super::{Findings, Invariant};
use crate::campaign::evidence::Evidence;
use crate::checker::{LostPayment, lost_payments};

/// A commit that was on its way when the lease ran out may land this much later.
const IN_FLIGHT: Duration = Duration::from_millis(1_600);

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    let booked: BTreeSet<String> = writer(&evidence.world)
        .map(|region| aurora::rows(&evidence.world, region).into_iter().map(|row| row.attempt_key).collect())
        .unwrap_or_default();
    let lost = lost_payments(&evidence.world, &evidence.operations, &booked);
    for payment in &lost {
        findings.hold(Invariant::KeptOrListed, evidence.ended, payment.listed, || {
            format!("{} was acknowledged, and is neither in the ledger nor among the attempts", payment.key)
        });
    }
    honest_price(evidence, findings, &lost);
    // What was ordered counts, not what RDS was told: a planned move that is sent as a failover loses all the same.
    let failover = evidence.states.iter().any(|(_, state)| {
        state.incident.as_ref().is_some_and(|incident| incident.verb == Verb::Failover && incident.order.is_some())
    });
    findings.hold(Invariant::SwitchoverLosesNothing, evidence.ended, failover || lost.is_empty(), || {
        format!("{} payments are lost without a failover", lost.len())
    });
    let mut charges: BTreeMap<&str, u32> = BTreeMap::new();
    for key in &evidence.charges {
        *charges.entry(key).or_default() += 1;
    }
    // Uniqueness across Regions is not promised of a table that replicates late; what it accepts twice is listed.
    for (key, count) in charges.into_iter().filter(|_| !evidence.plan.asynchronous_attempts) {
        findings
            .hold(Invariant::ChargedOnce, evidence.ended, count == 1, || format!("{key} was charged {count} times"));
    }
    for (at, region, key) in aurora::bookings(&evidence.world) {
        let fence = evidence.fences.iter().rfind(|(raised, ..)| *raised + LEASE + IN_FLIGHT <= at);
        let Some((raised, epoch, writer)) = fence else { continue };
        let given_back =
            evidence.fences.iter().rfind(|(raised, ..)| *raised <= at).is_some_and(|(.., to)| *to == region);
        if given_back {
            continue;
        }
        findings.hold(Invariant::NoWriteBehindTheFence, at, *writer == region, || {
            let since = at.saturating_sub(*raised).as_millis();
            format!("{key} was committed in {region}, {since} ms after epoch {epoch} gave the writer to {writer}")
        });
    }
}

/// What was said of the last incident is held against what its own outage lost; an earlier one's loss is not its price.
fn honest_price(evidence: &Evidence, findings: &mut Findings, lost: &[LostPayment]) {
    let Some(incident) = evidence.states.last().and_then(|(_, state)| state.incident.as_ref()) else { return };
    if evidence.accepted.iter().filter(|accepted| accepted.failover).count() != 1 {
        return;
    }
    let mut actual = Totals::default();
    for payment in lost {
        if let Ok(currency) = Currency::parse(&payment.currency) {
            actual.add(currency, payment.amount_minor);
        }
    }
    for price in [incident.price.as_ref(), incident.loss.as_ref()].into_iter().flatten() {
        let wrong = price.contradicted_by(&actual);
        findings.hold(Invariant::HonestPrice, evidence.ended, wrong.is_none(), || wrong.unwrap_or_default());
    }
}
