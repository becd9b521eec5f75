//! What a person reads, and whether it is sent: composed once, the same from every Region.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Region;
use crate::event::Event;
use crate::region::one_line;
use crate::topology::Topology;
use incident::{for_incident, frame, lost, see_more, story};

/// How loud a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look today.
    Warning,
    /// Wakes somebody.
    Critical,
}

impl Severity {
    /// Its name, as it crosses the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a page is to the alert that people have open for its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It opens the alert, or adds to it.
    Tells,
    /// Somebody must decide: it rings although the thread's alert is open and acknowledged.
    Asks,
    /// It is over: the alert is closed.
    Ends,
    /// Nothing is wrong: somebody shall say that it came.
    Rehearses,
}

mod incident;
pub mod message;
pub mod open;
pub mod pager;
pub mod pagerduty;
mod readiness;
mod receipts;
mod reconciliation;
mod record;
mod replication;
pub mod slack;
pub mod sns;
mod traffic;
pub mod webhook;

pub use record::{Delivery, PageRecord, SETTLED_RANK};

/// A page, before any provider has shaped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What the page is about. The same from every Region: the cluster and the incident's epoch, or the condition.
    pub thread: String,
    /// Which state of the thread; one page for each.
    pub kind: String,
    /// The state's order in the thread: a lower one never re-opens a higher one.
    pub rank: u8,
    /// How loud.
    pub severity: Severity,
    /// What it is to the alert that is open.
    pub turn: Turn,
    /// Its section of `docs/runbook.md`.
    pub section: String,
    /// One sentence for a lock screen.
    pub headline: String,
    /// What happened, what Holdfast did, what it needs from whom, and the exact command.
    pub body: String,
    /// The Region that must not be relied on to deliver it.
    pub avoid: Option<Region>,
    /// For conditions without an incident: after so long without hearing of it, it is a new occurrence.
    pub quiet: Option<Duration>,
}

impl Page {
    /// The sentence that says what is needed from a person.
    #[must_use]
    pub fn need(&self) -> Option<&str> {
        self.body.lines().find(|line| line.starts_with("Needed from you"))
    }
}

/// A headline in characters: what a lock screen shows.
const HEADLINE_MAX: usize = 240;
/// A thread's name in characters: with four bytes each, half of a DynamoDB key.
const THREAD_MAX: usize = 240;
/// A kind in characters: every guard at once has room in it.
const KIND_MAX: usize = 500;

/// The page for an event; `None` for what needs no person.
///
/// Names and headline are one line each, whatever RDS or a person wrote into the event.
#[must_use]
pub fn compose(event: &Event, topology: &Topology) -> Option<Page> {
    composed(event, topology).map(|page| Page {
        thread: one_line(&page.thread, THREAD_MAX, 0),
        kind: one_line(&page.kind, KIND_MAX, 0),
        headline: one_line(&page.headline, HEADLINE_MAX, 0),
        ..page
    })
}

fn composed(event: &Event, topology: &Topology) -> Option<Page> {
    let cluster = &topology.global_cluster;
    let condition = |subject: &Region, kind: &str, severity, headline: String, body: String| Page {
        thread: format!("{cluster}/{kind}/{subject}"),
        kind: kind.to_owned(),
        rank: 0,
        severity,
        turn: Turn::Tells,
        section: kind.to_owned(),
        headline,
        body,
        avoid: Some(subject.clone()),
        quiet: Some(Duration::from_secs(600)),
    };
    match event {
        Event::RegionSuspected { .. }
        | Event::RegionRecovered { .. }
        | Event::ReceiptsUnfinished { .. }
        | Event::PageAnswered { .. } => None,
        Event::RegionDoubtful { subject, observer, quorum } => Some(condition(
            subject,
            "region-doubtful",
            Severity::Critical,
            format!("Look at {subject} now: {quorum}"),
            format!(
                "{subject}, as the observer in {observer} puts it together: {quorum}.\n\
                 Holdfast has moved nothing: this is not the picture of a Region that is gone.\n\
                 Needed from you: find out whether payments are being written in {subject}.\n{}",
                way_out_of(subject, topology)
            ),
        )),
        Event::StandbyDark { subject, proof } => Some(condition(
            subject,
            "standby-dark",
            Severity::Critical,
            format!("{subject} is dark. Writes are not affected, but there is no standby."),
            format!(
                "{subject} is {proof}.\nIt does not hold the writer, so Holdfast promotes nothing. \
                 Until it returns an outage of the other Region cannot be survived.\n\
                 Needed from you: watch {subject}; stop risky changes in the other Region."
            ),
        )),
        Event::IncidentAdvanced { incident } => for_incident(incident, topology),
        Event::LossCounted { incident } => Some(Page {
            kind: "Loss".into(),
            turn: Turn::Tells,
            section: "loss".into(),
            // Not above Restored: whichever of the two comes late is still news.
            rank: 60,
            severity: Severity::Critical,
            headline: format!("Failover to {} has cost {}.", incident.to, lost(incident).0),
            body: format!(
                "{}\nLost: {}.\nThese payments were acknowledged and are not in the ledger; the attempts table lists them.\n\
                 Needed from you: have the payments team book or refund them.\n{}",
                story(incident),
                lost(incident).1,
                see_more(incident)
            ),
            ..frame(incident, topology)
        }),
        Event::ReplicationChanged { change } => replication::changed(change, cluster),
        Event::KeysAcceptedTwice { doubled } => Some(replication::accepted_twice(doubled, cluster)),
        Event::ReceiptsReconciled { summary } => receipts::reconciled(summary, cluster),
        Event::PromotionSlow { incident, waiting_for } => Some(Page {
            kind: "slow".into(),
            turn: Turn::Tells,
            section: "slow".into(),
            rank: 40,
            severity: Severity::Critical,
            headline: format!("{} to {} is taking long: {waiting_for}", incident.verb, incident.to),
            body: format!(
                "{}\nWaiting for: {waiting_for}.\nNeeded from you: look at the cluster yourself:\n\
                 aws rds describe-global-clusters --region {} --global-cluster-identifier {cluster}\n{}",
                story(incident),
                incident.to,
                see_more(incident)
            ),
            ..frame(incident, topology)
        }),
        Event::DatabaseNotice { event_id, message, meaning, at } => Some(Page {
            thread: format!("{cluster}/{event_id}/{}", at.map_or_else(|| "undated".into(), |at| format!("{at:.0}"))),
            kind: if event_id.trim().is_empty() { "database-notice".into() } else { event_id.clone() },
            rank: 0,
            severity: Severity::Critical,
            turn: Turn::Tells,
            section: "database-notice".into(),
            headline: format!("{event_id}: {meaning}"),
            body: format!(
                "RDS says: {message}\nWhat it means: {meaning}\n\
                 Needed from you: look at the cluster, in the Region that still answers:\n\
                 aws rds describe-global-clusters --global-cluster-identifier {cluster}"
            ),
            avoid: None,
            quiet: None,
        }),
        Event::TriggerRefused { function, region, problem } => Some(Page {
            thread: format!("{cluster}/trigger-refused/{function}"),
            kind: "trigger-refused".into(),
            rank: 0,
            severity: Severity::Warning,
            turn: Turn::Tells,
            section: "trigger-refused".into(),
            headline: format!("{function} in {region} was sent something it cannot read."),
            body: format!(
                "{problem}\nNothing was done. The payload is in the dead-letter queue of {function} in {region}.\n\
                 Needed from you: find the sender; a real alarm may be among what is refused."
            ),
            avoid: None,
            quiet: Some(Duration::from_secs(600)),
        }),
        Event::LedgerReconciled { summary } => reconciliation::reconciled(summary, cluster),
        Event::TrafficShifted { shift } => Some(traffic::shifted(shift, cluster)),
        Event::ClearingFileRefused { refused } => Some(reconciliation::refused(refused, cluster)),
        Event::ReadinessChanged { report } => readiness::changed(report, cluster),
    }
}

/// The command that promotes the other Region, for a person who decides to; the witness has none.
fn way_out_of(subject: &Region, topology: &Topology) -> String {
    let Some(peer) = topology.peer_of(subject) else {
        return format!("{subject} holds no data: there is nothing to promote.");
    };
    let to = &peer.region;
    let payload = format!(r#"{{"action":"failover","to":"{to}","by":"<you>","override":["quorum","still_heard"]}}"#);
    format!("If you decide to promote the other Region, accept the loss by name:\n{}", invoke(to, &payload))
}

/// The command that sends a payload to promote-aurora in a Region.
fn invoke(region: &Region, payload: &str) -> String {
    format!(
        "aws lambda invoke --region {region} --function-name holdfast-promote-aurora:live --cli-binary-format raw-in-base64-out --payload '{payload}' /dev/stdout"
    )
}

#[cfg(test)]
mod tests;
