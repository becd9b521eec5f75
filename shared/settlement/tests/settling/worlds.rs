//! Random small worlds: every method comes to what a matcher of everything comes to.

use holdfast_domain::attempt::Attempt;
use holdfast_settlement::matching::{Open, fold, settle};
use holdfast_settlement::record::{Kind, Record, Side, Status};
use holdfast_settlement::{Break, Policy};
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{DAY, World, at, attempt, methods, policy, record};
use crate::oracle::judge;

fn rows(side: Side) -> impl Strategy<Value = Record> {
    let names = (select(vec!["", "a", "b", "c", "d"]), select(vec!["", "k", "l", "m"]), select(vec!["", "", "a", "g"]));
    let kinds =
        select(vec![Kind::Capture, Kind::Capture, Kind::Capture, Kind::Refund, Kind::CaptureReversal, Kind::Fee]);
    let facts = (kinds, select(vec![50_i64, 100, 100, 150]), select(vec!["EUR", "EUR", "EUR", "JPY"]));
    (
        names,
        facts,
        select(vec![0, 10, 2 * DAY]),
        select(vec![Status::Final, Status::Final, Status::Final, Status::Pending]),
    )
        .prop_map(move |((event, key, group), (kind, amount, code), second, status)| {
            let mut row = record(side, kind, event, key, amount, code);
            (row.booked_at, row.status) = (Some(at(second)), status);
            if side == Side::Network {
                row.group_ref = group.to_owned();
            }
            row
        })
}

fn marks() -> impl Strategy<Value = Attempt> {
    let reference = select(vec![None, Some("a"), Some("b"), Some("c"), Some("z")]);
    (select(vec!["k", "l", "m"]), reference, select(vec![100_i64, 100, 50]), select(vec![0, 20, 2 * DAY]))
        .prop_map(|(key, reference, amount, second)| attempt(key, reference, amount, second))
}

/// Sides that mostly agree: the ledger, and what of it the network has as well.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let booked = prop::collection::vec((rows(Side::Ledger), any::<bool>()), 0..8);
    let more = prop::collection::vec(rows(Side::Network), 0..6);
    (booked, more, prop::collection::vec(marks(), 0..5)).prop_map(|(booked, more, attempts)| {
        let cleared =
            booked.iter().filter(|(_, cleared)| *cleared).map(|(row, _)| Record { side: Side::Network, ..row.clone() });
        let network = cleared.chain(more).collect();
        World { ledger: booked.into_iter().map(|(row, _)| row).collect(), network, attempts }
    })
}

/// The same run without the fast pass: everything is matched slowly.
fn naive(world: &World, policy: &Policy) -> Vec<Break> {
    settle(&Open { residue: placed(world), matched: Vec::new(), attempts: fold(&world.attempts) }, policy).breaks
}

/// Every row with the place that a run would give it.
fn placed(world: &World) -> Vec<Record> {
    let placed = |source: u16, rows: &[Record]| -> Vec<Record> {
        let mut rows = rows.to_vec();
        for (row, place) in rows.iter_mut().zip(0_u64..) {
            (row.position.source, row.position.byte, row.position.line) = (source, place, place + 1);
        }
        rows
    };
    [placed(0, &world.ledger), placed(1, &world.network)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_method_finds_what_matching_everything_finds(world in world()) {
        let expected = naive(&world, &policy());
        for (method, limits) in methods() {
            let found = world.run(policy(), method, limits);
            prop_assert_eq!(&found.breaks, &expected, "{:?}", method);
            for line in &found.conservation {
                prop_assert_eq!(line.unexplained_minor, 0, "{:?}: {}", method, line);
            }
        }
    }

    #[test]
    fn a_second_matcher_that_only_loops_says_the_same(world in world()) {
        let world = World { attempts: Vec::new(), ..world };
        let expected = judge(&placed(&world), &policy());
        for (method, limits) in methods() {
            let found = world.run(policy(), method, limits).breaks;
            let verdict = |found: &Break| {
                let (event, key) = (found.event_ref.clone(), found.merchant_ref.clone());
                (found.what.name().to_owned(), found.kind, found.at_risk_minor, found.currency.to_string(), event, key)
            };
            let mut said: Vec<_> = found.iter().map(verdict).collect();
            said.sort();
            prop_assert_eq!(&said, &expected, "{:?}", method);
        }
    }

    #[test]
    fn without_a_file_every_method_finds_what_matching_everything_finds(world in world()) {
        let now = Policy { network_complete_until: None, ..policy() };
        let alone = World { network: Vec::new(), ..world };
        let expected = naive(&alone, &now);
        for (method, limits) in methods() {
            prop_assert_eq!(&alone.run(now.clone(), method, limits).breaks, &expected, "{:?}", method);
        }
    }

    #[test]
    fn the_order_of_rows_changes_nothing(world in world()) {
        let sentences = |world: &World| -> Vec<String> {
            let (method, limits) = methods()[0].clone();
            world.run(policy(), method, limits).breaks.iter().map(|found| format!("{found} {:?}", found.proposals)).collect()
        };
        let turned = World {
            ledger: world.ledger.iter().rev().cloned().collect(),
            network: world.network.iter().rev().cloned().collect(),
            attempts: world.attempts.iter().rev().cloned().collect(),
        };
        prop_assert_eq!(sentences(&world), sentences(&turned));
    }
}
