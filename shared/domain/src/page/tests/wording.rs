//! The pages as people read them: rank, loudness, headline and the sentence that says what is needed.

use super::*;
use crate::lag::Lag;
use crate::price::{Counted, Price};

#[track_caller]
fn check(event: &Event, kind: &str, rank: u8, severity: Severity, headline: &str, body: &[&str]) {
    let page = compose(event, &topology()).unwrap();
    assert_eq!(
        (page.kind.as_str(), page.rank, page.severity, page.headline.as_str()),
        (kind, rank, severity, headline)
    );
    for part in body {
        assert!(page.body.contains(part), "`{part}` is not in:\n{}", page.body);
    }
}

fn advanced(change: impl FnOnce(&mut Incident), phase: Phase) -> Event {
    let mut incident = incident(phase);
    change(&mut incident);
    Event::IncidentAdvanced { incident: Box::new(incident) }
}
fn said(sentence: &str) -> impl FnOnce(&mut Incident) {
    move |incident| incident.history[0].sentence = sentence.into()
}
fn planned(incident: &mut Incident) {
    incident.verb = Verb::Switchover;
}
fn counted() -> Counted {
    Counted::one_payment(at(0))
}

const APPROVE: &str = r#"aws lambda invoke --region eu-west-2 --function-name holdfast-promote-aurora:live --cli-binary-format raw-in-base64-out --payload '{"action":"approve","incident":"e7","by":"<you>"}' /dev/stdout"#;
const CLOSE: &str = r#"--payload '{"action":"close","incident":"e7","by":"<you>"}' /dev/stdout"#;
const STATUS: &str = r#"To see more: aws lambda invoke --region eu-west-2 --function-name holdfast-promote-aurora:live --cli-binary-format raw-in-base64-out --payload '{"action":"status"}' /dev/stdout"#;

#[test]
fn it_has_begun() {
    check(
        &advanced(|_| {}, Phase::Confirmed),
        "Confirmed",
        10,
        Severity::Critical,
        "eu-west-1 is dark. Holdfast is failing over to eu-west-2.",
        &[
            "Loss known when it was decided: not yet counted.\nNeeded from you: keep people from changing anything in eu-west-1 or eu-west-2.",
            STATUS,
        ],
    );
    check(
        &advanced(planned, Phase::Fencing),
        "Confirmed",
        10,
        Severity::Critical,
        "Planned switchover of the ledger from eu-west-1 to eu-west-2 has begun.",
        &[],
    );
}

#[test]
fn the_story_is_told_from_the_beginning() {
    let proof = DarkProof { observers: vec![region("eu-west-2")], since: at(-7), oldest_vote_age: Duration::ZERO };
    check(
        &advanced(|incident| incident.proof = Some(proof), Phase::Promoting),
        "Confirmed",
        10,
        Severity::Critical,
        "eu-west-1 is dark. Holdfast is failing over to eu-west-2.",
        &["failover of the ledger from eu-west-1 to eu-west-2, e7: Promoting. Raised by observers.\n\
           eu-west-1 is unreachable from eu-west-2 since 2027-01-15T07:59:53Z, oldest vote 0 s old.\n\
           2027-01-15T08:00:00.000Z Suspected: failover from eu-west-1 to eu-west-2 raised by observers\n"],
    );
}

#[test]
fn a_person_is_asked_and_told_what_silence_means() {
    check(
        &advanced(|_| {}, Phase::AwaitingApproval),
        "AwaitingApproval",
        20,
        Severity::Critical,
        "eu-west-1 is dark. Approve the failover to eu-west-2? Payments cannot be written until then.",
        &[
            "Loss if promoted now: not yet counted; lag not measured.\nNeeded from you: approve",
            APPROVE,
            r#"--payload '{"action":"veto","incident":"e7","by":"<you>"}'"#,
            "If nobody answers, nothing is promoted and writes stay down.",
        ],
    );
    check(
        &advanced(
            |incident| {
                incident.veto_until = Some(at(60));
                incident.price = Some(Price::AtLeast(counted()));
                incident.lag = Some(Lag::Unknown { why: "dark".into() });
            },
            Phase::AwaitingApproval,
        ),
        "AwaitingApproval",
        20,
        Severity::Critical,
        "eu-west-1 is dark. Failover to eu-west-2 at 2027-01-15T08:01:00Z unless you veto.",
        &[
            "Loss if promoted now: at least 1 payment, EUR 181.07; replication lag unknown: dark.",
            "If nobody answers, it goes on at 2027-01-15T08:01:00Z.",
        ],
    );
}

#[test]
fn guards_that_block_are_named_together() {
    let block = |guard| Blocked { guard, evidence: "e".into(), evidence_age: None, override_with: "o".into() };
    check(
        &advanced(|incident| incident.blocked = vec![block(Guard::Quorum), block(Guard::LagHigh)], Phase::Blocked),
        "Blocked:quorum+lag_high",
        25,
        Severity::Critical,
        "failover to eu-west-2 is blocked by quorum, lag_high.",
        &[
            "What stops it, and the way past it:\n- quorum: e; to go on: o\n- lag_high: e; to go on: o\n",
            "--payload '<payload>'",
        ],
    );
}

#[test]
fn a_failure_is_named_by_when_it_began() {
    check(
        &advanced(said("RDS was asked 3 times"), Phase::Failed),
        "Failed:2027-01-15T08:00:00Z",
        50,
        Severity::Critical,
        "failover to eu-west-2 cannot go on without you: RDS was asked 3 times",
        &[r#"then have it tried again"#, r#"'{"action":"retry","incident":"e7","by":"<you>"}'"#],
    );
}

#[test]
fn writes_are_back_and_the_loss_is_said_or_said_to_be_unknown() {
    let restored = |change: fn(&mut Incident), headline: &str, body: &[&str]| {
        check(&advanced(change, Phase::Restored), "Restored", 60, Severity::Critical, headline, body);
    };
    let needed = "Needed from you: keep eu-west-1 out of service when it returns, reconcile the ledger, then close";
    restored(|_| {}, "Writes work in eu-west-2. The loss is not counted yet.", &[needed, CLOSE]);
    restored(
        |incident| incident.loss = Some(Price::Exact(counted())),
        "Writes work in eu-west-2. Lost: exactly 1 payment, EUR 181.07.",
        &["Price when it was decided: not counted."],
    );
    restored(planned, "Writes work in eu-west-2. Nothing was lost.", &["Needed from you: nothing."]);
}

#[test]
fn the_end_is_told_more_quietly() {
    check(
        &advanced(said("It answers again."), Phase::Reconciling),
        "Reconciling",
        70,
        Severity::Warning,
        "eu-west-1 is back. It answers again.",
        &["compare the old volume with the ledger", CLOSE],
    );
    check(
        &advanced(said("vetoed by ada"), Phase::Dismissed),
        "Dismissed",
        80,
        Severity::Warning,
        "Stood down: vetoed by ada.",
        &["Needed from you: nothing."],
    );
    check(
        &advanced(|_| {}, Phase::Closed),
        "Closed",
        90,
        Severity::Info,
        "Closed: failover from eu-west-1 to eu-west-2.",
        &[STATUS],
    );
}

#[test]
fn a_slow_promotion_says_where_to_look() {
    check(
        &Event::PromotionSlow { incident: Box::new(incident(Phase::Promoting)), waiting_for: "RDS".into() },
        "slow",
        40,
        Severity::Critical,
        "failover to eu-west-2 is taking long: RDS",
        &[
            "Waiting for: RDS.",
            "aws rds describe-global-clusters --region eu-west-2 --global-cluster-identifier payments-global",
            STATUS,
        ],
    );
}

#[test]
fn conditions_without_an_incident_have_their_own_pages() {
    let proof = DarkProof { observers: vec![region("eu-west-1")], since: at(-7), oldest_vote_age: Duration::ZERO };
    check(
        &Event::StandbyDark { subject: region("eu-west-2"), proof },
        "standby-dark",
        0,
        Severity::Critical,
        "eu-west-2 is dark. Writes are not affected, but there is no standby.",
        &["eu-west-2 is unreachable from eu-west-1 since", "Needed from you: watch eu-west-2"],
    );
    check(
        &Event::RegionDoubtful {
            subject: region("eu-west-1"),
            observer: region("eu-central-1"),
            quorum: Quorum::Grey { since: None },
        },
        "region-doubtful",
        0,
        Severity::Critical,
        "Look at eu-west-1 now: it answers but cannot write",
        &["as the observer in eu-central-1 puts it together", "Holdfast has moved nothing"],
    );
    check(
        &Event::TriggerRefused { function: "promote-aurora".into(), region: region("eu-west-2"), problem: "p".into() },
        "trigger-refused",
        0,
        Severity::Warning,
        "promote-aurora in eu-west-2 was sent something it cannot read.",
        &["p\nNothing was done. The payload is in the dead-letter queue of promote-aurora in eu-west-2."],
    );
}

#[test]
fn a_thread_is_the_cluster_and_what_it_is_about() {
    let thread = |event: &Event| compose(event, &topology()).unwrap().thread;
    let notice =
        |at| Event::DatabaseNotice { event_id: "RDS-EVENT-0391".into(), message: "m".into(), meaning: "n".into(), at };
    assert_eq!(thread(&notice(Some(at(0)))), "payments-global/RDS-EVENT-0391/2027-01-15T08:00:00Z");
    assert_eq!(thread(&notice(None)), "payments-global/RDS-EVENT-0391/undated");
    assert_eq!(thread(&advanced(|_| {}, Phase::Closed)), "payments-global/e7");
    let subject = region("eu-west-1");
    let doubt = Event::RegionDoubtful { subject, observer: region("eu-west-2"), quorum: Quorum::Alive };
    assert_eq!(thread(&doubt), "payments-global/region-doubtful/eu-west-1");
}

#[test]
fn only_an_unplanned_move_has_a_region_to_avoid() {
    let avoid = |event: &Event| compose(event, &topology()).unwrap().avoid;
    assert_eq!(avoid(&advanced(|_| {}, Phase::Restored)), Some(region("eu-west-1")));
    assert_eq!(avoid(&advanced(planned, Phase::Restored)), None);
}

#[test]
fn a_suspicion_alone_wakes_nobody() {
    let proof = DarkProof { observers: Vec::new(), since: at(0), oldest_vote_age: Duration::ZERO };
    let (subject, observer) = (region("eu-west-1"), region("eu-west-2"));
    assert_eq!(compose(&Event::RegionSuspected { subject, observer, proof }, &topology()), None);
    assert_eq!(compose(&advanced(|_| {}, Phase::Suspected), &topology()), None);
}
