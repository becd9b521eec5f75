use std::collections::BTreeMap;

use super::*;
use crate::config::Config;
use crate::readiness::Seen;
use crate::{Region, Timestamp};

fn policy(mode: Mode) -> Policy {
    let mut policy = Config::parse(include_str!("../../../../events/config.example.json")).unwrap().policy;
    policy.mode = mode;
    policy
}

fn facts(region: &str, seen: &[(Setting, u64)]) -> RegionFacts {
    let seen = seen.iter().map(|(setting, number)| Seen::new(*setting, "x", Value::Number(*number))).collect();
    let reads = BTreeMap::from([("all".to_owned(), Observed::Seen(seen))]);
    RegionFacts { region: Region::new(region).unwrap(), reads }
}

const SETTINGS: [(Setting, u64); 5] = [
    (Setting::RecordInterval, 10),
    (Setting::RecordThreshold, 3),
    (Setting::RecordTtl, 60),
    (Setting::BalancerKeepAlive, 60),
    (Setting::ServiceDnsCache, 5),
];

fn budget(mode: Mode) -> Budget {
    let promotions = Promotions { count: 20, p50_ms: 45_000, p95_ms: 61_000, proof_p95_ms: 2_000 };
    let (dark, survivor) = (facts("eu-west-1", &SETTINGS), facts("eu-west-2", &SETTINGS));
    Budget::of(&policy(mode), &dark, &survivor, Observed::Seen(promotions))
}

/// 14:07:00 dark, the first check fails at 14:07:15, the second at 14:07:45, and answers are kept for 60 s more.
#[test]
fn the_briefs_own_numbers_come_to_105_s_and_not_to_75() {
    let brief = Dns { first_failure_ms: 15_000, interval_ms: 30_000, threshold: 2, ttl_ms: 60_000 };
    assert_eq!(brief.detected_ms(), 45_000);
    assert_eq!(brief.total_ms(), 105_000, "the time to live begins when the detection has ended");
    // 75 s are what is left when the detection is taken to be over with the first failure.
    assert_eq!(brief.first_failure_ms + brief.ttl_ms, 75_000);
}

#[test]
fn route_53s_default_takes_two_and_a_half_minutes_and_the_shortest_one_and_a_quarter() {
    // Both without the checker's own patience of six seconds.
    assert_eq!(Dns::at_worst(30_000, 3, 60_000).total_ms(), 156_000);
    assert_eq!(Dns::at_worst(10_000, 1, 60_000).total_ms(), 76_000);
}

#[test]
fn the_phases_of_writes_add_up() {
    let budget = budget(Mode::Auto);
    let took: Vec<(&str, Observed<u64>)> =
        budget.writes.iter().map(|it| (it.name.as_str(), it.takes_ms.clone())).collect();
    let seen = |ms| Observed::Seen(ms);
    assert_eq!(
        took,
        [
            ("detect", seen(12_500)),
            ("confirm", seen(1_500)),
            ("approve", seen(0)),
            ("decide", seen(1_000)),
            ("promote", seen(61_000)),
            ("route and prove", seen(2_000)),
            ("forget the old writer", seen(5_000)),
            ("first write", seen(1_500)),
        ]
    );
    assert_eq!(total(&budget.writes), seen(84_500));
}

/// A dark Region keeps no connection open; one that answers and only fails keeps each for as long as it may.
#[test]
fn connections_are_kept_only_by_a_region_that_still_answers() {
    let budget = budget(Mode::Auto);
    assert_eq!(total(&budget.reads), Observed::Seen(36_000 + 60_000));
    assert_eq!(total(&budget.reads_kept_open), Observed::Seen(36_000 + 60_000 + 60_000));
    assert!(budget.reads.iter().all(|phase| phase.name != "connections end"), "{:?}", budget.reads);
}

#[test]
fn an_objective_that_is_not_met_names_the_longest_phase() {
    let budget = budget(Mode::Auto);
    assert_eq!(budget.over(&Objective { reads_seconds: 156, writes_seconds: 85 }), [""; 0]);
    let over = budget.over(&Objective { reads_seconds: 155, writes_seconds: 60 });
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(
        over[0].contains("writes take up to 84.5 s, and the objective is 60 s: the longest phase is `promote`"),
        "{over:?}"
    );
    assert!(over[1].contains("reads take up to 156.0 s"), "{over:?}");
}

#[test]
fn a_phase_that_is_unknown_makes_the_total_unknown_and_the_objective_unmet() {
    let budget = budget(Mode::Approve);
    let Observed::Unseen { why } = total(&budget.writes) else { panic!("{:?}", budget.writes) };
    assert!(why.contains("waits for a person"), "{why}");
    let over = budget.over(&Objective { reads_seconds: 1000, writes_seconds: 1000 });
    assert!(over.len() == 1 && over[0].contains("unknown"), "{over:?}");
    let blind = facts("eu-west-1", &[]);
    let unseen = Observed::Unseen { why: "nothing was promoted yet".into() };
    let budget = Budget::of(&policy(Mode::Auto), &blind, &blind, unseen);
    assert!(matches!(total(&budget.reads), Observed::Unseen { .. }));
    assert!(budget.table().contains("promotions so far: unknown, nothing was promoted yet"), "{}", budget.table());
}

#[test]
fn a_countdown_is_a_persons_time() {
    let mut policy = policy(Mode::Approve);
    policy.approve_countdown_seconds = Some(120);
    let facts = facts("eu-west-1", &SETTINGS);
    let unseen = Observed::Unseen { why: "x".into() };
    let budget = Budget::of(&policy, &facts, &facts, unseen);
    let approve = budget.writes.iter().find(|phase| phase.name == "approve").unwrap();
    assert_eq!((approve.whose, approve.takes_ms.clone()), (Whose::Person, Observed::Seen(120_000)));
}

#[test]
fn promotions_are_ranked_and_the_slowest_of_twenty_is_left_out() {
    let incident = |seconds: i64| {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let json = serde_json::json!({
            "epoch": 1, "verb": "failover", "from": "eu-west-1", "to": "eu-west-2", "phase": "Closed",
            "raised_by": "x", "opened_at": at(0), "blocked": [],
            "history": [
                {"phase": "Promoting", "at": at(0), "sentence": ""},
                {"phase": "Proving", "at": at(seconds), "sentence": ""},
                {"phase": "Restored", "at": at(seconds + 1), "sentence": ""},
            ],
        });
        serde_json::from_value::<Incident>(json).unwrap()
    };
    let incidents: Vec<Incident> = (1..=20).rev().map(incident).collect();
    let promotions = Promotions::of(&incidents).unwrap();
    assert_eq!(promotions, Promotions { count: 20, p50_ms: 10_000, p95_ms: 19_000, proof_p95_ms: 1_000 });
    assert_eq!(Promotions::of(&[]), None);
    let mut planned = incident(3);
    planned.verb = Verb::Switchover;
    assert_eq!(Promotions::of([&planned]), None);
    assert_eq!(Promotions::of([&incident(7)]).unwrap().p95_ms, 7_000);
}

fn lost(budget: Budget) -> Vec<(Region, Budget)> {
    ["eu-west-1", "eu-west-2"].map(|region| (Region::new(region).unwrap(), budget.clone())).to_vec()
}

#[test]
fn what_exceeds_the_objective_is_one_finding_for_both_regions() {
    let budgets = lost(budget(Mode::Auto));
    assert_eq!(exceeded(&budgets, &Objective { reads_seconds: 156, writes_seconds: 85 }, &[]), []);
    let found = exceeded(&budgets, &Objective { reads_seconds: 155, writes_seconds: 84 }, &[]);
    let keys: Vec<String> = found.iter().map(crate::readiness::Finding::key).collect();
    assert_eq!(keys, ["recovery-objective-exceeded/writes/", "recovery-objective-exceeded/reads/"]);
    let writes = found[0].to_string();
    for part in ["eu-west-1 shows writes back after up to 84.5 s", "eu-west-2 shows", "84 s at most"] {
        assert!(writes.contains(part), "{part} is not in: {writes}");
    }
    assert!(found[0].fix.contains("the longest phase is `promote` with 61.0 s"), "{}", found[0].fix);
}

/// Law 1: what is unknown takes no time, and it does not hide what takes too long by itself either.
#[test]
fn an_unknown_phase_is_no_finding_and_hides_none() {
    let waits = lost(budget(Mode::Approve));
    assert_eq!(exceeded(&waits, &Objective { reads_seconds: 1000, writes_seconds: 85 }, &[]), []);
    let found = exceeded(&waits, &Objective { reads_seconds: 1000, writes_seconds: 80 }, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    let said = found[0].to_string();
    assert!(said.contains("84.5 s and more") && said.contains("waits for a person"), "{said}");
}

/// A setting that is wrong by itself says more than the sum that it spoils.
#[test]
fn what_a_finding_says_already_is_not_said_again() {
    let settings: Vec<(Setting, u64)> = SETTINGS
        .iter()
        .map(|(setting, number)| (*setting, if *setting == Setting::BalancerKeepAlive { 3600 } else { *number }))
        .collect();
    let facts = facts("eu-west-1", &settings);
    let unseen = Observed::Unseen { why: "x".into() };
    let budgets = lost(Budget::of(&policy(Mode::Auto), &facts, &facts, unseen));
    let objective = Objective { reads_seconds: 180, writes_seconds: 120 };
    let found = exceeded(&budgets, &objective, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    let mut said = found[0].clone();
    said.id = Setting::BalancerKeepAlive.about().id.into();
    assert_eq!(exceeded(&budgets, &objective, &[said]), []);
}
