//! shift-traffic in a world: races, calls that are struck, and weighted records in stages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use drill::deployment::{Deployment, Setup, deploy};
use holdfast_domain::event::Event;
use holdfast_domain::traffic::{Routing, Shift, ShiftState};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, World, s3};
use serde_json::{Value, json};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Everything that moves traffic, a request a second from each cohort.
fn setup(seed: u64) -> Setup {
    let mut setup = Setup { traffic: true, payment_every: Duration::from_secs(1), ..Setup::standard(seed) };
    for doors in setup.config.traffic.iter_mut().flat_map(|traffic| traffic.regions.values_mut()) {
        doors.probes_per_minute = 78;
    }
    setup
}

async fn ask(world: &World, region: Region, request: Value) -> Result<Value, String> {
    world.invoke(region, shift_traffic::FUNCTION, request.to_string().into()).await
}

/// Both Regions compared after three well minutes.
async fn compared(setup: &Setup) -> Deployment {
    let deployment = deploy(setup);
    tokio::time::sleep(Duration::from_secs(185)).await;
    let check = json!({"action": "check"}).to_string();
    deployment.world.invoke(Region::LONDON, check_readiness::FUNCTION, check.into()).await.unwrap();
    deployment
}

fn thrown(world: &World, region: Region) -> bool {
    let held_in = if region == Region::DUBLIN { "eu-west-2" } else { "eu-west-1" };
    s3::exists(world, &format!("payments-global-switch-{held_in}"), &format!("evacuate/{region}"))
}

fn told(world: &World) -> Vec<Shift> {
    let published = world.published().into_iter();
    let shifts = published.filter_map(|(_, _, event)| match serde_json::from_value(event["detail"].clone()) {
        Ok(Event::TrafficShifted { shift }) => Some(*shift),
        Ok(_) | Err(_) => None,
    });
    shifts.collect()
}

/// Each asks for the other Region at the same moment: one order is taken, and one switch thrown.
#[test]
fn two_people_cannot_evacuate_both_regions() {
    for seed in 1..=5 {
        runtime().block_on(async {
            let deployment = compared(&setup(seed)).await;
            let world = &deployment.world;
            let ask_for = |region: &str| json!({"action": "evacuate", "region": region, "by": "ada"});
            let (one, other) = tokio::join!(
                ask(world, Region::LONDON, ask_for("eu-west-1")),
                ask(world, Region::DUBLIN, ask_for("eu-west-2"))
            );
            tokio::time::sleep(Duration::from_secs(400)).await;
            let both = [thrown(world, Region::DUBLIN), thrown(world, Region::LONDON)];
            assert_eq!(both.iter().filter(|thrown| **thrown).count(), 1, "seed {seed}: {one:?} {other:?}");
            world.close();
        });
    }
}

/// A clumsy request is refused with the way out, and moves nothing.
#[test]
fn a_request_for_the_wrong_region_names_the_right_way() {
    runtime().block_on(async {
        let deployment = compared(&setup(1)).await;
        let world = &deployment.world;
        for (region, expected) in
            [("eu-west-2", "aws lambda invoke --region eu-west-1"), ("us-east-1", "no data Region")]
        {
            let request = json!({"action": "evacuate", "region": region, "by": "ada"});
            let refused = ask(world, Region::LONDON, request).await.unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        let nobody = json!({"action": "evacuate", "region": "eu-west-1", "by": "<you>"});
        assert!(ask(world, Region::LONDON, nobody).await.is_err());
        assert_eq!(told(world), []);
        assert!(!thrown(world, Region::DUBLIN) && !thrown(world, Region::LONDON));
        world.close();
    });
}

/// Whatever becomes of a call of an order, its next minutes come to the same: the switch is thrown, and it is told once.
#[test]
fn an_order_whose_calls_are_struck_comes_to_the_same() {
    let mut struck = 0;
    for operation in ["PutItem", "PutObject", "HeadObject", "GetMetricData", "PutEvents", "/resolve"] {
        for effect in [CallEffect::LoseRequest, CallEffect::LoseAnswer, CallEffect::KillAfter] {
            runtime().block_on(async {
                let deployment = compared(&setup(1)).await;
                let world = &deployment.world;
                let matches = CallMatch {
                    caller: Some("shift-traffic".into()),
                    operation: Some(operation),
                    ..CallMatch::default()
                };
                world.inject(CallFault::new(matches, 0..1, effect));
                let request = json!({"action": "evacuate", "region": "eu-west-1", "by": "ada"});
                // A person who gets no answer asks again.
                if ask(world, Region::LONDON, request.clone()).await.is_err() {
                    drop(ask(world, Region::LONDON, request).await);
                }
                tokio::time::sleep(Duration::from_secs(420)).await;
                struck += usize::from(world.requests().iter().any(|request| request.struck.is_some()));
                assert!(thrown(world, Region::DUBLIN), "{operation}, {effect:?}: the switch is not thrown");
                let done: Vec<Shift> = told(world).into_iter().filter(Shift::is_done).collect();
                assert_eq!(done.len(), 1, "{operation}, {effect:?}: {done:?}");
                assert_eq!(done.first().map(|shift| shift.id), Some(1), "{operation}, {effect:?}");
                world.close();
            });
        }
    }
    assert!(struck >= 15, "only {struck} calls were struck");
}

/// Ten, fifty and all of a hundred percent, each seen before the next; then back again.
#[test]
fn weighted_records_go_away_and_come_back_in_stages() {
    runtime().block_on(async {
        let mut setup = setup(3);
        let weights = |dublin, london| BTreeMap::from([(Region::DUBLIN, dublin), (Region::LONDON, london)]);
        if let Some(traffic) = &mut setup.config.traffic {
            let weights = traffic.regions.keys().map(|region| (region.clone(), 100)).collect();
            traffic.routing = Routing::Weighted { hosted_zone_id: "Z0123456789ABCDEFGHIJ".into(), weights };
        }
        let deployment = compared(&setup).await;
        let world = &deployment.world;
        world.weigh(weights(100, 100));
        let request = json!({"action": "evacuate", "region": "eu-west-1", "by": "ada", "override": ["not_ready"]});
        let answer = ask(world, Region::LONDON, request).await.unwrap();
        assert_eq!(answer["away_percent"], 10, "{answer}");
        tokio::time::sleep(Duration::from_secs(1500)).await;
        let stages = |way: &str| -> Vec<(u8, bool)> {
            let shifts = told(world).into_iter().filter(|shift| shift.way.to_string() == way);
            shifts.map(|shift| (shift.away_percent, matches!(shift.state, ShiftState::Done { .. }))).collect()
        };
        assert_eq!(stages("evacuate"), [(10, false), (50, false), (100, false), (100, true)]);
        assert!(thrown(world, Region::DUBLIN));
        assert_eq!(world.weights(), weights(50, 150));
        let request = json!({"action": "restore", "region": "eu-west-1", "by": "ada", "override": ["not_ready"]});
        ask(world, Region::LONDON, request).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1500)).await;
        assert_eq!(stages("restore"), [(50, false), (10, false), (0, false), (0, true)]);
        assert!(!thrown(world, Region::DUBLIN));
        assert_eq!(world.weights(), weights(100, 100));
        world.close();
    });
}
