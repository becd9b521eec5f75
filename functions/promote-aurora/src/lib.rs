#![doc = include_str!("../README.md")]

use std::sync::{Arc, Mutex};

use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::ledger::Ledger;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::event::Event;
use holdfast_domain::quorum::Watch;
use holdfast_domain::trigger::{AlarmState, Manual, RdsEvent, Trigger};
use serde_json::{Value, json};

mod closing;
mod drive;
mod notice;
mod observe;
mod price;
mod rds;
mod requests;
mod standby;
mod triage;

/// The function's name.
pub const FUNCTION: &str = "promote-aurora";

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) startup: &'a Startup,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) invocation: &'a Invocation,
    /// How far the observers' votes have come in this run: the second look at them need not wait for a round again.
    pub(crate) watch: Mutex<Watch>,
}

/// Takes whatever started it to the incident it concerns, and the incident as far as it goes.
pub async fn handle(startup: &Startup, ledger: Arc<dyn Ledger>, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    if startup.config.topology.data_region(&startup.region).is_none() {
        let problem = format!("promote-aurora belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    }
    let run = Run { startup, ledger, invocation: &invocation, watch: Mutex::default() };
    let mut reports = Vec::new();
    for trigger in triggers {
        reports.push(run.take(trigger).await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

impl Run<'_> {
    async fn take(&self, trigger: Trigger) -> Result<Value, Failure> {
        match trigger {
            Trigger::Alarm(alarm) => match alarm.state {
                AlarmState::Alarm => self.triage(&format!("alarm {}", alarm.name), true).await,
                AlarmState::Ok | AlarmState::InsufficientData => Ok(
                    json!({"done": "nothing", "why": format!("alarm {} is {:?}, which is evidence of nothing", alarm.name, alarm.state)}),
                ),
            },
            Trigger::Holdfast(Event::RegionSuspected { subject, observer, .. }) => {
                if subject == self.startup.region {
                    let why = "a Region does not judge itself; its peer drives this";
                    return Ok(json!({"done": "nothing", "why": why}));
                }
                self.triage(&format!("observers, by {observer}"), false).await
            }
            Trigger::Holdfast(Event::PageAnswered { answer }) => match Manual::answering(answer) {
                Some(request) => self.request(request).await,
                None => Ok(json!({"done": "nothing", "why": "that somebody has a page moves nothing"})),
            },
            Trigger::Holdfast(other) => {
                let problem = format!("promote-aurora acts on RegionSuspected; it was sent {}", other.detail_type());
                Err(self.startup.refuse(FUNCTION, problem).await)
            }
            Trigger::Schedule { .. } => self.tick().await,
            Trigger::Rds(event) => self.rds_event(event).await,
            Trigger::Manual(request) => self.request(request).await,
            Trigger::Request(_) => {
                Err(self.startup.refuse(FUNCTION, "requests to a URL go to page-humans".into()).await)
            }
            Trigger::Object { .. } => {
                Err(self.startup.refuse(FUNCTION, "objects that land in S3 go to reconcile-ledger".into()).await)
            }
        }
    }

    /// RDS events come late and unordered: they are told to people and make us look, but they decide nothing.
    async fn rds_event(&self, event: RdsEvent) -> Result<Value, Failure> {
        if let Some(meaning) = notice::meaning(&event) {
            let told = Event::DatabaseNotice {
                event_id: event.id.clone(),
                message: event.message.clone(),
                meaning,
                at: event.at,
            };
            self.publish(&told).await?;
        }
        let looked = self.resume().await?;
        Ok(json!({"event": event.id, "looked": looked}))
    }

    /// Tells the other functions, or fails so that Lambda has the run repeated: a person must hear of it.
    pub(crate) async fn publish(&self, event: &Event) -> Result<(), Failure> {
        let published = self.startup.bus().publish(event, self.startup.buses()).await;
        published.map(drop).map_err(|error| Failure::LookBeforeRetry(error.to_string()))
    }
}

/// The coordination table could not be read: nothing was done.
pub(crate) fn unread(error: CoordinationError) -> Failure {
    Failure::NothingChanged(error.to_string())
}
