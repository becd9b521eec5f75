//! What a run is told: until when the network's files are complete, what is compared, and how soon each break must be dealt with.

use holdfast_domain::Timestamp;

use crate::record::{Family, Kind};

/// What is compared with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Captures, refunds, chargebacks and their reversals: the ledger against the network.
    #[default]
    Payments,
    /// Payouts: what the provider says it paid out, in the ledger's place, against the bank's statement.
    Payouts,
}

impl Scope {
    /// Whether records of that kind are matched; the others are only summed.
    #[must_use]
    pub fn covers(self, kind: Kind) -> bool {
        match (self, kind.family()) {
            (Self::Payments, Family::Captures | Family::Refunds | Family::Chargebacks)
            | (Self::Payouts, Family::Payouts) => true,
            (Self::Payments, Family::Payouts | Family::Account)
            | (Self::Payouts, Family::Captures | Family::Refunds | Family::Chargebacks | Family::Account) => false,
        }
    }
}

/// What a run is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The present: breaks are ordered by how soon their deadline is.
    pub now: Timestamp,
    /// The provider; part of every proposal's id.
    pub provider: String,
    /// What is compared.
    pub scope: Scope,
    /// The network's files have everything that happened up to here. `None`: they have not landed, and no absence means anything.
    pub network_complete_until: Option<Timestamp>,
    /// When the next file lands: what is not knowable yet is knowable then.
    pub next_file_at: Timestamp,
    /// How far apart two records may be to suggest that they are one.
    pub suggest_within_days: i64,
}

impl Policy {
    /// Payments of one provider; suggestions within three days, as weekends do not clear.
    #[must_use]
    pub fn new(
        provider: &str,
        now: Timestamp,
        network_complete_until: Option<Timestamp>,
        next_file_at: Timestamp,
    ) -> Self {
        Self {
            now,
            provider: provider.to_owned(),
            scope: Scope::Payments,
            network_complete_until,
            next_file_at,
            suggest_within_days: 3,
        }
    }

    /// Whether the network's files would have what happened then. What has no time is taken as old.
    #[must_use]
    pub fn knowable(&self, at: Option<Timestamp>) -> bool {
        self.network_complete_until.is_some_and(|until| at.is_none_or(|at| at <= until))
    }
}
