//! A file that one invocation does not settle, for whatever reason, is settled by those after it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::deployment::{Deployment, Setup, TABLE, deploy};
use holdfast_domain::reconciliation::{FileRecord, UnfinishedRuns};
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::all_items;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, s3};
use serde_json::{Value, json};

const FILE: &str = "holdfast/clearing/stripe/day.csv";
/// An invocation of the function is ended after so long.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A minute of payments and the network's file of them, with one payment that the ledger does not have.
fn with_a_file<F: Future<Output = ()>>(story: impl FnOnce(Deployment) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let setup = Setup { readers: false, payment_every: Duration::from_millis(2_000), ..Setup::standard(2) };
        let deployment = deploy(&setup);
        deployment.world.set_timeout(Region::DUBLIN, reconcile_ledger::FUNCTION, TIMEOUT);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let file = deployment.network.settlement_file();
        let line = file.lines().nth(5).unwrap();
        let (middle, _) = line.split_once(',').unwrap().1.rsplit_once(',').unwrap();
        let odd = format!("ch_odd,{middle},odd");
        s3::put_object(&deployment.world, bucket(Region::DUBLIN), FILE, format!("{file}{odd}\n").into()).unwrap();
        tokio::time::sleep(Duration::from_secs(35)).await;
        story(deployment).await;
    });
}

async fn ask(deployment: &Deployment, dry_run: bool) -> Result<Value, String> {
    let request = json!({"action": "reconcile", "pass": "clearing", "object": FILE, "dry_run": dry_run}).to_string();
    deployment.world.invoke(Region::DUBLIN, reconcile_ledger::FUNCTION, request.into()).await
}

fn bodies(deployment: &Deployment, partition: &str) -> Vec<String> {
    let items = all_items(&deployment.world, TABLE);
    let ours = items.iter().filter(|item| item["pk"]["S"] == format!("{partition}#payments-global").as_str());
    ours.map(|item| item["body"]["S"].as_str().unwrap().to_owned()).collect()
}

/// Whether the file's bytes are known as settled.
fn is_settled(deployment: &Deployment) -> bool {
    let files = bodies(deployment, "clearing-file");
    files.iter().any(|body| serde_json::from_str::<FileRecord>(body).unwrap().refused.is_none())
}

/// What the table says of the run: the finding of the last one.
fn finding(deployment: &Deployment) -> Value {
    let runs = bodies(deployment, "ledger-run");
    let run = runs.iter().find(|body| body.contains("\"clearing-")).unwrap_or_else(|| panic!("no run was told"));
    serde_json::from_str::<Value>(run).unwrap()["summary"]["finding"]["complete"].clone()
}

fn unfinished(deployment: &Deployment) -> usize {
    let lists = bodies(deployment, "unfinished");
    lists.iter().map(|body| serde_json::from_str::<UnfinishedRuns>(body).unwrap().runs.len()).sum()
}

#[test]
fn a_run_without_time_is_unknown_at_first_and_settled_by_the_next_minutes() {
    with_a_file(|deployment| async move {
        let expected = ask(&deployment, true).await.unwrap()["summary"]["finding"]["complete"].clone();
        assert_eq!(expected["others"], json!({"NetworkOnly": 1}), "{expected}");
        deployment.world.set_timeout(Region::DUBLIN, reconcile_ledger::FUNCTION, Duration::from_secs(19));
        let answer = ask(&deployment, false).await.unwrap();
        let unknown = &answer["summary"]["finding"]["unknown"];
        assert!(unknown["resume"].as_str().unwrap().contains("goes on by itself"), "{answer}");
        assert_eq!((is_settled(&deployment), unfinished(&deployment)), (false, 1));
        // Still no time: nothing is begun that cannot end, and nothing is lost.
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((is_settled(&deployment), unfinished(&deployment)), (false, 1));
        deployment.world.set_timeout(Region::DUBLIN, reconcile_ledger::FUNCTION, TIMEOUT);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((is_settled(&deployment), unfinished(&deployment)), (true, 0));
        assert_eq!(finding(&deployment), expected);
    });
}

/// Law 6: the function dies before and after each of its calls, those of the resumed run too.
#[test]
fn a_run_that_dies_anywhere_is_settled_by_the_next_minutes() {
    let expected = std::sync::Mutex::new(Value::Null);
    with_a_file(|deployment| async {
        *expected.lock().unwrap() = ask(&deployment, true).await.unwrap()["summary"]["finding"]["complete"].clone();
        drop(deployment);
    });
    for call in 0..40 {
        for effect in [CallEffect::KillBefore, CallEffect::KillAfter] {
            with_a_file(|deployment| async {
                let deployment = deployment;
                let ours = CallMatch { caller: Some(reconcile_ledger::FUNCTION.to_owned()), ..CallMatch::default() };
                // A second one dies too: the run that goes on, or the one that goes on with that.
                deployment.world.inject(CallFault::new(ours.clone(), call..call + 1, effect));
                deployment.world.inject(CallFault::new(ours, call + 13..call + 14, effect));
                let asked = ask(&deployment, false).await;
                // Before the note there is nothing to go on with: S3's event is repeated by Lambda.
                if asked.is_err() && unfinished(&deployment) == 0 {
                    let _ = ask(&deployment, false).await;
                }
                tokio::time::sleep(TIMEOUT + Duration::from_secs(250)).await;
                let state = (is_settled(&deployment), unfinished(&deployment));
                assert_eq!(state, (true, 0), "call {call}, {effect:?}: {asked:?}");
                assert_eq!(finding(&deployment), *expected.lock().unwrap(), "call {call}, {effect:?}");
            });
        }
    }
}
