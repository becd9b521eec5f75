//! What must come of the scenarios about replication and about the price of failing over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_domain::event::Event;
use holdfast_domain::incident::Phase;
use holdfast_domain::price::Price;
use holdfast_domain::replication::{Kind, ReplicationRecord};
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::all_items;
use holdfast_world::{Region, s3};

use super::{Claims, failed_over, still, told, told_once};
use crate::checker::Outcome;
use crate::deployment::TABLE;
use crate::scenario::OUTAGE_AT;

/// A round of three stores both ways costs fewer SDK calls than this.
const ROUND_CALLS_MAX: usize = 29;
/// Where the attempts table is asynchronous, a round also looks through the marks of the last minutes.
const SCAN_CALLS_MAX: usize = 16;
/// A round sees a canary within twice the lag and a second. S3 is the slowest of this world: 1.2 s, and once more as much
/// while S3 lags behind a rule that is new.
const ROUND_MAX: Duration = Duration::from_millis(2 * 1200 + 1000);

/// With a strongly consistent attempts table the loss is known to the payment, and people are told.
pub(super) fn the_loss_is_counted_exactly(outcome: &Outcome, claims: &mut Claims) {
    let loss = outcome.state.incident.as_ref().and_then(|incident| incident.loss.clone());
    let exact = matches!(&loss, Some(Price::Exact(counted)) if counted.lost == outcome.lost_totals);
    claims.holds(exact, format!("the loss is {loss:?}, and {} were lost", outcome.lost_totals));
    told(outcome, claims, &format!("exactly {}", outcome.lost_totals));
}

/// Twenty seconds of payments stand on the page that asks, and they are what is lost in the end.
pub(crate) fn the_price_on_the_page_is_what_is_lost(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    failed_over(outcome, &mut claims);
    let lost = &outcome.lost_totals;
    claims.holds(lost.count > 50, format!("{lost} were lost: the lag was no spike"));
    told(outcome, &mut claims, &format!("Loss if promoted now: {lost}"));
    let acceptance = outcome.state.incident.as_ref().and_then(|incident| incident.order.as_ref());
    let signed = acceptance.is_some_and(|order| order.to_string().contains(&format!("price {lost}")));
    claims.holds(signed, format!("the acceptance does not name the price: {acceptance:?}"));
    claims.0
}

/// What verify-replication remembers at the end of the run.
fn record(outcome: &Outcome) -> ReplicationRecord {
    let items = all_items(&outcome.world, TABLE);
    let of_us = |item: &&holdfast_world::dynamodb::Item| {
        item.get("pk").and_then(|pk| pk["S"].as_str()).is_some_and(|pk| pk.starts_with("replication#"))
    };
    let body = items.iter().find(of_us).and_then(|item| item.get("body")?["S"].as_str());
    body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
}

fn kinds(outcome: &Outcome) -> BTreeMap<String, Kind> {
    let links = record(outcome).links.into_iter();
    links.map(|it| (it.link.to_string(), it.verdict.state.kind())).collect()
}

/// Every round stays within its calls, and nothing is asked of a Region that has been dark for a while.
fn rounds_are_cheap(outcome: &Outcome, claims: &mut Claims, calls_max: usize) {
    let mut calls: BTreeMap<u64, usize> = BTreeMap::new();
    for request in outcome.world.requests().iter().filter(|it| &*it.caller.name == verify_replication::FUNCTION) {
        if let Some(invocation) = request.caller.invocation {
            *calls.entry(invocation).or_default() += 1;
        }
        let grace = OUTAGE_AT + Duration::from_secs(15);
        let leans = request.to_was_dark && request.at > grace;
        claims.holds(!leans, format!("{} was asked of dark {}", request.operation, request.to));
    }
    let most = calls.values().max().copied().unwrap_or(0);
    claims.holds(most > 5, "no round looked at anything");
    claims.holds(most <= calls_max, format!("a round cost {most} SDK calls, more than {calls_max}"));
}

/// How many changes of a link were put on the bus.
fn changes(outcome: &Outcome, link: &str) -> usize {
    let events = outcome.world.published();
    let changed = events.iter().filter(|(_, _, event)| event["detail-type"] == "ReplicationChanged");
    let parsed = changed.filter_map(|(_, _, event)| serde_json::from_value::<Event>(event["detail"].clone()).ok());
    parsed
        .filter(|event| matches!(event, Event::ReplicationChanged { change } if change.link.to_string() == link))
        .count()
}

pub(crate) fn a_stalled_table_is_told_and_its_recovery_too(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    let link = "attempts from eu-west-1 to eu-west-2";
    told(outcome, &mut claims, "Attempts from eu-west-1 to eu-west-2 does not replicate.");
    told(outcome, &mut claims, "ReplicationLatency has dropped to 0");
    told(outcome, &mut claims, "uniqueness across Regions is not guaranteed");
    told(outcome, &mut claims, "Attempts from eu-west-1 to eu-west-2 replicates again.");
    told_once(outcome, &mut claims);
    let kinds = kinds(outcome);
    claims.holds(kinds.values().all(|kind| *kind == Kind::InSync), format!("at the end: {kinds:?}"));
    let changes = changes(outcome, link);
    claims.holds(changes <= 6, format!("{changes} events for one stall and one recovery"));
    rounds_are_cheap(outcome, &mut claims, ROUND_CALLS_MAX + SCAN_CALLS_MAX);
    claims.0
}

pub(crate) fn a_replica_without_its_key_is_counted_down(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    let replica = "the replica of the attempts in eu-west-2 is INACCESSIBLE_ENCRYPTION_CREDENTIALS.";
    told(outcome, &mut claims, &format!("Gone for good in less than eight hours: {replica}"));
    told(outcome, &mut claims, &format!("Gone for good in less than two hours: {replica}"));
    told(outcome, &mut claims, "AWS takes it out of the table for good at 2026-11-24T16:09:30Z");
    told_once(outcome, &mut claims);
    let kind = kinds(outcome).get("attempts from eu-west-1 to eu-west-2").copied();
    claims.holds(kind == Some(Kind::Stalled), format!("the table is {kind:?}"));
    rounds_are_cheap(outcome, &mut claims, ROUND_CALLS_MAX);
    claims.0
}

pub(crate) fn a_one_way_set_up_is_found(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    told(outcome, &mut claims, "Receipts from eu-west-2 to eu-west-1 does not replicate.");
    told(outcome, &mut claims, "what is written in eu-west-2 never arrives");
    told_once(outcome, &mut claims);
    let kinds = kinds(outcome);
    let of = |link: &str| kinds.get(link).copied();
    claims.holds(of("receipts from eu-west-1 to eu-west-2") == Some(Kind::InSync), format!("the other way: {kinds:?}"));
    claims.holds(of("receipts from eu-west-2 to eu-west-1") == Some(Kind::Stalled), format!("this way: {kinds:?}"));
    let keys = |region| -> BTreeSet<String> {
        s3::all_objects(&outcome.world, bucket(region)).into_iter().map(|object| object.key).collect()
    };
    let (dublin, london) = (keys(Region::DUBLIN), keys(Region::LONDON));
    let born_in_london = |key: &&String| key.starts_with("receipts/eu-west-2/");
    claims.holds(london.iter().filter(born_in_london).count() > 50, "London wrote no receipts");
    claims.holds(dublin.iter().filter(born_in_london).count() == 0, "receipts of London are in Dublin all the same");
    rounds_are_cheap(outcome, &mut claims, ROUND_CALLS_MAX);
    claims.0
}

pub(crate) fn a_double_charge_is_found_and_listed(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    let twice = &outcome.charged_twice;
    claims.holds(twice == &["twice-000001"], format!("charged twice: {twice:?}"));
    told(outcome, &mut claims, "One payment was charged twice: both Regions accepted the same key.");
    told(outcome, &mut claims, "twice-000001: EUR 45.99 charged as net-");
    told_once(outcome, &mut claims);
    let listed: Vec<String> = record(outcome).doubles.into_iter().map(|one| one.key).collect();
    claims.holds(listed == ["twice-000001"], format!("listed: {listed:?}"));
    rounds_are_cheap(outcome, &mut claims, ROUND_CALLS_MAX + SCAN_CALLS_MAX);
    claims.0
}

pub(crate) fn a_planned_move_waits_for_replication(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    told(outcome, &mut claims, "switchover to eu-west-2 is blocked by replication.");
    told(outcome, &mut claims, "receipts from eu-west-2 to eu-west-1 is stalled: no rule replicates");
    let entries = outcome.world.entries();
    let shut = entries.iter().any(|entry| entry.what == r#"the gate is "closed""#);
    claims.holds(shut, "verify-replication did not shut the gate");
    let asked = outcome.world.requests().into_iter().find(|it| it.operation == "SwitchoverGlobalCluster");
    let early = asked.as_ref().is_some_and(|it| it.at < OUTAGE_AT + Duration::from_secs(60));
    claims.holds(!early, "RDS was asked while a store was not in sync");
    claims.holds(outcome.writer == Some(Region::LONDON), "the move did not go on when replication did");
    claims.holds(outcome.phase() == Some(Phase::Closed), format!("the incident is {:?}", outcome.phase()));
    claims.holds(outcome.lost.is_empty(), format!("lost: {}", outcome.lost_totals));
    told_once(outcome, &mut claims);
    rounds_are_cheap(outcome, &mut claims, ROUND_CALLS_MAX);
    calm_rounds_are_quick(outcome, &mut claims);
    claims.0
}

/// While everything replicates, a round is over within twice the lag and a second.
fn calm_rounds_are_quick(outcome: &Outcome, claims: &mut Claims) {
    let rounds = outcome.world.invoked().into_iter().filter(|it| it.function == verify_replication::FUNCTION);
    for round in rounds.filter(|it| it.started < OUTAGE_AT - Duration::from_secs(60)) {
        let took = round.ended - round.started;
        claims.holds(took <= ROUND_MAX, format!("a calm round took {} ms", took.as_millis()));
    }
}
