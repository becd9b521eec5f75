//! What can be wrong with a file, one variant per cause, each with its place.

use jiff::civil::Date;

use crate::decimal::NotAnAmount;
use crate::record::Position;

/// A file that cannot be used: what is wrong, and where.
///
/// Nothing that was read from the file before the error may be used; put the file aside.
#[derive(Debug, thiserror::Error)]
#[error("{file}, line or record {line}, byte {byte}: {fault}")]
pub struct FormatError {
    /// The file.
    pub file: String,
    /// The line of a text, or the number of a binary record, from one.
    pub line: u64,
    /// Bytes before the record.
    pub byte: u64,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

impl FormatError {
    /// A fault and its place.
    #[must_use]
    pub fn at(file: &str, place: Position, fault: Fault) -> Self {
        Self { file: file.to_owned(), line: place.line, byte: place.byte, fault }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes could not be read.
    #[error("it could not be read; try again")]
    Io(#[source] std::io::Error),
    /// The bytes are no text.
    #[error("column `{column}` is not UTF-8; ask for the file in UTF-8")]
    NotUtf8 {
        /// The column.
        column: String,
    },
    /// A row has other fields than the header.
    #[error("the row has {found} fields and the header {expected}: the file is cut short or damaged; fetch it again")]
    FieldCount {
        /// Fields of the row.
        found: u64,
        /// Fields of the header.
        expected: u64,
    },
    /// The header does not have a column.
    #[error("there is no column `{column}`; add it to the report")]
    NoColumn {
        /// The column.
        column: String,
    },
    /// The header has a column twice.
    #[error("column `{column}` is there twice, and nobody can tell which one counts")]
    ColumnTwice {
        /// The column.
        column: String,
    },
    /// A type that the reader does not know.
    #[error("unknown type `{found}` in `{column}`; it may be money: teach the reader what it is")]
    UnknownType {
        /// Where the type stands.
        column: String,
        /// The type.
        found: String,
    },
    /// No currency of ISO 4217.
    #[error("unknown currency `{found}`; ISO 4217 has none of that name")]
    UnknownCurrency {
        /// What was there.
        found: String,
    },
    /// No amount, or one that the currency cannot have.
    #[error("`{found}` in `{column}` is no amount in {currency}: {why}")]
    Amount {
        /// The column or field.
        column: String,
        /// What was there.
        found: String,
        /// The currency.
        currency: String,
        /// Why not.
        why: NotAnAmount,
    },
    /// No time, or one in a zone that the reader does not know.
    #[error("`{found}` in `{column}` is no time that can be read; expected {expected}")]
    Time {
        /// The column or field.
        column: String,
        /// What was there.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// A record has another length than it must have.
    #[error("the record has {found} bytes and must have {expected}")]
    RecordLength {
        /// Bytes found.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// The file ends inside a record.
    #[error("the file ends inside {inside}: it is cut short; fetch it again")]
    Truncated {
        /// What was being read.
        inside: &'static str,
    },
    /// A byte that is no character of the encoding where one must be.
    #[error("byte 0x{found:02x} in {field} is no {expected} in {encoding}")]
    BadByte {
        /// The field.
        field: String,
        /// The byte.
        found: u8,
        /// What must be there.
        expected: &'static str,
        /// `ASCII` or `EBCDIC`.
        encoding: &'static str,
    },
    /// A data element whose layout is not known.
    #[error("data element {element} is set and its layout is not known, so nothing after it can be read")]
    UnknownElement {
        /// Its number.
        element: u8,
    },
    /// The XML is not well-formed.
    #[error("the XML cannot be read")]
    Xml(#[source] quick_xml::Error),
    /// An element that must be there is not.
    #[error("`{element}` is missing in {inside}")]
    NoElement {
        /// The element.
        element: &'static str,
        /// Where it should be.
        inside: &'static str,
    },
    /// Not a document of the expected type.
    #[error("this is no {expected}; found `{found}`")]
    NotThis {
        /// What was expected.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// A record of a day that was not asked for.
    #[error("the record is of {found}, and the run is about {first} to {last}: it is the file of another day")]
    OtherDay {
        /// The record's day.
        found: Date,
        /// The first day asked for.
        first: Date,
        /// The last day asked for.
        last: Date,
    },
    /// A trailer that counts otherwise.
    #[error(
        "the trailer says {says} for {what}, and the file has {has}: part of it is missing or doubled; fetch it again"
    )]
    Trailer {
        /// What is counted.
        what: &'static str,
        /// The trailer's value.
        says: String,
        /// The file's value.
        has: String,
    },
    /// The file has no end record.
    #[error("the file has no trailer: it is cut short; fetch it again")]
    NoTrailer,
    /// Nothing was found in the file.
    #[error("the file has no records: 0 records is a failure and not an answer")]
    Empty,
    /// A mapping that cannot be used.
    #[error("the mapping `{name}` cannot be used: {why}")]
    Mapping {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
}

/// At most 40 characters of foreign text without control characters, so that an error stays one line.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
