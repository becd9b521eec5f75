//! Absence is unknown (law 1), as verify-replication keeps it: each of its calls is struck, one at a time, and no round
//! ever takes a missing answer for "in sync". And what a round costs while all is well.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use drill::deployment::{Deployment, Setup, deploy};
use holdfast_payments::service::bucket;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{RecordedRequest, Region, World, s3};
use serde_json::Value;

/// The function's own time-out, and far more than a round needs.
const TIMEOUT: Duration = Duration::from_secs(60);

fn healthy(seed: u64) -> Deployment {
    let promotion = Duration::from_secs(10);
    deploy(&Setup { promotion, payments_until: Duration::from_secs(300), ..Setup::standard(seed) })
}

struct Round {
    answer: Result<Value, String>,
    took: Duration,
    calls: Vec<RecordedRequest>,
}

/// One round by hand in London, after two well minutes and a half.
fn round(seed: u64, trouble: impl FnOnce(&Deployment)) -> Round {
    round_of_a_day(seed, |_| {}, trouble)
}

/// One round by hand in London, after two and a half minutes with what a day brings, and one trouble just before it.
fn round_of_a_day(seed: u64, day: impl FnOnce(&Deployment), trouble: impl FnOnce(&Deployment)) -> Round {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let deployment = healthy(seed);
        day(&deployment);
        tokio::time::sleep(Duration::from_secs(150)).await;
        trouble(&deployment);
        let world = &deployment.world;
        let (before, started) = (world.requests().len(), world.elapsed());
        let request = r#"{"action":"verify"}"#;
        let answer = world.invoke(Region::LONDON, verify_replication::FUNCTION, request.into()).await;
        let took = world.elapsed() - started;
        let ours = |request: &RecordedRequest| &*request.caller.name == verify_replication::FUNCTION;
        let calls = world.requests().into_iter().skip(before).filter(ours).collect();
        Round { answer, took, calls }
    })
}

/// The kind of each link.
fn kinds(answer: &Value) -> BTreeMap<String, String> {
    let links = answer["links"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    links.iter().map(|link| (text(&link["link"]), text(&link["kind"]))).collect()
}

#[test]
fn a_round_while_all_is_well_is_in_sync_cheap_and_quick() {
    for seed in 1..=5 {
        let round = round(seed, |_| {});
        let kinds = kinds(&round.answer.unwrap());
        assert_eq!(kinds.len(), 5, "{kinds:?}");
        assert!(kinds.values().all(|kind| kind == "in_sync"), "{kinds:?}");
        assert!(round.calls.len() < 30, "{} SDK calls", round.calls.len());
        // The slowest store of this world takes at most 1.2 s.
        let most = Duration::from_millis(2 * 1200 + 1000);
        assert!(round.took <= most, "{:?}", round.took);
    }
}

/// Which link a call bears on: when it fails, that link must not be called in sync.
fn bears_on(call: &RecordedRequest) -> &'static str {
    match (call.service, call.operation.as_str()) {
        ("rds", _) => "ledger",
        ("monitoring", _) if call.to == Region::LONDON => "ledger",
        // An object that could not be looked for is looked for again within the round.
        ("s3", "HeadObject") => "",
        ("s3", _) => "receipts",
        ("dynamodb", "DescribeTable") => "attempts",
        (_, _) => "",
    }
}

#[test]
fn whatever_single_call_fails_nothing_is_in_sync_for_want_of_it() {
    let calm = round(1, |_| {});
    let throttled = CallEffect::Error { status: 400, code: "ThrottlingException" };
    for (number, call) in (0u64..).zip(&calm.calls) {
        for effect in [throttled, CallEffect::LoseRequest, CallEffect::LoseAnswer] {
            let struck = round(1, |deployment| {
                let caller = Some(verify_replication::FUNCTION.to_owned());
                let matches = CallMatch { caller, from: Some(Region::LONDON), ..CallMatch::default() };
                deployment.world.inject(CallFault::new(matches, number..number + 1, effect));
            });
            let what = format!("call {number} ({} {} in {}) {effect:?}", call.service, call.operation, call.to);
            assert!(struck.took < TIMEOUT / 2, "{what}: {:?}", struck.took);
            let Ok(answer) = struck.answer else { continue };
            let store = bears_on(call);
            let kinds = kinds(&answer);
            let doubtful = kinds.iter().any(|(link, kind)| link.starts_with(store) && kind != "in_sync");
            assert!(store.is_empty() || doubtful, "{what}: {kinds:?}");
        }
    }
}

#[test]
fn of_a_dark_peer_nothing_is_known_and_nothing_is_asked() {
    let round = round(1, |deployment| deployment.world.go_dark(Region::DUBLIN));
    // Nobody knows yet that Dublin is dark: what was asked of it is given up in time.
    let found = kinds(&round.answer.unwrap());
    assert!(found.values().all(|kind| kind != "in_sync"), "{found:?}");
    assert!(round.took < Duration::from_secs(10), "{:?}", round.took);
}

#[test]
fn receipts_that_failed_are_counted_after_the_rule_is_whole_again() {
    let turn = |world: &World, broken| {
        let rule = s3::Rule {
            destination: bucket(Region::LONDON),
            delete_markers: true,
            replica_modifications: true,
            kms_objects: true,
            broken,
        };
        s3::set_rule(world, bucket(Region::DUBLIN), Some(rule));
    };
    let day = |deployment: &Deployment| {
        let second = Duration::from_secs;
        deployment.world.after(second(100), move |world| turn(world, true));
        deployment.world.after(second(110), move |world| turn(world, false));
    };
    let found = kinds(&round_of_a_day(1, day, |_| {}).answer.unwrap());
    assert_eq!(found["receipts from eu-west-1 to eu-west-2"], "stalled", "{found:?}");
    assert_eq!(found["receipts from eu-west-2 to eu-west-1"], "in_sync", "{found:?}");
}
