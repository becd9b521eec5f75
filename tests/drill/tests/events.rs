//! Every file in events/, and everything hostile, through the functions' own parser and handler.

use std::path::Path;
use std::time::Duration;

use drill::deployment::{Deployment, Setup, deploy};
use holdfast_world::Region;
use holdfast_world::rds::accepted;
use serde_json::Value;

/// What a sample must come to in a world where all is well.
enum Comes {
    /// To an answer with this in it, and nothing moves.
    To(&'static str),
    /// To a refusal with this in it, and nothing moves.
    ToRefusal(&'static str),
    /// To a promotion of London.
    ToPromotion,
}

use Comes::{To, ToPromotion, ToRefusal};

const SAMPLES: &[(&str, &str, Comes)] = &[
    ("check-readiness", "budget.json", To("request_interval = 10 s, failure_threshold = 3")),
    ("check-readiness", "check-dry-run.json", To(r#""standing":"ready""#)),
    ("check-readiness", "check.json", To(r#""standing":"ready""#)),
    ("check-readiness", "gate.json", To(r#""go":true"#)),
    ("check-readiness", "schedule.json", To(r#""standing":"ready""#)),
    ("check-readiness", "status.json", To("never judged")),
    ("observe-region", "observe.json", To(r#""rounds":1"#)),
    ("observe-region", "schedule.json", To(r#""votes_written":12"#)),
    ("observe-region", "status.json", To("alive and writing")),
    ("page-humans", "ack.json", To("no page of payments-global/e1 waits for anybody")),
    ("page-humans", "alarm-dead-letters.json", To(r#""page":"dead-letter""#)),
    ("page-humans", "clearing-file-refused.json", To(r#""sent":true"#)),
    ("page-humans", "database-notice.json", To(r#""sent":true"#)),
    ("page-humans", "incident-advanced.json", To(r#""sent":true"#)),
    ("page-humans", "keys-accepted-twice.json", To(r#""sent":true"#)),
    ("page-humans", "ledger-reconciled.json", To(r#""sent":true"#)),
    ("page-humans", "loss-counted.json", To(r#""sent":true"#)),
    ("page-humans", "promotion-slow.json", To(r#""sent":true"#)),
    ("page-humans", "readiness-changed.json", To(r#""sent":true"#)),
    ("page-humans", "receipts-reconciled.json", To(r#""sent":true"#)),
    ("page-humans", "region-doubtful.json", To(r#""sent":true"#)),
    ("page-humans", "rehearse-dry-run.json", To(r#""channels":["chat","pagerduty","sns","status-page"]"#)),
    ("page-humans", "rehearse.json", To(r#""through":["chat","pagerduty","sns in eu-west-2","status-page"]"#)),
    ("page-humans", "replica-cliff.json", To(r#""sent":true"#)),
    ("page-humans", "replication-changed.json", To(r#""sent":true"#)),
    ("page-humans", "request-approve.json", To("there is no incident `e1`")),
    ("page-humans", "request-pagerduty-unsigned.json", To(r#""statusCode":401"#)),
    ("page-humans", "schedule.json", To("no incident owes a page")),
    ("page-humans", "standby-dark.json", To(r#""sent":true"#)),
    ("page-humans", "status.json", To("holdfast-pages")),
    ("page-humans", "traffic-shifted.json", To(r#""sent":true"#)),
    ("page-humans", "trigger-refused.json", To(r#""sent":true"#)),
    ("promote-aurora", "alarm-action.json", To("alive and writing")),
    ("promote-aurora", "alarm-state-change.json", To("alive and writing")),
    ("promote-aurora", "approve.json", ToRefusal("there is no incident `e1`")),
    ("promote-aurora", "attest.json", ToRefusal("there is no incident `e1`")),
    ("promote-aurora", "close.json", ToRefusal("there is no incident `e1`")),
    ("promote-aurora", "failback-dry-run.json", To(r#""would":"fencing off"#)),
    ("promote-aurora", "failback.json", ToPromotion),
    ("promote-aurora", "failover-dry-run.json", To(r#""would":"blocked by quorum"#)),
    ("promote-aurora", "failover.json", ToPromotion),
    ("promote-aurora", "freeze.json", To("schema migration")),
    ("promote-aurora", "page-answered.json", ToRefusal("there is no incident `e1`")),
    ("promote-aurora", "rds-event.json", To("RDS-EVENT-0391")),
    ("promote-aurora", "region-suspected.json", To("alive and writing")),
    ("promote-aurora", "resume.json", To("alive and writing")),
    ("promote-aurora", "retry.json", ToRefusal("there is no incident `e1`")),
    ("promote-aurora", "schedule.json", To("alive and writing")),
    ("promote-aurora", "sns-alarm.json", To("alive and writing")),
    ("promote-aurora", "status.json", To(r#""mode":"approve""#)),
    ("promote-aurora", "switchover.json", ToPromotion),
    ("promote-aurora", "unfreeze.json", To(r#""freeze":null"#)),
    ("promote-aurora", "veto.json", ToRefusal("there is no incident `e1`")),
    ("reconcile-ledger", "clearing.json", ToRefusal("there is no object s3://payments-receipts-eu-west-2/")),
    ("reconcile-ledger", "incident-advanced.json", To(r#""done":"told""#)),
    ("reconcile-ledger", "now-dry-run.json", To(r#""would":"write the report"#)),
    ("reconcile-ledger", "now.json", To(r#""balanced":true"#)),
    ("reconcile-ledger", "object-created.json", ToRefusal("there is no object")),
    ("reconcile-ledger", "salvage.json", To(r#""balanced":true"#)),
    ("reconcile-ledger", "schedule.json", To("there is no incident")),
    ("reconcile-ledger", "shard-plan.json", ToRefusal("there is no object")),
    ("reconcile-ledger", "status.json", To(r#""in_doubt":[]"#)),
    ("reconcile-receipts", "apply-dry-run.json", To(r#""state":"planned""#)),
    ("reconcile-receipts", "apply.json", To(r#""state":"applied""#)),
    ("reconcile-receipts", "incident-advanced.json", To("e1 is Restored")),
    ("reconcile-receipts", "plan-inventory.json", ToRefusal("policy.receipts.at_scale is not set")),
    ("reconcile-receipts", "plan.json", To(r#""state":"planned""#)),
    ("reconcile-receipts", "region-recovered.json", To(r#""state":"planned""#)),
    ("reconcile-receipts", "schedule.json", To(r#""state":"planned""#)),
    ("reconcile-receipts", "status.json", To("no run has finished yet")),
    ("reconcile-receipts", "unfinished.json", To("is not under way any more")),
    ("shift-traffic", "evacuate-dry-run.json", To("evacuate eu-west-1, asked by ada@example.com; 100 % is to be away")),
    ("shift-traffic", "evacuate.json", To(r#""guard":"not_ready""#)),
    ("shift-traffic", "restore.json", To(r#""guard":"not_ready""#)),
    ("shift-traffic", "schedule.json", To("nobody has ever shifted traffic")),
    ("shift-traffic", "status.json", To("dns.google near eu-west-1: eu-west-1")),
    ("verify-replication", "gate.json", To(r#""gate":"open""#)),
    ("verify-replication", "incident-advanced.json", To(r#""kind":"in_sync""#)),
    ("verify-replication", "schedule.json", To(r#""kind":"in_sync""#)),
    ("verify-replication", "status.json", To("ledger from eu-west-1 to eu-west-2")),
    ("verify-replication", "verify-dry-run.json", To("ledger from eu-west-1 to eu-west-2")),
    ("verify-replication", "verify.json", To(r#""kind":"in_sync""#)),
];

fn events() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events"))
}

fn healthy() -> Deployment {
    let promotion = Duration::from_secs(10);
    deploy(&Setup { promotion, payments_until: Duration::from_secs(300), traffic: true, ..Setup::standard(1) })
}

/// Invokes a function in London after three well minutes.
fn invoke(function: &str, payload: Vec<u8>) -> (Deployment, Result<Value, String>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let function: &'static str = match function {
        "check-readiness" => check_readiness::FUNCTION,
        "observe-region" => observe_region::FUNCTION,
        "promote-aurora" => promote_aurora::FUNCTION,
        "page-humans" => page_humans::FUNCTION,
        "reconcile-ledger" => reconcile_ledger::FUNCTION,
        "reconcile-receipts" => reconcile_receipts::FUNCTION,
        "shift-traffic" => shift_traffic::FUNCTION,
        "verify-replication" => verify_replication::FUNCTION,
        other => panic!("there is no function {other}"),
    };
    runtime.block_on(async {
        let deployment = healthy();
        tokio::time::sleep(Duration::from_secs(185)).await;
        let answer = deployment.world.invoke(Region::LONDON, function, payload.into()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        (deployment, answer)
    })
}

#[test]
fn every_sample_comes_to_what_it_should() {
    for (function, file, comes) in SAMPLES {
        let path = events().join(function).join(file);
        let (deployment, answer) = invoke(function, std::fs::read(&path).unwrap());
        let moved = accepted(&deployment.world).len();
        match (comes, answer) {
            (To(part), Ok(answer)) => {
                assert!(answer.to_string().contains(part), "{function}/{file}: {answer}");
                assert_eq!(moved, 0, "{function}/{file} moved something");
            }
            (ToRefusal(part), Err(problem)) => {
                assert!(problem.contains(part), "{function}/{file}: {problem}");
                assert_eq!(moved, 0, "{function}/{file} moved something");
            }
            (ToPromotion, Ok(answer)) => {
                assert_eq!(moved, 1, "{function}/{file}: {answer}");
                let done = [r#""phase":"Reconciling""#, r#""phase":"Closed""#]
                    .iter()
                    .any(|done| answer.to_string().contains(done));
                assert!(done, "{function}/{file}: {answer}");
            }
            (To(_) | ToPromotion, Err(problem)) => panic!("{function}/{file} failed: {problem}"),
            (ToRefusal(_), Ok(answer)) => panic!("{function}/{file} was not refused: {answer}"),
        }
    }
}

#[test]
fn every_sample_is_in_the_table() {
    let mut found = Vec::new();
    for function in [
        "check-readiness",
        "observe-region",
        "page-humans",
        "promote-aurora",
        "reconcile-ledger",
        "reconcile-receipts",
        "shift-traffic",
        "verify-replication",
    ] {
        for entry in std::fs::read_dir(events().join(function)).unwrap() {
            found.push((function.to_owned(), entry.unwrap().file_name().into_string().unwrap()));
        }
    }
    found.sort();
    let table: Vec<(String, String)> =
        SAMPLES.iter().map(|(function, file, _)| ((*function).to_owned(), (*file).to_owned())).collect();
    assert_eq!(found, table);
}

/// Malformed, truncated, empty, one megabyte and hostile nesting: a clear error, no action, no panic, and somebody is told.
#[test]
fn hostile_payloads_are_refused_told_and_move_nothing() {
    let sample = std::fs::read(events().join("promote-aurora/failover.json")).unwrap();
    let hostile: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("truncated", sample[..sample.len() / 2].to_vec()),
        ("text", b"fail over now please".to_vec()),
        ("another object", br#"{"cluster":"payments-global"}"#.to_vec()),
        ("a megabyte", format!(r#"{{"x":"{}"}}"#, "y".repeat(1_000_000)).into_bytes()),
        ("nested lists", "[".repeat(500_000).into_bytes()),
        ("nested objects", r#"{"a":"#.repeat(150_000).into_bytes()),
    ];
    for function in [
        "check-readiness",
        "observe-region",
        "promote-aurora",
        "page-humans",
        "reconcile-ledger",
        "reconcile-receipts",
        "shift-traffic",
        "verify-replication",
    ] {
        for (name, payload) in &hostile {
            let (deployment, answer) = invoke(function, payload.clone());
            let problem = answer.expect_err(name);
            assert!(
                problem.contains("nothing was done") && !problem.contains("panicked"),
                "{function}, {name}: {problem}"
            );
            assert!(accepted(&deployment.world).is_empty(), "{function}, {name} moved something");
            let told = deployment.world.inbox();
            assert!(told.iter().any(|letter| letter.subject.contains("cannot read")), "{function}, {name}: {told:?}");
        }
    }
}

/// What a clumsy or hostile person may send that is well-formed.
#[test]
fn requests_to_the_wrong_place_or_person_move_nothing() {
    for (payload, part) in [
        (r#"{"action":"failover","to":"eu-west-1","by":"ada"}"#, "only promotes eu-west-2"),
        (r#"{"action":"failover","to":"us-east-1","by":"ada"}"#, "only promotes eu-west-2"),
        (r#"{"action":"failover","to":"eu-west-2","by":""}"#, "must name the person"),
        (r#"{"action":"failover","to":"eu-west-2","by":"ada","override":["everything"]}"#, "unknown variant"),
        (r#"{"action":"observe"}"#, "observe-region"),
        (r#"{"action":"approve","incident":"e1'; DROP TABLE","by":"ada"}"#, "there is no incident"),
    ] {
        let (deployment, answer) = invoke("promote-aurora", payload.as_bytes().to_vec());
        let problem = answer.expect_err(payload);
        assert!(problem.contains(part), "{payload}: {problem}");
        assert!(accepted(&deployment.world).is_empty(), "{payload} moved something");
    }
}
