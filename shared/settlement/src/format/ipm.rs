//! Mastercard IPM clearing files (T112): records with a length before each, in blocks of 1014 bytes or not, ASCII or EBCDIC.
//!
//! Source: the open layout of `cardutil` (MIT) for elements and containers. Card numbers are masked before anything else sees them.

mod message;

use std::io::Read;

use self::message::Message;
pub(super) use self::message::from_ebcdic;
use super::Rows;
use super::fault::{Fault, FormatError, excerpt};
use crate::currencies::{self, Exponents};
use crate::decimal::NotAnAmount;
use crate::pan;
use crate::record::{Kind, Position, Record, Side};

/// How records are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Length and record, one after the other.
    Vbs,
    /// The same in blocks of 1012 bytes, each followed by two blanks (`0x40`).
    Blocked1014,
}

/// Longer than any message: a length beyond it is no length.
const RECORD_MAX: usize = 16 * 1024;

/// A clearing file being read.
pub struct Clearing<R> {
    file: String,
    from: R,
    container: Container,
    /// Bytes of records that were read, and of blocks around them.
    byte: u64,
    raw: u64,
    left_in_block: usize,
    record: Vec<u8>,
    messages: u64,
    records: u64,
    amounts: i128,
    ended: bool,
}

impl<R: Read> Clearing<R> {
    /// A file in the container given. `file` is the name that errors carry.
    pub fn open(file: &str, from: R, container: Container) -> Self {
        Self {
            file: file.to_owned(),
            from,
            container,
            byte: 0,
            raw: 0,
            left_in_block: 1012,
            record: Vec::new(),
            messages: 0,
            records: 0,
            amounts: 0,
            ended: false,
        }
    }

    fn fault(&self, byte: u64, fault: Fault) -> FormatError {
        FormatError::at(&self.file, Position { source: 0, byte, line: self.messages }, fault)
    }

    /// Fills `into`; `false` at a clean end before the first byte of it.
    fn take(&mut self, into: &mut [u8]) -> Result<bool, FormatError> {
        let mut done = 0;
        while done < into.len() {
            if self.container == Container::Blocked1014 && self.left_in_block == 0 {
                let mut blanks = [0; 2];
                if !self.take_raw(&mut blanks)? {
                    return Err(self.fault(self.raw, Fault::Truncated { inside: "a block" }));
                }
                if let Some(found) = blanks.into_iter().find(|byte| *byte != 0x40) {
                    let field = "the end of a block of 1014".to_owned();
                    let expected = "blank 0x40 (is the file blocked at all?)";
                    return Err(self.fault(self.raw - 2, Fault::BadByte { field, found, expected, encoding: "EBCDIC" }));
                }
                self.left_in_block = 1012;
            }
            let step = match self.container {
                Container::Vbs => into.len() - done,
                Container::Blocked1014 => (into.len() - done).min(self.left_in_block),
            };
            if !self.take_raw(&mut into[done..done + step])? {
                if done == 0 {
                    return Ok(false);
                }
                return Err(self.fault(self.raw, Fault::Truncated { inside: "a record" }));
            }
            self.left_in_block = self.left_in_block.saturating_sub(step);
            done += step;
        }
        Ok(true)
    }

    fn take_raw(&mut self, into: &mut [u8]) -> Result<bool, FormatError> {
        let mut done = 0;
        while done < into.len() {
            match self.from.read(&mut into[done..]) {
                Ok(0) if done == 0 => return Ok(false),
                Ok(0) => return Err(self.fault(self.raw, Fault::Truncated { inside: "a record" })),
                Ok(read) => {
                    done += read;
                    self.raw += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(self.raw, Fault::Io(error))),
            }
        }
        Ok(true)
    }

    /// The next record's bytes into `self.record`; `false` at the end mark.
    fn next_record(&mut self) -> Result<bool, FormatError> {
        self.byte = self.raw;
        let mut length = [0; 4];
        if !self.take(&mut length)? {
            return Err(self.fault(self.raw, Fault::Truncated { inside: "the file, before its end mark" }));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            return Ok(false);
        }
        self.messages += 1;
        if !(20..=RECORD_MAX).contains(&length) {
            return Err(
                self.fault(self.byte, Fault::RecordLength { found: length as u64, expected: RECORD_MAX as u64 })
            );
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(length, 0);
        let whole = self.take(&mut record)?;
        self.record = record;
        if whole { Ok(true) } else { Err(self.fault(self.raw, Fault::Truncated { inside: "a record" })) }
    }

    /// Reads the present record as a message; `false` where it moves no money.
    fn understand(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        let message = Message::parse(&self.record).map_err(|(at, fault)| self.fault(self.byte + at as u64, fault))?;
        let fault = |fault| self.fault(self.byte, fault);
        let text = |element: u8| message.text(element).map_err(fault);
        let (kind_of_message, function) = (message.kind.as_str(), text(24)?);
        let amount = message.number(4).map_err(fault)?;
        if self.messages == 1 && (kind_of_message, function.as_str()) != ("1644", "697") {
            let found = format!("{kind_of_message}/{function}");
            return Err(fault(Fault::NotThis {
                expected: "clearing file that begins with its header (1644/697)",
                found,
            }));
        }
        let reversal = message.detail("0025").map_err(fault)?.is_some_and(|value| value.starts_with('R'));
        let processing = text(3)?;
        let back = processing.starts_with('2');
        let kind = match (kind_of_message, function.as_str()) {
            ("1644", "697" | "685" | "688" | "680" | "696" | "693") => return Ok(false),
            ("1644", "695") => return self.check_trailer(&message).map(|()| false),
            ("1240", "200") if reversal && back => Kind::RefundReversal,
            ("1240", "200") if reversal => Kind::CaptureReversal,
            ("1240", "200") if back => Kind::Refund,
            ("1240", "200") => Kind::Capture,
            ("1240", "205" | "282") if reversal => Kind::Chargeback,
            ("1240", "205" | "282") => Kind::ChargebackReversal,
            ("1442", "450" | "451" | "453" | "454") if reversal => Kind::ChargebackReversal,
            ("1442", "450" | "451" | "453" | "454") => Kind::Chargeback,
            ("1740", "700" | "780" | "781" | "782" | "783" | "790") => Kind::Fee,
            (kind, function) => {
                let found = format!("{kind}/{function}");
                return Err(fault(Fault::UnknownType { column: "message type and DE24".to_owned(), found }));
            }
        };
        into.clear();
        into.side = Side::Network;
        into.kind = kind;
        into.position = Position { source: into.position.source, byte: self.byte, line: self.messages };
        let number = text(49)?;
        let Some(currency) = currencies::by_number(&number) else {
            return Err(fault(Fault::UnknownCurrency { found: excerpt(number.as_bytes()) }));
        };
        let exponents = message.exponents().map_err(fault)?;
        let Some(units) = amount else { return Err(fault(Fault::NoElement { element: "DE4", inside: "the message" })) };
        let minor = exponents.minor_of_units(currency, units).map_err(|why| fault(no_amount(units, currency, why)))?;
        into.currency = currency;
        into.amount_minor = match kind {
            Kind::Capture | Kind::RefundReversal | Kind::ChargebackReversal => minor,
            Kind::Refund | Kind::CaptureReversal | Kind::Chargeback | Kind::Fee | Kind::Adjustment | Kind::Payout => {
                -minor
            }
        };
        into.event_ref.push_str(text(31)?.trim());
        into.group_ref.push_str(text(63)?.trim());
        into.merchant_ref.push_str(text(37)?.trim());
        into.approval.push_str(text(38)?.trim());
        into.card = pan::mask(&text(2)?);
        let local = text(12)?;
        if !local.is_empty() {
            into.at = Some(message::local_time(&local).ok_or_else(|| {
                let expected = "YYMMDDhhmmss";
                fault(Fault::Time { column: "DE12".to_owned(), found: excerpt(local.as_bytes()), expected })
            })?);
        }
        self.amounts += i128::from(units);
        self.records += 1;
        Ok(true)
    }

    fn check_trailer(&self, message: &Message<'_>) -> Result<(), FormatError> {
        for (tag, what, has) in
            [("0306", "messages", i128::from(self.messages)), ("0301", "the sum of amounts", self.amounts)]
        {
            let says = message.detail(tag).map_err(|fault| self.fault(self.byte, fault))?;
            if let Some(says) = says.filter(|says| says.parse::<i128>().ok() != Some(has)) {
                return Err(self.fault(self.byte, Fault::Trailer { what, says, has: has.to_string() }));
            }
        }
        Ok(())
    }
}

fn no_amount(units: i64, currency: holdfast_domain::money::Currency, why: NotAnAmount) -> Fault {
    Fault::Amount { column: "DE4".to_owned(), found: units.to_string(), currency: currency.to_string(), why }
}

impl<R: Read> Rows for Clearing<R> {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        while self.next_record()? {
            if self.ended {
                let found = "a message after the trailer".to_owned();
                return Err(self.fault(self.byte, Fault::NotThis { expected: "end of the file", found }));
            }
            let money = self.understand(into)?;
            self.ended = Message::is_trailer(&self.record);
            if money {
                return Ok(true);
            }
        }
        match (self.ended, self.records) {
            (false, _) => Err(self.fault(self.byte, Fault::NoTrailer)),
            (true, 0) => Err(self.fault(self.byte, Fault::Empty)),
            (true, _) => Ok(false),
        }
    }
}

/// Kept here so that the table of differing exponents has one home.
fn exponents_of(details: &str) -> Exponents {
    let groups = details.as_bytes().chunks_exact(4).filter_map(|group| {
        let number = std::str::from_utf8(group.get(..3)?).ok()?;
        Some((currencies::by_number(number)?, group.get(3)?.checked_sub(b'0').filter(|digits| *digits <= 4)?))
    });
    Exponents::with(groups)
}
