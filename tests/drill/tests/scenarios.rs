//! Every scenario of the drill, on three seeds; and the proof that a seed is all that a run depends on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use drill::checker::Verdict;
use drill::scenario::{Pace, SCENARIOS, Scenario};
use drill::{play, report, timeline};

#[track_caller]
fn holds(name: &str) {
    let scenario = Scenario::named(name).unwrap();
    for seed in 1..=3 {
        let outcome = play(scenario, Pace::drill(seed), |_| {}).unwrap();
        assert_eq!(outcome.verdict(), Verdict::Valid, "{name} seed {seed}: {:#?}", outcome.problems);
        // An incident can be decided again from what was stored with it, to the same sentences.
        let judgements = &outcome.state.judgements;
        assert_eq!(judgements.is_empty(), outcome.state.incident.is_none(), "{name} seed {seed}");
        for replayed in judgements.iter().map(|judgement| judgement.replay(None)) {
            assert!(!replayed.differs(), "{name} seed {seed}: {replayed:#?}");
        }
    }
}

/// A macro, so that each scenario is a test of its own and a new one cannot be forgotten.
macro_rules! scenarios {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn every_scenario_is_a_test() {
            let tested = [$($name),*];
            let all: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

scenarios! {
    dublin_dark_fails_over_in_a_minute "dublin-dark"
    a_planned_switchover_loses_nothing "planned-switchover"
    the_writer_goes_there_and_back_without_loss "there-and-back"
    a_grey_writer_pages_and_moves_nothing "grey-writer"
    a_partition_of_one_observer_moves_nothing "one-observer-partition"
    a_cut_link_moves_nothing "link-cut"
    a_flapping_alarm_moves_nothing_and_wakes_nobody "alarm-flap"
    a_promoter_that_dies_is_resumed_with_one_call_in_total "promoter-dies"
    approve_mode_waits_for_a_person "approve-mode"
    a_veto_holds_while_the_region_stays_dark "veto"
    observe_mode_touches_nothing "observe-mode"
    a_headless_standby_is_blocked_and_paged "london-headless"
    a_dark_standby_is_told_and_nothing_moves "standby-dark"
    the_old_volume_is_secured_when_dublin_returns "dublin-returns"
    the_price_on_the_page_is_what_is_lost "lag-spike-then-dark"
    a_stalled_table_is_told_and_its_recovery_too "table-stalled"
    a_replica_without_its_key_is_counted_down "kms-revoked"
    a_one_way_set_up_is_found "crr-one-way"
    a_double_charge_is_found_and_listed "mrec-double-key"
    a_planned_move_waits_for_replication "gate-refuses-switchover"
    another_topic_carries_the_pages "sns-down"
    a_busy_provider_gets_its_pages_late "pagerduty-throttled"
    a_page_that_nobody_could_get_arrives_and_says_that_it_is_late "every-channel-down"
    two_pagers_at_once_send_one_page "two-pagers-at-once"
    an_alert_is_never_opened_after_its_end "resolve-overtakes-trigger"
    ten_thousand_events_are_a_handful_of_pages "event-storm"
    traffic_goes_away_and_comes_back_by_the_switch "evacuate-by-switch"
    the_last_region_is_not_evacuated "refuse-last-region"
    writer_and_traffic_come_back_when_all_is_in_order "failback-clean"
    the_way_back_is_refused_while_payments_are_missing "failback-refused-ledger-dirty"
}

#[test]
fn one_seed_gives_the_same_bytes_twice() {
    let scenario = Scenario::named("promoter-dies").unwrap();
    let run = || {
        let outcome = play(scenario, Pace::drill(7), timeline::follow).unwrap();
        (report::json(&outcome).to_string(), format!("{:?}", outcome.requests))
    };
    let (first, again) = (run(), run());
    assert!(first == again, "two runs of one seed differ");
}

#[test]
fn two_seeds_differ() {
    let scenario = Scenario::named("dublin-dark").unwrap();
    let run =
        |seed| report::json(&play(scenario, Pace::drill(seed), timeline::follow).unwrap())["timeline"].to_string();
    assert!(run(1) != run(2), "the seed has no influence");
}

/// A checker that calls everything valid proves nothing: a run in which the failover was forbidden must be found out.
#[test]
fn a_run_that_does_not_restore_writes_is_invalid() {
    let scenario = Scenario::named("dublin-dark").unwrap();
    let outcome = play(scenario, Pace::drill(1), |world| {
        use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
        let matches = CallMatch { operation: Some("FailoverGlobalCluster"), ..CallMatch::default() };
        let effect = CallEffect::Error { status: 403, code: "AccessDenied" };
        world.inject(CallFault::new(matches, 0..u64::MAX, effect));
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.verdict(), Verdict::Invalid);
    assert!(outcome.problems.iter().any(|problem| problem.contains("first durable write")), "{:?}", outcome.problems);
    let told = outcome.letters.iter().any(|letter| letter.message.contains("RDS refuses"));
    assert!(told, "a refusal by RDS must reach a person: {:?}", outcome.letters);
}
