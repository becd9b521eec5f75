//! Plans that may be applied and plans that must not, each a change to one that Terraform wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_infra::plan::{Incidents, clean, incidents, judge};
use serde_json::{Value, json};

/// As `terraform show -json` writes it, cut down to what is judged.
fn plan(state: &Value, changes: &[Value]) -> Value {
    json!({
        "format_version": "1.2",
        "variables": {"incidents": {"value": "read"}},
        "resource_changes": changes,
        "prior_state": {"values": {"root_module": {"resources": [{
            "address": "data.aws_dynamodb_table_item.incidents[0]",
            "mode": "data",
            "type": "aws_dynamodb_table_item",
            "values": {"item": json!({
                "pk": {"S": "cluster#payments-global"}, "sk": {"S": "state"},
                "body": {"S": state.to_string()},
            }).to_string()},
        }]}}},
    })
}

fn state(incident: &Value, freeze: &Value) -> Value {
    json!({"version": 7, "epoch": 1, "driver": null, "incident": incident, "promoted_at": {}, "freeze": freeze})
}

fn quiet() -> Value {
    state(&Value::Null, &Value::Null)
}

fn incident(phase: &str) -> Value {
    let incident = json!({
        "epoch": 1, "verb": "failover", "from": "eu-west-1", "to": "eu-west-2", "phase": phase, "raised_by": "observers",
        "opened_at": "2026-11-24T14:07:11Z", "blocked": [], "history": [],
    });
    state(&incident, &Value::Null)
}

fn change(kind: &str, actions: &[&str], before: &Value, after: &Value) -> Value {
    json!({
        "address": format!("module.global.{kind}.it[0]"), "mode": "managed", "type": kind,
        "change": {"actions": actions, "before": before, "after": after},
    })
}

#[track_caller]
fn check(plan: &Value, uninstall: bool, expected: &[&str]) {
    let said: Vec<String> = judge(plan, uninstall).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "`{expected}` is not in: {said}");
    }
}

#[test]
fn what_does_not_touch_the_ledger_may_be_applied_whatever_the_day() {
    let dashboard = change("aws_cloudwatch_dashboard", &["update"], &json!({}), &json!({}));
    for state in [quiet(), incident("Promoting")] {
        check(&plan(&state, std::slice::from_ref(&dashboard)), false, &[]);
        check(&plan(&state, &[change("aws_rds_cluster", &["no-op"], &json!({}), &json!({}))]), false, &[]);
    }
}

#[test]
fn on_a_quiet_day_an_instance_may_grow() {
    let grows = json!({"instance_class": "db.r6g.2xlarge", "engine_version": "16.6"});
    let was = json!({"instance_class": "db.r6g.large", "engine_version": "16.6"});
    check(&plan(&quiet(), &[change("aws_rds_cluster_instance", &["update"], &was, &grows)]), false, &[]);
    let touched = "module.global.aws_rds_cluster_instance.it[0] would be touched (update), and an incident is open: \
                   failover of the ledger from eu-west-1 to eu-west-2, e1: Restored";
    check(
        &plan(&incident("Restored"), &[change("aws_rds_cluster_instance", &["update"], &was, &grows)]),
        false,
        &[touched],
    );
}

/// rules.md 12: Terraform that destroyed a cluster because a failover had swapped its role.
#[test]
fn a_swapped_role_is_never_put_back() {
    for (field, before, after) in [
        ("replication_source_identifier", json!("arn:aws:rds:eu-west-2:123456789012:cluster:x"), Value::Null),
        ("global_cluster_identifier", json!("payments-global"), json!("")),
        ("engine_version", json!("16.6"), json!("16.8")),
    ] {
        let (before, after) = (json!({ field: before }), json!({ field: after }));
        let swaps = change("aws_rds_cluster", &["update"], &before, &after);
        check(&plan(&quiet(), &[swaps]), false, &[&format!("would change its {field}")]);
    }
    let source = change(
        "aws_rds_global_cluster",
        &["delete", "create"],
        &json!({"source_db_cluster_identifier": "arn:first"}),
        &json!({"source_db_cluster_identifier": "arn:second"}),
    );
    check(&plan(&quiet(), &[source]), false, &["would be destroyed (delete, create)"]);
}

#[test]
fn nothing_that_cannot_be_had_again_is_destroyed_unless_that_is_meant() {
    for kind in ["aws_rds_global_cluster", "aws_rds_cluster", "aws_cloudformation_stack", "aws_dynamodb_table"] {
        for actions in [&["delete"][..], &["delete", "create"], &["create", "delete"], &["forget"]] {
            let destroys = change(kind, actions, &json!({}), &Value::Null);
            check(&plan(&quiet(), std::slice::from_ref(&destroys)), false, &["would be destroyed"]);
            check(&plan(&quiet(), std::slice::from_ref(&destroys)), true, &[]);
            check(&plan(&incident("Blocked"), &[destroys]), true, &["an incident is open"]);
        }
    }
}

#[test]
fn every_phase_that_is_not_over_holds_the_ledger_fast() {
    let update = change("aws_rds_global_cluster", &["update"], &json!({}), &json!({}));
    for phase in holdfast_domain::incident::Phase::ALL {
        let expected: &[&str] = if phase.is_over() { &[] } else { &["an incident is open"] };
        check(&plan(&incident(&phase.to_string()), std::slice::from_ref(&update)), false, expected);
    }
}

/// A promoted cluster without instances takes no writes, and the page says "add one now".
#[test]
fn an_instance_may_be_added_in_the_middle_of_an_incident() {
    let adds = change("aws_rds_cluster_instance", &["create"], &Value::Null, &json!({}));
    check(&plan(&incident("Failed"), &[adds]), false, &[]);
    let takes = change("aws_rds_cluster_instance", &["delete"], &json!({}), &Value::Null);
    check(&plan(&incident("Failed"), &[takes]), false, &["would be touched (delete)"]);
}

#[test]
fn a_freeze_is_named_with_who_and_why() {
    let freeze = json!({"by": "grace@example.com", "reason": "schema migration", "at": "2026-11-24T15:00:00Z"});
    let frozen = "grace@example.com has frozen Holdfast: schema migration";
    check(&plan(&state(&Value::Null, &freeze), &[]), false, &[frozen]);
}

#[test]
fn what_is_not_known_is_not_quiet() {
    let update = change("aws_rds_cluster", &["update"], &json!({}), &json!({}));
    let mut unread = plan(&quiet(), std::slice::from_ref(&update));
    unread["prior_state"] = Value::Null;
    check(&unread, false, &["nobody knows whether an incident is open: the plan has not read"]);
    let other = plan(&json!({"version": "not a number"}), &[update]);
    check(&other, false, &["nobody knows whether an incident is open: the record of incidents cannot be read"]);
}

#[test]
fn a_first_apply_makes_things_and_changes_none() {
    let mut first = plan(&quiet(), &[change("aws_rds_cluster", &["create"], &Value::Null, &json!({}))]);
    first["variables"]["incidents"]["value"] = "none-yet".into();
    assert_eq!(incidents(&first), Incidents::NoneYet);
    check(&first, false, &[]);
    first["resource_changes"][0]["change"]["actions"] = json!(["update"]);
    check(&first, false, &["this is called the first apply"]);
}

#[test]
fn what_is_no_plan_is_refused_as_a_whole() {
    for nonsense in [json!(null), json!([]), json!({}), json!({"format_version": "1.2", "resource_changes": [{}]})] {
        assert!(judge(&nonsense, false).is_err(), "{nonsense}");
    }
}

/// Writes of e1 are restored, and it waits to be closed.
fn restored(freeze: &Value) -> Value {
    let mut state = incident("Reconciling");
    state["freeze"] = freeze.clone();
    state["incident"]["history"] =
        json!([{"phase": "Restored", "at": "2026-11-24T14:08:30Z", "sentence": "the fence row is written"}]);
    state
}

#[track_caller]
fn attests(plan: &Value, expected: Result<&str, &str>) {
    match (clean(plan, "e1"), expected) {
        (Ok(said), Ok(expected)) => assert_eq!(said, expected),
        (Err(said), Err(expected)) => assert!(said.to_string().contains(expected), "{said}"),
        (said, _) => panic!("{said:?}"),
    }
}

#[test]
fn a_plan_that_changes_nothing_is_evidence_and_says_of_when() {
    let stays = change("aws_rds_cluster", &["no-op"], &json!({}), &json!({}));
    let read = change("aws_ip_ranges", &["read"], &json!({}), &json!({}));
    let mut plan = plan(&restored(&Value::Null), &[stays, read]);
    plan["timestamp"] = "2026-11-24T15:00:00Z".into();
    plan["complete"] = true.into();
    plan["output_changes"] = json!({"regions": {"actions": ["no-op"]}});
    attests(&plan, Ok("plan of 2026-11-24T15:00:00Z: no changes in 3 resources and outputs"));
}

#[test]
fn a_plan_that_changes_anything_at_all_is_no_evidence() {
    let dashboard = change("aws_cloudwatch_dashboard", &["update"], &json!({}), &json!({}));
    let changed = "changes 1 things, module.global.aws_cloudwatch_dashboard.it[0] among them";
    attests(&plan(&restored(&Value::Null), &[dashboard]), Err(changed));
    let mut outputs = plan(&restored(&Value::Null), &[]);
    outputs["output_changes"] = json!({"places": {"actions": ["update"]}});
    attests(&outputs, Err("output.places among them"));
    let mut unknown = plan(&restored(&Value::Null), &[]);
    unknown["resource_changes"] = json!([{"address": "it", "type": "aws_s3_bucket", "change": {}}]);
    attests(&unknown, Err("changes 1 things, it among them"));
}

/// What a plan of yesterday would not change says nothing of the roles that were swapped since.
#[test]
fn a_plan_of_another_time_is_no_evidence() {
    let freeze = json!({"by": "grace@example.com", "reason": "schema migration", "at": "2026-11-24T15:00:00Z"});
    let mut of_another = restored(&Value::Null);
    of_another["incident"]["epoch"] = 2.into();
    for (state, read) in [
        (quiet(), "no incident is open"),
        (incident("Promoting"), "e1: Promoting"),
        (of_another, "e2: Reconciling"),
        (restored(&freeze), "grace@example.com has frozen Holdfast"),
        (json!({"version": "not a number"}), "nobody knows whether an incident is open"),
    ] {
        attests(&plan(&state, &[]), Err(read));
    }
    let mut first = plan(&quiet(), &[]);
    first["variables"]["incidents"]["value"] = "none-yet".into();
    attests(&first, Err("this is called the first apply"));
}

#[test]
fn a_plan_of_a_part_is_no_evidence_and_nonsense_is_none_either() {
    for field in [("complete", false), ("errored", true)] {
        let mut part = plan(&restored(&Value::Null), &[]);
        part[field.0] = field.1.into();
        attests(&part, Err("the plan is not whole"));
    }
    attests(&json!({}), Err("this is no plan"));
}
