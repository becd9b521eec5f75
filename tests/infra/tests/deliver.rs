//! `infra/deliver.sh` while an incident is open: it delivers nothing, and says `plan_clean` where a plan is the evidence.
//!
//! The AWS CLI is a script that answers with files and keeps what it was asked; `make infra-apply-local` plays the same
//! with the real one, against the deployed promote-aurora.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_domain::blocked::Guard;
use holdfast_domain::trigger::{Action, Trigger};
use serde_json::{Value, json};

const AWS: &str = r#"#!/bin/sh
echo "$*" >>"$KEPT/asked"
case "$1 $2" in
  "dynamodb get-item") cat "$KEPT/record.json" ;;
  "lambda invoke")
    for argument; do
      case "$argument" in fileb://*) cp "${argument#fileb://}" "$KEPT/payload.json" ;; esac
      last=$argument
    done
    [ -e "$KEPT/answer.json" ] || exit 255
    cp "$KEPT/answer.json" "$last"
    cat "$KEPT/function-error"
    ;;
  *) echo "this is not asked while an incident is open: $*" >&2; exit 1 ;;
esac
"#;

/// What a delivery said and asked.
struct Delivery {
    said: String,
    asked: String,
    payload: Option<Vec<u8>>,
}

fn state(phase: &str, history: &[&str], freeze: &Value) -> Value {
    let milestone = |phase: &&str| json!({"phase": phase, "at": "2026-11-24T14:08:30Z", "sentence": "it is so"});
    json!({
        "version": 7, "epoch": 1, "driver": null, "promoted_at": {}, "freeze": freeze,
        "incident": {
            "epoch": 1, "verb": "failover", "from": "eu-west-1", "to": "eu-west-2", "phase": phase,
            "raised_by": "observers", "opened_at": "2026-11-24T14:07:11Z", "blocked": [],
            "history": history.iter().map(milestone).collect::<Vec<_>>(),
        },
    })
}

fn waits_to_be_closed() -> Value {
    state("Reconciling", &["Restored", "Reconciling"], &Value::Null)
}

fn item(state: &Value) -> Value {
    json!({"pk": {"S": "cluster#payments-global"}, "sk": {"S": "state"}, "body": {"S": state.to_string()}})
}

fn plan(state: &Value, actions: &str) -> Value {
    json!({
        "format_version": "1.2", "timestamp": "2026-11-24T15:00:00Z", "variables": {"incidents": {"value": "read"}},
        "resource_changes": [{
            "address": "aws_cloudwatch_dashboard.it", "type": "aws_cloudwatch_dashboard",
            "change": {"actions": [actions], "before": {}, "after": {}},
        }],
        "prior_state": {"values": {"root_module": {"resources": [
            {"mode": "data", "type": "aws_dynamodb_table_item", "values": {"item": item(state).to_string()}},
        ]}}},
    })
}

/// Runs it with that record, that plan, and what promote-aurora answers; it must not deliver.
fn deliver(name: &str, state: &Value, plan: Option<&Value>, answer: Option<(&str, &str)>) -> Delivery {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&kept));
    fs::create_dir_all(&kept).unwrap();
    let program = kept.join("aws");
    fs::write(&program, AWS).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(kept.join("record.json"), json!({"Item": item(state)}).to_string()).unwrap();
    if let Some((error, answer)) = answer {
        fs::write(kept.join("answer.json"), answer).unwrap();
        fs::write(kept.join("function-error"), error).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(root.join("infra/deliver.sh"));
    command.arg(root.join("events/config.example.json")).arg(&kept).env("KEPT", &kept);
    command.env("PATH", format!("{}:{}", kept.display(), std::env::var("PATH").unwrap()));
    command.env("CHECK_PLAN", env!("CARGO_BIN_EXE_check-plan")).env_remove("PLAN").env("GITHUB_RUN_ID", "4711");
    if let Some(plan) = plan {
        fs::write(kept.join("plan.json"), plan.to_string()).unwrap();
        command.env("PLAN", kept.join("plan.json"));
    }
    let done = command.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "nothing is delivered while an incident is open: {said}");
    let read = |file: &str| fs::read(kept.join(file)).ok();
    let asked = String::from_utf8(read("asked").unwrap_or_default()).unwrap();
    Delivery { said, asked, payload: read("payload.json") }
}

#[track_caller]
fn attests_nothing(delivery: &Delivery, because: &str) {
    assert!(delivery.payload.is_none(), "{}", delivery.asked);
    assert!(delivery.said.contains(because), "{}", delivery.said);
}

#[test]
fn a_clean_plan_is_attested_where_the_incident_is_driven_as_people_do() {
    let state = waits_to_be_closed();
    let answer = r#"{"done":"attested","incident":"e1","guard":"plan_clean"}"#;
    let delivery = deliver("clean", &state, Some(&plan(&state, "no-op")), Some(("None", answer)));
    let invoked = "lambda invoke --region eu-west-2 --function-name holdfast-promote-aurora --qualifier live";
    assert!(delivery.asked.contains(invoked), "{}", delivery.asked);
    let triggers = Trigger::parse(&delivery.payload.unwrap()).unwrap();
    let [Trigger::Manual(request)] = triggers.as_slice() else { panic!("{triggers:?}") };
    assert!(!request.dry_run);
    assert_eq!(
        request.action,
        Action::Attest {
            incident: "e1".into(),
            guard: Guard::PlanClean,
            by: "deliver.sh in run 4711".into(),
            evidence: "plan of 2026-11-24T15:00:00Z: no changes in 1 resources and outputs".into(),
        }
    );
    assert!(delivery.said.contains("plan_clean of e1 is attested"), "{}", delivery.said);
    assert!(delivery.said.contains("incident e1 is open: Reconciling; nothing is delivered"), "{}", delivery.said);
}

#[test]
fn a_plan_that_changes_something_attests_nothing() {
    let state = waits_to_be_closed();
    let delivery = deliver("dirty", &state, Some(&plan(&state, "update")), None);
    attests_nothing(&delivery, "plan_clean of e1 is not attested: the plan changes 1 things");
}

#[test]
fn a_plan_from_before_the_outage_attests_nothing() {
    let earlier = json!({"version": 1, "epoch": 0, "promoted_at": {}, "freeze": null});
    let delivery = deliver("stale", &waits_to_be_closed(), Some(&plan(&earlier, "no-op")), None);
    attests_nothing(&delivery, "plan_clean of e1 is not attested: the plan was made when no incident is open");
}

#[test]
fn no_plan_and_one_that_cannot_be_read_attest_nothing() {
    let state = waits_to_be_closed();
    attests_nothing(&deliver("none", &state, None, None), "plan_clean of e1 is not attested: no PLAN was given");
    let nonsense = deliver("nonsense", &state, Some(&json!("no plan")), None);
    attests_nothing(&nonsense, "plan_clean of e1 is not attested: this is no plan");
}

#[test]
fn a_freeze_and_an_incident_whose_writes_are_not_back_attest_nothing() {
    let freeze = json!({"by": "grace@example.com", "reason": "schema migration", "at": "2026-11-24T15:00:00Z"});
    let frozen = state("Reconciling", &["Restored"], &freeze);
    let delivery = deliver("frozen", &frozen, Some(&plan(&frozen, "no-op")), None);
    attests_nothing(&delivery, "grace@example.com has frozen Holdfast: schema migration");
    let promoting = state("Promoting", &["Promoting"], &Value::Null);
    let delivery = deliver("promoting", &promoting, Some(&plan(&promoting, "no-op")), None);
    attests_nothing(&delivery, "incident e1 is open: Promoting");
}

#[test]
fn an_answer_that_is_none_is_said_and_is_no_attestation() {
    let state = waits_to_be_closed();
    let plan = plan(&state, "no-op");
    let refused = r#"{"errorType":"NothingChanged","errorMessage":"there is no incident `e1`"}"#;
    for (name, answer, said) in [
        ("refused", Some(("Unhandled", refused)), "there is no incident `e1`"),
        ("dark", None, "the call to holdfast-promote-aurora failed"),
        ("other", Some(("None", r#"{"done":"nothing"}"#)), r#"{"done":"nothing"}"#),
    ] {
        let delivery = deliver(name, &state, Some(&plan), answer);
        assert!(delivery.payload.is_some(), "{}", delivery.asked);
        let expected = "plan_clean of e1 is not attested";
        assert!(delivery.said.contains(expected) && delivery.said.contains(said), "{}", delivery.said);
        assert!(!delivery.said.contains("is attested"), "{}", delivery.said);
    }
}
