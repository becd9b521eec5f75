//! A provider's files day after day: what one leaves open, the next one settles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::deployment::{Deployment, Setup, TABLE, deploy, example_config};
use holdfast_domain::reconciliation::{Closing, OpenPayment, OpenPayments, SETTLES_WITHIN};
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::all_items;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, s3};
use serde_json::{Value, json};

const FOLDER: &str = "holdfast/clearing/stripe";

/// Ninety seconds of payments, and the network's file of them: its header and its rows.
fn after_payments<F: Future<Output = ()>>(story: impl FnOnce(Deployment, String, Vec<String>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let setup = Setup { readers: false, payment_every: Duration::from_millis(500), ..Setup::standard(1) };
        let deployment = deploy(&setup);
        tokio::time::sleep(Duration::from_secs(90)).await;
        let file = deployment.network.settlement_file();
        let mut lines = file.lines().map(str::to_owned);
        let header = lines.next().unwrap();
        let rows: Vec<String> = lines.collect();
        assert!(rows.len() > 100, "the world is too quiet");
        story(deployment, header, rows).await;
    });
}

async fn settle(deployment: &Deployment, name: &str, header: &str, rows: &[String]) -> Value {
    let (key, file) = (format!("{FOLDER}/{name}.csv"), format!("{header}\n{}\n", rows.join("\n")));
    s3::put_object(&deployment.world, bucket(Region::DUBLIN), &key, file.into()).unwrap();
    let request = json!({"action": "reconcile", "pass": "clearing", "object": key}).to_string();
    let answer = deployment.world.invoke(Region::DUBLIN, reconcile_ledger::FUNCTION, request.into()).await.unwrap();
    assert_eq!(answer["done"], "told", "{answer}");
    answer["summary"]["finding"]["complete"].clone()
}

fn open_payments(deployment: &Deployment) -> Vec<OpenPayment> {
    let items = all_items(&deployment.world, TABLE);
    let ours = items.iter().find(|item| item["pk"]["S"] == "open-payments#payments-global").unwrap();
    serde_json::from_str::<OpenPayments>(ours["body"]["S"].as_str().unwrap()).unwrap().payments
}

/// The last field of a row.
fn key_of(row: &str) -> &str {
    row.rsplit(',').next().unwrap()
}

fn still_open(deployment: &Deployment) -> Vec<String> {
    open_payments(deployment).into_iter().filter(|it| it.closed.is_none()).map(|it| it.key).collect()
}

/// A late payment makes the second file begin on the first one's day, whose other bookings it does not have.
#[test]
fn what_one_file_leaves_open_the_next_one_settles_and_nothing_else_is_asked_about() {
    after_payments(|deployment, header, rows| async move {
        let middle = rows.len() / 2;
        let (mut monday, mut tuesday) = (rows[..middle].to_vec(), rows[middle..].to_vec());
        let late = monday.remove(middle / 2);
        tuesday.insert(0, late.clone());
        let first = settle(&deployment, "monday", &header, &monday).await;
        assert_eq!((&first["others"], &first["balanced"]), (&json!({}), &json!(true)), "{first}");
        assert!(still_open(&deployment).contains(&key_of(&late).to_owned()), "it was not carried");
        let second = settle(&deployment, "tuesday", &header, &tuesday).await;
        assert_eq!((&second["others"], &second["balanced"]), (&json!({}), &json!(true)), "{second}");
        let open = open_payments(&deployment);
        let carried = open.iter().find(|it| it.key == key_of(&late)).unwrap();
        assert_eq!(carried.closed.as_ref().map(|closed| closed.how), Some(Closing::Matched));
        // The bookings that the files' last seconds were too early for, and no others.
        let left = still_open(&deployment);
        assert!(left.len() < 10 && left.iter().all(|key| !monday.iter().any(|row| key_of(row) == key)), "{left:?}");
    });
}

/// Two files of one time: what the first has not, the second has, and nothing is asked about twice.
#[test]
fn a_second_file_of_the_same_time_is_settled_beside_the_first() {
    after_payments(|deployment, header, rows| async move {
        let of = |odd: usize| -> Vec<String> {
            rows.iter().enumerate().filter(|(place, _)| place % 2 == odd).map(|(_, row)| row.clone()).collect()
        };
        let first = settle(&deployment, "account-1", &header, &of(0)).await;
        let second = settle(&deployment, "account-2", &header, &of(1)).await;
        for found in [first, second] {
            assert_eq!((&found["others"], &found["balanced"]), (&json!({}), &json!(true)), "{found}");
        }
        let left = still_open(&deployment);
        assert!(left.len() < 10, "{left:?}");
    });
}

#[test]
fn a_booking_that_no_file_has_in_three_days_is_told() {
    after_payments(|deployment, header, rows| async move {
        let middle = rows.len() / 2;
        let (mut monday, mut friday) = (rows[..middle].to_vec(), rows[middle..].to_vec());
        let never = key_of(&monday.remove(middle / 2)).to_owned();
        // Friday's file begins with a record of Monday: the bookings beside it were settled with Monday's file.
        friday.insert(0, monday.remove(2));
        settle(&deployment, "monday", &header, &monday).await;
        let booked_at = open_payments(&deployment).into_iter().find(|it| it.key == never).unwrap().at;
        let margin = example_config().policy.clock_margin();
        // Overdue is this one, and nothing that was booked seconds later.
        let later = booked_at.checked_add(SETTLES_WITHIN + margin + Duration::from_secs(5)).unwrap();
        let when = later.strftime("%Y-%m-%d %H:%M:%S");
        friday.push(format!("ch_later,charge,{when},{when},eur,1.00,0.00,1.00,,later"));
        let found = settle(&deployment, "friday", &header, &friday).await;
        assert_eq!(found["others"], json!({"LedgerOnly": 1, "NetworkOnly": 1}), "{found}");
        let open = open_payments(&deployment);
        let told = open.iter().find(|it| it.key == never).unwrap();
        assert_eq!(told.closed.as_ref().map(|closed| closed.how), Some(Closing::Told));
    });
}

/// Law 6: each call of the run is struck, and the file is asked for again until it is settled.
#[test]
fn a_run_that_is_struck_and_repeated_comes_to_the_same() {
    let outcome = |struck: Option<(u64, CallEffect)>| {
        let (told, tell) = std::sync::mpsc::channel();
        after_payments(|deployment, header, rows| async move {
            let middle = rows.len() / 2;
            let (mut monday, mut tuesday) = (rows[..middle].to_vec(), rows[middle..].to_vec());
            tuesday.insert(0, monday.remove(middle / 2));
            settle(&deployment, "monday", &header, &monday).await;
            if let Some((call, effect)) = struck {
                let ours = CallMatch { caller: Some(reconcile_ledger::FUNCTION.to_owned()), ..CallMatch::default() };
                deployment.world.inject(CallFault::new(ours, call..call + 1, effect));
            }
            let (key, file) = (format!("{FOLDER}/tuesday.csv"), format!("{header}\n{}\n", tuesday.join("\n")));
            s3::put_object(&deployment.world, bucket(Region::DUBLIN), &key, file.into()).unwrap();
            let request = json!({"action": "reconcile", "pass": "clearing", "object": key}).to_string();
            for _ in 0..3 {
                let asked = deployment.world.invoke(Region::DUBLIN, reconcile_ledger::FUNCTION, request.clone().into());
                let _ = asked.await;
            }
            // What was booked in the last seconds hangs on when the run was repeated.
            let closed = open_payments(&deployment).into_iter().filter_map(|it| Some((it.key, it.run, it.closed?)));
            told.send(closed.collect::<Vec<_>>()).unwrap();
        });
        tell.recv().unwrap()
    };
    let expected = outcome(None);
    assert!(!expected.is_empty(), "nothing was carried");
    for call in 0..24 {
        for effect in [CallEffect::LoseAnswer, CallEffect::Error { status: 503, code: "ServiceUnavailable" }] {
            assert_eq!(outcome(Some((call, effect))), expected, "call {call}, {effect:?}");
        }
    }
}
