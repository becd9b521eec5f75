//! The campaign: random nights that break no invariant, deliberate bugs that do, and the nights that once did.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::campaign::bugs::{BUGS, Bug};
use drill::campaign::many::run_all;
use drill::campaign::plan::{Person, Plan};
use drill::campaign::run;
use drill::campaign::shrink::shrink;
use drill::campaign::summary::Summary;
use drill::campaign::trouble::{Ask, Fault, Trouble};
use drill::timeline;
use holdfast_domain::incident::Phase;
use holdfast_domain::policy::Mode;
use holdfast_world::Region;
use holdfast_world::events::DeliveryChaos;

#[test]
fn five_hundred_random_nights_break_no_invariant() {
    let mut summary = Summary::default();
    let mut first = None;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    run_all(0..500, threads, None, |run| {
        summary.add(&run);
        if let Some(violation) = run.violations.first() {
            first.get_or_insert(format!("seed {}: {violation}", run.plan.seed));
        }
        true
    })
    .unwrap();
    assert!(
        first.is_none(),
        "{}\n{summary}\nto see it: cargo run -p drill -- replay --seed N",
        first.unwrap_or_default()
    );
    assert_eq!(summary.runs, 500);
}

#[test]
fn one_night_gives_the_same_trace_twice() {
    for seed in [7, 35, 92] {
        let trace = || {
            let run = run(&Plan::draw(seed), None, timeline::follow).unwrap();
            format!("{:?}\n{:?}\n{:?}", run.world.entries(), run.world.requests(), run.world.inbox())
        };
        assert!(trace() == trace(), "seed {seed} differs from itself");
    }
}

/// The table that `make bugs` writes; each row is tried again here, so that it cannot go stale.
const TABLE: &str = include_str!("../CAMPAIGN.md");

#[test]
fn every_deliberate_bug_is_found_at_the_seed_that_the_table_names() {
    for bug in BUGS {
        let row = TABLE.lines().find(|line| line.starts_with(&format!("| {} |", bug.name)));
        let row = row.unwrap_or_else(|| panic!("{} has no row in CAMPAIGN.md; run `make bugs`", bug.name));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let seed: u64 = cells[4].parse().unwrap();
        let plan = Plan::draw(seed - 1);
        let found = run(&plan, Some(bug), |_| {}).unwrap().violations;
        let named = found.iter().any(|violation| violation.invariant.to_string() == cells[3]);
        assert!(named, "{} is not found by {} at seed {seed}: {found:?}; run `make bugs`", bug.name, cells[3]);
        let without = run(&plan, None, |_| {}).unwrap().violations;
        assert!(without.is_empty(), "seed {seed} is broken without {}: {without:?}", bug.name);
    }
}

#[test]
fn a_shrunk_plan_still_breaks_the_same_invariant_and_needs_all_of_its_troubles() {
    let bug = Bug::named("believe-without-writing").unwrap();
    let seed = (0..100).find(|seed| Plan::draw(*seed).faults.len() >= 3).unwrap();
    let seed = (seed..200)
        .find(|seed| {
            Plan::draw(*seed).faults.len() >= 3
                && !run(&Plan::draw(*seed), Some(bug), |_| {}).unwrap().violations.is_empty()
        })
        .unwrap();
    let plan = Plan::draw(seed);
    let broken = run(&plan, Some(bug), |_| {}).unwrap().violations[0].invariant;
    let small = shrink(&plan, broken, Some(bug)).unwrap();
    assert!(small.faults.len() < plan.faults.len(), "nothing was taken away");
    let breaks = |plan: &Plan| {
        run(plan, Some(bug), |_| {}).unwrap().violations.iter().any(|violation| violation.invariant == broken)
    };
    assert!(breaks(&small));
    for index in 0..small.faults.len() {
        let mut smaller = small.clone();
        smaller.faults.remove(index);
        assert!(!breaks(&smaller), "{} is not needed", small.faults[index]);
    }
}

// The nights that once broke an invariant, shrunk. The seed is the one that found it; seeds draw other plans by now.

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fault(from_ms: u64, until_ms: Option<u64>, trouble: Trouble) -> Fault {
    Fault { from: ms(from_ms), until: until_ms.map(ms), trouble }
}

fn night(seed: u64, faults: Vec<Fault>) -> Plan {
    Plan {
        seed,
        primary: Region::DUBLIN,
        mode: Mode::Auto,
        countdown_seconds: None,
        standby_instances: 1,
        asynchronous_attempts: false,
        promotion: ms(8_000),
        person: Person::Absent,
        faults,
    }
}

#[track_caller]
fn holds(plan: &Plan) -> drill::campaign::Run {
    let run = run(plan, None, |_| {}).unwrap();
    assert!(run.violations.is_empty(), "{:#?}", run.violations);
    run
}

/// Seed 274: one vote of Dublin's own was put down to the round that was under way when it went dark.
#[test]
fn a_closed_front_door_and_a_cut_link_are_not_a_dark_region() {
    let run = holds(&night(
        274,
        vec![
            fault(12_435, Some(73_483), Trouble::FrontDoorClosed(Region::DUBLIN)),
            fault(14_214, Some(42_259), Trouble::Cut { from: Region::FRANKFURT, to: Region::DUBLIN }),
        ],
    ));
    assert_eq!(run.phase, None, "an incident was opened");
}

/// Seed 285: votes whose clock is 30 s off looked stale to the other observers, and only the schedule found the outage.
/// Seed 108: each look of the driver waited for a whole round again to see such votes rise.
#[test]
fn clocks_that_differ_by_half_a_minute_cost_seconds_and_not_a_minute() {
    for clocks_ms in [-30_000, 30_000] {
        let skew = Trouble::ClockSkew { region: Region::FRANKFURT, ms: clocks_ms };
        let dark = fault(38_063, None, Trouble::Dark(Region::DUBLIN));
        let run = holds(&night(285, vec![fault(0, None, skew), dark]));
        let recovered = run.recovered_after.unwrap();
        assert!(recovered < ms(40_000), "writes were back after {recovered:?}");
    }
}

/// Seed 243: the event that writes work again got lost, and nobody was ever told.
/// Seed 2113: so did that of a planned move, which closes itself in the same breath.
#[test]
fn an_event_that_gets_lost_costs_a_minute_and_never_the_page() {
    let lost = DeliveryChaos { lost_permille: 1000, ..DeliveryChaos::default() };
    let asked = Trouble::Asked { to: Region::LONDON, what: Ask::Switchover };
    for begins in [Trouble::Dark(Region::DUBLIN), asked] {
        let until = matches!(begins, Trouble::Asked { .. }).then_some(16_235);
        let events = fault(22_000, Some(60_000), Trouble::Delivery(lost));
        let run = holds(&night(243, vec![fault(16_235, until, begins), events]));
        assert!(matches!(run.phase, Some(Phase::Restored | Phase::Closed)), "{:?}", run.phase);
        let told = run.world.inbox().iter().any(|letter| letter.subject.contains("Writes work"));
        assert!(told, "nobody was told that writes work");
    }
}

/// Seed 1994: the switchover was asked again of a primary that had gone dark meanwhile, and writes never came back.
#[test]
fn a_switchover_whose_primary_dies_is_given_up_and_failed_over() {
    let asked = Trouble::Asked { to: Region::LONDON, what: Ask::Switchover };
    let dark = fault(34_488, None, Trouble::Dark(Region::DUBLIN));
    let run = holds(&night(1994, vec![fault(33_808, Some(33_808), asked), dark]));
    let asked: Vec<_> = holdfast_world::rds::accepted(&run.world).iter().map(|it| it.failover).collect();
    assert_eq!((run.phase, asked.as_slice()), (Some(Phase::Restored), [false, true].as_slice()));
    let calls = run.world.requests().iter().filter(|it| it.operation == "SwitchoverGlobalCluster").count();
    assert_eq!(calls, 1, "the dark Region was asked again");
}

/// Seed 9: while the writer was being moved as planned, both Regions were paged as unable to write.
#[test]
fn a_planned_move_that_takes_long_raises_no_doubt() {
    let asked = fault(35_593, Some(35_593), Trouble::Asked { to: Region::LONDON, what: Ask::Switchover });
    let run = holds(&Plan { promotion: ms(50_000), ..night(9, vec![asked]) });
    assert_eq!(run.phase, Some(Phase::Closed));
    let doubts = run.world.inbox().into_iter().filter(|letter| letter.subject.contains("cannot write"));
    assert_eq!(doubts.count(), 0);
}

/// Seed 603, with its schedule taken away: the fence was decided on, the table refused it, the driver was lost, and a minute
/// later the next one failed over from a Region that had long been back.
#[test]
fn a_region_that_is_back_before_rds_was_asked_keeps_the_writer() {
    let (region, function) = (Region::LONDON, promote_aurora::FUNCTION);
    let mut given_back = 0;
    for after in 0..60 {
        let dark = fault(16_830, Some(28_000), Trouble::Dark(Region::DUBLIN));
        let killed = fault(24_000, Some(24_000), Trouble::KilledAtAwait { region, function, after });
        let run = holds(&night(603, vec![dark, killed]));
        let kept = run.world.inbox().iter().any(|letter| letter.subject.contains("the old writer stays"));
        if kept {
            given_back += 1;
            assert_eq!(run.phase, Some(Phase::Dismissed), "killed at await {after}");
            assert_eq!(holdfast_world::rds::writer(&run.world), Some(Region::DUBLIN), "killed at await {after}");
        }
    }
    assert!(given_back > 0, "no kill came between the fence and RDS");
}

/// Seeds 2659, 4473, 5666, 7313, 7330, 8402, 9204: the observers' votes were stale, and verify-replication asked a Region
/// that had long been dark.
#[test]
fn a_region_that_nobody_has_looked_at_lately_is_not_asked() {
    let dark = fault(39_461, None, Trouble::Dark(Region::DUBLIN));
    let cut = fault(55_322, Some(79_054), Trouble::Cut { from: Region::LONDON, to: Region::FRANKFURT });
    holds(&Plan { promotion: ms(29_989), ..night(7313, vec![dark, cut]) });
}

/// Seed 700: people read that Dublin is back before they read that writes work.
#[test]
fn people_read_that_writes_work_before_that_the_old_region_is_back() {
    let dark = fault(17_222, Some(26_841), Trouble::Dark(Region::DUBLIN));
    let run = holds(&Plan { promotion: ms(31_625), standby_instances: 2, ..night(700, vec![dark]) });
    assert_eq!(run.phase, Some(Phase::Reconciling));
}
