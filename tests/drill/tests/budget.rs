//! The budget of an outage against outages: what arithmetic promises, the simulator keeps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use drill::checker::Outcome;
use drill::deployment::Setup;
use drill::play;
use drill::scenario::{OUTAGE_AT, Pace, SCENARIOS, Scenario};
use holdfast_domain::Region;
use holdfast_domain::budget::{Budget, Promotions, total};
use holdfast_domain::policy::Mode;
use holdfast_domain::promotion::Observed;
use holdfast_domain::readiness::{RegionFacts, Seen, Setting, Value};
use holdfast_payments::clients::start_readers;
use holdfast_payments::history::{Read, Reads};
use holdfast_world::Region as WorldRegion;
use holdfast_world::route53::ALIAS_TTL;

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

/// Resolvers near Dublin, each with an answer of another age: a minute's time to live, in as many parts.
const RESOLVERS: u32 = 12;
const READ_EVERY: Duration = Duration::from_secs(1);

/// Plays it, and how long each resolver's clients had no reads.
fn run(scenario: &Scenario, seed: u64) -> (Outcome, Vec<u64>) {
    let resolvers: Vec<Reads> = (0..RESOLVERS).map(|_| Reads::default()).collect();
    let pace = Pace { payment_every: Duration::from_millis(500), ..Pace::drill(seed) };
    let outcome = play(scenario, pace, |world| {
        for (number, reads) in (0..RESOLVERS).zip(&resolvers) {
            let (later, reads) = (ALIAS_TTL / RESOLVERS * number, reads.clone());
            world.after(later, move |world| start_readers(world, WorldRegion::DUBLIN, READ_EVERY, &reads));
        }
    });
    (outcome.unwrap(), resolvers.iter().map(|reads| without_reads(&reads.all())).collect())
}

/// From the first read that failed in the outage to the end of the first that works again.
fn without_reads(reads: &[Read]) -> u64 {
    let mut reads: Vec<&Read> = reads.iter().filter(|read| read.started >= OUTAGE_AT).collect();
    reads.sort_by_key(|read| read.started);
    let failed = reads.iter().find(|read| !read.answered).unwrap();
    let works = reads.iter().find(|read| read.answered && read.started > failed.started).unwrap();
    u64::try_from((works.ended - failed.started).as_millis()).unwrap()
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

/// Writes and reads take no longer than promised, and not less than three quarters of it.
///
/// Reads take 81.0 s of the 96 s promised (84 %) in every scenario that is measured, because all of them begin with the same
/// dark Region. What is left is luck: the checks of Route 53 begin anew with the outage and not just before it (10 s), and
/// a dark Region costs a checker 4 s and not the 6 s of one that connects and is silent. A single resolver shows nothing:
/// as its answer happened to be old, its clients were without reads for 26 s to 81 s.
#[test]
fn the_budget_is_kept_and_not_by_far() {
    // What is known of promotions is what an earlier drill has shown.
    let (earlier, _) = run(&SCENARIOS[0], 77);
    let promotions = Promotions::of(&earlier.state.incident).unwrap();
    assert!((45_000..49_000).contains(&promotions.p95_ms), "{promotions:?}");
    let mut measured = Vec::new();
    let left_out = |scenario: &Scenario| LEFT_OUT.iter().any(|(name, _)| *name == scenario.name);
    for scenario in SCENARIOS.iter().filter(|scenario| is_automatic(scenario) && !left_out(scenario)) {
        for seed in [1, 2] {
            let (outcome, resolvers) = run(scenario, seed);
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
            // The budget is that of the last resolver that forgets the Region; the first one is luck.
            let (promised, last) = (seen(total(&budget.reads)), resolvers.iter().copied().max().unwrap());
            assert!(promised >= last, "{what}: {promised} ms promised for reads, {resolvers:?}");
            assert!(last * 4 >= promised * 3, "{what}: {promised} ms promised for reads, {resolvers:?}");
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
        let (outcome, _) = run(scenario, 1);
        assert!(is_automatic(scenario) && is_restored(&outcome), "{name}");
        assert!(reason.split_whitespace().count() > 5);
    }
}
