//! The pages of an incident, a state each.

use std::fmt::Write as _;

use super::{Page, Severity, Turn, invoke};
use crate::incident::{Incident, Phase, Verb};
use crate::topology::Topology;

/// The thread, and what all pages of an incident share.
pub(super) fn frame(incident: &Incident, topology: &Topology) -> Page {
    Page {
        thread: format!("{}/{}", topology.global_cluster, incident.id()),
        kind: incident.phase.to_string(),
        rank: 0,
        severity: Severity::Critical,
        turn: turn_of(incident),
        section: section_of(incident.phase).to_owned(),
        headline: String::new(),
        body: String::new(),
        avoid: (incident.verb == Verb::Failover).then(|| incident.from.clone()),
        quiet: None,
    }
}

/// What an incident's page is to its alert.
fn turn_of(incident: &Incident) -> Turn {
    match incident.phase {
        Phase::AwaitingApproval | Phase::Blocked | Phase::Failed => Turn::Asks,
        Phase::Dismissed | Phase::Closed => Turn::Ends,
        Phase::Suspected
        | Phase::Confirmed
        | Phase::Fencing
        | Phase::Promoting
        | Phase::Proving
        | Phase::Restored
        | Phase::Reconciling => Turn::Tells,
    }
}

/// The runbook's section for a phase.
fn section_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Suspected | Phase::Confirmed | Phase::Fencing | Phase::Promoting | Phase::Proving => "failing-over",
        Phase::AwaitingApproval => "approval",
        Phase::Blocked => "blocked",
        Phase::Failed => "failed",
        Phase::Restored => "writes-work",
        Phase::Reconciling => "old-region-back",
        Phase::Dismissed => "stood-down",
        Phase::Closed => "closed",
    }
}

pub(super) fn for_incident(incident: &Incident, topology: &Topology) -> Option<Page> {
    let Incident { from, to, verb, .. } = incident;
    let id = incident.id();
    let said = incident.history.last().map(|milestone| milestone.sentence.clone()).unwrap_or_default();
    let lost = incident.price.as_ref().map_or_else(|| "not yet counted".into(), ToString::to_string);
    let page = |rank, severity, headline: String, need: String| {
        let body = format!("{}\n{need}\n{}", story(incident), see_more(incident));
        Some(Page { rank, severity, headline, body, ..frame(incident, topology) })
    };
    match incident.phase {
        Phase::Suspected => None,
        // One page for all of them: whichever of these events arrives tells a person that it has begun.
        Phase::Confirmed | Phase::Fencing | Phase::Promoting | Phase::Proving => page(
            10,
            Severity::Critical,
            match verb {
                Verb::Failover => format!("{from} is dark. Holdfast is failing over to {to}."),
                Verb::Switchover => format!("Planned switchover of the ledger from {from} to {to} has begun."),
            },
            format!(
                "Loss known when it was decided: {lost}.\nNeeded from you: keep people from changing anything in {from} or {to}."
            ),
        )
        .map(|begun| Page { kind: Phase::Confirmed.to_string(), ..begun }),
        Phase::AwaitingApproval => page(
            20,
            Severity::Critical,
            match incident.veto_until {
                Some(deadline) => format!("{from} is dark. Failover to {to} at {deadline:.0} unless you veto."),
                None => format!("{from} is dark. Approve the failover to {to}? Payments cannot be written until then."),
            },
            format!(
                "{}Loss if promoted now: {lost}; {}.\nNeeded from you: approve\n{}\nor veto\n{}\n{}",
                incident.veto.as_ref().map(|veto| format!("The veto of {} has run out.\n", veto.by)).unwrap_or_default(),
                incident.lag.as_ref().map_or_else(|| "lag not measured".into(), ToString::to_string),
                invoke(to, &format!(r#"{{"action":"approve","incident":"{id}","by":"<you>"}}"#)),
                invoke(to, &veto(&id)),
                match incident.veto_until {
                    Some(deadline) => format!("If nobody answers, it goes on at {deadline:.0}."),
                    None => "If nobody answers, nothing is promoted and writes stay down.".into(),
                }
            ),
        )
        .map(|asked| {
            // Asked anew after a veto ran out: another page, although that kind was sent.
            let asked_before = incident.history.iter().filter(|it| it.phase == Phase::AwaitingApproval).count() > 1;
            let kind = if asked_before { format!("{}:{}", asked.kind, incident.phase_since()) } else { asked.kind };
            Page { kind, ..asked }
        }),
        Phase::Blocked => {
            let guards: Vec<&str> = incident.blocked.iter().map(|block| block.guard.name()).collect();
            let lines = incident.blocked.iter().fold(String::new(), |mut lines, block| {
                let _ = writeln!(lines, "- {block}");
                lines
            });
            let blocked = page(
                25,
                Severity::Critical,
                format!("{verb} to {to} is blocked by {}.", guards.join(", ")),
                format!(
                    "Needed from you: decide whether it goes on all the same.\n\
                     What stops it, and the way past it:\n{lines}Payloads go to promote-aurora in {to}:\n{}\n{}",
                    invoke(to, "<payload>"),
                    match verb {
                        Verb::Failover => "If nobody answers, nothing is promoted and writes stay down; it is looked at again every minute.",
                        Verb::Switchover => "If nobody answers, the writer stays where it is.",
                    }
                ),
            )?;
            Some(Page { kind: format!("Blocked:{}", guards.join("+")), ..blocked })
        }
        Phase::Failed => page(
            50,
            Severity::Critical,
            format!("{verb} to {to} cannot go on without you: {said}"),
            format!(
                "Needed from you: look at the cluster, then have it tried again\n{}\n\
                 If nobody answers, nothing more is done: the old writer is fenced off, and the new one is not proven.",
                invoke(to, &format!(r#"{{"action":"retry","incident":"{id}","by":"<you>"}}"#))
            ),
        )
        .map(|failed| Page { kind: format!("Failed:{}", incident.phase_since()), ..failed }),
        Phase::Restored => Some(writes_work(incident, topology)),
        Phase::Reconciling => page(
            70,
            Severity::Warning,
            format!("{from} is back. {said}"),
            format!(
                "Needed from you: compare the old volume with the ledger, settle what is in doubt, then close\n{}",
                invoke(to, &format!(r#"{{"action":"close","incident":"{id}","by":"<you>"}}"#))
            ),
        ),
        Phase::Dismissed => page(80, Severity::Warning, format!("Stood down: {said}."), "Needed from you: nothing.".into()),
        // A planned move closes itself in the same breath in which it is proven: what is told of it is that writes work.
        Phase::Closed if *verb == Verb::Switchover => incident.was(Phase::Restored).then(|| writes_work(incident, topology)),
        Phase::Closed => page(90, Severity::Info, format!("Closed: {verb} from {from} to {to}."), String::new()),
    }
}

/// The page that everybody waits for.
fn writes_work(incident: &Incident, topology: &Topology) -> Page {
    let Incident { from, to, verb, .. } = incident;
    let (loss, need) = match verb {
        Verb::Failover => (
            match &incident.loss {
                Some(loss) if loss.is_settled() => format!("Lost: {}.", loss.headline()),
                Some(_) | None => "The loss is not counted yet.".into(),
            },
            format!(
                "Lost: {}.\nPrice when it was decided: {}.\nNeeded from you: keep {from} out of service when it returns, reconcile the ledger, then close\n{}",
                lost(incident).1,
                incident.price.as_ref().map_or_else(|| "not counted".into(), ToString::to_string),
                invoke(to, &format!(r#"{{"action":"close","incident":"{}","by":"<you>"}}"#, incident.id()))
            ),
        ),
        Verb::Switchover => ("Nothing was lost.".into(), "Needed from you: nothing.".into()),
    };
    Page {
        kind: Phase::Restored.to_string(),
        rank: 60,
        headline: format!("Writes work in {to}. {loss}"),
        body: format!("{}\n{need}\n{}", story(incident), see_more(incident)),
        section: section_of(Phase::Restored).to_owned(),
        ..frame(incident, topology)
    }
}

/// What was lost, in short and in full.
pub(super) fn lost(incident: &Incident) -> (String, String) {
    match &incident.loss {
        Some(loss) => (loss.headline(), loss.to_string()),
        None => ("an unknown number of payments".into(), "not counted yet".into()),
    }
}

/// What happened and what was done, a line for each phase.
pub(super) fn story(incident: &Incident) -> String {
    let mut story = format!("{incident}. Raised by {}.\n", incident.raised_by);
    if let Some(proof) = &incident.proof {
        let _ = writeln!(story, "{} is {proof}.", incident.from);
    }
    for milestone in &incident.history {
        let _ = writeln!(story, "{:.3} {}: {}", milestone.at, milestone.phase, milestone.sentence);
    }
    story
}

fn veto(id: &str) -> String {
    format!(r#"{{"action":"veto","incident":"{id}","by":"<you>"}}"#)
}

pub(super) fn see_more(incident: &Incident) -> String {
    format!("To see more: {}", invoke(&incident.to, r#"{"action":"status"}"#))
}
