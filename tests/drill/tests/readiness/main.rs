//! check-readiness against the whole installation: each single difference is found once, an identical pair has none, and
//! what cannot be read is unknown.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::deployment::{Deployment, Setup, deploy};
use drill::readiness::named;
use holdfast_domain::readiness::{Acceptance, Capacity, Objective, ReadinessRecord};
use holdfast_payments::service::bucket;
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{RecordedRequest, Region, World};
use serde_json::{Value, json};

mod drifts;

use drifts::{DRIFTS, TASK, change, london, promoted_in};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// The installation without clients, some seconds old.
async fn installed(change: impl FnOnce(&mut Setup)) -> Deployment {
    let mut setup = Setup { readers: false, payments_until: Duration::ZERO, ..Setup::standard(1) };
    change(&mut setup);
    let deployment = deploy(&setup);
    tokio::time::sleep(Duration::from_secs(5)).await;
    deployment
}

async fn ask(world: &World, region: Region, request: Value) -> Result<Value, String> {
    world.invoke(region, check_readiness::FUNCTION, request.to_string().into()).await
}

async fn check(world: &World) -> Value {
    ask(world, Region::LONDON, json!({"action": "check"})).await.unwrap()
}

fn ids(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().map(|finding| finding["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What was remembered of a Region.
async fn remembered(world: &World, region: &str) -> Option<ReadinessRecord> {
    let caller = holdfast_world::Caller { name: "a test".into(), region: Region::LONDON, invocation: None };
    let topology = drill::deployment::example_config().topology;
    let coordination = holdfast_aws::coordination::Coordination::new(&world.sdk(caller), &topology);
    coordination.readiness(&holdfast_domain::Region::new(region).unwrap()).await.unwrap()
}

#[test]
fn each_single_difference_is_found_once_and_nothing_else_with_it() {
    assert!(DRIFTS.len() >= 40, "{} differences", DRIFTS.len());
    let mut wrong = Vec::new();
    for (name, drift, expected) in DRIFTS {
        let report = runtime().block_on(async {
            let deployment = installed(|_| {}).await;
            drift(&deployment.world);
            tokio::time::sleep(Duration::from_secs(61)).await;
            check(&deployment.world).await
        });
        if ids(&report) != [*expected] || !report["unknown"].as_array().unwrap().is_empty() {
            wrong.push(format!("{name}: {:?}, expected {expected}; unknown {}", ids(&report), report["unknown"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Foot-guns that both Regions share are findings in each: that they are alike makes them no better.
#[test]
fn what_is_wrong_in_both_is_found_in_both() {
    type Change = fn(&World, Region);
    let shared: [(Change, &str); 3] = [
        (
            |w, region| change(w, region, "rds", "/Parameters", json!({"rds.global_db_rpo": "20"})),
            "aurora-global-db-rpo-set",
        ),
        (
            |w, region| {
                let bucket = format!("AWS::S3::Bucket {}", bucket(region));
                let moves = json!([{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]);
                let rules = json!([{"Status": "Enabled", "ObjectSizeGreaterThan": "1024", "Transitions": moves}]);
                change(w, region, &bucket, "/LifecycleConfiguration", json!({"Rules": rules}));
            },
            "bucket-small-objects-to-glacier",
        ),
        (
            |w, region| {
                change(w, region, &named(region, TASK), "/ContainerDefinitions/0/Image", json!("payments:latest"))
            },
            "service-image-not-pinned",
        ),
    ];
    for (wrong, expected) in shared {
        let report = runtime().block_on(async {
            let deployment = installed(|_| {}).await;
            for region in [Region::DUBLIN, Region::LONDON] {
                wrong(&deployment.world, region);
            }
            check(&deployment.world).await
        });
        assert_eq!(ids(&report), [expected, expected], "{report}");
    }
    let report = runtime().block_on(async {
        let deployment = installed(|setup| setup.asynchronous_attempts = true).await;
        check(&deployment.world).await
    });
    assert_eq!(ids(&report), ["attempts-table-not-strong", "attempts-table-not-strong"], "{report}");
}

#[test]
fn an_identical_pair_has_no_findings_is_ready_and_tells_nobody() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        for _ in 0..2 {
            let report = check(&world).await;
            assert_eq!(
                (ids(&report), &report["unknown"], &report["standing"]),
                (vec![], &json!([]), &json!("ready")),
                "{report}"
            );
        }
        for region in ["eu-west-1", "eu-west-2"] {
            assert_eq!(remembered(&world, region).await.unwrap().capacity, Capacity::Ready);
        }
        assert_eq!(told(&world), 0);
        let gate = ask(&world, Region::DUBLIN, json!({"action": "gate"})).await.unwrap();
        assert_eq!((&gate["go"], &gate["reasons"]), (&json!(true), &json!([])), "{gate}");
    });
}

/// `ReadinessChanged` on the bus.
fn told(world: &World) -> usize {
    world.published().iter().filter(|(_, _, event)| event["detail-type"] == "ReadinessChanged").count()
}

#[test]
fn people_hear_of_a_difference_once_and_of_its_end_once() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        check(&world).await;
        london(&world, TASK, "/Cpu", json!("512"));
        for _ in 0..3 {
            check(&world).await;
        }
        assert_eq!(told(&world), 1);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let letters = world.inbox();
        let page = letters.iter().find(|it| it.subject.contains("not ready for an outage")).expect("a page");
        for part in [
            "service-cpu-differs",
            "eu-west-1 shows 1024, eu-west-2 shows 512",
            "Needed from you",
            "check-readiness:live",
        ] {
            assert!(page.message.contains(part), "{part} is not in: {}", page.message);
        }
        london(&world, TASK, "/Cpu", json!("1024"));
        check(&world).await;
        check(&world).await;
        assert_eq!(told(&world), 2);
    });
}

/// Law 1: each call is struck in turn. Nothing is ready for want of an answer, and nothing is invented.
#[test]
fn whatever_single_call_fails_it_is_unknown_and_never_ready() {
    let calls: Vec<RecordedRequest> = runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        check(&world).await;
        let ours = |request: &RecordedRequest| &*request.caller.name == check_readiness::FUNCTION;
        world.requests().into_iter().filter(ours).collect()
    });
    assert!(calls.len() > 80, "{} calls", calls.len());
    for (number, call) in (0u64..).zip(&calls) {
        let what = format!("call {number} ({} {} {:?} in {})", call.service, call.operation, call.parameters, call.to);
        runtime().block_on(async {
            let world = installed(|_| {}).await.world;
            let matches = CallMatch { caller: Some(check_readiness::FUNCTION.to_owned()), ..CallMatch::default() };
            let denied = CallEffect::Error { status: 400, code: "AccessDeniedException" };
            world.inject(CallFault::new(matches, number..number + 1, denied));
            let answer = ask(&world, Region::LONDON, json!({"action": "gate"})).await;
            // Its own records are in the coordination table: without them nothing is told, and it fails aloud.
            let own = call.service == "dynamodb" && ["GetItem", "PutItem", "Query"].contains(&call.operation.as_str());
            let Ok(gate) = answer else { return assert!(own, "{what}: {answer:?}") };
            assert!(own || gate["go"] == false, "{what}: {gate}");
            let report = &gate["report"];
            assert!(own || report["standing"] == "unknown", "{what}: {report}");
            assert!(ids(report).is_empty(), "{what} invents {:?}", ids(report));
            for region in ["eu-west-1", "eu-west-2"] {
                let kept = remembered(&world, region).await;
                assert!(own || kept.is_none_or(|kept| kept.capacity != Capacity::Ready), "{what}: {region} is ready");
            }
        });
    }
}

#[test]
fn a_dark_peer_is_unknown_in_time_and_the_survivors_record_stands() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        check(&world).await;
        let before = remembered(&world, "eu-west-2").await.unwrap();
        world.go_dark(Region::DUBLIN);
        let started = world.elapsed();
        let report = check(&world).await;
        assert!(world.elapsed() - started < Duration::from_secs(60), "{:?}", world.elapsed() - started);
        assert_eq!((ids(&report), &report["standing"]), (vec![], &json!("unknown")), "{report}");
        assert_eq!(remembered(&world, "eu-west-2").await.unwrap(), before);
        let dublin = remembered(&world, "eu-west-1").await.unwrap();
        assert!(matches!(dublin.capacity, Capacity::Unknown { .. }), "{dublin:?}");
    });
}

#[test]
fn what_was_accepted_comes_back_when_its_day_is_over() {
    let accepted = |until: &str| {
        let until = until.parse().unwrap();
        let (id, subject) = ("service-cpu-differs".to_owned(), "service".to_owned());
        vec![Acceptance { id, subject, owner: "ada".into(), until }]
    };
    for (until, found) in [("2026-12-31", vec![]), ("2026-11-23", vec!["service-cpu-differs"])] {
        let report = runtime().block_on(async {
            let world = installed(|setup| setup.config.readiness.accepted = accepted(until)).await.world;
            london(&world, TASK, "/Cpu", json!("512"));
            check(&world).await
        });
        assert_eq!(ids(&report), found, "{report}");
    }
    let report = runtime().block_on(async {
        let world = installed(|setup| setup.config.readiness.accepted = accepted("2026-12-31")).await.world;
        check(&world).await
    });
    assert_eq!(ids(&report), ["acceptance-for-nothing"], "{report}");
}

#[test]
fn a_dry_run_looks_and_neither_remembers_nor_tells() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        london(&world, TASK, "/Cpu", json!("512"));
        let before = world.requests().len();
        let report = ask(&world, Region::LONDON, json!({"action": "check", "dry_run": true})).await.unwrap();
        assert_eq!(ids(&report), ["service-cpu-differs"]);
        let writes = world.requests().into_iter().skip(before).filter(|it| {
            &*it.caller.name == check_readiness::FUNCTION && ["PutItem", "PutEvents"].contains(&it.operation.as_str())
        });
        assert_eq!(writes.count(), 0);
        assert_eq!(remembered(&world, "eu-west-2").await, None);
    });
}

/// It changes nothing but its own records: every other call is a read.
#[test]
fn it_only_reads_and_leaves_no_secret_behind() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        world.put_secret(Region::LONDON, "holdfast/chat", "https://another.example.com/a-secret-hook");
        let answer = check(&world).await;
        assert_eq!(ids(&answer), ["secret-differs"]);
        for request in world.requests().iter().filter(|it| &*it.caller.name == check_readiness::FUNCTION) {
            let reads = ["Get", "List", "Describe", "Query"].iter().any(|verb| request.operation.starts_with(verb));
            let own = ["PutItem", "PutEvents"].contains(&request.operation.as_str());
            assert!(reads || own, "{request:?}");
        }
        let published = world.published();
        let all = format!("{answer} {published:?} {:?}", world.inbox());
        assert!(!all.contains("a-secret-hook") && !all.contains("hooks.example.com/services"), "a value was told");
    });
}

#[test]
fn the_schedule_is_taken_by_whoever_comes_first() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        let event =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/check-readiness/schedule.json")).unwrap();
        let first = world.invoke(Region::LONDON, check_readiness::FUNCTION, event.clone().into()).await.unwrap();
        assert_eq!(first["standing"], "ready", "{first}");
        let second = world.invoke(Region::DUBLIN, check_readiness::FUNCTION, event.into()).await.unwrap();
        assert_eq!(second["done"], "nothing", "{second}");
    });
}

#[test]
fn the_budget_is_told_phase_by_phase() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        let told = ask(&world, Region::LONDON, json!({"action": "budget"})).await.unwrap();
        let table = told["budgets"][0]["table"].as_str().unwrap();
        for part in [
            "detect",
            "promote",
            "unknown",
            "request_interval = 10 s, failure_threshold = 3",
            "client_keep_alive = 60 s",
        ] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
        let over = told["budgets"][0]["over"].to_string();
        assert!(over.contains("nothing was promoted yet") || over.contains("waits for a person"), "{over}");
    });
}

/// An objective is somebody's promise: that it cannot be kept is told once, and stops no deployment.
#[test]
fn an_objective_that_is_exceeded_is_told_once_with_both_regions_and_goes_when_it_is_kept() {
    runtime().block_on(async {
        let objective = Objective { reads_seconds: 155, writes_seconds: 120 };
        let world = installed(|setup| setup.config.readiness.objective = Some(objective)).await.world;
        for _ in 0..3 {
            let report = check(&world).await;
            assert_eq!(ids(&report), ["recovery-objective-exceeded"], "{report}");
            let finding = &report["findings"][0];
            assert_eq!((&finding["subject"], &finding["severity"]), (&json!("reads"), &json!("warning")), "{finding}");
            let evidence = finding["sides"].to_string();
            for part in ["eu-west-1", "eu-west-2", "reads back after up to 156.0 s"] {
                assert!(evidence.contains(part), "{part} is not in {evidence}");
            }
        }
        assert_eq!(told(&world), 1);
        let gate = ask(&world, Region::LONDON, json!({"action": "gate"})).await.unwrap();
        assert_eq!(gate["go"], true, "{gate}");
        // 10 s less of keep-alive in both Regions.
        for region in [Region::DUBLIN, Region::LONDON] {
            let balancer = named(region, "AWS::ElasticLoadBalancingV2::LoadBalancer");
            change(&world, region, &balancer, "/LoadBalancerAttributes/0/Value", json!("50"));
        }
        assert_eq!(ids(&check(&world).await), [""; 0]);
        assert_eq!(told(&world), 2);
    });
}

/// The slowest promotion of the past counts, and what follows it is unknown as long as a person decides.
#[test]
fn a_slow_promotion_exceeds_the_objective_whoever_approves() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        promoted_in(&world, 600);
        let report = check(&world).await;
        let finding = &report["findings"][0];
        assert_eq!(finding["subject"], "writes", "{report}");
        assert!(finding["fix"].as_str().unwrap().contains("the longest phase is `promote` with 600.0 s"), "{finding}");
        promoted_in(&world, 45);
        assert_eq!(ids(&check(&world).await), [""; 0]);
    });
}

/// Law 1: without the past nobody can say that an objective is kept.
#[test]
fn promotions_that_cannot_be_read_are_unknown() {
    runtime().block_on(async {
        let world = installed(|_| {}).await.world;
        let matches = CallMatch {
            caller: Some(check_readiness::FUNCTION.to_owned()),
            operation: Some("Query"),
            ..CallMatch::default()
        };
        world.inject(CallFault::new(
            matches,
            0..u64::MAX,
            CallEffect::Error { status: 400, code: "AccessDeniedException" },
        ));
        let gate = ask(&world, Region::LONDON, json!({"action": "gate"})).await.unwrap();
        assert_eq!(gate["go"], false, "{gate}");
        assert!(gate["reasons"].to_string().contains("past promotions in eu-west-2 could not be read"), "{gate}");
    });
}
