//! The neutral record: one movement of money as one side tells it, whatever the file looked like.

use std::fmt;

use holdfast_domain::Timestamp;
use holdfast_domain::attempt::{Attempt, Stage};
use holdfast_domain::money::Currency;
use holdfast_domain::reconciliation::name_of_payment;
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// Who tells of the movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Our books.
    Ledger,
    /// The payments tier's marks of what it tried.
    Attempts,
    /// The card network, the provider or the bank.
    Network,
}

/// What moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A charge that was captured.
    Capture,
    /// Money given back.
    Refund,
    /// Money that the cardholder's bank took back.
    Chargeback,
    /// A chargeback that was won.
    ChargebackReversal,
    /// A refund that did not arrive.
    RefundReversal,
    /// A capture, or part of one, that was undone.
    CaptureReversal,
    /// What the provider keeps.
    Fee,
    /// A correction of the account.
    Adjustment,
    /// Money that leaves for the bank.
    Payout,
}

/// Kinds that cancel each other out, and are summed when several rows stand for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Captures and what undoes them.
    Captures,
    /// Refunds and what undoes them.
    Refunds,
    /// Chargebacks and what undoes them.
    Chargebacks,
    /// Money that leaves for the bank.
    Payouts,
    /// Fees and corrections: of the account, and of no payment.
    Account,
}

impl Kind {
    /// Reads the ledger's word, such as `capture` or `charge`; `None` where it is no word of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        const WORDS: [(&str, Kind); 11] = [
            ("capture", Kind::Capture),
            ("charge", Kind::Capture),
            ("refund", Kind::Refund),
            ("chargeback", Kind::Chargeback),
            ("chargeback_reversal", Kind::ChargebackReversal),
            ("refund_reversal", Kind::RefundReversal),
            ("capture_reversal", Kind::CaptureReversal),
            ("fee", Kind::Fee),
            ("adjustment", Kind::Adjustment),
            ("payout", Kind::Payout),
            ("payment", Kind::Capture),
        ];
        WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Capture | Self::CaptureReversal => Family::Captures,
            Self::Refund | Self::RefundReversal => Family::Refunds,
            Self::Chargeback | Self::ChargebackReversal => Family::Chargebacks,
            Self::Payout => Family::Payouts,
            Self::Fee | Self::Adjustment => Family::Account,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Chargeback => "chargeback",
            Self::ChargebackReversal => "chargeback reversal",
            Self::RefundReversal => "refund reversal",
            Self::CaptureReversal => "capture reversal",
            Self::Fee => "fee",
            Self::Adjustment => "adjustment",
            Self::Payout => "payout",
        })
    }
}

/// How far the movement has come on its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Booked, settled, acknowledged.
    Final,
    /// Announced, and may still change.
    Pending,
    /// Begun, and nobody knows how it ended.
    InDoubt,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Final => "final",
            Self::Pending => "pending",
            Self::InDoubt => "in doubt",
        })
    }
}

/// Where a record stands in its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Which source of the run, in the order given.
    pub source: u16,
    /// Bytes before the record; of rows that are no file, rows before it.
    pub byte: u64,
    /// The line, from one; of binary files the record's number, from one.
    pub line: u64,
}

/// One movement of money as one side tells it.
///
/// Empty text means that the source does not say. The identities come first in every comparison; amount and time never identify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who tells it.
    pub side: Side,
    /// Where it stands.
    pub position: Position,
    /// What moved.
    pub kind: Kind,
    /// How far it has come.
    pub status: Status,
    /// The network's reference of this one movement.
    pub event_ref: String,
    /// The network's reference of the payment that the movement is part of.
    pub group_ref: String,
    /// Our own key: the order, the idempotency key.
    pub merchant_ref: String,
    /// Signed minor units of `currency` as ISO 4217 counts them, whatever the provider counts in; more is to us.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// What the provider kept, exact: providers write more decimals than the currency has.
    #[serde(skip)]
    pub fee: Option<Decimal>,
    /// What is left after fees, and in which currency.
    #[serde(skip)]
    pub net: Option<(Decimal, Currency)>,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// When it was booked or settled.
    pub booked_at: Option<Timestamp>,
    /// The provider's batch.
    pub batch: String,
    /// The payout that it is part of.
    pub payout: String,
    /// The card number, masked.
    pub card: String,
    /// The issuer's approval code.
    pub approval: String,
}

impl Record {
    /// A record that says nothing yet; readers fill it again and again, so that a row costs no allocation.
    #[must_use]
    pub fn blank(side: Side) -> Self {
        Self {
            side,
            position: Position::default(),
            kind: Kind::Capture,
            status: Status::Final,
            event_ref: String::new(),
            group_ref: String::new(),
            merchant_ref: String::new(),
            amount_minor: 0,
            currency: Currency::parse("XXX").expect("XXX is three capitals"),
            fee: None,
            net: None,
            at: None,
            booked_at: None,
            batch: String::new(),
            payout: String::new(),
            card: String::new(),
            approval: String::new(),
        }
    }

    /// When it was booked, or else when it happened.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.booked_at.or(self.at)
    }

    /// What open payments are known by from run to run.
    #[must_use]
    pub fn name(&self) -> String {
        name_of_payment(&self.kind.to_string(), &self.event_ref, &self.merchant_ref)
    }

    /// Empties every text and optional fact, and keeps their memory.
    pub fn clear(&mut self) {
        for text in [
            &mut self.event_ref,
            &mut self.group_ref,
            &mut self.merchant_ref,
            &mut self.batch,
            &mut self.payout,
            &mut self.card,
            &mut self.approval,
        ] {
            text.clear();
        }
        (self.fee, self.net, self.at, self.booked_at) = (None, None, None, None);
        self.status = Status::Final;
    }
}

/// A row of the ledger's view, as a query gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The merchant's key.
    pub attempt_key: String,
    /// The network's reference; empty where the ledger has none.
    pub network_reference: String,
    /// What moved.
    pub kind: Kind,
    /// Signed minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// When it was booked.
    pub booked_at: Timestamp,
}

impl From<Booking> for Record {
    fn from(booking: Booking) -> Self {
        Self {
            kind: booking.kind,
            event_ref: booking.network_reference,
            merchant_ref: booking.attempt_key,
            amount_minor: booking.amount_minor,
            currency: booking.currency,
            booked_at: Some(booking.booked_at),
            ..Self::blank(Side::Ledger)
        }
    }
}

impl From<&Attempt> for Record {
    fn from(attempt: &Attempt) -> Self {
        let mut record = Self::blank(Side::Attempts);
        match &attempt.stage {
            Stage::Begun => record.status = Status::InDoubt,
            Stage::Acknowledged { network_reference } => record.event_ref.clone_from(network_reference),
        }
        record.merchant_ref.clone_from(&attempt.key);
        record.amount_minor = attempt.amount_minor;
        record.currency = attempt.currency;
        record.at = Some(attempt.at);
        // An attempt is of no provider's batch; its Region stands there.
        attempt.region.as_str().clone_into(&mut record.batch);
        record
    }
}
