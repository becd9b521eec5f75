//! The transition table and what each phase asks for, whole: one line for each step and each phase.

use super::*;

/// Every step that may be taken, with the operator's sentence.
const EDGES: [(Phase, Phase, &str); 26] = {
    use Phase::{
        AwaitingApproval, Blocked, Closed, Confirmed, Dismissed, Failed, Fencing, Promoting, Proving, Reconciling,
        Restored, Suspected,
    };
    [
        (Suspected, Confirmed, "the evidence holds"),
        (Suspected, Blocked, "a guard stops it"),
        (Suspected, Dismissed, "nothing is moved"),
        (Confirmed, AwaitingApproval, "a person is asked to accept the loss"),
        (Confirmed, Blocked, "a guard stops it"),
        (Confirmed, Fencing, "the old writer is being fenced off"),
        (Confirmed, Dismissed, "nothing is moved"),
        (AwaitingApproval, Blocked, "a guard stops it"),
        (AwaitingApproval, Fencing, "the old writer is being fenced off"),
        (AwaitingApproval, Dismissed, "nothing is moved"),
        (Blocked, Confirmed, "the evidence holds"),
        (Blocked, AwaitingApproval, "a person is asked to accept the loss"),
        (Blocked, Fencing, "the old writer is being fenced off"),
        (Blocked, Dismissed, "nothing is moved"),
        (Fencing, Promoting, "RDS is asked to promote"),
        (Fencing, Dismissed, "the writer is given back: RDS has moved nothing"),
        (Fencing, Failed, "it cannot go on without a person"),
        (Promoting, Blocked, "a guard stops it"),
        (Promoting, Proving, "RDS is done; proving that writes work"),
        (Promoting, Dismissed, "the writer is given back: RDS has moved nothing"),
        (Promoting, Failed, "it cannot go on without a person"),
        (Proving, Restored, "writes work again"),
        (Proving, Failed, "it cannot go on without a person"),
        (Restored, Reconciling, "the old Region is back; its unreplicated rows are being secured"),
        (Failed, Fencing, "a person has it tried again"),
        (Reconciling, Closed, "it is closed"),
    ]
};

#[test]
fn every_step_has_its_sentence_and_no_other_step_is_taken() {
    let closed = |phase| matches!(phase, Phase::Restored | Phase::Failed).then_some("it is closed");
    for phase in Phase::ALL {
        for next in Phase::ALL {
            let listed = EDGES.iter().find(|(from, to, _)| (*from, *to) == (phase, next)).map(|(_, _, said)| *said);
            let expected = if next == Phase::Closed { listed.or(closed(phase)) } else { listed };
            assert_eq!(phase.edge(next), expected, "{phase} to {next}");
        }
    }
}

/// Phase, its name, and whether it is over, wants a driver, can still move, is committed.
const PHASES: [(Phase, &str, [bool; 4]); 12] = [
    (Phase::Suspected, "Suspected", [false, true, false, false]),
    (Phase::Confirmed, "Confirmed", [false, true, false, false]),
    (Phase::AwaitingApproval, "AwaitingApproval", [false, false, true, false]),
    (Phase::Blocked, "Blocked", [false, false, true, false]),
    (Phase::Fencing, "Fencing", [false, true, false, true]),
    (Phase::Promoting, "Promoting", [false, true, false, true]),
    (Phase::Proving, "Proving", [false, true, false, true]),
    (Phase::Restored, "Restored", [false, false, false, false]),
    (Phase::Reconciling, "Reconciling", [false, false, false, false]),
    (Phase::Dismissed, "Dismissed", [true, false, false, false]),
    (Phase::Failed, "Failed", [false, false, false, false]),
    (Phase::Closed, "Closed", [true, false, false, false]),
];

#[test]
fn each_phase_says_what_it_waits_for() {
    for (phase, name, expected) in PHASES {
        let is = [phase.is_over(), phase.wants_a_driver(), phase.can_still_move(), phase.is_committed()];
        assert_eq!((phase.to_string().as_str(), is), (name, expected));
    }
    assert_eq!(PHASES.map(|(phase, _, _)| phase), Phase::ALL);
}

fn state(verb: Verb) -> ClusterState {
    let mut state = ClusterState::default();
    let region = |code| Region::new(code).unwrap();
    let (from, to) = (region("eu-west-1"), region("eu-west-2"));
    state.open(Opening { verb, from, to, raised_by: "ada".into(), approval: None }, at(0));
    state
}
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

#[test]
fn an_incident_is_named_in_one_sentence() {
    for (verb, expected) in [
        (Verb::Failover, "failover of the ledger from eu-west-1 to eu-west-2, e1: Suspected"),
        (Verb::Switchover, "switchover of the ledger from eu-west-1 to eu-west-2, e1: Suspected"),
    ] {
        let incident = state(verb).incident.unwrap();
        assert_eq!(incident.to_string(), expected);
        assert_eq!(incident.history[0].sentence, format!("{verb} from eu-west-1 to eu-west-2 raised by ada"));
    }
}

#[test]
fn an_incident_is_open_until_it_is_over() {
    assert_eq!(ClusterState::default().open_incident(), None);
    for (phase, _, [over, ..]) in PHASES {
        let mut state = state(Verb::Failover);
        state.incident.as_mut().unwrap().phase = phase;
        assert_eq!(state.open_incident().is_none(), over, "{phase}");
    }
}

#[test]
fn a_full_history_keeps_its_beginning_and_its_end() {
    let mut incident = state(Verb::Failover).incident.unwrap();
    for second in 1..=100 {
        incident.advance(Phase::Blocked, at(second), "still".into()).unwrap();
        assert_eq!(incident.phase_since(), at(second));
    }
    assert_eq!(incident.history[0].phase, Phase::Suspected);
    assert_eq!(incident.history.len(), HISTORY_MAX);
    assert_eq!(incident.history[HISTORY_MAX / 2 - 1].at, at(31));
    assert_eq!(incident.history[HISTORY_MAX / 2].at, at(69));
}

#[test]
fn guards_are_remembered_while_they_block_and_no_longer() {
    let mut incident = state(Verb::Failover).incident.unwrap();
    let block =
        Blocked { guard: Guard::LagUnknown, evidence: "e".into(), evidence_age: None, override_with: "o".into() };
    incident.blocked = vec![block];
    incident.advance(Phase::Blocked, at(1), "blocked".into()).unwrap();
    assert_eq!(incident.blocked.len(), 1);
    incident.advance(Phase::Confirmed, at(2), "confirmed".into()).unwrap();
    assert_eq!(incident.blocked, []);
}

#[test]
fn a_forbidden_step_names_incident_and_phases() {
    let mut incident = state(Verb::Failover).incident.unwrap();
    let refused = incident.advance(Phase::Suspected, at(1), String::new()).unwrap_err().to_string();
    assert!(refused.starts_with("incident e1: Suspected may not follow Suspected; nothing was changed"), "{refused}");
}

#[test]
fn only_a_block_follows_itself_and_only_what_the_table_has_follows_another() {
    for phase in Phase::ALL {
        for next in Phase::ALL {
            let mut incident = state(Verb::Failover).incident.unwrap();
            incident.phase = phase;
            let allowed = phase.edge(next).is_some() || (phase, next) == (Phase::Blocked, Phase::Blocked);
            assert_eq!(incident.advance(next, at(1), String::new()).is_ok(), allowed, "{phase} to {next}");
        }
    }
}
