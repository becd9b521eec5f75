//! What people say to a page: by a command, at the function's own address, or in PagerDuty.

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::event::Event;
use holdfast_domain::page::open::{Acknowledgement, OpenPage};
use holdfast_domain::page::pager::Rehearsed;
use holdfast_domain::page::pagerduty;
use holdfast_domain::trigger::{Answer, Request, Says};
use serde_json::{Value, json};

use crate::{Pager, waiting};

/// How often an acknowledgement is written that collided with a page being sent again.
const WRITES_MAX: u32 = 5;

impl Pager<'_> {
    /// By a command: whoever may invoke this function is believed about who they are, and the record says so.
    pub(crate) async fn acknowledge(
        &self,
        incident: &str,
        by: &str,
        comment: &str,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let answer = Answer {
            says: Says::Ack,
            incident: incident.to_owned(),
            by: by.to_owned(),
            comment: comment.to_owned(),
            via: "a command".into(),
        };
        let acknowledged = self.acknowledged(&answer, dry_run).await;
        acknowledged.map_err(|error| Failure::NothingChanged(error.to_string()))
    }

    /// At the function's own address. The answer is HTTP's, whatever it is: nobody who asks there is an event to be repeated.
    pub(crate) async fn answer(&self, request: &Request) -> Value {
        let key = match &self.startup.config.paging.pagerduty_webhook_secret {
            // Only a request that nobody has signed for IAM needs the key.
            Some(name) if request.caller.is_none() => match self.secrets.get(self.startup, name).await {
                Ok(secret) => Some(secret),
                Err(why) => return http(503, &json!({"error": why})),
            },
            Some(_) | None => None,
        };
        let answer = match request.answer(key.as_ref().map(|secret| secret.reveal())) {
            Ok(answer) => answer,
            Err(rejection) => {
                tracing::warn!(status = rejection.status(), "a request is turned away: {rejection}");
                return http(rejection.status(), &json!({"error": rejection.to_string()}));
            }
        };
        tracing::info!(incident = answer.incident, by = answer.by, via = answer.via, says = ?answer.says, "a person answers");
        match answer.says {
            Says::Ack => match self.acknowledged(&answer, false).await {
                Ok(said) => http(if said["acknowledged"].is_null() { 404 } else { 200 }, &said),
                Err(error) => http(503, &json!({"error": error.to_string()})),
            },
            Says::Approve | Says::Veto => self.hand_over(answer).await,
        }
    }

    /// An approval or a veto is promote-aurora's to judge: it is handed over in the Region that the incident promotes.
    async fn hand_over(&self, answer: Answer) -> Value {
        let state = match self.startup.coordination().cluster_state().await {
            Ok(state) => state,
            Err(error) => return http(503, &json!({"error": error.to_string()})),
        };
        let Some(incident) = state.incident.filter(|incident| incident.id() == answer.incident) else {
            return http(404, &json!({"error": format!("there is no incident `{}`", answer.incident)}));
        };
        let to = incident.to;
        match self.startup.bus().publish(&Event::PageAnswered { answer }, [&to]).await {
            Ok(region) => {
                let next =
                    format!("promote-aurora in {region} judges it; its `status` and the next page say what came of it");
                http(202, &json!({"handed_over": region, "next": next}))
            }
            Err(error) => {
                let next = format!("invoke promote-aurora in {to} yourself; the page has the command");
                http(502, &json!({"error": error.to_string(), "next": next}))
            }
        }
    }

    async fn acknowledged(&self, answer: &Answer, dry_run: bool) -> Result<Value, CoordinationError> {
        let coordination = self.startup.coordination();
        let within = format!("{}/", self.cluster());
        let thread = if answer.incident.starts_with(&within) {
            answer.incident.clone()
        } else {
            format!("{within}{}", answer.incident)
        };
        let mut tried = 1;
        loop {
            let Some(open) = coordination.open_page(&thread).await? else {
                let open: Vec<Value> = coordination.open_pages().await?.iter().map(waiting).collect();
                let why = format!("no page of {thread} waits for anybody");
                return Ok(json!({"acknowledged": null, "why": why, "open": open}));
            };
            if dry_run {
                return Ok(json!({"would": "acknowledge", "acknowledged": null, "open": waiting(&open)}));
            }
            let by = Acknowledgement {
                by: answer.by.clone(),
                comment: answer.comment.clone(),
                via: answer.via.clone(),
                at: self.startup.now(),
            };
            let next = open.acknowledged_by(by);
            match coordination.save_open_page(&next).await {
                Err(CoordinationError::Conflict { .. }) if tried < WRITES_MAX => tried += 1,
                Err(error) => return Err(error),
                Ok(()) => {
                    self.heard(&next, &answer.via).await;
                    return Ok(
                        json!({"acknowledged": next.acknowledged, "thread": thread, "page": next.page.headline}),
                    );
                }
            }
        }
    }

    /// Stops the telephones, and keeps how long a rehearsal took.
    async fn heard(&self, open: &OpenPage, via: &str) {
        if via != "PagerDuty" {
            self.tell_alert_keepers(&open.page, &[pagerduty::acknowledged(&open.page)]).await;
        }
        let Some(rehearsed) = Rehearsed::of(open) else { return };
        let metrics = [("RehearsalAcknowledgedAfter", "Seconds", rehearsed.took_seconds)];
        self.startup.metrics.emit(self.startup.now(), &[("Region", self.startup.region.as_str())], &metrics);
        if let Err(error) = self.startup.coordination().save_rehearsal(&rehearsed).await {
            tracing::warn!(thread = rehearsed.thread, "how long the rehearsal took is not kept: {error}");
        }
    }
}

/// An answer as a function URL takes it.
fn http(status: u16, body: &Value) -> Value {
    json!({"statusCode": status, "headers": {"content-type": "application/json"}, "body": body.to_string()})
}
