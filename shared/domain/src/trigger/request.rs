//! A request to a function's own address (Lambda function URL), and what it asks for once it is known who asks.
//!
//! An address with IAM authentication says who the caller is; one without says nothing, and only a signature counts there.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::page::pagerduty;
use crate::region::{excerpt, one_line};
use crate::signature;

/// A request as Lambda hands it over, payload version 2.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The ARN of who has signed the request, as IAM has verified it.
    pub caller: Option<String>,
    /// Its headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// What a person has said about an incident, and how it is known who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What they said.
    pub says: Says,
    /// Which incident, such as `e7`, or another thread as its page names it.
    pub incident: String,
    /// Who, by a verified identity where there is one.
    pub by: String,
    /// In their own words.
    pub comment: String,
    /// How it is known who they are.
    pub via: String,
}

/// What can be said to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// I have it.
    Ack,
    /// Go on, although data may be lost.
    Approve,
    /// Do not go on.
    Veto,
}

/// Why a request is not taken. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody knows who it is: HTTP 401.
    #[error("this needs a request that is signed for IAM, or a webhook that PagerDuty has signed")]
    Unidentified,
    /// What is asked cannot be read: HTTP 400.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// It is genuine, and there is nothing to do about it: HTTP 200.
    #[error("nothing is done about {0}")]
    Nothing(String),
}

impl Rejection {
    /// The HTTP status that says so.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Unidentified => 401,
            Self::Unreadable(_) => 400,
            Self::Nothing(_) => 200,
        }
    }
}

/// The header in which PagerDuty's webhooks are signed (PagerDuty developer documentation, "Webhook signatures").
const PAGERDUTY_SIGNATURE: &str = "x-pagerduty-signature";

/// What a person sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: Says,
    incident: String,
    /// Who they say they are; IAM knows better.
    #[serde(default)]
    by: String,
    #[serde(default)]
    comment: String,
}

impl Request {
    pub(super) fn read(value: Value) -> Result<Self, serde_json::Error> {
        let wire: Wire = serde_json::from_value(value)?;
        let body = wire.body.unwrap_or_default();
        let body = if wire.is_base64_encoded {
            let bytes =
                STANDARD.decode(&body).map_err(|error| serde_json::Error::custom(format!("its body: {error}")))?;
            String::from_utf8(bytes).map_err(|error| serde_json::Error::custom(format!("its body: {error}")))?
        } else {
            body
        };
        let caller = wire.request_context.authorizer.and_then(|it| it.iam).map(|iam| iam.user_arn);
        let headers = wire.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Ok(Self { caller: caller.filter(|arn| !arn.trim().is_empty()), headers, body })
    }

    /// Who asks for what. `webhook_key`: the secret of PagerDuty's webhooks, where there is one.
    ///
    /// PagerDuty knows only that somebody has it: it can neither approve nor veto.
    pub fn answer(&self, webhook_key: Option<&str>) -> Result<Answer, Rejection> {
        if let Some(caller) = &self.caller {
            let asked: Asked = serde_json::from_str(&self.body).map_err(|problem| {
                let problem = one_line(&problem.to_string(), 120, 200);
                Rejection::Unreadable(format!(
                    "{problem}; send {{\"action\":\"ack\" or \"approve\" or \"veto\",\"incident\":\"e7\",\"comment\":\"…\"}}"
                ))
            })?;
            let Asked { action, incident, by, comment } = asked;
            let comment = if by.is_empty() { comment } else { format!("{comment} (as {by})").trim_start().to_owned() };
            let said = |text: &str| one_line(text, 400, 0);
            return Ok(Answer {
                says: action,
                incident: said(&incident),
                by: said(caller),
                comment: said(&comment),
                via: "a request signed for IAM".into(),
            });
        }
        let signature = self.headers.get(PAGERDUTY_SIGNATURE);
        let (Some(key), Some(signature)) = (webhook_key, signature) else { return Err(Rejection::Unidentified) };
        if !signature::is_signed(key, self.body.as_bytes(), signature) {
            return Err(Rejection::Unidentified);
        }
        acknowledged_in_pagerduty(&self.body)
    }
}

/// A PagerDuty webhook, version 3.
fn acknowledged_in_pagerduty(body: &str) -> Result<Answer, Rejection> {
    let webhook: Webhook = serde_json::from_str(body)
        .map_err(|problem| Rejection::Unreadable(one_line(&problem.to_string(), 120, 200)))?;
    let WebhookEvent { event_type, agent, data } = webhook.event;
    if event_type != "incident.acknowledged" {
        return Err(Rejection::Nothing(format!("`{}`", excerpt(&event_type))));
    }
    let key = data.incident_key.unwrap_or_default();
    let Some(thread) = pagerduty::thread_of(&key) else {
        return Err(Rejection::Nothing(format!("an incident of somebody else's, `{}`", excerpt(&key))));
    };
    Ok(Answer {
        says: Says::Ack,
        incident: one_line(thread, 400, 0),
        by: one_line(&agent.and_then(|agent| agent.summary).unwrap_or_else(|| "somebody in PagerDuty".into()), 400, 0),
        comment: String::new(),
        via: "PagerDuty".into(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    request_context: WireContext,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct WireContext {
    #[serde(default)]
    authorizer: Option<WireAuthorizer>,
}

#[derive(Deserialize)]
struct WireAuthorizer {
    #[serde(default)]
    iam: Option<WireIam>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIam {
    user_arn: String,
}

#[derive(Deserialize)]
struct Webhook {
    event: WebhookEvent,
}

#[derive(Deserialize)]
struct WebhookEvent {
    event_type: String,
    #[serde(default)]
    agent: Option<WebhookAgent>,
    data: WebhookIncident,
}

#[derive(Deserialize)]
struct WebhookAgent {
    #[serde(default)]
    summary: Option<String>,
}

#[derive(Deserialize)]
struct WebhookIncident {
    #[serde(default)]
    incident_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "webhook-secret";
    const ADA: &str = "arn:aws:sts::123456789012:assumed-role/on-call/ada";

    fn request(caller: Option<&str>, headers: &[(&str, &str)], body: &str) -> Request {
        let authorizer = caller.map(|arn| json!({"iam": {"userArn": arn, "accountId": "123456789012"}}));
        let headers: BTreeMap<&str, &str> = headers.iter().copied().collect();
        Request::read(json!({
            "version": "2.0", "rawPath": "/", "headers": headers, "body": body, "isBase64Encoded": false,
            "requestContext": {"authorizer": authorizer, "http": {"method": "POST"}},
        }))
        .unwrap()
    }
    fn webhook(event_type: &str, key: &str) -> String {
        json!({"event": {
            "id": "1", "event_type": event_type, "agent": {"summary": "Ada L", "type": "user_reference"},
            "data": {"id": "PXYZ", "type": "incident", "incident_key": key},
        }})
        .to_string()
    }

    #[track_caller]
    fn check(request: &Request, expected: Result<(Says, &str, &str, &str), u16>) {
        let answer = request.answer(Some(KEY));
        let said = answer.as_ref().map(|it| (it.says, it.incident.as_str(), it.by.as_str(), it.comment.as_str()));
        assert_eq!(said.map_err(Rejection::status), expected);
    }

    #[test]
    fn iam_says_who_it_is_and_not_the_request() {
        let body = r#"{"action":"approve","incident":"e7","by":"the CFO","comment":"go"}"#;
        check(&request(Some(ADA), &[], body), Ok((Says::Approve, "e7", ADA, "go (as the CFO)")));
        check(&request(Some(ADA), &[], r#"{"action":"veto","incident":"e7"}"#), Ok((Says::Veto, "e7", ADA, "")));
    }
    #[test]
    fn a_request_that_nobody_has_signed_is_turned_away() {
        let body = r#"{"action":"approve","incident":"e7","by":"ada"}"#;
        check(&request(None, &[], body), Err(401));
        check(&request(Some(" "), &[], body), Err(401));
        let forged = signature::sign("another key", body.as_bytes());
        check(&request(None, &[("X-PagerDuty-Signature", &format!("v1={forged}"))], body), Err(401));
    }
    #[test]
    fn an_acknowledgement_in_pagerduty_counts_when_it_is_signed() {
        let body = webhook("incident.acknowledged", "holdfast/payments-global/e7");
        let signature = format!("v1={}", signature::sign(KEY, body.as_bytes()));
        let signed = request(None, &[("X-PagerDuty-Signature", &signature)], &body);
        check(&signed, Ok((Says::Ack, "payments-global/e7", "Ada L", "")));
        assert_eq!(signed.answer(None), Err(Rejection::Unidentified));
    }
    #[test]
    fn pagerduty_cannot_approve() {
        let body = r#"{"action":"approve","incident":"e7"}"#;
        let signature = format!("v1={}", signature::sign(KEY, body.as_bytes()));
        check(&request(None, &[("x-pagerduty-signature", &signature)], body), Err(400));
    }
    #[test]
    fn what_pagerduty_says_besides_is_heard_and_left() {
        for (event_type, key) in [("incident.resolved", "holdfast/g/e7"), ("incident.acknowledged", "somebody's")] {
            let body = webhook(event_type, key);
            let signature = format!("v1={}", signature::sign(KEY, body.as_bytes()));
            check(&request(None, &[("x-pagerduty-signature", &signature)], &body), Err(200));
        }
    }
    #[test]
    fn a_body_in_base64_is_read_and_a_broken_one_is_refused() {
        let read =
            |body: &str| Request::read(json!({"requestContext": {"http": {}}, "body": body, "isBase64Encoded": true}));
        assert_eq!(read("eyJhIjoxfQ==").unwrap().body, r#"{"a":1}"#);
        assert!(read("%").is_err() && read("/w==").is_err());
    }
    #[test]
    fn what_cannot_be_read_says_what_was_expected() {
        let unread = request(Some(ADA), &[], "approve!").answer(None).unwrap_err();
        assert!(unread.to_string().contains(r#"{"action":"ack" or "approve" or "veto""#), "{unread}");
        check(&request(Some(ADA), &[], r#"{"action":"failover","incident":"e7"}"#), Err(400));
    }
}
