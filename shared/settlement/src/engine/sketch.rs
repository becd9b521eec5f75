//! The sketch: two sums per bucket instead of all rows. Sides that are equal cancel; what does not cancel is read again.
//!
//! Sums commute, so parts of a side may be added up in any order and in any Region, and merged.

use super::row::Row;

/// Sums of rows by bucket, once by the network's reference and once by our own key.
///
/// A row that has no exact partner leaves its bucket of either table other than zero: 2^-64 of them would not.
#[derive(Clone, Debug)]
pub struct Sketch {
    bits: u32,
    by_event: Sums,
    by_key: Sums,
}

/// Buckets by default, as a power of two: 8 MiB for each of the two tables.
pub(crate) const BUCKET_BITS: u32 = 20;

/// Additions that wait before they are done: those of one stretch of the table together, as a processor's cache wants them.
const WAITING_MAX: usize = 512;

/// Bits of a bucket's number within a stretch: 64 KiB of sums.
const STRETCH_BITS: u32 = 13;

/// A table of sums, and additions that wait.
#[derive(Clone, Debug)]
struct Sums {
    sums: Vec<u64>,
    waiting: Vec<Vec<(u32, u64)>>,
}

impl Sums {
    fn new(bits: u32) -> Self {
        let stretches = 1_usize << bits.saturating_sub(STRETCH_BITS);
        Self { sums: vec![0; 1 << bits], waiting: vec![Vec::with_capacity(WAITING_MAX); stretches] }
    }

    #[inline]
    fn add(&mut self, bucket: u32, value: u64) {
        let waiting = &mut self.waiting[(bucket >> STRETCH_BITS) as usize];
        waiting.push((bucket, value));
        if waiting.len() == WAITING_MAX {
            settle(&mut self.sums, waiting);
        }
    }

    /// All sums, with nothing waiting.
    fn settled(&mut self) -> &mut Vec<u64> {
        for waiting in &mut self.waiting {
            settle(&mut self.sums, waiting);
        }
        &mut self.sums
    }

    fn dirty(&mut self) -> Buckets {
        let sums = self.settled();
        let mut bits = vec![0_u64; sums.len().div_ceil(64)];
        for (bucket, _) in sums.iter().enumerate().filter(|(_, sum)| **sum != 0) {
            bits[bucket / 64] |= 1 << (bucket % 64);
        }
        Buckets { bits }
    }
}

fn settle(sums: &mut [u64], waiting: &mut Vec<(u32, u64)>) {
    for (bucket, value) in waiting.drain(..) {
        let sum = &mut sums[bucket as usize];
        *sum = sum.wrapping_add(value);
    }
}

/// A set of buckets: a bit for each.
#[derive(Clone, Debug)]
struct Buckets {
    bits: Vec<u64>,
}

impl Buckets {
    #[inline]
    fn has(&self, bucket: u32) -> bool {
        self.bits[(bucket / 64) as usize] & (1 << (bucket % 64)) != 0
    }

    fn count(&self) -> u64 {
        self.bits.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

/// The buckets that did not cancel: all that pass two needs, in 1/64 of the memory.
#[derive(Clone, Debug)]
pub struct Dirty {
    bits: u32,
    by_event: Buckets,
    by_key: Buckets,
}

impl Sketch {
    /// An empty sketch of 2^`bits` buckets.
    #[must_use]
    pub fn new(bits: u32) -> Self {
        let bits = bits.clamp(4, 28);
        Self { bits, by_event: Sums::new(bits), by_key: Sums::new(bits) }
    }

    /// Adds a row of the ledger.
    #[inline]
    pub fn add(&mut self, row: &Row) {
        self.put(row, |value| value);
    }

    /// Takes away a row of the network.
    #[inline]
    pub fn subtract(&mut self, row: &Row) {
        self.put(row, u64::wrapping_neg);
    }

    #[inline]
    fn put(&mut self, row: &Row, sign: impl Fn(u64) -> u64) {
        if row.is_nameless() {
            // It has no exact partner by definition, so it must not cancel against anything.
            let place = row.position();
            let odd = (place.byte << 16 | u64::from(place.source)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            self.by_key.add(key_bucket(self.bits, row.key), sign(odd));
            return;
        }
        let value = sign(row.facts.wrapping_add(row.event.rotate_left(17)));
        self.by_event.add(event_bucket(self.bits, row.event), value);
        if row.key != 0 {
            self.by_key.add(key_bucket(self.bits, row.key), value);
        }
    }

    /// Adds another part of the same sides; `false` where its size differs and nothing was added.
    #[must_use]
    pub fn merge(&mut self, mut other: Self) -> bool {
        if self.bits != other.bits {
            return false;
        }
        for (sums, more) in [(&mut self.by_event, &mut other.by_event), (&mut self.by_key, &mut other.by_key)] {
            sums.settled().iter_mut().zip(more.settled()).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
        }
        true
    }

    /// Both tables one after the other.
    pub(crate) fn tables(&mut self) -> Vec<u64> {
        let mut tables = self.by_event.settled().clone();
        tables.extend_from_slice(self.by_key.settled());
        tables
    }

    /// From both tables; `None` where they have no size that a sketch has.
    pub(crate) fn of_tables(tables: &[u64]) -> Option<Self> {
        let (by_event, by_key) = tables.split_at(tables.len() / 2);
        let bits = by_event.len().checked_ilog2()?;
        let mut sketch = Self::new(bits);
        if by_event.len() != by_key.len() || sketch.by_event.sums.len() != by_event.len() {
            return None;
        }
        sketch.by_event.sums.copy_from_slice(by_event);
        sketch.by_key.sums.copy_from_slice(by_key);
        Some(sketch)
    }

    /// What did not cancel.
    #[must_use]
    pub fn finish(mut self) -> Dirty {
        Dirty { bits: self.bits, by_event: self.by_event.dirty(), by_key: self.by_key.dirty() }
    }
}

impl Dirty {
    /// The size, and both sets one after the other.
    pub(crate) fn tables(&self) -> Vec<u64> {
        let mut tables = vec![u64::from(self.bits)];
        tables.extend_from_slice(&self.by_event.bits);
        tables.extend_from_slice(&self.by_key.bits);
        tables
    }

    /// From what [`Self::tables`] gave.
    pub(crate) fn of_tables(tables: &[u64]) -> Option<Self> {
        let (bits, sets) = tables.split_first()?;
        let bits = u32::try_from(*bits).ok().filter(|bits| (4..=28).contains(bits))?;
        let (by_event, by_key) = sets.split_at(sets.len() / 2);
        let words = (1_usize << bits).div_ceil(64);
        let set = |of: &[u64]| (of.len() == words).then(|| Buckets { bits: of.to_vec() });
        Some(Self { bits, by_event: set(by_event)?, by_key: set(by_key)? })
    }
    /// Buckets that did not cancel, in percent of all, of the table that has more of them; rounded up.
    #[must_use]
    pub fn percent(&self) -> u64 {
        (self.by_event.count().max(self.by_key.count()) * 100).div_ceil(1 << self.bits)
    }

    /// Whether every row of that reference must be looked at: its bucket did not cancel.
    #[inline]
    #[must_use]
    pub fn has_event(&self, row: &Row) -> bool {
        row.is_nameless() || self.by_event.has(event_bucket(self.bits, row.event))
    }

    /// Whether a row of that key may be without partner.
    #[inline]
    #[must_use]
    pub fn has_key(&self, row: &Row) -> bool {
        row.key != 0 && self.by_key.has(key_bucket(self.bits, row.key))
    }
}

#[inline]
fn event_bucket(bits: u32, event: u64) -> u32 {
    (event >> (64 - bits)) as u32
}

#[inline]
fn key_bucket(bits: u32, key: u32) -> u32 {
    key >> (32 - bits)
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
        assert_ne!(ledger.clone().finish().percent(), 0);
        assert!(ledger.merge(network));
        assert!(!ledger.merge(Sketch::new(9)), "sketches of different sizes do not merge");
        assert_eq!(ledger.finish().percent(), 0);
    }

    #[test]
    fn one_row_more_is_dirty_by_reference_and_by_key() {
        let mut sketch = Sketch::new(16);
        sketch.add(&row("a", "k", 5));
        sketch.add(&row("b", "l", 5));
        sketch.subtract(&row("b", "l", 5));
        let dirty = sketch.finish();
        assert!(dirty.has_event(&row("a", "", 7)) && dirty.has_key(&row("z", "k", 1)));
        assert!(!dirty.has_event(&row("b", "", 5)) && !dirty.has_key(&row("z", "l", 5)));
        assert_eq!(dirty.percent(), 1);
    }

    #[test]
    fn records_without_a_reference_never_cancel() {
        let mut sketch = Sketch::new(8);
        sketch.add(&row("", "k", 5));
        let mut other = Record::blank(Side::Network);
        (other.merchant_ref, other.amount_minor, other.position.byte) = ("k".into(), 5, 99);
        let other = Fingerprinter::default().row(&other);
        sketch.subtract(&other);
        let dirty = sketch.finish();
        assert!(dirty.has_key(&other) && dirty.has_event(&other));
    }
}
