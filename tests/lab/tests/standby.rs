//! promote-aurora without a global database, end to end through the deployed handler: whatever becomes of a call's answer,
//! RDS promotes, restores and creates once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use holdfast_lab::rows::named;
use holdfast_lab::timing::OUTAGE_AT;
use holdfast_lab::{Options, play_with};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{RecordedRequest, Region};

/// The first call of that name is struck; that many are made in all, and writes are back.
#[track_caller]
fn struck(row: &str, operation: &'static str, effect: CallEffect, calls: usize) {
    // Shorter than AWS is, so that many can be played.
    let minute = Duration::from_secs(60);
    let options = Options {
        replica_promotion: minute,
        restore: minute,
        instance: minute,
        until: OUTAGE_AT + 8 * minute,
        ..Options::standard(1)
    };
    let (measured, world) = play_with(named(row).unwrap(), options, |world| {
        let matches = CallMatch { operation: Some(operation), ..CallMatch::default() };
        world.inject(CallFault::new(matches, 0..1, effect));
    })
    .unwrap();
    let made: Vec<RecordedRequest> = world.requests().into_iter().filter(|it| it.operation == operation).collect();
    assert_eq!(made.len(), calls, "{operation}: {made:#?}");
    assert!(made.iter().all(|it| it.to == Region::LONDON && &*it.caller.name == "promote-aurora"), "{made:#?}");
    assert!(measured.recovery_of_writes.is_some_and(|it| it < 8 * minute), "{measured:?}");
    let done =
        |what: &str| world.entries().iter().filter(|entry| entry.actor == "rds" && entry.what.contains(what)).count();
    let effects = match row {
        "aurora-read-replica" => [("begins to promote the read replica", 1)].as_slice(),
        _ => &[("begins to restore", 1), ("begins to create the instance", 1)],
    };
    for (what, times) in effects {
        assert_eq!(done(what), *times, "{what}");
    }
}

#[test]
fn a_lost_answer_has_no_second_effect() {
    for (row, operation) in [
        ("aurora-read-replica", "PromoteReadReplicaDBCluster"),
        ("backup", "RestoreDBClusterFromSnapshot"),
        ("backup", "CreateDBInstance"),
    ] {
        struck(row, operation, CallEffect::LoseAnswer, 1);
    }
}
#[test]
fn a_driver_that_dies_with_the_call_is_resumed_without_a_second_one() {
    struck("aurora-read-replica", "PromoteReadReplicaDBCluster", CallEffect::KillAfter, 1);
    struck("backup", "CreateDBInstance", CallEffect::KillAfter, 1);
}
#[test]
fn a_call_that_never_arrived_is_made_again() {
    struck("aurora-read-replica", "PromoteReadReplicaDBCluster", CallEffect::LoseRequest, 2);
    struck("backup", "CreateDBInstance", CallEffect::LoseRequest, 2);
}
#[test]
fn a_call_that_is_carried_out_twice_has_one_effect() {
    struck("aurora-read-replica", "PromoteReadReplicaDBCluster", CallEffect::Duplicate, 1);
    struck("backup", "RestoreDBClusterFromSnapshot", CallEffect::Duplicate, 1);
}
