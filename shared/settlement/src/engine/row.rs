//! A record as 32 bytes: what it is, whose it is, and where it stands.

use holdfast_domain::money::Currency;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::record::{Kind, Position, Record, Status};

/// Bytes of a row.
pub(crate) const ROW_BYTES: usize = 32;

/// A fingerprint with its place.
///
/// `event` and `facts` together are 128 bits of the event reference, mixed with kind, status, amount and currency: rows of one
/// reference stand together when sorted, and two references are never taken for one. A record without a reference has zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Upper half of the reference's hash.
    pub event: u64,
    /// Lower half, mixed with the facts.
    pub facts: u64,
    /// 32 bits of our own key's hash; zero where there is none. A collision costs a look, and never a match.
    pub key: u32,
    /// The line, as far as it fits.
    pub line: u32,
    /// Source in the upper 16 bits, byte in the lower 48.
    place: u64,
}

const BYTE_BITS: u32 = 48;

impl Row {
    /// Whether the record has no reference of the network: it can only be matched slowly.
    #[inline]
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.event == 0 && self.facts == 0
    }

    /// Which source it is of.
    #[inline]
    #[must_use]
    pub fn source(&self) -> u16 {
        (self.place >> BYTE_BITS) as u16
    }

    /// Where its record stands.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { source: self.source(), byte: self.place & ((1 << BYTE_BITS) - 1), line: self.line.into() }
    }

    /// The order of runs, as one number: comparing two of them takes no branch.
    #[inline]
    #[must_use]
    pub fn print(&self) -> u128 {
        u128::from(self.event) << 64 | u128::from(self.facts)
    }

    /// As bytes of a run's file.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        bytes[..8].copy_from_slice(&self.event.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.facts.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.key.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.line.to_le_bytes());
        bytes[24..].copy_from_slice(&self.place.to_le_bytes());
        bytes
    }

    /// From bytes of a run's file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ROW_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self { event: long(0), facts: long(8), key: short(16), line: short(20), place: long(24) }
    }
}

/// Makes rows of records. It remembers the currencies' codes, so that no row formats one.
#[derive(Default)]
pub struct Fingerprinter {
    codes: Vec<(Currency, [u8; 3])>,
}

impl Fingerprinter {
    /// The row of a record.
    #[inline]
    pub fn row(&mut self, record: &Record) -> Row {
        let (event, facts) = match record.event_ref.as_bytes() {
            [] => (0, 0),
            reference => {
                let hash = xxh3_128(reference);
                ((hash >> 64) as u64, (hash as u64) ^ self.facts(record))
            }
        };
        let place = u64::from(record.position.source) << BYTE_BITS | (record.position.byte & ((1 << BYTE_BITS) - 1));
        let line = u32::try_from(record.position.line).unwrap_or(u32::MAX);
        Row { event, facts, key: key_hash(&record.merchant_ref), line, place }
    }

    fn facts(&mut self, record: &Record) -> u64 {
        let mut bytes = [0; 13];
        bytes[0] = kind_byte(record.kind);
        bytes[1] = match record.status {
            Status::Final => 0,
            Status::Pending => 1,
            Status::InDoubt => 2,
        };
        bytes[2..5].copy_from_slice(&self.code(record.currency));
        bytes[5..].copy_from_slice(&record.amount_minor.to_le_bytes());
        xxh3_64(&bytes)
    }

    fn code(&mut self, currency: Currency) -> [u8; 3] {
        if let Some((_, code)) = self.codes.iter().find(|(known, _)| *known == currency) {
            return *code;
        }
        let text = currency.to_string();
        let mut code = [0; 3];
        code.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.codes.push((currency, code));
        code
    }
}

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Capture => 0,
        Kind::Refund => 1,
        Kind::Chargeback => 2,
        Kind::ChargebackReversal => 3,
        Kind::RefundReversal => 4,
        Kind::CaptureReversal => 5,
        Kind::Fee => 6,
        Kind::Adjustment => 7,
        Kind::Payout => 8,
    }
}

/// 32 bits of a key's hash; zero is kept for "no key".
#[inline]
#[must_use]
pub(crate) fn key_hash(key: &str) -> u32 {
    if key.is_empty() { 0 } else { (xxh3_64(key.as_bytes()) >> 32) as u32 | 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Side;

    fn record(event: &str, amount: i64, currency: &str) -> Record {
        let mut record = Record::blank(Side::Ledger);
        record.event_ref = event.into();
        record.amount_minor = amount;
        record.currency = Currency::parse(currency).unwrap();
        record
    }

    #[test]
    fn one_reference_stands_together_and_every_fact_counts() {
        let mut prints = Fingerprinter::default();
        let base = prints.row(&record("e", 100, "EUR"));
        assert_eq!(base, prints.row(&record("e", 100, "EUR")));
        let mut refund = record("e", 100, "EUR");
        refund.kind = Kind::Refund;
        let mut pending = record("e", 100, "EUR");
        pending.status = Status::Pending;
        for other in [record("e", 101, "EUR"), record("e", -100, "EUR"), record("e", 100, "GBP"), refund, pending] {
            let row = prints.row(&other);
            assert_eq!(row.event, base.event);
            assert_ne!(row.facts, base.facts, "{other:?}");
        }
        assert_ne!(prints.row(&record("f", 100, "EUR")).event, base.event);
        assert!(prints.row(&record("", 100, "EUR")).is_nameless());
    }

    #[test]
    fn a_row_survives_its_file_and_keeps_its_place() {
        let mut of = record("e", 1, "EUR");
        of.merchant_ref = "key".into();
        of.position = Position { source: 65_534, byte: (1 << 48) - 1, line: 4_000_000_000 };
        let row = Fingerprinter::default().row(&of);
        assert_eq!(Row::from_bytes(&row.to_bytes()), row);
        assert_eq!(row.position(), of.position);
    }
}
