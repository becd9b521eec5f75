//! What does not match: one variant per cause, each with its numbers and its one sentence.

use std::fmt;

use holdfast_domain::Timestamp;
use holdfast_domain::money::Currency;
use serde::Serialize;

use super::Proposal;
use crate::record::{Kind, Position, Side, Status};

/// Whether the network has what the ledger lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AtNetwork {
    /// Its file has it.
    Seen,
    /// Its file could not have it yet.
    NotYet,
    /// Its file should have it, and has not.
    Missing,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// An attempt whose outcome nobody knows.
    InDoubt,
    /// A booking that the network has not settled yet.
    InTransit {
        /// Whether the payments tier marked it too.
        attempted: bool,
    },
}

/// What is wrong, and its numbers. Amounts are signed minor units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It was acknowledged, and the ledger lacks it: the failover lost it.
    LostInFailover {
        /// Whether the network has it.
        network: AtNetwork,
    },
    /// Only the network has it.
    NetworkOnly {
        /// Of a refund or chargeback, whether its payment was seen; a capture needs none.
        parent_known: bool,
    },
    /// Only the ledger has it, and the network's file would have it.
    LedgerOnly {
        /// Whether the payments tier marked it too.
        attempted: bool,
    },
    /// One key was charged more than once.
    DuplicateCharge {
        /// The charge that stays.
        first: String,
        /// Whether the ledger has this one as well.
        booked: bool,
    },
    /// Two sides have different amounts.
    AmountMismatch {
        /// Who says one.
        one: Side,
        /// One.
        one_minor: i64,
        /// Who says the other.
        other: Side,
        /// The other.
        other_minor: i64,
    },
    /// Ledger and network have different currencies.
    CurrencyMismatch {
        /// The ledger's.
        ledger: Currency,
        /// The ledger's amount.
        ledger_minor: i64,
        /// The network's.
        network: Currency,
        /// The network's amount.
        network_minor: i64,
    },
    /// Ledger and network call it different things.
    StatusMismatch {
        /// The ledger's word.
        ledger: (Kind, Status),
        /// The network's word.
        network: (Kind, Status),
    },
    /// The same movement under two references of the network.
    ReferenceMismatch {
        /// The ledger's.
        ledger: String,
        /// The network's.
        network: String,
    },
    /// The ledger has one movement more than once.
    DuplicateBooking,
    /// The network's files have one movement more than once.
    RepeatedByNetwork,
    /// Several rows that belong together sum to something else.
    GroupSum {
        /// The ledger's sum.
        ledger_minor: i64,
        /// The network's sum.
        network_minor: i64,
        /// Rows of both.
        rows: usize,
    },
    /// Nobody can know before that time.
    NotKnowableBefore {
        /// When the next file lands.
        cut_off: Timestamp,
        /// What is waited for.
        waiting: Waiting,
    },
    /// It was begun, and the network's complete file does not have it: nothing was charged.
    NeverCharged,
}

impl What {
    /// The name, as files and ids have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::LostInFailover { .. } => "LostInFailover",
            Self::NetworkOnly { .. } => "NetworkOnly",
            Self::LedgerOnly { .. } => "LedgerOnly",
            Self::DuplicateCharge { .. } => "DuplicateCharge",
            Self::AmountMismatch { .. } => "AmountMismatch",
            Self::CurrencyMismatch { .. } => "CurrencyMismatch",
            Self::StatusMismatch { .. } => "StatusMismatch",
            Self::ReferenceMismatch { .. } => "ReferenceMismatch",
            Self::DuplicateBooking => "DuplicateBooking",
            Self::RepeatedByNetwork => "RepeatedByNetwork",
            Self::GroupSum { .. } => "GroupSum",
            Self::NotKnowableBefore { .. } => "NotKnowableBefore",
            Self::NeverCharged => "NeverCharged",
        }
    }

    /// Days within which a person must have dealt with it: a cardholder charged twice sees it first, and refunds take days.
    #[must_use]
    pub fn days_to_act(&self) -> i64 {
        match self {
            Self::DuplicateCharge { .. } | Self::LostInFailover { .. } => 1,
            Self::NetworkOnly { .. } | Self::DuplicateBooking => 2,
            Self::AmountMismatch { .. }
            | Self::CurrencyMismatch { .. }
            | Self::StatusMismatch { .. }
            | Self::GroupSum { .. }
            | Self::LedgerOnly { .. } => 5,
            Self::ReferenceMismatch { .. }
            | Self::RepeatedByNetwork
            | Self::NotKnowableBefore { .. }
            | Self::NeverCharged => 10,
        }
    }
}

/// Two records that may be one, by amount and date: a person decides, and nothing is done about it here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// There is one candidate, and it has no other.
    Probably(Position),
    /// There are so many.
    Ambiguous(usize),
}

/// Something that does not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// What moved.
    pub kind: Kind,
    /// Minor units that are in question; never negative.
    pub at_risk_minor: i64,
    /// Of which currency.
    pub currency: Currency,
    /// The network's reference.
    pub event_ref: String,
    /// Our own key.
    pub merchant_ref: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when a person must have dealt with it.
    pub deadline: Timestamp,
    /// Where it is seen.
    pub evidence: Vec<(Side, Position)>,
    /// How much more the ledger has than the network because of it, per currency.
    #[serde(skip)]
    pub gaps: Vec<(Currency, i64)>,
    /// What would put it right.
    pub proposals: Vec<Proposal>,
    /// What it may be.
    pub suggestion: Option<Suggestion>,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |text: &str| if text.is_empty() { "without a reference".to_owned() } else { text.to_owned() };
        let (event, key) = (name(&self.event_ref), name(&self.merchant_ref));
        let money = |minor: i64| self.currency.display(minor.into());
        write!(f, "{} of {} ({event}, key {key}): ", self.kind, money(self.at_risk_minor))?;
        match &self.what {
            What::LostInFailover { network: AtNetwork::Seen } => {
                f.write_str("acknowledged and cleared, and the ledger lacks it")
            }
            What::LostInFailover { network: AtNetwork::NotYet } => {
                f.write_str("acknowledged, and the ledger lacks it; the network's file is still to come")
            }
            What::LostInFailover { network: AtNetwork::Missing } => {
                f.write_str("acknowledged, and neither the ledger nor the network has it; ask the provider")
            }
            What::NetworkOnly { parent_known: true } => f.write_str("only the network has it"),
            What::NetworkOnly { parent_known: false } => {
                f.write_str("only the network has it, and nobody has seen the payment that it belongs to")
            }
            What::LedgerOnly { attempted } => {
                let marked = if *attempted { "was attempted" } else { "has no attempt either" };
                write!(f, "only the ledger has it; it {marked}, and the network's complete file lacks it")
            }
            What::DuplicateCharge { first, booked } => {
                let books = if *booked { "both are booked" } else { "the ledger lacks it" };
                write!(f, "charged again after {first}; {books}")
            }
            What::AmountMismatch { one, one_minor, other, other_minor } => {
                write!(f, "{one:?} says {} and {other:?} says {}", money(*one_minor), money(*other_minor))
            }
            What::CurrencyMismatch { ledger, ledger_minor, network, network_minor } => write!(
                f,
                "the ledger says {} and the network {}",
                ledger.display((*ledger_minor).into()),
                network.display((*network_minor).into())
            ),
            What::StatusMismatch { ledger, network } => {
                write!(f, "the ledger says {} ({}) and the network {} ({})", ledger.0, ledger.1, network.0, network.1)
            }
            What::ReferenceMismatch { ledger, network } => {
                write!(f, "the ledger knows it as {ledger} and the network as {network}")
            }
            What::DuplicateBooking => f.write_str("booked more than once"),
            What::RepeatedByNetwork => f.write_str("the network's files have it more than once"),
            What::GroupSum { ledger_minor, network_minor, rows } => write!(
                f,
                "{rows} rows sum to {} in the ledger and {} at the network",
                money(*ledger_minor),
                money(*network_minor)
            ),
            What::NotKnowableBefore { cut_off, waiting } => {
                let waits = match waiting {
                    Waiting::InDoubt => "begun, and its outcome",
                    Waiting::InTransit { .. } => "booked, and whether it cleared",
                };
                write!(f, "{waits} cannot be known before {cut_off}")
            }
            What::NeverCharged => f.write_str("begun, and the network's complete file lacks it: nothing was charged"),
        }
    }
}
