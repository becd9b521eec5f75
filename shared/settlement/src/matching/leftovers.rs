//! What has no partner gets its name: presence of ledger, attempts and network, all seven ways.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::about;
use super::world::{Taken, World, is_of};
use crate::record::{Family, Kind, Record, Side, Status};
use crate::report::{Action, AtNetwork, Waiting, What};

/// One charge of a key, wherever it is seen.
struct Charge<'a> {
    record: &'a Record,
    /// The network's free row of it.
    free: Option<usize>,
    booked: bool,
    at_network: bool,
}

impl<'a> World<'a> {
    /// Attempts: which of them the other sides know, charges of one key under several references, and what only an attempt tells.
    pub(super) fn name_attempts(&mut self) {
        let has_network = self.policy.network_complete_until.is_some();
        let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, attempt) in self.attempts.iter().enumerate() {
            names.entry(&attempt.merchant_ref).or_default().push(place);
            let rows = [self.of_event(&attempt.event_ref), self.of_key(&attempt.merchant_ref)].concat();
            for row in rows.into_iter().map(|row| self.rows[row]).filter(|row| is_of(attempt, row)) {
                match row.side {
                    Side::Ledger => self.seen[place].0 = true,
                    Side::Network => self.seen[place].1 = true,
                    Side::Attempts => {}
                }
            }
        }
        let repeated: BTreeSet<usize> = self.name_charged_again(&names);
        for (place, attempt) in self.attempts.clone().into_iter().enumerate() {
            let (in_ledger, at_network) = self.seen[place];
            if in_ledger {
                self.compare_attempt(attempt);
            } else if !at_network && !repeated.contains(&place) {
                let what = match (attempt.status, has_network && self.policy.knowable(attempt.time())) {
                    (Status::InDoubt, false) => {
                        What::NotKnowableBefore { cut_off: self.policy.next_file_at, waiting: Waiting::InDoubt }
                    }
                    (Status::InDoubt, true) => What::NeverCharged,
                    (Status::Final | Status::Pending, false) => What::LostInFailover { network: AtNetwork::NotYet },
                    (Status::Final | Status::Pending, true) => What::LostInFailover { network: AtNetwork::Missing },
                };
                let book = matches!(what, What::LostInFailover { network: AtNetwork::NotYet });
                let found = about(what, attempt);
                self.breaks.push(if book { found.propose(Action::Book, attempt, attempt.amount_minor) } else { found });
            }
        }
    }

    /// An attempt and its booking may say different amounts, whatever the network says.
    fn compare_attempt(&mut self, attempt: &'a Record) {
        let rows = self.of_event(&attempt.event_ref).iter().map(|row| self.rows[*row]);
        let booked: Vec<&Record> = rows.filter(|row| row.side == Side::Ledger && row.kind == Kind::Capture).collect();
        let [booked] = booked.as_slice() else { return };
        if booked.currency == attempt.currency && booked.amount_minor != attempt.amount_minor {
            let what = What::AmountMismatch {
                one: Side::Attempts,
                one_minor: attempt.amount_minor,
                other: Side::Ledger,
                other_minor: booked.amount_minor,
            };
            let gap = i128::from(attempt.amount_minor) - i128::from(booked.amount_minor);
            self.breaks.push(about(what, attempt).at_risk(gap).with_evidence([*booked]));
        }
    }

    /// Charges of one key under several references: the first that is booked stays, or else the first; the others are given back.
    ///
    /// Says which attempts are named so.
    fn name_charged_again(&mut self, names: &BTreeMap<&'a str, Vec<usize>>) -> BTreeSet<usize> {
        let mut named = BTreeSet::new();
        let mut keys: BTreeSet<&str> = names.iter().filter(|(_, of)| of.len() > 1).map(|(key, _)| *key).collect();
        let free = (0..self.rows.len()).filter(|row| self.is_free(*row)).map(|row| self.rows[row]);
        let captures = free.filter(|row| row.side == Side::Network && row.kind == Kind::Capture);
        keys.extend(captures.map(|row| row.merchant_ref.as_str()).filter(|key| !key.is_empty()));
        for key in keys {
            let attempts = names.get(key).map_or(&[][..], Vec::as_slice);
            let mut charges = self.charges(key, attempts);
            charges.sort_by_key(|charge| (!charge.booked, charge.record.time(), charge.record.event_ref.clone()));
            let Some((first, others)) = charges.split_first() else { continue };
            let first = first.record;
            for charge in others {
                let of = charge.record;
                let same_money = (of.currency, of.amount_minor) == (first.currency, first.amount_minor);
                let same_payment = !of.group_ref.is_empty() && of.group_ref == first.group_ref;
                let marked = attempts.iter().any(|place| self.attempts[*place].event_ref == of.event_ref);
                let told_twice =
                    marked && attempts.iter().any(|place| self.attempts[*place].event_ref == first.event_ref);
                // Two bookings that the network has as well are two payments, unless the marks say that they are one.
                let seen_twice =
                    charge.free.is_some() || (told_twice && (charge.at_network || !self.policy.knowable(of.time())));
                if !same_money || same_payment || !seen_twice || of.event_ref.is_empty() {
                    continue;
                }
                let what = What::DuplicateCharge { first: first.event_ref.clone(), booked: charge.booked };
                let mut found = about(what, of).with_evidence([first]);
                if let Some(row) = charge.free {
                    self.taken[row] = Taken::Named;
                    found = found.with_gap_of(of);
                }
                if !charge.booked {
                    found = found.propose(Action::Book, of, of.amount_minor);
                }
                self.breaks.push(found.propose(Action::Refund, of, of.amount_minor));
                named.extend(attempts.iter().copied().filter(|place| self.attempts[*place].event_ref == of.event_ref));
            }
        }
        named
    }

    /// Every charge of a key: the network's captures, and acknowledged attempts that the network's rows do not have.
    fn charges(&self, key: &str, attempts: &[usize]) -> Vec<Charge<'a>> {
        let booked = |event: &str| {
            let mut rows = self.of_event(event).iter().map(|row| self.rows[*row]);
            !event.is_empty() && rows.any(|row| row.side == Side::Ledger && row.kind == Kind::Capture)
        };
        let of_network = |row: &&usize| {
            let of = self.rows[**row];
            of.side == Side::Network && of.kind == Kind::Capture && self.taken[**row] != Taken::Named
        };
        let network = self.of_key(key).iter().filter(of_network).map(|row| {
            let record = self.rows[*row];
            let free = self.is_free(*row).then_some(*row);
            Charge { record, free, booked: free.is_none() || booked(&record.event_ref), at_network: true }
        });
        let mut charges: Vec<Charge<'a>> = network.collect();
        for attempt in
            attempts.iter().map(|place| self.attempts[*place]).filter(|attempt| !attempt.event_ref.is_empty())
        {
            if charges.iter().all(|charge| charge.record.event_ref != attempt.event_ref) {
                let booked = booked(&attempt.event_ref);
                charges.push(Charge { record: attempt, free: None, booked, at_network: false });
            }
        }
        charges
    }

    /// What only the network has, or the network and an attempt.
    pub(super) fn name_network(&mut self) {
        for row in self.free_rows(Side::Network) {
            let of = self.rows[row];
            if self.matched_before(of) {
                self.repeated(row);
                continue;
            }
            self.taken[row] = Taken::Named;
            let marked = of.kind == Kind::Capture && self.attempted(of);
            let what = if marked {
                What::LostInFailover { network: AtNetwork::Seen }
            } else {
                let captures = self.of_key(&of.merchant_ref).iter().map(|other| self.rows[*other].kind);
                let parent_known =
                    of.kind.family() == Family::Captures || captures.into_iter().any(|kind| kind == Kind::Capture);
                What::NetworkOnly { parent_known }
            };
            self.breaks.push(about(what, of).with_gap_of(of).propose(Action::Book, of, of.amount_minor));
        }
    }

    /// What only the ledger has, or the ledger and an attempt.
    pub(super) fn name_ledger(&mut self) {
        if self.policy.network_complete_until.is_none() {
            return;
        }
        for row in self.free_rows(Side::Ledger) {
            let of = self.rows[row];
            if self.matched_before(of) {
                self.booked_again(row);
                continue;
            }
            self.taken[row] = Taken::Named;
            if !self.policy.judges(of) {
                self.set_aside.push(of);
                continue;
            }
            let attempted = self.attempted(of);
            let found = if self.policy.overdue(of.time()) {
                about(What::LedgerOnly { attempted }, of).propose(Action::Reverse, of, of.amount_minor.saturating_neg())
            } else {
                let cut_off = self.policy.next_file_at;
                about(What::NotKnowableBefore { cut_off, waiting: Waiting::InTransit { attempted } }, of)
            };
            self.breaks.push(found.with_gap_of(of));
        }
    }

    fn free_rows(&self, side: Side) -> Vec<usize> {
        (0..self.rows.len()).filter(|row| self.is_free(*row) && self.rows[*row].side == side).collect()
    }

    /// Whether the same side has the same movement already, matched.
    fn matched_before(&self, of: &Record) -> bool {
        self.of_event(&of.event_ref).iter().any(|other| {
            let row = self.rows[*other];
            self.taken[*other] == Taken::Matched && row.side == of.side && row.kind == of.kind
        })
    }
}
