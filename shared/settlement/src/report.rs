//! What a run found, or that it does not know.

mod breaks;
mod conservation;
mod open;
mod output;
mod told;

pub use breaks::{AtNetwork, Break, Suggestion, Waiting, What};
pub(crate) use conservation::conserve;
pub use conservation::{Conservation, Reason, Tally};
use holdfast_domain::money::Currency;
pub use open::Lookout;
use serde::Serialize;
pub use told::Promise;
use xxhash_rust::xxh3::xxh3_128;

use crate::format::Finding;
use crate::policy::Policy;
use crate::record::{Kind, Position, Record, Side};

/// What an entry would do. Nothing here is ever posted by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Append the missing booking.
    Book,
    /// Append the opposite of a booking.
    Reverse,
    /// Append the difference.
    Adjust,
    /// Ask the provider to give the money back. It moves no booking of today.
    Refund,
}

/// An entry that would put a break right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The same for the same break in every run, so that an entry can be appended once: 32 hexadecimal digits.
    pub id: String,
    /// What it would do.
    pub action: Action,
    /// The ledger's key.
    pub attempt_key: String,
    /// The ledger's reference.
    pub network_reference: String,
    /// The ledger's kind.
    pub kind: Kind,
    /// Signed minor units; of a refund, what the cardholder gets.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Proposal {
    /// Sets the id: a function of the provider, the movement's references, the break, the action, and which of its like it is.
    pub(crate) fn identify(&mut self, policy: &Policy, what: &What, nth: usize) {
        let key = if self.network_reference.is_empty() { &self.attempt_key } else { &self.network_reference };
        let parts = [
            &policy.provider,
            key,
            &self.kind.to_string(),
            what.name(),
            &format!("{:?}", self.action),
            &nth.to_string(),
        ];
        self.id = format!("{:032x}", xxh3_128(parts.join("\0").as_bytes()));
    }
}

/// Which sides have a movement: all seven have a name, so that nothing falls between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// All three: settled.
    pub settled: u64,
    /// Ledger and network, and no mark of an attempt was among those given: settled as well.
    pub settled_unmarked: u64,
    /// Ledger and attempt: in transit, or `LedgerOnly` once it is overdue.
    pub not_at_network: u64,
    /// The ledger alone: the same.
    pub ledger_alone: u64,
    /// Attempt and network: `LostInFailover`.
    pub lost_and_cleared: u64,
    /// The attempt alone: `LostInFailover`, `NotKnowableBefore` or `NeverCharged`.
    pub attempt_alone: u64,
    /// The network alone: `NetworkOnly`, `DuplicateCharge` or `RepeatedByNetwork`.
    pub network_alone: u64,
}

/// A source of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceSummary {
    /// Its name; a break's evidence names its place in this list.
    pub name: String,
    /// Who tells.
    pub side: Side,
    /// Rows that were read.
    pub rows: u64,
    /// A digest of its records, to know it again in a later run.
    #[serde(serialize_with = "as_hexadecimal")]
    pub digest: u128,
}

fn as_hexadecimal<S: serde::Serializer>(digest: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{digest:032x}"))
}

/// A run that read everything.
#[derive(Clone, Debug, Serialize)]
pub struct Settlement {
    /// What was read.
    pub sources: Vec<SourceSummary>,
    /// What does not match; the most money with the least time first.
    pub breaks: Vec<Break>,
    /// Per currency: ledger + proposed = network, or why not.
    pub conservation: Vec<Conservation>,
    /// Who has what.
    pub presence: Presence,
    /// What the files say about themselves that does not add up.
    pub findings: Vec<Finding>,
    /// Bookings of other days that nothing needed: partners only, and not part of the sums.
    #[serde(skip)]
    pub set_aside: Vec<Record>,
}

/// Where a run that was cut short can go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resume {
    /// The source that was being read.
    pub source: String,
    /// Where its next row stands.
    pub position: Position,
    /// Rows read of all sources.
    pub rows_done: u64,
}

/// What a run found, or that it does not know.
///
/// A run that was cut short has no list of breaks at all: nobody can read it as "none".
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Report {
    /// Everything was read.
    Complete(Settlement),
    /// It was cut short.
    Unknown {
        /// Why.
        why: String,
        /// Where to go on.
        resume: Resume,
    },
}

impl Settlement {
    /// Whether there is nothing for a person: no break, no finding, and every sum explained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.breaks.is_empty()
            && self.findings.is_empty()
            && self.conservation.iter().all(|row| row.unexplained_minor == 0)
    }

    /// Keys of attempts whose outcome nobody knows yet: whoever retries one must be told so, and not charge on a maybe.
    pub fn in_doubt(&self) -> impl Iterator<Item = &str> {
        let waits = |found: &&Break| matches!(found.what, What::NotKnowableBefore { waiting: Waiting::InDoubt, .. });
        self.breaks.iter().filter(waits).map(|found| found.merchant_ref.as_str())
    }

    /// The proposed entries, in the order of their breaks.
    pub fn proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.breaks.iter().flat_map(|found| &found.proposals)
    }
}
