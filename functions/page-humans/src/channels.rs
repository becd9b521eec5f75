//! Every channel of a page at once: each shapes the page in its own way, and none waits for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sns::types::MessageAttributeValue;
use futures_util::future::join_all;
use holdfast_aws::clients::{in_region, never_retried};
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::incident::Verb;
use holdfast_domain::page::message::Message;
use holdfast_domain::page::{Page, pagerduty, slack, sns, webhook};
use holdfast_domain::paging::{Channel, PAGERDUTY_EVENTS_URL, Provider, SNS, is_private_to_the_wire};
use serde_json::{Value, json};

use crate::Pager;
use crate::https::{Unsent, post};

/// A failing provider is tried once more after this.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// No channel holds a page up for longer: others that wait for this run look for ten seconds.
const CHANNEL_MAX: Duration = Duration::from_secs(8);

/// What became of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The channels that took it, as people call them.
    pub(crate) through: Vec<String>,
    /// The channels that did not, each with why.
    pub(crate) failed: BTreeMap<String, String>,
}

impl Pager<'_> {
    /// Sends a page through these channels. `asked`: the decisions of its thread that it answers.
    pub(crate) async fn send(
        &self,
        message: &Message<'_>,
        channels: &BTreeSet<String>,
        asked: &BTreeSet<String>,
    ) -> Sent {
        let tries = channels.iter().map(|name| async move {
            let tried = tokio::time::timeout(CHANNEL_MAX, Box::pin(self.through(name, message, asked))).await;
            (name, tried.unwrap_or_else(|_| Err(format!("no end after {} s", CHANNEL_MAX.as_secs()))))
        });
        let mut sent = Sent::default();
        for (name, tried) in join_all(tries).await {
            match tried {
                Ok(through) => sent.through.push(through),
                Err(why) => {
                    tracing::warn!(channel = name, thread = message.page.thread, "did not take the page: {why}");
                    sent.failed.insert(name.clone(), why);
                }
            }
        }
        sent
    }

    async fn through(&self, name: &str, message: &Message<'_>, asked: &BTreeSet<String>) -> Result<String, String> {
        match self.startup.config.paging.channel(name) {
            Some(channel) => {
                let events = match channel.provider {
                    Provider::PagerdutyEventsV2 => pagerduty::events(message, asked),
                    Provider::SlackWebhook => vec![slack::message(message)],
                    Provider::SignedWebhook => vec![webhook::message(message)],
                };
                self.post_all(channel, events).await.map(|()| name.to_owned())
            }
            None if name == SNS => self.sns(message).await,
            // It was taken out of the configuration since: nothing is left to be tried.
            None => Ok(format!("{name} (no longer configured)")),
        }
    }

    /// Tells every channel that keeps alerts what has become of one: taken back, or acknowledged.
    pub(crate) async fn tell_alert_keepers(&self, page: &Page, events: &[Value]) {
        let paging = &self.startup.config.paging;
        let keepers = paging.channels.iter().filter(|channel| channel.provider == Provider::PagerdutyEventsV2);
        for channel in keepers {
            if let Err(why) = self.post_all(channel, events.to_vec()).await {
                tracing::warn!(channel = channel.name, thread = page.thread, "its alert is not as it should be: {why}");
            }
        }
    }

    async fn post_all(&self, channel: &Channel, bodies: Vec<Value>) -> Result<(), String> {
        let secret = self.secrets.get(self.startup, &channel.secret).await?;
        for mut body in bodies {
            let (url, headers, body) = match channel.provider {
                Provider::PagerdutyEventsV2 => {
                    body["routing_key"] = json!(secret.reveal());
                    (channel.url.as_deref().unwrap_or(PAGERDUTY_EVENTS_URL), Vec::new(), body.to_string())
                }
                Provider::SlackWebhook if !is_private_to_the_wire(secret.reveal()) => {
                    return Err(format!("the secret {} holds no https:// address", channel.secret));
                }
                Provider::SlackWebhook => (secret.reveal(), Vec::new(), body.to_string()),
                Provider::SignedWebhook => {
                    let body = body.to_string();
                    let headers = webhook::headers(secret.reveal(), &body, self.startup.now()).to_vec();
                    (channel.url.as_deref().unwrap_or_default(), headers, body)
                }
            };
            match post(&self.startup.sdk, url, &headers, &body).await {
                Ok(()) => {}
                Err(Unsent::Again(first)) => {
                    tokio::time::sleep(TRY_AGAIN).await;
                    let again = post(&self.startup.sdk, url, &headers, &body).await;
                    again.map_err(|second| format!("{first}, then {}", second.why()))?;
                }
                Err(unsent @ (Unsent::Later(_) | Unsent::Refused(_))) => return Err(unsent.why()),
            }
        }
        Ok(())
    }

    /// A page that knows of no Region to avoid must not lean on the one that an incident holds to be dark.
    async fn is_failed_over_from(&self, region: &Region) -> bool {
        // Without the table nothing is known, and paging fails open.
        let state = self.startup.coordination().cluster_state().await;
        state.is_ok_and(|state| {
            state.open_incident().is_some_and(|incident| incident.verb == Verb::Failover && incident.from == *region)
        })
    }

    /// Tries the topics nearest first, never that of a Region that must not be relied on.
    async fn sns(&self, message: &Message<'_>) -> Result<String, String> {
        let topology = &self.startup.config.topology;
        let mut failures: Vec<String> = Vec::new();
        for (region, topic) in topology.page_topics(&self.startup.region, message.page.avoid.as_ref()) {
            let is_last_resort = region != self.startup.region && region != topology.witness.region;
            if is_last_resort && self.is_failed_over_from(&region).await {
                failures.push(format!("sns in {region}: not tried, the open incident has it dark"));
                continue;
            }
            let failed: Vec<String> = message.failed.iter().chain(&failures).cloned().collect();
            let shaped = sns::message(&Message { failed: &failed, ..message.clone() });
            let text = json!({"default": shaped.default, "sms": shaped.sms}).to_string();
            let attributes = shaped.attributes.into_iter().filter_map(|(name, value)| {
                let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()?;
                Some((name.to_owned(), value))
            });
            let published = aws_sdk_sns::Client::new(&in_region(&self.startup.sdk, &region))
                .publish()
                .topic_arn(topic)
                .subject(shaped.subject)
                .message_structure("json")
                .message(text)
                .set_message_attributes(Some(attributes.collect()))
                .customize()
                .config_override(aws_sdk_sns::config::Config::builder().retry_config(never_retried()))
                .send()
                .await;
            match published {
                Ok(_) => return Ok(format!("sns in {region}")),
                Err(error) => failures.push(format!("sns in {region}: {}", causes(&error))),
            }
        }
        Err(failures.join("; "))
    }
}
