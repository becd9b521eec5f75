//! The table that must balance: per currency, ledger + proposed = network, or the residual and why.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_domain::money::Currency;
use serde::{Deserialize, Serialize};

use super::{Action, Break};
use crate::policy::Scope;
use crate::record::{Record, Side};

/// Sums per side and currency, added up while rows are read and never from what was matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    rows: Vec<Sums>,
    network_rows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    currency: Currency,
    ledger: i128,
    network: i128,
    account_ledger: i128,
    account_network: i128,
}

impl Tally {
    /// Adds a record.
    #[inline]
    pub fn add(&mut self, record: &Record, scope: Scope) {
        let amount = i128::from(record.amount_minor);
        let sums = self.of(record.currency);
        match (record.side, scope.covers(record.kind)) {
            (Side::Ledger, true) => sums.ledger += amount,
            (Side::Network, true) => {
                sums.network += amount;
                self.network_rows += 1;
            }
            (Side::Ledger, false) => sums.account_ledger += amount,
            (Side::Network, false) => sums.account_network += amount,
            (Side::Attempts, _) => {}
        }
    }

    /// Takes bookings out again that are not of the run.
    pub(crate) fn without(mut self, set_aside: &[Record]) -> Self {
        for of in set_aside {
            self.of(of.currency).ledger -= i128::from(of.amount_minor);
        }
        self
    }

    /// Adds another part of the same run.
    pub(crate) fn merge(&mut self, other: &Self) {
        for row in &other.rows {
            let sums = self.of(row.currency);
            sums.ledger += row.ledger;
            sums.network += row.network;
            sums.account_ledger += row.account_ledger;
            sums.account_network += row.account_network;
        }
        self.network_rows += other.network_rows;
    }

    /// Rows of the network that are matched.
    pub(crate) fn network_rows(&self) -> u64 {
        self.network_rows
    }

    fn of(&mut self, currency: Currency) -> &mut Sums {
        let place = self.rows.iter().position(|row| row.currency == currency).unwrap_or_else(|| {
            self.rows.push(Sums { currency, ledger: 0, network: 0, account_ledger: 0, account_network: 0 });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }
}

/// Why a residual is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The break's name.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// What they leave, in minor units, as text.
    #[serde(serialize_with = "as_text")]
    pub sum_minor: i128,
}

/// One currency's line. All sums are signed minor units, and text in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conservation {
    /// The currency.
    pub currency: Currency,
    /// What the ledger has.
    #[serde(serialize_with = "as_text")]
    pub ledger_minor: i128,
    /// What the proposals would append.
    #[serde(serialize_with = "as_text")]
    pub proposed_minor: i128,
    /// What the network has.
    #[serde(serialize_with = "as_text")]
    pub network_minor: i128,
    /// Ledger + proposed - network.
    #[serde(serialize_with = "as_text")]
    pub residual_minor: i128,
    /// Why there is a residual, by break.
    pub because: Vec<Reason>,
    /// What no break explains. Anything but zero is a defect of the run.
    #[serde(serialize_with = "as_text")]
    pub unexplained_minor: i128,
    /// Fees, adjustments and payouts of the ledger: summed, and matched with nothing.
    #[serde(serialize_with = "as_text")]
    pub account_ledger_minor: i128,
    /// The same of the network.
    #[serde(serialize_with = "as_text")]
    pub account_network_minor: i128,
}

fn as_text<S: serde::Serializer>(sum: &i128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(sum)
}

/// The table. `has_network` is false where there was no file to balance with: then there is nothing to conserve, and no line.
pub(crate) fn conserve(tally: &Tally, breaks: &[Break], has_network: bool) -> Vec<Conservation> {
    if !has_network {
        return Vec::new();
    }
    let mut gaps: BTreeMap<Currency, i128> = BTreeMap::new();
    let mut proposed: BTreeMap<Currency, i128> = BTreeMap::new();
    let mut left: BTreeMap<(Currency, &'static str), (u64, i128)> = BTreeMap::new();
    for found in breaks {
        let mut leaves: BTreeMap<Currency, i128> = BTreeMap::new();
        for (currency, gap) in &found.gaps {
            *gaps.entry(*currency).or_default() += i128::from(*gap);
            *leaves.entry(*currency).or_default() += i128::from(*gap);
        }
        for proposal in found.proposals.iter().filter(|proposal| proposal.action != Action::Refund) {
            *proposed.entry(proposal.currency).or_default() += i128::from(proposal.amount_minor);
            *leaves.entry(proposal.currency).or_default() += i128::from(proposal.amount_minor);
        }
        for (currency, sum) in leaves.into_iter().filter(|(_, sum)| *sum != 0) {
            let reason = left.entry((currency, found.what.name())).or_default();
            *reason = (reason.0 + 1, reason.1 + sum);
        }
    }
    let mut tally = tally.clone();
    for currency in gaps.keys().chain(proposed.keys()) {
        tally.of(*currency);
    }
    tally.rows.sort_by_key(|row| row.currency);
    let lines = tally.rows.iter().map(|row| {
        let of = |sums: &BTreeMap<Currency, i128>| sums.get(&row.currency).copied().unwrap_or(0);
        let because = left.iter().filter(|((currency, _), _)| *currency == row.currency);
        let proposed_minor = of(&proposed);
        Conservation {
            currency: row.currency,
            ledger_minor: row.ledger,
            proposed_minor,
            network_minor: row.network,
            residual_minor: row.ledger + proposed_minor - row.network,
            because: because.map(|((_, what), (count, sum))| Reason { what, count: *count, sum_minor: *sum }).collect(),
            unexplained_minor: row.ledger - row.network - of(&gaps),
            account_ledger_minor: row.account_ledger,
            account_network_minor: row.account_network,
        }
    });
    lines.collect()
}

impl fmt::Display for Conservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor: i128| self.currency.display(minor);
        write!(
            f,
            "ledger {} + proposed {} = network {}",
            money(self.ledger_minor),
            money(self.proposed_minor),
            money(self.network_minor)
        )?;
        if self.residual_minor != 0 {
            write!(f, ", and {} more", money(self.residual_minor))?;
        }
        for (place, reason) in self.because.iter().enumerate() {
            let joint = if place == 0 { ": " } else { ", " };
            write!(f, "{joint}{} of {} {}", money(reason.sum_minor), reason.count, reason.what)?;
        }
        if self.unexplained_minor != 0 {
            write!(f, "; {} UNEXPLAINED", money(self.unexplained_minor))?;
        }
        Ok(())
    }
}
