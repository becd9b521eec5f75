//! What each guard shows and how to get past it, word for word: this is what a person has at three in the night.

use super::*;

const TARGET: &str = "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2";

fn blocked(change: impl FnOnce(&mut Facts)) -> Vec<Blocked> {
    let mut facts = facts(Phase::Suspected);
    change(&mut facts);
    let decision = decide(&facts, &policy(Mode::Auto), at(0));
    let Decision::Block(blocked) = decision else { panic!("not blocked: {decision}") };
    blocked
}

/// One guard stops it, shows `evidence`, and goes on with `override_with`.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), guard: Guard, evidence: &str, age_s: Option<u64>, override_with: &str) {
    let expected = Blocked {
        guard,
        evidence: evidence.into(),
        evidence_age: age_s.map(Duration::from_secs),
        override_with: override_with.into(),
    };
    assert_eq!(blocked(change), [expected]);
}

fn approve(guard: &str) -> String {
    format!(r#"{{"action":"approve","incident":"e1","by":"<you>","override":["{guard}"]}}"#)
}
fn planned(change: impl FnOnce(&mut Facts)) -> impl FnOnce(&mut Facts) {
    |facts| {
        switchover(facts);
        change(facts);
    }
}

#[test]
fn a_persons_stop_names_the_person() {
    let freeze = Freeze { by: "grace".into(), reason: "migration".into(), at: at(-100) };
    check(
        |facts| facts.freeze = Some(freeze),
        Guard::Frozen,
        "frozen by grace (migration)",
        Some(100),
        r#"{"action":"unfreeze","by":"<you>"}"#,
    );
    let veto = Veto { by: "grace".into(), comment: "network".into(), at: at(-5) };
    check(
        |facts| facts.incident.veto = Some(veto),
        Guard::Vetoed,
        "vetoed by grace (network)",
        Some(5),
        r#"{"action":"approve","incident":"e1","by":"<you>"}"#,
    );
}

#[test]
fn doubts_about_the_region_say_what_the_quorum_says() {
    check(
        |facts| facts.quorum = Quorum::StillHeard { beats_since: 3 },
        Guard::StillHeard,
        "eu-west-1 is unreachable for the others, yet it has written 3 votes since: it is cut off from them, not dark",
        None,
        &approve("still_heard"),
    );
    let age = Duration::from_secs(16);
    check(
        |facts| facts.quorum = Quorum::Unknown { why: "stale".into(), evidence_age: Some(age) },
        Guard::Quorum,
        "stale",
        Some(16),
        &approve("quorum"),
    );
    check(
        |facts| facts.quorum = Quorum::Grey { since: None },
        Guard::Quorum,
        "eu-west-1: it answers but cannot write",
        None,
        &approve("quorum"),
    );
    check(
        planned(|facts| facts.quorum = Quorum::Grey { since: None }),
        Guard::PrimaryNotHealthy,
        "eu-west-1: it answers but cannot write",
        None,
        r#"wait until it is healthy, or fail over instead and accept the loss: {"action":"failover","to":"eu-west-2","by":"<you>","override":["quorum"]}"#,
    );
}

#[test]
fn a_cluster_that_is_unseen_or_busy_is_waited_for() {
    check(
        |facts| facts.global_cluster = Observed::Unseen { why: "throttled".into() },
        Guard::ClusterUnseen,
        "throttled",
        None,
        "it is tried again by itself; by hand: aws rds describe-global-clusters --region eu-west-2",
    );
    for (to, data_loss_allowed, evidence) in [
        (Some("x".to_owned()), true, "RDS has a failover to x in flight (pending)"),
        (None, false, "RDS has a switchover to an unnamed cluster in flight (pending)"),
    ] {
        let operation = Operation { status: "pending".into(), to, data_loss_allowed };
        check(
            |facts| cluster(facts).operation = Some(operation),
            Guard::OperationInFlight,
            evidence,
            None,
            "wait for it to end or to be cancelled; it is looked at again every minute",
        );
    }
}

#[test]
fn a_target_says_what_it_lacks() {
    check(
        |facts| target(facts).instances.clear(),
        Guard::TargetHeadless,
        &format!("{TARGET} has no DB instance: nothing in it could write"),
        None,
        "add an instance: aws rds create-db-instance --region eu-west-2 --db-cluster-identifier payments-eu-west-2 --db-instance-identifier payments-eu-west-2-1 --engine aurora-postgresql --db-instance-class <as in eu-west-1>",
    );
    let unavailable = |change: fn(&mut Facts), evidence: &str| {
        let evidence = format!("{TARGET}{evidence}");
        check(change, Guard::TargetNotAvailable, &evidence, None, &approve("target_not_available"));
    };
    unavailable(|facts| facts.target_cluster = Observed::Unseen { why: "throttled".into() }, ": throttled");
    unavailable(|facts| target(facts).status = "modifying".into(), " is modifying, 1 of 1 instances available");
    unavailable(
        |facts| target(facts).instances[0].status = "rebooting".into(),
        " is available, 0 of 1 instances available",
    );
}

#[test]
fn engine_versions_are_compared_by_major_and_minor() {
    let check_versions = |global: Option<&str>, own: Option<&str>, evidence: &str| {
        let change = |facts: &mut Facts| {
            cluster(facts).engine_version = global.map(str::to_owned);
            target(facts).engine_version = own.map(str::to_owned);
        };
        check(change, Guard::EngineVersion, evidence, None, &approve("engine_version"));
    };
    let runs = |global: &str, own: &str| format!("the global cluster runs {global}, {TARGET} runs {own}");
    check_versions(Some("16.4"), Some("15.4"), &runs("16.4", "15.4"));
    check_versions(Some("16.4"), Some("16.3"), &runs("16.4", "16.3"));
    check_versions(None, Some("16.4"), &runs("unknown", "16.4"));
    check_versions(None, None, &runs("unknown", "unknown"));
}

#[test]
fn a_lag_shows_what_was_measured_and_what_was_accepted() {
    let known = |lag_s, age_s| Lag::Known { lag: Duration::from_secs(lag_s), age: Duration::from_secs(age_s) };
    check(
        |facts| facts.lag = known(11, 2),
        Guard::LagHigh,
        "replication lag 11000 ms, measured 2 s ago; 10 s was accepted",
        Some(2),
        &approve("lag_high"),
    );
    check(
        |facts| facts.lag = known(0, 189),
        Guard::LagStale,
        "replication lag 0 ms, measured 189 s ago; 10 s was accepted",
        Some(189),
        &approve("lag_stale"),
    );
    check(
        |facts| facts.lag = Lag::Unknown { why: "dark".into() },
        Guard::LagUnknown,
        "replication lag unknown: dark; 10 s was accepted",
        None,
        &approve("lag_unknown"),
    );
    check(
        planned(|facts| facts.lag = known(11, 2)),
        Guard::LagHigh,
        "replication lag 11000 ms, measured 2 s ago; 10 s was accepted",
        Some(2),
        r#"{"action":"switchover","to":"eu-west-2","by":"<you>","override":["lag_high"]}"#,
    );
}

#[test]
fn a_cooldown_says_how_long_it_was_and_holds_for_automation_alone() {
    let recently = |facts: &mut Facts| facts.promoted_at = Some(at(-1799));
    check(
        recently,
        Guard::Cooldown,
        "the last automatic promotion to eu-west-2 was 1799 s ago, and none follows by itself for 1800 s",
        Some(1799),
        &approve("cooldown"),
    );
    let unasked = |facts: &mut Facts| {
        recently(facts);
        facts.incident.verb = Verb::Switchover;
        facts.quorum = Quorum::Alive;
    };
    goes_on(unasked);
    goes_on(|facts| {
        recently(facts);
        facts.incident.approval = approval(&[]);
    });
}

#[track_caller]
fn goes_on(change: impl FnOnce(&mut Facts)) {
    let mut facts = facts(Phase::Suspected);
    change(&mut facts);
    let decision = decide(&facts, &policy(Mode::Auto), at(0));
    assert!(matches!(decision, Decision::Confirm(_)), "{decision}");
}

#[test]
fn a_word_passes_the_guard_it_names_and_no_other() {
    let unreachable = |facts: &mut Facts| {
        facts.quorum = Quorum::Unknown { why: "dark".into(), evidence_age: None };
        facts.freeze = Some(Freeze { by: "grace".into(), reason: "r".into(), at: at(0) });
    };
    let names = |overrides: &[Guard]| -> Vec<Guard> {
        let blocked = blocked(|facts| {
            unreachable(facts);
            facts.incident.approval = approval(overrides);
        });
        blocked.into_iter().map(|block| block.guard).collect()
    };
    assert_eq!(names(&[]), [Guard::Frozen, Guard::Quorum]);
    assert_eq!(names(&[Guard::Quorum]), [Guard::Frozen]);
    assert_eq!(names(&[Guard::Frozen, Guard::LagHigh]), [Guard::Quorum]);
}

#[test]
fn a_person_may_have_done_what_observe_mode_only_says() {
    let decision = |overrides: &[Guard]| {
        let mut facts = facts(Phase::Confirmed);
        facts.incident.approval = approval(overrides);
        decide(&facts, &policy(Mode::Observe), at(0)).to_string()
    };
    let would = format!("blocked by observe_mode: the policy is to observe; it would fail over to {TARGET}");
    assert!(decision(&[Guard::Quorum]).starts_with(&would), "{}", decision(&[Guard::Quorum]));
    assert!(decision(&[Guard::ObserveMode]).starts_with("fencing off"), "{}", decision(&[Guard::ObserveMode]));
}
