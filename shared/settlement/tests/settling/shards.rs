//! A run in shards comes to what the run over everything comes to.

use holdfast_domain::attempt::Attempt;
use holdfast_settlement::matching::fold;
use holdfast_settlement::record::{Record, Side};
use holdfast_settlement::shard::{Narrowed, Part, Picked, Slicing, Step, Sums, merged};
use holdfast_settlement::{Go, Limits, Method, Report, Settlement, Source};
use jiff::civil::Date;
use proptest::prelude::*;

use crate::common::{DAY, World, at, attempt, ledger, network, policy, source};
use crate::worlds::world;

fn done<T>(step: Step<T>) -> T {
    match step {
        Step::Done(done) => done,
        Step::Stopped(why) => panic!("nobody stopped it: {why}"),
    }
}

fn date(second: i64) -> Date {
    jiff::tz::Offset::UTC.to_datetime(at(second)).date()
}

fn part<'a>(world: &'a World, attempts: &[Record], slicing: Slicing, shard: u32) -> Part<'a> {
    let sources: Vec<(Side, Box<dyn Source + 'a>)> = vec![
        (Side::Ledger, Box::new(source("ledger", &world.ledger))),
        (Side::Network, Box::new(source("network", &world.network))),
    ];
    Part { slicing, shard, scope: policy().scope, sources, attempts: attempts.to_vec() }
}

/// Every step as bytes that another invocation reads.
fn in_shards(world: &World, slicing: Slicing, bits: u32) -> Settlement {
    let attempts = fold(&world.attempts);
    let parts: Vec<Part<'_>> = (0..slicing.shards()).map(|shard| part(world, &attempts, slicing, shard)).collect();
    let sums = parts
        .iter()
        .map(|part| done(part.sums(bits, &mut |_| Go::On).expect("every step can be taken and read back")).to_bytes());
    let sums: Vec<Sums> =
        sums.map(|bytes| Sums::from_bytes(&bytes).expect("every step can be taken and read back")).collect();
    let narrowed = Narrowed::from_bytes(&Narrowed::of(sums).expect("every step can be taken and read back").to_bytes())
        .expect("every step can be taken and read back");
    let picked = parts.iter().map(|part| {
        let picked =
            done(part.picked(&narrowed, 1_000_000, &mut |_| Go::On).expect("every step can be taken and read back"));
        serde_json::from_str::<Picked>(&serde_json::to_string(&picked).expect("every step can be taken and read back"))
            .expect("every step can be taken and read back")
    });
    let picked: Vec<Picked> = picked.collect();
    let sources = [(Side::Ledger, "ledger"), (Side::Network, "network")];
    match merged(&policy(), &Limits::default(), &sources, &narrowed, &picked, Vec::new())
        .expect("every step can be taken and read back")
    {
        Report::Complete(settlement) => settlement,
        Report::Unknown { why, .. } => panic!("nobody stopped it: {why}"),
    }
}

fn slicings() -> impl Strategy<Value = Slicing> {
    (-1..3_i64, 1..5_u32, 1..4_u32).prop_map(|(first, days, slices)| Slicing { first: date(first * DAY), days, slices })
}

#[track_caller]
fn same(found: &Settlement, expected: &Settlement) {
    assert_eq!(found.breaks, expected.breaks);
    assert_eq!(found.conservation, expected.conservation);
    assert_eq!(found.presence, expected.presence);
    assert_eq!(found.findings, expected.findings);
    let rows = |of: &Settlement| of.sources.iter().map(|it| (it.name.clone(), it.rows)).collect::<Vec<_>>();
    assert_eq!(rows(found), rows(expected));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_merged_are_the_run_over_everything(
        world in world(),
        slicing in slicings(),
        bits in prop::sample::select(vec![4_u32, 12]),
    ) {
        let expected = world.run(policy(), Method::Sort, Limits::default());
        same(&in_shards(&world, slicing, bits), &expected);
    }
}

/// Charged before midnight, booked after it, and charged again: three shards have a part of it.
#[test]
fn what_belongs_together_is_found_across_dates_and_slices() {
    let mut booked = ledger("e1", "k", 100);
    booked.booked_at = Some(at(2 * DAY));
    let mut again = network("e2", "", 100);
    again.booked_at = Some(at(3 * DAY));
    let attempts: Vec<Attempt> = vec![attempt("k", Some("e1"), 100, 0), attempt("l", Some("e9"), 700, 0)];
    let world = World { ledger: vec![booked], network: vec![network("e1", "k", 100), again], attempts };
    let expected = world.run(policy(), Method::Sort, Limits::default());
    assert!(expected.breaks.len() >= 2);
    let slicing = Slicing { first: date(0), days: 4, slices: 3 };
    same(&in_shards(&world, slicing, 12), &expected);
}

#[test]
fn every_row_is_in_one_shard_whatever_its_date() {
    let slicing = Slicing { first: date(0), days: 2, slices: 3 };
    for day in [-400, -1, 0, 1, 2, 400] {
        for key in ["", "a", "b", "c"] {
            let mut row = ledger("e", key, 1);
            row.booked_at = Some(at(day * DAY));
            assert!(slicing.shard_of(&row) < slicing.shards(), "day {day}, key {key}");
        }
    }
    assert_eq!((slicing.date_of(0), slicing.date_of(5)), (date(0), date(DAY)));
}

#[test]
fn a_shard_that_is_stopped_says_nothing() {
    let world = World { ledger: vec![ledger("e1", "k", 100)], network: Vec::new(), attempts: Vec::new() };
    let slicing = Slicing { first: date(0), days: 1, slices: 1 };
    let part = part(&world, &[], slicing, 0);
    let stopped = part.sums(8, &mut |_| Go::Stop("the time is up".into())).unwrap();
    assert!(matches!(stopped, Step::Stopped(why) if why == "the time is up"));
}

#[test]
fn what_an_earlier_step_has_left_is_read_whole_or_not_at_all() {
    let world = World { ledger: vec![ledger("e1", "k", 100)], network: Vec::new(), attempts: Vec::new() };
    let slicing = Slicing { first: date(0), days: 1, slices: 1 };
    let bytes = done(part(&world, &[], slicing, 0).sums(8, &mut |_| Go::On).unwrap()).to_bytes();
    for cut in [0, 5, bytes.len() - 1, bytes.len() - 8] {
        assert!(Sums::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Sums::from_bytes(&bytes).is_ok());
}
