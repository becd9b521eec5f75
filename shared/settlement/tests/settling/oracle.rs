//! A second matcher, written apart from the first: no indexes, only loops over all rows. Slow, and easy to check by eye.
//!
//! It knows ledger and network, and no attempts.

use holdfast_domain::Timestamp;
use holdfast_settlement::Policy;
use holdfast_settlement::record::{Family, Kind, Record, Side, Status};

/// Break, kind, amount in question, currency, network reference, our key.
pub(crate) type Verdict = (String, Kind, i64, String, String, String);

struct Oracle<'a> {
    rows: Vec<&'a Record>,
    /// 0 free, 1 matched, 2 named.
    state: Vec<u8>,
    verdicts: Vec<Verdict>,
}

fn order(row: &Record) -> impl Ord {
    let time: Option<Timestamp> = row.booked_at;
    let words = [row.event_ref.clone(), row.merchant_ref.clone(), row.group_ref.clone()];
    (words, row.side, row.kind, row.currency, row.amount_minor, time, row.status, row.position)
}

fn same_facts(a: &Record, b: &Record) -> bool {
    a.kind == b.kind && a.status == b.status && a.currency == b.currency && a.amount_minor == b.amount_minor
}

fn same_pot(a: &Record, b: &Record) -> bool {
    a.kind.family() == b.kind.family() && a.currency == b.currency
}

fn payment(row: &Record) -> &str {
    if row.group_ref.is_empty() && row.side == Side::Ledger { &row.event_ref } else { &row.group_ref }
}

pub(crate) fn judge(rows: &[Record], policy: &Policy) -> Vec<Verdict> {
    let mut rows: Vec<&Record> = rows.iter().filter(|row| row.kind.family() != Family::Account).collect();
    rows.sort_by_key(|row| order(row));
    let state = vec![0; rows.len()];
    let mut oracle = Oracle { rows, state, verdicts: Vec::new() };
    oracle.exact();
    oracle.sums(|row| &row.event_ref);
    oracle.differing(|row| &row.event_ref, |_| true);
    oracle.zip_events();
    oracle.keys();
    oracle.sums(|row| &row.merchant_ref);
    oracle.differing(|row| &row.merchant_ref, |side| side.iter().all(|row| row.event_ref.is_empty()));
    oracle.sums(payment);
    oracle.differing(payment, |_| true);
    oracle.charged_again();
    oracle.leftovers(policy);
    oracle.verdicts.sort();
    oracle.verdicts
}

impl<'a> Oracle<'a> {
    fn all(&self) -> std::ops::Range<usize> {
        0..self.rows.len()
    }

    fn free(&self, side: Side) -> Vec<usize> {
        self.all().filter(|row| self.state[*row] == 0 && self.rows[*row].side == side).collect()
    }

    fn say(&mut self, name: &str, of: &Record, at_risk: i64, key: &str) {
        let code = of.currency.to_string();
        self.verdicts.push((name.to_owned(), of.kind, at_risk.abs(), code, of.event_ref.clone(), key.to_owned()));
    }

    fn name(&mut self, name: &str, row: usize) {
        self.state[row] = 2;
        let of = self.rows[row];
        self.say(name, of, of.amount_minor, &of.merchant_ref);
    }

    fn exact(&mut self) {
        for l in self.free(Side::Ledger) {
            let of = self.rows[l];
            let partner = self.free(Side::Network).into_iter().find(|n| {
                let other = self.rows[*n];
                !of.event_ref.is_empty() && of.event_ref == other.event_ref && same_facts(of, other)
            });
            if let Some(n) = partner {
                (self.state[l], self.state[n]) = (1, 1);
            }
        }
        for (side, name) in [(Side::Ledger, "DuplicateBooking"), (Side::Network, "RepeatedByNetwork")] {
            for row in self.free(side) {
                let of = self.rows[row];
                let twin = |other: usize| {
                    let other = self.rows[other];
                    other.side == side && other.event_ref == of.event_ref && same_facts(of, other)
                };
                let stays = self
                    .all()
                    .any(|other| twin(other) && (self.state[other] == 1 || (self.state[other] == 0 && other < row)));
                if !of.event_ref.is_empty() && stays {
                    self.name(name, row);
                }
            }
        }
    }

    /// Free rows of both sides that share something, by pot; the ledger's first.
    fn pots(&self, share: impl Fn(&Record) -> &str, only_final: bool) -> Vec<(Vec<usize>, Vec<usize>)> {
        let usable = |row: &usize| {
            !share(self.rows[*row]).is_empty() && (!only_final || self.rows[*row].status == Status::Final)
        };
        let (ledger, network) = (self.free(Side::Ledger), self.free(Side::Network));
        let mut pots: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for l in ledger.into_iter().filter(usable) {
            let of = self.rows[l];
            let in_pot = |row: &usize| share(self.rows[*row]) == share(of) && same_pot(self.rows[*row], of);
            if let Some(pot) = pots.iter_mut().find(|pot| pot.0.iter().all(in_pot)) {
                pot.0.push(l);
            } else {
                pots.push((vec![l], network.iter().copied().filter(usable).filter(|n| in_pot(n)).collect()));
            }
        }
        pots.retain(|pot| !pot.1.is_empty());
        pots
    }

    fn sum(&self, rows: &[usize]) -> i64 {
        rows.iter().map(|row| self.rows[*row].amount_minor).sum()
    }

    fn sums(&mut self, share: impl Fn(&Record) -> &str) {
        for (ledger, network) in self.pots(share, true) {
            if ledger.len() + network.len() > 2 && self.sum(&ledger) == self.sum(&network) {
                ledger.iter().chain(&network).for_each(|row| self.state[*row] = 1);
            }
        }
    }

    fn differing(&mut self, share: impl Fn(&Record) -> &str, side_counts: impl Fn(&[&Record]) -> bool) {
        for (ledger, network) in self.pots(share, false) {
            let rows_of = |side: &[usize]| side.iter().map(|row| self.rows[*row]).collect::<Vec<_>>();
            if !side_counts(&rows_of(&ledger)) && !side_counts(&rows_of(&network)) {
                continue;
            }
            if ledger.len() + network.len() == 2 {
                self.compare(ledger[0], network[0]);
                continue;
            }
            ledger.iter().chain(&network).for_each(|row| self.state[*row] = 1);
            let gap = self.sum(&ledger) - self.sum(&network);
            if gap != 0 {
                let of = self.rows[ledger[0]];
                self.say("GroupSum", of, gap, &of.merchant_ref);
            }
        }
    }

    fn compare(&mut self, ledger: usize, network: usize) {
        let (l, n) = (self.rows[ledger], self.rows[network]);
        (self.state[ledger], self.state[network]) = (1, 1);
        let key = if n.merchant_ref.is_empty() { &l.merchant_ref } else { &n.merchant_ref };
        if l.currency != n.currency {
            self.say("CurrencyMismatch", n, n.amount_minor, key);
        } else if l.kind != n.kind || l.status != n.status {
            self.say("StatusMismatch", n, n.amount_minor, key);
        } else if l.amount_minor != n.amount_minor {
            self.say("AmountMismatch", n, l.amount_minor - n.amount_minor, key);
        }
    }

    fn zip_events(&mut self) {
        for l in self.free(Side::Ledger) {
            let event = &self.rows[l].event_ref;
            let partner =
                self.free(Side::Network).into_iter().find(|n| !event.is_empty() && self.rows[*n].event_ref == *event);
            if let Some(n) = partner {
                self.compare(l, n);
            }
        }
    }

    fn keys(&mut self) {
        for l in self.free(Side::Ledger) {
            let of = self.rows[l];
            let partner = self.free(Side::Network).into_iter().find(|n| {
                let other = self.rows[*n];
                !of.merchant_ref.is_empty() && other.merchant_ref == of.merchant_ref && same_facts(of, other)
            });
            let Some(n) = partner else { continue };
            (self.state[l], self.state[n]) = (1, 1);
            if !of.event_ref.is_empty() && !self.rows[n].event_ref.is_empty() {
                self.say("ReferenceMismatch", of, of.amount_minor, &of.merchant_ref);
            }
        }
    }

    fn charged_again(&mut self) {
        for row in self.free(Side::Network) {
            let of = self.rows[row];
            if of.kind != Kind::Capture || of.merchant_ref.is_empty() || of.event_ref.is_empty() {
                continue;
            }
            // What stays: booked before not booked, then the earliest, then by reference; among rows that are there in the end.
            let booked = |other: usize| {
                let event = &self.rows[other].event_ref;
                self.state[other] == 1
                    || self.all().any(|l| {
                        let ledger = self.rows[l];
                        ledger.side == Side::Ledger
                            && ledger.kind == Kind::Capture
                            && ledger.event_ref == *event
                            && !event.is_empty()
                    })
            };
            let charges = self.all().filter(|other| {
                let charge = self.rows[*other];
                let named_otherwise = self.state[*other] == 2 && !self.said_again(charge);
                charge.side == Side::Network
                    && charge.kind == Kind::Capture
                    && charge.merchant_ref == of.merchant_ref
                    && !named_otherwise
            });
            let first = charges.min_by_key(|other| {
                (!booked(*other), self.rows[*other].booked_at, self.rows[*other].event_ref.clone(), *other)
            });
            let Some(first) = first.filter(|first| *first != row) else { continue };
            let stays = self.rows[first];
            let same_payment = !of.group_ref.is_empty() && of.group_ref == stays.group_ref;
            if stays.amount_minor == of.amount_minor && stays.currency == of.currency && !same_payment {
                self.name("DuplicateCharge", row);
            }
        }
    }

    fn said_again(&self, charge: &Record) -> bool {
        self.verdicts.iter().any(|(name, _, _, _, event, key)| {
            name == "DuplicateCharge" && *event == charge.event_ref && *key == charge.merchant_ref
        })
    }

    fn leftovers(&mut self, policy: &Policy) {
        for (side, again) in [(Side::Network, "RepeatedByNetwork"), (Side::Ledger, "DuplicateBooking")] {
            for row in self.free(side) {
                let of = self.rows[row];
                let before = self.all().any(|other| {
                    let matched = self.rows[other];
                    self.state[other] == 1
                        && matched.side == side
                        && matched.kind == of.kind
                        && matched.event_ref == of.event_ref
                        && !of.event_ref.is_empty()
                });
                let late = of.booked_at > policy.network_complete_until;
                let name = match (before, side, late) {
                    (true, _, _) => again,
                    (false, Side::Network, _) => "NetworkOnly",
                    (false, _, true) => "NotKnowableBefore",
                    (false, _, false) => "LedgerOnly",
                };
                self.name(name, row);
            }
        }
    }
}
