//! The card network: whatever was charged, it remembers. It knows nothing of our keys' meaning and charges twice when asked twice.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// One charge, as the network's own file will have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The network's reference.
    pub reference: String,
    /// The attempt key that the merchant sent along.
    pub attempt_key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// When, by the network's clock.
    pub at: jiff::Timestamp,
}

/// A network that both Regions reach.
#[derive(Clone, Debug, Default)]
pub struct CardNetwork(Arc<Mutex<Vec<Charge>>>);

impl CardNetwork {
    /// Charges a card and returns the network's reference.
    pub fn charge(&self, attempt_key: &str, amount_minor: i64, currency: &str, at: jiff::Timestamp) -> String {
        let mut charges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reference = format!("net-{:08}", charges.len() + 1);
        charges.push(Charge {
            reference: reference.clone(),
            attempt_key: attempt_key.to_owned(),
            amount_minor,
            currency: currency.to_owned(),
            at,
        });
        reference
    }

    /// The network's file of everything that was charged so far, as Stripe's itemized payout reconciliation has it.
    #[must_use]
    pub fn settlement_file(&self) -> String {
        let header = "source_id,reporting_category,created_utc,available_on_utc,currency,gross,fee,net,automatic_payout_id,payment_metadata[attempt_key]\n";
        self.charges().iter().fold(header.to_owned(), |mut file, charge| {
            let Charge { reference, attempt_key, amount_minor, currency, at } = charge;
            let when = at.strftime("%Y-%m-%d %H:%M:%S");
            let currency = currency.to_lowercase();
            let gross = format!("{}.{:02}", amount_minor / 100, amount_minor % 100);
            let _ = writeln!(file, "{reference},charge,{when},{when},{currency},{gross},0.00,{gross},,{attempt_key}");
            file
        })
    }

    /// Every charge ever made, in order.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
