//! CSV with a header: columns by name, values by row, and the place of everything.

use std::cell::Cell;
use std::io::{BufRead, Seek};

use holdfast_domain::Timestamp;
use holdfast_domain::money::Currency;

use super::clock;
use super::fault::{Fault, FormatError, excerpt};
use super::rows::{RowError, Rows};
use crate::currencies::{self, Exponents};
use crate::decimal::Decimal;
use crate::record::{Position, Record};

/// A column of the file: its name and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    at: usize,
}

/// A CSV file between its header and its end.
pub(super) struct Table<R> {
    pub(super) file: String,
    row: Rows<R>,
    header: Vec<String>,
    pub(super) rows: u64,
    /// The currencies that the file has, by the code as it writes them.
    seen: Vec<([u8; 3], Currency)>,
    /// The day that the last time was of.
    day: Cell<clock::Day>,
}

impl<R: BufRead> Table<R> {
    /// A file whose first row is its header.
    pub(super) fn open(file: &str, from: R, delimiter: u8) -> Result<Self, FormatError> {
        let mut table = Self::sectioned(file, from, delimiter, false);
        if !table.next()? {
            return Err(table.fault(Fault::Empty));
        }
        table.take_header(0)?;
        table.rows = 0;
        Ok(table)
    }

    /// A file whose rows may have any number of fields, and whose header comes later.
    pub(super) fn sectioned(file: &str, from: R, delimiter: u8, flexible: bool) -> Self {
        let row = Rows::new(from, delimiter, flexible);
        Self { file: file.to_owned(), row, header: Vec::new(), rows: 0, seen: Vec::new(), day: Cell::default() }
    }

    /// Takes the present row as the header, without its first `skipped` fields; their places are kept.
    pub(super) fn take_header(&mut self, skipped: usize) -> Result<(), FormatError> {
        let mut header = Vec::new();
        for (place, name) in self.row.fields().enumerate() {
            let name = if place == 0 { name.strip_prefix('\u{feff}').unwrap_or(name) } else { name };
            let name = if place < skipped { "" } else { name };
            header.push(name.trim().to_owned());
        }
        self.header = header;
        Ok(())
    }

    /// Steps to the next row; `false` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<bool, FormatError> {
        match self.row.step() {
            Ok(more) => {
                self.rows += u64::from(more);
                Ok(more)
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    #[cold]
    fn broken(&self, error: RowError) -> FormatError {
        self.fault(match error {
            RowError::FieldCount { found, expected } => Fault::FieldCount { found, expected },
            RowError::NotUtf8(at) => {
                Fault::NotUtf8 { column: self.header.get(at).cloned().unwrap_or_else(|| at.to_string()) }
            }
            RowError::Io(error) => Fault::Io(error),
            RowError::TooLong => Fault::Io(std::io::Error::other("a row has more than four gigabytes")),
        })
    }

    /// Where the present row stands.
    #[inline]
    pub(super) fn place(&self) -> Position {
        self.row.place()
    }

    /// A fault of the present row.
    pub(super) fn fault(&self, fault: Fault) -> FormatError {
        FormatError::at(&self.file, self.place(), fault)
    }

    /// The one column of that name.
    pub(super) fn column(&self, name: &str) -> Result<Column, FormatError> {
        self.optional(name)?.ok_or_else(|| self.fault(Fault::NoColumn { column: name.to_owned() }))
    }

    /// The one column of that name, where the report has it.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Column>, FormatError> {
        let mut found = self.header.iter().enumerate().filter(|(_, column)| *column == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(self.fault(Fault::ColumnTwice { column: name.to_owned() })),
            (Some((at, _)), None) => Ok(Some(Column { name: name.to_owned(), at })),
            (None, _) => Ok(None),
        }
    }

    /// A value, without blanks around it.
    #[inline]
    pub(super) fn text(&self, column: &Column) -> &str {
        self.field(column.at)
    }

    /// A value's bytes.
    #[inline]
    pub(super) fn bytes(&self, column: &Column) -> &[u8] {
        self.row.bytes(column.at).unwrap_or_default().trim_ascii()
    }

    /// The field at a place, whatever the header says.
    #[inline]
    pub(super) fn field(&self, at: usize) -> &str {
        self.row.field(at).unwrap_or_default().trim_ascii()
    }

    /// Appends a value to a text.
    #[inline]
    pub(super) fn append(&self, column: &Column, to: &mut String) {
        to.push_str(self.text(column));
    }

    /// A currency by its code.
    #[inline]
    pub(super) fn currency(&mut self, column: &Column) -> Result<Currency, FormatError> {
        let code = self.bytes(column);
        let unknown = || self.fault(Fault::UnknownCurrency { found: excerpt(code) });
        let code: [u8; 3] = code.try_into().map_err(|_| unknown())?;
        if let Some((_, currency)) = self.seen.iter().find(|(seen, _)| *seen == code) {
            return Ok(*currency);
        }
        let currency = currencies::by_code(&code).ok_or_else(unknown)?;
        self.seen.push((code, currency));
        Ok(currency)
    }

    /// An amount in minor units; an empty value is nothing.
    #[inline]
    pub(super) fn minor(&self, column: &Column, currency: Currency, exponents: &Exponents) -> Result<i64, FormatError> {
        let value = self.bytes(column);
        if value.is_empty() {
            return Ok(0);
        }
        exponents.minor_of_text(currency, value).map_err(|why| self.no_amount(column, &currency.to_string(), why))
    }

    /// An exact decimal; an empty value is nothing.
    #[inline]
    pub(super) fn decimal(&self, column: &Column) -> Result<Decimal, FormatError> {
        let value = self.bytes(column);
        if value.is_empty() {
            return Ok(Decimal::ZERO);
        }
        Decimal::parse(value).map_err(|why| self.no_amount(column, "any currency", why))
    }

    pub(super) fn no_amount(&self, column: &Column, currency: &str, why: crate::decimal::NotAnAmount) -> FormatError {
        self.fault(Fault::Amount {
            column: column.name.clone(),
            found: excerpt(self.bytes(column)),
            currency: currency.to_owned(),
            why,
        })
    }

    /// A time; an empty value is none.
    #[inline]
    pub(super) fn time(&self, column: &Column, east: i64) -> Result<Option<Timestamp>, FormatError> {
        let value = self.row.bytes(column.at).unwrap_or_default().trim_ascii();
        if value.is_empty() {
            return Ok(None);
        }
        let mut day = self.day.get();
        let at = clock::instant_of(value, east, &mut day);
        self.day.set(day);
        at.map(Some).ok_or_else(|| {
            self.fault(Fault::Time {
                column: column.name.clone(),
                found: excerpt(self.bytes(column)),
                expected: "YYYY-MM-DD HH:MM:SS with or without an offset",
            })
        })
    }

    /// Clears the record and puts the present row's place into it.
    #[inline]
    pub(super) fn begin(&self, into: &mut Record) {
        let source = into.position.source;
        into.clear();
        into.position = Position { source, ..self.place() };
    }

    /// Of a file without records, the error that it is.
    pub(super) fn end(&self, records: u64) -> Result<bool, FormatError> {
        if records == 0 { Err(self.fault(Fault::Empty)) } else { Ok(false) }
    }

    /// A type that nobody knows.
    pub(super) fn unknown_type(&self, column: &Column) -> FormatError {
        self.fault(Fault::UnknownType { column: column.name.clone(), found: excerpt(self.bytes(column)) })
    }
}

impl<R: BufRead + Seek> Table<R> {
    /// Goes on with the row that begins at `place`.
    pub(super) fn seek(&mut self, place: Position) -> Result<(), FormatError> {
        self.row.seek(place).map_err(|error| self.broken(RowError::Io(error)))
    }
}
