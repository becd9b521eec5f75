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
    let mut short: String = text.chars().filter(|c| !breaks_a_line(*c)).take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A sentence with foreign text in it as one line: beyond `beginning` and `end` characters its middle is left out.
///
/// What was sent stands at the beginning of a parser's sentence, and what was expected at its end.
pub(crate) fn one_line(text: &str, beginning: usize, end: usize) -> String {
    let line: Vec<char> = text.chars().map(|c| if breaks_a_line(c) { ' ' } else { c }).collect();
    if line.len() <= beginning.saturating_add(end) {
        return line.into_iter().collect();
    }
    let (head, rest) = line.split_at(beginning);
    let tail = rest.split_at(rest.len() - end).1;
    head.iter().chain(&['…']).chain(tail).collect()
}

/// Control characters, and what Unicode has to break a line or to turn it round: a log or a terminal would show another sentence.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(one_line(text, 4, 3), expected);
    }

    #[test]
    fn a_sentence_that_fits_is_left_alone() {
        check("", "");
        check("1234567", "1234567");
    }
    #[test]
    fn a_sentence_that_is_too_long_keeps_its_beginning_and_its_end() {
        check("12345678", "1234…678");
        check("ééééééééééé", "éééé…ééé");
    }
    #[test]
    fn what_breaks_or_turns_a_line_is_a_blank_in_a_sentence_and_left_out_of_an_excerpt() {
        check("a\nb\u{2028}c", "a b c");
        check("\u{1b}\u{202e}\u{2066}x", "   x");
        assert_eq!(excerpt("a\nb\u{2029}c\u{2069}"), "abc…");
    }
    #[test]
    fn an_excerpt_has_sixty_characters_of_what_was_sent() {
        assert_eq!(excerpt(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(excerpt(&"x".repeat(61)), format!("{}…", "x".repeat(60)));
    }
}
