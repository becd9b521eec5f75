//! How people are reached: the channels, which pages each of them takes, and who is next while nobody answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::page::{Page, Severity, Turn};
use crate::region::excerpt;

/// The name under which each Region's SNS topics are one channel: every page takes it.
pub const SNS: &str = "sns";

/// Channels and escalation. Left out, pages go to SNS alone and nobody else is called when nobody answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Channels besides SNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// Who is told besides while nobody acknowledges a critical page, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalation: Vec<EscalationStep>,
    /// Where `docs/runbook.md` is published; each page links to its section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    /// The secret with which PagerDuty signs its webhooks, so that an acknowledgement there counts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagerduty_webhook_secret: Option<String>,
}

/// One way to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What people call it; pages name it when it fails.
    pub name: String,
    /// What it speaks.
    pub provider: Provider,
    /// Where it listens. PagerDuty has a default; of a Slack-compatible webhook the address is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The name of its secret in Secrets Manager, the same in each Region.
    pub secret: String,
    /// The quietest page that it takes.
    #[serde(default = "every_page")]
    pub from_severity: Severity,
    /// It is rung only by the escalation steps that name it.
    #[serde(default)]
    pub only_escalation: bool,
}

/// What a channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// PagerDuty Events API v2. The secret is the integration's routing key.
    PagerdutyEventsV2,
    /// A Slack-compatible incoming webhook (Slack, Mattermost). The secret is its address.
    SlackWebhook,
    /// A webhook of anybody's, signed with HMAC-SHA256. The secret is the key.
    SignedWebhook,
}

/// What happens when nobody has acknowledged a critical page for so long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscalationStep {
    /// Seconds after the page was first sent.
    pub after_seconds: u64,
    /// The channels that the page is sent through again; `sns` may be among them.
    pub channels: Vec<String>,
}

impl EscalationStep {
    /// After so long without an acknowledgement.
    #[must_use]
    pub fn after(&self) -> Duration {
        Duration::from_secs(self.after_seconds)
    }
}

fn every_page() -> Severity {
    Severity::Info
}

/// Five calls in vain are a problem of the rota and not of a sixth call.
const STEPS_MAX: usize = 5;
/// Each channel is tried at once with all others, in one run's time.
const CHANNELS_MAX: usize = 12;
/// PagerDuty's own address; a European account gives `url` instead.
pub const PAGERDUTY_EVENTS_URL: &str = "https://events.pagerduty.com/v2/enqueue";

impl Paging {
    /// The channels of a page when it is first sent. SNS is one of them always; a rehearsal tries every one there is.
    #[must_use]
    pub fn channels_for(&self, page: &Page) -> BTreeSet<String> {
        let takes =
            |channel: &&Channel| page.turn == Turn::Rehearses || (!channel.only_escalation && channel.takes(page));
        let named = self.channels.iter().filter(takes).map(|channel| channel.name.clone());
        named.chain([SNS.to_owned()]).collect()
    }

    /// The channel of that name; `None` is SNS, or one that the configuration no longer has.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// The steps after the first `taken` ones that are due `waited` after the page was sent: how many are taken then,
    /// and the channels that they name.
    #[must_use]
    pub fn steps_due(&self, taken: usize, waited: Duration) -> Option<(usize, BTreeSet<String>)> {
        let due: Vec<&EscalationStep> =
            self.escalation.iter().skip(taken).take_while(|step| step.after() <= waited).collect();
        if due.is_empty() {
            return None;
        }
        Some((taken + due.len(), due.into_iter().flat_map(|step| step.channels.iter().cloned()).collect()))
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field: String, problem: String, fix: &str| Err(ConfigError::new(&field, problem, fix));
        if self.channels.len() > CHANNELS_MAX {
            let problem = format!("has {} entries", self.channels.len());
            return refuse("paging.channels".into(), problem, "name at most 12: all are tried at once");
        }
        for (index, channel) in self.channels.iter().enumerate() {
            channel.validate(&format!("paging.channels[{index}]"))?;
            if self.channels.iter().take(index).any(|earlier| earlier.name == channel.name) {
                let problem = format!("is `{}`, like an earlier one", excerpt(&channel.name));
                return refuse(format!("paging.channels[{index}].name"), problem, "give each channel its own name");
            }
        }
        if self.escalation.len() > STEPS_MAX {
            let problem = format!("has {} steps", self.escalation.len());
            return refuse("paging.escalation".into(), problem, "give at most five");
        }
        let mut earlier = 0;
        for (index, step) in self.escalation.iter().enumerate() {
            let field = |name: &str| format!("paging.escalation[{index}].{name}");
            if step.after_seconds <= earlier || step.after_seconds > 86_400 {
                let problem = format!("is {}", step.after_seconds);
                return refuse(field("after_seconds"), problem, "let it rise from step to step, up to a day");
            }
            earlier = step.after_seconds;
            let unknown = step.channels.iter().find(|name| *name != SNS && self.channel(name).is_none());
            if let Some(unknown) = unknown {
                let problem = format!("names `{}`", excerpt(unknown));
                return refuse(field("channels"), problem, "name `sns` or one of paging.channels");
            }
            if step.channels.is_empty() {
                return refuse(field("channels"), "is empty".into(), "name whom the step calls");
            }
        }
        match &self.runbook_url {
            Some(url) if !url.starts_with("https://") => {
                let problem = format!("is `{}`", excerpt(url));
                refuse("paging.runbook_url".into(), problem, "give a full https:// URL")
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Channel {
    /// What this channel is for: an alert that it has open is closed there, however quiet the page that ends it.
    fn takes(&self, page: &Page) -> bool {
        let keeps_alerts = self.provider == Provider::PagerdutyEventsV2;
        page.severity >= self.from_severity || (keeps_alerts && page.turn == Turn::Ends)
    }

    fn validate(&self, at: &str) -> Result<(), ConfigError> {
        let refuse =
            |field: &str, problem: String, fix: &str| Err(ConfigError::new(&format!("{at}.{field}"), problem, fix));
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(is_word) || self.name == SNS {
            let problem = format!("is `{}`", excerpt(&self.name));
            return refuse(
                "name",
                problem,
                "give it a name of its own, such as `pagerduty` (lower case, digits, dashes)",
            );
        }
        if self.secret.trim().is_empty() {
            return refuse("secret", "is empty".into(), "name its secret in Secrets Manager");
        }
        match (self.provider, self.url.as_deref()) {
            (Provider::SlackWebhook, Some(_)) => {
                let problem = "is given, but its address is a password: whoever has it can write there".into();
                refuse("url", problem, "leave it out, and put the address into the secret")
            }
            (Provider::SignedWebhook, None) => refuse("url", "is absent".into(), "say where the webhook listens"),
            (_, Some(url)) if !is_private_to_the_wire(url) => {
                let problem = format!("is `{}`", excerpt(url));
                refuse("url", problem, "give a full https:// URL: pages carry what was lost")
            }
            (_, Some(_)) | (Provider::PagerdutyEventsV2 | Provider::SlackWebhook, None) => Ok(()),
        }
    }
}

/// HTTPS, or a server on this machine for trying things out.
#[must_use]
pub fn is_private_to_the_wire(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://localhost:"];
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) || local.iter().any(|it| url.starts_with(it))
}

#[cfg(test)]
mod tests;
