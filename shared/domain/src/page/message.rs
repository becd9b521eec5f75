//! A page on its way: what every channel adds to it, before any provider has shaped it.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Page, Severity, Turn};
use crate::{Region, Timestamp};

/// A page as one run sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What is said.
    pub page: &'a Page,
    /// The Region that sends it.
    pub from: &'a Region,
    /// When it is sent.
    pub at: Timestamp,
    /// How long it could not be delivered before; absent: this is the first try.
    pub late: Option<Duration>,
    /// How many escalation steps it has taken: 0 when it is sent for the first time.
    pub step: usize,
    /// The channels that have not taken it, each with why.
    pub failed: &'a [String],
    /// Where the runbook is published.
    pub runbook_url: Option<&'a str>,
}

impl Message<'_> {
    /// The sentence for a lock screen, with what makes this sending another one.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut headline = String::new();
        if self.step > 0 {
            let _ = write!(headline, "NOT ACKNOWLEDGED (step {}): ", self.step);
        }
        if let Some(late) = self.late {
            let _ = write!(headline, "LATE by {}: ", minutes(late));
        }
        headline + &self.page.headline
    }

    /// Everything: what happened, what is needed, how to acknowledge it, and what did not get through.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = self.page.body.clone();
        if let Some(late) = self.late {
            let _ = write!(body, "\nThis page is late: it could not be delivered here for {}.", minutes(late));
        }
        for failure in self.failed {
            let _ = write!(body, "\nNot delivered through {failure}");
        }
        if let Some(command) = self.acknowledge() {
            let _ = write!(body, "\nTo stop the calls, say that you have it:\n{command}");
        }
        if let Some(link) = self.runbook() {
            let _ = write!(body, "\nRunbook: {link}");
        }
        body
    }

    /// The page's section of the published runbook.
    #[must_use]
    pub fn runbook(&self) -> Option<String> {
        Some(format!("{}#{}", self.runbook_url?, self.page.section))
    }

    /// The command that acknowledges it; `None` where nobody waits for one, or where the thread's name, which others may
    /// have written, is nothing to put into a shell.
    #[must_use]
    pub fn acknowledge(&self) -> Option<String> {
        let rings = self.page.severity == Severity::Critical || self.page.turn == Turn::Rehearses;
        let (_, incident) = self.page.thread.split_once('/')?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
        (rings && incident.chars().all(is_plain)).then(|| {
            format!(
                "aws lambda invoke --region {} --function-name holdfast-page-humans:live --cli-binary-format raw-in-base64-out --payload '{{\"action\":\"ack\",\"incident\":\"{incident}\",\"by\":\"<you>\"}}' /dev/stdout",
                self.from
            )
        })
    }
}

/// A time as people say it.
fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// The beginning of a text that fits, cut between two words; without a usable word, between two characters.
pub(super) fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let fits: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    let words = fits.rfind(char::is_whitespace).filter(|at| *at > 0).map_or(fits.as_str(), |at| &fits[..at]);
    format!("{}…", words.trim_end())
}

/// The same in printable ASCII, for what goes over telephone networks and through SNS subjects; never empty.
pub(super) fn cut_ascii(text: &str, characters_max: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect();
        if line.len() + usize::from(!line.is_empty()) + word.len() > characters_max {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if line.is_empty() { "Holdfast".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, characters_max: usize, expected: &str, ascii: &str) {
        assert_eq!(cut(text, characters_max), expected);
        assert_eq!(cut_ascii(text, characters_max), ascii);
    }

    #[test]
    fn a_text_that_fits_is_left_alone() {
        check("dark now", 8, "dark now", "dark now");
    }
    #[test]
    fn a_long_text_is_cut_on_a_word() {
        check("dark now, look", 11, "dark now,…", "dark now,");
    }
    #[test]
    fn a_text_without_a_usable_word_is_cut_all_the_same() {
        check(&"x".repeat(20), 10, "xxxxxxxxx…", "Holdfast");
        check("", 10, "", "Holdfast");
    }
    #[test]
    fn line_breaks_and_other_alphabets_do_not_reach_a_telephone() {
        check("dark\nnow – Zürich", 40, "dark\nnow – Zürich", "dark now - Z-rich");
    }
}
