//! What must come of the outage's payments: the pass *now* lists the lost ones in seconds, and the file leaves nothing over.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_domain::event::Event;
use holdfast_domain::incident::Phase;
use holdfast_domain::reconciliation::{Finding, Found, Pass, Summary};

use super::{Claims, one_failover_in_a_minute, told};
use crate::checker::Outcome;

/// From writes that work to the list of what was lost.
const LISTED_MAX_MS: i64 = 10_000;

/// What reconcile-ledger told, and when.
fn said(outcome: &Outcome, pass: Pass) -> Vec<(Duration, Summary)> {
    let published = outcome.world.published().into_iter();
    let summaries = published.filter_map(|(at, _, event)| match serde_json::from_value(event["detail"].clone()) {
        Ok(Event::LedgerReconciled { summary }) if summary.pass == pass => Some((at, *summary)),
        Ok(_) | Err(_) => None,
    });
    summaries.collect()
}

/// The first that read everything.
fn complete(outcome: &Outcome, pass: Pass) -> Option<(Duration, Found)> {
    said(outcome, pass).into_iter().find_map(|(at, summary)| match summary.finding {
        Finding::Complete(found) => Some((at, *found)),
        Finding::Unknown { .. } => None,
    })
}

/// One failover as ever, exactly the acknowledged payments that are lost within ten seconds, and nothing over once the file is there.
pub(crate) fn every_payment_is_accounted_for(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims(one_failover_in_a_minute(outcome));
    let restored = outcome.waterfall.phase_at(Phase::Restored);
    match complete(outcome, Pass::Now) {
        None => claims.holds(false, format!("no pass now read everything: {:?}", said(outcome, Pass::Now))),
        Some((at, found)) => {
            let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
            let took = restored.map(|restored| ms(at) - ms(restored));
            claims.at_most("from writes that work to the list of lost payments", took, LISTED_MAX_MS);
            lists_the_lost(outcome, &found, "the pass now", &mut claims);
            claims.holds(found.at_least.is_none(), format!("it says at least: {:?}", found.at_least));
        }
    }
    match complete(outcome, Pass::Clearing) {
        None => claims.holds(false, format!("no file was settled: {:?}", said(outcome, Pass::Clearing))),
        Some((_, found)) => lists_the_lost(outcome, &found, "the pass clearing", &mut claims),
    }
    if outcome.lost_totals.count > 0 {
        told(outcome, &mut claims, &format!("{} acknowledged and not in the ledger", outcome.lost_totals));
    }
    claims.0
}

/// The list is the checker's, to the payment and the minor unit, and the sides balance once what is proposed is counted.
fn lists_the_lost(outcome: &Outcome, found: &Found, who: &str, claims: &mut Claims) {
    let listed: BTreeSet<&str> = found.lost_keys.iter().map(String::as_str).collect();
    let lost: BTreeSet<&str> = outcome.lost.iter().map(|lost| lost.key.as_str()).collect();
    claims.holds(listed == lost, format!("{who} lists {listed:?}, and {lost:?} were lost"));
    claims.holds(
        found.lost == outcome.lost_totals,
        format!("{who} says {}, and {} were lost", found.lost, outcome.lost_totals),
    );
    claims.holds(found.balanced, format!("{who} does not balance: {:?}", found.balance));
    claims.holds(!found.balance.is_empty(), format!("{who} has nothing to balance"));
    claims.holds(found.findings.is_empty(), format!("{who} finds {:?}", found.findings));
}
