//! Crash anywhere (law 6), for the scenario that matters most. `make crash` does the same to every call of every scenario.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::crash::strike_all;
use drill::play;
use drill::scenario::{OUTAGE_AT, Pace, Scenario};
use holdfast_domain::incident::Phase;
use holdfast_world::World;

/// Writes are back a minute after the outage, and the page is out.
const UNTIL_RESTORED: Duration = OUTAGE_AT.saturating_add(Duration::from_secs(62));

#[track_caller]
fn survives(function: &str) {
    let scenario = Scenario::named("dublin-dark").unwrap();
    let report = strike_all(scenario, &[function], UNTIL_RESTORED, 2, || {}).unwrap();
    assert!(report.runs >= 30, "{function}: {} runs: nothing to strike", report.runs);
    let broken: Vec<String> = report.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{} of {} runs:\n{}", broken.len(), report.runs, broken.join("\n"));
}

#[test]
fn the_pager_survives_every_fault_at_every_call() {
    survives("page-humans");
}

#[test]
fn the_driver_survives_every_fault_at_every_call() {
    survives("promote-aurora");
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
