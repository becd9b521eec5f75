//! The way back to Dublin: refused while anything speaks against it, then a switchover, then traffic.

use std::time::Duration;

use holdfast_domain::event::Event;
use holdfast_domain::policy::Mode;
use holdfast_domain::reconciliation::Finding;
use holdfast_payments::history::Told;
use holdfast_world::aurora::{LedgerRow, Statement, set_lag, through_writer_endpoint};
use holdfast_world::{Region, World};
use serde_json::json;

use super::traffic::{ask_shift, both_are_compared, with_traffic};
use super::{OUTAGE_AT, Scenario, asked_of, at, ledger, mode};
use crate::deployment::{Deployment, Setup};
use crate::expect;

pub(super) const FAILBACK_CLEAN: Scenario = Scenario {
    name: "failback-clean",
    about: "Dublin was dark for ten minutes; what was lost is booked, everything is compared and attested, and a person moves writer and traffic back",
    length: Duration::from_secs(1980),
    outage: true,
    setup: after_an_outage,
    script: |deployment| {
        until_dublin_is_rebuilt(deployment);
        let history = deployment.history.clone();
        at(deployment, seconds(1080), move |world| {
            let (world, history) = (world.clone(), history.operations());
            tokio::spawn(async move { book_what_was_lost(&world, &history).await });
        });
        ask(
            deployment,
            1100,
            Region::LONDON,
            reconcile_ledger::FUNCTION,
            json!({"action": "reconcile", "pass": "now"}),
        );
        ledger::a_later_file_lands(deployment, seconds(1110));
        put_in_order_and_ask_for_failback(deployment);
        both_are_compared(deployment, seconds(1490));
        let restore = json!({"action": "restore", "region": "eu-west-1", "by": "ada"});
        ask_shift(deployment, TRAFFIC_BACK_AT, Region::LONDON, restore);
    },
    expect: expect::failback::writer_and_traffic_are_back,
};

pub(super) const FAILBACK_REFUSED_LEDGER_DIRTY: Scenario = Scenario {
    name: "failback-refused-ledger-dirty",
    about: "Dublin was dark for ten minutes, and a person wants to go back before the lost payments are booked: refused, with the evidence",
    length: Duration::from_secs(1500),
    outage: true,
    setup: after_an_outage,
    script: |deployment| {
        until_dublin_is_rebuilt(deployment);
        put_in_order_and_ask_for_failback(deployment);
    },
    expect: expect::failback::refused_while_payments_are_missing,
};

/// When the writer is asked back.
pub(crate) const FAILBACK_AT: Duration = Duration::from_secs(1260);
/// When traffic is asked back.
pub(crate) const TRAFFIC_BACK_AT: Duration = Duration::from_secs(1500);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn after_an_outage(setup: &mut Setup) {
    with_traffic(setup);
    mode(setup, Mode::Auto);
    // Half an hour of payments: one a second from each cohort shows the same.
    setup.payment_every = setup.payment_every.max(Duration::from_secs(1));
}

/// Dublin is lost, London takes over, and a person keeps traffic away from what comes back.
fn until_dublin_is_rebuilt(deployment: &Deployment) {
    // Three seconds behind, so that there is something to lose at a payment a second.
    at(deployment, OUTAGE_AT - seconds(10), |world| set_lag(world, seconds(3)));
    at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
    ledger::the_clearing_file_lands(deployment, OUTAGE_AT + seconds(240));
    // Readiness is what was known before: nothing can be compared with a Region that is dark.
    both_are_compared(deployment, seconds(60));
    let evacuate = json!({"action": "evacuate", "region": "eu-west-1", "by": "ada", "comment": "until it is rebuilt"});
    ask_shift(deployment, seconds(400), Region::LONDON, evacuate);
    let lag = deployment.lag;
    at(deployment, OUTAGE_AT + seconds(600), move |world| {
        set_lag(world, lag);
        world.come_back(Region::DUBLIN);
    });
}

/// Receipts are reconciled, alarms and plan attested, and the writer is asked back: once to see what speaks against it.
fn put_in_order_and_ask_for_failback(deployment: &Deployment) {
    let apply = json!({"action": "apply_receipts", "by": "ada"});
    ask(deployment, 1120, Region::LONDON, reconcile_receipts::FUNCTION, apply);
    ask(deployment, 1180, Region::LONDON, reconcile_receipts::FUNCTION, json!({"action": "plan_receipts"}));
    let early = json!({"action": "failback", "to": "eu-west-1", "by": "ada", "dry_run": true});
    ask(deployment, 1190, Region::DUBLIN, promote_aurora::FUNCTION, early);
    for (guard, evidence) in
        [("alarms_moved", "the ledger's alarms name eu-west-2"), ("plan_clean", "plan 4711: no changes")]
    {
        let attest =
            json!({"action": "attest", "incident": "e1", "guard": guard, "by": "pipeline", "evidence": evidence});
        ask(deployment, 1200, Region::LONDON, promote_aurora::FUNCTION, attest);
    }
    let back = json!({"action": "failback", "to": "eu-west-1", "by": "ada", "comment": "Dublin is rebuilt"});
    ask(deployment, FAILBACK_AT.as_secs(), Region::DUBLIN, promote_aurora::FUNCTION, back);
}

fn ask(deployment: &Deployment, when: u64, region: Region, function: &'static str, request: serde_json::Value) {
    at(deployment, seconds(when), move |world| {
        let world = world.clone();
        tokio::spawn(async move { asked_of(&world, region, function, &request).await });
    });
}

/// The payments team books what reconcile-ledger has listed; it never does so itself.
async fn book_what_was_lost(world: &World, history: &[holdfast_payments::history::Operation]) {
    let told = world.published().into_iter().rev().find_map(|(_, _, event)| {
        match serde_json::from_value(event["detail"].clone()) {
            Ok(Event::LedgerReconciled { summary }) => match summary.finding {
                Finding::Complete(found) => Some(found.lost_keys),
                Finding::Unknown { .. } => None,
            },
            Ok(_) | Err(_) => None,
        }
    });
    for key in told.unwrap_or_default() {
        let acknowledged = history.iter().find_map(|operation| match &operation.told {
            Told::Acknowledged { network_reference } if operation.key == key => Some(LedgerRow {
                attempt_key: key.clone(),
                network_reference: network_reference.clone(),
                amount_minor: operation.amount_minor,
                currency: operation.currency.clone(),
            }),
            Told::Acknowledged { .. } | Told::Refused { .. } | Told::Nothing => None,
        });
        let Some(row) = acknowledged else { continue };
        world.record("payments team", format!("books {key}, as proposed"));
        if let Err(error) = through_writer_endpoint(world, Region::LONDON, Statement::Book(row)).await {
            world.record("payments team", format!("could not book {key}: {error:?}"));
        }
    }
}
