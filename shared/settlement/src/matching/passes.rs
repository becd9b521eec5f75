//! The passes that find partners.

use super::draft::about;
use super::world::{Group, Taken, World, facts};
use crate::record::Side;
use crate::record::{Record, Status};
use crate::report::{Action, What};

impl<'a> World<'a> {
    /// 1. The same reference and the same facts. Of several that are the same, the ones too many are named at once.
    pub(super) fn pair_exactly(&mut self) {
        let groups = self.free_by(|row| said(&row.event_ref).map(|event| (event, facts(row))));
        for group in groups.into_values() {
            let pairs = group.ledger.len().min(group.network.len());
            self.matched(group.ledger[..pairs].iter().chain(&group.network[..pairs]).copied().collect::<Vec<_>>());
            let first_free = if pairs == 0 { 1 } else { pairs };
            for row in group.ledger.iter().skip(first_free) {
                self.booked_again(*row);
            }
            for row in group.network.iter().skip(first_free) {
                self.repeated(*row);
            }
        }
    }

    /// 2. Several rows of one reference that sum to the same: a partial capture is a charge and its partial reversal.
    pub(super) fn sum_within_references(&mut self) {
        self.sum_groups(|row| said(&row.event_ref));
    }

    /// 3. One reference and different facts.
    pub(super) fn compare_within_references(&mut self) {
        let by_family = self.free_by(|row| said(&row.event_ref).map(|event| (event, row.kind.family(), row.currency)));
        for group in by_family.into_values().filter(Group::both) {
            match group.rows() {
                2 => self.compare(group.ledger[0], group.network[0]),
                _ => self.wrong_sum(&group),
            }
        }
        // What is left of a reference differs in currency or family: one by one, in order.
        for group in self.free_by(|row| said(&row.event_ref)).into_values().filter(Group::both) {
            for (ledger, network) in group.ledger.into_iter().zip(group.network) {
                self.compare(ledger, network);
            }
        }
    }

    /// 4. Our own key and the same facts: one side does not know the reference, or knows another one.
    pub(super) fn pair_by_key(&mut self) {
        for group in self.free_by(|row| said(&row.merchant_ref).map(|key| (key, facts(row)))).into_values() {
            for (ledger, network) in group.ledger.into_iter().zip(group.network) {
                let (of_ledger, of_network) = (self.rows[ledger], self.rows[network]);
                self.matched([ledger, network]);
                if !of_ledger.event_ref.is_empty() && !of_network.event_ref.is_empty() {
                    let (ledger, network) = (of_ledger.event_ref.clone(), of_network.event_ref.clone());
                    let found =
                        about(What::ReferenceMismatch { ledger, network }, of_ledger).with_evidence([of_network]);
                    self.breaks.push(found);
                }
            }
        }
    }

    /// 5. Many to one by our own key. Without a reference on one side, what does not sum is a break of both.
    pub(super) fn sum_by_key(&mut self) {
        self.sum_groups(|row| said(&row.merchant_ref));
        let groups = self.free_by(|row| said(&row.merchant_ref).map(|key| (key, row.kind.family(), row.currency)));
        for group in groups.into_values().filter(Group::both) {
            let nameless = |rows: &[usize]| rows.iter().all(|row| self.rows[*row].event_ref.is_empty());
            if nameless(&group.ledger) || nameless(&group.network) {
                match group.rows() {
                    2 => self.compare(group.ledger[0], group.network[0]),
                    _ => self.wrong_sum(&group),
                }
            }
        }
    }

    /// 6. Many to one by the payment: the ledger keeps the payment's reference, and the network settles its parts.
    pub(super) fn sum_by_payment(&mut self) {
        self.sum_groups(payment);
        let groups = self.free_by(|row| payment(row).map(|payment| (payment, row.kind.family(), row.currency)));
        for group in groups.into_values().filter(Group::both) {
            match group.rows() {
                2 => self.compare(group.ledger[0], group.network[0]),
                _ => self.wrong_sum(&group),
            }
        }
    }

    /// Matches groups whose two sides sum to the same, per family and currency.
    fn sum_groups(&mut self, key: impl Fn(&'a Record) -> Option<&'a str>) {
        let groups = self.free_by(|row| {
            let settled = row.status == Status::Final;
            key(row).filter(|_| settled).map(|key| (key, row.kind.family(), row.currency))
        });
        for group in groups.into_values().filter(|group| group.both() && group.rows() > 2) {
            if self.sum(&group.ledger) == self.sum(&group.network) {
                self.matched(group.ledger.into_iter().chain(group.network));
            }
        }
    }

    /// Names how two rows of one movement differ.
    fn compare(&mut self, ledger: usize, network: usize) {
        let (l, n) = (self.rows[ledger], self.rows[network]);
        self.matched([ledger, network]);
        let found = if l.currency != n.currency {
            let what = What::CurrencyMismatch {
                ledger: l.currency,
                ledger_minor: l.amount_minor,
                network: n.currency,
                network_minor: n.amount_minor,
            };
            reverse_and_book(about(what, n), l, n)
        } else if (l.kind, l.status) != (n.kind, n.status) {
            let found = about(What::StatusMismatch { ledger: (l.kind, l.status), network: (n.kind, n.status) }, n);
            let same_money = l.amount_minor == n.amount_minor && l.kind == n.kind;
            if same_money { found } else { reverse_and_book(found, l, n) }
        } else if l.amount_minor != n.amount_minor {
            let what = What::AmountMismatch {
                one: Side::Ledger,
                one_minor: l.amount_minor,
                other: Side::Network,
                other_minor: n.amount_minor,
            };
            let gap = i128::from(l.amount_minor) - i128::from(n.amount_minor);
            let found = about(what, n).at_risk(gap).with_gap(l.currency, gap);
            found.propose(
                Action::Adjust,
                if l.event_ref.is_empty() { n } else { l },
                n.amount_minor.saturating_sub(l.amount_minor),
            )
        } else {
            return;
        };
        let mut found = found.with_evidence([l]);
        if found.merchant_ref.is_empty() {
            found.merchant_ref.clone_from(&l.merchant_ref);
        }
        self.breaks.push(found);
    }

    /// Names a group whose sides do not sum to the same.
    fn wrong_sum(&mut self, group: &Group) {
        let (ledger, network) = (self.sum(&group.ledger), self.sum(&group.network));
        let rows: Vec<usize> = group.ledger.iter().chain(&group.network).copied().collect();
        self.matched(rows.iter().copied());
        if ledger == network {
            return;
        }
        let narrow = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
        let (first, rest) =
            (self.rows[group.ledger[0]], rows.iter().skip(1).map(|row| self.rows[*row]).collect::<Vec<_>>());
        let what = What::GroupSum { ledger_minor: narrow(ledger), network_minor: narrow(network), rows: rows.len() };
        let found = about(what, first).at_risk(ledger - network).with_gap(first.currency, ledger - network);
        self.breaks.push(found.with_evidence(rest).propose(Action::Adjust, first, narrow(network - ledger)));
    }

    pub(super) fn booked_again(&mut self, row: usize) {
        let of = self.rows[row];
        self.taken[row] = Taken::Named;
        let found = about(What::DuplicateBooking, of).with_gap_of(of);
        self.breaks.push(found.propose(Action::Reverse, of, of.amount_minor.saturating_neg()));
    }

    pub(super) fn repeated(&mut self, row: usize) {
        let of = self.rows[row];
        self.taken[row] = Taken::Named;
        self.breaks.push(about(What::RepeatedByNetwork, of).with_gap_of(of));
    }
}

fn reverse_and_book(found: crate::report::Break, l: &Record, n: &Record) -> crate::report::Break {
    let found = found.with_gap_of(l).with_gap_of(n);
    let found = found.propose(Action::Reverse, l, l.amount_minor.saturating_neg());
    let mut like = n.clone();
    if like.merchant_ref.is_empty() {
        like.merchant_ref.clone_from(&l.merchant_ref);
    }
    found.propose(Action::Book, &like, n.amount_minor)
}

fn said(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The payment that a row is part of: as the network says it, or what the ledger keeps as its reference.
fn payment(row: &Record) -> Option<&str> {
    said(&row.group_ref).or_else(|| said(&row.event_ref).filter(|_| row.side == Side::Ledger))
}
