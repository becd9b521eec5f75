//! What must hold of every run besides the checker's laws: money, writers, and what woke up too late.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_payments::card_network::Charge;
use holdfast_payments::history::{Operation, Told};
use holdfast_payments::service::ATTEMPTS_TABLE;
use holdfast_world::dynamodb::{Item, all_items};
use holdfast_world::{Region, World};

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

/// From the first payment that failed at or after a moment to the first new one that was made again. None: nothing failed,
/// or nothing was made again.
#[must_use]
pub fn write_outage(operations: &[Operation], from: Duration) -> Option<Duration> {
    let made = |it: &Operation| matches!(it.told, Told::Acknowledged { .. });
    let failed = operations.iter().filter(|it| it.ended >= from && !made(it)).map(|it| it.started).min()?;
    // An older payment may be acknowledged meanwhile from its mark alone.
    let is_new = |it: &&Operation| {
        it.started > failed && !operations.iter().any(|other| other.key == it.key && other.started <= failed)
    };
    let back = operations.iter().filter(|it| made(it)).filter(is_new).map(|it| it.ended).min()?;
    Some(back.saturating_sub(failed))
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
    fn outage(operations: &[Operation], expected_ms: Option<u64>) {
        let found = write_outage(operations, Duration::from_millis(1000));
        assert_eq!(found, expected_ms.map(Duration::from_millis));
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_new_payment() {
        let before = tried("a", 500, 600, false);
        outage(&[before, tried("b", 1200, 1300, false), tried("c", 4000, 4100, true)], Some(2900));
    }
    #[test]
    fn a_payment_that_had_failed_before_does_not_end_it() {
        outage(
            &[tried("b", 1200, 1300, false), tried("b", 2000, 2100, true), tried("c", 5000, 5200, true)],
            Some(4000),
        );
    }
    #[test]
    fn an_outage_that_does_not_end_has_no_length() {
        outage(&[tried("b", 1200, 1300, false), tried("a", 900, 1400, true)], None);
        outage(&[tried("a", 1100, 1400, true)], None);
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
