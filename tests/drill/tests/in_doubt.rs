//! The payments tier and the list of attempts in doubt: nobody is charged on a maybe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use drill::deployment::{CLUSTER, Deployment, Setup, TABLE, deploy};
use holdfast_payments::service::{ATTEMPTS_TABLE, host};
use holdfast_world::dynamodb::{self, Item};
use holdfast_world::{Caller, Limits, Region, send};
use serde_json::{Value, json};

fn item(value: Value) -> Item {
    serde_json::from_value(value).unwrap()
}

fn put(deployment: &Deployment, table: &str, value: Value) {
    dynamodb::put(&deployment.world, Region::LONDON, table, item(value), None, &Value::Null).unwrap();
}

/// Begun in Dublin, and nobody knows how it ended.
fn begin(deployment: &Deployment, key: &str) {
    put(deployment, ATTEMPTS_TABLE, json!({"pk": {"S": key}, "sk": {"S": "intent"}}));
}

/// As reconcile-ledger lists it.
fn list(deployment: &Deployment, key: &str, settled: Option<&str>) {
    let body = json!({"version": 1, "key": key, "amount_minor": 100, "currency": "EUR", "region": "eu-west-1",
        "begun_at": "2026-11-24T14:06:59Z", "run": "e1-now", "retry_after": "2026-11-25T14:08:00Z", "settled": settled});
    let entry = json!({"pk": {"S": format!("in-doubt#{CLUSTER}")}, "sk": {"S": key}, "body": {"S": body.to_string()}});
    put(deployment, TABLE, entry);
}

async fn pay(deployment: &Deployment, key: &str) -> (u16, Value) {
    let caller = Caller { name: "client".into(), region: Region::INTERNET, invocation: None };
    let body = json!({"key": key, "amount_minor": 100, "currency": "EUR"}).to_string();
    let request =
        http::Request::post(format!("https://{}/payments", host(Region::LONDON))).body(Bytes::from(body)).unwrap();
    let patience = Some(Duration::from_secs(5));
    let limits = Limits { connect: patience, read: patience };
    let answer = send(&deployment.world, &caller, request, limits).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

fn charges(deployment: &Deployment, key: &str) -> usize {
    deployment.network.charges().iter().filter(|charge| charge.attempt_key == key).count()
}

#[test]
fn an_attempt_in_doubt_is_told_when_to_come_back_and_charged_only_once_it_is_known_that_it_never_was() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let deployment = deploy(&Setup { readers: false, payments_until: Duration::ZERO, ..Setup::standard(1) });
        tokio::time::sleep(Duration::from_secs(20)).await;
        for key in ["listed", "unlisted", "charged", "never"] {
            begin(&deployment, key);
        }
        list(&deployment, "listed", None);
        list(&deployment, "charged", Some("charged"));
        list(&deployment, "never", Some("never_charged"));
        let (status, answer) = pay(&deployment, "listed").await;
        assert_eq!((status, &answer["retry_after"]), (409, &json!("2026-11-25T14:08:00Z")), "{answer}");
        let (status, answer) = pay(&deployment, "unlisted").await;
        assert_eq!((status, &answer["retry_after"]), (409, &Value::Null), "the list does not know it yet: {answer}");
        assert_eq!(pay(&deployment, "charged").await.0, 409, "it was charged once already");
        for key in ["listed", "unlisted", "charged"] {
            assert_eq!(charges(&deployment, key), 0, "{key} was charged on a maybe");
        }
        assert_eq!(pay(&deployment, "never").await.0, 201);
        assert_eq!(charges(&deployment, "never"), 1);
    });
}
