#![doc = include_str!("../README.md")]

use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::event::Event;
use holdfast_domain::page::{Page, compose, pager};
use holdfast_domain::trigger::{Action, AlarmState, Trigger, TriggerError};
use serde_json::{Value, json};

mod answers;
mod channels;
mod deliver;
mod https;
mod secrets;
mod watch;

pub use secrets::Secrets;

/// The function's name.
pub const FUNCTION: &str = "page-humans";

/// What a run works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pager<'a> {
    pub(crate) startup: &'a Startup,
    pub(crate) secrets: &'a Secrets,
}

/// Turns what arrives into pages and delivers them. What cannot be read is itself a page.
///
/// `secrets`: kept from run to run, so that an outage of Secrets Manager does not silence a channel.
pub async fn handle(startup: &Startup, secrets: &Secrets, invocation: Invocation) -> Result<Value, Failure> {
    let pager = Pager { startup, secrets };
    let triggers = match Trigger::parse(&invocation.payload) {
        Ok(triggers) => triggers,
        Err(problem) => return Err(pager.refuse(&problem).await),
    };
    let mut reports = Vec::new();
    for trigger in triggers {
        reports.push(Box::pin(pager.take(trigger)).await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

impl Pager<'_> {
    async fn take(&self, trigger: Trigger) -> Result<Value, Failure> {
        match trigger {
            Trigger::Holdfast(event) => self.event(&event).await,
            Trigger::Alarm(alarm) if alarm.state == AlarmState::Alarm => {
                self.page(pager::alarm(&alarm, &self.startup.region, self.cluster())).await
            }
            Trigger::Alarm(_) => Ok(json!({"page": null, "why": "only an alarm that is in ALARM pages"})),
            Trigger::Schedule { .. } => self.watch().await,
            Trigger::Request(request) => Ok(self.answer(&request).await),
            Trigger::Manual(request) => match request.action {
                Action::Status => self.status().await,
                Action::Ack { incident, by, comment } => {
                    self.acknowledge(&incident, &by, &comment, request.dry_run).await
                }
                Action::Rehearse => self.rehearse(request.dry_run).await,
                Action::Observe { .. }
                | Action::Verify
                | Action::Gate
                | Action::Check
                | Action::Budget
                | Action::PlanReceipts { .. }
                | Action::Shard { .. }
                | Action::ApplyReceipts { .. }
                | Action::Resume
                | Action::Failover { .. }
                | Action::Switchover { .. }
                | Action::Approve { .. }
                | Action::Veto { .. }
                | Action::Freeze { .. }
                | Action::Unfreeze { .. }
                | Action::Retry { .. }
                | Action::Close { .. }
                | Action::Reconcile { .. } => Err(self.not_ours().await),
            },
            Trigger::Rds(_) | Trigger::Object { .. } => Err(self.not_ours().await),
        }
    }

    /// Pages an event, if it is one that a person needs to know of.
    pub(crate) async fn event(&self, event: &Event) -> Result<Value, Failure> {
        match compose(event, &self.startup.config.topology) {
            Some(page) => self.page(page).await,
            None => Ok(json!({"page": null, "why": "nothing that a person needs to know"})),
        }
    }

    /// The weekly test page, through every channel.
    async fn rehearse(&self, dry_run: bool) -> Result<Value, Failure> {
        let page: Page = pager::rehearsal(&self.startup.region, self.startup.now(), self.cluster());
        if dry_run {
            let channels = self.startup.config.paging.channels_for(&page);
            return Ok(json!({"would": "page", "headline": page.headline, "channels": channels}));
        }
        self.page(page).await
    }

    async fn not_ours(&self) -> Failure {
        let found = "something that another function takes; page-humans takes Holdfast events, alarms, a schedule, {\"action\":\"status\"}, {\"action\":\"ack\"} and {\"action\":\"rehearse\"}";
        self.refuse(&TriggerError::Unnamed { found: found.into() }).await
    }

    /// Pages what page-humans itself could not read, and sends it to the dead-letter queue.
    async fn refuse(&self, problem: &TriggerError) -> Failure {
        let (function, region) = (FUNCTION.to_owned(), self.startup.region.clone());
        let refused = Event::TriggerRefused { function, region, problem: problem.to_string() };
        if let Err(failure) = self.event(&refused).await {
            tracing::error!("a refused trigger could not be told to anybody: {failure}");
        }
        Failure::Refused(problem.to_string())
    }

    async fn status(&self) -> Result<Value, Failure> {
        let config = &self.startup.config;
        let open = match self.startup.coordination().open_pages().await {
            Ok(open) => json!(open.iter().map(waiting).collect::<Vec<_>>()),
            Err(error) => json!({"unknown": error.to_string()}),
        };
        Ok(json!({
            "region": self.startup.region,
            "topics": config.topology.page_topics(&self.startup.region, None),
            "channels": config.paging.channels,
            "open": open,
        }))
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.startup.config.topology.global_cluster
    }
}

/// What is said of a page that is not done with.
pub(crate) fn waiting(open: &holdfast_domain::page::open::OpenPage) -> Value {
    json!({
        "thread": open.page.thread, "kind": open.page.kind, "headline": open.page.headline,
        "first_tried_at": open.first_tried_at, "undelivered": open.undelivered, "steps_taken": open.steps_taken,
        "acknowledged": open.acknowledged, "waits_for_somebody": open.is_awaited(),
    })
}
