use super::*;
use crate::beacon::Waypoint;
use crate::money::{Currency, Totals};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn region(code: &str) -> Region {
    Region::new(code).unwrap()
}
fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}
fn begun(key: &str, second: i64) -> Attempt {
    Attempt {
        key: key.into(),
        stage: Stage::Begun,
        region: region("eu-west-1"),
        amount_minor: 100,
        currency: currency("EUR"),
        at: at(second),
    }
}
fn acknowledged(key: &str, second: i64) -> Attempt {
    let stage = Stage::Acknowledged { network_reference: format!("net-{key}") };
    Attempt { stage, ..begun(key, second) }
}

fn price(attempts: &[Attempt], booked: &[&str], consistency: &Consistency, silent_from: Option<i64>) -> Price {
    let booked = booked.iter().map(|key| (*key).to_owned()).collect();
    let window = Window { from: at(0), to: at(100) };
    let silent_from = silent_from.map(at);
    count(&Evidence { attempts, booked: &booked, consistency, window, silent_from }, at(60))
}

#[track_caller]
fn check(attempts: &[Attempt], booked: &[&str], expected: &str) {
    assert_eq!(price(attempts, booked, &Consistency::Strong, Some(50)).to_string(), expected);
}

#[test]
fn what_the_ledger_has_is_not_lost() {
    check(&[begun("a", 1), acknowledged("a", 2)], &["a"], "exactly 0 payments");
}
#[test]
fn an_acknowledged_attempt_that_the_ledger_lacks_is_lost_once() {
    check(
        &[begun("a", 1), acknowledged("a", 3), acknowledged("a", 2)],
        &[],
        &format!("exactly 1 payment, EUR 1.00 acknowledged since {:.0}", at(2)),
    );
}
#[test]
fn an_attempt_without_an_acknowledgement_is_in_doubt_and_counted_apart() {
    check(&[begun("a", 1)], &[], "exactly 0 payments, and 1 more in doubt");
}
#[test]
fn the_order_of_the_marks_does_not_matter() {
    let marks = [acknowledged("a", 2), begun("a", 1), begun("b", 1)];
    let mut turned = marks.to_vec();
    turned.reverse();
    let one = price(&marks, &[], &Consistency::Strong, Some(50));
    assert_eq!(one, price(&turned, &[], &Consistency::Strong, Some(50)));
}
#[test]
fn what_lies_outside_the_window_is_known_to_be_in_the_ledger_or_is_the_new_writers() {
    check(&[acknowledged("a", -1), acknowledged("b", 101)], &[], "exactly 0 payments");
}
#[test]
fn nothing_is_exact_before_the_old_writer_is_silent() {
    for silent_from in [None, Some(61), Some(1000)] {
        let price = price(&[acknowledged("a", 2)], &[], &Consistency::Strong, silent_from);
        assert!(matches!(price, Price::Provisional(_)), "{silent_from:?}: {price}");
        assert!(!price.is_settled());
    }
}
#[test]
fn nothing_is_exact_of_a_window_that_ends_before_the_old_writer_is_silent() {
    let window = Window { from: at(0), to: at(40) };
    let evidence = Evidence {
        attempts: &[],
        booked: &BTreeSet::new(),
        consistency: &Consistency::Strong,
        window,
        silent_from: Some(at(50)),
    };
    assert!(matches!(count(&evidence, at(60)), Price::Provisional(_)));
}
#[test]
fn nothing_is_exact_of_a_table_that_is_not_known_to_be_strongly_consistent() {
    for consistency in [Consistency::Eventual, Consistency::Unknown { why: "throttled".into() }] {
        let price = price(&[acknowledged("a", 2)], &[], &consistency, Some(50));
        assert!(matches!(price, Price::AtLeast(_)), "{consistency:?}: {price}");
    }
}

fn beacons(positions: &[u64]) -> Trail<Beacon> {
    let mut trail = Trail::new(region("eu-west-1"));
    for (sequence, position) in (1..).zip(positions) {
        let second = i64::try_from(sequence).unwrap() * 5;
        trail.add(Beacon { sequence, at: at(second), position: *position, booked: None });
    }
    trail
}

#[track_caller]
fn check_window(beacons: Option<&Trail<Beacon>>, position: Result<u64, String>, now: i64, expected: Result<i64, &str>) {
    let found = window(&region("eu-west-1"), beacons, None, position, Duration::from_secs(30), at(now));
    match (found, expected) {
        (Ok(window), Ok(from)) => assert_eq!(window, Window { from: at(from), to: at(now + 30) }),
        (Err(why), Err(part)) => assert!(why.contains(part), "`{part}` is not in: {why}"),
        (found, _) => panic!("{found:?}"),
    }
}

#[test]
fn the_window_begins_a_margin_before_the_last_beacon_that_is_there() {
    check_window(Some(&beacons(&[10, 20, 30])), Ok(25), 20, Ok(10 - 30));
    check_window(Some(&beacons(&[10, 20, 30])), Ok(30), 20, Ok(15 - 30));
}
#[test]
fn without_beacons_or_without_a_position_there_is_no_window() {
    check_window(None, Ok(25), 20, Err("has never sent a beacon"));
    check_window(Some(&beacons(&[10])), Err("the reader does not answer".into()), 20, Err("does not answer"));
}
#[test]
fn a_standby_that_has_reached_no_beacon_has_no_window() {
    check_window(Some(&beacons(&[10, 20])), Ok(9), 20, Err("no beacon of eu-west-1 within the last hour"));
}
#[test]
fn a_beacon_from_the_future_is_named() {
    check_window(Some(&beacons(&[10])), Ok(10), -40, Err("is ahead of this one"));
}
#[test]
fn a_clock_that_was_seen_ahead_is_named_however_old_the_beacon_is() {
    let mut waypoints = Trail::new(region("eu-west-2"));
    waypoints.add(Waypoint { sequence: 1, at: at(0), position: 10, lag: None, clock_ahead_ms: Some(26_000) });
    let find = |margin| {
        let from = region("eu-west-1");
        window(&from, Some(&beacons(&[10])), Some(&waypoints), Ok(10), Duration::from_secs(margin), at(600))
    };
    assert!(find(30).unwrap_err().contains("is ahead of this one"));
    assert!(find(40).is_ok());
}

fn totals(amounts: &[(&str, i64)]) -> Totals {
    let mut totals = Totals::default();
    amounts.iter().for_each(|(code, amount)| totals.add(currency(code), *amount));
    totals
}

#[track_caller]
fn check_truth(price: fn(Counted) -> Price, said: &[(&str, i64)], actual: &[(&str, i64)], holds: bool) {
    let window = Window { from: at(0), to: at(1) };
    let counted = Counted { lost: totals(said), in_doubt: Totals::default(), oldest: None, window, at: at(1) };
    assert_eq!(price(counted).contradicted_by(&totals(actual)).is_none(), holds, "{said:?} {actual:?}");
}

#[test]
fn exact_is_contradicted_by_one_payment_or_one_minor_unit() {
    check_truth(Price::Exact, &[("EUR", 100)], &[("EUR", 100)], true);
    check_truth(Price::Exact, &[("EUR", 100)], &[("EUR", 101)], false);
    check_truth(Price::Exact, &[("EUR", 100)], &[("EUR", 50), ("EUR", 50)], false);
    check_truth(Price::Exact, &[("EUR", 100)], &[("GBP", 100)], false);
    check_truth(Price::Exact, &[("EUR", 100)], &[], false);
}
#[test]
fn at_least_is_contradicted_only_by_less() {
    check_truth(Price::AtLeast, &[("EUR", 100)], &[("EUR", 100), ("GBP", 5)], true);
    check_truth(Price::AtLeast, &[("EUR", 100)], &[("EUR", 99)], false);
    check_truth(Price::AtLeast, &[("EUR", 100)], &[("GBP", 100)], false);
}
#[test]
fn what_may_still_change_promises_nothing() {
    check_truth(Price::Provisional, &[("EUR", 100)], &[], true);
    assert_eq!(Price::Unknown { why: "x".into() }.contradicted_by(&totals(&[("EUR", 1)])), None);
}
