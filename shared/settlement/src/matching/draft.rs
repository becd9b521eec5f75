//! How a break is put together.

use holdfast_domain::money::Currency;

use crate::record::{Record, Side};
use crate::report::{Action, Break, Proposal, What};

/// A break about one record, with that record as its evidence. Deadline and ids come when all breaks are known.
pub(super) fn about(what: What, of: &Record) -> Break {
    Break {
        what,
        kind: of.kind,
        at_risk_minor: magnitude(of.amount_minor.into()),
        currency: of.currency,
        event_ref: of.event_ref.clone(),
        merchant_ref: of.merchant_ref.clone(),
        since: of.time(),
        deadline: holdfast_domain::Timestamp::UNIX_EPOCH,
        evidence: vec![(of.side, of.position)],
        gaps: Vec::new(),
        proposals: Vec::new(),
        suggestion: None,
    }
}

pub(super) fn magnitude(minor: i128) -> i64 {
    i64::try_from(minor.unsigned_abs()).unwrap_or(i64::MAX)
}

impl Break {
    /// The record's own amount is what one side has more.
    pub(super) fn with_gap_of(mut self, of: &Record) -> Self {
        self.gaps.push((of.currency, signed(of)));
        self
    }

    pub(super) fn with_gap(mut self, currency: Currency, minor: i128) -> Self {
        self.gaps.push((currency, i64::try_from(minor).unwrap_or(if minor < 0 { i64::MIN } else { i64::MAX })));
        self
    }

    pub(super) fn with_evidence<'r>(mut self, of: impl IntoIterator<Item = &'r Record>) -> Self {
        self.evidence.extend(of.into_iter().map(|record| (record.side, record.position)));
        self
    }

    pub(super) fn at_risk(mut self, minor: i128) -> Self {
        self.at_risk_minor = magnitude(minor);
        self
    }

    /// Proposes an entry like the record, of another amount.
    pub(super) fn propose(mut self, action: Action, like: &Record, amount_minor: i64) -> Self {
        self.proposals.push(Proposal {
            id: String::new(),
            action,
            attempt_key: if like.merchant_ref.is_empty() {
                self.merchant_ref.clone()
            } else {
                like.merchant_ref.clone()
            },
            network_reference: like.event_ref.clone(),
            kind: like.kind,
            amount_minor,
            currency: like.currency,
        });
        self
    }
}

/// What a record adds to ledger less network.
fn signed(of: &Record) -> i64 {
    match of.side {
        Side::Ledger => of.amount_minor,
        Side::Network => of.amount_minor.saturating_neg(),
        Side::Attempts => 0,
    }
}
