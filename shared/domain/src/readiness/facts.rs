//! What was read of a Region: one entry for each read, with every setting that it shows.

use std::collections::BTreeMap;
use std::fmt;

use super::Setting;
use crate::Region;
use crate::promotion::Observed;

/// One read of one Region, such as "the ECS service".
pub type Read = String;

/// What DNS says of a Region: it is read in us-east-1, whatever has become of the Region.
pub const DNS_READ: &str = "the DNS record";

/// Everything that was read of one data Region, or why it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionFacts {
    /// The Region.
    pub region: Region,
    /// Each read by its name; both Regions are read in the same way, so the names are the same.
    pub reads: BTreeMap<Read, Observed<Vec<Seen>>>,
}

/// A setting of a thing, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which setting.
    pub setting: Setting,
    /// Of what, by a name that is the same in both Regions, such as `payment-attempts`.
    pub subject: String,
    /// As it was read.
    pub value: Value,
}

/// What a setting was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is not there. This was seen; what could not be looked at is no value at all.
    Absent,
    /// On or off.
    Flag(bool),
    /// A number, in the setting's own unit.
    Number(u64),
    /// Words.
    Text(String),
    /// Something secret, as a salted hash that is compared and never shown.
    Secret(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not there"),
            Self::Flag(true) => f.write_str("on"),
            Self::Flag(false) => f.write_str("off"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Secret(_) => f.write_str("a value of its own (not shown)"),
        }
    }
}

impl Seen {
    /// A setting as it was seen.
    pub fn new(setting: Setting, subject: &str, value: Value) -> Self {
        Self { setting, subject: subject.to_owned(), value }
    }
}

impl RegionFacts {
    /// What was seen of a setting of a thing; `None` where no read has shown it.
    #[must_use]
    pub fn value(&self, setting: Setting, subject: &str) -> Option<&Value> {
        self.seen().find(|seen| seen.setting == setting && seen.subject == subject).map(|seen| &seen.value)
    }

    /// A number, of whichever thing has it; `None` where no read has shown one.
    #[must_use]
    pub fn number(&self, setting: Setting) -> Option<u64> {
        self.seen().filter(|seen| seen.setting == setting).find_map(|seen| match seen.value {
            Value::Number(number) => Some(number),
            Value::Absent | Value::Flag(_) | Value::Text(_) | Value::Secret(_) => None,
        })
    }

    /// Everything that was seen.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.reads
            .values()
            .filter_map(|read| match read {
                Observed::Seen(seen) => Some(seen),
                Observed::Unseen { .. } => None,
            })
            .flatten()
    }

    /// Nothing at all could be read: it is dark, or out of reach.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let mut own = self.reads.iter().filter(|(name, _)| *name != DNS_READ).peekable();
        own.peek().is_some() && own.all(|(_, read)| matches!(read, Observed::Unseen { .. }))
    }
}
