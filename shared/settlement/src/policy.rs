//! What a run is told: until when the network's files are complete, what is compared, and how soon each break must be dealt with.

use std::collections::BTreeSet;

use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use jiff::SignedDuration;

use crate::record::{Family, Kind, Record, Side};

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

/// Which bookings a run judges.
///
/// The others, of days that other files settle, are there as partners of what needs one: without one they are set aside, and
/// neither a break nor part of any sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Those of this stretch of time.
    pub window: Window,
    /// And those that earlier runs left open, by [`Record::name`].
    pub carried: BTreeSet<String>,
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
    /// The network settles a booking within this time: before that, one that its files do not have is on its way.
    pub settles_within: SignedDuration,
    /// The bookings that are judged; `None` for all.
    pub judged: Option<Judged>,
    /// How far apart two records may be to suggest that they are one.
    pub suggest_within_days: i64,
}

impl Policy {
    /// Payments of one provider, settled at once; suggestions within three days, as weekends do not clear.
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
            settles_within: SignedDuration::ZERO,
            judged: None,
            suggest_within_days: 3,
        }
    }

    /// Whether the network's files would have what happened then. What has no time is taken as old.
    #[must_use]
    pub fn knowable(&self, at: Option<Timestamp>) -> bool {
        self.network_complete_until.is_some_and(|until| at.is_none_or(|at| at <= until))
    }

    /// Whether the network's files should have had a booking of that time by now.
    #[must_use]
    pub fn overdue(&self, booked: Option<Timestamp>) -> bool {
        let due = |booked: Timestamp| booked.checked_add(self.settles_within).unwrap_or(Timestamp::MAX);
        self.network_complete_until.is_some_and(|until| booked.is_none_or(|booked| due(booked) <= until))
    }

    /// Whether a row is judged, or only a partner.
    #[must_use]
    pub fn judges(&self, of: &Record) -> bool {
        let Some(judged) = &self.judged else { return true };
        of.side != Side::Ledger
            || of.time().is_none_or(|at| judged.window.holds(at))
            || judged.carried.contains(&of.name())
    }
}
