//! AWS Region names.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An AWS Region by its code, such as `eu-west-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Arc<str>);

/// The text is not shaped like a Region code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an AWS Region code; write it like `eu-west-1`")]
pub struct NotARegion(String);

impl Region {
    /// Parses a Region code: lower-case words joined by dashes, the last a number.
    pub fn new(code: &str) -> Result<Self, NotARegion> {
        let parts: Vec<&str> = code.split('-').collect();
        let number = parts.last().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
        let words = parts.len() >= 3
            && parts.iter().rev().skip(1).all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
        if number && words && code.len() <= 32 { Ok(Self(code.into())) } else { Err(NotARegion(excerpt(code))) }
    }

    /// The code, such as `eu-west-1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Region {
    type Error = NotARegion;
    fn try_from(code: String) -> Result<Self, NotARegion> {
        Self::new(&code)
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0.to_string()
    }
}

/// At most 60 characters of foreign text, so that an error message stays one line whatever was sent.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_codes_are_lower_case_words_and_a_number() {
        for good in ["eu-west-1", "ap-southeast-2", "us-gov-west-1"] {
            assert!(Region::new(good).is_ok(), "{good}");
        }
        for bad in ["", "eu-west", "EU-WEST-1", "eu--1", "eu-west-1a", "https://eu-west-1", "-west-1"] {
            assert!(Region::new(bad).is_err(), "{bad}");
        }
    }
}
