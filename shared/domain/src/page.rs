//! What a person reads, and whether it is sent: composed once, the same from every Region.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::incident::{Incident, Phase, Verb};
use crate::region::one_line;
use crate::topology::Topology;
use crate::{Region, Timestamp, age};

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

mod receipts;
mod reconciliation;
mod replication;

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
    /// One sentence for a lock screen.
    pub headline: String,
    /// What happened, what Holdfast did, what it needs from whom, and the exact command.
    pub body: String,
    /// The Region that must not be relied on to deliver it.
    pub avoid: Option<Region>,
    /// For conditions without an incident: after so long without hearing of it, it is a new occurrence.
    pub quiet: Option<Duration>,
}

/// What is remembered of a thread's pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRecord {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The highest rank that was sent.
    pub highest_rank: u8,
    /// The kinds that were sent.
    pub sent: BTreeSet<String>,
    /// The kinds that somebody is about to send.
    pub claimed: BTreeSet<String>,
    /// When the thread was last heard of.
    pub last_heard: Timestamp,
}

/// The rank from which on nothing lower is sent: writes are back, or it is over.
pub const SETTLED_RANK: u8 = 60;
/// A condition that is still heard of after this long is remembered as heard, at most this often.
const HEARD_AGAIN: Duration = Duration::from_secs(60);

/// What to do with a page, given what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Send it, then remember it.
    Send,
    /// Already sent; remember only that it was heard of again.
    Heard,
    /// Already sent, or overtaken by a later state.
    Skip,
    /// Somebody is about to send it: look again, and send it when nothing comes of that.
    Wait,
}

impl Page {
    /// Whether to send it. Without a record it is sent: a duplicate is better than a miss.
    #[must_use]
    pub fn delivery(&self, record: Option<&PageRecord>, now: Timestamp) -> Delivery {
        let told = |kind: &String| record.is_some_and(|record| record.sent.contains(kind));
        if !told(&self.kind) && self.follows().is_some_and(|before| !told(&before)) {
            return Delivery::Wait;
        }
        let Some(record) = record else { return Delivery::Send };
        if record.claimed.contains(&self.kind) {
            return Delivery::Wait;
        }
        let unheard_for = age(record.last_heard, now);
        if let Some(quiet) = self.quiet {
            return match () {
                () if unheard_for > quiet || !record.sent.contains(&self.kind) => Delivery::Send,
                () if unheard_for > HEARD_AGAIN => Delivery::Heard,
                () => Delivery::Skip,
            };
        }
        let overtaken = record.highest_rank >= SETTLED_RANK && self.rank < record.highest_rank;
        if overtaken || record.sent.contains(&self.kind) { Delivery::Skip } else { Delivery::Send }
    }

    /// The kind that people read first, where both may be sent in the same breath: that writes work again, before what
    /// follows from the old Region being back.
    fn follows(&self) -> Option<String> {
        (self.kind == Phase::Reconciling.to_string()).then(|| Phase::Restored.to_string())
    }

    /// The record that says that this page is about to be sent: two Regions that page at once settle it by who writes it.
    #[must_use]
    pub fn claimed(&self, record: Option<PageRecord>, now: Timestamp) -> PageRecord {
        let mut record = PageRecord::next(record, now);
        record.claimed.insert(self.kind.clone());
        record
    }

    /// The record after this page was sent, or heard of again.
    #[must_use]
    pub fn remembered(&self, record: Option<PageRecord>, now: Timestamp) -> PageRecord {
        let mut record = PageRecord::next(record, now);
        record.highest_rank = record.highest_rank.max(self.rank);
        record.claimed.remove(&self.kind);
        record.sent.insert(self.kind.clone());
        record.last_heard = record.last_heard.max(now);
        record
    }
}

impl PageRecord {
    fn next(record: Option<Self>, now: Timestamp) -> Self {
        let mut record = record.unwrap_or(Self {
            version: 0,
            highest_rank: 0,
            sent: BTreeSet::new(),
            claimed: BTreeSet::new(),
            last_heard: now,
        });
        record.version = record.version.saturating_add(1);
        record
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
        headline,
        body,
        avoid: Some(subject.clone()),
        quiet: Some(Duration::from_secs(600)),
    };
    match event {
        Event::RegionSuspected { .. } | Event::RegionRecovered { .. } | Event::ReceiptsUnfinished { .. } => None,
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
            headline: format!("{event_id}: {meaning}"),
            body: format!("RDS says: {message}\nWhat it means: {meaning}"),
            avoid: None,
            quiet: None,
        }),
        Event::TriggerRefused { function, region, problem } => Some(Page {
            thread: format!("{cluster}/trigger-refused/{function}"),
            kind: "trigger-refused".into(),
            rank: 0,
            severity: Severity::Warning,
            headline: format!("{function} in {region} was sent something it cannot read."),
            body: format!(
                "{problem}\nNothing was done. The payload is in the dead-letter queue of {function} in {region}.\n\
                 Needed from you: find the sender; a real alarm may be among what is refused."
            ),
            avoid: None,
            quiet: Some(Duration::from_secs(600)),
        }),
        Event::LedgerReconciled { summary } => reconciliation::reconciled(summary, cluster),
        Event::ClearingFileRefused { refused } => Some(reconciliation::refused(refused, cluster)),
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

/// The thread, and what all pages of an incident share.
fn frame(incident: &Incident, topology: &Topology) -> Page {
    Page {
        thread: format!("{}/{}", topology.global_cluster, incident.id()),
        kind: incident.phase.to_string(),
        rank: 0,
        severity: Severity::Critical,
        headline: String::new(),
        body: String::new(),
        avoid: (incident.verb == Verb::Failover).then(|| incident.from.clone()),
        quiet: None,
    }
}

fn for_incident(incident: &Incident, topology: &Topology) -> Option<Page> {
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
                "Loss if promoted now: {lost}; {}.\nNeeded from you: approve\n{}\nor veto\n{}\n{}",
                incident.lag.as_ref().map_or_else(|| "lag not measured".into(), ToString::to_string),
                invoke(to, &format!(r#"{{"action":"approve","incident":"{id}","by":"<you>"}}"#)),
                invoke(to, &veto(&id)),
                match incident.veto_until {
                    Some(deadline) => format!("If nobody answers, it goes on at {deadline:.0}."),
                    None => "If nobody answers, nothing is promoted and writes stay down.".into(),
                }
            ),
        ),
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
                format!("What stops it, and the way past it:\n{lines}Payloads go to promote-aurora in {to}:\n{}", invoke(to, "<payload>")),
            )?;
            Some(Page { kind: format!("Blocked:{}", guards.join("+")), ..blocked })
        }
        Phase::Failed => page(
            50,
            Severity::Critical,
            format!("{verb} to {to} cannot go on without you: {said}"),
            format!(
                "Needed from you: look at the cluster, then have it tried again\n{}",
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
        ..frame(incident, topology)
    }
}

/// What was lost, in short and in full.
fn lost(incident: &Incident) -> (String, String) {
    match &incident.loss {
        Some(loss) => (loss.headline(), loss.to_string()),
        None => ("an unknown number of payments".into(), "not counted yet".into()),
    }
}

/// What happened and what was done, a line for each phase.
fn story(incident: &Incident) -> String {
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

fn see_more(incident: &Incident) -> String {
    format!("To see more: {}", invoke(&incident.to, r#"{"action":"status"}"#))
}

/// The command that sends a payload to promote-aurora in a Region.
fn invoke(region: &Region, payload: &str) -> String {
    format!(
        "aws lambda invoke --region {region} --function-name holdfast-promote-aurora --cli-binary-format raw-in-base64-out --payload '{payload}' /dev/stdout"
    )
}

#[cfg(test)]
mod tests;
