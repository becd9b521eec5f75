//! People: paged in time, once for each state, and never back from a settled one.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_domain::page::Turn;
use holdfast_domain::page::pagerduty::{decision_key, thread_key};

use super::liveness::pages_owed;
use super::{Findings, Invariant};
use crate::campaign::evidence::Evidence;
use crate::campaign::trouble::Trouble;

/// From the decision to the page being handed to its provider, while nothing is wrong with the way there.
const PAGE_MAX: Duration = Duration::from_secs(5);
/// How far back a trouble still shows: an event that was late, a sandbox that died, a claim that must run out.
const AFTERMATH: Duration = Duration::from_secs(20);
/// Once nothing is wrong any more, what was missed is told within this: the pager's own schedule, and a delivery.
const CATCH_UP: Duration = Duration::from_secs(90);

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for owed in pages_owed(&evidence.states, &evidence.setup.config.topology) {
        let told = evidence.letters.iter().filter(|letter| owed.is_settled_by(letter)).map(|letter| letter.sent).min();
        let calm = is_calm(evidence, owed.since);
        let deadline = if calm { owed.since + PAGE_MAX } else { owed.since.max(evidence.troubles_over()) + CATCH_UP };
        // What a later state overtook before its time was up needs no page of its own.
        let in_time = told.is_some_and(|told| told <= deadline);
        let overtaken = owed.until.is_some_and(|until| until <= deadline);
        let watched = evidence.ended >= deadline;
        findings.hold(Invariant::PagedInTime, owed.since, in_time || overtaken || !watched, || match told {
            Some(told) => format!("{} was paged after {} ms", owed.kind, told.saturating_sub(owed.since).as_millis()),
            None => format!("{} was never paged", owed.kind),
        });
    }
    no_page_twice(evidence, findings);
    every_channel_is_told(evidence, findings);
}

/// What a provider has missed while it was down, it gets once it is back; an alert whose incident is over is closed.
fn every_channel_is_told(evidence: &Evidence, findings: &mut Findings) {
    let (alerts, chat) = (evidence.world.alerts(), evidence.world.chat());
    for owed in pages_owed(&evidence.states, &evidence.setup.config.topology) {
        let deadline = owed.since.max(evidence.troubles_over()) + CATCH_UP;
        if evidence.ended < deadline || owed.until.is_some_and(|until| until <= deadline) {
            continue;
        }
        let key = match owed.turn {
            Turn::Asks => decision_key(&owed.thread, &owed.kind),
            Turn::Tells | Turn::Ends | Turn::Rehearses => thread_key(&owed.thread),
        };
        let alert = alerts.get(&key);
        let rang = alert.is_some_and(|alert| alert.events.iter().any(|(_, action, _)| action == "trigger"));
        // What was over before PagerDuty heard of it has no alert there.
        let closed = alert.is_none_or(|alert| alert.status == "resolved");
        let told = if owed.turn == Turn::Ends { closed } else { rang };
        findings.hold(Invariant::EveryChannelTold, owed.since, told, || {
            format!("{} {}: PagerDuty has {alert:?}", owed.thread, owed.kind)
        });
        let said = format!("{} · {}", owed.thread, owed.kind);
        let shown = chat.iter().any(|posted| posted.body.to_string().contains(&said));
        findings.hold(Invariant::EveryChannelTold, owed.since, shown, || format!("the chat never showed {said}"));
    }
}

/// Nothing is wrong with the functions, the bus, the table or the providers on the way of a page that is due then.
fn is_calm(evidence: &Evidence, due: Duration) -> bool {
    let from = due.saturating_sub(AFTERMATH);
    let until = due + PAGE_MAX;
    let kills = evidence.kills.iter().any(|(at, _)| *at >= from && *at <= until);
    let faults = evidence.plan.faults.iter().any(|fault| {
        let overlaps = fault.from <= until && fault.until.is_none_or(|over| over >= from);
        let late = if let Trouble::Delivery(chaos) = fault.trouble { chaos.late_max } else { Duration::ZERO };
        let overlaps = overlaps || fault.from <= until && fault.until.is_some_and(|over| over + late >= from);
        overlaps
            && match fault.trouble {
                Trouble::Calls { .. }
                | Trouble::Cut { .. }
                | Trouble::Delivery(_)
                | Trouble::KilledAtAwait { .. }
                | Trouble::Killed { .. }
                | Trouble::TimedOut { .. } => true,
                Trouble::Dark(region) => evidence.writer_at(due) != region && evidence.plan.primary != region,
                Trouble::WritesBroken(_)
                | Trouble::FrontDoorClosed(_)
                | Trouble::Lag(_)
                | Trouble::StoreHeld { .. }
                | Trouble::ReceiptsRuleGone(_)
                | Trouble::ReplicaWithoutKey(_)
                | Trouble::Unmeasured
                | Trouble::ClockSkew { .. }
                | Trouble::LateEffects(_)
                | Trouble::StartedTwice { .. }
                | Trouble::Alarm(_)
                | Trouble::Provider { .. }
                | Trouble::Asked { .. } => false,
            }
    });
    !kills && !faults
}

fn no_page_twice(evidence: &Evidence, findings: &mut Findings) {
    // Paging fails open: a page whose fate its sender could not know may be sent again, once for each such mishap.
    let mishaps = evidence.disturbed_calls(page_humans::FUNCTION).count()
        + evidence.kills.iter().filter(|(_, function)| function == page_humans::FUNCTION).count()
        + evidence.invoked.iter().filter(|it| it.function == page_humans::FUNCTION && it.outcome.is_err()).count();
    let mut sent: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut settled: BTreeMap<&str, u8> = BTreeMap::new();
    let mut letters: Vec<_> = evidence.letters.iter().collect();
    letters.sort_by_key(|letter| letter.sent);
    for letter in letters {
        let attribute = |name: &str| letter.attributes.get(name).map(String::as_str).unwrap_or_default();
        // Sent again because nobody acknowledged it, or because this channel had missed it: it says so.
        if attribute("step") != "0" || attribute("late_seconds") != "0" {
            continue;
        }
        let (thread, kind) = (attribute("thread"), attribute("kind"));
        let copies = sent.entry((thread, kind)).or_default();
        *copies += 1;
        findings.hold(Invariant::NoDuplicatePage, letter.sent, *copies <= 1 + mishaps, || {
            format!("{thread} {kind} was paged {copies} times, with {mishaps} mishaps of the pager")
        });
        let rank: u8 = attribute("rank").parse().unwrap_or(0);
        let highest = settled.entry(thread).or_default();
        let reopened = *highest >= holdfast_domain::page::SETTLED_RANK && rank < *highest;
        findings.hold(Invariant::NoReopening, letter.sent, !reopened || mishaps > 0, || {
            format!("{thread} {kind} of rank {rank} was paged after one of rank {highest}")
        });
        *highest = (*highest).max(rank);
    }
}
