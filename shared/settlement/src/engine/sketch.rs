//! The sketch: two sums per bucket instead of all rows. Sides that are equal cancel; what does not cancel is read again.
//!
//! Sums commute, so parts of a side may be added up in any order and in any Region, and merged.

use super::row::Row;

/// Sums of rows by bucket, once by the network's reference and once by our own key.
///
/// A row that has no exact partner leaves its bucket of either table other than zero: 2^-64 of them would not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    bits: u32,
    by_event: Vec<u64>,
    by_key: Vec<u64>,
}

/// Buckets by default, as a power of two: 8 MiB for each of the two tables.
pub(crate) const BUCKET_BITS: u32 = 20;

impl Sketch {
    /// An empty sketch of 2^`bits` buckets.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        let bits = bits.clamp(4, 28);
        Self { bits, by_event: vec![0; 1 << bits], by_key: vec![0; 1 << bits] }
    }

    /// Adds a row of the ledger.
    #[inline]
    pub fn add(&mut self, row: &Row) {
        self.put(row, u64::wrapping_add);
    }

    /// Takes away a row of the network.
    #[inline]
    pub fn subtract(&mut self, row: &Row) {
        self.put(row, u64::wrapping_sub);
    }

    #[inline]
    fn put(&mut self, row: &Row, with: impl Fn(u64, u64) -> u64) {
        let value = row.facts.wrapping_add(row.event.rotate_left(17));
        if row.is_nameless() {
            // It has no exact partner by definition, so it must not cancel against anything.
            let place = row.position();
            let odd = (place.byte << 16 | u64::from(place.source)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let bucket = self.key_bucket(row.key);
            self.by_key[bucket] = with(self.by_key[bucket], odd);
            return;
        }
        let bucket = self.event_bucket(row.event);
        self.by_event[bucket] = with(self.by_event[bucket], value);
        if row.key != 0 {
            let bucket = self.key_bucket(row.key);
            self.by_key[bucket] = with(self.by_key[bucket], value);
        }
    }

    #[inline]
    fn event_bucket(&self, event: u64) -> usize {
        (event >> (64 - self.bits)) as usize
    }

    #[inline]
    fn key_bucket(&self, key: u32) -> usize {
        (key >> (32 - self.bits)) as usize
    }

    /// Adds another part of the same sides; `false` where its size differs and nothing was added.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.bits != other.bits {
            return false;
        }
        let tables = [(&mut self.by_event, &other.by_event), (&mut self.by_key, &other.by_key)];
        for (sums, more) in tables {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
        }
        true
    }

    /// Buckets that did not cancel, in percent of all, of the table that has more of them; rounded up.
    #[must_use]
    pub fn dirty_percent(&self) -> u64 {
        let dirty = |sums: &[u64]| sums.iter().filter(|sum| **sum != 0).count() as u64;
        let most = dirty(&self.by_event).max(dirty(&self.by_key));
        (most * 100).div_ceil(1 << self.bits)
    }

    /// Whether every row of that reference must be looked at: its bucket did not cancel.
    #[inline]
    #[must_use]
    pub fn is_event_dirty(&self, row: &Row) -> bool {
        row.is_nameless() || self.by_event[self.event_bucket(row.event)] != 0
    }

    /// Whether a row of that key may be without partner.
    #[inline]
    #[must_use]
    pub fn is_key_dirty(&self, row: &Row) -> bool {
        row.key != 0 && self.by_key[self.key_bucket(row.key)] != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::row::Fingerprinter;
    use crate::record::{Record, Side};

    fn row(event: &str, key: &str, amount: i64) -> Row {
        let mut record = Record::blank(Side::Ledger);
        (record.event_ref, record.merchant_ref, record.amount_minor) = (event.into(), key.into(), amount);
        Fingerprinter::default().row(&record)
    }

    #[test]
    fn equal_sides_cancel_in_any_order_and_in_any_number_of_parts() {
        let rows: Vec<Row> = (0..1000).map(|n| row(&format!("e{n}"), &format!("k{n}"), n)).collect();
        let (mut ledger, mut network) = (Sketch::new(8), Sketch::new(8));
        rows.iter().for_each(|row| ledger.add(row));
        rows.iter().rev().for_each(|row| network.subtract(row));
        assert_ne!(ledger.dirty_percent(), 0);
        assert!(ledger.merge(&network));
        assert_eq!(ledger.dirty_percent(), 0);
        assert!(!ledger.merge(&Sketch::new(9)), "sketches of different sizes do not merge");
    }

    #[test]
    fn one_row_more_is_dirty_by_reference_and_by_key() {
        let mut sketch = Sketch::new(16);
        sketch.add(&row("a", "k", 5));
        sketch.add(&row("b", "l", 5));
        sketch.subtract(&row("b", "l", 5));
        assert!(sketch.is_event_dirty(&row("a", "", 7)) && sketch.is_key_dirty(&row("z", "k", 1)));
        assert!(!sketch.is_event_dirty(&row("b", "", 5)) && !sketch.is_key_dirty(&row("z", "l", 5)));
        assert_eq!(sketch.dirty_percent(), 1);
    }

    #[test]
    fn records_without_a_reference_never_cancel() {
        let mut sketch = Sketch::new(8);
        sketch.add(&row("", "k", 5));
        let mut other = Record::blank(Side::Network);
        (other.merchant_ref, other.amount_minor, other.position.byte) = ("k".into(), 5, 99);
        let other = Fingerprinter::default().row(&other);
        sketch.subtract(&other);
        assert!(sketch.is_key_dirty(&other) && sketch.is_event_dirty(&other));
    }
}
