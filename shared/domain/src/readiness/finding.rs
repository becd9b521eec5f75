//! What was found: each with evidence from both sides, why it hurts, and the fix.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Region;
use crate::page::Severity;

/// A difference between the Regions, or something that would hurt in either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable, such as `service-image-differs`.
    pub id: String,
    /// Of what, such as `payment-attempts`.
    pub subject: String,
    /// The Region that is wrong by itself; absent where the two only differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// `critical`: the Region it concerns could not carry everything.
    pub severity: Severity,
    /// What was seen, in both Regions.
    pub sides: Vec<Side>,
    /// What it should be, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub should_be: Option<String>,
    /// Why it hurts during an outage.
    pub hurts: String,
    /// The fix, as a command or a line of Terraform.
    pub fix: String,
}

/// What one Region shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The Region.
    pub region: Region,
    /// What was seen there.
    pub shows: String,
}

/// A read that failed: what it would have shown is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Of which Region.
    pub region: Region,
    /// What was read.
    pub read: String,
    /// Why it could not be.
    pub why: String,
}

impl Finding {
    /// What makes it the same finding in the next run, whatever its evidence then says.
    #[must_use]
    pub fn key(&self) -> String {
        let place = self.region.as_ref().map_or("", |region| region.as_str());
        format!("{}/{}/{place}", self.id, self.subject)
    }

    /// It concerns this Region: it is wrong there, or the two differ and nobody knows which is right.
    #[must_use]
    pub fn concerns(&self, region: &Region) -> bool {
        self.region.as_ref().is_none_or(|wrong| wrong == region)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.subject)?;
        if let Some(region) = &self.region {
            write!(f, " in {region}")?;
        }
        for (number, side) in self.sides.iter().enumerate() {
            let sign = if number == 0 { ":" } else { "," };
            write!(f, "{sign} {} shows {}", side.region, side.shows)?;
        }
        match &self.should_be {
            Some(should_be) => write!(f, "; it should be {should_be}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} could not be read: {}", self.read, self.region, self.why)
    }
}
