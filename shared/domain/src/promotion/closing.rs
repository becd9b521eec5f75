//! Whether an incident may end: what it has left behind must be put in order, and known to be.

use std::collections::BTreeSet;

use crate::blocked::{Blocked, Guard};
use crate::incident::{Incident, Phase, Verb};
use crate::promotion::{GlobalCluster, Observed};
use crate::receipts::{Class, State, Summary as Receipts};
use crate::reconciliation::{Finding, Found, InDoubt, Pass, Summary as Ledger};
use crate::{Region, Timestamp, age};

/// What is known of what an incident has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aftermath {
    /// The global cluster.
    pub cluster: Observed<GlobalCluster>,
    /// What each run of reconcile-ledger came to last.
    pub ledger: Observed<Vec<Ledger>>,
    /// The list of attempts in doubt, settled ones too.
    pub in_doubt: Observed<Vec<InDoubt>>,
    /// What the last whole comparison of the receipts came to, in either Region.
    pub receipts: Observed<Option<Receipts>>,
}

impl Aftermath {
    /// Nothing is known, for this reason.
    #[must_use]
    pub fn unknown(why: &str) -> Self {
        fn unseen<T>(why: &str) -> Observed<T> {
            Observed::Unseen { why: why.to_owned() }
        }
        Self { cluster: unseen(why), ledger: unseen(why), in_doubt: unseen(why), receipts: unseen(why) }
    }
}

/// The guards of closing that no machine of ours looks at, what each asks for, and an example of evidence: a person or a
/// pipeline attests them.
const ATTESTED: [(Guard, &str, &str); 2] = [
    (Guard::AlarmsMoved, "what watches the writer watches the new one", "the ledger's alarms name eu-west-2"),
    (Guard::PlanClean, "the infrastructure's plan changes nothing", "plan 4711: no changes"),
];

/// Whether this is something that people attest; everything else a machine looks at, and people can only override.
#[must_use]
pub fn is_attested(guard: Guard) -> bool {
    ATTESTED.iter().any(|(attested, _, _)| *attested == guard)
}

/// Whether this is a failover that has taken the writer from that Region, and must be closed before it goes back there.
#[must_use]
pub fn waits_for_failback(open: &Incident, to: &Region) -> bool {
    open.verb == Verb::Failover && open.was(Phase::Restored) && open.from == *to
}

/// What speaks against ending an incident. What no machine has checked, a person must attest or vouch for.
#[must_use]
pub fn reasons_not_to_close(
    incident: &Incident,
    aftermath: &Aftermath,
    overrides: &BTreeSet<Guard>,
    now: Timestamp,
) -> Vec<Blocked> {
    let id = incident.id();
    let overridden =
        |guard: Guard| format!(r#"{{"action":"close","incident":"{id}","by":"<you>","override":["{guard}"]}}"#);
    let block = |guard: Guard, (evidence, at): Reason| Blocked {
        guard,
        evidence,
        evidence_age: at.map(|at| age(at, now)),
        override_with: overridden(guard),
    };
    let mut blocked: Vec<Blocked> = Vec::new();
    blocked.extend(redundancy(&aftermath.cluster).map(|reason| block(Guard::Redundancy, reason)));
    if incident.verb == Verb::Failover && incident.phase != Phase::Failed {
        if incident.secured_snapshot.is_none() {
            let evidence =
                "no manual copy of the old volume's snapshot is known: what only the old primary had may be gone";
            blocked.push(block(Guard::OldVolume, (evidence.into(), None)));
        }
        blocked.extend(ledger(incident, &aftermath.ledger).map(|reason| block(Guard::LedgerClean, reason)));
        blocked.extend(in_doubt(incident, aftermath).map(|reason| block(Guard::InDoubtEmpty, reason)));
        blocked.extend(receipts(incident, &aftermath.receipts).map(|reason| block(Guard::ReceiptsConverged, reason)));
        blocked.extend(not_attested(incident));
    }
    blocked.retain(|block| !overrides.contains(&block.guard));
    blocked
}

/// A sentence, and when what it rests on was seen; absent when that was just now or never.
type Reason = (String, Option<Timestamp>);

fn redundancy(cluster: &Observed<GlobalCluster>) -> Option<Reason> {
    match cluster {
        Observed::Unseen { why } => Some((why.clone(), None)),
        Observed::Seen(cluster) => {
            let standby = cluster.members.iter().filter(|member| !member.is_writer);
            let connected = standby.clone().filter(|member| member.connected == Some(true)).count();
            (connected == 0)
                .then(|| (format!("{connected} of {} standby clusters are connected", standby.count()), None))
        }
    }
}

/// The name of the *now* pass about an incident.
#[must_use]
pub fn now_run_of(incident: &str) -> String {
    format!("{incident}-now")
}

fn restored_at(incident: &Incident) -> Timestamp {
    let restored = incident.history.iter().find(|it| it.phase == Phase::Restored);
    restored.map_or(incident.opened_at, |it| it.at)
}

/// The *now* pass about the incident.
fn now_pass<'a>(incident: &Incident, runs: &'a [Ledger]) -> Option<&'a Ledger> {
    let run = now_run_of(&incident.id());
    runs.iter().find(|summary| summary.pass == Pass::Now && summary.run == run)
}

fn ledger(incident: &Incident, runs: &Observed<Vec<Ledger>>) -> Option<Reason> {
    let runs = match runs {
        Observed::Unseen { why } => return Some((format!("what reconcile-ledger found is unknown: {why}"), None)),
        Observed::Seen(runs) => runs,
    };
    let Some(now_pass) = now_pass(incident, runs) else {
        return Some(("nobody has compared the ledger with the attempts and the card network".into(), None));
    };
    let restored = restored_at(incident);
    // The newest file tells; an earlier one may speak of what has been booked since.
    let clearing = runs.iter().filter(|run| run.pass == Pass::Clearing && run.at >= restored).max_by_key(|run| run.at);
    [Some(now_pass), clearing].into_iter().flatten().find_map(|run| Some((not_clean(run)?, Some(run.at))))
}

/// What a run leaves open besides doubts, which have a guard of their own.
fn not_clean(run: &Ledger) -> Option<String> {
    let found: &Found = match &run.finding {
        Finding::Unknown { .. } => return Some(run.to_string()),
        Finding::Complete(found) => found,
    };
    let settled = Found { in_doubt: crate::money::Totals::default(), in_doubt_keys: Vec::new(), ..found.clone() };
    if settled.is_clean() {
        return None;
    }
    let because = found.at_least.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    Some(format!("{run}{because}"))
}

fn in_doubt(incident: &Incident, aftermath: &Aftermath) -> Option<Reason> {
    let (runs, listed) = match (&aftermath.ledger, &aftermath.in_doubt) {
        (Observed::Unseen { why }, _) | (_, Observed::Unseen { why }) => {
            return Some((format!("whether payments are in doubt is unknown: {why}"), None));
        }
        (Observed::Seen(runs), Observed::Seen(listed)) => (runs, listed),
    };
    match now_pass(incident, runs).map(|run| &run.finding) {
        None => return Some(("nobody has settled the payments whose outcome was in doubt".into(), None)),
        Some(Finding::Unknown { why, .. }) => {
            return Some((format!("whether payments are in doubt is unknown: {why}"), None));
        }
        Some(Finding::Complete(_)) => {}
    }
    let open: Vec<&InDoubt> = listed.iter().filter(|entry| entry.settled.is_none()).collect();
    let oldest = open.iter().map(|entry| entry.begun_at).min()?;
    Some((format!("{} payments are in doubt, the oldest begun at {oldest:.0}", open.len()), None))
}

fn receipts(incident: &Incident, last: &Observed<Option<Receipts>>) -> Option<Reason> {
    let summary = match last {
        Observed::Unseen { why } => return Some((format!("what reconcile-receipts found is unknown: {why}"), None)),
        Observed::Seen(None) => return Some(("nobody has compared the two receipt buckets".into(), None)),
        Observed::Seen(Some(summary)) => summary,
    };
    let began = Some(summary.began);
    if summary.began < restored_at(incident) {
        return Some((
            format!("the receipts were last compared in {}, before writes were restored", summary.run),
            began,
        ));
    }
    if summary.state == State::Unfinished {
        return Some((format!("{} did not finish: what it has not looked at is unknown", summary.run), began));
    }
    // What is pending is on its way, and younger than the policy's patience: payments go on meanwhile.
    let settled = |class: Class| class == Class::InSync || class == Class::Pending;
    let left: Vec<String> = summary
        .plan
        .0
        .iter()
        .filter(|(class, count)| !settled(**class) && count.keys > 0)
        .map(|(class, count)| format!("{} {}", count.keys, class.name()))
        .collect();
    (!left.is_empty()).then(|| (format!("{} found {}", summary.run, left.join(", ")), began))
}

fn not_attested(incident: &Incident) -> impl Iterator<Item = Blocked> {
    let missing = ATTESTED.iter().filter(|(guard, _, _)| !incident.attestations.contains_key(guard));
    missing.map(|(guard, what, such_as)| Blocked {
        guard: *guard,
        evidence: format!("nobody has attested that {what}"),
        evidence_age: None,
        override_with: format!(
            r#"{{"action":"attest","incident":"{}","guard":"{guard}","by":"<you>","evidence":"{such_as}"}}"#,
            incident.id()
        ),
    })
}
