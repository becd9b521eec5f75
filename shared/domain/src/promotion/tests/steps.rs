//! The next step at every bound, and for every combination that decides between two steps.

use super::*;

fn decided(phase: Phase, policy: &Policy, now: i64, change: impl FnOnce(&mut Facts)) -> Decision {
    let mut facts = facts(phase);
    change(&mut facts);
    decide(&facts, policy, at(now))
}

/// The decision's sentence begins so: what is decided and why.
#[track_caller]
fn says(phase: Phase, mode: Mode, change: impl FnOnce(&mut Facts), expected: &str) {
    let said = decided(phase, &policy(mode), 0, change).to_string();
    assert!(said.starts_with(expected), "{said}");
}

const CONFIRMED: &str = "confirmed dark";
const FENCED: &str = "fencing off the old writer";
const NOT_THE_WRITER: &str = "dismissed: the Region does not hold the writer";
const RECOVERED: &str = "dismissed: the Region answers";

fn switched(facts: &mut Facts) {
    for member in &mut cluster(facts).members {
        member.is_writer = !member.is_writer;
    }
}
fn busy(facts: &mut Facts) {
    let operation = Operation { status: "pending".into(), to: None, data_loss_allowed: true };
    cluster(facts).operation = Some(operation);
}

#[test]
fn a_target_that_is_being_made_the_writer_is_not_yet_it() {
    says(Phase::Suspected, Mode::Auto, switched, NOT_THE_WRITER);
    says(
        Phase::Suspected,
        Mode::Auto,
        |facts| {
            switched(facts);
            busy(facts);
        },
        "blocked by operation_in_flight",
    );
    says(Phase::Suspected, Mode::Auto, busy, "blocked by operation_in_flight");
}

#[test]
fn only_a_failover_that_nobody_insists_on_ends_when_the_region_recovers() {
    for (quorum, left_alone) in [
        (Quorum::Alive, RECOVERED),
        (Quorum::Wavering, "nothing to do: probes waver; the observers speak again in a few seconds"),
    ] {
        let seen = |facts: &mut Facts| facts.quorum = quorum.clone();
        says(Phase::Suspected, Mode::Auto, seen, left_alone);
        says(
            Phase::Suspected,
            Mode::Auto,
            |facts| {
                seen(facts);
                facts.incident.approval = approval(&[]);
            },
            "blocked by quorum: eu-west-1: ",
        );
        says(
            Phase::Suspected,
            Mode::Auto,
            |facts| {
                seen(facts);
                facts.incident.approval = approval(&[Guard::Quorum]);
            },
            "confirmed on a person's word",
        );
    }
    says(Phase::Suspected, Mode::Auto, switchover, "confirmed on a person's word");
    says(
        Phase::Suspected,
        Mode::Auto,
        |facts| {
            switchover(facts);
            facts.incident.approval = None;
            facts.quorum = Quorum::Wavering;
        },
        "blocked by primary_not_healthy: eu-west-1: probes have begun to fail",
    );
    says(
        Phase::Suspected,
        Mode::Auto,
        |facts| {
            switchover(facts);
            facts.incident.approval = None;
        },
        "confirmed on a person's word",
    );
}

#[test]
fn a_block_that_lifts_is_confirmed_first_unless_it_was_before() {
    let unproven = |facts: &mut Facts| facts.incident.proof = None;
    says(Phase::Blocked, Mode::Auto, unproven, CONFIRMED);
    says(Phase::Blocked, Mode::Auto, |_| {}, FENCED);
    says(Phase::Confirmed, Mode::Auto, unproven, FENCED);
    says(
        Phase::Blocked,
        Mode::Auto,
        |facts| {
            unproven(facts);
            facts.incident.approval = approval(&[]);
        },
        FENCED,
    );
    says(Phase::Suspected, Mode::Auto, |_| {}, CONFIRMED);
}

#[test]
fn a_new_guard_is_news_and_an_old_one_is_not() {
    let unknown = |facts: &mut Facts| facts.lag = Lag::Unknown { why: "x".into() };
    let blocked_before = |facts: &mut Facts, guard| {
        let blocked = Blocked { guard, evidence: "e".into(), evidence_age: None, override_with: "o".into() };
        facts.incident.blocked = vec![blocked];
        unknown(facts);
    };
    let old = |facts: &mut Facts| blocked_before(facts, Guard::LagUnknown);
    says(Phase::Blocked, Mode::Auto, old, "nothing to do: still blocked by lag_unknown");
    says(Phase::Blocked, Mode::Auto, |facts| blocked_before(facts, Guard::LagHigh), "blocked by lag_unknown");
    says(Phase::Confirmed, Mode::Auto, old, "blocked by lag_unknown");
}

#[test]
fn a_switchover_is_asked_for_by_whoever_approved_or_raised_it() {
    says(
        Phase::Confirmed,
        Mode::Approve,
        switchover,
        "fencing off the old writer, then switch over to arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2, asked for by ada",
    );
    let by = |facts: &mut Facts| {
        switchover(facts);
        facts.incident.approval = None;
    };
    let Decision::Fence(order) = decided(Phase::Confirmed, &policy(Mode::Approve), 0, by) else { panic!("not fenced") };
    assert!(order.to_string().ends_with("asked for by a test"), "{order}");
}

fn policy_with(mode: Mode, acceptance_ends: Option<i64>, countdown: Option<u64>) -> Policy {
    let mut policy = policy(mode);
    match acceptance_ends {
        Some(second) => policy.standing_acceptance.as_mut().unwrap().expires_at = at(second),
        None => policy.standing_acceptance = None,
    }
    policy.approve_countdown_seconds = countdown;
    policy
}

#[test]
fn who_accepts_the_loss_by_mode_phase_and_acceptance() {
    use Phase::{AwaitingApproval, Confirmed};
    let expired = "a person is asked (the standing acceptance of loss by cfo ran out at 2027-01-15T08:00:00Z)";
    let nobody = "a person is asked (nobody has accepted loss beforehand)";
    let waiting = "nothing to do: waiting for a person's approval";
    let asked = "a person is asked (the policy is to ask)";
    let counting = "a person is asked (the policy is to ask); it goes on at 2027-01-15T08:01:00Z unless vetoed";
    let observing = r#"blocked by observe_mode: the policy is to observe; it would ask a person to accept the loss of failing over to arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2; to go on: {"action":"approve","incident":"e1","by":"<you>","override":["observe_mode"]}"#;
    for (mode, acceptance_ends, countdown, phase, expected) in [
        (Mode::Auto, Some(0), None, Confirmed, expired),
        (Mode::Auto, Some(0), None, AwaitingApproval, waiting),
        (Mode::Auto, None, None, Confirmed, nobody),
        (Mode::Auto, None, None, AwaitingApproval, waiting),
        (Mode::Observe, Some(0), None, Confirmed, observing),
        (Mode::Observe, None, None, Confirmed, observing),
        (Mode::Approve, Some(1), Some(60), Confirmed, counting),
        (Mode::Approve, Some(0), Some(60), Confirmed, asked),
        (Mode::Approve, None, Some(60), Confirmed, asked),
        (Mode::Approve, Some(1), None, Confirmed, asked),
        (Mode::Approve, Some(1), None, AwaitingApproval, waiting),
    ] {
        let decision = decided(phase, &policy_with(mode, acceptance_ends, countdown), 0, |_| {});
        assert_eq!(decision.to_string(), expected, "{mode} {phase}");
    }
    let would = "blocked by observe_mode: the policy is to observe; it would fail over to";
    for (mode, phase, expected) in
        [(Mode::Auto, Confirmed, FENCED), (Mode::Auto, AwaitingApproval, FENCED), (Mode::Observe, Confirmed, would)]
    {
        says(phase, mode, |_| {}, expected);
    }
}

#[test]
fn a_countdown_runs_out_at_its_second_and_only_while_the_acceptance_stands() {
    let running = |facts: &mut Facts| facts.incident.veto_until = Some(at(60));
    let says = |phase, acceptance_ends, now, expected: &str| {
        let policy = policy_with(Mode::Approve, Some(acceptance_ends), Some(60));
        let said = decided(phase, &policy, now, running).to_string();
        assert!(said.starts_with(expected), "{phase} at {now}: {said}");
    };
    let waiting = "nothing to do: waiting for an approval or a veto until 2027-01-15T08:01:00Z";
    says(Phase::AwaitingApproval, 1000, 59, waiting);
    says(Phase::AwaitingApproval, 1000, 60, FENCED);
    says(Phase::AwaitingApproval, 60, 60, waiting);
    says(Phase::Confirmed, 1000, 61, "a person is asked (the policy is to ask)");
}

#[test]
fn a_lag_is_judged_by_the_policy_only_when_nobody_is_asked() {
    let unknown = |facts: &mut Facts| facts.lag = Lag::Unknown { why: "x".into() };
    says(Phase::Confirmed, Mode::Auto, unknown, "blocked by lag_unknown");
    says(Phase::Confirmed, Mode::Observe, unknown, "blocked by observe_mode");
    says(Phase::Confirmed, Mode::Approve, unknown, "a person is asked");
    let policy = policy_with(Mode::Approve, Some(1000), Some(60));
    for (now, expected) in [(59, "nothing to do: waiting for an approval"), (60, "blocked by lag_unknown")] {
        let decision = decided(Phase::AwaitingApproval, &policy, now, |facts| {
            unknown(facts);
            facts.incident.veto_until = Some(at(60));
        });
        assert!(decision.to_string().starts_with(expected), "{decision}");
    }
}

#[test]
fn a_call_without_effect_is_repeated_after_eight_seconds_and_three_times_in_all() {
    let waiting = "waiting: RDS has not shown the effect of the call yet";
    says(Phase::Promoting, Mode::Auto, called(7, 1), waiting);
    says(Phase::Promoting, Mode::Auto, called(8, 1), "asking RDS for the 2. time");
    says(Phase::Promoting, Mode::Auto, called(8, 2), "asking RDS for the 3. time");
    says(
        Phase::Promoting,
        Mode::Auto,
        called(8, 3),
        "failed: RDS was asked 3 times and the global cluster shows no sign of it",
    );
    says(Phase::Promoting, Mode::Auto, called(8, 4), "failed: RDS was asked 4 times");
    says(Phase::Promoting, Mode::Auto, |facts| facts.incident.order = Some(order()), "asking RDS to fail over to");
}

#[test]
fn an_order_that_is_missing_is_said_and_nothing_is_asked() {
    says(Phase::Fencing, Mode::Auto, |_| {}, "failed: the incident is in Fencing without an order");
    says(Phase::Promoting, Mode::Auto, |_| {}, "failed: the incident is in Promoting without an order");
}

#[test]
fn patience_ends_on_its_second() {
    let unseen = |facts: &mut Facts| {
        called(0, 1)(facts);
        facts.global_cluster = Observed::Unseen { why: "throttled".into() };
    };
    for (now, expected) in [
        (298, "waiting: the global cluster cannot be described: throttled"),
        (299, "waiting longer than planned: the global cluster cannot be described: throttled"),
    ] {
        assert_eq!(decided(Phase::Promoting, &policy(Mode::Auto), now, unseen).to_string(), expected);
    }
}

#[test]
fn an_operation_is_ours_when_verb_and_target_agree_or_the_target_is_not_said() {
    let (ours, theirs) = (Some(arn("eu-west-2").to_string()), Some(arn("eu-west-1").to_string()));
    for (to, data_loss_allowed, expected) in [
        (ours.clone(), true, "waiting: RDS is failing-over"),
        (None, true, "waiting: RDS is failing-over"),
        (theirs, true, "blocked by operation_in_flight"),
        (ours, false, "blocked by operation_in_flight"),
        (None, false, "blocked by operation_in_flight"),
    ] {
        let in_flight = |facts: &mut Facts| {
            called(9, 1)(facts);
            cluster(facts).operation = Some(Operation { status: "failing-over".into(), to, data_loss_allowed });
        };
        says(Phase::Promoting, Mode::Auto, in_flight, expected);
    }
}

#[test]
fn completion_needs_an_available_cluster_and_an_available_writer_in_it() {
    let proven = "RDS is done; proving that writes work";
    let no_writer = "waiting: the new primary has no available writer instance";
    says(Phase::Promoting, Mode::Auto, promoted, proven);
    let and = |change: fn(&mut Facts), expected: &str| {
        says(
            Phase::Promoting,
            Mode::Auto,
            |facts| {
                promoted(facts);
                change(facts);
            },
            expected,
        );
    };
    and(|facts| target(facts).instances[0].is_writer = false, no_writer);
    and(|facts| target(facts).instances[0].status = "rebooting".into(), no_writer);
    and(|facts| cluster(facts).status = "modifying".into(), "waiting: the global cluster is modifying");
    and(
        |facts| facts.target_cluster = Observed::Unseen { why: "throttled".into() },
        "waiting: the new writer cannot be described: throttled",
    );
    and(|facts| cluster(facts).members[0].is_writer = true, "asking RDS for the 2. time");
    and(|facts| cluster(facts).members.clear(), "asking RDS for the 2. time");
}

#[test]
fn what_follows_the_restoration() {
    let back = "looking for the snapshot of the old volume";
    says(Phase::Restored, Mode::Auto, |_| {}, "nothing to do: eu-west-1 is not back: unreachable from");
    says(Phase::Restored, Mode::Auto, |facts| facts.quorum = Quorum::Grey { since: None }, back);
    says(Phase::Restored, Mode::Auto, |facts| facts.quorum = Quorum::Alive, back);
    says(Phase::Reconciling, Mode::Auto, |_| {}, back);
    says(
        Phase::Reconciling,
        Mode::Auto,
        |facts| facts.incident.secured_snapshot = Some("copy".into()),
        "nothing to do: the old volume is secured; a person closes the incident",
    );
    says(Phase::Failed, Mode::Auto, |_| {}, "nothing to do: the incident is Failed");
    says(Phase::Proving, Mode::Auto, |_| {}, "writing the fence row through the writer endpoint");
}

/// A fence that was decided on at -1 s, and whose driver was lost; the votes of policy count for 15 s.
#[track_caller]
fn long_fenced(phase: Phase, now: i64, change: impl Fn(&mut Facts), expected: &str) {
    let fenced = |facts: &mut Facts| {
        facts.incident.order = Some(order());
        facts.incident.intent = (phase == Phase::Promoting).then(|| Intent { attempt: 1, at: at(-1) });
        change(facts);
    };
    let said = decided(phase, &policy(Mode::Auto), now, fenced).to_string();
    assert!(said.starts_with(expected), "{said}");
}

const ASKED: &str = "asking RDS";
const GIVEN_BACK: &str = "the old writer stays: RDS has moved nothing";

#[test]
fn a_fence_whose_driver_was_lost_is_given_back_once_the_region_is_no_longer_dark() {
    let split = Quorum::Split { against: region("eu-central-1"), in_favour: region("eu-west-2") };
    let unknown = Quorum::Unknown { why: "w".into(), evidence_age: None };
    for (quorum, expected) in [
        (Quorum::Dark(proof()), ASKED),
        (Quorum::Alive, GIVEN_BACK),
        (Quorum::Grey { since: None }, GIVEN_BACK),
        (Quorum::StillHeard { beats_since: 2 }, GIVEN_BACK),
        (split, GIVEN_BACK),
        (Quorum::Wavering, "waiting: whether eu-west-1 is still dark"),
        (unknown, "waiting: whether eu-west-1 is still dark"),
    ] {
        for phase in [Phase::Fencing, Phase::Promoting] {
            long_fenced(phase, 30, |facts| facts.quorum = quorum.clone(), expected);
        }
        // As long as the votes of the decision count, nobody asks again.
        long_fenced(Phase::Fencing, 14, |facts| facts.quorum = quorum.clone(), ASKED);
    }
}

#[test]
fn a_fence_about_which_nobody_says_anything_is_a_persons_after_a_minute() {
    let unknown = |facts: &mut Facts| facts.quorum = Quorum::Unknown { why: "w".into(), evidence_age: None };
    for phase in [Phase::Fencing, Phase::Promoting] {
        long_fenced(phase, 58, unknown, "waiting");
        long_fenced(phase, 59, unknown, "failed: the fence is up, RDS was not asked");
    }
}

#[test]
fn a_persons_approval_is_not_asked_back_when_its_driver_was_lost() {
    let approved = |facts: &mut Facts| {
        facts.quorum = Quorum::Alive;
        facts.incident.approval = approval(&[]);
    };
    for phase in [Phase::Fencing, Phase::Promoting] {
        long_fenced(phase, 30, approved, ASKED);
    }
}

/// A veto that runs out is no consent: people are asked anew, with the whole countdown before them.
#[test]
fn a_veto_that_runs_out_asks_anew_and_never_goes_on_by_itself() {
    let mut policy = policy(Mode::Approve);
    policy.approve_countdown_seconds = Some(60);
    policy.veto_holds_seconds = Some(180);
    let mut facts = facts(Phase::Blocked);
    facts.incident.veto = Some(Veto { by: "grace".into(), comment: String::new(), at: at(0) });
    facts.incident.veto_until = Some(at(-30));
    let vetoed =
        |decision: &Decision| matches!(decision, Decision::Block(blocked) if blocked[0].guard == Guard::Vetoed);
    assert!(vetoed(&decide(&facts, &policy, at(179))), "{}", decide(&facts, &policy, at(179)));
    let anew = decide(&facts, &policy, at(180));
    assert!(
        matches!(&anew, Decision::AskApproval { veto_until: Some(end), reason } if *end == at(240) && reason == "the veto of grace has run out"),
        "{anew}"
    );
    // Where nothing counts down, a veto never runs out.
    policy.mode = Mode::Auto;
    assert!(vetoed(&decide(&facts, &policy, at(100_000))), "{}", decide(&facts, &policy, at(100_000)));
}
