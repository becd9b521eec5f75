//! A report in brief: what is lost, what is in doubt, whether the sides balance, and how doubts end.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_domain::attempt::{Attempt, Window};
use holdfast_domain::reconciliation::{Fate, Found};
use holdfast_settlement::format::Given;
use holdfast_settlement::record::Record;
use holdfast_settlement::{Limits, Method, Policy, Settlement};

use crate::common::{DAY, World, at, attempt, ledger, network, policy};

fn settle(ledger: &[Record], network: &[Record], attempts: &[Attempt], policy: Policy) -> Settlement {
    let world = World { ledger: ledger.to_vec(), network: network.to_vec(), attempts: attempts.to_vec() };
    world.run(policy, Method::Sort, Limits::default())
}

/// Without a file of the network, as right after an outage.
fn now(books: &[Record], attempts: &[Attempt]) -> Found {
    let settlement = settle(books, &[], attempts, Policy::new("attempts", at(0), None, at(DAY)));
    let mut rows = Given::new(books.iter().cloned().map(Ok));
    let promises = settlement.promises(attempts, &mut rows).expect("the rows are whole");
    settlement.found(attempts, &promises, Window { from: at(0), to: at(DAY) }, None)
}

/// With the network's complete file.
fn clearing(books: &[Record], file: &[Record], attempts: &[Attempt]) -> Found {
    let settlement = settle(books, file, attempts, policy());
    settlement.found(attempts, &[], Window { from: at(0), to: at(DAY) }, None)
}

#[track_caller]
fn check(found: &Found, lost: &[&str], in_doubt: &[&str], others: &[(&str, u64)], balanced: bool) {
    let others: BTreeMap<String, u64> = others.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!((found.lost_keys.as_slice(), found.in_doubt_keys.as_slice()), (&owned(lost)[..], &owned(in_doubt)[..]));
    assert_eq!((&found.others, found.balanced), (&others, balanced), "{:?}", found.balance);
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn after_an_outage_the_acknowledged_and_absent_are_lost_and_the_begun_are_in_doubt() {
    let attempts = [
        attempt("booked", Some("n1"), 100, 1),
        attempt("lost", Some("n2"), 200, 2),
        attempt("lost", None, 200, 1),
        attempt("begun", None, 300, 3),
        attempt("begun and booked", None, 400, 3),
    ];
    let books = [ledger("n1", "booked", 100), ledger("n4", "begun and booked", 400), ledger("n5", "unmarked", 7)];
    let found = now(&books, &attempts);
    check(&found, &["lost"], &["begun"], &[], true);
    assert_eq!(found.balance, ["acknowledged EUR 3.00 = booked EUR 1.00 + proposed EUR 2.00"]);
    assert_eq!((found.proposed, found.refunds), (1, 0));
}

#[test]
fn an_amount_that_differs_from_what_was_acknowledged_does_not_balance() {
    let found = now(&[ledger("n1", "k", 99)], &[attempt("k", Some("n1"), 100, 1)]);
    check(&found, &[], &[], &[("AmountMismatch", 1)], false);
    assert_eq!(found.balance, ["acknowledged EUR 1.00 = booked EUR 0.99 + proposed EUR 0.00, and EUR 0.01 more"]);
}

#[test]
fn what_was_charged_and_never_acknowledged_is_not_among_the_lost() {
    let attempts = [attempt("lost", Some("n1"), 100, 1), attempt("begun", None, 200, 1)];
    let found = clearing(&[], &[network("n1", "lost", 100), network("n2", "begun", 200)], &attempts);
    check(&found, &["lost"], &[], &[("ChargedInDoubt", 1)], true);
    assert_eq!(found.balance, ["ledger EUR 0.00 + proposed EUR 3.00 = network EUR 3.00"]);
}

#[test]
fn what_is_on_its_way_is_nobodys_work_and_balances() {
    let mut late = ledger("n9", "late", 500);
    late.booked_at = Some(at(DAY + 60));
    check(&clearing(&[late], &[], &[]), &[], &[], &[], true);
    check(&clearing(&[ledger("n9", "overdue", 500)], &[], &[]), &[], &[], &[("LedgerOnly", 1)], true);
}

#[test]
fn a_doubt_ends_as_the_pass_that_knows_says() {
    let attempts =
        [attempt("charged", None, 100, 1), attempt("never", None, 100, 1), attempt("acknowledged", Some("n3"), 100, 1)];
    let settlement = settle(&[], &[network("n1", "charged", 100)], &attempts, policy());
    let fates = settlement.fates(&BTreeSet::from(["booked".to_owned()]));
    let expected = [
        ("acknowledged", Fate::Acknowledged),
        ("booked", Fate::Booked),
        ("charged", Fate::Charged),
        ("never", Fate::NeverCharged),
    ];
    assert_eq!(fates, expected.map(|(key, fate)| (key.to_owned(), fate)).into());
}

#[test]
fn a_doubt_knows_where_and_when_it_was_begun_first() {
    let attempts = [attempt("k", None, 100, 9), attempt("k", None, 100, 4)];
    let settlement = settle(&[], &[], &attempts, Policy::new("attempts", at(0), None, at(DAY)));
    let doubts = settlement.doubts(&attempts);
    assert_eq!((doubts.len(), doubts[0].begun_at, doubts[0].amount_minor), (1, at(4), 100));
}
