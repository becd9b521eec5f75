//! Small worlds: records by hand, sources of them, and runs over them.

use holdfast_domain::attempt::{Attempt, Stage};
use holdfast_domain::money::Currency;
use holdfast_domain::{Region, Timestamp};
use holdfast_settlement::format::{Given, Rows};
use holdfast_settlement::record::{Kind, Record, Side};
use holdfast_settlement::report::Settlement;
use holdfast_settlement::{Go, Limits, Method, Policy, Reconciliation, Report, Streamed};

pub(crate) const DAY: i64 = 86_400;

/// The day that everything happens on, in seconds.
pub(crate) const BASE: i64 = 1_792_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BASE + second).expect("it is a time")
}

pub(crate) fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("it is a currency")
}

/// A record: side, kind, event, key, amount, currency.
pub(crate) fn record(side: Side, kind: Kind, event: &str, key: &str, amount: i64, code: &str) -> Record {
    let mut record = Record::blank(side);
    record.kind = kind;
    (record.event_ref, record.merchant_ref) = (event.to_owned(), key.to_owned());
    (record.amount_minor, record.currency) = (amount, currency(code));
    record.booked_at = Some(at(0));
    record
}

pub(crate) fn ledger(event: &str, key: &str, amount: i64) -> Record {
    record(Side::Ledger, Kind::Capture, event, key, amount, "EUR")
}

pub(crate) fn network(event: &str, key: &str, amount: i64) -> Record {
    record(Side::Network, Kind::Capture, event, key, amount, "EUR")
}

pub(crate) fn attempt(key: &str, reference: Option<&str>, amount: i64, second: i64) -> Attempt {
    Attempt {
        key: key.to_owned(),
        stage: reference
            .map_or(Stage::Begun, |reference| Stage::Acknowledged { network_reference: reference.to_owned() }),
        region: Region::new("eu-west-1").expect("it is a Region"),
        amount_minor: amount,
        currency: currency("EUR"),
        at: at(second),
    }
}

/// The network's files are complete for the day; now is two days later.
pub(crate) fn policy() -> Policy {
    Policy::new("adyen", at(2 * DAY), Some(at(DAY)), at(3 * DAY))
}

pub(crate) fn source<'a>(name: &str, records: &'a [Record]) -> Streamed<'a> {
    Streamed::new(name, move || Ok(Box::new(Given::new(records.iter().cloned().map(Ok))) as Box<dyn Rows + 'a>))
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ledger: Vec<Record>,
    pub(crate) network: Vec<Record>,
    pub(crate) attempts: Vec<Attempt>,
}

impl World {
    pub(crate) fn run(&self, policy: Policy, method: Method, limits: Limits) -> Settlement {
        let run = Reconciliation::new(policy)
            .method(method)
            .limits(limits)
            .ledger(source("ledger", &self.ledger))
            .network(source("network", &self.network))
            .attempts(self.attempts.iter().cloned());
        match run.run(&mut |_| Go::On).expect("the sources are whole") {
            Report::Complete(settlement) => settlement,
            Report::Unknown { why, .. } => panic!("nobody stopped it: {why}"),
        }
    }
}

/// Every method that must come to the same.
pub(crate) fn methods() -> [(Method, Limits); 3] {
    let spilling =
        Limits { memory_bytes: 1, spill_directory: Some(env!("CARGO_TARGET_TMPDIR").into()), ..Limits::default() };
    [
        (Method::Sort, Limits { memory_bytes: 1 << 24, ..Limits::default() }),
        (Method::Sort, spilling),
        (
            Method::Sketch { bucket_bits: 12, dirty_percent_max: 100 },
            Limits { memory_bytes: 1 << 24, ..Limits::default() },
        ),
    ]
}
