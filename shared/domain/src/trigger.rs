//! Bytes into a `Trigger`: SNS envelopes, EventBridge events, CloudWatch alarm actions, schedules, manual JSON, and lists of them.
//!
//! What cannot be named is an error that says what was expected. It never moves anything.

use std::collections::BTreeSet;

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sns::SnsEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blocked::Guard;
use crate::event::{self, Event};
use crate::receipts::PlanFrom;
use crate::reconciliation::{Pass, ShardStep};
use crate::region::{excerpt, one_line};
use crate::{Region, Timestamp};

/// The most that Lambda hands over asynchronously (LAM gettingstarted-limits page).
pub const PAYLOAD_MAX_BYTES: usize = 1 << 20;
/// An SNS message may hold an EventBridge event, and no more than that: envelopes do not nest further.
const ENVELOPES_MAX: u8 = 3;

mod request;

pub use request::{Answer, Rejection, Request, Says};

/// Something that started a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A CloudWatch alarm changed its state.
    Alarm(Alarm),
    /// One of Holdfast's own events.
    Holdfast(Event),
    /// A schedule.
    Schedule {
        /// The rule's or schedule's ARN.
        rule: String,
    },
    /// RDS says something happened. Late and unordered: evidence, never truth.
    Rds(RdsEvent),
    /// A person.
    Manual(Manual),
    /// An object landed in a bucket.
    Object {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// A request to the function's own address.
    Request(Request),
}

/// A CloudWatch alarm's change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The alarm's name.
    pub name: String,
    /// Its new state.
    pub state: AlarmState,
    /// CloudWatch's reason.
    pub reason: String,
}

/// `OK` is not `ALARM`; `INSUFFICIENT_DATA` is evidence of nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// Nothing is wrong.
    Ok,
    /// The threshold is breached.
    Alarm,
    /// Too little data to say.
    InsufficientData,
}

/// An RDS event from EventBridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RdsEvent {
    /// Such as `RDS-EVENT-0391`.
    pub id: String,
    /// The ARN or identifier it is about.
    pub source: String,
    /// RDS's sentence.
    pub message: String,
    /// When RDS says it happened.
    pub at: Option<Timestamp>,
}

/// A person's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual {
    /// What is asked.
    pub action: Action,
    /// Answer what would be done, and touch nothing.
    pub dry_run: bool,
}

impl Manual {
    /// What an answer to a page asks of promote-aurora; `None` for one that only says that somebody has it.
    #[must_use]
    pub fn answering(answer: Answer) -> Option<Self> {
        let Answer { says, incident, by, comment, via } = answer;
        let comment = format!("{comment} ({via})").trim_start().to_owned();
        let action = match says {
            Says::Ack => return None,
            Says::Approve => Action::Approve { incident, by, comment, overrides: BTreeSet::new() },
            Says::Veto => Action::Veto { incident, by, comment },
        };
        Some(Self { action, dry_run: false })
    }
}

/// What a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Say how things stand.
    Status,
    /// Probe for a while.
    Observe {
        /// Rounds to probe; absent: for the whole minute.
        rounds: Option<u32>,
    },
    /// Look at every store both ways now.
    Verify,
    /// Look now, and say what speaks against it: a planned move (verify-replication), a deployment (check-readiness).
    Gate,
    /// Compare both data Regions now.
    Check,
    /// Say how long an outage takes at worst, phase by phase.
    Budget,
    /// Compare both receipt buckets and write down what would be done.
    PlanReceipts {
        /// From what; absent: what the run that is under way is planned from, or a listing.
        #[serde(default)]
        from: Option<PlanFrom>,
    },
    /// Compare both receipt buckets and carry the plan out.
    ApplyReceipts {
        /// Who asks.
        by: String,
        /// From what; absent: what the run that is under way is planned from, or a listing.
        #[serde(default)]
        from: Option<PlanFrom>,
    },
    /// Look at the evidence and at any open incident now.
    Resume,
    /// Promote `to` although data may be lost.
    Failover {
        /// The Region to promote.
        to: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Move the writer to `to` without loss.
    Switchover {
        /// The Region to promote.
        to: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Accept the loss of one incident.
    Approve {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Stop one incident.
    Veto {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
    },
    /// Stop every action until `unfreeze`.
    Freeze {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Allow actions again.
    Unfreeze {
        /// Who.
        by: String,
    },
    /// Say that one has a page, so that nobody else is called.
    Ack {
        /// Such as `e7`, or another thread as its page names it.
        incident: String,
        /// Who.
        by: String,
        /// What they say.
        #[serde(default)]
        comment: String,
    },
    /// Send a test page from this Region through every channel.
    Rehearse,
    /// Have a failed incident tried again.
    Retry {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
    },
    /// End an incident after reconciliation.
    Close {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Lay attempts, ledger and perhaps the card network's file side by side.
    Reconcile {
        /// Which pass.
        pass: Pass,
        /// `clearing`: the key of the file, in this Region's bucket.
        #[serde(default)]
        object: Option<String>,
        /// The first instant that is looked at; absent: what the incident or the file says.
        #[serde(default)]
        from: Option<Timestamp>,
        /// The last instant; of a file, until when it is complete.
        #[serde(default)]
        to: Option<Timestamp>,
    },
    /// One step of a reconciliation of a large file, spread over many invocations by a state machine.
    Shard {
        /// Which step.
        step: ShardStep,
        /// The key of the file, in this Region's bucket.
        object: String,
        /// `sums` and `rows`: which shard, from zero.
        #[serde(default)]
        shard: Option<u32>,
        /// `plan`: into how many slices each settlement date is cut.
        #[serde(default)]
        slices: Option<u32>,
    },
}

/// The payload names nothing that Holdfast knows. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Too long to be an invocation.
    #[error(
        "the payload has {bytes} bytes, more than the {PAYLOAD_MAX_BYTES} that Lambda hands over; nothing was done"
    )]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not JSON, or nested too deep to be read.
    #[error("the payload is not JSON ({problem}) near `{near}`; nothing was done. Send an event, or {EXAMPLE}")]
    NotJson {
        /// The parser's words.
        problem: String,
        /// The beginning of the payload.
        near: String,
    },
    /// JSON, but nothing that is known.
    #[error(
        "the payload is {found}, which is none of: an SNS message, an EventBridge event, a CloudWatch alarm action, a request to the function's URL, or a request like {EXAMPLE}; nothing was done"
    )]
    Unnamed {
        /// What it looks like.
        found: String,
    },
    /// The kind is known, the content is not.
    #[error("{kind} cannot be read: {problem}; nothing was done")]
    Malformed {
        /// Which kind.
        kind: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A list with nothing in it.
    #[error("the payload is an empty list; nothing was done")]
    Empty,
}

const EXAMPLE: &str = r#"{"action":"status"}"#;

impl Trigger {
    /// Reads a payload. A list gives each of its triggers in order; one that cannot be named spoils the list, and nothing is done.
    pub fn parse(payload: &[u8]) -> Result<Vec<Self>, TriggerError> {
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(TriggerError::TooLarge { bytes: payload.len() });
        }
        let value: Value = serde_json::from_slice(payload).map_err(|problem| TriggerError::NotJson {
            problem: problem.to_string(),
            near: excerpt(&String::from_utf8_lossy(payload.get(..240).unwrap_or(payload))),
        })?;
        let mut triggers = Vec::new();
        parse_value(value, ENVELOPES_MAX, &mut triggers)?;
        if triggers.is_empty() { Err(TriggerError::Empty) } else { Ok(triggers) }
    }
}

fn parse_value(value: Value, envelopes_left: u8, triggers: &mut Vec<Trigger>) -> Result<(), TriggerError> {
    let fields = match &value {
        Value::Array(_) if envelopes_left == 0 => return Err(unnamed("a list inside too many envelopes")),
        Value::Array(_) => {
            let Value::Array(items) = value else { return Ok(()) };
            return items.into_iter().try_for_each(|item| parse_value(item, envelopes_left - 1, triggers));
        }
        Value::Object(fields) => fields,
        Value::Null => return Err(unnamed("null")),
        Value::Bool(_) | Value::Number(_) => return Err(unnamed("a bare value")),
        Value::String(_) => return Err(unnamed("a bare string")),
    };
    if fields.contains_key("requestContext") {
        triggers.push(Trigger::Request(Request::read(value).map_err(malformed("the request to the function's URL"))?));
    } else if fields.contains_key("action") {
        triggers.push(manual(value)?);
    } else if fields.contains_key("Records") {
        sns(value, envelopes_left, triggers)?;
    } else if fields.contains_key("alarmData") {
        triggers.push(alarm_action(value)?);
    } else if fields.contains_key("detail-type") {
        triggers.push(event_bridge(value)?);
    } else if fields.contains_key("AlarmName") && fields.contains_key("NewStateValue") {
        triggers.push(alarm_message(value)?);
    } else {
        let names: Vec<&str> = fields.keys().take(5).map(String::as_str).collect();
        return Err(unnamed(&format!("an object with the fields [{}]", excerpt(&names.join(", ")))));
    }
    Ok(())
}

fn unnamed(found: &str) -> TriggerError {
    TriggerError::Unnamed { found: found.to_owned() }
}

fn malformed(kind: &'static str) -> impl Fn(serde_json::Error) -> TriggerError {
    move |problem| TriggerError::Malformed { kind, problem: one_line(&problem.to_string(), 120, 460) }
}

fn manual(mut value: Value) -> Result<Trigger, TriggerError> {
    let kind = "the request";
    let dry_run = match value.as_object_mut().and_then(|fields| fields.remove("dry_run")) {
        None => false,
        Some(Value::Bool(dry_run)) => dry_run,
        Some(other) => {
            let problem = format!("`dry_run` is {}, and must be true or false", excerpt(&other.to_string()));
            return Err(TriggerError::Malformed { kind, problem });
        }
    };
    let action: Action = serde_json::from_value(value).map_err(malformed(kind))?;
    let by = match &action {
        Action::Failover { by, .. }
        | Action::Switchover { by, .. }
        | Action::Approve { by, .. }
        | Action::Veto { by, .. }
        | Action::Freeze { by, .. }
        | Action::Unfreeze { by }
        | Action::Retry { by, .. }
        | Action::Close { by, .. }
        | Action::Ack { by, .. }
        | Action::ApplyReceipts { by, .. } => Some(by),
        Action::Status
        | Action::Observe { .. }
        | Action::Verify
        | Action::Gate
        | Action::Check
        | Action::Budget
        | Action::PlanReceipts { .. }
        | Action::Resume
        | Action::Rehearse
        | Action::Shard { .. }
        | Action::Reconcile { .. } => None,
    };
    if by.is_some_and(|by| by.trim().is_empty() || by.contains('<')) {
        let problem = "`by` must name the person who asks".to_owned();
        return Err(TriggerError::Malformed { kind, problem });
    }
    Ok(Trigger::Manual(Manual { action, dry_run }))
}

fn sns(value: Value, envelopes_left: u8, triggers: &mut Vec<Trigger>) -> Result<(), TriggerError> {
    let kind = "the SNS envelope";
    if envelopes_left == 0 {
        return Err(unnamed("an SNS message inside too many envelopes"));
    }
    let event: SnsEvent = serde_json::from_value(value).map_err(malformed(kind))?;
    for record in event.records {
        let message: Value = serde_json::from_str(&record.sns.message).map_err(|problem| {
            let near = excerpt(&record.sns.message);
            TriggerError::Malformed { kind, problem: format!("its message is not JSON ({problem}) near `{near}`") }
        })?;
        parse_value(message, envelopes_left - 1, triggers)?;
    }
    Ok(())
}

/// The message of an alarm's SNS action. Its own shape and not `CloudWatchAlarmPayload`, which refuses an alarm without a description.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AlarmMessage {
    alarm_name: String,
    new_state_value: AlarmState,
    #[serde(default)]
    new_state_reason: String,
}

fn alarm_message(value: Value) -> Result<Trigger, TriggerError> {
    let message: AlarmMessage = serde_json::from_value(value).map_err(malformed("the alarm's SNS message"))?;
    Ok(Trigger::Alarm(Alarm {
        name: message.alarm_name,
        state: message.new_state_value,
        reason: message.new_state_reason,
    }))
}

fn alarm_action(value: Value) -> Result<Trigger, TriggerError> {
    let action: AlarmAction = serde_json::from_value(value).map_err(malformed("the alarm action"))?;
    Ok(Trigger::Alarm(action.alarm_data.into()))
}

/// An alarm's Lambda action. Its own shape and not `CloudWatchAlarm`, which reads an absent state as `OK`: absence is unknown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmAction {
    alarm_data: AlarmStateChange,
}

/// The detail of "CloudWatch Alarm State Change", and the data of an alarm's Lambda action.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmStateChange {
    alarm_name: String,
    state: AlarmStateDetail,
}

#[derive(Deserialize)]
struct AlarmStateDetail {
    value: AlarmState,
    #[serde(default)]
    reason: String,
}

impl From<AlarmStateChange> for Alarm {
    fn from(change: AlarmStateChange) -> Self {
        Self { name: change.alarm_name, state: change.state.value, reason: change.state.reason }
    }
}

/// The detail of an RDS event.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RdsDetail {
    #[serde(rename = "EventID")]
    event_id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    source_arn: String,
    #[serde(default)]
    source_identifier: String,
    #[serde(default)]
    date: Option<Timestamp>,
}

/// The detail of S3's "Object Created" on EventBridge; keys are not URL-encoded there.
#[derive(Deserialize)]
struct ObjectDetail {
    bucket: BucketName,
    object: ObjectKey,
}

#[derive(Deserialize)]
struct BucketName {
    name: String,
}

#[derive(Deserialize)]
struct ObjectKey {
    key: String,
}

fn event_bridge(value: Value) -> Result<Trigger, TriggerError> {
    let event: EventBridgeEvent<Value> = serde_json::from_value(value).map_err(malformed("the EventBridge event"))?;
    match (event.source.as_str(), event.detail_type.as_str()) {
        (event::SOURCE, _) => {
            let event = serde_json::from_value(event.detail).map_err(malformed("the Holdfast event"))?;
            Ok(Trigger::Holdfast(event))
        }
        ("aws.events" | "aws.scheduler", "Scheduled Event") => {
            let rule = event.resources.unwrap_or_default().into_iter().next().unwrap_or_default();
            Ok(Trigger::Schedule { rule })
        }
        ("aws.cloudwatch", "CloudWatch Alarm State Change") => {
            let change: AlarmStateChange =
                serde_json::from_value(event.detail).map_err(malformed("the alarm state change"))?;
            Ok(Trigger::Alarm(change.into()))
        }
        ("aws.rds", _) => {
            let detail: RdsDetail = serde_json::from_value(event.detail).map_err(malformed("the RDS event"))?;
            let source = if detail.source_arn.is_empty() { detail.source_identifier } else { detail.source_arn };
            Ok(Trigger::Rds(RdsEvent { id: detail.event_id, source, message: detail.message, at: detail.date }))
        }
        ("aws.s3", "Object Created") => {
            let detail: ObjectDetail = serde_json::from_value(event.detail).map_err(malformed("the S3 event"))?;
            Ok(Trigger::Object { bucket: detail.bucket.name, key: detail.object.key })
        }
        (source, detail_type) => {
            Err(unnamed(&format!("an EventBridge event `{}` from `{}`", excerpt(detail_type), excerpt(source))))
        }
    }
}

#[cfg(test)]
mod tests;
