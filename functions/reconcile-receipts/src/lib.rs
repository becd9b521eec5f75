#![doc = include_str!("../README.md")]

use futures_util::future::BoxFuture;
use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::event::Event;
use holdfast_domain::incident::Phase;
use holdfast_domain::receipts::{ApplyLease, Class, PlanFrom, State, Summary};
use holdfast_domain::trigger::{Action, Trigger};
use serde_json::{Value, json};

mod apply;
mod batch;
mod control;
mod gate;
mod headers;
mod inventory;
mod large;
pub mod merge;
pub mod page;
mod run;
pub mod shards;
mod signing;
mod steps;
mod store;
pub mod wire;

pub use large::Limits;
pub use run::pair;

use run::{Run, RunError};
use store::RunRecord;

/// The function's name.
pub const FUNCTION: &str = "reconcile-receipts";
/// A run that needs more invocations than this is not for one function.
const INVOCATIONS_MAX: u32 = 100;

/// Compares both buckets of receipts, and makes them one truth when that is asked for or allowed.
pub async fn handle(startup: &Startup, invocation: Invocation) -> Result<Value, Failure> {
    handle_with(startup, invocation, Limits::S3).await
}

/// The same with other limits of S3, for tests.
pub async fn handle_with(startup: &Startup, invocation: Invocation, limits: Limits) -> Result<Value, Failure> {
    let triggers = startup.triggers(FUNCTION, &invocation).await?;
    if startup.config.topology.data_region(&startup.region).is_none() {
        let problem = format!("reconcile-receipts belongs into a data Region; {} is the witness", startup.region);
        return Err(startup.refuse(FUNCTION, problem).await);
    }
    let mut reports = Vec::new();
    for trigger in triggers {
        // Boxed, because all that may follow is too deep a future for the compiler to lay out in one.
        let taken: BoxFuture<'_, _> = Box::pin(take(startup, &invocation, limits, trigger));
        reports.push(taken.await?);
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

async fn take(startup: &Startup, invocation: &Invocation, limits: Limits, trigger: Trigger) -> Result<Value, Failure> {
    let by_itself = startup.config.policy.receipts.apply_by_itself;
    match trigger {
        Trigger::Schedule { .. } | Trigger::Holdfast(Event::RegionRecovered { .. }) => {
            reconcile(startup, invocation, limits, by_itself, None).await
        }
        Trigger::Holdfast(Event::IncidentAdvanced { incident }) => match incident.phase {
            Phase::Reconciling => reconcile(startup, invocation, limits, by_itself, None).await,
            Phase::Suspected
            | Phase::Confirmed
            | Phase::AwaitingApproval
            | Phase::Blocked
            | Phase::Fencing
            | Phase::Promoting
            | Phase::Proving
            | Phase::Restored
            | Phase::Closed
            | Phase::Dismissed
            | Phase::Failed => Ok(nothing(format!("{} is {}", incident.id(), incident.phase))),
        },
        Trigger::Holdfast(Event::ReceiptsUnfinished { run, region, .. }) if region == startup.region => {
            match state(startup, invocation).await?["open"]["run"].as_str() {
                Some(open) if open == run => reconcile(startup, invocation, limits, false, None).await,
                Some(_) | None => Ok(nothing(format!("{run} is not under way any more"))),
            }
        }
        Trigger::Holdfast(Event::ReceiptsUnfinished { run, region, .. }) => {
            Ok(nothing(format!("{run} belongs to {region}")))
        }
        Trigger::Manual(request) => match request.action {
            Action::Status => state(startup, invocation).await,
            Action::PlanReceipts { from } => reconcile(startup, invocation, limits, false, from).await,
            Action::ApplyReceipts { by, from } => {
                tracing::info!(by, dry_run = request.dry_run, "asked to apply");
                reconcile(startup, invocation, limits, !request.dry_run, from).await
            }
            Action::Observe { .. }
            | Action::Verify
            | Action::Gate
            | Action::Check
            | Action::Budget
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
            | Action::Rehearse
            | Action::Shard { .. }
            | Action::Reconcile { .. } => Err(not_ours(startup).await),
        },
        Trigger::Holdfast(_) | Trigger::Alarm(_) | Trigger::Rds(_) | Trigger::Object { .. } | Trigger::Request(_) => {
            Err(not_ours(startup).await)
        }
    }
}

async fn reconcile(
    startup: &Startup,
    invocation: &Invocation,
    limits: Limits,
    apply: bool,
    from: Option<PlanFrom>,
) -> Result<Value, Failure> {
    let applies = apply || open_run(startup, invocation).await?.is_some_and(|open| open.apply);
    let lease = if applies { Some(take_lease(startup, invocation).await?) } else { None };
    let driven = drive(startup, invocation, limits, apply, from).await;
    if let Some(lease) = lease {
        // What cannot be given back runs out by itself.
        let given_back = startup.coordination().save_apply_lease(&lease.released(startup.now())).await;
        if let Err(error) = given_back {
            tracing::warn!("the lease was not given back: {error}");
        }
    }
    let (summary, invocations) = driven?;
    tracing::info!(run = summary.run, keys = summary.plan.all(), to_do = summary.plan.to_do(), "{summary}");
    emit(startup, &summary);
    let (of, region) = (summary.run.clone(), startup.region.clone());
    let event = match summary.state {
        State::Unfinished if invocations < INVOCATIONS_MAX => {
            Event::ReceiptsUnfinished { run: of, region, invocations }
        }
        State::Unfinished | State::Planned | State::Applied => {
            Event::ReceiptsReconciled { summary: Box::new(summary.clone()) }
        }
    };
    let published = startup.bus().publish(&event, startup.buses()).await;
    published.map_err(|error| Failure::LookBeforeRetry(error.to_string()))?;
    let text = summary.to_string();
    Ok(json!({"summary": summary, "clean": summary.is_clean(), "text": text}))
}

async fn open_run(startup: &Startup, invocation: &Invocation) -> Result<Option<RunRecord>, Failure> {
    let run = Run::new(startup, invocation).map_err(nothing_changed)?;
    Ok(run.state().await.map_err(|error| Failure::NothingChanged(error.to_string()))?.open)
}

/// One apply at a time, in either Region.
async fn take_lease(startup: &Startup, invocation: &Invocation) -> Result<ApplyLease, Failure> {
    let coordination = startup.coordination();
    let unknown = |error: CoordinationError| Failure::NothingChanged(error.to_string());
    let current = coordination.apply_lease().await.map_err(unknown)?;
    let (until, now) = (invocation.deadline, startup.now());
    let taken = ApplyLease::taken(current.as_ref(), &invocation.id, &startup.region, until, now);
    let lease = taken.map_err(|other| Failure::NothingChanged(format!("{other}; ask again then")))?;
    coordination.save_apply_lease(&lease).await.map_err(unknown)?;
    Ok(lease)
}

/// One run as far as the invocation's time allows, and told to nobody: what it came to, and how many invocations it had.
pub async fn drive(
    startup: &Startup,
    invocation: &Invocation,
    limits: Limits,
    apply: bool,
    from: Option<PlanFrom>,
) -> Result<(Summary, u32), Failure> {
    let run = Run::new(startup, invocation).map_err(nothing_changed)?.with_limits(limits);
    // Boxed, because the whole of it is too deep a future for the compiler to lay out in one.
    let driven: BoxFuture<'_, _> = Box::pin(run.drive(&invocation.id, apply, from));
    driven.await.map_err(
        |error| {
            if apply { Failure::LookBeforeRetry(error.to_string()) } else { nothing_changed(error) }
        },
    )
}

async fn state(startup: &Startup, invocation: &Invocation) -> Result<Value, Failure> {
    let run = Run::new(startup, invocation).map_err(nothing_changed)?;
    let state = run.state().await.map_err(|error| Failure::NothingChanged(error.to_string()))?;
    let text = state.last.as_ref().map_or_else(|| "no run has finished yet".to_owned(), ToString::to_string);
    Ok(json!({"open": state.open.map(|open| json!({
        "run": open.run, "apply": open.apply, "began": open.began, "invocations": open.invocations,
    })), "last": state.last, "text": text}))
}

fn nothing(why: String) -> Value {
    json!({"done": "nothing", "why": why})
}

fn nothing_changed(error: RunError) -> Failure {
    Failure::NothingChanged(error.to_string())
}

async fn not_ours(startup: &Startup) -> Failure {
    let problem = "reconcile-receipts takes a schedule, RegionRecovered, IncidentAdvanced, ReceiptsUnfinished, {\"action\":\"plan_receipts\"}, {\"action\":\"apply_receipts\",\"by\":…} and {\"action\":\"status\"}";
    startup.refuse(FUNCTION, problem.into()).await
}

/// A run that did not finish has no counts: unknown is not zero.
fn emit(startup: &Startup, summary: &Summary) {
    let finished = summary.state != State::Unfinished;
    let mut metrics = vec![("ReceiptsUnfinished", "Count", u64::from(!finished))];
    if finished {
        for class in [
            Class::InSync,
            Class::Pending,
            Class::CopyToDublin,
            Class::CopyToLondon,
            Class::DeletePropagates,
            Class::Conflict,
            Class::Uncheckable,
            Class::Erased,
            Class::Failed,
        ] {
            metrics.push((class.metric(), "Count", summary.plan.keys(class)));
        }
        metrics.push(("ReceiptsDone", "Count", summary.done));
        metrics.push(("ReceiptsTook", "Milliseconds", summary.took_ms));
    }
    startup.metrics.emit(startup.now(), &[("Region", startup.region.as_str())], &metrics);
}
