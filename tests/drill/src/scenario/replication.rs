//! Scenarios about replication, and about what failing over costs.

use std::time::Duration;

use bytes::Bytes;
use holdfast_payments::service::{ATTEMPTS_TABLE, bucket, host};
use holdfast_world::dynamodb::{self, ReplicaState};
use holdfast_world::{Caller, Limits, Region, World, aurora, s3, send};
use serde_json::json;

use super::{OUTAGE_AT, Scenario, approve, ask, at, auto};
use crate::deployment::{DATA_REGIONS, Setup, whole_rule};
use crate::expect::replication as expect;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) const LAG_SPIKE_THEN_DARK: Scenario = Scenario {
    name: "lag-spike-then-dark",
    about: "London falls 20 s behind, then Dublin goes dark: the price on the approval page is what is lost",
    length: Duration::from_secs(480),
    outage: true,
    setup: approve,
    script: |deployment| {
        at(deployment, OUTAGE_AT - Duration::from_secs(40), |world| {
            world.record("rds", "falls behind: the lag of eu-west-2 is 20 s");
            aurora::set_lag(world, Duration::from_secs(20));
        });
        at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
        at(deployment, OUTAGE_AT + Duration::from_secs(90), |world| {
            let request = json!({"action": "approve", "incident": "e1", "by": "ada", "comment": "we know the price"});
            ask(world, Region::LONDON, request);
        });
    },
    expect: expect::the_price_on_the_page_is_what_is_lost,
};

pub(super) const TABLE_STALLED: Scenario = Scenario {
    name: "table-stalled",
    about: "what Dublin writes into an asynchronous attempts table no longer reaches London; its metric reads 0",
    length: Duration::from_secs(420),
    outage: false,
    setup: asynchronous_attempts,
    script: |deployment| {
        let pause = |world: &World, paused| {
            dynamodb::pause_replication(world, ATTEMPTS_TABLE, Region::DUBLIN, Region::LONDON, paused);
        };
        at(deployment, OUTAGE_AT, move |world| pause(world, true));
        at(deployment, OUTAGE_AT + MINUTE * 2, move |world| pause(world, false));
    },
    expect: expect::a_stalled_table_is_told_and_its_recovery_too,
};

pub(super) const KMS_REVOKED: Scenario = Scenario {
    name: "kms-revoked",
    about: "London's replica of the attempts lost its key 18 hours ago: what is left until AWS removes it is counted down",
    length: Duration::from_secs(420),
    outage: false,
    setup: auto,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| {
            let since = world.now().checked_sub(Duration::from_secs(18 * 3600 - 150)).ok();
            let status = "INACCESSIBLE_ENCRYPTION_CREDENTIALS";
            let state = ReplicaState { status, inaccessible_since: since };
            dynamodb::set_replica_state(world, ATTEMPTS_TABLE, Region::LONDON, Some(state));
        });
    },
    expect: expect::a_replica_without_its_key_is_counted_down,
};

pub(super) const CRR_ONE_WAY: Scenario = Scenario {
    name: "crr-one-way",
    about: "receipts are replicated from Dublin to London only: London's would never reach Dublin, and that is found",
    length: Duration::from_secs(240),
    outage: false,
    setup: auto,
    script: |deployment| s3::set_rule(&deployment.world, bucket(Region::LONDON), None),
    expect: expect::a_one_way_set_up_is_found,
};

pub(super) const MREC_DOUBLE_KEY: Scenario = Scenario {
    name: "mrec-double-key",
    about: "both Regions accept one key within the lag of an asynchronous table: the double charge is found and listed",
    length: Duration::from_secs(300),
    outage: false,
    setup: asynchronous_attempts,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| {
            world.record("a client", "sends the payment twice-000001 to both Regions at once");
            DATA_REGIONS.into_iter().for_each(|region| post(world, region, "twice-000001"));
        });
    },
    expect: expect::a_double_charge_is_found_and_listed,
};

pub(super) const GATE_REFUSES_SWITCHOVER: Scenario = Scenario {
    name: "gate-refuses-switchover",
    about: "a person asks for a planned move while London's receipts do not reach Dublin: refused until they do",
    length: Duration::from_secs(480),
    outage: false,
    setup: approve,
    script: |deployment| {
        at(deployment, OUTAGE_AT - MINUTE, |world| {
            world.record("somebody", "deletes the replication rule of London's receipts");
            s3::set_rule(world, bucket(Region::LONDON), None);
        });
        at(deployment, OUTAGE_AT - Duration::from_secs(10), |world| {
            let world = world.clone();
            tokio::spawn(async move {
                let request = json!({"action": "gate"}).to_string();
                let answer = world.invoke(Region::LONDON, verify_replication::FUNCTION, request.into()).await;
                let said = answer.map_or_else(|why| why, |answer| format!("the gate is {}", answer["gate"]));
                world.record("verify-replication", said);
            });
        });
        at(deployment, OUTAGE_AT, |world| {
            ask(world, Region::LONDON, json!({"action": "switchover", "to": "eu-west-2", "by": "ada"}));
        });
        at(deployment, OUTAGE_AT + MINUTE, |world| {
            world.record("somebody", "restores the rule");
            s3::set_rule(world, bucket(Region::LONDON), Some(whole_rule(Region::DUBLIN)));
        });
    },
    expect: expect::a_planned_move_waits_for_replication,
};

fn asynchronous_attempts(setup: &mut Setup) {
    auto(setup);
    setup.asynchronous_attempts = true;
}

/// A client posts a payment to one Region and does not care for the answer.
fn post(world: &World, to: Region, key: &str) {
    let caller = Caller { name: "client".into(), region: Region::INTERNET, invocation: None };
    let body = json!({"key": key, "amount_minor": 4599, "currency": "EUR"}).to_string();
    let request = http::Request::post(format!("https://{}/payments", host(to))).body(Bytes::from(body));
    let world = world.clone();
    tokio::spawn(async move {
        if let Ok(request) = request {
            let _ = send(&world, &caller, request, Limits { connect: None, read: None }).await;
        }
    });
}
