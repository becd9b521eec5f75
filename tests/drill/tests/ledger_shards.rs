//! A file settled in shards, as infra/step-functions/reconcile-ledger.asl.json drives it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use drill::deployment::{Deployment, Setup, deploy};
use holdfast_domain::policy::Mode;
use holdfast_domain::trigger::{Action, Manual, Trigger};
use holdfast_payments::service::bucket;
use holdfast_world::{Region, s3};
use serde_json::{Value, json};

const OUTAGE: Duration = Duration::from_secs(120);
/// Clients go on paying: so long after a file was made nothing is booked any more in the time that it covers.
const BOOKED_WITHIN: Duration = Duration::from_secs(35);
const FILE: &str = "holdfast/clearing/stripe/large.csv";

fn machine() -> Value {
    serde_json::from_str(include_str!("../../../infra/step-functions/reconcile-ledger.asl.json")).unwrap()
}

/// An installation after an outage, with the card network's file of all of it in the bucket.
fn after_an_outage<F: Future<Output = ()>>(story: impl FnOnce(Deployment) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (payment_every, lag) = (Duration::from_millis(200), Duration::from_millis(900));
        let mut setup = Setup { readers: false, payment_every, lag, ..Setup::standard(3) };
        setup.config.policy.mode = Mode::Auto;
        let deployment = deploy(&setup);
        deployment.world.after(OUTAGE, |world| world.go_dark(Region::DUBLIN));
        tokio::time::sleep(OUTAGE + Duration::from_secs(150)).await;
        let file = deployment.network.settlement_file();
        s3::put_object(&deployment.world, bucket(Region::LONDON), FILE, file.into()).unwrap();
        tokio::time::sleep(BOOKED_WITHIN).await;
        story(deployment).await;
    });
}

async fn ask(deployment: &Deployment, payload: &Value) -> Result<Value, String> {
    deployment.world.invoke(Region::LONDON, reconcile_ledger::FUNCTION, payload.to_string().into()).await
}

/// Fills a payload of the machine in from the state's input, as Step Functions does.
fn filled(template: &Value, input: &Value) -> Value {
    let fields = template.as_object().unwrap().iter().map(|(name, value)| match name.strip_suffix(".$") {
        Some(name) => {
            let path = value.as_str().unwrap().trim_start_matches("$.");
            (name.to_owned(), input[path].clone())
        }
        None => (name.clone(), value.clone()),
    });
    Value::Object(fields.collect())
}

/// Walks the machine from its first state to its last, and gives what the last one answers.
async fn run_machine(deployment: &Deployment, input: Value) -> Value {
    let machine = machine();
    let (mut state, mut input) = (machine["StartAt"].as_str().unwrap().to_owned(), input);
    for _ in 0..10 {
        let now = &machine["States"][&state];
        let answer = match now["Type"].as_str().unwrap() {
            "Map" => {
                let items = now["ItemsPath"].as_str().unwrap().trim_start_matches("$.");
                for item in input[items].as_array().unwrap() {
                    ask(deployment, item).await.unwrap();
                    // At least once: a shard that is read twice leaves the same.
                    ask(deployment, item).await.unwrap();
                }
                Value::Null
            }
            "Task" => ask(deployment, &filled(&now["Parameters"]["Payload"], &input)).await.unwrap(),
            other => panic!("there is no state of the type {other}"),
        };
        match now["Next"].as_str() {
            Some(next) => state = next.to_owned(),
            None => return answer,
        }
        if !now.as_object().unwrap().contains_key("ResultPath") {
            input = answer;
        }
    }
    panic!("the machine does not end");
}

#[test]
fn the_state_machine_in_shards_comes_to_what_one_invocation_comes_to() {
    after_an_outage(|deployment| async move {
        let whole = json!({"action": "reconcile", "pass": "clearing", "object": FILE, "dry_run": true});
        let whole = ask(&deployment, &whole).await.unwrap();
        let expected = &whole["summary"]["finding"]["complete"];
        assert!(expected["lost"]["count"].as_u64().unwrap() > 0, "nothing was lost: {whole}");
        let merged = run_machine(&deployment, json!({"object": FILE, "slices": 3})).await;
        assert_eq!(&merged["summary"]["finding"]["complete"], expected, "{merged}");
        // The bytes are settled: the file does not come again.
        let again = json!({"action": "reconcile", "pass": "clearing", "object": FILE});
        let again = ask(&deployment, &again).await.unwrap();
        assert!(again["refused"].as_str().unwrap_or_default().contains("was settled"), "{again}");
    });
}

/// The merge asks the ledger for what was booked on days that an earlier file was settled with.
#[test]
fn what_an_earlier_file_left_open_is_settled_by_a_later_one_in_shards() {
    after_an_outage(|deployment| async move {
        let file = deployment.network.settlement_file();
        tokio::time::sleep(BOOKED_WITHIN).await;
        let mut rows: Vec<&str> = file.lines().collect();
        let header = rows.remove(0);
        let middle = rows.len() / 2;
        let late = rows.remove(middle / 2);
        let day = |name: &str, rows: &[&str]| {
            let key = format!("holdfast/clearing/stripe/{name}.csv");
            let file = format!("{header}\n{}\n", rows.join("\n"));
            s3::put_object(&deployment.world, bucket(Region::LONDON), &key, file.into()).unwrap();
            key
        };
        let monday = day("monday", &rows[..middle]);
        ask(&deployment, &json!({"action": "reconcile", "pass": "clearing", "object": monday})).await.unwrap();
        let tuesday = day("tuesday", &[&[late], &rows[middle..]].concat());
        let whole = json!({"action": "reconcile", "pass": "clearing", "object": tuesday, "dry_run": true});
        let whole = ask(&deployment, &whole).await.unwrap();
        let expected = &whole["summary"]["finding"]["complete"];
        let merged = run_machine(&deployment, json!({"object": tuesday, "slices": 3})).await;
        assert_eq!(&merged["summary"]["finding"]["complete"], expected, "{merged}");
        assert!(expected["others"]["NetworkOnly"].is_null(), "the late payment has no booking: {expected}");
    });
}

/// Every payload of the machine, filled in with an input of its kind.
#[test]
fn each_states_payload_is_accepted_by_the_functions_own_parser() {
    let machine = machine();
    let input = json!({"object": FILE, "slices": 4, "sums": [{"action": "shard", "step": "sums", "object": FILE, "shard": 0}],
        "rows_of": [{"action": "shard", "step": "rows", "object": FILE, "shard": 0}]});
    let mut steps = Vec::new();
    for (name, state) in machine["States"].as_object().unwrap() {
        let payload = match state["Type"].as_str().unwrap() {
            "Map" => input[state["ItemsPath"].as_str().unwrap().trim_start_matches("$.")][0].clone(),
            _ => filled(&state["Parameters"]["Payload"], &input),
        };
        let triggers = Trigger::parse(payload.to_string().as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [Trigger::Manual(Manual { action: Action::Shard { step, .. }, dry_run: false })] = triggers.as_slice()
        else {
            panic!("{name}: {triggers:?}");
        };
        steps.push(*step);
    }
    steps.sort();
    steps.dedup();
    assert_eq!(steps.len(), 5, "{steps:?}");
}

#[test]
fn a_shard_of_a_file_that_has_changed_or_was_not_planned_is_refused() {
    after_an_outage(|deployment| async move {
        let sums = json!({"action": "shard", "step": "sums", "object": FILE, "shard": 0});
        let early = ask(&deployment, &sums).await.unwrap_err();
        assert!(early.contains("plan.json"), "{early}");
        ask(&deployment, &json!({"action": "shard", "step": "plan", "object": FILE})).await.unwrap();
        let beyond = json!({"action": "shard", "step": "sums", "object": FILE, "shard": 99});
        assert!(ask(&deployment, &beyond).await.unwrap_err().contains("there is no shard 99"));
        let longer = format!("{}\n", deployment.network.settlement_file());
        s3::put_object(&deployment.world, bucket(Region::LONDON), FILE, longer.into()).unwrap();
        assert!(ask(&deployment, &sums).await.unwrap_err().contains("has changed since it was planned"));
        let odd = json!({"action": "shard", "step": "plan", "object": "holdfast/clearing/bank/a.xml"});
        assert!(ask(&deployment, &odd).await.unwrap_err().contains("no folder of a provider"));
    });
}
