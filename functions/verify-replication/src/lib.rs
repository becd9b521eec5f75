#![doc = include_str!("../README.md")]

use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::event::Event;
use holdfast_domain::incident::Phase;
use holdfast_domain::trigger::{Action, Trigger};
use serde_json::{Value, json};

mod doubles;
mod ledger;
mod objects;
mod peer;
mod round;
mod tables;

/// The function's name.
pub const FUNCTION: &str = "verify-replication";

/// Looks at every store both ways, or says what was found last.
pub async fn handle(startup: &Startup, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    if startup.config.topology.data_region(&startup.region).is_none() {
        let problem = format!("verify-replication belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    }
    let mut reports = Vec::new();
    for trigger in triggers {
        reports.push(take(startup, trigger).await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

async fn take(startup: &Startup, trigger: Trigger) -> Result<Value, Failure> {
    match trigger {
        Trigger::Schedule { .. } => round::scheduled(startup).await,
        Trigger::Holdfast(Event::IncidentAdvanced { incident }) => match incident.phase {
            Phase::Restored | Phase::Reconciling | Phase::Closed => round::by_hand(startup).await,
            Phase::Suspected
            | Phase::Confirmed
            | Phase::AwaitingApproval
            | Phase::Blocked
            | Phase::Fencing
            | Phase::Promoting
            | Phase::Proving
            | Phase::Dismissed
            | Phase::Failed => {
                Ok(json!({"done": "nothing", "why": format!("{} is {}", incident.id(), incident.phase)}))
            }
        },
        Trigger::Manual(request) => match request.action {
            Action::Status => round::status(startup).await,
            Action::Verify | Action::Gate if request.dry_run => round::status(startup).await,
            Action::Verify => round::by_hand(startup).await,
            Action::Gate => round::gate(startup).await,
            Action::Observe { .. }
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
            | Action::Ack { .. }
            | Action::Check
            | Action::Budget
            | Action::Rehearse
            | Action::Reconcile { .. } => Err(not_ours(startup).await),
        },
        Trigger::Holdfast(_) | Trigger::Alarm(_) | Trigger::Rds(_) | Trigger::Object { .. } | Trigger::Request(_) => {
            Err(not_ours(startup).await)
        }
    }
}

async fn not_ours(startup: &Startup) -> Failure {
    let problem = "verify-replication takes a schedule, IncidentAdvanced, {\"action\":\"verify\"}, {\"action\":\"gate\"} and {\"action\":\"status\"}";
    startup.refuse(FUNCTION, problem.into()).await
}
