#![doc = include_str!("../README.md")]

use std::sync::Arc;
use std::time::Duration;

use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::ledger::Ledger;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::attempt::Window;
use holdfast_domain::event::Event;
use holdfast_domain::reconciliation::Pass;
use holdfast_domain::trigger::{Action, Manual, Trigger};
use serde_json::{Value, json};

mod bank;
mod carried;
mod clearing;
mod effects;
mod now;
mod objects;
mod resume;
mod salvage;
mod shards;
mod sources;
mod spool;
mod trails;
mod watch;

/// The function's name.
pub const FUNCTION: &str = "reconcile-ledger";

/// Kept for writing down and telling what was found; reading stops so long before the invocation's end.
const RESERVE: Duration = Duration::from_secs(20);
/// One export of the ledger, however much time is left.
const EXPORT_MAX: Duration = Duration::from_secs(300);

/// Lays attempts, ledger and perhaps the card network's file side by side, or says what was found last.
pub async fn handle(startup: &Startup, ledger: Arc<dyn Ledger>, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    if startup.config.topology.data_region(&startup.region).is_none() {
        let problem = format!("reconcile-ledger belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    }
    let mut reports = Vec::new();
    for trigger in triggers {
        let run = Run { startup, ledger: &*ledger, invocation: &invocation, dry_run: false };
        // Steps within steps: the future of the whole is more than the compiler lays out by itself.
        reports.push(Box::pin(run.take(trigger)).await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

/// One invocation.
pub(crate) struct Run<'a> {
    startup: &'a Startup,
    ledger: &'a dyn Ledger,
    invocation: &'a Invocation,
    /// Look, answer, and leave everything as it is.
    dry_run: bool,
}

impl Run<'_> {
    async fn take(mut self, trigger: Trigger) -> Result<Value, Failure> {
        match trigger {
            Trigger::Schedule { .. } => self.each_minute().await,
            Trigger::Holdfast(Event::IncidentAdvanced { incident }) => self.advanced(&incident).await,
            Trigger::Object { bucket, key } => self.landed(&bucket, &key).await,
            Trigger::Manual(Manual { action, dry_run }) => {
                self.dry_run = dry_run;
                self.asked(action).await
            }
            Trigger::Holdfast(_) | Trigger::Alarm(_) | Trigger::Rds(_) | Trigger::Request(_) => {
                Err(self.not_ours().await)
            }
        }
    }

    /// Looks at the last incident's ledger, and goes on with a file that was not settled to its end: neither waits for the other.
    async fn each_minute(&self) -> Result<Value, Failure> {
        let now = self.scheduled().await;
        let mut answer = match Box::pin(self.go_on()).await {
            Ok(Value::Null) => return now,
            Ok(gone_on) => json!({"unfinished": gone_on}),
            Err(error) => return now.and(Err(error)),
        };
        answer["now"] = now?;
        Ok(answer)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the domain names the function of every other action")]
    async fn asked(&self, action: Action) -> Result<Value, Failure> {
        match action {
            Action::Status => self.status().await,
            Action::Reconcile { pass: Pass::Now, from, to, .. } => self.now_by_hand(from, to).await,
            Action::Reconcile { pass: Pass::Clearing, object: Some(key), from, to } => {
                self.clearing_by_hand(&key, from, to).await
            }
            Action::Reconcile { pass: Pass::Salvage, from: Some(from), to: Some(to), .. } if from <= to => {
                self.salvage(Window { from, to }).await
            }
            Action::Shard { step, object, shard, slices } => self.shard(step, &object, shard, slices).await,
            Action::Reconcile { pass, .. } => {
                let problem = match pass {
                    Pass::Clearing => "the pass `clearing` needs `object`, the key of the file",
                    Pass::Salvage => "the pass `salvage` needs `from` and `to`, in this order",
                    Pass::Now => "the pass `now` needs nothing, or `from` and `to`",
                };
                Err(self.startup.refuse(FUNCTION, problem.to_owned()).await)
            }
            elsewhere => Err(self.startup.refuse(FUNCTION, elsewhere.goes_elsewhere(FUNCTION)).await),
        }
    }

    /// What is in doubt, and what the last incident's pass found.
    async fn status(&self) -> Result<Value, Failure> {
        let coordination = self.startup.coordination();
        let state = coordination.cluster_state().await.map_err(unread)?;
        let listed = coordination.in_doubt().await.map_err(unread)?;
        let record = match &state.incident {
            Some(incident) => coordination
                .ledger_run(&holdfast_domain::promotion::now_run_of(&incident.id()))
                .await
                .map_err(unread)?,
            None => None,
        };
        let open: Vec<&str> =
            listed.iter().filter(|entry| entry.settled.is_none()).map(|entry| entry.key.as_str()).collect();
        Ok(json!({
            "region": self.startup.region, "in_doubt": open, "in_doubt_settled": listed.len() - open.len(),
            "incident": state.incident.map(|incident| incident.id()),
            "found": record.as_ref().map(|record| record.summary.to_string()),
            "summary": record.map(|record| record.summary),
        }))
    }

    async fn not_ours(&self) -> Failure {
        let problem = "reconcile-ledger takes a schedule, IncidentAdvanced, S3's Object Created, {\"action\":\"reconcile\",\"pass\":\"now\"}, \"clearing\" or \"salvage\", {\"action\":\"shard\",\"step\":…}, and {\"action\":\"status\"}";
        self.startup.refuse(FUNCTION, problem.into()).await
    }

    /// What is left for reading.
    fn time_left(&self) -> Duration {
        self.invocation.time_left(self.startup.now(), RESERVE)
    }

    fn export_max(&self) -> Duration {
        self.time_left().min(EXPORT_MAX)
    }
}

/// The coordination table could not be read: nothing was done.
pub(crate) fn unread(error: CoordinationError) -> Failure {
    Failure::NothingChanged(error.to_string())
}
