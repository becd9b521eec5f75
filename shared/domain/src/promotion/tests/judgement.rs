//! Judgements: what is kept, and what deciding again says.

use super::*;

fn judged(phase: Phase, mode: Mode) -> Judgement {
    let (facts, policy) = (facts(phase), policy(mode));
    Judgement::new(&facts, &policy, &decide(&facts, &policy, at(0)), at(0))
}

#[test]
fn the_same_facts_and_the_same_policy_give_the_same_decision_after_storage() {
    for phase in Phase::ALL {
        for mode in [Mode::Observe, Mode::Approve, Mode::Auto] {
            let stored = serde_json::to_string(&judged(phase, mode)).unwrap();
            let read: Judgement = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, judged(phase, mode));
            assert!(!read.replay(None).differs(), "{phase} {mode}: {:?}", read.replay(None));
        }
    }
}

#[test]
fn another_policy_shows_what_it_would_have_decided() {
    let replayed = judged(Phase::Confirmed, Mode::Auto).replay(Some(&policy(Mode::Approve)));
    assert!(replayed.then.starts_with("fencing off the old writer"), "{}", replayed.then);
    assert_eq!(replayed.now, "a person is asked (the policy is to ask)");
    assert!(replayed.differs());
}

#[test]
fn a_decision_that_is_repeated_is_kept_once_and_very_many_are_bounded() {
    let mut kept = Vec::new();
    for _ in 0..3 {
        remember(&mut kept, judged(Phase::Confirmed, Mode::Auto));
    }
    assert_eq!(kept.len(), 1);
    for turn in 0..100 {
        remember(&mut kept, judged(if turn % 2 == 0 { Phase::Proving } else { Phase::Confirmed }, Mode::Auto));
    }
    assert_eq!(kept.len(), JUDGEMENTS_MAX);
    let size = serde_json::to_string(&kept).unwrap().len();
    assert!(size < 200_000, "{size} bytes do not leave room in a table item");
}

#[test]
fn an_incident_that_is_opened_starts_without_judgements() {
    let mut state = ClusterState { judgements: vec![judged(Phase::Confirmed, Mode::Auto)], ..ClusterState::default() };
    let opening = Opening {
        verb: Verb::Failover,
        from: region("eu-west-1"),
        to: region("eu-west-2"),
        raised_by: "a test".into(),
        approval: None,
    };
    state.open(opening, at(0));
    assert_eq!(state.judgements, Vec::new());
}

#[test]
fn an_archived_incident_can_be_read_as_an_incident() {
    let judgement = judged(Phase::Confirmed, Mode::Auto);
    let incident = judgement.facts.incident.clone();
    let stored = serde_json::to_string(&Archived { incident: incident.clone(), judgements: vec![judgement] }).unwrap();
    assert_eq!(serde_json::from_str::<Incident>(&stored).unwrap(), incident);
    assert_eq!(serde_json::from_str::<Archived>(&stored).unwrap().judgements.len(), 1);
}
