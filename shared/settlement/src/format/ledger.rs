//! The ledger's rows as PostgreSQL sends them: `COPY (SELECT … FROM holdfast_ledger …) TO STDOUT (FORMAT csv, HEADER)`.
//!
//! The columns are the view's: `attempt_key, network_reference, kind, amount_minor, currency, booked_at`.

use std::io::{BufRead, Seek};

use super::fault::{Fault, FormatError, excerpt};
use super::table::{Column, Table};
use super::{Fetch, Rows};
use crate::decimal::NotAnAmount;
use crate::record::{Kind, Position, Record, Side};

/// The header of an export: a ledger without bookings is this line.
pub const HEADER: &str = "attempt_key,network_reference,kind,amount_minor,currency,booked_at";

/// The ledger being read.
pub struct LedgerRows<R> {
    table: Table<R>,
    key: Column,
    reference: Column,
    kind: Column,
    amount: Column,
    currency: Column,
    booked: Column,
    records: u64,
    last_kind: (Vec<u8>, Kind),
    facts_only: bool,
}

impl<R: BufRead> LedgerRows<R> {
    /// Reads the header. A ledger may be empty: nothing booked in the window is an answer here, as the query itself succeeded.
    pub fn open(name: &str, from: R) -> Result<Self, FormatError> {
        let table = Table::open(name, from, b',')?;
        Ok(Self {
            key: table.column("attempt_key")?,
            reference: table.column("network_reference")?,
            kind: table.column("kind")?,
            amount: table.column("amount_minor")?,
            currency: table.column("currency")?,
            booked: table.column("booked_at")?,
            records: 0,
            last_kind: (Vec::new(), Kind::Capture),
            facts_only: false,
            table,
        })
    }

    fn take(&mut self, into: &mut Record) -> Result<(), FormatError> {
        self.table.begin(into);
        into.side = Side::Ledger;
        into.currency = self.table.currency(&self.currency)?;
        let table = &self.table;
        let word = table.bytes(&self.kind);
        if word != self.last_kind.0 {
            let known = std::str::from_utf8(word).ok().and_then(Kind::parse);
            self.last_kind = (word.to_vec(), known.ok_or_else(|| table.unknown_type(&self.kind))?);
        }
        into.kind = self.last_kind.1;
        let minor = table.bytes(&self.amount);
        into.amount_minor = whole(minor).ok_or_else(|| {
            table.fault(Fault::Amount {
                column: self.amount.name.clone(),
                found: excerpt(minor),
                currency: "minor units".to_owned(),
                why: NotAnAmount::NotDecimal,
            })
        })?;
        table.append(&self.key, &mut into.merchant_ref);
        table.append(&self.reference, &mut into.event_ref);
        if !self.facts_only {
            into.booked_at = table.time(&self.booked, 0)?;
        }
        Ok(())
    }
}

/// A whole number with its sign; `None` for anything else, and for what 64 bits do not hold.
fn whole(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] if !digits.is_empty() => super::clock::number(digits)?.checked_neg(),
        [_, ..] => super::clock::number(text),
        [] => None,
    }
}

impl<R: BufRead> Rows for LedgerRows<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        if !self.table.next()? {
            return Ok(false);
        }
        self.take(into)?;
        self.records += 1;
        Ok(true)
    }

    fn facts_only(&mut self) {
        self.facts_only = true;
    }
}

impl<R: BufRead + Seek> Fetch for LedgerRows<R> {
    fn read_at(&mut self, place: Position, into: &mut Record) -> Result<bool, FormatError> {
        self.table.seek(place)?;
        if !self.table.next()? {
            return Ok(false);
        }
        self.take(into)?;
        Ok(true)
    }
}
