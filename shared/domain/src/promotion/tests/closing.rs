//! What speaks against ending an incident, one thing at a time.

use super::*;
use crate::attempt::Window;
use crate::incident::{Attestation, Incident, Milestone, Verb};
use crate::money::Currency;
use crate::receipts::{Class, State, Summary as Receipts, Tally};
use crate::reconciliation::{Doubt, Fate, Finding, Found, InDoubt, Pass, Summary as Ledger, changes_of_list};

/// Restored at second 60; everything after it is in order.
fn put_in_order() -> (Incident, Aftermath) {
    let mut facts = facts(Phase::Reconciling);
    facts.incident.history.clear();
    facts.incident.history.push(Milestone { phase: Phase::Restored, at: at(60), sentence: String::new() });
    facts.incident.secured_snapshot = Some("copy".into());
    for guard in [Guard::AlarmsMoved, Guard::PlanClean] {
        let attestation = Attestation { by: "pipeline".into(), evidence: "plan 7".into(), at: at(300) };
        facts.incident.attestations.insert(guard, attestation);
    }
    let aftermath = Aftermath {
        cluster: facts.global_cluster.clone(),
        ledger: Observed::Seen(vec![run(Pass::Now, "e1-now", 100, clean())]),
        in_doubt: Observed::Seen(vec![doubt("a", Some(Fate::Booked))]),
        receipts: Observed::Seen(Some(compared(200, State::Applied, Class::InSync))),
    };
    (facts.incident, aftermath)
}

fn clean() -> Found {
    Found { balanced: true, ..Found::default() }
}
fn losing() -> Found {
    let mut found = clean();
    found.lose("a", Currency::parse("EUR").unwrap(), 2293);
    found
}
fn run(pass: Pass, name: &str, when: i64, found: Found) -> Ledger {
    let window = Some(Window { from: at(0), to: at(60) });
    let finding = Finding::Complete(Box::new(Found { window, ..found }));
    let region = Region::new("eu-west-2").unwrap();
    Ledger { pass, run: name.into(), region, finding, report: None, at: at(when) }
}
fn doubt(key: &str, settled: Option<Fate>) -> InDoubt {
    let region = Region::new("eu-west-1").unwrap();
    let currency = Currency::parse("EUR").unwrap();
    let doubt = Doubt { key: key.into(), amount_minor: 1, currency, region, begun_at: at(50) };
    let mut listed = changes_of_list(&[], &[doubt], &std::collections::BTreeMap::new(), "e1-now", at(900));
    InDoubt { settled, ..listed.remove(0) }
}
fn compared(began: i64, state: State, class: Class) -> Receipts {
    let mut plan = Tally::default();
    plan.add(class, 3, 0);
    Receipts {
        run: "r1".into(),
        region: Region::new("eu-west-2").unwrap(),
        state,
        plan,
        done: 0,
        moved_on: 0,
        refused: std::collections::BTreeMap::new(),
        began: at(began),
        took_ms: 1,
        pages: 1,
        lines: "b".into(),
        lists: None,
        jobs: Vec::new(),
    }
}

/// What is changed of an aftermath in order, and the one thing that then speaks against closing.
#[track_caller]
fn closes(change: impl FnOnce(&mut Incident, &mut Aftermath), expected: &[(Guard, &str)]) {
    let (mut incident, mut aftermath) = put_in_order();
    change(&mut incident, &mut aftermath);
    let blocked = reasons_not_to_close(&incident, &aftermath, &BTreeSet::new(), at(400));
    let found: Vec<(Guard, &str)> = blocked.iter().map(|block| (block.guard, block.evidence.as_str())).collect();
    assert_eq!(found, expected);
    // Whoever vouches for just that, or attests it, gets past it.
    let overrides = expected.iter().map(|(guard, _)| *guard).collect();
    assert_eq!(reasons_not_to_close(&incident, &aftermath, &overrides, at(400)), []);
    for block in blocked {
        let verb = if is_attested(block.guard) { "attest" } else { "close" };
        assert!(block.override_with.starts_with(&format!(r#"{{"action":"{verb}","incident":"e1""#)), "{block}");
        assert!(block.override_with.contains(block.guard.name()), "{block}");
    }
}

#[test]
fn an_aftermath_in_order_is_closed() {
    closes(|_, _| {}, &[]);
    let (mut incident, _) = put_in_order();
    let nothing_known = Aftermath::unknown("throttled");
    incident.phase = Phase::Failed;
    let guards = |incident: &Incident| -> Vec<Guard> {
        let blocked = reasons_not_to_close(incident, &nothing_known, &BTreeSet::new(), at(400));
        blocked.into_iter().map(|block| block.guard).collect()
    };
    assert_eq!(guards(&incident), [Guard::Redundancy]);
    (incident.phase, incident.verb) = (Phase::Reconciling, Verb::Switchover);
    assert_eq!(guards(&incident), [Guard::Redundancy]);
}

#[test]
fn redundancy_is_a_connected_standby() {
    let redundancy = |change: fn(&mut GlobalCluster), evidence: &str| {
        closes(
            |_, aftermath| {
                if let Observed::Seen(cluster) = &mut aftermath.cluster {
                    change(cluster);
                }
            },
            &[(Guard::Redundancy, evidence)],
        );
    };
    redundancy(|cluster| cluster.members[1].connected = None, "0 of 1 standby clusters are connected");
    redundancy(|cluster| cluster.members[1].connected = Some(false), "0 of 1 standby clusters are connected");
    redundancy(|cluster| cluster.members.truncate(1), "0 of 0 standby clusters are connected");
    closes(
        |_, aftermath| aftermath.cluster = Observed::Unseen { why: "throttled".into() },
        &[(Guard::Redundancy, "throttled")],
    );
}

#[test]
fn the_old_volume_is_kept_in_a_copy() {
    let evidence = "no manual copy of the old volume's snapshot is known: what only the old primary had may be gone";
    closes(|incident, _| incident.secured_snapshot = None, &[(Guard::OldVolume, evidence)]);
}

#[test]
fn the_ledger_is_clean_when_its_last_comparisons_say_so() {
    let ledger = |runs: Vec<Ledger>, evidence: &str| {
        closes(|_, aftermath| aftermath.ledger = Observed::Seen(runs), &[(Guard::LedgerClean, evidence)]);
    };
    ledger(
        vec![run(Pass::Now, "e1-now", 100, losing())],
        "ledger, pass now of e1-now: 1 payment, EUR 22.93 acknowledged and not in the ledger",
    );
    let now = || run(Pass::Now, "e1-now", 100, clean());
    ledger(
        vec![now(), run(Pass::Clearing, "c1", 200, losing())],
        "ledger, pass clearing of c1: 1 payment, EUR 22.93 acknowledged and not in the ledger",
    );
    ledger(
        vec![run(Pass::Now, "e1-now", 100, Found { at_least: Some("it replicates late".into()), ..clean() })],
        "ledger, pass now of e1-now: at least 0 payments acknowledged and not in the ledger (it replicates late)",
    );
    ledger(
        vec![run(Pass::Now, "e1-now", 100, Found { balanced: false, ..clean() })],
        "ledger, pass now of e1-now: 0 payments acknowledged and not in the ledger; the sides do NOT balance",
    );
    // The newest file counts, and none from before the outage.
    let settled = vec![now(), run(Pass::Clearing, "c1", 200, losing()), run(Pass::Clearing, "c2", 300, clean())];
    closes(|_, aftermath| aftermath.ledger = Observed::Seen(settled), &[]);
    let before = vec![now(), run(Pass::Clearing, "c0", 59, losing())];
    closes(|_, aftermath| aftermath.ledger = Observed::Seen(before), &[]);
}

#[test]
fn what_was_not_looked_at_is_not_clean() {
    let nobody = "nobody has compared the ledger with the attempts and the card network";
    let unsettled = "nobody has settled the payments whose outcome was in doubt";
    let expected = [(Guard::LedgerClean, nobody), (Guard::InDoubtEmpty, unsettled)];
    closes(|_, aftermath| aftermath.ledger = Observed::Seen(Vec::new()), &expected);
    let another = vec![run(Pass::Now, "e0-now", 100, clean())];
    closes(|_, aftermath| aftermath.ledger = Observed::Seen(another), &expected);
    closes(
        |_, aftermath| aftermath.ledger = Observed::Unseen { why: "throttled".into() },
        &[
            (Guard::LedgerClean, "what reconcile-ledger found is unknown: throttled"),
            (Guard::InDoubtEmpty, "whether payments are in doubt is unknown: throttled"),
        ],
    );
    let cut = Finding::Unknown { why: "the time is up".into(), resume: "row 7".into() };
    let cut = Ledger { finding: cut, ..run(Pass::Now, "e1-now", 100, clean()) };
    closes(
        |_, aftermath| aftermath.ledger = Observed::Seen(vec![cut]),
        &[
            (Guard::LedgerClean, "ledger, pass now of e1-now: unknown (the time is up); it can go on from row 7"),
            (Guard::InDoubtEmpty, "whether payments are in doubt is unknown: the time is up"),
        ],
    );
}

#[test]
fn nobody_may_be_in_doubt() {
    closes(
        |_, aftermath| aftermath.in_doubt = Observed::Seen(vec![doubt("a", Some(Fate::Booked)), doubt("b", None)]),
        &[(Guard::InDoubtEmpty, "1 payments are in doubt, the oldest begun at 2027-01-15T08:00:50Z")],
    );
    closes(
        |_, aftermath| aftermath.in_doubt = Observed::Unseen { why: "throttled".into() },
        &[(Guard::InDoubtEmpty, "whether payments are in doubt is unknown: throttled")],
    );
}

#[test]
fn receipts_have_converged_when_a_whole_run_since_then_says_so() {
    let receipts = |last: Option<Receipts>, evidence: &str| {
        closes(|_, aftermath| aftermath.receipts = Observed::Seen(last), &[(Guard::ReceiptsConverged, evidence)]);
    };
    receipts(None, "nobody has compared the two receipt buckets");
    receipts(
        Some(compared(59, State::Applied, Class::InSync)),
        "the receipts were last compared in r1, before writes were restored",
    );
    receipts(
        Some(compared(200, State::Unfinished, Class::InSync)),
        "r1 did not finish: what it has not looked at is unknown",
    );
    receipts(Some(compared(200, State::Planned, Class::CopyToDublin)), "r1 found 3 CopyToDublin");
    receipts(Some(compared(200, State::Applied, Class::Failed)), "r1 found 3 Failed");
    let on_their_way = compared(200, State::Planned, Class::Pending);
    closes(|_, aftermath| aftermath.receipts = Observed::Seen(Some(on_their_way)), &[]);
    closes(
        |_, aftermath| aftermath.receipts = Observed::Unseen { why: "throttled".into() },
        &[(Guard::ReceiptsConverged, "what reconcile-receipts found is unknown: throttled")],
    );
}

#[test]
fn what_no_machine_looks_at_somebody_attests() {
    closes(
        |incident, _| incident.attestations.clear(),
        &[
            (Guard::AlarmsMoved, "nobody has attested that what watches the writer watches the new one"),
            (Guard::PlanClean, "nobody has attested that the infrastructure's plan changes nothing"),
        ],
    );
}

#[test]
fn only_the_failover_that_took_the_writer_waits_for_its_way_back() {
    let (incident, _) = put_in_order();
    let waits = |change: fn(&mut Incident), to: &str| {
        let mut incident = incident.clone();
        change(&mut incident);
        waits_for_failback(&incident, &Region::new(to).unwrap())
    };
    assert!(waits(|_| {}, "eu-west-1"));
    assert!(!waits(|_| {}, "eu-west-2"));
    assert!(!waits(|incident| incident.verb = Verb::Switchover, "eu-west-1"));
    assert!(!waits(|incident| incident.history.clear(), "eu-west-1"));
}
