//! SNS: topics that reach people and functions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::region::Region;
use crate::service::{query_error, respond};
use crate::world::{ACCOUNT, World};

/// Something that reached a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// When it arrived, since the start.
    pub at: Duration,
    /// When it was published, since the start.
    pub sent: Duration,
    /// The topic's Region.
    pub region: Region,
    /// Its subject.
    pub subject: String,
    /// Its text, as e-mail shows it.
    pub message: String,
    /// What a telephone shows.
    pub sms: String,
    /// Its message attributes of type String.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Default)]
pub(crate) struct Sns {
    topics: BTreeSet<String>,
    functions: BTreeMap<String, Vec<(Region, &'static str)>>,
    inbox: Vec<Letter>,
}

/// The ARN of a topic.
#[must_use]
pub fn topic_arn(region: Region, name: &str) -> String {
    format!("arn:aws:sns:{region}:{ACCOUNT}:{name}")
}

impl World {
    /// Creates a topic; whatever is published to it reaches a person.
    pub fn create_topic(&self, arn: &str) {
        self.state().sns.topics.insert(arn.to_owned());
    }

    /// Sends what is published to a topic to a function, of any Region.
    pub fn subscribe_function(&self, arn: &str, region: Region, function: &'static str) {
        self.state().sns.functions.entry(arn.to_owned()).or_default().push((region, function));
    }

    /// What people have got so far.
    #[must_use]
    pub fn inbox(&self) -> Vec<Letter> {
        self.state().sns.inbox.clone()
    }

    pub(crate) fn publish(
        &self,
        at: Region,
        arn: &str,
        subject: &str,
        text: impl Into<Texts>,
        attributes: BTreeMap<String, String>,
    ) {
        let sent = self.elapsed();
        let functions = self.state().sns.functions.get(arn).cloned().unwrap_or_default();
        let (subject, Texts { message, sms }) = (subject.to_owned(), text.into());
        for (region, function) in functions {
            let envelope = json!({"Records": [{
                "EventVersion": "1.0", "EventSubscriptionArn": format!("{arn}:0"), "EventSource": "aws:sns",
                "Sns": {
                    "SignatureVersion": "1", "Timestamp": format!("{:.3}", self.now()), "Signature": "-",
                    "SigningCertUrl": "https://sns.amazonaws.com/cert.pem", "MessageId": "0", "Message": message,
                    "MessageAttributes": {}, "Type": "Notification",
                    "UnsubscribeUrl": "https://sns.amazonaws.com/unsubscribe", "TopicArn": arn, "Subject": subject,
                },
            }]});
            let payload = Bytes::from(envelope.to_string());
            self.after(Duration::from_millis(400), move |world| {
                // SNS keeps trying for days; the function's Region has to be back.
                world.invoke_async(region, function, payload);
            });
        }
        let delay = Duration::from_millis(600 + self.draw(800));
        self.after(delay, move |world| {
            let at_time = world.elapsed();
            world.record("a person", format!("reads: {subject}"));
            world.state().sns.inbox.push(Letter { at: at_time, sent, region: at, subject, message, sms, attributes });
        });
    }
}

/// What each protocol gets.
pub(crate) struct Texts {
    message: String,
    sms: String,
}

impl Texts {
    /// With the structure `json`, each protocol has its own text, and all others that of `default`.
    fn of(structure: &str, message: &str) -> Result<Self, &'static str> {
        if structure != "json" {
            return Ok(Self { message: message.to_owned(), sms: message.to_owned() });
        }
        let texts: BTreeMap<String, String> = serde_json::from_str(message)
            .map_err(|_| "Invalid parameter: Message Structure - JSON message body failed to parse")?;
        let Some(default) = texts.get("default") else {
            return Err("Invalid parameter: Message Structure - No default entry in JSON message body");
        };
        let text = |protocol: &str| texts.get(protocol).unwrap_or(default).clone();
        Ok(Self { message: text("email"), sms: text("sms") })
    }
}

impl From<&String> for Texts {
    fn from(text: &String) -> Self {
        Self { message: text.clone(), sms: text.clone() }
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let form: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("Action") != "Publish" {
        return query_error(400, "InvalidAction", "this world's SNS speaks Publish");
    }
    let subject = field("Subject");
    if subject.len() > 100 || !subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return query_error(400, "InvalidParameter", "Invalid parameter: Subject");
    }
    let known = world.state().sns.topics.contains(field("TopicArn"));
    if !known || !field("TopicArn").contains(&format!(":{at}:")) {
        return query_error(404, "NotFound", "Topic does not exist");
    }
    let attributes = (1..)
        .map_while(|number| {
            let part = |name: &str| form.get(&format!("MessageAttributes.entry.{number}.{name}")).cloned();
            Some((part("Name")?, part("Value.StringValue").unwrap_or_default()))
        })
        .collect();
    let text = match Texts::of(field("MessageStructure"), field("Message")) {
        Ok(text) => text,
        Err(why) => return query_error(400, "InvalidParameter", why),
    };
    world.publish(at, field("TopicArn"), subject, text, attributes);
    respond(
        200,
        "text/xml",
        r#"<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>0</MessageId></PublishResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></PublishResponse>"#,
    )
}
