//! What must come of the way back.

use holdfast_domain::incident::Phase;
use holdfast_domain::traffic::Way;
use holdfast_world::Region;

use super::traffic::done_at;
use super::{Claims, told};
use crate::checker::Outcome;
use crate::scenario::FAILBACK_AT;

/// What a person was answered by promote-aurora, as it was said.
fn answers(outcome: &Outcome) -> Vec<String> {
    let entries = outcome.world.entries().into_iter();
    entries
        .filter(|it| it.actor == "promote-aurora" && it.what.starts_with("answers the person"))
        .map(|it| it.what)
        .collect()
}

pub(crate) fn writer_and_traffic_are_back(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let moves: Vec<(bool, Region)> = outcome.accepted.iter().map(|it| (it.failover, it.to)).collect();
    claims.holds(moves == [(true, Region::LONDON), (false, Region::DUBLIN)], format!("RDS took on {moves:?}"));
    let early = outcome.accepted.iter().any(|it| it.to == Region::DUBLIN && it.at < FAILBACK_AT);
    claims.holds(!early, "the writer went back before anybody asked");
    claims.holds(outcome.writer == Some(Region::DUBLIN), format!("the writer is in {:?}", outcome.writer));
    claims.holds(outcome.state.epoch == 2, format!("the epoch is {}", outcome.state.epoch));
    claims.holds(outcome.phase() == Some(Phase::Closed), format!("the incident is {:?}", outcome.phase()));
    claims.holds(outcome.lost.is_empty(), format!("lost after all was booked: {}", outcome.lost_totals));
    claims.holds(outcome.charged_twice.is_empty(), format!("charged twice: {:?}", outcome.charged_twice));
    let booked =
        outcome.world.entries().iter().filter(|it| it.actor == "payments team" && it.what.starts_with("books")).count();
    claims.holds(booked > 0, "nothing was lost, so nothing had to be booked");
    let refused = answers(outcome).iter().any(|it| it.contains("alarms_moved") && it.contains("plan_clean"));
    claims.holds(refused, "a first look at the way back did not name what nobody had attested");
    told(outcome, &mut claims, "Nothing was lost.");
    let (away, back) =
        (done_at(outcome, Way::Evacuate, Region::DUBLIN), done_at(outcome, Way::Restore, Region::DUBLIN));
    claims.holds(away.is_some(), "Dublin's traffic was not seen to be away");
    claims.holds(back.is_some(), "Dublin's traffic was not seen to be back");
    claims.0
}

pub(crate) fn refused_while_payments_are_missing(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let moves: Vec<(bool, Region)> = outcome.accepted.iter().map(|it| (it.failover, it.to)).collect();
    claims.holds(moves == [(true, Region::LONDON)], format!("RDS took on {moves:?}"));
    claims.holds(outcome.writer == Some(Region::LONDON), format!("the writer is in {:?}", outcome.writer));
    claims.holds(outcome.phase() == Some(Phase::Reconciling), format!("the incident is {:?}", outcome.phase()));
    let last = answers(outcome).pop().unwrap_or_default();
    let lost = outcome.lost_totals.to_string();
    claims.holds(!outcome.lost.is_empty(), "nothing was lost: there is nothing to refuse for");
    claims.holds(last.contains("ledger_clean"), format!("the ledger is not named: {last}"));
    claims.holds(last.contains(&lost), format!("{lost} is not in: {last}"));
    for clean in [
        "redundancy",
        "old_volume",
        "in_doubt_empty",
        "receipts_converged",
        "alarms_moved",
        "plan_clean",
        "\"replication\"",
    ] {
        claims.holds(!last.contains(clean), format!("{clean} is in order, and named: {last}"));
    }
    claims.0
}
