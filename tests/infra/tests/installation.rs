//! The Terraform against the code: names, triggers, samples, configuration, alarms. What it may call is compared with the
//! recorded requests in tests/drill/tests/infra.rs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use holdfast_domain::config::Config;
use holdfast_infra::pattern::matches;
use holdfast_infra::terraform::{Area, Function, Terraform, attribute, label, written};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn config() -> Value {
    serde_json::from_str(&read("events/config.example.json")).unwrap()
}

fn terraform() -> Terraform {
    Terraform::read(&root()).unwrap()
}

fn functions(area: Area) -> BTreeMap<String, Function> {
    terraform().functions(area, &config()).unwrap()
}

/// All Rust of the functions and of what they share, without tests of their own.
fn code() -> String {
    fn gather(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    for folder in ["functions", "shared"] {
        gather(&root().join(folder), &mut text);
    }
    text
}

#[test]
fn every_function_is_installed_in_the_data_regions_and_two_in_the_witness() {
    let installed: BTreeSet<String> = functions(Area::Region).into_keys().collect();
    assert_eq!(installed, names("functions"));
    let watching: Vec<String> = functions(Area::Witness).into_keys().collect();
    assert_eq!(watching, ["observe-region", "page-humans"]);
}

/// A function that is installed in both areas is the same function.
#[test]
fn the_witness_runs_what_the_data_regions_run() {
    let data = functions(Area::Region);
    for (name, there) in functions(Area::Witness) {
        let here = &data[&name];
        assert_eq!(
            (here.timeout_seconds, &here.schedule, here.silence_is_an_alarm),
            (there.timeout_seconds, &there.schedule, there.silence_is_an_alarm),
            "{name}"
        );
        assert_eq!(here.rules, there.rules, "{name}");
    }
}

/// Both data Regions are given the same values under the same names.
#[test]
fn both_data_regions_have_identical_inputs() {
    let terraform = terraform();
    let inputs = |name: &str| -> BTreeMap<String, String> {
        let mut blocks = terraform.blocks("module").filter(|(file, _)| *file == "main.tf");
        let (_, block) = blocks.find(|(_, block)| label(block, 0) == name).unwrap();
        let given = block.body.attributes().map(|it| (it.key.as_str().to_owned(), written(&it.value)));
        given.filter(|(key, _)| key != "providers").collect()
    };
    let (first, second) = (inputs("first"), inputs("second"));
    assert_eq!(first, second);
    assert!(first["source"].contains("./region") && first.len() >= 4, "{first:?}");
    for (file, text) in terraform.texts().filter(|(file, _)| file.starts_with("region/") || *file == "main.tf") {
        for region in ["eu-west-1", "eu-west-2", "eu-central-1", "dublin", "london"] {
            assert!(
                !text.contains(region),
                "{file} names {region}; which Regions these are is said by the configuration alone"
            );
        }
    }
}

/// What each sample is for: a rule, a schedule, SNS, or a person. A sample that nothing in the Terraform delivers would
/// be a trigger that never comes.
#[test]
fn every_sample_event_is_delivered_by_the_terraform() {
    // CloudWatch can tell of alarms in three ways; the installation uses SNS. The other two are understood all the same.
    let by_hand = ["promote-aurora/alarm-action.json", "promote-aurora/alarm-state-change.json"];
    let mut delivered: BTreeSet<String> = BTreeSet::new();
    for (name, function) in functions(Area::Region) {
        for file in names(&format!("events/{name}")) {
            let path = format!("{name}/{file}");
            let event: Value = serde_json::from_str(&read(&format!("events/{path}"))).unwrap();
            if event.get("action").is_some() || by_hand.contains(&path.as_str()) {
                continue;
            }
            let block = read(&format!("infra/region/{}.tf", name.replace('-', "_")));
            if event.get("requestContext").is_some() {
                assert!(
                    block.contains("resource \"aws_lambda_function_url\""),
                    "{path}: {name} has no address of its own"
                );
                continue;
            }
            if let Some(alarm) = event["alarmData"]["alarmName"].as_str() {
                // The alarm on each dead-letter queue starts the pager itself.
                let alarms = read("infra/function/failures.tf");
                assert!(alarm.ends_with("-dead-letters"), "{path}: no alarm {alarm} starts {name}");
                assert!(alarms.contains(&format!(":function:holdfast-{name}:live")), "{path}: no alarm starts {name}");
                assert!(
                    block.contains("lambda.alarms.cloudwatch.amazonaws.com"),
                    "{path}: CloudWatch may not start {name}"
                );
                continue;
            }
            if let Some(topic) = event["Records"][0]["Sns"]["TopicArn"].as_str() {
                let topic = topic.rsplit(':').next().unwrap();
                let alarms = read("infra/global/health_alarm.tf");
                assert!(alarms.contains(&format!("\"{topic}\"")), "{path}: there is no topic {topic}");
            } else if event["detail-type"] == "Scheduled Event" {
                let rule = event["resources"][0].as_str().unwrap();
                assert!(rule.ends_with(&format!(":rule/holdfast-{name}")), "{path}: {rule}");
                assert!(function.schedule.is_some(), "{path}: {name} has no schedule");
            } else {
                let by = function.rules.iter().filter(|(_, (_, pattern))| matches(pattern, &event).unwrap());
                let by: Vec<&String> = by.map(|(rule, _)| rule).collect();
                assert_eq!(by.len(), 1, "{path} starts {name} by {by:?}, and should by one rule");
                delivered.insert(format!("{name} {}", by[0]));
            }
        }
        for rule in function.rules.keys() {
            assert!(
                delivered.contains(&format!("{name} {rule}")),
                "{name}: no sample in events/ is delivered by `{rule}`"
            );
        }
    }
}

/// The bus that a rule is on is the one that its events are on.
#[test]
fn holdfasts_events_are_on_its_own_bus_and_awss_on_the_default_one() {
    for area in [Area::Region, Area::Witness] {
        for (name, function) in functions(area) {
            for (rule, (bus, pattern)) in function.rules {
                let ours = pattern["source"][0] == "holdfast";
                let expected = if ours { "aws_cloudwatch_event_bus.holdfast.name" } else { "\"default\"" };
                assert_eq!(bus, expected, "{name}, {rule}");
            }
        }
    }
}

/// Every event that the functions publish starts one of them, and none is waited for that nobody publishes.
#[test]
fn every_holdfast_event_is_heard_and_exists() {
    let source = read("shared/domain/src/event.rs");
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("{ .. } => \""));
    let published: BTreeSet<String> = names.map(|(_, name)| name.trim_end_matches("\",").to_owned()).collect();
    assert!(published.len() >= 15, "{published:?}");
    let mut heard = BTreeSet::new();
    for (name, function) in functions(Area::Region) {
        for (_, pattern) in function.rules.values().filter(|(_, pattern)| pattern["source"][0] == "holdfast") {
            for detail_type in pattern["detail-type"].as_array().unwrap() {
                let detail_type = detail_type.as_str().unwrap().to_owned();
                assert!(published.contains(&detail_type), "{name} waits for {detail_type}, which nobody publishes");
                heard.insert(detail_type);
            }
        }
    }
    assert_eq!(heard, published);
}

/// A minute's schedule is a promise: its silence is an alarm.
#[test]
fn whatever_runs_each_minute_is_missed_when_it_does_not() {
    for area in [Area::Region, Area::Witness] {
        for (name, function) in functions(area) {
            let each_minute = function.schedule.as_deref() == Some("rate(1 minute)");
            assert_eq!(function.silence_is_an_alarm, each_minute, "{name} in {area}");
        }
    }
}

/// The ledger is reached from the network alone, so whoever logs in is attached to it, and nobody else.
#[test]
fn a_function_is_in_the_network_exactly_when_it_logs_in_to_the_ledger() {
    for area in [Area::Region, Area::Witness] {
        for (name, function) in functions(area) {
            let logs_in = function.may.iter().any(|grant| grant.actions.contains("rds-db:connect"));
            assert_eq!(function.in_network, logs_in, "{name} in {area}");
            let main = read(&format!("functions/{name}/src/main.rs"));
            assert_eq!(main.contains("PostgresLedger") && area == Area::Region, logs_in, "{name} in {area}");
        }
    }
}

/// What every function has besides, once, in the module that all of them use.
#[test]
fn each_function_has_role_queue_destination_alarms_log_and_alias() {
    let terraform = terraform();
    let has = |kind: &str, name: &str| {
        terraform
            .blocks("resource")
            .any(|(file, block)| file.starts_with("function/") && label(block, 0) == kind && label(block, 1) == name)
    };
    for (kind, name) in [
        ("aws_iam_role", "this"),
        ("aws_sqs_queue", "dead_letters"),
        ("aws_lambda_function_event_invoke_config", "this"),
        ("aws_cloudwatch_metric_alarm", "dead_letters"),
        ("aws_cloudwatch_metric_alarm", "errors"),
        ("aws_cloudwatch_metric_alarm", "silent"),
        ("aws_cloudwatch_metric_alarm", "throttles"),
        ("aws_cloudwatch_log_group", "this"),
        ("aws_lambda_alias", "live"),
    ] {
        assert!(has(kind, name), "infra/function has no {kind}.{name}");
    }
    for (file, block) in terraform.blocks("resource").filter(|(_, it)| label(it, 0) == "aws_cloudwatch_metric_alarm") {
        let name = label(block, 1);
        assert!(attribute(block, "treat_missing_data").is_some(), "{file}: {name} does not say what absence means");
        assert!(attribute(block, "alarm_actions").is_some(), "{file}: {name} tells nobody");
    }
}

/// Every variable that the code reads is Lambda's own, or set, or for trying things out.
#[test]
fn every_environment_variable_of_the_code_is_set_or_lambdas_own() {
    let set = "variables = { HOLDFAST_CONFIG = var.holdfast_config }";
    assert!(read("infra/function/main.tf").contains(set), "HOLDFAST_CONFIG is not set");
    let for_trying = ["PGPASSWORD", "AWS_ENDPOINT_URL"];
    let code = code();
    let read_by_name = code.match_indices("env::var(\"").map(|(at, _)| code[at + 10..].split('"').next().unwrap());
    let through_helper = code.match_indices("read(\"AWS_").map(|(at, _)| code[at + 6..].split('"').next().unwrap());
    let mut seen = 0;
    for name in read_by_name.chain(through_helper) {
        seen += 1;
        // Lambda sets these in every runtime.
        let lambdas = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].contains(&name);
        let known =
            lambdas || name == "HOLDFAST_CONFIG" || for_trying.contains(&name) || name.starts_with("HOLDFAST_TEST");
        assert!(known, "the code reads {name}, which no Terraform sets");
    }
    assert!(seen >= 5, "{seen} variables were found in the code");
}

/// Terraform reads the very file that the functions read; each field that it names must be one of them.
#[test]
fn terraform_names_only_fields_that_the_configuration_has() {
    let mut config = config();
    // A field that only one strategy of the ledger has is named by the Terraform, too.
    config["topology"]["ledger_strategy"] = json!("restore_from_snapshot");
    for data in config["topology"]["data_regions"].as_array_mut().unwrap() {
        data["restore_into"] = json!({"instance_class": "it", "subnet_group": "it", "security_groups": ["it"]});
    }
    // The domain knows no other fields than these: it refuses what it does not know.
    let parsed = Config::parse(&config.to_string()).unwrap();
    let known: Value = serde_json::to_value(parsed).unwrap();
    let has = |object: &Value, field: &str| object.get(field).is_some();
    let mut named = 0;
    for (file, text) in terraform().texts() {
        for (start, object) in [
            ("topology.ledger.", &known["topology"]["ledger"]),
            ("topology.attempts.", &known["topology"]["attempts"]),
            ("topology.witness.", &known["topology"]["witness"]),
            ("topology.", &known["topology"]),
            ("local.own.", &known["topology"]["data_regions"][0]),
            ("local.other.", &known["topology"]["data_regions"][0]),
            ("local.first.", &known["topology"]["data_regions"][0]),
            ("local.second.", &known["topology"]["data_regions"][0]),
            ("var.holdfast.policy.", &known["policy"]),
        ] {
            for (at, _) in text.match_indices(start) {
                let rest = &text[at + start.len()..];
                let field: String = rest.chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
                named += 1;
                assert!(has(object, &field), "{file} names {start}{field}, which the configuration does not have");
            }
        }
    }
    assert!(named > 60, "{named} fields were found");
}

/// us-east-1 is a third place that an outage may take with it: it holds what can be nowhere else.
#[test]
fn us_east_1_holds_only_dns_and_its_alarm() {
    let terraform = terraform();
    let mut there = 0;
    for (file, block) in terraform.blocks("resource") {
        if attribute(block, "provider").map(written).as_deref() == Some("aws.us_east_1") {
            there += 1;
            let kind = label(block, 0);
            let may = kind.starts_with("aws_route53_")
                || kind.starts_with("aws_sns_topic")
                || kind == "aws_cloudwatch_metric_alarm";
            assert!(may, "{file}: a {kind} in us-east-1");
        }
    }
    assert!(there >= 8, "{there} resources are in us-east-1");
}

/// A metric that nobody emits is an empty widget, and somebody would take it for zero.
#[test]
fn every_metric_of_the_dashboard_and_of_the_alarms_is_emitted() {
    let code = code();
    let mut metrics = BTreeSet::new();
    for (_, text) in terraform().texts() {
        for (at, _) in text.match_indices("[\"Holdfast\", \"") {
            metrics.insert(text[at + 14..].split('"').next().unwrap().to_owned());
        }
        // Lists of metrics, one widget each.
        for (at, _) in text.match_indices("[\"Holdfast\", ") {
            let variable: String = text[at + 13..].chars().take_while(char::is_ascii_lowercase).collect();
            let list = text[..at].rfind(&format!("for {variable} in [")).filter(|_| !variable.is_empty());
            if let Some(list) = list {
                let values = text[list..].split('[').nth(1).unwrap().split(']').next().unwrap();
                metrics.extend(values.split(',').map(|it| it.trim().trim_matches('"').to_owned()));
            }
        }
    }
    assert!(metrics.len() > 20, "{metrics:?}");
    for metric in metrics {
        assert!(code.contains(&format!("\"{metric}\"")), "no function emits {metric}");
    }
}

/// An accepted finding of the scan without a reason is a finding that nobody accepted.
#[test]
fn every_accepted_finding_has_its_reason() {
    let mut accepted = 0;
    for (file, text) in terraform().texts() {
        for line in text.lines().filter(|line| line.contains("checkov:skip")) {
            accepted += 1;
            let reason = line.splitn(3, ':').nth(2).unwrap_or_default();
            assert!(reason.split_whitespace().count() >= 5, "{file}: {line}");
        }
    }
    assert!(accepted > 20, "{accepted} accepted findings");
}

/// A variable without a sentence is a knob that nobody dares to turn.
#[test]
fn every_variable_and_output_is_described() {
    let terraform = terraform();
    for kind in ["variable", "output"] {
        for (file, block) in terraform.blocks(kind) {
            assert!(attribute(block, "description").is_some(), "{file}: {kind} {} says nothing", label(block, 0));
        }
    }
}

/// What swaps in a failover is not Terraform's to put back.
#[test]
fn what_swaps_in_a_failover_is_ignored() {
    let terraform = terraform();
    let ignored = |kind: &str| -> Vec<String> {
        let blocks = terraform.blocks("resource").filter(|(_, block)| label(block, 0) == kind);
        let lifecycles = blocks.flat_map(|(_, block)| block.body.get_blocks("lifecycle"));
        lifecycles.filter_map(|it| attribute(it, "ignore_changes").map(written)).collect()
    };
    let clusters = ignored("aws_rds_cluster");
    assert_eq!(clusters.len(), 2, "both clusters");
    for fields in clusters {
        for field in ["replication_source_identifier", "global_cluster_identifier", "engine_version"] {
            assert!(fields.contains(field), "{field} is not ignored: {fields}");
        }
    }
    assert!(ignored("aws_rds_global_cluster").concat().contains("source_db_cluster_identifier"));
    assert_eq!(ignored("aws_rds_cluster_instance").len(), 2);
    assert!(ignored("aws_lambda_alias").concat().contains("function_version"));
    assert!(ignored("aws_lambda_function").concat().contains("source_code_hash"));
}

/// Names of actions are whole, and a resource is `*` only where the list below says why.
#[test]
fn no_role_allows_a_family_of_actions() {
    for area in [Area::Region, Area::Witness] {
        for (name, function) in functions(area) {
            for grant in &function.may {
                for action in &grant.actions {
                    assert!(!action.contains('*'), "{name} in {area} may {action}");
                }
                // CloudWatch knows no resource for GetMetricData, nor S3 for a job that is yet to be made, nor Cloud Control and
                // several services behind it for reading; where these may be asked is a condition.
                let nameless = [
                    "cloudwatch:GetMetricData",
                    "s3:CreateJob",
                    "cloudformation:GetResource",
                    "cloudformation:ListResources",
                    "ecs:DescribeTaskDefinition",
                    "application-autoscaling:DescribeScalableTargets",
                    "ec2:DescribeSecurityGroups",
                    "servicequotas:GetServiceQuota",
                ];
                let no_resource_known = grant.actions.iter().all(|action| {
                    nameless.contains(&action.as_str()) || action.starts_with("elasticloadbalancing:Describe")
                });
                let anything = grant.resources.contains("\"*\"");
                assert_eq!(anything, no_resource_known, "{name} in {area}: {:?}", grant.actions);
                assert!(
                    !grant.places.is_empty(),
                    "{name} in {area}: nothing says where {:?} is allowed",
                    grant.actions
                );
            }
        }
    }
}

/// Law 3 as a fence: an unplanned promotion is asked for at home, and IAM itself says no to anything else.
#[test]
fn the_promoter_is_denied_to_promote_anywhere_else() {
    let promoter = &functions(Area::Region)["promote-aurora"];
    let denied: BTreeSet<&str> = promoter.never.iter().flat_map(|it| &it.actions).map(String::as_str).collect();
    for action in
        ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster", "rds:RemoveFromGlobalCluster", "dynamodb:*"]
    {
        assert!(denied.contains(action), "{action} is not denied: {denied:?}");
    }
}

/// A tag can be moved to other code, and a hash cannot; a token that may do everything is lent to every step.
#[test]
fn workflows_name_actions_by_hash_and_say_what_they_may() {
    let mut actions = 0;
    for file in names(".github/workflows") {
        let text = read(&format!(".github/workflows/{file}"));
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{file} does not begin with few permissions");
        assert!(!text.contains("write-all") && !text.contains("AWS_SECRET_ACCESS_KEY"), "{file}");
        for line in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            let Some((_, reference)) = line.split_once('@') else {
                assert!(line.starts_with("./"), "{file}: {line} has no version");
                continue;
            };
            actions += 1;
            let hash = reference.split_whitespace().next().unwrap();
            let is_hash = hash.len() == 40 && hash.chars().all(|it| it.is_ascii_hexdigit());
            assert!(is_hash, "{file}: {line} is no hash of a commit");
        }
    }
    assert!(actions >= 8, "{actions} actions");
}

/// What deliver.sh watches must be there, or it would watch nothing and find it quiet.
#[test]
fn the_alarms_that_a_delivery_watches_exist() {
    let (deliver, failures) = (read("infra/deliver.sh"), read("infra/function/failures.tf"));
    for kind in ["errors", "dead-letters"] {
        assert!(deliver.contains(&format!("\"holdfast-$name-{kind}\"")), "deliver.sh does not watch {kind}");
        assert!(failures.contains(&format!("= \"${{local.function}}-{kind}\"")), "there is no alarm for {kind}");
    }
}
