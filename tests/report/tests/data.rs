//! What the report makes of runs without a browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;

const RUN: &str = include_str!("dublin-dark.json");

#[track_caller]
fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let mut run: Value = serde_json::from_str(RUN).unwrap();
    change(&mut run);
    let html = holdfast_report::html(&run.to_string()).unwrap();
    for sentence in expected {
        assert!(html.contains(sentence), "not said: {sentence}\n{}", &html[..html.len().min(12_000)]);
    }
}

#[test]
fn an_outage_is_told_in_one_sentence() {
    check(
        |_| {},
        &[
            "Dublin went dark at 14:07:00; writes were back in London after 57.968 s; 2 acknowledged payments (EUR 22.93, GBP 164.14) were lost, and each is named below.",
        ],
    );
}
#[test]
fn a_loss_that_nothing_lists_is_said_in_the_first_sentence() {
    check(|run| run["payments"]["lost"][0]["listed"] = false.into(), &["were lost, 1 of them listed nowhere"]);
}
#[test]
fn an_outage_without_recovery_is_not_called_recovered() {
    check(
        |run| {
            run["waterfall"]["rto_writes_ms"] = Value::Null;
            run["waterfall"]["first_durable_payment_ms"] = Value::Null;
        },
        &["no payment was acknowledged again within the run", "not within the run", "did not happen"],
    );
}
#[test]
fn a_run_in_which_nothing_moved_says_so() {
    check(
        |run| {
            run["outage"] = false.into();
            run["incident"] = Value::Null;
            run["writer"] = "eu-west-1".into();
            run["payments"]["lost"] = Value::Array(Vec::new());
            run["payments"]["lost_totals"] = serde_json::json!({"count": 0, "sums_minor": {}});
        },
        &["Nothing was moved: the writer is in Dublin; no acknowledged payment was lost.", "There was no incident."],
    );
}
#[test]
fn what_did_not_hold_is_on_the_first_screen() {
    check(
        |run| {
            run["verdict"] = "invalid".into();
            run["problems"] = vec!["the sky fell"].into();
        },
        &["<b>Not held: </b>the sky fell", "verdict invalid"],
    );
}
#[test]
fn a_lag_that_nobody_can_measure_is_unknown_and_not_zero() {
    check(
        |run| {
            for sample in run["replication"].as_array_mut().unwrap() {
                sample["lag_ms"] = Value::Null;
            }
        },
        &["nobody can measure it: unknown, not zero", r#"<path class="lag" d="">"#],
    );
}
#[test]
fn a_file_that_is_no_run_is_refused_with_what_to_do() {
    let refused = holdfast_report::html("{}").unwrap_err().to_string();
    assert!(refused.contains("write it again with the present version"), "{refused}");
}
