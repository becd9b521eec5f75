//! Payments that one day's file leaves open: carried to the next one, which settles them, until they are too old.
//!
//! A booking that the network's file does not have yet is judged again by the provider's next run: matched, still on its way, or
//! told as `LedgerOnly`. What only the network has is told at once, and carried by nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::money::Currency;

/// Open payments of one provider that are carried. More of them are no late settlement but another problem.
pub const CARRIED_MAX: usize = 1_000;
/// Bytes that they take; an item of DynamoDB has room for 400 KB.
const CARRIED_BYTES_MAX: usize = 350_000;
/// Bytes of one beside its names.
const BYTES_EACH: usize = 300;
/// A payment is settled within this time of its booking: three days, as weekends do not clear.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);
/// What is older than this is told once more, and carried no further.
pub const CARRIED_FOR: Duration = Duration::from_secs(14 * 24 * 3600);

/// A booking that no file of the network had at the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPayment {
    /// What moved, as the ledger's word.
    pub kind: String,
    /// The merchant's key.
    pub key: String,
    /// The network's reference.
    pub reference: String,
    /// Signed minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// When it was booked.
    pub at: Timestamp,
    /// The run that left it open.
    pub run: String,
    /// How it ended, once a run knows.
    pub closed: Option<Closed>,
}

/// The open payments of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPayments {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// Each once. What the last run closed stays until the next one, so that a run that is repeated comes to the same.
    pub payments: Vec<OpenPayment>,
    /// Up to when bookings were judged.
    #[serde(default)]
    pub judged: Option<Judged>,
}

/// Up to when bookings were judged: each was matched, carried or told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The last run.
    pub run: String,
    /// With it.
    pub until: Timestamp,
    /// Before it.
    pub before: Option<Timestamp>,
}

impl OpenPayments {
    /// Up to when other runs have looked for bookings: each was matched, carried or told by one of them.
    #[must_use]
    pub fn judged_before(&self, run: &str) -> Option<Timestamp> {
        let judged = self.judged.as_ref()?;
        if judged.run == run { judged.before } else { Some(judged.until) }
    }

    /// Those that are still open.
    pub fn open(&self) -> impl Iterator<Item = &OpenPayment> {
        self.payments.iter().filter(|it| it.closed.is_none())
    }

    /// What a run has among its inputs: what other runs have left open, and what it has closed itself, when it is repeated.
    #[must_use]
    pub fn inputs_of(&self, run: &str) -> Vec<OpenPayment> {
        let of_run = |closed: &Closed| closed.run == run;
        let inputs = self.payments.iter().filter(|it| it.run != run && it.closed.as_ref().is_none_or(of_run));
        inputs.map(|payment| OpenPayment { closed: None, ..payment.clone() }).collect()
    }
}

/// Which run closed an open payment, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The run that closed it.
    pub run: String,
    /// How.
    pub how: Closing,
}

/// How an open payment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// Both sides have it, and say the same.
    Matched,
    /// It was told as a break, which is a person's from then on.
    Told,
    /// Neither came of it for too long.
    TooOld,
}

/// What a run that had the open payments among its inputs says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// It matched it.
    Matched,
    /// It is still open.
    Open,
    /// It told it as a break that is no waiting any more.
    Told,
}

/// What a movement is known by from run to run.
#[must_use]
pub fn name_of_payment(kind: &str, reference: &str, key: &str) -> String {
    format!("{kind}/{reference}/{key}")
}

impl OpenPayment {
    /// Its place in the list.
    #[must_use]
    pub fn name(&self) -> String {
        name_of_payment(&self.kind, &self.reference, &self.key)
    }

    fn bytes(&self) -> usize {
        BYTES_EACH + self.key.len() + self.reference.len() + self.run.len()
    }
}

/// The list after a run, and what a person is told beside its breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The list as it is to be written.
    pub next: OpenPayments,
    /// A sentence for each that is carried no further, and one where not all could be carried.
    pub findings: Vec<String>,
    /// How many were matched.
    pub matched: usize,
}

/// What becomes of the open payments after a run.
///
/// `said` is what the run says of its inputs by their names, `left` what it leaves open itself. What it says nothing of stays
/// open until it is too old. The run has judged bookings up to `until`.
#[must_use]
pub fn carry(
    listed: &OpenPayments,
    said: &BTreeMap<String, Said>,
    left: &[OpenPayment],
    (run, until): (&str, Timestamp),
    now: Timestamp,
) -> Carried {
    let mut carried = Carried::default();
    let mut payments: BTreeMap<String, OpenPayment> = BTreeMap::new();
    for payment in listed.inputs_of(run) {
        let too_old = payment.at.checked_add(CARRIED_FOR).is_ok_and(|until| until < now);
        let how = match said.get(&payment.name()) {
            Some(Said::Matched) => Some(Closing::Matched),
            Some(Said::Told) => Some(Closing::Told),
            Some(Said::Open) | None if too_old => Some(Closing::TooOld),
            Some(Said::Open) | None => None,
        };
        if how == Some(Closing::TooOld) {
            carried.findings.push(too_old_sentence(&payment));
        }
        carried.matched += usize::from(how == Some(Closing::Matched));
        let closed = how.map(|how| Closed { run: run.to_owned(), how });
        payments.insert(payment.name(), OpenPayment { closed, ..payment });
    }
    let before = listed.judged_before(run);
    // The file of a day begins with what the day before was too late for: most bookings of those minutes were settled then.
    let mut fresh: Vec<&OpenPayment> = left.iter().filter(|it| before.is_none_or(|before| it.at > before)).collect();
    fresh.sort_by_key(|payment| (payment.at, payment.name()));
    let (mut bytes, mut dropped) = (payments.values().map(OpenPayment::bytes).sum::<usize>(), 0_usize);
    for payment in fresh {
        if payments.contains_key(&payment.name()) {
            continue;
        }
        bytes += payment.bytes();
        if payments.len() >= CARRIED_MAX || bytes > CARRIED_BYTES_MAX {
            dropped += 1;
        } else {
            payments.insert(payment.name(), payment.clone());
        }
    }
    if dropped > 0 {
        carried.findings.push(format!(
            "{dropped} open payments more than the {} that are carried are not looked for in the next file: the report has them",
            payments.len()
        ));
    }
    let until = before.map_or(until, |before| before.max(until));
    carried.next = OpenPayments {
        version: listed.version + 1,
        payments: payments.into_values().collect(),
        judged: Some(Judged { run: run.to_owned(), until, before }),
    };
    carried
}

fn too_old_sentence(payment: &OpenPayment) -> String {
    let money = payment.currency.display(i128::from(payment.amount_minor));
    let OpenPayment { reference, key, at, .. } = payment;
    format!(
        "{reference} ({key}, {money}) was booked at {at:.0} and is in no file of the network; it is carried no further"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }
    fn open(key: &str, day: i64) -> OpenPayment {
        OpenPayment {
            kind: "capture".into(),
            key: key.into(),
            reference: format!("ch-{key}"),
            amount_minor: 100,
            currency: Currency::parse("EUR").unwrap(),
            at: at(day),
            run: "r1".into(),
            closed: None,
        }
    }
    fn of_r2(key: &str, day: i64) -> OpenPayment {
        OpenPayment { run: "r2".into(), ..open(key, day) }
    }
    fn list(payments: &[OpenPayment]) -> OpenPayments {
        OpenPayments { version: 4, payments: payments.to_vec(), judged: None }
    }

    #[track_caller]
    fn check(listed: &[OpenPayment], said: &[(&str, Said)], left: &[OpenPayment], day: i64, expected: &[&str]) {
        let listed = list(listed);
        let said: BTreeMap<String, Said> = said.iter().map(|(key, said)| (open(key, 1).name(), *said)).collect();
        let carried = carry(&listed, &said, left, ("r2", at(day)), at(day));
        let state = |it: &OpenPayment| format!("{} {:?}", it.key, it.closed.as_ref().map(|closed| closed.how));
        let mut found: Vec<String> = carried.next.payments.iter().map(state).collect();
        found.extend(carried.findings.clone());
        assert_eq!(found, expected);
        assert_eq!(carried.next.version, 5);
        // The run is repeated with the list as it then is: it has the same inputs, and comes to the same.
        assert_eq!(carried.next.inputs_of("r2"), listed.inputs_of("r2"));
        let again = carry(&carried.next, &said, left, ("r2", at(day)), at(day));
        assert_eq!((again.next.payments, again.findings), (carried.next.payments, carried.findings));
    }

    #[test]
    fn what_a_run_leaves_open_is_carried() {
        check(&[], &[], &[of_r2("a", 1)], 2, &["a None"]);
        check(&[open("a", 1)], &[("a", Said::Open)], &[of_r2("a", 1)], 2, &["a None"]);
    }
    #[test]
    fn what_the_next_file_settles_is_closed_by_it() {
        check(&[open("a", 1)], &[("a", Said::Matched)], &[], 2, &["a Some(Matched)"]);
    }
    #[test]
    fn what_is_told_as_a_break_is_a_persons() {
        check(&[open("a", 1)], &[("a", Said::Told)], &[], 5, &["a Some(Told)"]);
    }
    #[test]
    fn what_a_run_says_nothing_of_stays_open_until_it_is_too_old() {
        check(&[open("a", 1)], &[], &[], 15, &["a None"]);
        check(
            &[open("a", 1)],
            &[],
            &[],
            16,
            &[
                "a Some(TooOld)",
                "ch-a (a, EUR 1.00) was booked at 1970-01-02T00:00:00Z and is in no file of the network; it is carried no further",
            ],
        );
    }
    #[test]
    fn what_another_run_has_closed_is_forgotten_by_the_next() {
        let closed = Some(Closed { run: "r0".into(), how: Closing::Matched });
        check(&[OpenPayment { closed, ..open("a", 1) }], &[("a", Said::Open)], &[], 2, &[]);
    }
    #[test]
    fn what_an_earlier_file_was_complete_for_is_not_carried_again() {
        let first = carry(&list(&[]), &BTreeMap::new(), &[open("a", 3)], ("r1", at(4)), at(4)).next;
        let left = [of_r2("b", 4), of_r2("c", 5)];
        let second = carry(&first, &BTreeMap::new(), &left, ("r2", at(6)), at(6)).next;
        let keys = |list: &OpenPayments| list.payments.iter().map(|it| it.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&second), ["a", "c"]);
        assert_eq!(keys(&carry(&second, &BTreeMap::new(), &left, ("r2", at(6)), at(6)).next), ["a", "c"]);
        assert_eq!((second.judged_before("r2"), second.judged_before("r3")), (Some(at(4)), Some(at(6))));
        let older = carry(&second, &BTreeMap::new(), &[], ("r3", at(2)), at(7)).next;
        assert_eq!(older.judged_before("r4"), Some(at(6)), "an older file takes nothing back");
    }
    #[test]
    fn no_more_are_carried_than_the_bounds_and_the_oldest_first() {
        let left: Vec<OpenPayment> = (0..=CARRIED_MAX).map(|number| of_r2(&format!("{number:05}"), 9)).collect();
        let carried = carry(&list(&[open("z", 8)]), &BTreeMap::new(), &left, ("r2", at(9)), at(9));
        assert_eq!(carried.next.payments.len(), CARRIED_MAX);
        assert!(carried.next.payments.iter().any(|it| it.key == "00000"));
        let said = "2 open payments more than the 1000 that are carried are not looked for in the next file: the report has them";
        assert_eq!(carried.findings, [said]);
        let long = OpenPayment { key: "k".repeat(CARRIED_BYTES_MAX), ..of_r2("a", 1) };
        assert_eq!(carry(&list(&[]), &BTreeMap::new(), &[long], ("r2", at(9)), at(9)).next.payments, []);
    }
}
