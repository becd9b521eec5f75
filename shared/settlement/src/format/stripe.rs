//! Stripe's itemized payout reconciliation report (`payout_reconciliation.itemized.*`): CSV, one row per balance transaction.
//!
//! Source: Stripe's documentation of report types and reporting categories. Columns are chosen per run and found by name.
//! A movement is known by `source_id` (`ch_`, `re_`, `dp_`), as our ledger knows it; a partial capture is two rows of one source.

use std::collections::BTreeMap;
use std::io::{BufRead, Seek};

use super::fault::FormatError;
use super::finding::{Finding, Problem};
use super::table::{Column, Table};
use super::{Fetch, Rows};
use crate::currencies::Exponents;
use crate::decimal::wide_text;
use crate::record::{Kind, Position, Record, Side};

/// Stripe's reporting categories. What is not here fails, as it may be money.
const CATEGORIES: [(&str, Kind); 25] = [
    ("charge", Kind::Capture),
    ("charge_failure", Kind::CaptureReversal),
    ("partial_capture_reversal", Kind::CaptureReversal),
    ("refund", Kind::Refund),
    ("refund_failure", Kind::RefundReversal),
    ("dispute", Kind::Chargeback),
    ("dispute_reversal", Kind::ChargebackReversal),
    ("fee", Kind::Fee),
    ("network_cost", Kind::Fee),
    ("tax", Kind::Fee),
    ("platform_earning", Kind::Adjustment),
    ("platform_earning_refund", Kind::Adjustment),
    ("transfer", Kind::Adjustment),
    ("transfer_reversal", Kind::Adjustment),
    ("topup", Kind::Adjustment),
    ("topup_reversal", Kind::Adjustment),
    ("connect_collection_transfer", Kind::Adjustment),
    ("connect_reserved_funds", Kind::Adjustment),
    ("risk_reserved_funds", Kind::Adjustment),
    ("financing_payout", Kind::Adjustment),
    ("financing_paydown", Kind::Adjustment),
    ("adjustment", Kind::Adjustment),
    ("other_adjustment", Kind::Adjustment),
    ("payout", Kind::Payout),
    ("payout_reversal", Kind::Payout),
];

/// An itemized report being read.
pub struct Itemized<R> {
    table: Table<R>,
    source: Column,
    category: Column,
    created: Column,
    available: Column,
    currency: Column,
    gross: Column,
    fee: Column,
    net: Column,
    payout: Column,
    groups: Vec<Column>,
    keys: Vec<Column>,
    exponents: Exponents,
    records: u64,
    /// Per payout and currency: rows, payout rows, and whether there was one, widened.
    payouts: BTreeMap<(String, String), (i128, i128, bool)>,
}

impl<R: BufRead> Itemized<R> {
    /// Reads the header. `key` is the metadata name that our own key was sent under, such as `idempotency_key`.
    pub fn open(file: &str, from: R, key: &str) -> Result<Self, FormatError> {
        let table = Table::open(file, from, b',')?;
        let optional = |names: &[&str]| -> Result<Vec<Column>, FormatError> {
            names.iter().filter_map(|name| table.optional(name).transpose()).collect()
        };
        let keys = [format!("payment_metadata[{key}]"), format!("refund_metadata[{key}]")];
        Ok(Self {
            source: table.column("source_id")?,
            category: table.column("reporting_category")?,
            created: table.column("created_utc")?,
            available: table.column("available_on_utc")?,
            currency: table.column("currency")?,
            gross: table.column("gross")?,
            fee: table.column("fee")?,
            net: table.column("net")?,
            payout: table.column("automatic_payout_id")?,
            groups: optional(&["payment_intent_id", "charge_id"])?,
            keys: optional(&[&keys[0], &keys[1]])?,
            exponents: Exponents::iso(),
            records: 0,
            payouts: BTreeMap::new(),
            table,
        })
    }

    fn take(&mut self, into: &mut Record) -> Result<(), FormatError> {
        let currency = self.table.currency(&self.currency)?;
        let table = &self.table;
        table.begin(into);
        into.side = Side::Network;
        let category = table.bytes(&self.category);
        let known = CATEGORIES.iter().find(|(name, _)| name.as_bytes() == category);
        into.kind = known.map(|(_, kind)| *kind).ok_or_else(|| table.unknown_type(&self.category))?;
        into.currency = currency;
        into.amount_minor = table.minor(&self.gross, currency, &self.exponents)?;
        let (fee, net) = (table.decimal(&self.fee)?, table.decimal(&self.net)?);
        into.fee = Some(fee);
        into.net = Some((net, currency));
        table.append(&self.source, &mut into.event_ref);
        first_said(table, &self.groups, &mut into.group_ref);
        first_said(table, &self.keys, &mut into.merchant_ref);
        into.at = table.time(&self.created, 0)?;
        into.booked_at = table.time(&self.available, 0)?;
        table.append(&self.payout, &mut into.payout);
        if !into.payout.is_empty() {
            let sums = self.payouts.entry((into.payout.clone(), currency.to_string())).or_insert((0, 0, false));
            if into.kind == Kind::Payout {
                *sums = (sums.0, sums.1 + net.widened(), true);
            } else {
                sums.0 += net.widened();
            }
        }
        Ok(())
    }
}

/// The first of several columns that says something.
fn first_said<R: BufRead>(table: &Table<R>, columns: &[Column], to: &mut String) {
    if let Some(column) = columns.iter().find(|column| !table.bytes(column).is_empty()) {
        table.append(column, to);
    }
}

impl<R: BufRead> Rows for Itemized<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        if !self.table.next()? {
            return self.table.end(self.records);
        }
        self.take(into)?;
        self.records += 1;
        Ok(true)
    }

    fn findings(&mut self) -> Vec<Finding> {
        let file = &self.table.file;
        let wrong = self.payouts.iter().filter_map(|((of, currency), (rows, payouts, paid))| {
            let of = format!("payout {of}");
            let problem = match (paid, rows + payouts) {
                (true, 0) => return None,
                (true, _) => Problem::ControlTotal {
                    of,
                    currency: currency.clone(),
                    rows: wide_text(*rows, 0),
                    says: wide_text(-payouts, 0),
                },
                (false, _) => Problem::NoPayout { of },
            };
            Some(Finding { file: file.clone(), line: 0, problem })
        });
        wrong.collect()
    }
}

impl<R: BufRead + Seek> Fetch for Itemized<R> {
    fn read_at(&mut self, place: Position, into: &mut Record) -> Result<bool, FormatError> {
        self.table.seek(place)?;
        if !self.table.next()? {
            return Ok(false);
        }
        self.take(into)?;
        Ok(true)
    }
}
