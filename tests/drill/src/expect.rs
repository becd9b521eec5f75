//! What must come of each scenario. An empty list is what one hopes for; every entry says what did not hold.

use holdfast_domain::incident::Phase;
use holdfast_report::{Kind, Waterfall as Figures};
use holdfast_world::Region;
use holdfast_world::sns::Letter;

use crate::checker::Outcome;

pub(crate) mod failback;
pub(crate) mod ledger;
pub(crate) mod paging;
pub(crate) mod replication;
pub(crate) mod traffic;

/// Collects what does not hold.
struct Claims(Vec<String>);

impl Claims {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn holds(&mut self, claim: bool, otherwise: impl Into<String>) {
        if !claim {
            self.0.push(otherwise.into());
        }
    }

    fn at_most(&mut self, what: &str, found: Option<i64>, most_ms: i64) {
        match found {
            Some(found) if found <= most_ms => {}
            Some(found) => self.0.push(format!("{what} took {found} ms, more than {most_ms}")),
            None => self.0.push(format!("{what} did not happen")),
        }
    }
}

fn between(from: Option<i64>, to: Option<i64>) -> Option<i64> {
    from.zip(to).map(|(from, to)| to - from)
}

pub(crate) fn one_failover_in_a_minute(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let Figures {
        first_failed_probe_ms: probe,
        confirmed_ms: confirmed,
        rds_called_ms: called,
        first_page_sent_ms: paged,
        first_durable_payment_ms: durable,
        ..
    } = outcome.waterfall.figures;
    claims.at_most("from the first failed probe to confirmation", between(probe, confirmed), 12_000);
    claims.at_most("from the decision to the call to RDS", between(confirmed, called), 1_000);
    claims.at_most("from confirmation to a page", between(confirmed, paged), 5_000);
    // On real parts what AWS takes is an argument, and ours is judged apart from it.
    if outcome.kind == Kind::Simulated {
        claims.at_most("from the outage to the first durable write in London", durable, 60_000);
    }
    failed_over(outcome, &mut claims);
    claims.0
}

fn failed_over(outcome: &Outcome, claims: &mut Claims) {
    let calls = outcome.calls("FailoverGlobalCluster");
    claims.holds(calls == 1, format!("FailoverGlobalCluster was sent {calls} times"));
    let accepted = outcome.accepted.len();
    claims.holds(accepted == 1, format!("RDS took on {accepted} operations"));
    claims.holds(outcome.writer == Some(Region::LONDON), format!("the writer is in {:?}", outcome.writer));
    let phase = outcome.phase();
    claims.holds(phase == Some(Phase::Restored), format!("the incident is {phase:?} and not Restored"));
    told(outcome, claims, "is dark");
    told(outcome, claims, "Writes work in eu-west-2");
    replication::the_loss_is_counted_exactly(outcome, claims);
    told_once(outcome, claims);
}

fn told(outcome: &Outcome, claims: &mut Claims, part: &str) {
    let found = outcome.letters.iter().any(|letter| letter.message.contains(part));
    claims.holds(found, format!("nobody was told “{part}”"));
}

/// No state is paged twice.
fn told_once(outcome: &Outcome, claims: &mut Claims) {
    let pages = pages(outcome);
    for (index, page) in pages.iter().enumerate() {
        let again = pages.iter().skip(index + 1).any(|later| later.subject == page.subject);
        claims.holds(!again, format!("paged twice: {}", page.subject));
    }
}

/// What Holdfast sent; what CloudWatch itself mails from us-east-1 is not ours.
fn pages(outcome: &Outcome) -> Vec<&Letter> {
    outcome.letters.iter().filter(|letter| letter.region != Region::N_VIRGINIA).collect()
}

fn still(outcome: &Outcome, claims: &mut Claims) {
    let calls = outcome.calls("FailoverGlobalCluster") + outcome.calls("SwitchoverGlobalCluster");
    claims.holds(calls == 0, format!("RDS was asked {calls} times to promote"));
    claims.holds(outcome.writer == Some(Region::DUBLIN), format!("the writer is in {:?}", outcome.writer));
    claims.holds(outcome.lost.is_empty(), format!("lost: {}", outcome.lost_totals));
}

pub(crate) fn nothing_moves(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    still(outcome, &mut claims);
    claims.holds(outcome.state.incident.is_none(), "an incident was opened");
    claims.0
}

pub(crate) fn nobody_is_woken_and_nothing_moves(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims(nothing_moves(outcome));
    let woken: Vec<&str> =
        outcome.letters.iter().filter(|it| it.region != Region::N_VIRGINIA).map(|it| it.subject.as_str()).collect();
    claims.holds(woken.is_empty(), format!("paged: {}", woken.join("; ")));
    claims.0
}

pub(crate) fn a_page_and_nothing_moves(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims(nothing_moves(outcome));
    let pages = pages(outcome).len();
    claims.holds(pages > 0, "nobody was paged");
    // Each of two Regions may look doubtful to the other, and the ledger stands still between them.
    claims.holds(pages <= 3, format!("{pages} pages for one condition"));
    told_once(outcome, &mut claims);
    claims.0
}

pub(crate) fn one_lossless_switchover(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let calls = outcome.calls("SwitchoverGlobalCluster");
    claims.holds(calls == 1, format!("SwitchoverGlobalCluster was sent {calls} times"));
    claims.holds(outcome.calls("FailoverGlobalCluster") == 0, "FailoverGlobalCluster was sent");
    claims.holds(outcome.accepted.iter().all(|it| !it.failover), "RDS was told to accept loss");
    let asked_in: Vec<Region> =
        outcome.requests.iter().filter(|it| it.operation == "SwitchoverGlobalCluster").map(|it| it.to).collect();
    claims.holds(asked_in == [Region::DUBLIN], format!("it was asked in {asked_in:?} and not in the primary's Region"));
    claims.holds(outcome.writer == Some(Region::LONDON), format!("the writer is in {:?}", outcome.writer));
    claims.holds(outcome.lost.is_empty(), format!("lost: {}", outcome.lost_totals));
    claims.holds(outcome.phase() == Some(Phase::Closed), format!("the incident is {:?}", outcome.phase()));
    told(outcome, &mut claims, "Nothing was lost.");
    told_once(outcome, &mut claims);
    claims.0
}

/// There and back: two moves, two epochs, each in its own direction.
pub(crate) fn there_and_back(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let moves: Vec<(bool, Region)> = outcome.accepted.iter().map(|it| (it.failover, it.to)).collect();
    claims.holds(moves == [(false, Region::LONDON), (false, Region::DUBLIN)], format!("RDS took on {moves:?}"));
    claims.holds(outcome.state.epoch == 2, format!("the epoch is {}", outcome.state.epoch));
    claims.holds(outcome.writer == Some(Region::DUBLIN), format!("the writer is in {:?}", outcome.writer));
    claims.holds(outcome.lost.is_empty(), format!("lost: {}", outcome.lost_totals));
    claims.holds(outcome.phase() == Some(Phase::Closed), format!("the incident is {:?}", outcome.phase()));
    claims.0
}

pub(crate) fn one_approved_failover(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    failed_over(outcome, &mut claims);
    told(outcome, &mut claims, "Approve the failover");
    let early = outcome.waterfall.rds_called_ms.is_some_and(|called| called < 120_000);
    claims.holds(!early, "RDS was asked before anybody had approved");
    claims.0
}

pub(crate) fn a_veto_that_holds(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let calls = outcome.calls("FailoverGlobalCluster");
    claims.holds(calls == 0, format!("RDS was asked {calls} times in spite of the veto"));
    claims.holds(outcome.phase() == Some(Phase::Blocked), format!("the incident is {:?}", outcome.phase()));
    told(outcome, &mut claims, "vetoed by grace");
    told_once(outcome, &mut claims);
    claims.0
}

pub(crate) fn a_shadow_and_nothing_moves(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let calls = outcome.calls("FailoverGlobalCluster");
    claims.holds(calls == 0, format!("RDS was asked {calls} times in observe mode"));
    told(outcome, &mut claims, "it would fail over to");
    told_once(outcome, &mut claims);
    claims.0
}

pub(crate) fn blocked_by_a_headless_target(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    claims.holds(outcome.calls("FailoverGlobalCluster") == 0, "RDS was asked to promote a cluster without instances");
    claims.holds(outcome.phase() == Some(Phase::Blocked), format!("the incident is {:?}", outcome.phase()));
    told(outcome, &mut claims, "target_headless");
    told(outcome, &mut claims, "aws rds create-db-instance --region eu-west-2");
    told_once(outcome, &mut claims);
    let paged = outcome.waterfall.first_page_sent_ms;
    claims.at_most("from the outage to the page", paged, 17_000);
    claims.0
}

pub(crate) fn the_old_volume_is_secured(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let secured = outcome.state.incident.as_ref().and_then(|incident| incident.secured_snapshot.clone());
    claims.holds(secured.is_some(), "the old volume's snapshot was not copied");
    claims.holds(outcome.phase() == Some(Phase::Reconciling), format!("the incident is {:?}", outcome.phase()));
    claims.holds(outcome.calls("CopyDBClusterSnapshot") == 1, "the snapshot was not copied exactly once");
    claims.holds(outcome.writer == Some(Region::LONDON), "the writer moved back by itself");
    let calls = outcome.calls("FailoverGlobalCluster");
    claims.holds(calls == 1, format!("FailoverGlobalCluster was sent {calls} times"));
    told(outcome, &mut claims, "eu-west-1 is back");
    told_once(outcome, &mut claims);
    let events = outcome.world.published();
    let compared = events.iter().find(|(_, _, event)| event["detail-type"] == "ReceiptsReconciled");
    let summary = compared.map(|(_, _, event)| event["detail"]["summary"].clone()).unwrap_or_default();
    let keys =
        summary["plan"].as_object().map_or(0, |classes| classes.values().filter_map(|it| it["keys"].as_u64()).sum());
    claims.holds(keys > 100, format!("the receipts were not compared when Dublin was back: {summary}"));
    let unclear = ["Conflict", "Uncheckable", "Erased", "Failed"].iter().any(|class| !summary["plan"][class].is_null());
    claims.holds(!unclear, format!("one outage leaves no receipt that a person must look at: {summary}"));
    claims.0
}
