//! What must hold for every byte string that reaches a parser, in one place for two callers.
//!
//! The fuzz targets call these with what libFuzzer finds, on nightly Rust; `shared/domain/tests/fuzz.rs` calls them with seeded
//! mutations of every sample, on stable Rust and in every test run. Each answers whether it took the input for something: a test
//! whose inputs are all refused proves nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use holdfast_domain::arn::ClusterArn;
use holdfast_domain::config::Config;
use holdfast_domain::event::{Event, SOURCE};
use holdfast_domain::incident::{ClusterState, Incident, Phase};
use holdfast_domain::lag::Lag;
use holdfast_domain::money::{Currency, Totals};
use holdfast_domain::order::Order;
use holdfast_domain::page::message::Message;
use holdfast_domain::page::{Delivery, Page, PageRecord, compose, pagerduty, slack, sns};
use holdfast_domain::policy::Policy;
use holdfast_domain::price::Price;
use holdfast_domain::promotion::{Aftermath, Decision, Facts, Observed, Standby, decide, reasons_not_to_close};
use holdfast_domain::quorum::{Quorum, ReceivedVote, verdict};
use holdfast_domain::topology::Topology;
use holdfast_domain::trigger::{Action, Alarm, Manual, RdsEvent, Request, Trigger, TriggerError};
use holdfast_domain::vote::Vote;
use holdfast_domain::{Region, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../events/config.example.json");

/// The longest refusal, in characters: what a person reads on a telephone without scrolling twice.
const REFUSAL_MAX: usize = 800;
/// The longest headline, in characters: what a lock screen shows.
const HEADLINE_MAX: usize = 240;
/// The longest kind, in characters: every guard at once has room in it.
const KIND_MAX: usize = 500;
/// The longest name of a thread, in bytes: it is part of a DynamoDB key, which has 2048.
const THREAD_MAX: usize = 1024;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time in this century")
}

fn example() -> Config {
    Config::parse(EXAMPLE).expect("the example is valid")
}

/// One line that can be printed and read, whatever was sent.
#[track_caller]
fn is_one_line(text: &str, characters_max: usize) {
    assert!(!text.trim().is_empty(), "nothing is said");
    let breaks =
        text.chars().find(|c| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    assert_eq!(breaks, None, "not one plain line: {text:?}");
    let length = text.chars().count();
    // One more for the mark of what was left out.
    assert!(length <= characters_max + 1, "{length} characters are too long to read at night: {text}");
}

/// What is printed is read back as the same.
#[track_caller]
fn survives_a_round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let printed = serde_json::to_string(value).expect("what was read can be printed");
    match serde_json::from_str::<T>(&printed) {
        Ok(again) => assert_eq!(*value, again, "printed as {printed}"),
        Err(problem) => panic!("{problem}: what was printed cannot be read back: {printed}"),
    }
}

/// Bytes that start a function.
///
/// Every trigger that is read can be written down and read again; what spoils a list spoils all of it; a refusal is one line.
pub fn trigger(payload: &[u8]) -> bool {
    let parsed = Trigger::parse(payload);
    assert_eq!(parsed, Trigger::parse(payload), "the same bytes were read as two things");
    let triggers = match parsed {
        Ok(triggers) => triggers,
        Err(problem) => {
            let said = problem.to_string();
            is_one_line(&said, REFUSAL_MAX);
            assert!(said.contains("nothing was done"), "{said}");
            says_what_was_expected(&problem, &said);
            return false;
        }
    };
    assert!(!triggers.is_empty(), "nothing was read, and it was not refused");
    let printed: Vec<Value> = triggers.iter().map(as_payload).collect();
    assert_eq!(Trigger::parse(&bytes(&json!(printed))), Ok(triggers.clone()), "printed as {}", json!(printed));
    let mut spoilt = printed;
    spoilt.push(json!({"hello": 1}));
    assert!(Trigger::parse(&bytes(&json!(spoilt))).is_err(), "a list with something unknown in it was not refused");
    for trigger in &triggers {
        match trigger {
            Trigger::Holdfast(event) => page(event),
            Trigger::Manual(Manual { action, .. }) => names_a_person(action),
            Trigger::Request(request) => nobody_is_believed_without_proof(request),
            Trigger::Alarm(_) | Trigger::Schedule { .. } | Trigger::Rds(_) | Trigger::Object { .. } => {}
        }
    }
    true
}

#[track_caller]
fn says_what_was_expected(problem: &TriggerError, said: &str) {
    let expected = match problem {
        TriggerError::TooLarge { .. } => "more than the",
        TriggerError::NotJson { .. } | TriggerError::Unnamed { .. } => r#"{"action":"status"}"#,
        TriggerError::Malformed { kind, .. } => kind,
        TriggerError::Empty => "an empty list",
    };
    assert!(said.contains(expected), "`{expected}` is not in: {said}");
}

/// What anybody may ask for: it looks, or makes whole what is there anyway.
const ANONYMOUS: [&str; 11] = [
    "status",
    "observe",
    "verify",
    "gate",
    "check",
    "budget",
    "plan_receipts",
    "resume",
    "rehearse",
    "shard",
    "reconcile",
];

/// Nothing that moves a Region or stops Holdfast is anonymous.
#[track_caller]
fn names_a_person(action: &Action) {
    match action.asked_by() {
        Some(by) => assert!(!by.trim().is_empty() && !by.contains('<'), "asked for by `{by}`"),
        None => assert!(ANONYMOUS.contains(&action.name_and_function().0), "nobody asks for {action:?}"),
    }
}

/// Whoever IAM does not name is nobody without a key to check a signature by, whatever the request says of itself.
#[track_caller]
fn nobody_is_believed_without_proof(request: &Request) {
    if let Ok(answer) = request.answer(None) {
        assert!(request.caller.is_some(), "{answer:?}");
        is_one_line(&answer.by, 401);
        is_one_line(&answer.comment, 401);
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A trigger as AWS or a person would have sent it, in its plainest form.
fn as_payload(trigger: &Trigger) -> Value {
    match trigger {
        Trigger::Alarm(Alarm { name, state, reason }) => {
            json!({"AlarmName": name, "NewStateValue": state, "NewStateReason": reason})
        }
        Trigger::Holdfast(event) => on_the_bus(event),
        Trigger::Schedule { rule } => {
            json!({"source": "aws.events", "detail-type": "Scheduled Event", "resources": [rule], "detail": {}})
        }
        Trigger::Rds(RdsEvent { id, source, message, at }) => {
            let detail = json!({"EventID": id, "SourceArn": source, "Message": message, "Date": at});
            json!({"source": "aws.rds", "detail-type": "RDS DB Cluster Event", "detail": detail})
        }
        Trigger::Object { bucket, key } => {
            let detail = json!({"bucket": {"name": bucket}, "object": {"key": key}});
            json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
        }
        Trigger::Request(Request { caller, headers, body }) => {
            let authorizer = caller.as_ref().map(|arn| json!({"iam": {"userArn": arn}}));
            json!({"requestContext": {"authorizer": authorizer}, "headers": headers, "body": body})
        }
        Trigger::Manual(Manual { action, dry_run }) => {
            let mut request = as_request(action);
            request["dry_run"] = json!(dry_run);
            request
        }
    }
}

fn on_the_bus(event: &Event) -> Value {
    json!({"source": SOURCE, "detail-type": event.detail_type(), "detail": event})
}

fn as_request(action: &Action) -> Value {
    match action {
        Action::Status => json!({"action": "status"}),
        Action::Observe { rounds } => json!({"action": "observe", "rounds": rounds}),
        Action::Verify => json!({"action": "verify"}),
        Action::Gate => json!({"action": "gate"}),
        Action::PlanReceipts { from } => json!({"action": "plan_receipts", "from": from}),
        Action::ApplyReceipts { by, from } => json!({"action": "apply_receipts", "by": by, "from": from}),
        Action::Shard { step, object, shard, slices } => {
            json!({"action": "shard", "step": step, "object": object, "shard": shard, "slices": slices})
        }
        Action::Resume => json!({"action": "resume"}),
        Action::Failover { to, by, comment, overrides } => {
            json!({"action": "failover", "to": to, "by": by, "comment": comment, "override": overrides})
        }
        Action::Switchover { to, by, comment, overrides } => {
            json!({"action": "switchover", "to": to, "by": by, "comment": comment, "override": overrides})
        }
        Action::Approve { incident, by, comment, overrides } => {
            json!({"action": "approve", "incident": incident, "by": by, "comment": comment, "override": overrides})
        }
        Action::Veto { incident, by, comment } => {
            json!({"action": "veto", "incident": incident, "by": by, "comment": comment})
        }
        Action::Ack { incident, by, comment } => {
            json!({"action": "ack", "incident": incident, "by": by, "comment": comment})
        }
        Action::Rehearse => json!({"action": "rehearse"}),
        Action::Check => json!({"action": "check"}),
        Action::Budget => json!({"action": "budget"}),
        Action::Freeze { by, reason } => json!({"action": "freeze", "by": by, "reason": reason}),
        Action::Unfreeze { by } => json!({"action": "unfreeze", "by": by}),
        Action::Retry { incident, by } => json!({"action": "retry", "incident": incident, "by": by}),
        Action::Reconcile { pass, object, from, to } => {
            json!({"action": "reconcile", "pass": pass, "object": object, "from": from, "to": to})
        }
        Action::Failback { to, by, comment, overrides } => {
            json!({"action": "failback", "to": to, "by": by, "comment": comment, "override": overrides})
        }
        Action::Attest { incident, guard, by, evidence } => {
            json!({"action": "attest", "incident": incident, "guard": guard, "by": by, "evidence": evidence})
        }
        Action::Evacuate { region, by, comment, overrides } => {
            json!({"action": "evacuate", "region": region, "by": by, "comment": comment, "override": overrides})
        }
        Action::Restore { region, by, comment, overrides } => {
            json!({"action": "restore", "region": region, "by": by, "comment": comment, "override": overrides})
        }
        Action::Close { incident, by, overrides } => {
            json!({"action": "close", "incident": incident, "by": by, "override": overrides})
        }
    }
}

/// Text that a configuration is read from.
///
/// What is valid is valid again when printed and names three Regions; a refusal names the field and the fix.
pub fn config(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let config = match Config::parse(&text) {
        Ok(config) => config,
        Err(problem) => {
            let said = problem.to_string();
            is_one_line(&said, REFUSAL_MAX);
            assert!(said.starts_with("configuration: `") && said.contains("; "), "{said}");
            return false;
        }
    };
    let printed = serde_json::to_string(&config).expect("what was read can be printed");
    assert_eq!(Config::parse(&printed), Ok(config.clone()), "printed as {printed}");
    stands_on_three_regions(&config.topology);
    true
}

#[track_caller]
fn stands_on_three_regions(topology: &Topology) {
    let observers: Vec<&Region> = topology.observers().collect();
    assert_eq!(observers.len(), 3, "{observers:?}");
    for here in &observers {
        assert_eq!(observers.iter().filter(|other| *other == here).count(), 1, "{here} is there twice");
        for avoid in &observers {
            let topics = topology.page_topics(here, Some(avoid));
            assert_eq!(topics.len(), 2, "{topics:?}");
            assert!(topics.iter().all(|(region, _)| region != *avoid), "{avoid} is not avoided");
        }
    }
    for data in &topology.data_regions {
        let peer = topology.peer_of(&data.region).expect("a data Region has a peer");
        assert_eq!(topology.peer_of(&peer.region), Some(data));
        assert_eq!(topology.data_region_of_cluster(&data.cluster_arn), Some(data));
    }
}

/// Bytes that are read back from the coordination table or from the bus.
///
/// Whatever can be read can be written and read again, has a page or needs none, and has a decision.
pub fn records(stored: &[u8]) -> bool {
    let mut read = 0;
    if let Ok(state) = serde_json::from_slice::<ClusterState>(stored) {
        survives_a_round_trip(&state);
        if let Some(incident) = &state.incident {
            follow(incident);
        }
        read += 1;
    }
    if let Ok(incident) = serde_json::from_slice::<Incident>(stored) {
        survives_a_round_trip(&incident);
        follow(&incident);
        read += 1;
    }
    if let Ok(vote) = serde_json::from_slice::<Vote>(stored) {
        survives_a_round_trip(&vote);
        count(&vote);
        read += 1;
    }
    if let Ok(record) = serde_json::from_slice::<PageRecord>(stored) {
        survives_a_round_trip(&record);
        remember(&record);
        read += 1;
    }
    if let Ok(event) = serde_json::from_slice::<Event>(stored) {
        survives_a_round_trip(&event);
        page(&event);
        read += 1;
    }
    if let Ok(order) = serde_json::from_slice::<Order>(stored) {
        survives_a_round_trip(&order);
        assert_eq!(order.allows_data_loss(), matches!(order, Order::Failover(_)));
        read += 1;
    }
    read > 0
}

/// An incident is paged, crosses the bus unchanged, has one decision, and never takes a step that the table forbids.
fn follow(incident: &Incident) {
    let event = Event::IncidentAdvanced { incident: Box::new(incident.clone()) };
    page(&event);
    page(&Event::PromotionSlow { incident: Box::new(incident.clone()), waiting_for: "RDS is failing-over".into() });
    let crossed = Trigger::parse(&bytes(&on_the_bus(&event)));
    assert_eq!(crossed, Ok(vec![Trigger::Holdfast(event)]), "an incident did not cross the bus");
    for next in Phase::ALL {
        let mut moved = incident.clone();
        match moved.advance(next, now(), "a step".into()) {
            Ok(()) => assert_eq!((moved.phase, moved.phase_since()), (next, now())),
            Err(refused) => {
                is_one_line(&refused.to_string(), REFUSAL_MAX);
                assert_eq!(moved, *incident, "a step that was refused left a trace");
            }
        }
    }
    let blind = blind(incident);
    let decision = decide(&blind, &example().policy, now());
    assert!(!decision.to_string().is_empty());
    assert!(!matches!(decision, Decision::Fence(_)), "fenced blindly: {decision}");
    let nothing_known = Aftermath::unknown("nothing answers");
    let reasons = reasons_not_to_close(incident, &nothing_known, &BTreeSet::new(), now());
    assert!(!reasons.is_empty(), "an incident was closed without a look at the cluster");
}

/// An incident about which nothing else is known.
fn blind(incident: &Incident) -> Facts {
    let dark = || "nothing answers".to_owned();
    let arn = |region: &str| {
        ClusterArn::parse(&format!("arn:aws:rds:{region}:123456789012:cluster:payments")).expect("a cluster ARN")
    };
    Facts {
        incident: incident.clone(),
        source: arn("eu-west-1"),
        target: arn("eu-west-2"),
        quorum: Quorum::Unknown { why: dark(), evidence_age: None },
        global_cluster: Observed::Unseen { why: dark() },
        target_cluster: Observed::Unseen { why: dark() },
        lag: Lag::Unknown { why: dark() },
        price: Price::Unknown { why: dark() },
        replication: Observed::Unseen { why: dark() },
        promoted_at: None,
        freeze: None,
        standby: Standby::default(),
    }
}

/// One vote alone is never a dark Region, however it is dated and whoever cast it.
fn count(vote: &Vote) {
    let Config { topology, policy, .. } = example();
    for (subject, sighting) in &vote.subjects {
        for failed_probes in [1, policy.failed_probes, u32::MAX] {
            assert!(!sighting.appearance(failed_probes).to_string().is_empty());
        }
        for seen_to_advance in [false, true] {
            alone(vote, subject, seen_to_advance, &topology, &policy);
        }
    }
}

fn alone(vote: &Vote, subject: &Region, seen_to_advance: bool, topology: &Topology, policy: &Policy) {
    let votes = [ReceivedVote { vote: vote.clone(), seen_to_advance }];
    let quorum = verdict(subject, topology.observers(), &votes, policy, now());
    assert!(matches!(quorum, Quorum::Unknown { .. }), "one vote made {quorum:?}");
    is_one_line(&quorum.to_string(), REFUSAL_MAX);
}

/// Whatever is remembered, a page that was just sent is not sent again, and one that is claimed is waited for.
fn remember(record: &PageRecord) {
    for quiet in [None, Some(Duration::from_secs(600))] {
        let page = Page { quiet, ..a_page() };
        let claimed = page.claimed(Some(record.clone()), now());
        assert_eq!(page.delivery(Some(&claimed), now()), Delivery::Wait);
        let sent = page.remembered(Some(claimed), now());
        assert_eq!(page.delivery(Some(&sent), now()), Delivery::Skip);
        survives_a_round_trip(&sent);
    }
}

fn a_page() -> Page {
    let refused = json!({"event": "TriggerRefused", "function": "f", "region": "eu-west-2", "problem": "p"});
    let event: Event = serde_json::from_value(refused).expect("an event");
    compose(&event, &example().topology).expect("a page")
}

/// A page has a name that it keeps, one line for the lock screen, and only commands that work.
fn page(event: &Event) {
    let topology = example().topology;
    let Some(page) = compose(event, &topology) else { return };
    assert_eq!(compose(event, &topology).as_ref(), Some(&page), "the same event made two pages");
    is_one_line(&page.headline, HEADLINE_MAX);
    is_one_line(&page.thread, THREAD_MAX);
    is_one_line(&page.kind, KIND_MAX);
    assert!(page.thread.len() <= THREAD_MAX, "{} bytes are no key: {}", page.thread.len(), page.thread);
    survives_a_round_trip(&page);
    let topics = topology.page_topics(&topology.witness.region, page.avoid.as_ref());
    assert!(topics.len() >= 2, "there is no second way to a person: {topics:?}");
    for payload in page.body.split("--payload '").skip(1).filter_map(|rest| rest.split('\'').next()) {
        let filled_in = payload.replace("<you>", "ada");
        let ours = payload.starts_with('{') && !payload.contains('\n') && !from_outside(event, payload);
        assert!(!ours || Trigger::parse(filled_in.as_bytes()).is_ok(), "a page tells a person to send {payload}");
    }
    fits_every_channel(&page);
}

/// Whatever is in a page, no provider has a reason to refuse it.
fn fits_every_channel(page: &Page) {
    let from = Region::new("eu-west-2").expect("a Region");
    let late = Some(Duration::from_secs(90));
    let message = Message {
        page,
        from: &from,
        at: now(),
        late,
        step: 2,
        failed: &["chat: HTTP 500".into()],
        runbook_url: Some("https://r"),
    };
    let ascii = |text: &str, max: usize| {
        (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    let sns = sns::message(&message);
    assert!(ascii(&sns.subject, 100) && ascii(&sns.sms, 140), "{sns:?}");
    assert!(sns.default.len() < 256 * 1024, "{} bytes", sns.default.len());
    for event in pagerduty::events(&message, &BTreeSet::from(["AwaitingApproval".to_owned()])) {
        assert!((1..=255).contains(&event["dedup_key"].as_str().unwrap_or_default().len()), "{event}");
        let summary = event["payload"]["summary"].as_str().map(|summary| summary.chars().count());
        assert!(
            summary.is_none_or(|length| (1..=1024).contains(&length)) && event.to_string().len() < 512_000,
            "{event}"
        );
    }
    let chat = slack::message(&message);
    let blocks = chat["blocks"].as_array().expect("blocks");
    assert!(blocks.len() <= 50, "{} blocks", blocks.len());
    for block in blocks {
        let max = if block["type"] == "header" { 150 } else { 3000 };
        let length = block["text"]["text"].as_str().map(|text| text.chars().count());
        assert!(length.is_none_or(|length| (1..=max).contains(&length)), "{block}");
    }
    assert!(!chat.to_string().contains("<!"), "a page rings a whole channel: {chat}");
    // What is to be pasted into a shell has the quotes that we gave it and no others.
    let command = message.acknowledge().unwrap_or_default();
    assert!(command.is_empty() || command.matches('\'').count() == 2, "{command}");
}

/// Sentences of the event itself are quoted on the page; a command in one of them is not ours.
fn from_outside(event: &Event, payload: &str) -> bool {
    let quoted = serde_json::to_string(payload).expect("text can be printed");
    serde_json::to_string(event).expect("an event can be printed").contains(quoted.trim_matches('"'))
}

/// Text where a name is expected: a Region, a cluster, a currency, and every text of the configuration.
///
/// What is taken prints as it was read; a refusal shows how to write it.
pub fn names(text: &[u8]) -> bool {
    let text = &*String::from_utf8_lossy(text);
    let mut taken = false;
    taken |= name(text, Region::new, "write it like `eu-west-1`");
    taken |= name(text, ClusterArn::parse, "write it like arn:aws:rds:");
    taken |= name(text, Currency::parse, "write three capitals, like EUR");
    if let Ok(currency) = Currency::parse(text.get(..3).unwrap_or_default()) {
        amounts(currency, text.get(3..).unwrap_or_default());
    }
    taken |= in_the_configuration(text);
    taken
}

#[track_caller]
fn name<T, E>(text: &str, parse: fn(&str) -> Result<T, E>, form: &str) -> bool
where
    T: ToString + Serialize + DeserializeOwned + PartialEq + Debug,
    E: ToString,
{
    match parse(text) {
        Ok(name) => {
            assert_eq!(name.to_string(), text, "it does not print as it was read");
            is_one_line(text, 200);
            survives_a_round_trip(&name);
            true
        }
        Err(problem) => {
            let said = problem.to_string();
            is_one_line(&said, 300);
            assert!(said.contains(form), "{said}");
            false
        }
    }
}

/// Amounts keep their digits, their sign and their currency, in print and across the bus.
fn amounts(currency: Currency, amount: &str) {
    let amount: i128 = amount.parse().unwrap_or(-1);
    let shown = currency.display(amount);
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits.parse(), Ok(amount.unsigned_abs()), "{shown}");
    assert_eq!(shown.contains('-'), amount < 0, "{shown}");
    assert!(shown.starts_with(&currency.to_string()), "{shown}");
    survives_a_round_trip(&Totals { count: 1, sums_minor: [(currency, amount)].into() });
}

/// The text in the place of one text of the example configuration: taken and printed again, or refused in one line.
///
/// Which one follows from its length: all of them each time would make this target ten times slower.
fn in_the_configuration(text: &str) -> bool {
    let places = [
        "/topology/global_cluster",
        "/topology/writer_endpoint",
        "/topology/witness/region",
        "/topology/witness/page_topic_arn",
        "/topology/data_regions/0/cluster_arn",
        "/topology/data_regions/0/liveness_url",
        "/topology/data_regions/1/page_topic_arn",
        "/policy/mode",
        "/policy/standing_acceptance/accepted_by",
        "/policy/standing_acceptance/expires_at",
    ];
    let mut json: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    let place = json.pointer_mut(places[text.len() % places.len()]).expect("the example has every text");
    *place = text.into();
    config(&bytes(&json))
}
