//! A page for a webhook of anybody's: plain JSON, signed over the time and the body.

use serde_json::{Value, json};

use super::message::Message;
use crate::Timestamp;
use crate::signature;

/// The header with the time of signing, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-holdfast-timestamp";
/// The header with the signature: `v1=` and the HMAC-SHA256 over `<time>.<body>` in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-holdfast-signature";

/// Shapes a page.
#[must_use]
pub fn message(message: &Message<'_>) -> Value {
    let page = message.page;
    json!({
        "version": 1,
        "thread": page.thread,
        "kind": page.kind,
        "rank": page.rank,
        "turn": page.turn,
        "severity": page.severity,
        "headline": message.headline(),
        "body": message.body(),
        "runbook": message.runbook(),
        "acknowledge_with": message.acknowledge(),
        "escalation_step": message.step,
        "late_seconds": message.late.map(|late| late.as_secs()),
        "sent_from": message.from,
        "sent_at": message.at,
    })
}

/// The two headers of a signed body.
#[must_use]
pub fn headers(key: &str, body: &str, at: Timestamp) -> [(&'static str, String); 2] {
    let time = at.as_second().to_string();
    let signature = signature::sign(key, format!("{time}.{body}").as_bytes());
    [(TIMESTAMP_HEADER, time), (SIGNATURE_HEADER, format!("v1={signature}"))]
}

/// What a receiver does: nothing that is older than this is believed, so that what was listened to cannot be sent again.
pub const REPLAY_WINDOW_SECONDS: i64 = 300;

/// Whether a receiver may believe a body with these headers.
#[must_use]
pub fn is_genuine(key: &str, body: &str, time: &str, signature: &str, now: Timestamp) -> bool {
    let fresh = time
        .parse::<i64>()
        .is_ok_and(|time| time.checked_sub(now.as_second()).is_some_and(|apart| apart.abs() <= REPLAY_WINDOW_SECONDS));
    fresh && signature::is_signed(key, format!("{time}.{body}").as_bytes(), signature)
}
