//! Spools as rows, whatever their format.

use holdfast_settlement::format::adyen::{Identity, SettlementDetails};
use holdfast_settlement::format::ledger::LedgerRows;
use holdfast_settlement::format::mapping::{Mapped, Mapping};
use holdfast_settlement::format::stripe::Itemized;
use holdfast_settlement::format::{Fault, Fetch, FormatError};
use holdfast_settlement::record::Position;
use holdfast_settlement::{Limits, Seekable};

use crate::spool::{Spool, SpoolReader};

/// The metadata name that our own key is sent to Stripe under.
const STRIPE_KEY: &str = "attempt_key";
/// Rows in memory; a Lambda of 1 GB has room for it.
const ROWS_BYTES: usize = 256 << 20;
/// More rows than this without a partner mean that the sides do not belong together.
const RESIDUE_MAX: usize = 200_000;

/// What a file of the card network is read as. The folder that it lands in says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Adyen's settlement detail report.
    Adyen,
    /// Stripe's itemized payout reconciliation.
    Stripe,
    /// Checkout.com's settlement breakdown.
    Checkout,
    /// PayPal's settlement report.
    Paypal,
}

impl Format {
    /// The names of the folders, for a refusal.
    pub(crate) const FOLDERS: &str = "adyen, stripe, checkout, paypal";

    /// The format of a provider's folder.
    pub(crate) fn of_folder(folder: &str) -> Option<Self> {
        match folder {
            "adyen" => Some(Self::Adyen),
            "stripe" => Some(Self::Stripe),
            "checkout" => Some(Self::Checkout),
            "paypal" => Some(Self::Paypal),
            _ => None,
        }
    }

    /// The provider; part of every proposal's id.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adyen => "adyen",
            Self::Stripe => "stripe",
            Self::Checkout => "checkout",
            Self::Paypal => "paypal",
        }
    }

    /// Begins at the first row.
    pub(crate) fn open<'a>(self, name: &str, spool: &'a Spool) -> Result<Box<dyn Fetch + 'a>, FormatError> {
        let reader = reader(name, spool)?;
        let mapped = |json: &str, reader| -> Result<Box<dyn Fetch + 'a>, FormatError> {
            let mapping = Mapping::parse(json).map_err(|fault| FormatError::at(name, Position::default(), fault))?;
            Ok(Box::new(Mapped::open(name, reader, &mapping)?))
        };
        match self {
            Self::Adyen => Ok(Box::new(SettlementDetails::open(name, reader, Identity::Modification)?)),
            Self::Stripe => Ok(Box::new(Itemized::open(name, reader, STRIPE_KEY)?)),
            Self::Checkout => {
                mapped(include_str!("../../../shared/settlement/mappings/checkout-settlement-breakdown.json"), reader)
            }
            Self::Paypal => mapped(include_str!("../../../shared/settlement/mappings/paypal-settlement.json"), reader),
        }
    }

    /// The file as a source of a run.
    pub(crate) fn source<'a>(self, name: &'a str, spool: &'a Spool) -> Seekable<'a> {
        Seekable::new(name, move || self.open(name, spool))
    }
}

/// Rows of the ledger.
pub(crate) fn ledger_rows<'a>(name: &str, spool: &'a Spool) -> Result<LedgerRows<SpoolReader<'a>>, FormatError> {
    LedgerRows::open(name, reader(name, spool)?)
}

/// Rows of the ledger as a source of a run.
pub(crate) fn ledger<'a>(name: &'a str, spool: &'a Spool) -> Seekable<'a> {
    Seekable::new(name, move || Ok(Box::new(ledger_rows(name, spool)?) as Box<dyn Fetch + 'a>))
}

/// What one run may use.
pub(crate) fn limits() -> Limits {
    Limits { memory_bytes: ROWS_BYTES, spill_directory: Some(std::env::temp_dir()), residue_rows_max: RESIDUE_MAX }
}

fn reader<'a>(name: &str, spool: &'a Spool) -> Result<SpoolReader<'a>, FormatError> {
    spool.read().map_err(|error| FormatError::at(name, Position::default(), Fault::Io(error)))
}
