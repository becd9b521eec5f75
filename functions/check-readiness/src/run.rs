//! A run: look, compare, remember, and tell what has changed.

use std::time::Duration;

use holdfast_aws::coordination::{Coordination, CoordinationError};
use holdfast_aws::{Failure, Startup};
use holdfast_domain::budget::{Budget, Promotions};
use holdfast_domain::event::Event;
use holdfast_domain::promotion::Observed;
use holdfast_domain::readiness::{
    Assessment, ReadinessRecord, ReadinessReport, RegionFacts, Standing, Unread, compare,
};
use holdfast_domain::{Region, Timestamp, age};
use serde_json::{Value, json};

use crate::look::look;

/// Both Regions have the schedule; who finds that the other has looked just now has nothing to do.
const FRESH: Duration = Duration::from_secs(1800);
/// How often a record is written again when the other Region has written meanwhile.
const COLLISIONS_MAX: u32 = 3;

/// What a look came to.
struct Looked {
    facts: [RegionFacts; 2],
    /// How long an outage takes, for each Region that may be lost.
    budgets: [(Region, Budget); 2],
    assessment: Assessment,
    at: Timestamp,
}

/// Once an hour, by whichever Region comes first.
pub(crate) async fn scheduled(startup: &Startup) -> Result<Value, Failure> {
    let before = startup.coordination().readiness_report().await.map_err(unread)?;
    if let Some(before) = before.filter(|before| age(before.at, startup.now()) < FRESH) {
        return Ok(json!({"done": "nothing", "why": format!("{} has looked at {:.0}", before.region, before.at)}));
    }
    check(startup, false).await
}

/// Now, whoever has looked last.
pub(crate) async fn check(startup: &Startup, dry_run: bool) -> Result<Value, Failure> {
    let looked = looked(startup).await?;
    let report = conclude(startup, looked, dry_run).await?;
    Ok(told(&report, dry_run))
}

/// Now, and whether a deployment may go out. What is unknown does not go.
pub(crate) async fn gate(startup: &Startup, dry_run: bool) -> Result<Value, Failure> {
    let looked = looked(startup).await?;
    let report = conclude(startup, looked, dry_run).await?;
    let reasons = report.reasons_not_to_go();
    let go = reasons.is_empty() && report.standing == Standing::Ready;
    Ok(json!({"go": go, "reasons": reasons, "report": told(&report, dry_run)}))
}

/// How long an outage of either Region takes at worst, by arithmetic.
pub(crate) async fn budget(startup: &Startup) -> Result<Value, Failure> {
    let budgets = looked(startup).await?.budgets;
    let mut told = Vec::new();
    for (dark, budget) in &budgets {
        let over = startup.config.readiness.objective.map(|objective| budget.over(&objective)).unwrap_or_default();
        tracing::info!(%dark, over = over.len(), "the budget is worked out");
        told.push(json!({"dark": dark, "table": budget.table(), "over": over, "budget": budget}));
    }
    Ok(json!({"objective": startup.config.readiness.objective, "budgets": told}))
}

/// What was found last.
pub(crate) async fn status(startup: &Startup) -> Result<Value, Failure> {
    let coordination = startup.coordination();
    let report = coordination.readiness_report().await.map_err(unread)?;
    let mut regions = Vec::new();
    for data in &startup.config.topology.data_regions {
        let record = coordination.readiness(&data.region).await.map_err(unread)?;
        regions.push(json!({
            "region": data.region,
            "capacity": record.as_ref().map_or_else(|| "never judged".to_owned(), |it| it.capacity.to_string()),
            "age_s": record.map(|it| age(it.checked_at, startup.now()).as_secs()),
        }));
    }
    Ok(json!({"region": startup.region, "report": report, "regions": regions}))
}

async fn looked(startup: &Startup) -> Result<Looked, Failure> {
    let (facts, promotions) = tokio::join!(Box::pin(look(startup)), promotions(startup));
    let Some(facts) = facts else {
        return Err(Failure::NothingChanged("the topology does not have two data Regions".into()));
    };
    let at = startup.now();
    let [one, other] = &facts;
    let budget = |dark: &RegionFacts, survivor: &RegionFacts| {
        let past = match &promotions {
            Ok(Some(past)) => Observed::Seen(*past),
            Ok(None) => Observed::Unseen { why: "nothing was promoted yet, in no incident and in no drill".into() },
            Err(why) => Observed::Unseen { why: why.clone() },
        };
        (dark.region.clone(), Budget::of(&startup.config.policy, dark, survivor, past))
    };
    let budgets = [budget(one, other), budget(other, one)];
    let mut assessment = compare(one, other, &startup.config.readiness, &budgets, at);
    // Without them nobody can say that the objective is kept, where there is one.
    if let (Err(why), Some(_)) = (promotions, startup.config.readiness.objective) {
        assessment.unknown.push(Unread { region: startup.region.clone(), read: "past promotions".into(), why });
    }
    Ok(Looked { facts, budgets, assessment, at })
}

/// How long promotions took, from the incidents that are kept and the one that is not closed yet; `None`: there were none.
async fn promotions(startup: &Startup) -> Result<Option<Promotions>, String> {
    let coordination = startup.coordination();
    let (kept, state) = tokio::join!(coordination.kept_incidents(), coordination.cluster_state());
    let (kept, state) = (kept.map_err(|error| error.to_string())?, state.map_err(|error| error.to_string())?);
    Ok(Promotions::of(kept.iter().chain(&state.incident)))
}

/// Remembers and tells; with `dry_run`, says what would be.
async fn conclude(startup: &Startup, looked: Looked, dry_run: bool) -> Result<ReadinessReport, Failure> {
    let coordination = startup.coordination();
    let before = coordination.readiness_report().await.map_err(unread)?;
    let report = ReadinessReport::new(looked.assessment.clone(), before.as_ref(), &startup.region, looked.at);
    if dry_run {
        return Ok(report);
    }
    remember_regions(&coordination, &looked).await?;
    // Told before it is remembered: a crash in between tells it twice, and never not at all.
    if report.has_changed() {
        let event = Event::ReadinessChanged { report: Box::new(report.clone()) };
        let told = startup.bus().publish(&event, startup.buses()).await;
        told.map_err(|error| Failure::NothingChanged(error.to_string()))?;
    }
    match coordination.save_readiness_report(&report).await {
        // Whoever was faster has looked at the same.
        Ok(()) | Err(CoordinationError::Conflict { .. }) => {}
        Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
    }
    let (open, unknown) = (count(report.findings.len()), count(report.unknown.len()));
    startup.metrics.emit(
        startup.now(),
        &[("Region", startup.region.as_str())],
        &[("ReadinessFindings", "Count", open), ("ReadinessUnknown", "Count", unknown)],
    );
    tracing::info!(findings = open, unknown, new = report.new.len(), "the Regions are {}", report.standing);
    Ok(report)
}

/// One record for each Region, for whoever would send traffic there.
async fn remember_regions(coordination: &Coordination, looked: &Looked) -> Result<(), Failure> {
    let [one, other] = &looked.facts;
    for (facts, peer) in [(one, other), (other, one)] {
        let Some(capacity) = looked.assessment.worth_remembering(facts, peer) else { continue };
        for attempt in 1..=COLLISIONS_MAX {
            let before = coordination.readiness(&facts.region).await.map_err(unread)?;
            if before.as_ref().is_some_and(|before| before.checked_at > looked.at) {
                break;
            }
            let record = ReadinessRecord {
                region: facts.region.clone(),
                checked_at: looked.at,
                capacity: capacity.clone(),
                version: before.map_or(0, |before| before.version).saturating_add(1),
            };
            match coordination.save_readiness(&record).await {
                Ok(()) => break,
                Err(CoordinationError::Conflict { .. }) if attempt < COLLISIONS_MAX => {}
                Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
            }
        }
    }
    Ok(())
}

fn told(report: &ReadinessReport, dry_run: bool) -> Value {
    let lines = |list: &[holdfast_domain::readiness::Finding]| -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    };
    json!({
        "standing": report.standing, "findings": report.findings, "accepted": lines(&report.accepted),
        "unknown": report.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "new": report.new, "gone": report.gone, "at": report.at, "dry_run": dry_run,
    })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn unread(error: CoordinationError) -> Failure {
    Failure::NothingChanged(error.to_string())
}
