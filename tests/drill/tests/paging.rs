//! What people say to pages, and what becomes of it: acknowledged, escalated, approved, rehearsed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::checker::Verdict;
use drill::deployment::{Deployment, PAGERDUTY_WEBHOOK_KEY, Setup, TABLE, deploy};
use holdfast_domain::incident::{ClusterState, Phase};
use holdfast_domain::policy::Mode;
use holdfast_domain::signature;
use holdfast_world::dynamodb::all_items;
use holdfast_world::providers::{CHAT, ROUTING_KEY, WEBHOOK_KEY};
use holdfast_world::sns::Letter;
use holdfast_world::{Region, World};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
const ADA: &str = "arn:aws:sts::123456789012:assumed-role/on-call/ada";

/// Plays a story in an installation whose clients are few.
fn play<T>(change: impl FnOnce(&mut Setup), story: impl AsyncFnOnce(&Deployment) -> T) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut setup = Setup { payment_every: Duration::from_secs(5), readers: false, ..Setup::standard(1) };
        change(&mut setup);
        let deployment = deploy(&setup);
        // The lag's first points are a minute old by then.
        tokio::time::sleep(MINUTE * 2).await;
        let told = story(&deployment).await;
        deployment.world.close();
        told
    })
}

async fn pager(world: &World, request: Value) -> Result<Value, String> {
    world.invoke(Region::LONDON, page_humans::FUNCTION, request.to_string().into()).await
}

/// London is dark: a page that is critical and waits for somebody.
async fn a_critical_page(world: &World) {
    let proof = json!({"observers": ["eu-west-1"], "since": "2026-11-24T14:06:00Z", "oldest_vote_age": {"secs": 0, "nanos": 0}});
    let event = json!({"event": "StandbyDark", "subject": "eu-west-1", "proof": proof});
    let sent =
        pager(world, json!({"source": "holdfast", "detail-type": "StandbyDark", "detail": event})).await.unwrap();
    assert_eq!(sent["sent"], true, "{sent}");
}

const THREAD: &str = "standby-dark/eu-west-1";
const ALERT: &str = "holdfast/payments-global/standby-dark/eu-west-1";

fn escalated(world: &World) -> Vec<Letter> {
    world.inbox().into_iter().filter(|letter| letter.subject.starts_with("NOT ACKNOWLEDGED")).collect()
}

/// A request to the pager's own address, signed for IAM by `caller`, or by nobody.
fn request(caller: Option<&str>, headers: &Value, body: &str) -> Value {
    let authorizer = caller.map(|arn| json!({"iam": {"userArn": arn}}));
    json!({
        "version": "2.0", "rawPath": "/", "headers": headers, "body": body, "isBase64Encoded": false,
        "requestContext": {"authorizer": authorizer, "http": {"method": "POST", "path": "/"}},
    })
}

fn state(world: &World) -> ClusterState {
    let items = all_items(world, TABLE);
    let item = items.iter().find(|item| item.get("sk").is_some_and(|sk| sk["S"] == "state")).unwrap();
    serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap()
}

#[test]
fn a_page_that_nobody_acknowledges_goes_to_the_next_people() {
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            a_critical_page(world).await;
            tokio::time::sleep(MINUTE * 4).await;
            assert!(escalated(world).is_empty());
            tokio::time::sleep(MINUTE * 3).await;
            let first = escalated(world);
            assert_eq!(first.len(), 1, "{first:#?}");
            assert!(
                first[0].subject.starts_with("NOT ACKNOWLEDGED (step 1): eu-west-1 is dark."),
                "{}",
                first[0].subject
            );
            tokio::time::sleep(MINUTE * 10).await;
            assert_eq!(escalated(world).len(), 2);
            let step_two = "NOT ACKNOWLEDGED (step 2)";
            assert!(world.chat().iter().any(|posted| posted.body.to_string().contains(step_two)), "the chat is step 2");
            assert_eq!(world.alerts()[ALERT].events.len(), 3, "{:?}", world.alerts());
        },
    );
}

#[test]
fn an_acknowledged_page_calls_nobody_and_stops_the_telephone() {
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            a_critical_page(world).await;
            let dry =
                pager(world, json!({"action": "ack", "incident": THREAD, "by": "ada", "dry_run": true})).await.unwrap();
            assert_eq!(dry["would"], "acknowledge", "{dry}");
            let said = pager(world, json!({"action": "ack", "incident": THREAD, "by": "ada", "comment": "mine"}))
                .await
                .unwrap();
            assert_eq!(said["acknowledged"]["by"], "ada", "{said}");
            assert_eq!(world.alerts()[ALERT].status, "acknowledged");
            let again = pager(world, json!({"action": "ack", "incident": THREAD, "by": "grace"})).await.unwrap();
            assert_eq!(again["acknowledged"]["by"], "ada", "who was first is kept: {again}");
            tokio::time::sleep(MINUTE * 20).await;
            assert!(escalated(world).is_empty(), "{:#?}", escalated(world));
            let status = pager(world, json!({"action": "status"})).await.unwrap();
            assert_eq!(status["open"], json!([]), "it is forgotten when it is done with");
        },
    );
}

#[test]
fn an_acknowledgement_in_pagerduty_counts_here_when_it_is_signed() {
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            a_critical_page(world).await;
            let body = json!({"event": {
            "event_type": "incident.acknowledged", "agent": {"summary": "Ada Lovelace"}, "data": {"incident_key": ALERT},
        }})
        .to_string();
            let signed =
                |key: &str| json!({"x-pagerduty-signature": format!("v1={}", signature::sign(key, body.as_bytes()))});
            let forged = pager(world, request(None, &signed("guessed"), &body)).await.unwrap();
            assert_eq!(forged["statusCode"], 401, "{forged}");
            let taken = pager(world, request(None, &signed(PAGERDUTY_WEBHOOK_KEY), &body)).await.unwrap();
            assert_eq!(taken["statusCode"], 200, "{taken}");
            assert!(taken["body"].as_str().unwrap().contains("Ada Lovelace"), "{taken}");
            tokio::time::sleep(MINUTE * 10).await;
            assert!(escalated(world).is_empty());
        },
    );
}

#[test]
fn an_approval_at_the_pagers_address_is_judged_by_promote_aurora_under_the_verified_name() {
    let approve = |setup: &mut Setup| setup.config.policy.mode = Mode::Approve;
    play(approve, async |deployment| {
        let world = &deployment.world;
        world.go_dark(Region::DUBLIN);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(state(world).incident.unwrap().phase, Phase::AwaitingApproval);
        let body = json!({"action": "approve", "incident": "e1", "by": "the CFO", "comment": "go"}).to_string();
        let nobody = pager(world, request(None, &json!({}), &body)).await.unwrap();
        assert_eq!(nobody["statusCode"], 401, "{nobody}");
        let another = json!({"action": "approve", "incident": "e9"}).to_string();
        assert_eq!(pager(world, request(Some(ADA), &json!({}), &another)).await.unwrap()["statusCode"], 404);
        let taken = pager(world, request(Some(ADA), &json!({}), &body)).await.unwrap();
        assert_eq!(taken["statusCode"], 202, "{taken}");
        tokio::time::sleep(MINUTE * 2).await;
        let incident = state(world).incident.unwrap();
        assert_eq!(incident.phase, Phase::Restored, "{incident}");
        let approval = incident.approval.unwrap();
        assert_eq!(approval.by, ADA);
        assert!(approval.comment.contains("go (as the CFO)"), "{}", approval.comment);
    });
}

#[test]
fn a_veto_at_the_pagers_address_stops_the_countdown() {
    let countdown = |setup: &mut Setup| {
        setup.config.policy.mode = Mode::Approve;
        setup.config.policy.approve_countdown_seconds = Some(120);
    };
    play(countdown, async |deployment| {
        let world = &deployment.world;
        world.go_dark(Region::DUBLIN);
        tokio::time::sleep(MINUTE).await;
        let body = json!({"action": "veto", "incident": "e1", "comment": "it is only the ALB"}).to_string();
        let taken = pager(world, request(Some(ADA), &json!({}), &body)).await.unwrap();
        assert_eq!(taken["statusCode"], 202, "{taken}");
        tokio::time::sleep(MINUTE * 5).await;
        let incident = state(world).incident.unwrap();
        assert_eq!(incident.veto.as_ref().map(|veto| veto.by.as_str()), Some(ADA), "{incident}");
        assert!(holdfast_world::rds::accepted(world).is_empty(), "nothing moves");
    });
}

#[test]
fn a_veto_that_runs_out_says_so_and_the_countdown_begins_anew() {
    let countdown = |setup: &mut Setup| {
        setup.config.policy.mode = Mode::Approve;
        setup.config.policy.approve_countdown_seconds = Some(120);
        setup.config.policy.veto_holds_seconds = Some(180);
    };
    play(countdown, async |deployment| {
        let world = &deployment.world;
        world.go_dark(Region::DUBLIN);
        tokio::time::sleep(MINUTE).await;
        let body = json!({"action": "veto", "incident": "e1", "comment": "wait for the network team"}).to_string();
        pager(world, request(Some(ADA), &json!({}), &body)).await.unwrap();
        tokio::time::sleep(MINUTE * 2).await;
        let blocked = world.inbox().into_iter().find(|letter| letter.subject.contains("blocked by vetoed")).unwrap();
        assert!(blocked.message.contains("it runs out at 2026-11-24T14:"), "{}", blocked.message);
        assert!(holdfast_world::rds::accepted(world).is_empty(), "the veto holds");
        tokio::time::sleep(MINUTE * 3).await;
        let asked: Vec<Letter> =
            world.inbox().into_iter().filter(|it| it.message.contains("unless you veto")).collect();
        assert_eq!(asked.len(), 2, "{}: {:#?}", state(world).incident.unwrap(), state(world).incident.unwrap().history);
        assert!(asked[1].message.contains(&format!("The veto of {ADA} has run out.")), "{}", asked[1].message);
        tokio::time::sleep(MINUTE * 4).await;
        assert_eq!(state(world).incident.unwrap().phase, Phase::Restored, "nobody vetoed again");
    });
}

#[test]
fn a_rehearsal_takes_every_channel_and_how_long_people_took_is_kept() {
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            let sent = pager(world, json!({"action": "rehearse"})).await.unwrap();
            assert_eq!(sent["through"], json!(["chat", "pagerduty", "sns in eu-west-2", "status-page"]), "{sent}");
            tokio::time::sleep(Duration::from_secs(100)).await;
            let status = pager(world, json!({"action": "status"})).await.unwrap();
            let thread = status["open"][0]["thread"].as_str().unwrap().to_owned();
            assert!(thread.starts_with("payments-global/rehearsal/eu-west-2/"), "{thread}");
            pager(world, json!({"action": "ack", "incident": thread, "by": "ada"})).await.unwrap();
            let kept = all_items(world, TABLE);
            let kept = kept.iter().find(|item| item["pk"]["S"] == "rehearsal#payments-global").unwrap();
            let rehearsed: Value = serde_json::from_str(kept["body"]["S"].as_str().unwrap()).unwrap();
            assert_eq!(rehearsed["took_seconds"], 100, "{rehearsed}");
            assert_eq!(rehearsed["acknowledged"]["by"], "ada");
        },
    );
}

#[test]
fn what_lands_in_a_dead_letter_queue_is_paged() {
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            world.invoke_async(Region::LONDON, verify_replication::FUNCTION, r#"{"action":"failover"}"#.into());
            tokio::time::sleep(MINUTE * 5).await;
            assert_eq!(world.dead_letters().len(), 1);
            let told = world
                .inbox()
                .into_iter()
                .find(|letter| letter.attributes.get("kind").is_some_and(|kind| kind == "dead-letter"));
            let told = told.unwrap_or_else(|| panic!("{:#?} {:#?}", world.inbox(), world.invoked().last()));
            assert!(
                told.subject.starts_with("holdfast-verify-replication in eu-west-2 has given up"),
                "{}",
                told.subject
            );
        },
    );
}

/// While Secrets Manager does not answer, a channel goes on with the secret that it has; and no secret is ever told.
#[test]
fn a_secret_outlives_secrets_manager_and_is_never_told() {
    use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
    play(
        |_| {},
        async |deployment| {
            let world = &deployment.world;
            a_critical_page(world).await;
            let matches = CallMatch { service: Some("secretsmanager"), ..CallMatch::default() };
            let effect = CallEffect::Error { status: 503, code: "ServiceUnavailable" };
            world.inject(CallFault::new(matches, 0..u64::MAX, effect));
            tokio::time::sleep(MINUTE * 15).await;
            let alert = &world.alerts()[ALERT];
            assert!(alert.events.len() >= 2, "PagerDuty was not called again: {alert:?}");
            let told = format!("{:?} {:?} {:?} {:?}", world.inbox(), world.alerts(), world.chat(), world.webhook());
            let said: Vec<String> = world.invoked().into_iter().map(|it| format!("{:?}", it.outcome)).collect();
            for secret in [ROUTING_KEY, WEBHOOK_KEY, PAGERDUTY_WEBHOOK_KEY, CHAT.1] {
                assert!(!told.contains(secret) && !said.iter().any(|said| said.contains(secret)), "a secret is told");
            }
        },
    );
}

/// The page says which way failed, and a person can still read it by another.
#[test]
fn a_channel_that_fails_is_named_on_the_page_that_comes_after() {
    let scenario = drill::scenario::Scenario::named("pagerduty-throttled").unwrap();
    let outcome = drill::play(scenario, drill::scenario::Pace::coarse(3), |_| {}).unwrap();
    assert_eq!(outcome.verdict(), Verdict::Valid, "{:#?}", outcome.problems);
    let failing = outcome.letters.iter().find(|letter| letter.subject.starts_with("pagerduty does not")).unwrap();
    assert!(failing.message.contains("HTTP 429") && !failing.message.contains("enqueue"), "{}", failing.message);
}
