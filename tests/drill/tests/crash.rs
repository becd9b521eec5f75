//! Crash anywhere (law 6): every call that the driver and the pager make on the way through an outage is struck in every
//! way, one at a time. The end must be that of the undisturbed run: one failover, writes restored, and no page missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use drill::checker::Outcome;
use drill::play;
use drill::scenario::{OUTAGE_AT, Pace, Scenario};
use holdfast_domain::incident::Phase;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, World};

/// Longer than every time-out of the functions.
const PAST_THE_TIMEOUT: Duration = Duration::from_secs(6);

const EFFECTS: [CallEffect; 6] = [
    CallEffect::KillBefore,
    CallEffect::KillAfter,
    CallEffect::LoseRequest,
    CallEffect::LoseAnswer,
    CallEffect::Duplicate,
    CallEffect::Delay(PAST_THE_TIMEOUT),
];

fn subjects(outcome: &Outcome) -> BTreeSet<String> {
    let ours = outcome.letters.iter().filter(|letter| letter.region != Region::N_VIRGINIA);
    // What was measured differs from run to run; which states were told does not.
    ours.map(|letter| letter.subject.split(['.', ':', '?']).next().unwrap_or_default().to_owned()).collect()
}

/// The calls of one function in London between the outage and the proof, by their number among that function's calls.
fn calls(outcome: &Outcome, function: &str) -> Vec<(u64, String)> {
    let restored = outcome.waterfall.phase_at(Phase::Restored).unwrap_or(OUTAGE_AT) + Duration::from_secs(2);
    let of_function = outcome.requests.iter().filter(|request| &*request.caller.name == function);
    let numbered = of_function.filter(|request| request.caller.region == Region::LONDON).zip(0..);
    numbered
        .filter(|(request, _)| request.at >= OUTAGE_AT && request.at <= restored)
        .map(|(request, number)| (number, format!("{} {}", request.service, request.operation)))
        .collect()
}

fn strike(function: &str, number: u64, effect: CallEffect) -> impl FnOnce(&World) {
    let matches = CallMatch { caller: Some(function.to_owned()), from: Some(Region::LONDON), ..CallMatch::default() };
    let fault = CallFault::new(matches, number..number + 1, effect);
    move |world| world.inject(fault)
}

fn survives(function: &str) {
    let scenario = Scenario::named("dublin-dark").unwrap();
    let calm = play(scenario, Pace::coarse(1), |_| {}).unwrap();
    assert_eq!(calm.phase(), Some(Phase::Restored), "{:?}", calm.problems);
    let calls = calls(&calm, function);
    assert!(calls.len() >= 5, "{function} made {} calls: nothing to strike", calls.len());
    let mut broken = Vec::new();
    for (number, call) in &calls {
        for effect in EFFECTS {
            let struck = play(scenario, Pace::coarse(1), strike(function, *number, effect)).unwrap();
            let mut problems = Vec::new();
            if struck.phase() != Some(Phase::Restored) {
                problems.push(format!("the incident ends {:?}", struck.phase()));
            }
            if struck.accepted.len() != 1 {
                problems.push(format!("RDS took on {} operations", struck.accepted.len()));
            }
            if struck.state.driver.is_some() {
                problems.push("the incident was never released".to_owned());
            }
            let missing: Vec<String> = subjects(&calm).difference(&subjects(&struck)).cloned().collect();
            if !missing.is_empty() {
                problems.push(format!("never paged: {missing:?}"));
            }
            let laws = struck.problems.iter().filter(|it| {
                it.starts_with("law")
                    || it.contains("nothing lists them")
                    || it.contains("more than once")
                    || it.contains("after the fence")
            });
            problems.extend(laws.cloned());
            if !problems.is_empty() {
                broken.push(format!("call {number} ({call}) {effect:?}: {}", problems.join("; ")));
            }
        }
    }
    assert!(broken.is_empty(), "{} of {} runs:\n{}", broken.len(), calls.len() * EFFECTS.len(), broken.join("\n"));
}

#[test]
fn the_driver_survives_every_fault_at_every_call() {
    survives("promote-aurora");
}

#[test]
fn the_pager_survives_every_fault_at_every_call() {
    survives("page-humans");
}

/// The intent that is recorded before the call is what keeps a control plane that shows its effect late from being asked twice.
#[test]
fn a_control_plane_that_shows_the_effect_late_is_asked_once() {
    let scenario = Scenario::named("dublin-dark").unwrap();
    let late = |world: &World| holdfast_world::rds::show_effects_late(world, Duration::from_secs(6));
    let outcome = play(scenario, Pace::coarse(1), late).unwrap();
    assert_eq!((outcome.calls("FailoverGlobalCluster"), outcome.accepted.len()), (1, 1), "{:?}", outcome.problems);
    assert_eq!(outcome.phase(), Some(Phase::Restored));
}
