//! reconcile-ledger beside the drill's scenarios: broken files, files that come twice, the list of attempts in doubt, the old
//! volume, and calls that are struck.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drill::deployment::{Deployment, Setup, TABLE, deploy};
use holdfast_domain::policy::Mode;
use holdfast_domain::reconciliation::InDoubt;
use holdfast_payments::history::Told;
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::all_items;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, aurora, s3};
use serde_json::{Value, json};

const OUTAGE: Duration = Duration::from_secs(120);
const FOLDER: &str = "holdfast/clearing/stripe";

/// Runs a story in a world of its own in which Dublin goes dark after two minutes, with 900 ms of payments not replicated.
fn outage<F: Future<Output = ()>>(seed: u64, story: impl FnOnce(Deployment) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (payment_every, lag) = (Duration::from_millis(200), Duration::from_millis(900));
        let mut setup = Setup { readers: false, payment_every, lag, ..Setup::standard(seed) };
        setup.config.policy.mode = Mode::Auto;
        let deployment = deploy(&setup);
        deployment.world.after(OUTAGE, |world| world.go_dark(Region::DUBLIN));
        story(deployment).await;
    });
}

async fn ask(deployment: &Deployment, request: Value) -> Result<Value, String> {
    deployment.world.invoke(Region::LONDON, reconcile_ledger::FUNCTION, request.to_string().into()).await
}

async fn until(deployment: &Deployment, after_outage_s: u64) {
    let elapsed = deployment.world.elapsed();
    tokio::time::sleep((OUTAGE + Duration::from_secs(after_outage_s)).saturating_sub(elapsed)).await;
}

/// Puts a file into London's bucket and has it settled.
async fn settle(deployment: &Deployment, key: &str, file: &str) -> Value {
    s3::put_object(&deployment.world, bucket(Region::LONDON), key, file.to_owned().into()).unwrap();
    ask(deployment, json!({"action": "reconcile", "pass": "clearing", "object": key})).await.unwrap()
}

fn keys_in_bucket(deployment: &Deployment, prefix: &str) -> Vec<String> {
    let all = s3::all_objects(&deployment.world, bucket(Region::LONDON)).into_iter();
    all.filter(|seen| !seen.deleted && seen.key.starts_with(prefix)).map(|seen| seen.key).collect()
}

fn told(deployment: &Deployment, part: &str) -> bool {
    deployment.world.inbox().iter().any(|letter| letter.message.contains(part) || letter.subject.contains(part))
}

/// What clients were told is paid, and London's ledger lacks.
fn lost(deployment: &Deployment) -> BTreeSet<String> {
    let rows = aurora::rows(&deployment.world, Region::LONDON);
    let booked: BTreeSet<String> = rows.into_iter().map(|row| row.attempt_key).collect();
    let acknowledged = deployment.history.operations().into_iter();
    let acknowledged = acknowledged.filter(|it| matches!(it.told, Told::Acknowledged { .. })).map(|it| it.key);
    acknowledged.filter(|key| !booked.contains(key)).collect()
}

fn listed(answer: &Value) -> BTreeSet<String> {
    let keys = answer["summary"]["finding"]["complete"]["lost_keys"].as_array().cloned().unwrap_or_default();
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// The list as the payments tier reads it.
fn in_doubt(deployment: &Deployment) -> BTreeMap<String, InDoubt> {
    let items = all_items(&deployment.world, TABLE);
    let ours = items.iter().filter(|item| item["pk"]["S"] == "in-doubt#payments-global");
    let entries = ours.map(|item| serde_json::from_str::<InDoubt>(item["body"]["S"].as_str().unwrap()).unwrap());
    entries.map(|entry| (entry.key.clone(), entry)).collect()
}

#[test]
fn a_broken_file_is_told_with_its_place_put_aside_and_nothing_of_it_is_used() {
    outage(1, |deployment| async move {
        until(&deployment, 150).await;
        let whole = deployment.network.settlement_file();
        let cut = &whole[..whole.len() - 40];
        let key = format!("{FOLDER}/cut.csv");
        let answer = settle(&deployment, &key, cut).await;
        let line = whole.lines().count();
        let problem = answer["refused"].as_str().unwrap_or_default().to_owned();
        assert!(problem.contains(&format!("line or record {line}, byte ")), "{answer}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(told(&deployment, &format!("line or record {line}, byte ")), "nobody was told the place");
        assert_eq!(keys_in_bucket(&deployment, "holdfast/quarantine/").len(), 1);
        assert_eq!(keys_in_bucket(&deployment, &key), [key.as_str()], "the original was deleted");
        assert!(
            keys_in_bucket(&deployment, "holdfast/reconcile-ledger/clearing").is_empty(),
            "there is a report of it"
        );
        let clearing = in_doubt(&deployment).values().any(|entry| entry.run.starts_with("clearing"));
        assert!(!clearing, "something of it was written into the list");
        let again = ask(&deployment, json!({"action": "reconcile", "pass": "clearing", "object": key})).await.unwrap();
        assert!(again["refused"].as_str().unwrap().contains("its bytes were refused"), "{again}");
        let good = settle(&deployment, &format!("{FOLDER}/whole.csv"), &whole).await;
        assert_eq!(listed(&good), lost(&deployment), "{good}");
    });
}

/// The last payments are booked a moment after the network has charged them: without their keys they are found all the same.
#[test]
fn what_was_booked_after_the_files_last_record_is_not_taken_for_missing() {
    outage(1, |deployment| async move {
        until(&deployment, 150).await;
        let file = deployment.network.settlement_file();
        let last = file.trim_end().rsplit(',').next().unwrap().to_owned();
        let answer = settle(&deployment, &format!("{FOLDER}/k.csv"), &file.replace(&last, "")).await;
        let found = &answer["summary"]["finding"]["complete"];
        assert_eq!((listed(&answer), &found["others"]), (lost(&deployment), &json!({})), "{answer}");
    });
}

#[test]
fn files_of_every_kind_of_damage_are_named() {
    outage(2, |deployment| async move {
        until(&deployment, 0).await;
        let whole = deployment.network.settlement_file();
        let header = whole.lines().next().unwrap();
        for (name, file, part) in [
            ("empty", String::new(), "the file has no records"),
            ("header", format!("{header}\n"), "0 records is a failure"),
            ("column", whole.replace("gross", "gros"), "there is no column `gross`"),
            ("type", whole.replacen(",charge,", ",chargé,", 1), "unknown type"),
            ("currency", whole.replacen(",eur,", ",eux,", 1), "unknown currency `eux`"),
            ("amount", whole.replacen(".", ",", 1), "the row has 11 fields and the header 10"),
        ] {
            let answer = settle(&deployment, &format!("{FOLDER}/{name}.csv"), &file).await;
            assert_eq!(answer["done"], "put aside", "{name}: {answer}");
            assert!(answer["refused"].as_str().unwrap().contains(part), "{name}: {answer}");
        }
    });
}

#[test]
fn the_same_bytes_are_settled_once_and_refused_under_another_key() {
    outage(3, |deployment| async move {
        until(&deployment, 150).await;
        let file = deployment.network.settlement_file();
        let first = settle(&deployment, &format!("{FOLDER}/monday.csv"), &file).await;
        assert_eq!(first["done"], "told", "{first}");
        let reports = keys_in_bucket(&deployment, "holdfast/reconcile-ledger/clearing");
        assert_eq!(reports.len(), 4, "{reports:?}");
        let again = settle(&deployment, &format!("{FOLDER}/tuesday.csv"), &file).await;
        let refused = again["refused"].as_str().unwrap_or_default();
        assert!(refused.contains("monday.csv, which was settled at"), "{again}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(told(&deployment, "tuesday.csv cannot be used"), "nobody was told");
        assert_eq!(keys_in_bucket(&deployment, "holdfast/reconcile-ledger/clearing"), reports);
    });
}

#[test]
fn attempts_in_doubt_are_listed_while_nobody_knows_and_settled_by_the_pass_that_does() {
    outage(4, |deployment| async move {
        until(&deployment, 60).await;
        let open = |deployment: &Deployment| -> BTreeSet<String> {
            in_doubt(deployment).into_values().filter(|it| it.settled.is_none()).map(|it| it.key).collect()
        };
        let at_first = open(&deployment);
        assert!(!at_first.is_empty(), "nothing is in doubt after an outage: the world is too kind");
        until(&deployment, 200).await;
        settle(&deployment, &format!("{FOLDER}/day.csv"), &deployment.network.settlement_file()).await;
        assert_eq!(open(&deployment), BTreeSet::new());
        let settled = in_doubt(&deployment);
        assert!(at_first.iter().all(|key| settled[key].version == 2), "an entry was settled twice, or lost");
        let answer = ask(&deployment, json!({"action": "status"})).await.unwrap();
        assert_eq!(answer["in_doubt"], json!([]), "{answer}");
    });
}

#[test]
fn a_second_look_changes_nothing() {
    outage(5, |deployment| async move {
        until(&deployment, 200).await;
        assert!(lost(&deployment).len() > 2, "the outage has cost nothing: the world is too kind");
        let now = json!({"action": "reconcile", "pass": "now"});
        ask(&deployment, now.clone()).await.unwrap();
        let before = (in_doubt(&deployment), deployment.world.published().len());
        let again = ask(&deployment, now).await.unwrap();
        assert_eq!(again["done"], "nothing new", "{again}");
        assert_eq!((in_doubt(&deployment), deployment.world.published().len()), before);
    });
}

#[test]
fn the_old_volume_shows_what_was_lost() {
    outage(6, |deployment| async move {
        until(&deployment, 120).await;
        let request = json!({"action": "reconcile", "pass": "salvage", "from": "2026-11-24T14:06:00Z", "to": "2026-11-24T14:09:00Z"});
        let answer = ask(&deployment, request).await.unwrap();
        assert_eq!(listed(&answer), lost(&deployment), "{answer}");
        assert!(!lost(&deployment).is_empty(), "nothing was lost: the seed shows nothing");
    });
}

#[test]
fn a_run_without_time_says_unknown_and_where_to_go_on() {
    outage(7, |deployment| async move {
        until(&deployment, 100).await;
        deployment.world.set_timeout(Region::LONDON, reconcile_ledger::FUNCTION, Duration::from_secs(19));
        let answer = ask(&deployment, json!({"action": "reconcile", "pass": "now", "dry_run": true})).await.unwrap();
        let finding = &answer["summary"]["finding"];
        assert!(finding["complete"].is_null() && finding["unknown"]["resume"].is_string(), "{answer}");
    });
}

/// Law 1: each call of a run is struck, one at a time; what comes of it is the truth, unknown, or a failure, and never "none".
#[test]
fn a_struck_call_is_never_taken_for_nothing_lost() {
    for struck in 0..14 {
        for effect in [CallEffect::LoseAnswer, CallEffect::Error { status: 503, code: "ServiceUnavailable" }] {
            outage(8, |deployment| async move {
                until(&deployment, 100).await;
                let ours = CallMatch { caller: Some(reconcile_ledger::FUNCTION.to_owned()), ..CallMatch::default() };
                deployment.world.inject(CallFault::new(ours, struck..struck + 1, effect));
                let answer = ask(&deployment, json!({"action": "reconcile", "pass": "now", "dry_run": true})).await;
                if let Ok(answer) = answer
                    && !answer["summary"]["finding"]["complete"].is_null()
                {
                    assert_eq!(listed(&answer), lost(&deployment), "call {struck}, {effect:?}: {answer}");
                }
            });
        }
    }
}
