//! The story as it happens: offsets from the outage, and a sentence.

use std::io::Write as _;
use std::time::Duration;

use holdfast_domain::event::Event;
use holdfast_world::trace::Entry;
use holdfast_world::{Region, World};
use serde_json::Value;

use crate::scenario::OUTAGE_AT;

/// Notes Holdfast's own events in the world's trace.
pub fn follow(world: &World) {
    world.on_published(|world, _, event| note(world, event));
}

/// Prints each event of the trace as it happens.
pub fn print_as_it_happens(world: &World) {
    world.echo(|entry| {
        // A closed pipe must not end the drill before its verdict.
        let _ = writeln!(std::io::stdout().lock(), "{}", line(entry));
    });
}

/// The same for runs on real time, whose clock is on the wall.
pub fn print_offsets_as_it_happens(world: &World) {
    world.echo(|entry| {
        let _ = writeln!(std::io::stdout().lock(), "{}", offset_line(entry));
    });
}

/// One line of the timeline.
#[must_use]
pub fn line(entry: &Entry) -> String {
    format!("{}  {}", clock(entry.at), offset_line(entry))
}

/// One line of the timeline of a world that began at this instant.
#[must_use]
pub fn dated_line(entry: &Entry, start: holdfast_domain::Timestamp) -> String {
    let at = start.checked_add(entry.at).unwrap_or(start);
    format!("{}  {}", at.strftime("%H:%M:%S"), offset_line(entry))
}

fn offset_line(entry: &Entry) -> String {
    let before = entry.at < OUTAGE_AT;
    let offset = if before { OUTAGE_AT - entry.at } else { entry.at - OUTAGE_AT };
    let sign = if before { '-' } else { '+' };
    format!("{sign}{:>3}.{:03} s  {:<22} {}", offset.as_secs(), offset.subsec_millis(), entry.actor, entry.what)
}

/// The wall clock of the story.
fn clock(at: Duration) -> String {
    let seconds = 14 * 3600 + 5 * 60 + at.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

fn note(world: &World, event: &Value) {
    if event["source"] != holdfast_domain::event::SOURCE {
        return;
    }
    let Ok(event) = serde_json::from_value::<Event>(event["detail"].clone()) else { return };
    let (actor, what) = match event {
        Event::RegionSuspected { subject, observer, proof } => {
            (format!("observe-region {}", short(observer.as_str())), format!("suspects {subject}: {proof}"))
        }
        Event::RegionDoubtful { subject, observer, quorum } => {
            (format!("observe-region {}", short(observer.as_str())), format!("doubts {subject}: {quorum}"))
        }
        Event::StandbyDark { subject, .. } => {
            ("promote-aurora".to_owned(), format!("tells that the standby {subject} is dark"))
        }
        Event::IncidentAdvanced { incident } => {
            let said = incident.history.last().map(|it| it.sentence.clone()).unwrap_or_default();
            ("promote-aurora".to_owned(), format!("{} {}: {said}", incident.id(), incident.phase))
        }
        Event::LossCounted { incident } => {
            let loss = incident.loss.map(|loss| loss.to_string()).unwrap_or_default();
            ("promote-aurora".to_owned(), format!("has counted the loss: {loss}"))
        }
        Event::ReplicationChanged { change } => ("verify-replication".to_owned(), format!("finds that {change}")),
        Event::KeysAcceptedTwice { doubled } => {
            let listed: Vec<String> = doubled.iter().map(ToString::to_string).collect();
            ("verify-replication".to_owned(), format!("finds keys that both Regions accepted: {}", listed.join("; ")))
        }
        Event::RegionRecovered { subject, observer } => {
            (format!("observe-region {}", short(observer.as_str())), format!("finds {subject} serving again"))
        }
        Event::ReceiptsReconciled { summary } => {
            let what = format!("has compared {} keys, {} to do", summary.plan.all(), summary.plan.to_do());
            ("reconcile-receipts".to_owned(), what)
        }
        Event::ReceiptsUnfinished { run, invocations, .. } => {
            ("reconcile-receipts".to_owned(), format!("goes on with {run} after {invocations} invocations"))
        }
        Event::PromotionSlow { waiting_for, .. } => {
            ("promote-aurora".to_owned(), format!("is kept waiting: {waiting_for}"))
        }
        Event::DatabaseNotice { event_id, meaning, .. } => {
            ("promote-aurora".to_owned(), format!("passes on {event_id}: {meaning}"))
        }
        Event::TriggerRefused { function, problem, .. } => (function, format!("refuses: {problem}")),
        Event::LedgerReconciled { summary } => ("reconcile-ledger".to_owned(), format!("finds: {summary}")),
        Event::TrafficShifted { shift } => ("shift-traffic".to_owned(), format!("tells: {shift}")),
        Event::PageAnswered { answer } => (
            "page-humans".to_owned(),
            format!("hands over that {} says {:?} to {}", answer.by, answer.says, answer.incident),
        ),
        Event::ReadinessChanged { report } => (
            "check-readiness".to_owned(),
            format!("finds the Regions {}: {} new, {} gone", report.standing, report.new.len(), report.gone.len()),
        ),
        Event::ClearingFileRefused { refused } => {
            ("reconcile-ledger".to_owned(), format!("puts {} aside: {}", refused.object, refused.problem))
        }
    };
    // What is said again every few seconds is shown once.
    let said = |text: &str| text.split(", oldest vote").next().unwrap_or_default().to_owned();
    let again = world.entries().iter().any(|entry| entry.actor == actor && said(&entry.what) == said(&what));
    if !again {
        world.record(actor, what);
    }
}

fn short(region: &str) -> &'static str {
    match Region::named(region) {
        Some(Region::DUBLIN) => "Dublin",
        Some(Region::LONDON) => "London",
        Some(Region::FRANKFURT) => "Frankfurt",
        Some(_) | None => "elsewhere",
    }
}
