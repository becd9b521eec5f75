//! Bookings that one file leaves open and a later one settles, and bookings of other days beside them.

use std::collections::BTreeSet;

use holdfast_domain::attempt::Window;
use holdfast_domain::reconciliation::Said;
use holdfast_settlement::record::{Kind, Record, Side};
use holdfast_settlement::report::{Lookout, Settlement};
use holdfast_settlement::{Judged, Limits, Method, Policy};
use jiff::SignedDuration;

use crate::common::{DAY, World, at, ledger, methods, network, policy, record};

/// Bookings of the day are judged; the network settles within three days of them.
fn of_the_day(carried: &[&Record]) -> Policy {
    let window = Window { from: at(0), to: at(DAY) };
    let carried: BTreeSet<String> = carried.iter().map(|of| of.name()).collect();
    Policy { settles_within: SignedDuration::from_hours(72), judged: Some(Judged { window, carried }), ..policy() }
}

fn booked(of: Record, second: i64) -> Record {
    Record { booked_at: Some(at(second)), ..of }
}

#[track_caller]
fn check(world: &World, policy: &Policy, expected: &[&str]) -> Settlement {
    let mut last = None;
    for (method, limits) in methods() {
        let found = world.run(policy.clone(), method, limits);
        let said: Vec<String> =
            found.breaks.iter().map(|it| format!("{} {}", it.what.name(), it.merchant_ref)).collect();
        assert_eq!(said, expected, "{method:?}");
        for line in &found.conservation {
            assert_eq!(line.unexplained_minor, 0, "{method:?}: {line}");
        }
        last = Some(found);
    }
    last.expect("there are methods")
}

#[test]
fn a_booking_is_on_its_way_until_the_network_should_have_it() {
    let world =
        |second| World { ledger: vec![booked(ledger("e", "k", 100), second)], network: vec![], attempts: vec![] };
    let judged = |second| of_the_day(&[&booked(ledger("e", "k", 100), second)]);
    let open = check(&world(60), &of_the_day(&[]), &["NotKnowableBefore k"]);
    let left = open.open_payments("r1");
    assert_eq!((left.len(), left[0].amount_minor, left[0].at), (1, 100, at(60)));
    check(&world(-2 * DAY + 1), &judged(-2 * DAY + 1), &["NotKnowableBefore k"]);
    check(&world(-2 * DAY), &judged(-2 * DAY), &["LedgerOnly k"]);
}

/// The ledger is asked for every row of a key that the file has something new of.
#[test]
fn an_old_capture_beside_a_new_refund_is_nobodys_break() {
    let capture = booked(ledger("e", "k", 100), -20 * DAY);
    let refund = |side| record(side, Kind::Refund, "r", "k", -30, "EUR");
    let booked_refund = World {
        ledger: vec![capture.clone(), refund(Side::Ledger)],
        network: vec![refund(Side::Network)],
        attempts: vec![],
    };
    check(&booked_refund, &of_the_day(&[]), &[]);
    let lost = World { ledger: vec![capture.clone()], network: vec![refund(Side::Network)], attempts: vec![] };
    let found = check(&lost, &of_the_day(&[]), &["NetworkOnly k"]);
    assert_eq!((found.set_aside.len(), found.conservation[0].residual_minor), (1, 0));
    // What nobody set aside was a break, and it was wrong.
    check(&lost, &policy(), &["LedgerOnly k", "NetworkOnly k"]);
}

#[test]
fn a_booking_of_another_day_is_the_partner_of_what_the_file_has_late() {
    let late = booked(ledger("e", "k", 100), -2 * DAY);
    let world = World { ledger: vec![late], network: vec![network("e", "k", 100)], attempts: vec![] };
    assert_eq!(check(&world, &of_the_day(&[]), &[]).set_aside, []);
}

#[test]
fn an_open_booking_is_seen_in_a_file_by_its_reference_or_by_its_key_and_kind() {
    let open = World { ledger: vec![ledger("e", "k", 100)], network: vec![], attempts: vec![] };
    let open = open.run(of_the_day(&[]), Method::Sort, Limits::default()).open_payments("r1");
    let refund = record(Side::Network, Kind::Refund, "r", "k", -100, "EUR");
    let part = Record { group_ref: "e".into(), ..network("p", "", 40) };
    for (row, seen) in [
        (network("e", "", 100), true),
        (network("other", "k", 100), true),
        (part, true),
        (refund, false),
        (network("other", "other", 100), false),
        (network("", "", 100), false),
    ] {
        let mut lookout = Lookout::new(&open);
        lookout.look(&row);
        assert_eq!(!lookout.seen().is_empty(), seen, "{row:?}");
    }
}

#[test]
fn a_run_says_what_became_of_each_booking_that_was_carried() {
    let carried = ["settled", "waits", "late", "unseen"].map(|key| booked(ledger(&format!("e-{key}"), key, 100), -DAY));
    let mut ledger_rows = carried.clone();
    ledger_rows[2].booked_at = Some(at(-3 * DAY));
    let world = World {
        ledger: ledger_rows[..3].to_vec(),
        network: vec![network("e-settled", "settled", 100)],
        attempts: vec![],
    };
    let names: Vec<&Record> = carried.iter().collect();
    let found = world.run(of_the_day(&names), Method::Sort, Limits::default());
    let open = World { ledger: carried.to_vec(), network: vec![], attempts: vec![] };
    let inputs = open.run(of_the_day(&names), Method::Sort, Limits::default()).open_payments("r1");
    assert_eq!(inputs.len(), 4);
    let mut lookout = Lookout::new(&inputs);
    world.network.iter().for_each(|row| lookout.look(row));
    let at_network = lookout.seen();
    let said: Vec<_> = found.said_of(&inputs, &at_network).into_iter().collect();
    let name = |place: usize| carried[place].name();
    // Nothing is said of what neither side shows: it stays open until it is too old.
    assert_eq!(said, [(name(2), Said::Told), (name(0), Said::Matched), (name(1), Said::Open)]);
}
