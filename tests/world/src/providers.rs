//! Who calls people: PagerDuty's Events API v2, a Slack-compatible webhook, and a signed webhook of anybody's.
//!
//! They refuse what the real ones refuse, and remember what they took. How they fail is a matter of `fault`: they are asked
//! over HTTP (service `http`, in the Region `internet`), and the operation is the path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::region::Region;
use crate::service::respond;
use crate::world::World;

/// PagerDuty's host, and the path of its events.
pub const PAGERDUTY: (&str, &str) = ("events.pagerduty.com", "/v2/enqueue");
/// The chat's host, and the path that is its password.
pub const CHAT: (&str, &str) = ("hooks.slack.com", "/services/T000/B000/XXXX");
/// The signed webhook's host and path.
pub const WEBHOOK: (&str, &str) = ("hooks.example.com", "/holdfast");
/// The routing key of PagerDuty's integration.
pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
/// The key of the signed webhook.
pub const WEBHOOK_KEY: &str = "a key that only two know";
/// A signed webhook believes nothing that is older.
const REPLAY_WINDOW: u64 = 300;

/// An alert as PagerDuty has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alert {
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: &'static str,
    /// Every event about it that was taken: when, since the start; which action; and its summary.
    pub events: Vec<(Duration, String, String)>,
    /// How often it rang: it does when it is triggered anew, and not when an open alert is added to.
    pub rang: usize,
}

/// A message that a chat or a webhook took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// When, since the start.
    pub at: Duration,
    /// Whole.
    pub body: Value,
}

#[derive(Default)]
pub(crate) struct Providers {
    alerts: BTreeMap<String, Alert>,
    chat: Vec<Posted>,
    webhook: Vec<Posted>,
}

impl World {
    /// Starts all three.
    pub fn start_providers(&self) {
        type Take = fn(&World, &http::Request<Bytes>) -> (u16, String);
        let servers: [((&str, &str), Take); 3] = [(PAGERDUTY, pagerduty), (CHAT, chat), (WEBHOOK, webhook)];
        for ((host, path), take) in servers {
            let world = self.clone();
            self.serve_host(
                host,
                Region::INTERNET,
                Arc::new(move |request| {
                    let world = world.clone();
                    Box::pin(async move {
                        if request.method() != http::Method::POST || request.uri().path() != path {
                            return respond(404, "text/plain", "not found");
                        }
                        let (status, text) = take(&world, &request);
                        respond(status, "application/json", text)
                    })
                }),
            );
        }
    }

    /// PagerDuty's alerts by their deduplication keys.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<String, Alert> {
        self.state().providers.alerts.clone()
    }

    /// What the chat shows.
    #[must_use]
    pub fn chat(&self) -> Vec<Posted> {
        self.state().providers.chat.clone()
    }

    /// What the signed webhook took.
    #[must_use]
    pub fn webhook(&self) -> Vec<Posted> {
        self.state().providers.webhook.clone()
    }
}

fn bad(why: &str) -> (u16, String) {
    (400, json!({"status": "invalid event", "errors": [why]}).to_string())
}

fn pagerduty(world: &World, request: &http::Request<Bytes>) -> (u16, String) {
    if request.body().len() > 512_000 {
        return (413, "too large".into());
    }
    let Ok(event) = serde_json::from_slice::<Value>(request.body()) else { return bad("not JSON") };
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let (action, key) = (text("event_action").to_owned(), text("dedup_key").to_owned());
    let payload = &event["payload"];
    let summary = payload["summary"].as_str().unwrap_or_default().to_owned();
    if text("routing_key") != ROUTING_KEY {
        return bad("'routing_key' is invalid");
    }
    if key.is_empty() || key.len() > 255 {
        return bad("'dedup_key' must have 1 to 255 characters");
    }
    let severities = ["critical", "error", "warning", "info"];
    let whole = !summary.is_empty()
        && summary.chars().count() <= 1024
        && payload["source"].as_str().is_some_and(|source| !source.is_empty())
        && payload["severity"].as_str().is_some_and(|severity| severities.contains(&severity));
    let now = world.elapsed();
    let mut state = world.state();
    match action.as_str() {
        "trigger" if !whole => return bad("'payload' is incomplete"),
        "trigger" => {
            let alert = state.providers.alerts.entry(key.clone()).or_default();
            if alert.status != "triggered" && alert.status != "acknowledged" {
                alert.rang += 1;
                alert.status = "triggered";
            }
            alert.events.push((now, action, summary));
        }
        "acknowledge" | "resolve" => {
            // What is not open is left alone, and taken all the same.
            if let Some(alert) = state.providers.alerts.get_mut(&key) {
                alert.status = if action == "resolve" { "resolved" } else { "acknowledged" };
                alert.events.push((now, action, String::new()));
            }
        }
        _ => return bad("'event_action' is unknown"),
    }
    (202, json!({"status": "success", "message": "Event processed", "dedup_key": key}).to_string())
}

fn chat(world: &World, request: &http::Request<Bytes>) -> (u16, String) {
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return (400, "invalid_payload".into()) };
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    let fits = |block: &Value| {
        let length = |text: &Value| text["text"].as_str().map_or(0, |text| text.chars().count());
        match block["type"].as_str() {
            Some("header") => block["text"]["type"] == "plain_text" && (1..=150).contains(&length(&block["text"])),
            Some("section") => block["text"]["type"] == "mrkdwn" && (1..=3000).contains(&length(&block["text"])),
            Some("context") => block["elements"].as_array().is_some_and(|it| (1..=10).contains(&it.len())),
            _ => false,
        }
    };
    if blocks.is_empty() || blocks.len() > 50 || !blocks.iter().all(fits) {
        return (400, "invalid_blocks".into());
    }
    let at = world.elapsed();
    world.state().providers.chat.push(Posted { at, body });
    (200, "ok".into())
}

fn webhook(world: &World, request: &http::Request<Bytes>) -> (u16, String) {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let time = header("x-holdfast-timestamp");
    let now = world.clock(Region::INTERNET).as_second();
    let fresh = time.parse::<i64>().is_ok_and(|time| now.abs_diff(time) <= REPLAY_WINDOW);
    let signature = Hmac::<Sha256>::new_from_slice(WEBHOOK_KEY.as_bytes()).map(|mut mac| {
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(request.body());
        let digest = mac.finalize().into_bytes();
        digest.iter().fold("v1=".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
    });
    if !fresh || signature.ok().as_deref() != Some(header("x-holdfast-signature")) {
        return (401, "not signed".into());
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return (400, "not JSON".into()) };
    let at = world.elapsed();
    world.state().providers.webhook.push(Posted { at, body });
    (200, "{}".into())
}
