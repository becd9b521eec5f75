//! The records that are being matched, which of them are taken, and by what.

use std::collections::BTreeMap;

use super::Open;
use crate::policy::Policy;
use crate::record::{Family, Kind, Record, Side, Status};
use crate::report::{AtNetwork, Break, Presence, Waiting, What};
use holdfast_domain::Timestamp;
use holdfast_domain::money::Currency;

/// Ledger and network rows that share something.
#[derive(Default)]
pub(super) struct Group {
    pub(super) ledger: Vec<usize>,
    pub(super) network: Vec<usize>,
}

impl Group {
    pub(super) fn both(&self) -> bool {
        !self.ledger.is_empty() && !self.network.is_empty()
    }
    pub(super) fn rows(&self) -> usize {
        self.ledger.len() + self.network.len()
    }
}

/// What has been done with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing yet.
    Free,
    /// It has its partner, or is part of a break of both sides.
    Matched,
    /// It is a break of its own.
    Named,
}

/// Everything that says what a movement is, besides its references.
pub(super) type Facts = (Kind, Status, Currency, i64);

pub(super) fn facts(of: &Record) -> Facts {
    (of.kind, of.status, of.currency, of.amount_minor)
}

pub(super) struct World<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rows: Vec<&'a Record>,
    pub(super) taken: Vec<Taken>,
    pub(super) attempts: Vec<&'a Record>,
    /// Per attempt: whether a ledger row, and a network row, is it.
    pub(super) seen: Vec<(bool, bool)>,
    pub(super) breaks: Vec<Break>,
    /// Bookings of other days that nothing needed.
    pub(super) set_aside: Vec<&'a Record>,
    /// Ledger rows that are matched, and how many of them an attempt was found for.
    pub(super) residue_pairs: u64,
    by_event: BTreeMap<&'a str, Vec<usize>>,
    by_key: BTreeMap<&'a str, Vec<usize>>,
    attempts_by_event: BTreeMap<&'a str, Vec<usize>>,
    attempts_by_key: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> World<'a> {
    pub(super) fn new(open: &'a Open, policy: &'a Policy) -> Self {
        let in_scope = |record: &&Record| policy.scope.covers(record.kind);
        let mut rows: Vec<(&Record, Taken)> =
            open.residue.iter().filter(in_scope).map(|row| (row, Taken::Free)).collect();
        rows.extend(open.matched.iter().filter(in_scope).map(|row| (row, Taken::Matched)));
        rows.sort_by_key(|(row, _)| order(row));
        let mut attempts: Vec<&Record> = open.attempts.iter().collect();
        attempts.sort_by_key(|row| order(row));
        let by_event = index(rows.iter().map(|(row, _)| row.event_ref.as_str()));
        let by_key = index(rows.iter().map(|(row, _)| row.merchant_ref.as_str()));
        let attempts_by_event = index(attempts.iter().map(|row| row.event_ref.as_str()));
        let attempts_by_key = index(attempts.iter().map(|row| row.merchant_ref.as_str()));
        let (rows, taken) = rows.into_iter().unzip();
        let seen = vec![(false, false); attempts.len()];
        Self {
            policy,
            rows,
            taken,
            seen,
            attempts,
            breaks: Vec::new(),
            set_aside: Vec::new(),
            residue_pairs: 0,
            by_event,
            by_key,
            attempts_by_event,
            attempts_by_key,
        }
    }

    /// Rows with the same reference of the network.
    pub(super) fn of_event(&self, event_ref: &str) -> &[usize] {
        self.by_event.get(event_ref).map_or(&[], Vec::as_slice)
    }

    /// Rows with the same key of ours.
    pub(super) fn of_key(&self, key: &str) -> &[usize] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_free(&self, row: usize) -> bool {
        self.taken[row] == Taken::Free
    }

    /// Free rows by something that they share; rows without it are left out. Order is the rows' own.
    pub(super) fn free_by<K: Ord>(&self, key: impl Fn(&'a Record) -> Option<K>) -> BTreeMap<K, Group> {
        let mut groups: BTreeMap<K, Group> = BTreeMap::new();
        for (place, row) in self.rows.iter().copied().enumerate().filter(|(place, _)| self.is_free(*place)) {
            let Some(key) = key(row) else { continue };
            let group = groups.entry(key).or_default();
            match row.side {
                Side::Ledger => group.ledger.push(place),
                Side::Network => group.network.push(place),
                Side::Attempts => {}
            }
        }
        groups
    }

    /// Takes rows as matched with each other.
    pub(super) fn matched(&mut self, rows: impl IntoIterator<Item = usize>) {
        for row in rows {
            self.taken[row] = Taken::Matched;
            self.residue_pairs += u64::from(self.rows[row].side == Side::Ledger);
        }
    }

    pub(super) fn sum(&self, rows: &[usize]) -> i128 {
        rows.iter().map(|row| i128::from(self.rows[*row].amount_minor)).sum()
    }

    /// Whether an attempt is marked for a row, by reference or by key.
    pub(super) fn attempted(&self, row: &Record) -> bool {
        let of_key = self.attempts_by_key.get(row.merchant_ref.as_str()).map_or(&[][..], Vec::as_slice);
        let of_event = self.attempts_by_event.get(row.event_ref.as_str()).map_or(&[][..], Vec::as_slice);
        of_key.iter().chain(of_event).any(|attempt| is_of(self.attempts[*attempt], row))
    }

    pub(super) fn into_breaks(self) -> Vec<Break> {
        self.breaks
    }

    /// Who has what, as far as it is seen here.
    pub(super) fn presence(&self) -> Presence {
        let settled = self.seen.iter().filter(|seen| **seen == (true, true)).count() as u64;
        let mut presence = Presence { settled, settled_unmarked: self.residue_pairs, ..Presence::default() };
        for found in &self.breaks {
            let count = match &found.what {
                What::LostInFailover { network: AtNetwork::Seen } => &mut presence.lost_and_cleared,
                What::LostInFailover { .. } | What::NeverCharged => &mut presence.attempt_alone,
                What::NetworkOnly { .. } | What::RepeatedByNetwork => &mut presence.network_alone,
                What::DuplicateCharge { booked: false, .. } => &mut presence.network_alone,
                What::LedgerOnly { attempted: true } => &mut presence.not_at_network,
                What::LedgerOnly { attempted: false } | What::DuplicateBooking => &mut presence.ledger_alone,
                What::NotKnowableBefore { waiting: Waiting::InDoubt, .. } => &mut presence.attempt_alone,
                What::NotKnowableBefore { waiting: Waiting::InTransit { attempted: false }, .. } => {
                    &mut presence.ledger_alone
                }
                What::NotKnowableBefore { waiting: Waiting::InTransit { attempted: true }, .. } => {
                    &mut presence.not_at_network
                }
                What::DuplicateCharge { booked: true, .. }
                | What::AmountMismatch { .. }
                | What::CurrencyMismatch { .. }
                | What::StatusMismatch { .. }
                | What::ReferenceMismatch { .. }
                | What::GroupSum { .. } => continue,
            };
            *count += 1;
        }
        presence
    }
}

/// Places by text; the empty text is not one.
fn index<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, Vec<usize>> {
    let mut index: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, text) in texts.enumerate().filter(|(_, text)| !text.is_empty()) {
        index.entry(text).or_default().push(place);
    }
    index
}

/// The order that makes a result independent of the order of reading.
fn order(row: &Record) -> impl Ord {
    let time: Option<Timestamp> = row.time();
    let words = (row.event_ref.clone(), row.merchant_ref.clone(), row.group_ref.clone());
    (words, row.side, row.kind, row.currency, row.amount_minor, time, row.status, row.position)
}

/// Whether an attempt is of a row: the same reference; or the same key, where one of the two has no reference.
pub(super) fn is_of(attempt: &Record, row: &Record) -> bool {
    if !attempt.event_ref.is_empty() && !row.event_ref.is_empty() {
        return attempt.event_ref == row.event_ref && row.kind.family() == Family::Captures;
    }
    attempt.merchant_ref == row.merchant_ref && row.kind == Kind::Capture
}
