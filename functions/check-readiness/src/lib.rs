#![doc = include_str!("../README.md")]

use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::trigger::{Action, Trigger};
use serde_json::Value;

mod dns;
mod functions;
mod ledger;
mod look;
mod properties;
mod receipts;
mod run;
mod secrets;
mod service;
mod side;
mod tables;

/// The function's name.
pub const FUNCTION: &str = "check-readiness";

/// Compares the two data Regions, or says what was found last.
pub async fn handle(startup: &Startup, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    if startup.config.topology.data_region(&startup.region).is_none() {
        let problem = format!("check-readiness belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    }
    let mut reports = Vec::new();
    for trigger in triggers {
        reports.push(take(startup, trigger).await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the domain names the function of every other action")]
async fn take(startup: &Startup, trigger: Trigger) -> Result<Value, Failure> {
    match trigger {
        Trigger::Schedule { .. } => run::scheduled(startup).await,
        Trigger::Manual(request) => match request.action {
            Action::Status => run::status(startup).await,
            Action::Check => run::check(startup, request.dry_run).await,
            Action::Gate => run::gate(startup, request.dry_run).await,
            Action::Budget => run::budget(startup).await,
            elsewhere => Err(startup.refuse(FUNCTION, elsewhere.goes_elsewhere(FUNCTION)).await),
        },
        Trigger::Holdfast(_) | Trigger::Alarm(_) | Trigger::Rds(_) | Trigger::Object { .. } | Trigger::Request(_) => {
            Err(not_ours(startup).await)
        }
    }
}

async fn not_ours(startup: &Startup) -> Failure {
    let problem = "check-readiness takes a schedule, {\"action\":\"check\"}, {\"action\":\"gate\"}, {\"action\":\"budget\"} and {\"action\":\"status\"}";
    startup.refuse(FUNCTION, problem.into()).await
}
