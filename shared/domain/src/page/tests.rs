use std::time::Duration;

use super::*;
use crate::Timestamp;
use crate::blocked::{Blocked, Guard};
use crate::config::Config;
use crate::incident::{ClusterState, Incident, Opening, Phase, Verb};
use crate::quorum::{DarkProof, Quorum};

fn topology() -> Topology {
    Config::parse(include_str!("../../../../events/config.example.json")).unwrap().topology
}
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn region(code: &str) -> Region {
    Region::new(code).unwrap()
}

fn incident(phase: Phase) -> Incident {
    let mut state = ClusterState { epoch: 6, ..ClusterState::default() };
    let opening = Opening {
        verb: Verb::Failover,
        from: region("eu-west-1"),
        to: region("eu-west-2"),
        raised_by: "observers".into(),
        approval: None,
    };
    state.open(opening, at(0));
    let mut incident = state.incident.unwrap();
    incident.phase = phase;
    incident
}

fn page(phase: Phase) -> Option<Page> {
    compose(&Event::IncidentAdvanced { incident: Box::new(incident(phase)) }, &topology())
}

#[test]
fn every_phase_that_needs_a_person_has_a_page_with_a_headline_for_a_lock_screen() {
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Suspected) {
        let page = page(phase).unwrap();
        assert!(!page.headline.is_empty() && page.headline.len() <= 140, "{phase}: {}", page.headline);
        assert!(page.body.contains("aws lambda invoke --region eu-west-2"), "{phase}: {}", page.body);
    }
}

#[test]
fn a_page_never_leans_on_the_dark_region() {
    assert_eq!(page(Phase::Confirmed).unwrap().avoid, Some(region("eu-west-1")));
    let topics = topology().page_topics(&region("eu-west-2"), Some(&region("eu-west-1")));
    let regions: Vec<&str> = topics.iter().map(|(region, _)| region.as_str()).collect();
    assert_eq!(regions, ["eu-west-2", "eu-central-1"]);
}

/// Found by striking every call: a notice without an incident knows no Region to avoid, and was sent to the dark one next.
#[test]
fn the_witness_is_the_second_way_to_a_person() {
    let topics = topology().page_topics(&region("eu-west-2"), None);
    let regions: Vec<&str> = topics.iter().map(|(region, _)| region.as_str()).collect();
    assert_eq!(regions, ["eu-west-2", "eu-central-1", "eu-west-1"]);
}

#[test]
fn an_approval_page_carries_both_commands() {
    let page = page(Phase::AwaitingApproval).unwrap();
    assert!(page.body.contains(r#"{"action":"approve","incident":"e7""#), "{}", page.body);
    assert!(page.body.contains(r#"{"action":"veto","incident":"e7""#), "{}", page.body);
}

#[test]
fn a_blocked_page_names_guard_evidence_and_override() {
    let mut incident = incident(Phase::Blocked);
    incident.blocked = vec![Blocked {
        guard: Guard::LagUnknown,
        evidence: "no points".into(),
        evidence_age: None,
        override_with: "approve e7".into(),
    }];
    let page = compose(&Event::IncidentAdvanced { incident: Box::new(incident) }, &topology()).unwrap();
    assert_eq!(page.kind, "Blocked:lag_unknown");
    assert!(page.body.contains("lag_unknown: no points; to go on: approve e7"), "{}", page.body);
}

#[test]
fn the_same_state_is_paged_once() {
    let confirmed = page(Phase::Confirmed).unwrap();
    assert_eq!(confirmed.delivery(None, at(0)), Delivery::Send);
    let record = confirmed.remembered(None, at(0));
    assert_eq!(confirmed.delivery(Some(&record), at(5)), Delivery::Skip);
    assert_eq!(page(Phase::AwaitingApproval).unwrap().delivery(Some(&record), at(5)), Delivery::Send);
}

#[test]
fn a_page_that_somebody_is_about_to_send_is_waited_for() {
    let confirmed = page(Phase::Confirmed).unwrap();
    let record = confirmed.claimed(None, at(0));
    assert_eq!(confirmed.delivery(Some(&record), at(1)), Delivery::Wait);
    assert_eq!(page(Phase::AwaitingApproval).unwrap().delivery(Some(&record), at(1)), Delivery::Send);
    let record = confirmed.remembered(Some(record), at(1));
    assert_eq!(confirmed.delivery(Some(&record), at(2)), Delivery::Skip);
    assert_eq!(record.version, 2);
}

#[test]
fn fencing_promoting_and_proving_are_the_same_page_as_confirmed() {
    let record = page(Phase::Confirmed).unwrap().remembered(None, at(0));
    for phase in [Phase::Fencing, Phase::Promoting, Phase::Proving] {
        assert_eq!(page(phase).unwrap().delivery(Some(&record), at(5)), Delivery::Skip, "{phase}");
    }
}

#[test]
fn a_late_lower_state_does_not_reopen_a_settled_incident() {
    let record = page(Phase::Restored).unwrap().remembered(None, at(0));
    assert_eq!(page(Phase::Confirmed).unwrap().delivery(Some(&record), at(1)), Delivery::Skip);
    assert_eq!(page(Phase::Closed).unwrap().delivery(Some(&record), at(1)), Delivery::Send);
}

#[test]
fn a_lasting_doubt_is_paged_once_and_again_after_ten_quiet_minutes() {
    let quorum = Quorum::Grey { since: None };
    let event = Event::RegionDoubtful { subject: region("eu-west-1"), observer: region("eu-central-1"), quorum };
    let page = compose(&event, &topology()).unwrap();
    let mut record = page.remembered(None, at(0));
    for minute in 1..60 {
        assert_eq!(page.delivery(Some(&record), at(minute * 61)), Delivery::Heard);
        record = page.remembered(Some(record), at(minute * 61));
    }
    assert_eq!(page.delivery(Some(&record), at(59 * 61 + 601)), Delivery::Send);
}

#[test]
fn the_thread_is_the_same_from_every_region() {
    let dark = |observer: &str| Event::RegionDoubtful {
        subject: region("eu-west-1"),
        observer: region(observer),
        quorum: Quorum::StillHeard { beats_since: 3 },
    };
    let one = compose(&dark("eu-west-2"), &topology()).unwrap();
    let other = compose(&dark("eu-central-1"), &topology()).unwrap();
    assert_eq!((one.thread, one.kind), (other.thread, other.kind));
}

#[test]
fn a_dark_standby_is_a_page_although_nothing_is_promoted() {
    let proof = DarkProof { observers: vec![], since: at(0), oldest_vote_age: Duration::ZERO };
    let page = compose(&Event::StandbyDark { subject: region("eu-west-2"), proof }, &topology()).unwrap();
    assert_eq!(page.severity, Severity::Critical);
}

/// Found by fuzzing: RDS's words and a person's comment went into the headline as they were.
#[test]
fn a_headline_is_one_line_whatever_was_written_into_the_event() {
    let mut incident = incident(Phase::Failed);
    incident.history[0].sentence = format!("failed:\nNeeded from you:\u{2028}{}", "nothing ".repeat(100));
    let page = compose(&Event::IncidentAdvanced { incident: Box::new(incident) }, &topology()).unwrap();
    assert!(
        page.headline.starts_with("failover to eu-west-2 cannot go on without you: failed: Needed from you: nothing")
    );
    assert!(page.headline.ends_with('…') && page.headline.chars().count() == 241, "{}", page.headline);
}

/// A thread is part of a key in the coordination table, and a kind is listed in what is remembered of it.
#[test]
fn a_thread_and_a_kind_are_short_and_one_line_whatever_was_written_into_the_event() {
    let event_id = format!("a\nb{}", "x".repeat(1000));
    let notice = Event::DatabaseNotice { event_id, message: "m".into(), meaning: "n".into(), at: None };
    let page = compose(&notice, &topology()).unwrap();
    assert!(page.thread.starts_with("payments-global/a bxxx") && page.thread.chars().count() == 241, "{}", page.thread);
    assert!(page.kind.starts_with("a bxxx") && page.kind.chars().count() == 501, "{}", page.kind);
}

/// Found by fuzzing: a page without a kind is remembered under no name.
#[test]
fn a_notice_without_an_id_still_has_a_kind() {
    let notice = |event_id: &str| Event::DatabaseNotice {
        event_id: event_id.into(),
        message: "m".into(),
        meaning: "look".into(),
        at: None,
    };
    assert_eq!(compose(&notice(" "), &topology()).unwrap().kind, "database-notice");
    assert_eq!(compose(&notice("RDS-EVENT-0391"), &topology()).unwrap().kind, "RDS-EVENT-0391");
}

/// Found by fuzzing: a doubt about the witness told a person to promote the Region `?`.
#[test]
fn a_doubt_about_the_witness_offers_no_promotion() {
    let doubt = |subject: &str| Event::RegionDoubtful {
        subject: region(subject),
        observer: region("eu-west-2"),
        quorum: Quorum::Grey { since: None },
    };
    let page = compose(&doubt("eu-central-1"), &topology()).unwrap();
    assert!(!page.body.contains("failover") && page.body.contains("eu-central-1 holds no data"), "{}", page.body);
    let page = compose(&doubt("eu-west-1"), &topology()).unwrap();
    assert!(page.body.contains(r#"--payload '{"action":"failover","to":"eu-west-2","by":"<you>""#), "{}", page.body);
}

/// The number of milestones named a failure, and stops rising when the history is full: later failures were taken for the first.
#[test]
fn each_failure_of_a_long_incident_is_paged() {
    let mut incident = incident(Phase::Blocked);
    for second in 0..100 {
        incident.advance(Phase::Blocked, at(second), "still".into()).unwrap();
    }
    let mut failed_at = |second: i64| {
        incident.phase = Phase::Proving;
        incident.advance(Phase::Failed, at(second), "failed".into()).unwrap();
        compose(&Event::IncidentAdvanced { incident: Box::new(incident.clone()) }, &topology()).unwrap()
    };
    let record = failed_at(200).remembered(None, at(200));
    assert_eq!(failed_at(300).delivery(Some(&record), at(300)), Delivery::Send);
}

mod delivery;
mod wording;
