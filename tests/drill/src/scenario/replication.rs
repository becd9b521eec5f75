//! Scenarios about replication, and about what failing over costs.

use std::time::Duration;

use holdfast_world::{Region, aurora};
use serde_json::json;

use super::{OUTAGE_AT, Scenario, approve, ask, at};
use crate::expect::replication as expect;

pub(super) const LAG_SPIKE_THEN_DARK: Scenario = Scenario {
    name: "lag-spike-then-dark",
    about: "London falls 20 s behind, then Dublin goes dark: the price on the approval page is what is lost",
    length: Duration::from_secs(480),
    outage: true,
    setup: approve,
    script: |deployment| {
        at(deployment, OUTAGE_AT - Duration::from_secs(40), |world| {
            world.record("rds", "falls behind: the lag of eu-west-2 is 20 s");
            aurora::set_lag(world, Duration::from_secs(20));
        });
        at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
        at(deployment, OUTAGE_AT + Duration::from_secs(90), |world| {
            let request = json!({"action": "approve", "incident": "e1", "by": "ada", "comment": "we know the price"});
            ask(world, Region::LONDON, request);
        });
    },
    expect: expect::the_price_on_the_page_is_what_is_lost,
};
