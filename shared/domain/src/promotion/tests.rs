use std::collections::BTreeSet;

use super::*;
use crate::Region;
use crate::blocked::Guard;
use crate::incident::{Approval, ClusterState, Intent, Opening, Veto};
use crate::replication::{Link, Store, StoreState, Verdict};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn arn(region: &str) -> ClusterArn {
    ClusterArn::parse(&format!("arn:aws:rds:{region}:123456789012:cluster:payments-{region}")).unwrap()
}
fn region(code: &str) -> Region {
    Region::new(code).unwrap()
}

fn policy(mode: Mode) -> Policy {
    let json =
        r#"{"standing_acceptance":{"accepted_by":"cfo","expires_at":"2030-01-01T00:00:00Z","lag_max_seconds":10}}"#;
    Policy { mode, ..serde_json::from_str(json).unwrap() }
}

fn approval(overrides: &[Guard]) -> Option<Approval> {
    let overrides: BTreeSet<Guard> = overrides.iter().copied().collect();
    Some(Approval { by: "ada".into(), comment: String::new(), at: at(0), overrides })
}

fn proof() -> DarkProof {
    DarkProof { observers: Vec::new(), since: at(-8), oldest_vote_age: Duration::from_secs(1) }
}

/// What a planned move wants to see.
fn in_sync() -> ReplicationRecord {
    let (dublin, london) = (region("eu-west-1"), region("eu-west-2"));
    let mut record = ReplicationRecord::default();
    for (from, to) in [(&dublin, &london), (&london, &dublin)] {
        for store in [Store::Attempts, Store::Ledger, Store::Receipts] {
            let state = StoreState::InSync { lag: Duration::ZERO };
            let verdict = Verdict { state, findings: Vec::new(), cliff: None };
            record.note(&Link::new(store, from, to), verdict, at(-20));
        }
    }
    record
}

/// Dublin dark, London ready: what `auto` mode fails over on.
fn facts(phase: Phase) -> Facts {
    let mut state = ClusterState::default();
    let opening = Opening {
        verb: Verb::Failover,
        from: region("eu-west-1"),
        to: region("eu-west-2"),
        raised_by: "a test".into(),
        approval: None,
    };
    state.open(opening, at(-1));
    let mut incident = state.incident.unwrap();
    incident.phase = phase;
    incident.proof = Some(proof());
    let member = |region: &str, is_writer| Member { arn: arn(region), is_writer, connected: Some(true) };
    let instance = Instance { id: "payments-eu-west-2-1".into(), status: "available".into(), is_writer: true };
    Facts {
        incident,
        source: arn("eu-west-1"),
        target: arn("eu-west-2"),
        quorum: Quorum::Dark(proof()),
        global_cluster: Observed::Seen(GlobalCluster {
            status: "available".into(),
            engine_version: Some("16.4".into()),
            members: vec![member("eu-west-1", true), member("eu-west-2", false)],
            operation: None,
        }),
        target_cluster: Observed::Seen(TargetCluster {
            status: "available".into(),
            engine_version: Some("16.4".into()),
            instances: vec![instance],
            replication_source: None,
        }),
        lag: Lag::Known { lag: Duration::from_millis(120), age: Duration::from_secs(60) },
        price: Price::Unknown { why: "a test".into() },
        replication: Observed::Seen(Some(in_sync())),
        promoted_at: None,
        freeze: None,
        standby: Standby::GlobalDatabase,
    }
}

fn cluster(facts: &mut Facts) -> &mut GlobalCluster {
    match &mut facts.global_cluster {
        Observed::Seen(cluster) => cluster,
        Observed::Unseen { .. } => unreachable!("the facts of these tests have one"),
    }
}
fn target(facts: &mut Facts) -> &mut TargetCluster {
    match &mut facts.target_cluster {
        Observed::Seen(target) => target,
        Observed::Unseen { .. } => unreachable!("the facts of these tests have one"),
    }
}

#[track_caller]
fn check(phase: Phase, mode: Mode, change: impl FnOnce(&mut Facts), expected: fn(&Decision) -> bool) {
    let mut facts = facts(phase);
    change(&mut facts);
    let decision = decide(&facts, &policy(mode), at(0));
    assert!(expected(&decision), "{decision:?}");
}

#[track_caller]
fn blocked_by(mode: Mode, change: impl FnOnce(&mut Facts), expected: &[Guard]) {
    let mut facts = facts(Phase::Suspected);
    change(&mut facts);
    let decision = decide(&facts, &policy(mode), at(0));
    let Decision::Block(blocked) = &decision else { panic!("not blocked: {decision:?}") };
    assert_eq!(blocked.iter().map(|block| block.guard).collect::<Vec<_>>(), expected, "{decision}");
    for block in blocked {
        assert!(!block.evidence.is_empty() && !block.override_with.is_empty(), "{block:?}");
    }
}

#[test]
fn a_dark_primary_and_a_ready_standby_are_confirmed() {
    check(Phase::Suspected, Mode::Auto, |_| {}, |it| matches!(it, Decision::Confirm(Some(_))));
}
#[test]
fn auto_mode_fences_with_a_failover_that_allows_loss() {
    check(
        Phase::Confirmed,
        Mode::Auto,
        |_| {},
        |it| matches!(it, Decision::Fence(order) if order.allows_data_loss() && *order.target() == arn("eu-west-2")),
    );
}
#[test]
fn approve_mode_asks_a_person() {
    check(Phase::Confirmed, Mode::Approve, |_| {}, |it| matches!(it, Decision::AskApproval { veto_until: None, .. }));
}
#[test]
fn approve_mode_waits_for_ever_without_a_countdown() {
    check(Phase::AwaitingApproval, Mode::Approve, |_| {}, |it| matches!(it, Decision::Rest { .. }));
}
#[test]
fn an_approval_goes_on() {
    check(
        Phase::AwaitingApproval,
        Mode::Approve,
        |facts| facts.incident.approval = approval(&[]),
        |it| matches!(it, Decision::Fence(Order::Failover(order)) if order.acceptance().to_string().contains("ada")),
    );
}
#[test]
fn a_countdown_that_ran_out_goes_on_and_one_that_runs_waits() {
    let mut policy = policy(Mode::Approve);
    policy.approve_countdown_seconds = Some(60);
    let mut facts = facts(Phase::Confirmed);
    assert!(matches!(
        decide(&facts, &policy, at(0)),
        Decision::AskApproval { veto_until: Some(deadline), .. } if deadline == at(60)
    ));
    facts.incident.phase = Phase::AwaitingApproval;
    facts.incident.veto_until = Some(at(60));
    assert!(matches!(decide(&facts, &policy, at(59)), Decision::Rest { .. }));
    assert!(matches!(decide(&facts, &policy, at(60)), Decision::Fence(_)));
}
#[test]
fn a_countdown_with_an_unknown_lag_does_not_run_out_into_a_failover() {
    let mut policy = policy(Mode::Approve);
    policy.approve_countdown_seconds = Some(60);
    let mut facts = facts(Phase::AwaitingApproval);
    facts.incident.veto_until = Some(at(60));
    facts.lag = Lag::Unknown { why: "dark".into() };
    assert!(matches!(decide(&facts, &policy, at(61)), Decision::Block(_)));
}
#[test]
fn observe_mode_says_what_it_would_do_and_stops() {
    check(
        Phase::Confirmed,
        Mode::Observe,
        |_| {},
        |it| matches!(it, Decision::Block(blocked) if blocked[0].guard == Guard::ObserveMode && blocked[0].evidence.contains("fail over to")),
    );
}
#[test]
fn a_standing_acceptance_that_ran_out_asks_a_person() {
    let facts = facts(Phase::Confirmed);
    let mut policy = policy(Mode::Auto);
    policy.standing_acceptance.as_mut().unwrap().expires_at = at(-1);
    assert!(
        matches!(decide(&facts, &policy, at(0)), Decision::AskApproval { reason, .. } if reason.contains("ran out"))
    );
}
#[test]
fn a_region_that_recovers_before_the_fence_is_left_alone() {
    for phase in [Phase::Suspected, Phase::Confirmed, Phase::AwaitingApproval, Phase::Blocked] {
        check(
            phase,
            Mode::Auto,
            |facts| facts.quorum = Quorum::Alive,
            |it| matches!(it, Decision::Dismiss(Dismissal::Recovered)),
        );
    }
}
#[test]
fn a_region_without_the_writer_is_not_promoted_away_from() {
    check(
        Phase::Suspected,
        Mode::Auto,
        |facts| {
            for member in &mut cluster(facts).members {
                member.is_writer = !member.is_writer;
            }
        },
        |it| matches!(it, Decision::Dismiss(Dismissal::NotTheWriter)),
    );
}

#[test]
fn an_unknown_lag_pages_a_human() {
    blocked_by(Mode::Auto, |facts| facts.lag = Lag::Unknown { why: "no points".into() }, &[Guard::LagUnknown]);
}
/// The primary has been dark for 8 s: what was 180 s old then is 188 s old now.
#[test]
fn a_lag_is_as_fresh_as_it_was_when_the_primary_went_dark() {
    let known = |age_s| Lag::Known { lag: Duration::ZERO, age: Duration::from_secs(age_s) };
    blocked_by(Mode::Auto, |facts| facts.lag = known(189), &[Guard::LagStale]);
    check(Phase::Suspected, Mode::Auto, |facts| facts.lag = known(188), |it| matches!(it, Decision::Confirm(_)));
}
#[test]
fn a_switchover_whose_primary_goes_dark_is_told_at_once_and_never_asked_again() {
    let switchover = |facts: &mut Facts| {
        facts.incident.verb = Verb::Switchover;
        facts.incident.intent = Some(Intent { attempt: 1, at: at(-60) });
        let order = Switchover::new(facts.source.clone(), facts.target.clone(), facts.incident.epoch, "ada");
        facts.incident.order = Some(Order::Switchover(order));
    };
    let pending = |facts: &mut Facts| {
        switchover(facts);
        let to = Some(arn("eu-west-2").to_string());
        cluster(facts).operation = Some(Operation { status: "pending".into(), to, data_loss_allowed: false });
    };
    check(
        Phase::Promoting,
        Mode::Auto,
        pending,
        |it| matches!(it, Decision::LookAgain { slow: true, waiting_for } if waiting_for.contains("is unreachable")),
    );
    check(Phase::Promoting, Mode::Auto, switchover, |it| matches!(it, Decision::Fail { .. }));
    let alive = |facts: &mut Facts| {
        switchover(facts);
        facts.quorum = Quorum::Alive;
    };
    check(Phase::Promoting, Mode::Auto, alive, |it| matches!(it, Decision::Promote { attempt: 2, .. }));
}
#[test]
fn a_high_lag_is_more_than_was_accepted() {
    let lag = Duration::from_secs(11);
    blocked_by(Mode::Auto, |facts| facts.lag = Lag::Known { lag, age: Duration::ZERO }, &[Guard::LagHigh]);
}
#[test]
fn in_approve_mode_the_lag_is_for_the_person_to_judge() {
    check(
        Phase::Suspected,
        Mode::Approve,
        |facts| facts.lag = Lag::Unknown { why: "x".into() },
        |it| matches!(it, Decision::Confirm(_)),
    );
}
#[test]
fn a_headless_target_blocks_and_no_word_overrides_it() {
    blocked_by(
        Mode::Auto,
        |facts| {
            target(facts).instances.clear();
            facts.incident.approval = approval(&[Guard::TargetHeadless]);
        },
        &[Guard::TargetHeadless],
    );
}
#[test]
fn a_target_that_is_not_available_blocks() {
    blocked_by(
        Mode::Auto,
        |facts| target(facts).instances[0].status = "rebooting".into(),
        &[Guard::TargetNotAvailable],
    );
}
#[test]
fn a_target_that_cannot_be_described_blocks() {
    let why = || Observed::Unseen { why: "throttled".into() };
    blocked_by(Mode::Auto, |facts| facts.target_cluster = why(), &[Guard::TargetNotAvailable]);
}
#[test]
fn another_minor_version_blocks_and_another_patch_does_not() {
    blocked_by(Mode::Auto, |facts| target(facts).engine_version = Some("16.3".into()), &[Guard::EngineVersion]);
    check(
        Phase::Suspected,
        Mode::Auto,
        |facts| target(facts).engine_version = Some("16.4.1".into()),
        |it| matches!(it, Decision::Confirm(_)),
    );
}
#[test]
fn an_engine_version_that_is_not_known_blocks() {
    blocked_by(Mode::Auto, |facts| cluster(facts).engine_version = None, &[Guard::EngineVersion]);
}
#[test]
fn an_operation_in_flight_blocks() {
    let operation =
        Operation { status: "switching-over".into(), to: Some(arn("eu-west-2").to_string()), data_loss_allowed: false };
    blocked_by(Mode::Auto, |facts| cluster(facts).operation = Some(operation), &[Guard::OperationInFlight]);
}
#[test]
fn a_cooldown_is_per_direction_and_a_person_is_past_it() {
    blocked_by(Mode::Auto, |facts| facts.promoted_at = Some(at(-1799)), &[Guard::Cooldown]);
    check(
        Phase::Suspected,
        Mode::Auto,
        |facts| facts.promoted_at = Some(at(-1800)),
        |it| matches!(it, Decision::Confirm(_)),
    );
}
#[test]
fn a_freeze_stops_and_says_who() {
    let freeze = Freeze { by: "grace".into(), reason: "migration".into(), at: at(-100) };
    blocked_by(Mode::Auto, |facts| facts.freeze = Some(freeze), &[Guard::Frozen]);
}
#[test]
fn a_veto_stops_and_names_the_command_that_lifts_it() {
    let veto = Veto { by: "grace".into(), comment: "network".into(), at: at(-5) };
    blocked_by(Mode::Auto, |facts| facts.incident.veto = Some(veto), &[Guard::Vetoed]);
}
#[test]
fn votes_that_are_missing_block_and_name_the_voter() {
    let unknown = Quorum::Unknown { why: "eu-central-1 has not voted".into(), evidence_age: None };
    blocked_by(Mode::Auto, |facts| facts.quorum = unknown, &[Guard::Quorum]);
}
#[test]
fn a_region_that_is_still_heard_blocks() {
    blocked_by(Mode::Auto, |facts| facts.quorum = Quorum::StillHeard { beats_since: 3 }, &[Guard::StillHeard]);
}
#[test]
fn all_guards_are_named_at_once() {
    blocked_by(
        Mode::Auto,
        |facts| {
            facts.lag = Lag::Unknown { why: "x".into() };
            target(facts).instances.clear();
        },
        &[Guard::TargetHeadless, Guard::LagUnknown],
    );
}
#[test]
fn the_same_block_is_not_said_twice() {
    let mut facts = facts(Phase::Suspected);
    facts.lag = Lag::Unknown { why: "x".into() };
    let Decision::Block(blocked) = decide(&facts, &policy(Mode::Auto), at(0)) else { panic!("not blocked") };
    facts.incident.phase = Phase::Blocked;
    facts.incident.blocked = blocked;
    assert!(matches!(decide(&facts, &policy(Mode::Auto), at(0)), Decision::Rest { .. }));
}

fn switchover(facts: &mut Facts) {
    facts.incident.verb = Verb::Switchover;
    facts.incident.approval = approval(&[]);
    facts.quorum = Quorum::Alive;
}
#[test]
fn a_switchover_needs_the_primary_alive() {
    blocked_by(
        Mode::Auto,
        |facts| {
            switchover(facts);
            facts.quorum = Quorum::Dark(proof());
        },
        &[Guard::PrimaryNotHealthy],
    );
}
#[test]
fn a_switchover_never_allows_loss() {
    check(
        Phase::Confirmed,
        Mode::Approve,
        switchover,
        |it| matches!(it, Decision::Fence(order) if !order.allows_data_loss()),
    );
}
#[test]
fn a_switchover_refuses_to_start_far_behind() {
    let lag = Lag::Known { lag: Duration::from_secs(60), age: Duration::ZERO };
    blocked_by(
        Mode::Auto,
        |facts| {
            switchover(facts);
            facts.lag = lag;
        },
        &[Guard::LagHigh],
    );
}

fn order() -> Order {
    Order::Failover(Failover::new(
        arn("eu-west-2"),
        1,
        LossAcceptance::approved("ada", "", at(0), Price::Unknown { why: "x".into() }),
    ))
}
fn called(seconds_ago: i64, attempt: u32) -> impl FnOnce(&mut Facts) {
    move |facts| {
        facts.incident.order = Some(order());
        facts.incident.intent = Some(Intent { attempt, at: at(-seconds_ago) });
    }
}
fn promoted(facts: &mut Facts) {
    called(40, 1)(facts);
    for member in &mut cluster(facts).members {
        member.is_writer = !member.is_writer;
    }
}
#[test]
fn after_the_fence_rds_is_asked() {
    check(
        Phase::Fencing,
        Mode::Auto,
        |facts| facts.incident.order = Some(order()),
        |it| matches!(it, Decision::Promote { attempt: 1, .. }),
    );
}
#[test]
fn a_call_whose_effect_does_not_show_yet_is_not_repeated_at_once() {
    check(Phase::Promoting, Mode::Auto, called(7, 1), |it| matches!(it, Decision::LookAgain { .. }));
}
#[test]
fn a_call_that_left_no_trace_is_repeated_and_then_given_up() {
    check(Phase::Promoting, Mode::Auto, called(9, 1), |it| matches!(it, Decision::Promote { attempt: 2, .. }));
    check(Phase::Promoting, Mode::Auto, called(9, 3), |it| matches!(it, Decision::Fail { .. }));
}
#[test]
fn our_own_operation_in_flight_is_waited_for() {
    check(
        Phase::Promoting,
        Mode::Auto,
        |facts| {
            called(30, 1)(facts);
            let to = Some(arn("eu-west-2").to_string());
            cluster(facts).operation = Some(Operation { status: "failing-over".into(), to, data_loss_allowed: true });
        },
        |it| matches!(it, Decision::LookAgain { slow: false, .. }),
    );
}
#[test]
fn an_accidental_switchover_in_flight_is_not_taken_for_our_failover() {
    check(
        Phase::Promoting,
        Mode::Auto,
        |facts| {
            called(30, 1)(facts);
            let to = Some(arn("eu-west-2").to_string());
            cluster(facts).operation = Some(Operation { status: "pending".into(), to, data_loss_allowed: false });
        },
        |it| matches!(it, Decision::Block(blocked) if blocked[0].guard == Guard::OperationInFlight),
    );
}
#[test]
fn a_sole_available_writer_is_proven_next() {
    check(Phase::Promoting, Mode::Auto, promoted, |it| matches!(it, Decision::Prove));
}
#[test]
fn two_writers_are_no_completion() {
    check(
        Phase::Promoting,
        Mode::Auto,
        |facts| {
            promoted(facts);
            cluster(facts).members[0].is_writer = true;
        },
        |it| !matches!(it, Decision::Prove),
    );
}
#[test]
fn a_cluster_that_is_still_modifying_is_no_completion() {
    check(
        Phase::Promoting,
        Mode::Auto,
        |facts| {
            promoted(facts);
            cluster(facts).status = "modifying".into();
        },
        |it| matches!(it, Decision::LookAgain { .. }),
    );
}
#[test]
fn a_new_writer_without_an_available_instance_is_no_completion() {
    check(
        Phase::Promoting,
        Mode::Auto,
        |facts| {
            promoted(facts);
            target(facts).instances.clear();
        },
        |it| matches!(it, Decision::LookAgain { .. }),
    );
}
#[test]
fn proving_believes_only_a_written_row() {
    check(Phase::Proving, Mode::Auto, promoted, |it| matches!(it, Decision::WriteFenceRow));
}
#[test]
fn a_promotion_beyond_patience_is_slow() {
    let mut facts = facts(Phase::Promoting);
    called(400, 1)(&mut facts);
    facts.global_cluster = Observed::Unseen { why: "throttled".into() };
    let decision = decide(&facts, &policy(Mode::Auto), at(400));
    assert!(matches!(decision, Decision::LookAgain { slow: true, .. }), "{decision:?}");
}
#[test]
fn the_old_volume_is_looked_for_only_when_its_region_is_back() {
    check(Phase::Restored, Mode::Auto, |_| {}, |it| matches!(it, Decision::Rest { .. }));
    check(
        Phase::Restored,
        Mode::Auto,
        |facts| facts.quorum = Quorum::Alive,
        |it| matches!(it, Decision::SecureOldVolume),
    );
}

#[test]
fn a_planned_move_acknowledges_itself() {
    check(Phase::Restored, Mode::Approve, switchover, |it| matches!(it, Decision::CloseItself));
}

/// An incident ends only when redundancy, old volume, ledger and in-doubt list are clean or vouched for.
#[test]
fn closing_names_what_is_not_clean() {
    let mut facts = facts(Phase::Reconciling);
    for member in &mut cluster(&mut facts).members {
        member.connected = Some(false);
    }
    let names = |overrides: &[Guard]| {
        let overrides = overrides.iter().copied().collect();
        let aftermath = Aftermath { cluster: facts.global_cluster.clone(), ..Aftermath::unknown("throttled") };
        let blocked = reasons_not_to_close(&facts.incident, &aftermath, &overrides, at(0));
        blocked.into_iter().map(|block| block.guard).collect::<Vec<_>>()
    };
    let unseen = [Guard::LedgerClean, Guard::InDoubtEmpty, Guard::ReceiptsConverged];
    let unsaid = [Guard::AlarmsMoved, Guard::PlanClean];
    let all = [&[Guard::Redundancy, Guard::OldVolume][..], &unseen, &unsaid].concat();
    assert_eq!(names(&[]), all);
    assert_eq!(names(&all[1..]), [Guard::Redundancy]);
}

mod closing;
mod guard_evidence;
mod judgement;
mod properties;
mod sentences;
mod standby;
mod steps;
