//! A page for PagerDuty's Events API v2 (PagerDuty developer documentation, "Send an alert event").
//!
//! A thread is one alert: later pages add to it. A page that asks for a decision is an alert of its own, because an alert
//! that somebody has acknowledged does not ring again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::message::{Message, cut};
use super::{Page, Turn};

/// A deduplication key is at most this long.
const KEY_MAX: usize = 255;
/// A summary is at most this long.
const SUMMARY_MAX: usize = 1024;
/// An event is at most 512 kB; four bytes for each character leave room for all else.
const DETAIL_MAX: usize = 100_000;

/// The alert that a thread has open.
#[must_use]
pub fn thread_key(thread: &str) -> String {
    bounded(format!("holdfast/{thread}"))
}

/// The alert of one decision.
#[must_use]
pub fn decision_key(thread: &str, kind: &str) -> String {
    bounded(format!("holdfast/{thread}#{kind}"))
}

/// The thread whose alert this is, as far as the key still shows it.
#[must_use]
pub fn thread_of(key: &str) -> Option<&str> {
    let thread = key.strip_prefix("holdfast/")?;
    Some(thread.split_once('#').map_or(thread, |(thread, _)| thread))
}

/// A key that is too long keeps its beginning, and a digest that keeps it apart from others.
fn bounded(key: String) -> String {
    if key.len() <= KEY_MAX {
        return key;
    }
    let digest =
        Sha256::digest(key.as_bytes()).iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let mut end = KEY_MAX - digest.len() - 1;
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}#{digest}", &key[..end])
}

/// The events of a page, in the order in which they are sent; the routing key is the sender's to add.
///
/// `asked`: the kinds of this thread that have asked for a decision, which a later page answers.
#[must_use]
pub fn events(message: &Message<'_>, asked: &BTreeSet<String>) -> Vec<Value> {
    let page = message.page;
    match page.turn {
        Turn::Asks => vec![trigger(message, &decision_key(&page.thread, &page.kind))],
        Turn::Tells | Turn::Rehearses => {
            let mut events = vec![trigger(message, &thread_key(&page.thread))];
            events.extend(answered(page, asked));
            events
        }
        Turn::Ends => {
            let mut events: Vec<Value> = answered(page, asked).collect();
            events.push(resolve(&thread_key(&page.thread)));
            events
        }
    }
}

/// What takes an alert back that was opened after its thread had ended.
#[must_use]
pub fn taken_back(page: &Page) -> Vec<Value> {
    let key = if page.turn == Turn::Asks { decision_key(&page.thread, &page.kind) } else { thread_key(&page.thread) };
    vec![resolve(&key)]
}

/// That somebody has it: the telephone stops.
#[must_use]
pub fn acknowledged(page: &Page) -> Value {
    let key = if page.turn == Turn::Asks { decision_key(&page.thread, &page.kind) } else { thread_key(&page.thread) };
    json!({"event_action": "acknowledge", "dedup_key": key})
}

fn answered(page: &Page, asked: &BTreeSet<String>) -> impl Iterator<Item = Value> {
    asked.iter().filter(|kind| **kind != page.kind).map(|kind| resolve(&decision_key(&page.thread, kind)))
}

fn resolve(key: &str) -> Value {
    json!({"event_action": "resolve", "dedup_key": key})
}

fn trigger(message: &Message<'_>, key: &str) -> Value {
    let page = message.page;
    let summary = match page.need() {
        Some(need) => format!("{} {need}", message.headline()),
        None => message.headline(),
    };
    let links: Vec<Value> =
        message.runbook().into_iter().map(|href| json!({"href": href, "text": "Runbook"})).collect();
    json!({
        "event_action": "trigger",
        "dedup_key": key,
        "client": "Holdfast",
        "links": links,
        "payload": {
            "summary": cut(&summary, SUMMARY_MAX),
            "source": format!("holdfast-page-humans in {}", message.from),
            "severity": page.severity.name(),
            "timestamp": format!("{:.3}", message.at),
            "component": page.thread.split('/').next().unwrap_or_default(),
            "group": cut(&page.thread, KEY_MAX),
            "class": cut(&page.kind, KEY_MAX),
            "custom_details": {
                "page": cut(&message.body(), DETAIL_MAX),
                "escalation_step": message.step,
                "acknowledge_with": message.acknowledge(),
            },
        },
    })
}
