//! Attempts beside the fast pass: which of them the ledger has exactly, and which rows they make interesting.

use super::row::{Fingerprinter, Row, key_hash};
use crate::record::Record;

/// A set of hashes that is mostly asked about what it does not have.
#[derive(Default)]
pub(crate) struct Hashes {
    sorted: Vec<u64>,
    filter: Vec<u64>,
}

/// Bits of the filter: 128 KiB, which stays in the processor's cache.
const FILTER_BITS: u32 = 20;

impl Hashes {
    pub(crate) fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let mut filter = vec![0_u64; 1 << (FILTER_BITS - 6)];
        for hash in &hashes {
            filter[place(*hash)] |= 1 << (hash & 63);
        }
        Self { sorted: hashes, filter }
    }

    #[inline]
    pub(crate) fn has(&self, hash: u64) -> bool {
        let maybe = self.filter.get(place(hash)).is_some_and(|bits| bits & (1 << (hash & 63)) != 0);
        maybe && self.sorted.binary_search(&hash).is_ok()
    }
}

#[inline]
fn place(hash: u64) -> usize {
    ((hash >> 6) & ((1 << (FILTER_BITS - 6)) - 1)) as usize
}

/// The attempts, folded, and what pass one has seen of them.
pub(crate) struct Marks {
    pub(crate) attempts: Vec<Record>,
    rows: Vec<Row>,
    /// Event, facts, and which attempt; sorted.
    prints: Vec<(u64, u64, usize)>,
    events: Hashes,
    booked: Vec<bool>,
}

impl Marks {
    pub(crate) fn new(attempts: Vec<Record>) -> Self {
        let mut prints = Fingerprinter::default();
        let rows: Vec<Row> = attempts.iter().map(|attempt| prints.row(attempt)).collect();
        let named = rows.iter().enumerate().filter(|(_, row)| !row.is_nameless());
        let mut prints: Vec<_> = named.map(|(place, row)| (row.event, row.facts, place)).collect();
        prints.sort_unstable();
        let events = Hashes::of(prints.iter().map(|(event, ..)| *event).collect());
        let booked = vec![false; attempts.len()];
        Self { attempts, rows, prints, events, booked }
    }

    /// Takes note of a ledger row.
    #[inline]
    pub(crate) fn see(&mut self, row: &Row) {
        if self.events.has(row.event) {
            let first = self.prints.partition_point(|(event, facts, _)| (*event, *facts) < (row.event, row.facts));
            for (_, _, attempt) in self
                .prints
                .iter()
                .skip(first)
                .take_while(|(event, facts, _)| (*event, *facts) == (row.event, row.facts))
            {
                self.booked[*attempt] = true;
            }
        }
    }

    /// Which attempts must be looked at: not booked exactly as marked, or one of several of their key, or beside what is open anyway.
    pub(crate) fn open(&self, is_beside: impl Fn(&Row) -> bool) -> Vec<bool> {
        let rows = self.rows.iter().zip(&self.booked);
        let mut open: Vec<bool> = rows.map(|(row, booked)| !booked || is_beside(row)).collect();
        for (place, pair) in self.attempts.windows(2).enumerate() {
            if let [one, other] = pair
                && one.merchant_ref == other.merchant_ref
            {
                open[place] = true;
                open[place + 1] = true;
            }
        }
        open
    }

    /// Hashes of the references and of the keys of the attempts chosen.
    pub(crate) fn hashes(&self, chosen: &[bool]) -> (Vec<u64>, Vec<u64>) {
        let events = self.prints.iter().filter(|(_, _, attempt)| chosen[*attempt]).map(|(event, ..)| *event).collect();
        let of = self.attempts.iter().zip(chosen).filter(|(_, chosen)| **chosen);
        (events, of.map(|(attempt, _)| key_hash(&attempt.merchant_ref).into()).collect())
    }
}
