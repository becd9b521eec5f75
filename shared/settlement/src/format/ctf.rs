//! Visa BASE II clearing files (CTF): records of 168 bytes, several of which make one transaction. ASCII or EBCDIC, with or
//! without line ends.
//!
//! Source: field positions as two independent open parsers have them. Only what is needed to match is read, and card numbers are
//! masked before anything else sees them. Trailers are required; their counts are not documented openly and are not checked.

use std::io::BufRead;

use holdfast_domain::Timestamp;

use super::fault::{Fault, FormatError, excerpt};
use super::ipm::from_ebcdic;
use super::{Rows, clock};
use crate::currencies::{self, Exponents};
use crate::pan;
use crate::record::{Kind, Position, Record, Side};

/// Bytes of one record, without its line end.
const RECORD: usize = 168;

/// A clearing file being read.
pub struct BaseTwo<R> {
    file: String,
    from: R,
    byte: u64,
    lines: u64,
    ebcdic: Option<bool>,
    /// Year and day of the year that the header names.
    day: Option<(i64, i64)>,
    pending: Option<Record>,
    records: u64,
    ended: bool,
}

impl<R: BufRead> BaseTwo<R> {
    /// `file` is the name that errors carry.
    pub fn open(file: &str, from: R) -> Self {
        Self {
            file: file.to_owned(),
            from,
            byte: 0,
            lines: 0,
            ebcdic: None,
            day: None,
            pending: None,
            records: 0,
            ended: false,
        }
    }

    fn fault(&self, fault: Fault) -> FormatError {
        FormatError::at(&self.file, self.place(), fault)
    }

    fn place(&self) -> Position {
        Position { source: 0, byte: self.byte, line: self.lines }
    }

    /// The next record as text; `None` at the end.
    fn next_line(&mut self) -> Result<Option<String>, FormatError> {
        let mut raw = [0_u8; RECORD];
        let mut length = 0;
        let mut skipped = 0;
        while length < RECORD {
            let buffer = match self.from.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) => return Err(self.fault(Fault::Io(error))),
            };
            let Some(byte) = buffer.first().copied() else { break };
            // 0x25 is EBCDIC's line feed. A line end is looked for at the beginning of a record only, and inside it is an error.
            let ends_line = matches!(byte, b'\n' | b'\r') || (byte == 0x25 && self.ebcdic == Some(true));
            if ends_line && length > 0 {
                break;
            }
            self.from.consume(1);
            if ends_line {
                skipped += 1;
            } else {
                raw[length] = byte;
                length += 1;
            }
        }
        self.byte += skipped;
        if length == 0 {
            return Ok(None);
        }
        self.lines += 1;
        if length < RECORD {
            return Err(self.fault(Fault::RecordLength { found: length as u64, expected: RECORD as u64 }));
        }
        let ebcdic = *self.ebcdic.get_or_insert(raw[0] >= 0xf0);
        let mut line = String::with_capacity(RECORD);
        for (place, byte) in raw.iter().enumerate() {
            let character = if ebcdic {
                from_ebcdic(*byte)
            } else {
                Some(char::from(*byte)).filter(|c| c.is_ascii() && !c.is_control())
            };
            let Some(character) = character.filter(char::is_ascii) else {
                let encoding = if ebcdic { "EBCDIC" } else { "ASCII" };
                let field = format!("position {}", place + 1);
                return Err(self.fault(Fault::BadByte { field, found: *byte, expected: "character", encoding }));
            };
            line.push(character);
        }
        Ok(Some(line))
    }

    /// Takes one record; gives the transaction that ends before it.
    fn take(&mut self, line: &str, source: u16) -> Result<Option<Record>, FormatError> {
        let (code, number) = (field(line, 1, 2), field(line, 4, 4));
        if self.lines == 1 && code != "90" {
            return Err(self.fault(Fault::NotThis {
                expected: "BASE II file that begins with its header (90)",
                found: excerpt(code.as_bytes()),
            }));
        }
        if self.ended {
            let found = "a record after the file's trailer".to_owned();
            return Err(self.fault(Fault::NotThis { expected: "end of the file", found }));
        }
        match (code, number) {
            ("90", _) => {
                let (year, day) = (self.number(line, 9, 10)?, self.number(line, 11, 13)?);
                self.day = Some((2000 + year, day));
                Ok(None)
            }
            ("91", _) => Ok(self.pending.take()),
            ("92", _) => {
                self.ended = true;
                Ok(self.pending.take())
            }
            (_, "0") => {
                let record = self.begin(line, source)?;
                Ok(self.pending.replace(record))
            }
            (_, more) => {
                let Some(record) = &mut self.pending else {
                    return Err(self.fault(Fault::NoElement { element: "TCR 0", inside: "the transaction" }));
                };
                match more {
                    "1" => field(line, 133, 157).clone_into(&mut record.merchant_ref),
                    "5" => field(line, 5, 19).clone_into(&mut record.group_ref),
                    _ => {}
                }
                Ok(None)
            }
        }
    }

    fn begin(&self, line: &str, source: u16) -> Result<Record, FormatError> {
        // The sign is what the merchant gains: a chargeback of a credit gives back what the credit took.
        let (kind, sign) = match field(line, 1, 2) {
            "05" | "07" => (Kind::Capture, 1),
            "06" => (Kind::Refund, -1),
            "25" | "27" => (Kind::CaptureReversal, -1),
            "26" => (Kind::RefundReversal, 1),
            "15" | "17" => (Kind::Chargeback, -1),
            "16" => (Kind::RefundReversal, 1),
            "35" | "37" => (Kind::ChargebackReversal, 1),
            "36" => (Kind::Refund, -1),
            other => {
                return Err(
                    self.fault(Fault::UnknownType { column: "TC".to_owned(), found: excerpt(other.as_bytes()) })
                );
            }
        };
        let code = field(line, 89, 91);
        let unknown = || self.fault(Fault::UnknownCurrency { found: excerpt(code.as_bytes()) });
        let currency = currencies::by_number(code).ok_or_else(unknown)?;
        let units = self.number(line, 77, 88)?;
        let mut record = Record::blank(Side::Network);
        record.position = Position { source, ..self.place() };
        (record.kind, record.currency) = (kind, currency);
        record.amount_minor = sign
            * Exponents::iso().minor_of_units(currency, units).map_err(|why| {
                let (column, found) = ("source amount".to_owned(), units.to_string());
                self.fault(Fault::Amount { column, found, currency: currency.to_string(), why })
            })?;
        field(line, 27, 49).clone_into(&mut record.event_ref);
        field(line, 152, 157).clone_into(&mut record.approval);
        record.card = pan::mask(field(line, 5, 20));
        record.at = Some(self.purchased(line)?);
        Ok(record)
    }

    /// The date has no year: it is the last such day that is not after the file's.
    fn purchased(&self, line: &str) -> Result<Timestamp, FormatError> {
        let (month, day) = (self.number(line, 58, 59)?, self.number(line, 60, 61)?);
        let found = || {
            let (column, found) = ("purchase date".to_owned(), excerpt(field(line, 58, 61).as_bytes()));
            self.fault(Fault::Time { column, found, expected: "MMDD, and a year in the header" })
        };
        let (year, day_of_year) = self.day.ok_or_else(found)?;
        let file_day = clock::days(year, 1, 1).map(|first| first + day_of_year - 1).ok_or_else(found)?;
        let this_year = clock::days(year, month, day).filter(|date| *date <= file_day);
        let date = this_year.or_else(|| clock::days(year - 1, month, day)).ok_or_else(found)?;
        Timestamp::from_second(date * 86_400).map_err(|_| found())
    }

    fn number(&self, line: &str, from: usize, to: usize) -> Result<i64, FormatError> {
        let digits = field(line, from, to);
        clock::number(digits.as_bytes()).filter(|_| digits.len() == to - from + 1).ok_or_else(|| {
            let bad = digits.bytes().find(|byte| !byte.is_ascii_digit()).unwrap_or(b' ');
            let encoding = if self.ebcdic == Some(true) { "EBCDIC" } else { "ASCII" };
            self.fault(Fault::BadByte {
                field: format!("positions {from} to {to}"),
                found: bad,
                expected: "digit",
                encoding,
            })
        })
    }
}

/// Positions from one, both included, without blanks around.
fn field(line: &str, from: usize, to: usize) -> &str {
    line.get(from - 1..to).unwrap_or_default().trim()
}

impl<R: BufRead> Rows for BaseTwo<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        while let Some(line) = self.next_line()? {
            let done = self.take(&line, into.position.source)?;
            self.byte += RECORD as u64;
            if let Some(record) = done {
                *into = record;
                self.records += 1;
                return Ok(true);
            }
        }
        match (self.ended, self.records) {
            (false, _) => Err(self.fault(Fault::NoTrailer)),
            (true, 0) => Err(self.fault(Fault::Empty)),
            (true, _) => Ok(false),
        }
    }
}
