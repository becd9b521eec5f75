//! A report in brief, for the bus and the list of attempts in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use holdfast_domain::attempt::{Attempt, Stage, Window};
use holdfast_domain::money::Currency;
use holdfast_domain::reconciliation::{Doubt, Fate, Found};

use super::{Action, AtNetwork, Settlement, Waiting, What};
use crate::format::{FormatError, Rows};
use crate::record::{Kind, Record, Side};

/// One currency of what was promised: acknowledged = booked + proposed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The currency.
    pub currency: Currency,
    /// What whoever asked was told is paid.
    pub acknowledged_minor: i128,
    /// What the ledger has of it.
    pub booked_minor: i128,
    /// What the proposals would append.
    pub proposed_minor: i128,
}

impl Promise {
    /// What is acknowledged, and neither booked nor proposed.
    #[must_use]
    pub fn residual_minor(&self) -> i128 {
        self.acknowledged_minor - self.booked_minor - self.proposed_minor
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor: i128| self.currency.display(minor);
        write!(
            f,
            "acknowledged {} = booked {} + proposed {}",
            money(self.acknowledged_minor),
            money(self.booked_minor),
            money(self.proposed_minor)
        )?;
        match self.residual_minor() {
            0 => Ok(()),
            residual => write!(f, ", and {} more", money(residual)),
        }
    }
}

impl Settlement {
    /// The report in brief. `promises` stand in the place of conservation where there was no file to balance with.
    ///
    /// Lost is what somebody was told is paid. What was charged and never acknowledged is counted apart, as `ChargedInDoubt`.
    #[must_use]
    pub fn found(&self, attempts: &[Attempt], promises: &[Promise], window: Window, at_least: Option<String>) -> Found {
        let acknowledged: BTreeSet<&str> = attempts
            .iter()
            .filter(|mark| matches!(mark.stage, Stage::Acknowledged { .. }))
            .map(|mark| mark.key.as_str())
            .collect();
        let mut found = Found { window: Some(window), at_least, ..Found::default() };
        for of in &self.breaks {
            match &of.what {
                What::LostInFailover { .. } if acknowledged.contains(of.merchant_ref.as_str()) => {
                    found.lose(&of.merchant_ref, of.currency, of.at_risk_minor);
                }
                What::LostInFailover { .. } => *found.others.entry("ChargedInDoubt".to_owned()).or_default() += 1,
                What::NotKnowableBefore { waiting: Waiting::InDoubt, .. } => {
                    found.doubt(&of.merchant_ref, of.currency, of.at_risk_minor);
                }
                // What is on its way is nobody's work.
                What::NotKnowableBefore { waiting: Waiting::InTransit { .. }, .. } => {}
                What::NetworkOnly { .. }
                | What::LedgerOnly { .. }
                | What::DuplicateCharge { .. }
                | What::AmountMismatch { .. }
                | What::CurrencyMismatch { .. }
                | What::StatusMismatch { .. }
                | What::ReferenceMismatch { .. }
                | What::DuplicateBooking
                | What::RepeatedByNetwork
                | What::GroupSum { .. }
                | What::NeverCharged => *found.others.entry(of.what.name().to_owned()).or_default() += 1,
            }
        }
        let count = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
        found.proposed = count(self.proposals().count());
        found.refunds = count(self.proposals().filter(|proposal| proposal.action == Action::Refund).count());
        found.findings = self.findings.iter().map(ToString::to_string).collect();
        found.balance = promises.iter().map(ToString::to_string).collect();
        found.balance.extend(self.conservation.iter().map(ToString::to_string));
        let waiting = |what: &str| what == "NotKnowableBefore";
        found.balanced = promises.iter().all(|promise| promise.residual_minor() == 0)
            && self.conservation.iter().all(|line| {
                let in_transit: i128 = line.because.iter().filter(|it| waiting(it.what)).map(|it| it.sum_minor).sum();
                line.unexplained_minor == 0 && line.residual_minor == in_transit
            });
        found
    }

    /// The attempts in doubt, with where and when they were begun.
    #[must_use]
    pub fn doubts(&self, attempts: &[Attempt]) -> Vec<Doubt> {
        let wanted: BTreeSet<&str> = self.in_doubt().collect();
        let mut begun: BTreeMap<&str, &Attempt> = BTreeMap::new();
        for mark in attempts.iter().filter(|mark| wanted.contains(mark.key.as_str())) {
            let first = begun.entry(&mark.key).or_insert(mark);
            if mark.at < first.at {
                *first = mark;
            }
        }
        let doubts = begun.into_values().map(|mark| Doubt {
            key: mark.key.clone(),
            amount_minor: mark.amount_minor,
            currency: mark.currency,
            region: mark.region.clone(),
            begun_at: mark.at,
        });
        doubts.collect()
    }

    /// How attempts ended that somebody was in doubt about. `booked` are the keys that the ledger has.
    #[must_use]
    pub fn fates(&self, booked: &BTreeSet<String>) -> BTreeMap<String, Fate> {
        let mut fates: BTreeMap<String, Fate> = booked.iter().map(|key| (key.clone(), Fate::Booked)).collect();
        for of in self.breaks.iter().filter(|of| !of.merchant_ref.is_empty()) {
            let fate = match &of.what {
                What::LostInFailover { network: AtNetwork::Seen } | What::NetworkOnly { .. } => Fate::Charged,
                What::LostInFailover { network: AtNetwork::NotYet | AtNetwork::Missing } => Fate::Acknowledged,
                What::NeverCharged => Fate::NeverCharged,
                What::LedgerOnly { .. }
                | What::DuplicateCharge { .. }
                | What::AmountMismatch { .. }
                | What::CurrencyMismatch { .. }
                | What::StatusMismatch { .. }
                | What::ReferenceMismatch { .. }
                | What::DuplicateBooking
                | What::RepeatedByNetwork
                | What::GroupSum { .. }
                | What::NotKnowableBefore { .. } => continue,
            };
            if of.kind == Kind::Capture {
                fates.entry(of.merchant_ref.clone()).or_insert(fate);
            }
        }
        fates
    }

    /// Per currency, what was acknowledged against what the ledger has of it and what is proposed. Without a file of the
    /// network this is what must balance.
    pub fn promises(&self, attempts: &[Attempt], ledger: &mut dyn Rows) -> Result<Vec<Promise>, FormatError> {
        let mut lines: BTreeMap<Currency, Promise> = BTreeMap::new();
        let mut line = |currency: Currency, add: &dyn Fn(&mut Promise)| {
            let blank = Promise { currency, acknowledged_minor: 0, booked_minor: 0, proposed_minor: 0 };
            add(lines.entry(currency).or_insert(blank));
        };
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for mark in attempts {
            if let Stage::Acknowledged { network_reference } = &mark.stage
                && told.insert((&mark.key, network_reference))
            {
                line(mark.currency, &|it| it.acknowledged_minor += i128::from(mark.amount_minor));
            }
        }
        let keys: BTreeSet<&str> = told.iter().map(|(key, _)| *key).collect();
        let mut row = Record::blank(Side::Ledger);
        while ledger.read(&mut row)? {
            if row.kind == Kind::Capture && keys.contains(row.merchant_ref.as_str()) {
                line(row.currency, &|it| it.booked_minor += i128::from(row.amount_minor));
            }
        }
        for proposal in self.proposals().filter(|it| it.action != Action::Refund) {
            line(proposal.currency, &|it| it.proposed_minor += i128::from(proposal.amount_minor));
        }
        Ok(lines.into_values().collect())
    }
}
