//! Files of providers, networks and banks, read row by row from anything that is `BufRead`.
//!
//! A reader either names every row or fails with the place; it never skips what it does not know.

pub mod adyen;
pub mod camt;
mod clock;
pub mod ctf;
mod fault;
mod finding;
pub mod ipm;
pub mod ledger;
pub mod mapping;
mod rows;
pub mod stripe;
mod table;

pub use fault::{Fault, FormatError};
pub use finding::{Finding, Problem};
use jiff::civil::Date;

use crate::record::{Position, Record};

/// Rows of one source, one after the other.
pub trait Rows {
    /// Fills `into` with the next record; `false` after the last one.
    ///
    /// An error is the end of the file: what came before it must not be used either.
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError>;

    /// Says that from now on only references, kind, status, amount and currency are asked for: a file that was read whole once
    /// is read faster again. A reader may do nothing about it.
    fn facts_only(&mut self) {}

    /// What the file says about itself that does not add up. Complete only after `read` has said `false`.
    fn findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}

impl<T: Rows + ?Sized> Rows for Box<T> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        (**self).read(into)
    }
    fn facts_only(&mut self) {
        (**self).facts_only();
    }
    fn findings(&mut self) -> Vec<Finding> {
        (**self).findings()
    }
}

/// Rows that can be read again one by one, by place.
pub trait Fetch: Rows {
    /// Fills `into` with the record at a place that `read` gave before; `false` where there is none.
    fn read_at(&mut self, place: Position, into: &mut Record) -> Result<bool, FormatError>;
}

/// Records that somebody else has read, one after the other; each is known by its place among them.
pub struct Given<I> {
    records: I,
    count: u64,
}

impl<I: Iterator<Item = Result<Record, FormatError>>> Given<I> {
    /// Records in an order that is the same every time.
    pub fn new(records: I) -> Self {
        Self { records, count: 0 }
    }
}

impl<I: Iterator<Item = Result<Record, FormatError>>> Rows for Given<I> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        let Some(mut record) = self.records.next().transpose()? else { return Ok(false) };
        record.position = Position { source: into.position.source, byte: self.count, line: self.count + 1 };
        self.count += 1;
        *into = record;
        Ok(true)
    }
}

/// What a provider paid out, in the ledger's place: to be found on the bank's statement with the sign turned.
pub struct PaidOut<R> {
    rows: R,
}

impl<R: Rows> PaidOut<R> {
    /// The payouts of a provider's file, and none of its other rows.
    pub fn new(rows: R) -> Self {
        Self { rows }
    }
}

impl<R: Rows> Rows for PaidOut<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        while self.rows.read(into)? {
            if into.kind == crate::record::Kind::Payout {
                into.amount_minor = into.amount_minor.saturating_neg();
                into.side = crate::record::Side::Ledger;
                return Ok(true);
            }
        }
        Ok(false)
    }
    fn findings(&mut self) -> Vec<Finding> {
        self.rows.findings()
    }
}

/// Every record of a source, owned: for small files and for tests.
pub fn read_all(rows: &mut dyn Rows) -> Result<Vec<Record>, FormatError> {
    let mut found = Vec::new();
    let mut record = Record::blank(crate::record::Side::Network);
    while rows.read(&mut record)? {
        found.push(record.clone());
    }
    Ok(found)
}

/// Rows that must be of certain days: the file of another day is an error and not a list of breaks.
pub struct OfDays<R> {
    rows: R,
    file: String,
    first: Date,
    last: Date,
}

impl<R: Rows> OfDays<R> {
    /// Refuses records whose time (UTC) is before `first` or after `last`.
    pub fn new(rows: R, file: &str, first: Date, last: Date) -> Self {
        Self { rows, file: file.to_owned(), first, last }
    }
}

impl<R: Rows> Rows for OfDays<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        if !self.rows.read(into)? {
            return Ok(false);
        }
        let day = into.time().map(|time| jiff::tz::Offset::UTC.to_datetime(time).date());
        match day {
            Some(found) if found < self.first || found > self.last => Err(FormatError::at(
                &self.file,
                into.position,
                Fault::OtherDay { found, first: self.first, last: self.last },
            )),
            Some(_) | None => Ok(true),
        }
    }
    fn findings(&mut self) -> Vec<Finding> {
        self.rows.findings()
    }
}
