//! Traffic that a person moves: away and back by the switch, and never away from the last Region that serves.

use std::time::Duration;

use holdfast_world::Region;
use serde_json::json;

use super::{OUTAGE_AT, Scenario, approve, asked_of, at};
use crate::deployment::{Deployment, Setup};
use crate::expect;

pub(super) const EVACUATE_BY_SWITCH: Scenario = Scenario {
    name: "evacuate-by-switch",
    about: "a person takes Dublin's traffic away by the switch in London, and gives it back seven minutes later",
    length: Duration::from_secs(1020),
    outage: false,
    setup: with_traffic,
    script: |deployment| {
        both_are_compared(deployment, OUTAGE_AT);
        let evacuate = json!({"action": "evacuate", "region": "eu-west-1", "by": "ada", "comment": "a bad deploy"});
        ask_shift(deployment, OUTAGE_AT + READY, Region::LONDON, evacuate);
        let restore = json!({"action": "restore", "region": "eu-west-1", "by": "ada", "comment": "rolled back"});
        ask_shift(deployment, RESTORED_AT, Region::LONDON, restore);
    },
    expect: expect::traffic::away_and_back,
};

pub(super) const REFUSE_LAST_REGION: Scenario = Scenario {
    name: "refuse-last-region",
    about: "London is evacuated; a person asks for Dublin's traffic to go too, then vouches for everything: refused both times",
    length: Duration::from_secs(600),
    outage: false,
    setup: with_traffic,
    script: |deployment| {
        both_are_compared(deployment, OUTAGE_AT);
        let first = json!({"action": "evacuate", "region": "eu-west-2", "by": "ada"});
        ask_shift(deployment, OUTAGE_AT + READY, Region::DUBLIN, first);
        let last = json!({"action": "evacuate", "region": "eu-west-1", "by": "grace"});
        ask_shift(deployment, OUTAGE_AT + Duration::from_secs(60), Region::LONDON, last);
        let all = ["last_serving_region", "region_not_healthy", "not_ready"];
        let vouched = json!({"action": "evacuate", "region": "eu-west-1", "by": "grace", "override": all});
        ask_shift(deployment, OUTAGE_AT + Duration::from_secs(300), Region::LONDON, vouched);
    },
    expect: expect::traffic::the_last_region_serves_on,
};

/// When Dublin gets its traffic back in `evacuate-by-switch`.
pub(crate) const RESTORED_AT: Duration = Duration::from_secs(540);
/// Before a person asks, readiness is judged.
const READY: Duration = Duration::from_secs(5);
/// What one checker of Route 53 and three observers ask of a Region in a minute: 6, and twice 12 each.
const PROBES_PER_MINUTE: u64 = 78;

/// With everything that moves traffic.
pub(super) fn with_traffic(setup: &mut Setup) {
    approve(setup);
    setup.traffic = true;
    for doors in setup.config.traffic.iter_mut().flat_map(|traffic| traffic.regions.values_mut()) {
        doors.probes_per_minute = PROBES_PER_MINUTE;
    }
}

/// A person invokes shift-traffic in a Region.
pub(super) fn ask_shift(deployment: &Deployment, when: Duration, region: Region, request: serde_json::Value) {
    at(deployment, when, move |world| {
        let world = world.clone();
        tokio::spawn(async move { asked_of(&world, region, shift_traffic::FUNCTION, &request).await });
    });
}

/// Both Regions are compared, as they are every hour.
pub(super) fn both_are_compared(deployment: &Deployment, when: Duration) {
    at(deployment, when, |world| {
        let world = world.clone();
        let check = json!({"action": "check"});
        tokio::spawn(async move { asked_of(&world, Region::LONDON, check_readiness::FUNCTION, &check).await });
    });
}
