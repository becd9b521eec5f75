//! reconcile-receipts from S3 Inventory, with S3 Batch Replication: what a list that is hours old may and may not do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use drill::deployment::{REGIONS, TABLE, example_config};
use holdfast_aws::metrics::Metrics;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::Timestamp;
use holdfast_domain::receipts::AtScale;
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::{Mode, create_table};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::s3::inventory::{Delivery, deliver};
use holdfast_world::s3::{self, About, Rule, batch};
use holdfast_world::{Caller, Region, World, WorldConfig};
use reconcile_receipts::Limits;
use serde_json::Value;

const SIDES: [Region; 2] = [Region::DUBLIN, Region::LONDON];
const LATER: Duration = Duration::from_secs(3600);
const PLAN: &str = r#"{"action":"plan_receipts","from":"inventory"}"#;
const APPLY: &str = r#"{"action":"apply_receipts","by":"a test","from":"inventory"}"#;
const ROLE: &str = "arn:aws:iam::123456789012:role/holdfast-batch";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn rule(to: Region, broken: bool) -> Option<Rule> {
    Some(Rule {
        destination: bucket(to),
        delete_markers: true,
        replica_modifications: true,
        kms_objects: false,
        broken,
    })
}

fn peer(region: Region) -> Region {
    if region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN }
}

fn world() -> World {
    let world = World::new(&WorldConfig { seed: 1, start: "2026-11-24T14:00:00Z".parse().unwrap() });
    create_table(&world, TABLE, Mode::Mrsc(REGIONS), "pk", Some("sk"));
    for region in SIDES {
        s3::create_bucket(&world, bucket(region), region);
        // As verify-replication leaves them: an inventory that names no files says nothing.
        put(&world, region, "holdfast/canary", "1");
    }
    world
}

fn set_rules(world: &World, broken: bool) {
    for region in SIDES {
        s3::set_rule(world, bucket(region), rule(peer(region), broken));
    }
}

fn startup(world: &World, role: Option<&str>) -> Startup {
    startup_with(world, role, u64::MAX)
}

fn startup_with(world: &World, role: Option<&str>, keys_max: u64) -> Startup {
    let mut config = example_config();
    config.policy.receipts.keys_max = keys_max;
    config.policy.receipts.at_scale = Some(AtScale {
        inventory_prefix: "holdfast/inventory".into(),
        inventory_id: "receipts".into(),
        inventory_age_max_seconds: 86_400,
        batch_role_arn: role.map(str::to_owned),
    });
    let caller = Caller { name: "reconcile-receipts".into(), region: Region::LONDON, invocation: None };
    let region = holdfast_domain::Region::new("eu-west-2").unwrap();
    Startup::new(config, region, &world.sdk(caller), Metrics::Silent).unwrap()
}

async fn invoke(startup: &Startup, payload: &str) -> Result<Value, Failure> {
    invoke_until(startup, payload, Timestamp::MAX).await
}

async fn invoke_until(startup: &Startup, payload: &str, deadline: Timestamp) -> Result<Value, Failure> {
    let invocation = Invocation { payload: payload.as_bytes().to_vec(), id: "test".into(), deadline };
    reconcile_receipts::handle_with(startup, invocation, Limits::S3).await
}

fn put(world: &World, region: Region, key: &str, body: &str) {
    s3::put_object(world, bucket(region), key, Bytes::copy_from_slice(body.as_bytes())).unwrap();
}

fn delete(world: &World, region: Region, key: &str) {
    s3::delete_object(world, bucket(region), key).unwrap();
}

fn lists(world: &World, delivery: &Delivery<'_>) {
    for region in SIDES {
        deliver(world, bucket(region), delivery).unwrap();
    }
}

/// What a reader of a bucket sees.
fn view(world: &World, region: Region) -> BTreeMap<String, Bytes> {
    let objects = s3::all_objects(world, bucket(region)).into_iter();
    objects.filter(|it| !it.key.starts_with("holdfast/")).filter_map(|it| Some((it.key, it.body?))).collect()
}

fn versions(world: &World) -> usize {
    let objects = SIDES.into_iter().flat_map(|region| s3::all_objects(world, bucket(region)));
    objects.filter(|it| !it.key.starts_with("holdfast/")).map(|it| it.versions).sum()
}

fn classes(answer: &Value) -> String {
    let plan = answer["summary"]["plan"].as_object().unwrap_or_else(|| panic!("there is no plan: {answer}"));
    let listed = plan.iter().filter(|(class, _)| *class != "InSync");
    listed.map(|(class, count)| format!("{class} {}", count["keys"])).collect::<Vec<_>>().join(", ")
}

/// Receipts of before, and what an outage left: what FAILED, what London deleted, what both wrote.
async fn outage() -> World {
    let world = world();
    set_rules(&world, false);
    for key in ["r/same", "r/deleted", "r/conflict", "r/behind é+ x"] {
        put(&world, Region::DUBLIN, key, "first");
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    set_rules(&world, true);
    for number in 0..40 {
        put(&world, Region::DUBLIN, &format!("r/failed-{number:02}"), "dublin's");
    }
    put(&world, Region::LONDON, "r/failed in london", "london's");
    put(&world, Region::LONDON, "r/behind é+ x", "second");
    put(&world, Region::DUBLIN, "r/conflict", "dublin's");
    tokio::time::sleep(Duration::from_secs(10)).await;
    for region in SIDES {
        s3::set_rule(&world, bucket(region), None);
    }
    put(&world, Region::LONDON, "r/conflict", "london's");
    put(&world, Region::DUBLIN, "r/without a rule", "x");
    delete(&world, Region::LONDON, "r/deleted");
    tokio::time::sleep(LATER).await;
    world
}

const AFTER_AN_OUTAGE: &str = "Conflict 1, CopyToDublin 2, CopyToLondon 41, DeletePropagates 1";

#[test]
fn inventories_come_to_the_same_plan_as_a_listing_and_say_how_old_they_are() {
    runtime().block_on(async {
        let world = outage().await;
        lists(&world, &Delivery { files: 7, ..Delivery::default() });
        tokio::time::sleep(2 * LATER).await;
        let before = versions(&world);
        let startup = startup(&world, Some(ROLE));
        let answer = invoke(&startup, PLAN).await.unwrap();
        assert_eq!(classes(&answer), AFTER_AN_OUTAGE, "{answer}");
        let listed = invoke(&startup, r#"{"action":"plan_receipts","from":"listing"}"#).await.unwrap();
        assert_eq!(answer["summary"]["plan"], listed["summary"]["plan"]);
        let text = answer["text"].as_str().unwrap();
        assert!(
            text.contains("planned from inventories of 2026-11-24T15:00:20Z, 120 minutes before it began"),
            "{text}"
        );
        assert_eq!((versions(&world), batch::jobs(&world)), (before, 0), "a plan touches nothing");
    });
}

#[test]
fn what_failed_is_given_to_batch_replication_and_the_rest_is_copied_under_conditions() {
    runtime().block_on(async {
        let world = outage().await;
        set_rules(&world, false);
        lists(&world, &Delivery::default());
        let startup = startup(&world, Some(ROLE));
        let answer = invoke(&startup, APPLY).await.unwrap();
        let summary = &answer["summary"];
        assert_eq!((&summary["state"], &summary["done"]), (&"applied".into(), &44.into()), "{answer}");
        let jobs = summary["jobs"].as_array().unwrap();
        assert_eq!((batch::jobs(&world), jobs.len()), (2, 2), "one for each way: {answer}");
        let (mut dublin, mut london) = (view(&world, Region::DUBLIN), view(&world, Region::LONDON));
        assert_eq!(
            (dublin.remove("r/conflict"), london.remove("r/conflict")),
            (Some("dublin's".into()), Some("london's".into()))
        );
        assert_eq!(dublin, london);
        assert_eq!(dublin["r/behind é+ x"], "second");
        assert!(!dublin.contains_key("r/deleted"));
        let ids = |region| {
            let of = s3::all_objects(&world, bucket(region)).into_iter();
            of.filter(|it| it.key.starts_with("r/failed")).map(|it| it.version).collect::<Vec<_>>()
        };
        assert_eq!(ids(Region::DUBLIN), ids(Region::LONDON), "replication keeps version ids");
        tokio::time::sleep(LATER).await;
        let again = invoke(&startup, r#"{"action":"plan_receipts"}"#).await.unwrap();
        assert_eq!(classes(&again), "Conflict 1", "{again}");
    });
}

#[test]
fn without_a_role_every_copy_is_made_under_its_own_condition() {
    runtime().block_on(async {
        let world = outage().await;
        lists(&world, &Delivery::default());
        let answer = invoke(&startup(&world, None), APPLY).await.unwrap();
        assert_eq!((&answer["summary"]["done"], batch::jobs(&world)), (&44.into(), 0), "{answer}");
        let (dublin, london) = (view(&world, Region::DUBLIN), view(&world, Region::LONDON));
        assert_eq!(dublin.keys().collect::<Vec<_>>(), london.keys().collect::<Vec<_>>());
    });
}

/// A list says that London never had the receipt. Since then London got it and deleted it.
#[test]
fn a_delete_that_is_newer_than_the_inventory_is_not_undone() {
    for role in [None, Some(ROLE)] {
        runtime().block_on(async {
            let world = world();
            put(&world, Region::DUBLIN, "r/a", "x");
            tokio::time::sleep(LATER).await;
            lists(&world, &Delivery::default());
            put(&world, Region::LONDON, "r/a", "x");
            delete(&world, Region::LONDON, "r/a");
            set_rules(&world, false);
            tokio::time::sleep(LATER).await;
            let answer = invoke(&startup(&world, role), APPLY).await.unwrap();
            assert_eq!(&answer["summary"]["moved_on"], 1, "{answer}");
            assert!(!view(&world, Region::LONDON).contains_key("r/a"), "a deleted receipt came back: {answer}");
        });
    }
}

/// The job works a minute after it was made. What is deleted or written in between stays as it is.
#[test]
fn what_happens_while_a_job_waits_is_not_undone_by_it() {
    runtime().block_on(async {
        let world = world();
        for key in ["r/deleted", "r/rewritten", "r/quiet"] {
            put(&world, Region::DUBLIN, key, "old");
        }
        tokio::time::sleep(LATER).await;
        set_rules(&world, false);
        lists(&world, &Delivery::default());
        let busy = world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            delete(&busy, Region::DUBLIN, "r/deleted");
            put(&busy, Region::LONDON, "r/rewritten", "new");
        });
        let answer = invoke(&startup(&world, Some(ROLE)), APPLY).await.unwrap();
        assert_eq!(&answer["summary"]["done"], 3, "{answer}");
        for region in SIDES {
            let found = view(&world, region);
            assert!(!found.contains_key("r/deleted"), "{region:?}: a deleted receipt came back");
            assert_eq!((&found["r/rewritten"], &found["r/quiet"]), (&Bytes::from("new"), &Bytes::from("old")));
        }
    });
}

#[test]
fn what_a_job_could_not_do_is_in_the_report_by_its_code() {
    runtime().block_on(async {
        let world = world();
        let kms = About { kms: Some("key".into()), ..About::default() };
        s3::put_with(&world, bucket(Region::DUBLIN), "r/kms", Bytes::from("x"), kms).unwrap();
        put(&world, Region::DUBLIN, "r/plain", "x");
        tokio::time::sleep(LATER).await;
        set_rules(&world, false);
        lists(&world, &Delivery::default());
        let answer = invoke(&startup(&world, Some(ROLE)), APPLY).await.unwrap();
        assert_eq!(answer["summary"]["refused"], serde_json::json!({"SrcObjectNotEligible": 1}), "{answer}");
        let text = answer["text"].as_str().unwrap();
        assert!(text.contains("complete, 1 of 2 keys replicated, 1 SrcObjectNotEligible"), "{text}");
    });
}

#[test]
fn a_job_that_s3_gives_up_is_told_with_what_it_left() {
    runtime().block_on(async {
        let world = world();
        for number in 0..9 {
            put(&world, Region::DUBLIN, &format!("r/{number}"), "x");
        }
        tokio::time::sleep(LATER).await;
        set_rules(&world, false);
        lists(&world, &Delivery::default());
        batch::give_up_next_job(&world, 4);
        let startup = startup(&world, Some(ROLE));
        let answer = invoke(&startup, APPLY).await.unwrap();
        let text = answer["text"].as_str().unwrap();
        assert!(text.contains("FAILED, 4 of 9 keys replicated, 5 NotInTheCompletionReport"), "{text}");
        assert_eq!(answer["summary"]["done"], 4);
        // The next run goes on with what is left.
        lists(&world, &Delivery::default());
        let again = invoke(&startup, APPLY).await.unwrap();
        assert_eq!(classes(&again), "CopyToLondon 5", "{again}");
        assert_eq!(view(&world, Region::DUBLIN), view(&world, Region::LONDON));
    });
}

/// Delivers a list, spoils it, and gives the run's words.
async fn said(delivery: &Delivery<'_>, spoil: impl Fn(&World)) -> String {
    let world = world();
    for number in 0..50 {
        put(&world, Region::DUBLIN, &format!("r/{number:02}"), "x");
    }
    lists(&world, delivery);
    spoil(&world);
    let before = versions(&world);
    let failure = invoke(&startup(&world, None), PLAN).await.unwrap_err();
    assert!(matches!(failure, Failure::NothingChanged(_)), "{failure:?}");
    assert_eq!(versions(&world), before);
    failure.to_string()
}

#[test]
fn an_inventory_that_cannot_be_used_is_named_and_nothing_is_concluded() {
    runtime().block_on(async {
        let check = |said: String, expected: &str| assert!(said.contains(expected), "`{expected}` is not in: {said}");
        let usual = Delivery::default();
        let parquet = Delivery { format: "Parquet", ..Delivery::default() };
        check(said(&parquet, |_| {}).await, "set the inventory's format to CSV");
        let unordered = Delivery { unordered: true, ..Delivery::default() };
        check(said(&unordered, |_| {}).await, "the keys are not in order");
        let elsewhere = Delivery { id: "another", ..Delivery::default() };
        check(
            said(&elsewhere, |_| {}).await,
            "has no complete inventory under holdfast/inventory/payments-receipts-eu-west-1/receipts/",
        );
        let cut_off = said(&usual, |world| {
            let data = s3::all_objects(world, bucket(Region::DUBLIN))
                .into_iter()
                .find(|it| it.key.contains("/data/"))
                .unwrap();
            let whole = data.body.unwrap();
            s3::put_object(world, bucket(Region::DUBLIN), &data.key, whole.slice(..whole.len() / 2)).unwrap();
        });
        check(cut_off.await, "bytes came in place of");
        let garbled = said(&usual, |world| {
            let data = s3::all_objects(world, bucket(Region::DUBLIN))
                .into_iter()
                .find(|it| it.key.contains("/data/"))
                .unwrap();
            let mut bytes = data.body.unwrap().to_vec();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 4].fill(0xff);
            s3::put_object(world, bucket(Region::DUBLIN), &data.key, bytes.into()).unwrap();
        });
        check(garbled.await, "nothing of this inventory is used");
    });
}

#[test]
fn an_inventory_that_is_too_old_is_refused() {
    runtime().block_on(async {
        let world = world();
        put(&world, Region::DUBLIN, "r/a", "x");
        lists(&world, &Delivery::default());
        tokio::time::sleep(26 * LATER).await;
        let failure = invoke(&startup(&world, None), PLAN).await.unwrap_err();
        assert!(
            failure.to_string().contains("was begun 26 hours ago, and policy.receipts.at_scale allows 24"),
            "{failure}"
        );
    });
}

#[test]
fn what_is_younger_than_the_inventory_is_left_for_the_next_one() {
    runtime().block_on(async {
        let world = world();
        put(&world, Region::DUBLIN, "r/old", "x");
        tokio::time::sleep(LATER).await;
        deliver(&world, bucket(Region::LONDON), &Delivery::default()).unwrap();
        put(&world, Region::DUBLIN, "r/young", "x");
        tokio::time::sleep(LATER).await;
        deliver(&world, bucket(Region::DUBLIN), &Delivery::default()).unwrap();
        let answer = invoke(&startup(&world, None), PLAN).await.unwrap();
        assert_eq!(classes(&answer), "CopyToLondon 1, Pending 1", "{answer}");
    });
}

#[test]
fn more_keys_than_may_be_listed_are_planned_from_inventories() {
    runtime().block_on(async {
        let world = outage().await;
        lists(&world, &Delivery::default());
        let startup = startup_with(&world, None, 10);
        let answer = invoke(&startup, r#"{"action":"plan_receipts"}"#).await.unwrap();
        assert_eq!(classes(&answer), AFTER_AN_OUTAGE, "{answer}");
        assert!(answer["summary"]["lists"]["dublin"].is_string(), "{answer}");
    });
}

/// The invocation ends while the job works; the next one only watches.
#[test]
fn a_job_is_watched_across_invocations_and_made_once() {
    runtime().block_on(async {
        let world = outage().await;
        set_rules(&world, false);
        lists(&world, &Delivery::default());
        let startup = startup(&world, Some(ROLE));
        let soon = startup.now().checked_add(Duration::from_secs(90)).unwrap();
        let cut_off = invoke_until(&startup, APPLY, soon).await.unwrap();
        assert_eq!(cut_off["summary"]["state"], "unfinished", "{cut_off}");
        assert_eq!(cut_off["clean"], false);
        let text = cut_off["text"].as_str().unwrap();
        assert!(text.contains("at work, 0 of 41 keys replicated") || text.contains("at work, 0 of 40"), "{text}");
        let run = cut_off["summary"]["run"].as_str().unwrap();
        let event = format!(
            r#"{{"source":"holdfast","detail-type":"ReceiptsUnfinished","detail":{{"event":"ReceiptsUnfinished","run":"{run}","region":"eu-west-2","invocations":1}}}}"#
        );
        let answer = invoke(&startup, &event).await.unwrap();
        assert_eq!((&answer["summary"]["state"], &answer["summary"]["done"]), (&"applied".into(), &44.into()), "{answer}");
        assert_eq!(batch::jobs(&world), 2);
    });
}

/// Whatever call dies, the run ends, no key is done twice, and S3 has one job for each way.
#[test]
fn a_run_from_inventories_that_is_struck_at_any_call_ends_the_same() {
    let mut struck = 0;
    for effect in [CallEffect::LoseAnswer, CallEffect::Hang, CallEffect::Duplicate] {
        for call in (0..240).step_by(7) {
            struck += 1;
            runtime().block_on(async {
                let world = outage().await;
                set_rules(&world, false);
                lists(&world, &Delivery::default());
                let startup = startup(&world, Some(ROLE));
                let before = versions(&world);
                let calls = CallMatch { service: Some("s3"), ..CallMatch::default() };
                world.inject(CallFault::new(calls, call..call + 1, effect));
                let mut ended = Value::Null;
                for _ in 0..10 {
                    let answer = world.within(Duration::from_secs(3600), invoke(&startup, APPLY)).await;
                    if let Some(Ok(answer)) = answer
                        && answer["summary"]["state"] == "applied"
                    {
                        ended = answer;
                        break;
                    }
                }
                assert_eq!(ended["summary"]["state"], "applied", "call {call}, {effect:?}");
                // One for each key, and the rule replicates the delete marker that was made.
                assert_eq!(versions(&world), before + 45, "call {call}, {effect:?}: {ended}");
                assert_eq!(batch::jobs(&world), 2, "call {call}, {effect:?}: {ended}");
            });
        }
    }
    assert!(struck > 100);
}
