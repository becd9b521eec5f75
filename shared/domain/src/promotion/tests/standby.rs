//! Read replicas and snapshots: always a failover with an acceptance, asked once, looked up, and given back when in doubt.

use super::*;
use crate::order::Means;

fn cluster_of(status: &str, source: Option<&str>, instances: &[&str]) -> TargetCluster {
    let instances = instances.iter().enumerate().map(|(number, status)| Instance {
        id: format!("payments-eu-west-2-{number}"),
        status: (*status).to_owned(),
        is_writer: number == 0,
    });
    TargetCluster {
        status: status.to_owned(),
        engine_version: Some("8.0.mysql_aurora.3.08.0".into()),
        instances: instances.collect(),
        replication_source: source.map(str::to_owned),
    }
}

const SOURCE: Option<&str> = Some("arn:aws:rds:eu-west-1:123456789012:cluster:payments-eu-west-1");

fn replica(target: TargetCluster) -> impl FnOnce(&mut Facts) {
    move |facts| {
        facts.standby = Standby::ReadReplica;
        facts.global_cluster = Observed::Unseen { why: "there is none".into() };
        facts.target_cluster = Observed::Seen(target);
    }
}

fn snapshot(newest: Option<i64>, restored: Option<TargetCluster>) -> impl FnOnce(&mut Facts) {
    move |facts| {
        let backup = |second| Backup { id: "copy-1".into(), taken_at: at(second) };
        facts.standby =
            Standby::Snapshot { newest: Observed::Seen(newest.map(backup)), restored: Observed::Seen(restored) };
        facts.global_cluster = Observed::Unseen { why: "there is none".into() };
        facts.target_cluster = Observed::Unseen { why: "there is none".into() };
    }
}

/// RDS was asked so many times, the last time so many seconds ago, for what the standby is promoted by.
fn asked(facts: &mut Facts, attempt: u32, seconds_ago: i64, means: Means) {
    let acceptance = LossAcceptance::approved("ada", "", at(0), facts.price.clone());
    facts.incident.order = Some(Order::Failover(Failover::new(arn("eu-west-2"), 1, acceptance).by(means)));
    facts.incident.intent = Some(Intent { attempt, at: at(-seconds_ago) });
}

#[test]
fn a_dark_primary_and_a_replica_are_confirmed_and_fenced() {
    let ready = || replica(cluster_of("available", SOURCE, &["available"]));
    check(Phase::Suspected, Mode::Auto, ready(), |it| matches!(it, Decision::Confirm(Some(_))));
    check(
        Phase::Confirmed,
        Mode::Auto,
        ready(),
        |it| matches!(it, Decision::Fence(Order::Failover(order)) if *order.means() == Means::ReadReplica),
    );
    check(Phase::Confirmed, Mode::Approve, ready(), |it| matches!(it, Decision::AskApproval { .. }));
}
#[test]
fn a_cluster_that_replicates_nobody_and_writes_is_the_writer_already() {
    let own = replica(cluster_of("available", None, &["available"]));
    check(Phase::Suspected, Mode::Auto, own, |it| matches!(it, Decision::Dismiss(Dismissal::NotTheWriter)));
    let own = snapshot(None, Some(cluster_of("available", None, &["available"])));
    check(Phase::Suspected, Mode::Auto, own, |it| matches!(it, Decision::Dismiss(Dismissal::NotTheWriter)));
}
#[test]
fn a_replica_without_an_instance_is_blocked() {
    blocked_by(Mode::Auto, replica(cluster_of("available", SOURCE, &[])), &[Guard::TargetHeadless]);
}
#[test]
fn without_a_snapshot_or_over_a_cluster_nothing_is_restored() {
    blocked_by(Mode::Auto, snapshot(None, None), &[Guard::TargetHeadless]);
    let there = snapshot(Some(-60), Some(cluster_of("creating", None, &[])));
    blocked_by(Mode::Auto, there, &[Guard::ClusterUnseen]);
    let unseen = |facts: &mut Facts| {
        let why = || Observed::Unseen { why: "no answer".into() };
        facts.standby = Standby::Snapshot { newest: why(), restored: Observed::Seen(None) };
    };
    blocked_by(Mode::Auto, unseen, &[Guard::TargetHeadless]);
}
#[test]
fn a_restore_names_its_snapshot() {
    check(
        Phase::Confirmed,
        Mode::Auto,
        snapshot(Some(-60), None),
        |it| matches!(it, Decision::Fence(Order::Failover(order)) if matches!(order.means(), Means::Snapshot { id, .. } if id == "copy-1")),
    );
}
#[test]
fn nothing_but_a_global_database_is_moved_without_loss() {
    for change in [true, false] {
        let planned = |facts: &mut Facts| {
            if change {
                replica(cluster_of("available", SOURCE, &["available"]))(facts);
            } else {
                snapshot(Some(-60), None)(facts);
            }
            facts.incident.verb = Verb::Switchover;
            facts.quorum = Quorum::Alive;
        };
        blocked_by(Mode::Approve, planned, &[Guard::ClusterUnseen]);
    }
}

#[track_caller]
fn promoting(change: impl FnOnce(&mut Facts), expected: fn(&Decision) -> bool) {
    check(Phase::Promoting, Mode::Auto, change, expected);
}

#[test]
fn a_replica_is_asked_once_and_then_looked_at() {
    for (status, source, seconds_ago, expected) in [
        ("available", SOURCE, 1, "waiting: RDS has not shown the effect of the call yet"),
        ("promoting", SOURCE, 100, "waiting: the replica is promoting"),
        ("promoting", None, 100, "waiting: the replica is promoting"),
        ("available", None, 100, "RDS is done; proving that writes work"),
    ] {
        let mut facts = facts(Phase::Promoting);
        replica(cluster_of(status, source, &["available"]))(&mut facts);
        asked(&mut facts, 1, seconds_ago, Means::ReadReplica);
        assert_eq!(decide(&facts, &policy(Mode::Auto), at(0)).to_string(), expected);
    }
    promoting(
        |facts| {
            replica(cluster_of("available", SOURCE, &["available"]))(facts);
            asked(facts, 1, 30, Means::ReadReplica);
        },
        |it| matches!(it, Decision::Promote { attempt: 2, .. }),
    );
}
#[test]
fn a_restored_cluster_is_given_an_instance_and_then_proven() {
    let means = || Means::Snapshot { id: "copy-1".into(), taken_at: at(-60) };
    let step = |restored: Option<TargetCluster>, attempt: u32, seconds_ago: i64| {
        let mut facts = facts(Phase::Promoting);
        snapshot(Some(-60), restored)(&mut facts);
        asked(&mut facts, attempt, seconds_ago, means());
        decide(&facts, &policy(Mode::Auto), at(0))
    };
    assert!(matches!(step(None, 1, 1), Decision::LookAgain { .. }));
    assert!(matches!(step(None, 1, 30), Decision::Promote { attempt: 2, .. }));
    assert!(matches!(step(Some(cluster_of("creating", None, &[])), 1, 30), Decision::LookAgain { .. }));
    let bare = || Some(cluster_of("available", None, &[]));
    assert!(matches!(step(bare(), 1, 900), Decision::AddInstance { attempt: 2, .. }));
    assert!(matches!(step(bare(), 2, 1), Decision::LookAgain { .. }));
    assert!(matches!(step(bare(), 6, 30), Decision::Fail { .. }));
    let begun = cluster_of("available", None, &["creating"]);
    assert!(matches!(step(Some(begun), 2, 30), Decision::LookAgain { .. }));
    assert!(matches!(step(Some(cluster_of("available", None, &["available"])), 2, 300), Decision::Prove));
}
#[test]
fn a_region_that_is_back_while_a_cluster_is_restored_keeps_the_writer() {
    promoting(
        |facts| {
            snapshot(Some(-60), Some(cluster_of("available", None, &[])))(facts);
            asked(facts, 1, 900, Means::Snapshot { id: "copy-1".into(), taken_at: at(-60) });
            facts.quorum = Quorum::Alive;
        },
        |it| matches!(it, Decision::GiveBack { .. }),
    );
    promoting(
        |facts| {
            snapshot(Some(-60), Some(cluster_of("available", None, &[])))(facts);
            asked(facts, 1, 900, Means::Snapshot { id: "copy-1".into(), taken_at: at(-60) });
            facts.quorum = Quorum::Wavering;
        },
        |it| matches!(it, Decision::LookAgain { .. }),
    );
}
#[test]
fn there_is_no_old_volume_to_secure() {
    check(
        Phase::Restored,
        Mode::Auto,
        |facts| {
            replica(cluster_of("available", None, &["available"]))(facts);
            facts.quorum = Quorum::Alive;
            facts.incident.loss = Some(Price::Exact(crate::price::Counted::one_payment(at(0))));
        },
        |it| matches!(it, Decision::Rest { .. }),
    );
}
