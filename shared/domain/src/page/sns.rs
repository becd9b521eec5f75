//! A page for SNS: e-mail with everything, and an SMS that a telephone shows whole.

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::{Message, cut_ascii};

/// An SNS subject is at most this long (SNS API reference, Publish).
const SUBJECT_MAX: usize = 100;
/// One SMS in any alphabet that a network may choose for ASCII (SNS: 140 bytes a message).
const SMS_MAX: usize = 140;
/// SNS takes 256 KiB for all protocols together; nobody reads as much.
const BODY_MAX: usize = 60_000;

/// What `Publish` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnsMessage {
    /// For e-mail: ASCII, at most 100 characters.
    pub subject: String,
    /// What e-mail and every other protocol gets.
    pub default: String,
    /// What telephones get: ASCII, at most 140 characters.
    pub sms: String,
    /// What subscribers filter by, and what tells one page from another.
    pub attributes: BTreeMap<&'static str, String>,
}

/// Shapes a page for SNS.
#[must_use]
pub fn message(message: &Message<'_>) -> SnsMessage {
    let page = message.page;
    let headline = message.headline();
    let mut default = format!("{headline}\n\n{}", message.body());
    if let Some((cut, _)) = default.char_indices().nth(BODY_MAX) {
        default.truncate(cut);
        default.push_str("\n(cut; the rest is in the coordination table)");
    }
    let severity = page.severity.name().to_owned();
    SnsMessage {
        subject: cut_ascii(&headline, SUBJECT_MAX),
        default,
        sms: cut_ascii(&headline, SMS_MAX),
        attributes: BTreeMap::from([
            ("kind", page.kind.clone()),
            ("late_seconds", message.late.map_or(0, |late| late.as_secs()).to_string()),
            ("rank", page.rank.to_string()),
            ("severity", severity),
            ("step", message.step.to_string()),
            ("thread", page.thread.clone()),
        ]),
    }
}
