//! A provider's CSV by description: which column says what. A new provider is a file, and not a release.
//!
//! The description is JSON; `mappings/` has those of Checkout.com and PayPal, built in as [`CHECKOUT`] and [`PAYPAL`].

use std::collections::BTreeMap;
use std::io::{BufRead, Seek};

use holdfast_domain::money::Currency;
use serde::Deserialize;

use super::fault::{Fault, FormatError, excerpt};
use super::finding::Finding;
use super::table::{Column, Table};
use super::{Fetch, Rows, clock};
use crate::currencies::{self, Exponents};
use crate::decimal::NotAnAmount;
use crate::pan;
use crate::record::{Kind, Position, Record, Side, Status};

/// Checkout.com's settlement breakdown.
pub const CHECKOUT: &str = include_str!("../../mappings/checkout-settlement-breakdown.json");
/// PayPal's transaction and settlement reports.
pub const PAYPAL: &str = include_str!("../../mappings/paypal-settlement.json");

/// What the columns of a CSV file mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The mapping's name, for errors.
    pub name: String,
    /// What stands between fields.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Of a file whose first field says what a line is: which words say what.
    pub sections: Option<Sections>,
    /// The column that says what moved.
    pub kind: String,
    /// Words of that column; one that ends in `*` stands for all that begin so. A word may be left out by `null`: it is no money.
    pub kinds: BTreeMap<String, Option<Kind>>,
    /// Words that mean that the money has not moved yet.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// How the amount is written.
    pub amount: Amount,
    /// The column of the currency.
    pub currency: String,
    /// Decimals of currencies where the provider differs from ISO 4217.
    #[serde(default)]
    pub exponents: BTreeMap<String, u8>,
    /// Columns of the network's reference of the movement; the first that says something counts.
    pub event_ref: Vec<String>,
    /// Columns of the network's reference of the payment.
    #[serde(default)]
    pub group_ref: Vec<String>,
    /// Columns of our own key.
    #[serde(default)]
    pub merchant_ref: Vec<String>,
    /// When it happened.
    pub at: Option<String>,
    /// When it was booked.
    pub booked_at: Option<String>,
    /// What holds where a time names no offset: a zone with one offset, such as `UTC` or `CET`.
    #[serde(default = "utc")]
    pub zone: String,
    /// What the provider kept; exact, in the currency's major unit.
    pub fee: Option<String>,
    /// The provider's batch.
    pub batch: Option<String>,
    /// The payout.
    pub payout: Option<String>,
    /// A card number: masked while it is read.
    pub card: Option<String>,
}

/// A file whose first field says what the line is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sections {
    /// The line with the columns' names.
    pub header: String,
    /// A line of money.
    pub body: String,
    /// A line whose second field counts the body lines since the header.
    pub count: Option<String>,
    /// The last line that a whole file has.
    pub last: Option<String>,
    /// Lines that say nothing about a movement.
    pub others: Vec<String>,
}

/// How an amount is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "written", rename_all = "snake_case", deny_unknown_fields)]
pub enum Amount {
    /// One column with its sign, in major units.
    Signed {
        /// The column.
        column: String,
    },
    /// Two columns without signs, in major units.
    DebitCredit {
        /// From us.
        debit: String,
        /// To us.
        credit: String,
    },
    /// One column without a sign in the provider's minor units, and one that says which way.
    MinorWithSide {
        /// The amount.
        column: String,
        /// Which way.
        side: String,
        /// The word for money to us.
        credit: String,
        /// The word for money from us.
        debit: String,
    },
}

/// Words that mean that the money has not moved yet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The column.
    pub column: String,
    /// The words.
    pub words: Vec<String>,
}

fn comma() -> char {
    ','
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Mapping {
    /// Reads a description.
    pub fn parse(json: &str) -> Result<Self, Fault> {
        let broken = |why: String| Fault::Mapping { name: "unread".to_owned(), why };
        let mapping: Self = serde_json::from_str(json).map_err(|error| broken(error.to_string()))?;
        let why = if !mapping.delimiter.is_ascii() {
            "the delimiter is no ASCII character".to_owned()
        } else if clock::offset(&mapping.zone).is_none() {
            format!("`{}` is no zone with one offset; write UTC, or CET", mapping.zone)
        } else if mapping.event_ref.is_empty() {
            "`event_ref` names no column; without a reference nothing can be matched".to_owned()
        } else if let Some(code) = mapping.exponents.keys().find(|code| currencies::by_code(code.as_bytes()).is_none())
        {
            format!("`exponents` names `{code}`, which is no currency")
        } else {
            return Ok(mapping);
        };
        Err(Fault::Mapping { name: mapping.name, why })
    }

    fn exponents(&self) -> Exponents {
        Exponents::with(
            self.exponents.iter().filter_map(|(code, digits)| Some((currencies::by_code(code.as_bytes())?, *digits))),
        )
    }
}

/// The mapping's columns as this file has them.
struct Columns {
    kind: Column,
    pending: Option<Column>,
    /// Amount; or debit and credit; or amount and side.
    amount: (Column, Option<Column>),
    currency: Column,
    event: Vec<Column>,
    group: Vec<Column>,
    merchant: Vec<Column>,
    at: Option<Column>,
    booked: Option<Column>,
    fee: Option<Column>,
    batch: Option<Column>,
    payout: Option<Column>,
    card: Option<Column>,
}

/// A file being read by its mapping.
pub struct Mapped<R> {
    table: Table<R>,
    mapping: Mapping,
    exponents: Exponents,
    east: i64,
    columns: Option<Columns>,
    records: u64,
    in_section: u64,
    ended: bool,
}

impl<R: BufRead> Mapped<R> {
    /// Reads the header, where the file begins with one.
    pub fn open(file: &str, from: R, mapping: &Mapping) -> Result<Self, FormatError> {
        let delimiter = u8::try_from(mapping.delimiter).unwrap_or(b',');
        let table = match &mapping.sections {
            Some(_) => Table::sectioned(file, from, delimiter, true),
            None => Table::open(file, from, delimiter)?,
        };
        let mut mapped = Self {
            exponents: mapping.exponents(),
            east: clock::offset(&mapping.zone).unwrap_or(0),
            columns: None,
            records: 0,
            in_section: 0,
            ended: false,
            mapping: mapping.clone(),
            table,
        };
        if mapped.mapping.sections.is_none() {
            mapped.find_columns()?;
        }
        Ok(mapped)
    }

    fn find_columns(&mut self) -> Result<(), FormatError> {
        let (table, mapping) = (&self.table, &self.mapping);
        let all = |names: &[String]| names.iter().map(|name| table.column(name)).collect::<Result<Vec<_>, _>>();
        let maybe = |name: &Option<String>| name.as_ref().map(|name| table.column(name)).transpose();
        let amount = match &mapping.amount {
            Amount::Signed { column } => (table.column(column)?, None),
            Amount::DebitCredit { debit, credit } => (table.column(debit)?, Some(table.column(credit)?)),
            Amount::MinorWithSide { column, side, .. } => (table.column(column)?, Some(table.column(side)?)),
        };
        self.columns = Some(Columns {
            kind: table.column(&mapping.kind)?,
            pending: mapping.pending.as_ref().map(|pending| table.column(&pending.column)).transpose()?,
            amount,
            currency: table.column(&mapping.currency)?,
            event: all(&mapping.event_ref)?,
            group: all(&mapping.group_ref)?,
            merchant: all(&mapping.merchant_ref)?,
            at: maybe(&mapping.at)?,
            booked: maybe(&mapping.booked_at)?,
            fee: maybe(&mapping.fee)?,
            batch: maybe(&mapping.batch)?,
            payout: maybe(&mapping.payout)?,
            card: maybe(&mapping.card)?,
        });
        Ok(())
    }

    /// Steps to the next line of money; `false` at the end of a whole file.
    fn step(&mut self) -> Result<bool, FormatError> {
        while self.table.next()? {
            let Some(sections) = self.mapping.sections.clone() else { return Ok(true) };
            let word = self.table.field(0);
            let is = |known: &str| word == known;
            self.ended = sections.last.as_deref().is_some_and(is);
            if is(&sections.body) {
                self.in_section += 1;
                return Ok(true);
            } else if is(&sections.header) {
                self.table.take_header(1)?;
                self.find_columns()?;
                self.in_section = 0;
            } else if sections.count.as_deref().is_some_and(is) {
                let says = self.table.field(1);
                if clock::number(says.as_bytes()).and_then(|n| u64::try_from(n).ok()) != Some(self.in_section) {
                    let (says, has) = (excerpt(says.as_bytes()), self.in_section.to_string());
                    return Err(self.table.fault(Fault::Trailer { what: "lines of the section", says, has }));
                }
            } else if !self.ended && !sections.others.iter().any(|other| is(other)) {
                let found = excerpt(word.as_bytes());
                return Err(self.table.fault(Fault::UnknownType { column: "first field".to_owned(), found }));
            }
        }
        let whole = self.ended || self.mapping.sections.as_ref().is_none_or(|sections| sections.last.is_none());
        if whole { Ok(false) } else { Err(self.table.fault(Fault::NoTrailer)) }
    }

    /// Reads the present line; `false` where it is no money.
    fn take(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        let Some(columns) = &self.columns else {
            return Err(self.table.fault(Fault::NoColumn { column: self.mapping.kind.clone() }));
        };
        let currency = self.table.currency(&columns.currency)?;
        let table = &self.table;
        let word = table.text(&columns.kind);
        let Some(kind) = kind_of(&self.mapping.kinds, word) else { return Err(table.unknown_type(&columns.kind)) };
        let Some(kind) = kind else { return Ok(false) };
        table.begin(into);
        (into.side, into.kind, into.currency) = (Side::Network, kind, currency);
        into.amount_minor = amount(table, &self.mapping.amount, &columns.amount, currency, &self.exponents)?;
        for (from, to) in [
            (&columns.event, &mut into.event_ref),
            (&columns.group, &mut into.group_ref),
            (&columns.merchant, &mut into.merchant_ref),
        ] {
            if let Some(column) = from.iter().find(|column| !table.bytes(column).is_empty()) {
                table.append(column, to);
            }
        }
        if let Some(column) = &columns.pending {
            let word = table.text(column);
            let waits = self.mapping.pending.as_ref().is_some_and(|pending| pending.words.iter().any(|w| w == word));
            into.status = if waits { Status::Pending } else { Status::Final };
        }
        let time = |column: &Option<Column>| column.as_ref().map_or(Ok(None), |column| table.time(column, self.east));
        (into.at, into.booked_at) = (time(&columns.at)?, time(&columns.booked)?);
        into.fee = columns.fee.as_ref().map(|fee| table.decimal(fee)).transpose()?;
        for (from, to) in [(&columns.batch, &mut into.batch), (&columns.payout, &mut into.payout)] {
            if let Some(column) = from {
                table.append(column, to);
            }
        }
        if let Some(card) = &columns.card {
            into.card = pan::mask(table.text(card));
        }
        Ok(true)
    }
}

/// What a word stands for: itself before the longest beginning. The outer `None` is a word that nobody knows.
fn kind_of(kinds: &BTreeMap<String, Option<Kind>>, word: &str) -> Option<Option<Kind>> {
    let beginning = |known: &&String| known.strip_suffix('*').is_some_and(|start| word.starts_with(start));
    let longest = || kinds.keys().filter(beginning).max_by_key(|known| known.len());
    kinds.get(word).or_else(|| kinds.get(longest()?)).copied()
}

fn amount<R: BufRead>(
    table: &Table<R>,
    written: &Amount,
    columns: &(Column, Option<Column>),
    currency: Currency,
    exponents: &Exponents,
) -> Result<i64, FormatError> {
    let wrong = |column: &Column, why| table.no_amount(column, &currency.to_string(), why);
    match (written, &columns.1) {
        (Amount::DebitCredit { .. }, Some(credit)) => {
            let (from, to) = (table.minor(&columns.0, currency, exponents)?, table.minor(credit, currency, exponents)?);
            to.checked_sub(from).ok_or_else(|| wrong(credit, NotAnAmount::TooLarge))
        }
        (Amount::MinorWithSide { credit, debit, .. }, Some(side)) => {
            let digits = table.bytes(&columns.0);
            let units = clock::number(digits).filter(|_| !digits.is_empty());
            let units = units.ok_or_else(|| wrong(&columns.0, NotAnAmount::NotDecimal))?;
            let minor = exponents.minor_of_units(currency, units).map_err(|why| wrong(&columns.0, why))?;
            match table.text(side) {
                word if word == credit => Ok(minor),
                word if word == debit => Ok(-minor),
                _ => Err(table.unknown_type(side)),
            }
        }
        (Amount::Signed { .. } | Amount::DebitCredit { .. } | Amount::MinorWithSide { .. }, _) => {
            table.minor(&columns.0, currency, exponents)
        }
    }
}

impl<R: BufRead> Rows for Mapped<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        while self.step()? {
            if self.take(into)? {
                self.records += 1;
                return Ok(true);
            }
        }
        self.table.end(self.records)
    }

    fn findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}

/// Plain files only: of a file in sections, the names of the columns would have to be read first.
impl<R: BufRead + Seek> Fetch for Mapped<R> {
    fn read_at(&mut self, place: Position, into: &mut Record) -> Result<bool, FormatError> {
        while self.columns.is_none() && self.step()? {}
        self.table.seek(place)?;
        if !self.table.next()? {
            return Ok(false);
        }
        self.take(into)
    }
}
