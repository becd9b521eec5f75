//! The budget of an outage against outages: what arithmetic promises, the simulator keeps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use drill::checker::Outcome;
use drill::deployment::Setup;
use drill::play;
use drill::scenario::{Pace, SCENARIOS, Scenario};
use holdfast_domain::Region;
use holdfast_domain::budget::{Budget, Promotions, total};
use holdfast_domain::policy::Mode;
use holdfast_domain::promotion::Observed;
use holdfast_domain::readiness::{RegionFacts, Seen, Setting, Value};

/// What ends with writes restored in auto mode and is no measure of the budget, with the reason.
const LEFT_OUT: [(&str, &str); 1] = [(
    "promoter-dies",
    "the budget is that of a driver that lives; this one is killed, and its lease must run out first",
)];

/// Whatever goes otherwise (a person decides, the move was planned) has no budget to be measured by.
fn is_automatic(scenario: &Scenario) -> bool {
    let mut setup = Setup::standard(1);
    scenario.prepare(&mut setup);
    scenario.outage && setup.config.policy.mode == Mode::Auto
}

/// Nor has what promotes nothing.
fn is_restored(outcome: &Outcome) -> bool {
    outcome.waterfall.rto_writes_ms.is_some() && outcome.waterfall.promoted_ms.is_some()
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    play(scenario, Pace { payment_every: Duration::from_millis(500), ..Pace::drill(seed) }, |_| {}).unwrap()
}

/// The settings of the reference installation (`drill::readiness`), as check-readiness reads them.
fn facts(region: &str) -> RegionFacts {
    let settings = [
        (Setting::RecordInterval, 10),
        (Setting::RecordThreshold, 3),
        (Setting::RecordTtl, 60),
        (Setting::BalancerKeepAlive, 60),
        (Setting::ServiceDnsCache, 5),
    ];
    let seen = settings.map(|(setting, number)| Seen::new(setting, "it", Value::Number(number)));
    let reads = BTreeMap::from([("all".to_owned(), Observed::Seen(seen.to_vec()))]);
    RegionFacts { region: Region::new(region).unwrap(), reads }
}

fn seen(ms: Observed<u64>) -> u64 {
    match ms {
        Observed::Seen(ms) => ms,
        Observed::Unseen { why } => panic!("unknown: {why}"),
    }
}

#[test]
fn the_budget_is_kept_and_not_by_far() {
    // What is known of promotions is what an earlier drill has shown.
    let earlier = run(&SCENARIOS[0], 77);
    let promotions = Promotions::of(&earlier.state.incident).unwrap();
    assert!((45_000..49_000).contains(&promotions.p95_ms), "{promotions:?}");
    let mut measured = Vec::new();
    let left_out = |scenario: &Scenario| LEFT_OUT.iter().any(|(name, _)| *name == scenario.name);
    for scenario in SCENARIOS.iter().filter(|scenario| is_automatic(scenario) && !left_out(scenario)) {
        for seed in [1, 2] {
            let outcome = run(scenario, seed);
            if !is_restored(&outcome) {
                continue;
            }
            let what = format!("{} seed {seed}", scenario.name);
            let (dublin, london) = (facts("eu-west-1"), facts("eu-west-2"));
            let budget = Budget::of(&outcome.config.policy, &dublin, &london, Observed::Seen(promotions));
            let (promised, took) = (seen(total(&budget.writes)), outcome.waterfall.rto_writes_ms.unwrap());
            let took = u64::try_from(took).unwrap();
            assert!(promised >= took, "{what}: {promised} ms promised, {took} ms taken\n{}", budget.table());
            assert!(took * 4 >= promised * 3, "{what}: {promised} ms promised, {took} ms taken\n{}", budget.table());
            // When the one cohort's answers expire is chance, so that reads are held to the promise and to no lower bound.
            let reads = u64::try_from(outcome.waterfall.rto_reads_dublin_ms.unwrap()).unwrap();
            let promised = seen(total(&budget.reads));
            assert!(promised >= reads, "{what}: {promised} ms promised for reads, {reads} ms taken");
            measured.push(what);
        }
    }
    assert!(measured.len() >= 8, "{measured:?}");
}

/// Every reason is for a scenario that there is, and that would be measured otherwise.
#[test]
fn what_is_left_out_has_its_reason() {
    for (name, reason) in LEFT_OUT {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let outcome = run(scenario, 1);
        assert!(is_automatic(scenario) && is_restored(&outcome), "{name}");
        assert!(reason.split_whitespace().count() > 5);
    }
}
