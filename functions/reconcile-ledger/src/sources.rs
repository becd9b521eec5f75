//! Spools as rows, whatever their format.

use holdfast_settlement::format::adyen::{Identity, SettlementDetails};
use holdfast_settlement::format::ctf::BaseTwo;
use holdfast_settlement::format::ipm::{Clearing, Container};
use holdfast_settlement::format::ledger::LedgerRows;
use holdfast_settlement::format::mapping::{Mapped, Mapping};
use holdfast_settlement::format::stripe::Itemized;
use holdfast_settlement::format::{Fault, Fetch, FormatError, Rows};
use holdfast_settlement::record::{Position, Record};
use holdfast_settlement::{Limits, Seekable, Source, Streamed};

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
    /// Mastercard's clearing file (IPM), record after record.
    Mastercard,
    /// The same in blocks of 1014 bytes.
    MastercardBlocked,
    /// Visa's clearing file (BASE II CTF).
    Visa,
}

impl Format {
    /// The names of the folders, for a refusal.
    pub(crate) const FOLDERS: &str = "adyen, stripe, checkout, paypal, mastercard (VBS), mastercard-1014 (blocked), visa; or bank, for camt.053 and camt.054";

    /// The format of a provider's folder.
    pub(crate) fn of_folder(folder: &str) -> Option<Self> {
        match folder {
            "adyen" => Some(Self::Adyen),
            "stripe" => Some(Self::Stripe),
            "checkout" => Some(Self::Checkout),
            "paypal" => Some(Self::Paypal),
            "mastercard" => Some(Self::Mastercard),
            "mastercard-1014" => Some(Self::MastercardBlocked),
            "visa" => Some(Self::Visa),
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
            Self::Mastercard | Self::MastercardBlocked => "mastercard",
            Self::Visa => "visa",
        }
    }

    /// Begins at the first row.
    pub(crate) fn open<'a>(self, name: &str, spool: &'a Spool) -> Result<Box<dyn Rows + 'a>, FormatError> {
        match self {
            Self::Mastercard => Ok(Box::new(Clearing::open(name, reader(name, spool)?, Container::Vbs))),
            Self::MastercardBlocked => Ok(Box::new(Clearing::open(name, reader(name, spool)?, Container::Blocked1014))),
            Self::Visa => Ok(Box::new(BaseTwo::open(name, reader(name, spool)?))),
            Self::Adyen | Self::Stripe | Self::Checkout | Self::Paypal => Ok(self.table(name, spool)?),
        }
    }

    /// Begins at the first row of a file of lines, whose rows can be found again.
    fn table<'a>(self, name: &str, spool: &'a Spool) -> Result<Box<dyn Fetch + 'a>, FormatError> {
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
            Self::Mastercard | Self::MastercardBlocked | Self::Visa => Err(FormatError::at(
                name,
                Position::default(),
                Fault::NotThis { expected: "file of lines", found: self.name().to_owned() },
            )),
        }
    }

    /// The file as a source of a run.
    pub(crate) fn source<'a>(self, name: &'a str, spool: &'a Spool) -> FileSource<'a> {
        match self {
            Self::Adyen | Self::Stripe | Self::Checkout | Self::Paypal => {
                FileSource::Lines(Seekable::new(name, move || self.table(name, spool)).of_bytes(spool.bytes()))
            }
            Self::Mastercard | Self::MastercardBlocked | Self::Visa => {
                FileSource::Whole(Streamed::new(name, move || self.open(name, spool)).of_bytes(spool.bytes()))
            }
        }
    }
}

/// A file of the card network: rows are found again by seeking, or by reading it once more.
pub(crate) enum FileSource<'a> {
    Lines(Seekable<'a>),
    Whole(Streamed<'a>),
}

impl Source for FileSource<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Lines(source) => source.name(),
            Self::Whole(source) => source.name(),
        }
    }
    fn bytes(&self) -> Option<u64> {
        match self {
            Self::Lines(source) => source.bytes(),
            Self::Whole(source) => source.bytes(),
        }
    }
    fn open(&self) -> Result<Box<dyn Rows + '_>, FormatError> {
        match self {
            Self::Lines(source) => source.open(),
            Self::Whole(source) => source.open(),
        }
    }
    fn fetch(&self, places: &[Position], take: &mut dyn FnMut(&Record)) -> Result<(), FormatError> {
        match self {
            Self::Lines(source) => source.fetch(places, take),
            Self::Whole(source) => source.fetch(places, take),
        }
    }
}

/// Rows of the ledger.
pub(crate) fn ledger_rows<'a>(name: &str, spool: &'a Spool) -> Result<LedgerRows<SpoolReader<'a>>, FormatError> {
    LedgerRows::open(name, reader(name, spool)?)
}

/// Rows of the ledger as a source of a run.
pub(crate) fn ledger<'a>(name: &'a str, spool: &'a Spool) -> Seekable<'a> {
    let rows = move || Ok(Box::new(ledger_rows(name, spool)?) as Box<dyn Fetch + 'a>);
    Seekable::new(name, rows).of_bytes(spool.bytes())
}

/// What one run may use.
pub(crate) fn limits() -> Limits {
    Limits { memory_bytes: ROWS_BYTES, spill_directory: Some(std::env::temp_dir()), residue_rows_max: RESIDUE_MAX }
}

pub(crate) fn reader<'a>(name: &str, spool: &'a Spool) -> Result<SpoolReader<'a>, FormatError> {
    spool.read().map_err(|error| FormatError::at(name, Position::default(), Fault::Io(error)))
}
