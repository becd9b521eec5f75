//! What must come of traffic that a person moves.

use std::time::Duration;

use holdfast_domain::event::Event;
use holdfast_domain::traffic::{Shift, ShiftState, Way};
use holdfast_payments::history::Told;
use holdfast_world::{Region, s3};

use super::{Claims, still, told, told_once};
use crate::checker::Outcome;
use crate::scenario::RESTORED_AT;

/// What shift-traffic told, and when.
pub(super) fn shifts(outcome: &Outcome) -> Vec<(Duration, Shift)> {
    let published = outcome.world.published().into_iter();
    let shifts = published.filter_map(|(at, _, event)| match serde_json::from_value(event["detail"].clone()) {
        Ok(Event::TrafficShifted { shift }) => Some((at, *shift)),
        Ok(_) | Err(_) => None,
    });
    shifts.collect()
}

/// When an order was seen to be done.
pub(super) fn done_at(outcome: &Outcome, way: Way, region: Region) -> Option<Duration> {
    let done = |shift: &Shift| matches!(shift.state, ShiftState::Done { .. });
    let of = |shift: &Shift| shift.way == way && shift.region.as_str() == region.as_str();
    shifts(outcome).into_iter().find(|(_, shift)| of(shift) && done(shift)).map(|(at, _)| at)
}

/// Payments of clients near a Region that were sent to it first, begun in that time.
fn sent_home(outcome: &Outcome, near: Region, from: Duration, to: Duration) -> (usize, usize) {
    let mut seen = std::collections::BTreeSet::new();
    let (mut home, mut all) = (0, 0);
    for operation in
        outcome.operations.iter().filter(|it| it.client == near.as_str() && it.started >= from && it.started < to)
    {
        if seen.insert(operation.key.clone()) {
            all += 1;
            home += usize::from(operation.sent_to == near.as_str());
        }
    }
    (home, all)
}

pub(crate) fn away_and_back(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    let away = done_at(outcome, Way::Evacuate, Region::DUBLIN);
    let back = done_at(outcome, Way::Restore, Region::DUBLIN);
    claims
        .holds(away.is_some_and(|away| away < RESTORED_AT), format!("the evacuation was seen to be done at {away:?}"));
    claims.holds(back.is_some(), "the way back was not seen to be done");
    if let (Some(away), Some(back)) = (away, back) {
        let (home, all) = sent_home(outcome, Region::DUBLIN, away, RESTORED_AT);
        claims.holds(all > 0 && home == 0, format!("{home} of {all} payments went to Dublin while it was evacuated"));
        let (home, all) = sent_home(outcome, Region::DUBLIN, back, outcome.length);
        claims.holds(home == all && all > 0, format!("{home} of {all} payments went to Dublin again"));
    }
    let unpaid = unacknowledged(outcome);
    claims.holds(unpaid.is_empty(), format!("never acknowledged: {unpaid:?}"));
    let abroad =
        outcome.requests.iter().filter(|it| &*it.caller.name == "shift-traffic" && it.to == Region::N_VIRGINIA);
    claims.holds(abroad.count() == 0, "shift-traffic has leant on us-east-1");
    told(outcome, &mut claims, "eu-west-1 gets no more traffic");
    told(outcome, &mut claims, "eu-west-1 has its traffic again");
    told_once(outcome, &mut claims);
    claims.holds(!is_thrown(outcome, Region::DUBLIN), "the switch is still thrown");
    claims.0
}

pub(crate) fn the_last_region_serves_on(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    claims.holds(done_at(outcome, Way::Evacuate, Region::LONDON).is_some(), "London was not evacuated");
    let dublin = shifts(outcome).into_iter().filter(|(_, shift)| shift.region.as_str() == "eu-west-1").count();
    claims.holds(dublin == 0, format!("{dublin} orders for Dublin's traffic were taken"));
    claims.holds(!is_thrown(outcome, Region::DUBLIN), "Dublin's switch was thrown");
    let refused = outcome
        .world
        .entries()
        .into_iter()
        .filter(|it| it.what.contains("last_serving_region") && it.actor == "shift-traffic");
    let refused = refused.count();
    claims.holds(refused == 2, format!("{refused} refusals name the last serving Region"));
    let unpaid = unacknowledged(outcome);
    claims.holds(unpaid.is_empty(), format!("never acknowledged: {unpaid:?}"));
    claims.0
}

fn is_thrown(outcome: &Outcome, region: Region) -> bool {
    let held_in = if region == Region::DUBLIN { "eu-west-2" } else { "eu-west-1" };
    s3::exists(&outcome.world, &format!("payments-global-switch-{held_in}"), &format!("evacuate/{region}"))
}

/// Payments that nobody acknowledged, though their clients had two minutes.
fn unacknowledged(outcome: &Outcome) -> Vec<String> {
    let acknowledged: std::collections::BTreeSet<&str> = outcome
        .operations
        .iter()
        .filter(|it| matches!(it.told, Told::Acknowledged { .. }))
        .map(|it| it.key.as_str())
        .collect();
    let old = outcome.length.saturating_sub(Duration::from_secs(120));
    let begun = outcome.operations.iter().filter(|it| it.started < old && !acknowledged.contains(it.key.as_str()));
    begun.map(|it| it.key.clone()).collect()
}
