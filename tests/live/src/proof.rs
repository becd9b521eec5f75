//! What must hold of every run besides the checker's laws: money, writers, and what woke up too late.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drill::deployment::{CLUSTER, TABLE};
use holdfast_domain::event::Event;
use holdfast_domain::money::Totals;
use holdfast_domain::receipts::{Class, State};
use holdfast_domain::reconciliation::{Finding, Found};
use holdfast_payments::card_network::Charge;
use holdfast_payments::history::{Operation, Told};
use holdfast_payments::service::ATTEMPTS_TABLE;
use holdfast_world::dynamodb::{Item, all_items};
use holdfast_world::{Region, World};
use serde_json::Value;

use crate::ledger::Booked;

/// Money is neither made nor lost on the way: what is booked was charged, as it was charged, and so was what was acknowledged.
pub fn unconserved(operations: &[Operation], rows: &BTreeMap<String, Booked>, charges: &[Charge]) -> Vec<String> {
    let charged: BTreeMap<&str, &Charge> = charges.iter().map(|charge| (charge.reference.as_str(), charge)).collect();
    let mut problems = Vec::new();
    for (key, row) in rows {
        let same = charged.get(row.network_reference.as_str()).is_some_and(|charge| {
            charge.attempt_key == *key && charge.amount_minor == row.amount_minor && charge.currency == row.currency
        });
        if !same {
            problems.push(format!("{key} is booked as {row:?}, and the card network has no such charge"));
        }
    }
    for operation in operations {
        let Told::Acknowledged { network_reference } = &operation.told else { continue };
        let same = charged
            .get(network_reference.as_str())
            .is_some_and(|charge| charge.attempt_key == operation.key && charge.amount_minor == operation.amount_minor);
        if !same {
            problems
                .push(format!("{} was acknowledged under {network_reference}, and never charged so", operation.key));
        }
        let booked_otherwise = rows.get(&operation.key).is_some_and(|row| row.network_reference != *network_reference);
        if booked_otherwise {
            problems.push(format!("{} was acknowledged under one reference and booked under another", operation.key));
        }
    }
    problems
}

/// The longest time without a new payment between two moments. One that has been tried before does not count: it may be
/// acknowledged from its mark alone.
#[must_use]
pub fn write_outage(operations: &[Operation], from: Duration, until: Duration) -> Duration {
    let mut first_tries: BTreeMap<&str, &Operation> = BTreeMap::new();
    for operation in operations {
        let first = first_tries.entry(&operation.key).or_insert(operation);
        if operation.started < first.started {
            *first = operation;
        }
    }
    let made = first_tries.values().filter(|it| matches!(it.told, Told::Acknowledged { .. })).map(|it| it.ended);
    let mut moments: Vec<Duration> = made.filter(|at| (from..until).contains(at)).chain([from, until]).collect();
    moments.sort_unstable();
    let gaps = moments.iter().zip(moments.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one));
    gaps.max().unwrap_or_default()
}

/// What Holdfast has looked at and found unsettled, by the guard's name: what nobody has looked at is.
#[must_use]
pub fn unsettled(world: &World) -> BTreeSet<&'static str> {
    let (mut ledger, mut receipts) = (None, None);
    for (_, _, event) in world.published() {
        match serde_json::from_value(event["detail"].clone()) {
            Ok(Event::LedgerReconciled { summary }) => ledger = Some(summary.finding),
            Ok(Event::ReceiptsReconciled { summary }) => receipts = Some(summary),
            Ok(_) | Err(_) => {}
        }
    }
    let ledger_clean = match &ledger {
        Some(Finding::Complete(found)) => {
            let settled = Found { in_doubt: Totals::default(), in_doubt_keys: Vec::new(), ..*found.clone() };
            settled.is_clean()
        }
        Some(Finding::Unknown { .. }) | None => false,
    };
    let in_doubt_empty = matches!(ledger, Some(Finding::Complete(_))) && doubts(world) == 0;
    let converged = receipts.is_some_and(|summary| {
        let left = |class: Class| class != Class::InSync && class != Class::Pending;
        summary.state != State::Unfinished
            && summary.plan.0.iter().all(|(class, count)| !left(*class) || count.keys == 0)
    });
    [("ledger_clean", ledger_clean), ("in_doubt_empty", in_doubt_empty), ("receipts_converged", converged)]
        .into_iter()
        .filter_map(|(guard, settled)| (!settled).then_some(guard))
        .collect()
}

/// Attempts in doubt that nobody has settled.
fn doubts(world: &World) -> usize {
    let list = format!("in-doubt#{CLUSTER}");
    let open = |item: &&Item| {
        let text = |name: &str| item.get(name)?.get("S")?.as_str();
        let entry: Value = text("body").and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        text("pk") == Some(&list) && entry["settled"].is_null()
    };
    all_items(world, TABLE).iter().filter(open).count()
}

/// Marks of acknowledgement that a Region has set, by key, with the Region's clock in milliseconds: whoever asks again is told
/// that the payment is made.
#[must_use]
pub fn marks_of(world: &World, region: Region) -> BTreeMap<String, i64> {
    let text = |item: &Item, name: &str, kind: &str| -> Option<String> {
        Some(item.get(name)?.get(kind)?.as_str()?.to_owned())
    };
    all_items(world, ATTEMPTS_TABLE)
        .iter()
        .filter(|item| text(item, "stage", "S").as_deref() == Some("acknowledged"))
        .filter(|item| text(item, "region", "S").as_deref() == Some(region.as_str()))
        .filter_map(|item| Some((text(item, "attempt_key", "S")?, text(item, "at", "N")?.parse().ok()?)))
        .collect()
}

/// What the old writer has committed too late and told as made: marked there, and not booked anywhere else before that.
#[must_use]
pub fn told_too_late<'a>(
    late: &'a BTreeMap<String, i64>,
    marks: &BTreeMap<String, i64>,
    elsewhere: &BTreeMap<String, i64>,
) -> Vec<&'a str> {
    let wrongly =
        |key: &&String| marks.get(*key).is_some_and(|marked| elsewhere.get(*key).is_none_or(|booked| booked > marked));
    late.keys().filter(wrongly).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(reference: &str, attempt_key: &str, amount_minor: i64) -> Charge {
        let (reference, attempt_key) = (reference.to_owned(), attempt_key.to_owned());
        Charge { reference, attempt_key, amount_minor, currency: "EUR".into(), at: jiff::Timestamp::UNIX_EPOCH }
    }

    fn acknowledged(reference: &str) -> Operation {
        Operation {
            key: "k1".into(),
            amount_minor: 100,
            currency: "EUR".into(),
            client: "eu-west-1".into(),
            sent_to: "eu-west-1".into(),
            started: Duration::ZERO,
            ended: Duration::ZERO,
            told: Told::Acknowledged { network_reference: reference.into() },
        }
    }

    fn tried(key: &str, started: u64, ended: u64, made: bool) -> Operation {
        let told =
            if made { Told::Acknowledged { network_reference: "net-1".into() } } else { Told::Refused { status: 503 } };
        let (started, ended) = (Duration::from_millis(started), Duration::from_millis(ended));
        Operation { key: key.into(), started, ended, told, ..acknowledged("net-1") }
    }

    #[track_caller]
    fn outage(operations: &[Operation], expected_ms: u64) {
        let (from, until) = (Duration::from_millis(1000), Duration::from_millis(10_000));
        assert_eq!(write_outage(operations, from, until), Duration::from_millis(expected_ms));
    }

    #[test]
    fn an_outage_lasts_from_the_last_new_payment_to_the_next_one() {
        let made = [900, 1300, 5200, 9500].map(|at| tried(&at.to_string(), at - 100, at, true));
        outage(&made, 4300);
        outage(&made[..3], 4800);
    }
    #[test]
    fn a_payment_that_had_failed_before_does_not_end_it() {
        let late = [tried("b", 1200, 1300, false), tried("b", 2000, 2100, true), tried("c", 8000, 8200, true)];
        outage(&late, 7200);
    }
    #[test]
    fn one_payment_that_fails_among_others_that_are_made_is_no_outage() {
        let made = (10..100).map(|at| tried(&at.to_string(), at * 100 - 50, at * 100, true));
        let all: Vec<Operation> = made.chain([tried("x", 2000, 2100, false)]).collect();
        outage(&all, 100);
    }
    #[test]
    fn an_outage_that_does_not_end_lasts_to_the_end() {
        outage(&[tried("b", 1200, 1300, false), tried("a", 900, 1400, true)], 8600);
        outage(&[], 9000);
    }

    #[track_caller]
    fn late(marked: Option<i64>, elsewhere: Option<i64>, expected: bool) {
        let one = |at: Option<i64>| at.map(|at| ("k1".to_owned(), at)).into_iter().collect::<BTreeMap<_, _>>();
        let late = one(Some(50));
        let found = told_too_late(&late, &one(marked), &one(elsewhere));
        assert_eq!(!found.is_empty(), expected, "{found:?}");
    }

    #[test]
    fn what_is_committed_too_late_may_not_be_told() {
        late(Some(60), None, true);
        late(Some(60), Some(70), true);
        late(None, None, false);
    }
    #[test]
    fn what_the_new_writer_has_may_be_told_by_anybody() {
        late(Some(60), Some(40), false);
    }

    #[track_caller]
    fn check(booked_minor: i64, reference: &str, charges: &[Charge], expected: &[&str]) {
        let row = Booked { network_reference: "net-1".into(), amount_minor: booked_minor, currency: "EUR".into() };
        let found = unconserved(&[acknowledged(reference)], &[("k1".to_owned(), row)].into(), charges);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn what_is_charged_booked_and_acknowledged_alike_is_conserved() {
        check(100, "net-1", &[charge("net-1", "k1", 100)], &[]);
    }
    #[test]
    fn one_minor_unit_between_charge_and_row_is_found() {
        check(101, "net-1", &[charge("net-1", "k1", 100)], &["no such charge"]);
    }
    #[test]
    fn an_acknowledgement_that_was_never_charged_is_found() {
        let problems = ["never charged so", "booked under another"];
        check(100, "net-2", &[charge("net-1", "k1", 100)], &problems);
    }
    #[test]
    fn a_charge_of_another_payment_does_not_do() {
        check(100, "net-1", &[charge("net-1", "k2", 100)], &["no such charge", "never charged so"]);
    }
}
