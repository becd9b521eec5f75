//! The Terraform against the drill: its wiring against the simulated installation's, and what each role allows against
//! the calls that the functions were recorded to make.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use drill::deployment::{DATA_REGIONS, REGIONS, Setup, TABLE, deploy, example_config};
use drill::play;
use drill::scenario::{Pace, SCENARIOS, Scenario};
use holdfast_aws::metrics::Metrics;
use holdfast_aws::{Invocation, Startup};
use holdfast_domain::Timestamp;
use holdfast_domain::topology::{LedgerStrategy, RestoreInto};
use holdfast_infra::terraform::{Area, Function, Grant, Place, Terraform};
use holdfast_payments::service::bucket;
use holdfast_world::dynamodb::{Mode, create_table};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::rds::standby::{Pairing, copy_to_other_region, pair};
use holdfast_world::s3::{self, About};
use holdfast_world::{Caller, RecordedRequest, Region, World, WorldConfig};
use reconcile_receipts::Limits;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn installed(area: Area) -> BTreeMap<String, Function> {
    installed_with(area, LedgerStrategy::GlobalDatabase)
}

/// The example's installation with that strategy of the ledger.
fn installed_with(area: Area, strategy: LedgerStrategy) -> BTreeMap<String, Function> {
    let config = std::fs::read_to_string(root().join("events/config.example.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["topology"]["ledger_strategy"] = serde_json::to_value(strategy).unwrap();
    Terraform::read(&root()).unwrap().functions(area, &config).unwrap()
}

fn area(region: Region) -> Area {
    if DATA_REGIONS.contains(&region) { Area::Region } else { Area::Witness }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// An installation with everything in it.
fn whole() -> Setup {
    Setup { traffic: true, ..Setup::standard(1) }
}

/// What the Terraform has and the simulated installation leaves out, with the reason.
const NOT_SIMULATED: [(&str, &str); 1] =
    [("reconcile-ledger clearing", "the drill invokes it itself when the file lands, with the event that S3 sends")];

/// Where the drill's functions run, when they end, what starts them and how often: the Terraform says the same.
#[test]
fn the_simulated_installation_is_wired_as_the_terraform_wires() {
    let world = runtime().block_on(async { deploy(&whole()).world });
    let simulated: BTreeSet<(Region, &str, u64)> =
        world.functions().into_iter().map(|(region, name, timeout)| (region, name, timeout.as_secs())).collect();
    let mut expected = BTreeSet::new();
    let mut rules = BTreeSet::new();
    let mut scheduled = BTreeSet::new();
    for region in REGIONS {
        for (name, function) in installed(area(region)) {
            let name: &'static str = name.leak();
            expected.insert((region, name, function.timeout_seconds));
            // A daily schedule is outside of every drill.
            if function.schedule.as_deref() == Some("rate(1 minute)") {
                scheduled.insert((region, name, Duration::from_secs(60)));
            }
            for (rule, (_, pattern)) in function.rules {
                if NOT_SIMULATED.iter().any(|(left_out, _)| *left_out == format!("{name} {rule}")) {
                    continue;
                }
                let source = pattern["source"][0].as_str().unwrap().to_owned();
                let named = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                // The simulated RDS publishes only what the pattern names, so its rule names nothing.
                let kinds: BTreeSet<String> = match source.as_str() {
                    "aws.rds" => BTreeSet::new(),
                    _ => pattern["detail-type"].as_array().unwrap().iter().map(named).collect(),
                };
                rules.insert((region, name.to_owned(), source, kinds));
            }
        }
    }
    assert_eq!(simulated, expected, "functions and their time-outs");
    let simulated: BTreeSet<_> = world.schedules().into_iter().collect();
    assert_eq!(simulated, scheduled, "schedules");
    let simulated = world.rules().into_iter().map(|rule| {
        let kinds: BTreeSet<String> = rule.detail_types.iter().map(|it| (*it).to_owned()).collect();
        (rule.region, rule.target.to_owned(), rule.source.to_owned(), kinds)
    });
    assert_eq!(simulated.collect::<BTreeSet<_>>(), rules, "rules");
}

/// A call that a role must allow: the IAM action, and where it is asked for.
type Call = (String, Place);

/// What the roles allow and no drill shows, with the reason. An entry that a drill shows, or that no role allows, fails.
const UNSEEN: &[(&str, &str, &[Place], &str)] = &[
    ("observe-region", "rds-db:connect", &[Place::Here], SQL),
    ("promote-aurora", "rds-db:connect", &[Place::Here], SQL),
    ("reconcile-ledger", "rds-db:connect", &[Place::Here], SQL),
    ("promote-aurora", "kms:DescribeKey", &[Place::Peer], SNAPSHOT),
    ("promote-aurora", "kms:CreateGrant", &[Place::Peer], SNAPSHOT),
    (
        "promote-aurora",
        "rds:AddTagsToResource",
        &[Place::Peer],
        "the copy of a snapshot takes its tags, which RDS checks",
    ),
    ("verify-replication", "kms:Decrypt", &BOTH, KEYS),
    ("verify-replication", "kms:GenerateDataKey", &BOTH, KEYS),
    ("reconcile-ledger", "kms:Decrypt", &[Place::Here], KEYS),
    ("reconcile-ledger", "kms:GenerateDataKey", &[Place::Here], KEYS),
    ("reconcile-receipts", "kms:Decrypt", &BOTH, KEYS),
    ("reconcile-receipts", "kms:GenerateDataKey", &BOTH, KEYS),
    ("verify-replication", "s3:ListBucket", &BOTH, MISSING),
    ("reconcile-ledger", "s3:ListBucket", &[Place::Here], MISSING),
    ("shift-traffic", "s3:ListBucket", &[Place::Here], MISSING),
    ("shift-traffic", "route53:ListResourceRecordSets", &[Place::Here], WEIGHTED),
    ("shift-traffic", "route53:ChangeResourceRecordSets", &[Place::Here], WEIGHTED),
    ("reconcile-receipts", "s3:ListBucket", &BOTH, MISSING),
    ("reconcile-receipts", "s3:GetObjectVersion", &BOTH, VERSION),
    ("reconcile-receipts", "s3:GetObjectVersionTagging", &BOTH, VERSION),
    ("reconcile-receipts", "s3:PutObjectTagging", &BOTH, COPY),
    ("reconcile-receipts", "s3:PutObjectRetention", &BOTH, COPY),
    ("reconcile-receipts", "s3:PutObjectLegalHold", &BOTH, COPY),
    ("reconcile-receipts", "s3:CreateJob", &BOTH, AT_SCALE),
    ("reconcile-receipts", "s3:DescribeJob", &BOTH, AT_SCALE),
    ("reconcile-receipts", "s3:GetReplicationConfiguration", &BOTH, AT_SCALE),
    ("reconcile-receipts", "iam:PassRole", &[Place::Here], AT_SCALE),
];
const WEIGHTED: &str = "only where the records are weighted; tests/drill/tests/traffic.rs shows the calls";
const AT_SCALE: &str =
    "only with policy.receipts.at_scale; tests/drill/tests/inventory.rs shows the calls, and S3 checks PassRole";
const BOTH: [Place; 2] = [Place::Here, Place::Peer];
const SQL: &str = "SQL is the one port: the simulated ledger is no wire; the permission signs the password's token";
const SNAPSHOT: &str = "RDS checks it when the snapshot that is copied is encrypted";
const KEYS: &str = "S3 asks KMS in the caller's name; the simulated buckets have no keys to ask for";
const MISSING: &str = "without it S3 answers 403 for what is not there, where the code expects 404";
const VERSION: &str = "the same operation with a version id is another action, and the record has no query";
const COPY: &str = "S3 checks it when a copy is given tags or a lock; on the wire it is CopyObject";

/// The IAM actions of an operation on the wire (Service Authorization Reference).
fn actions(request: &RecordedRequest) -> Vec<String> {
    let operation = request.operation.as_str();
    let of = |service: &str, names: &[&str]| names.iter().map(|name| format!("{service}:{name}")).collect();
    match request.service {
        // Probes of the front doors are no AWS calls.
        "http" => Vec::new(),
        "cloudcontrolapi" => {
            let kind = request.parameters.get("TypeName").map(String::as_str).unwrap_or_default();
            let own: Vec<String> = of("cloudformation", &[operation]);
            own.into_iter().chain(behind_cloud_control(kind).iter().map(|action| (*action).to_owned())).collect()
        }
        "monitoring" => of("cloudwatch", &[operation]),
        "s3" => match operation {
            "ListObjectVersions" => of("s3", &["ListBucketVersions"]),
            "HeadObject" => of("s3", &["GetObject"]),
            "GetBucketReplication" => of("s3", &["GetReplicationConfiguration"]),
            "CopyObject" | "UploadPartCopy" => of("s3", &["PutObject"]),
            "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => of("s3", &["PutObject"]),
            other => of("s3", &[other]),
        },
        service => of(service, &[operation]),
    }
}

/// What Cloud Control asks the service for in the caller's name to read a resource (the read handlers of the types).
fn behind_cloud_control(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::ECS::Service" => &["ecs:DescribeServices"],
        "AWS::ECS::TaskDefinition" => &["ecs:DescribeTaskDefinition"],
        "AWS::ApplicationAutoScaling::ScalableTarget" => &["application-autoscaling:DescribeScalableTargets"],
        "AWS::EC2::SecurityGroup" => &["ec2:DescribeSecurityGroups"],
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => &[
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTags",
        ],
        "AWS::ElasticLoadBalancingV2::Listener" => {
            &["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeListenerAttributes"]
        }
        "AWS::ElasticLoadBalancingV2::TargetGroup" => {
            &["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes"]
        }
        "AWS::S3::Bucket" => &[
            "s3:GetBucketVersioning",
            "s3:GetReplicationConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:GetEncryptionConfiguration",
            "s3:ListBucket",
        ],
        "AWS::SSM::Parameter" => &["ssm:GetParameters"],
        other => panic!("nothing says what Cloud Control needs to read {other}"),
    }
}

fn place(from: Region, to: Region) -> Place {
    if to == Region::N_VIRGINIA {
        Place::Global
    } else if from == to {
        Place::Here
    } else if DATA_REGIONS.contains(&to) {
        Place::Peer
    } else {
        Place::Witness
    }
}

/// Every call of every function, by function and by whether it ran in a data Region.
fn recorded() -> BTreeMap<(String, Area), BTreeSet<Call>> {
    let mut calls: BTreeMap<(String, Area), BTreeSet<Call>> = BTreeMap::new();
    let mut note = |requests: Vec<RecordedRequest>| {
        for request in requests {
            let (name, from) = (request.caller.name.to_string(), request.caller.region);
            if installed_names().contains(name.as_str()) {
                let entry = calls.entry((name, area(from))).or_default();
                entry.extend(actions(&request).into_iter().map(|action| (action, place(from, request.to))));
            }
        }
    };
    // Two scenarios at a time: each has a clock of its own.
    let (left, right) = SCENARIOS.split_at(SCENARIOS.len() / 2);
    let play_all = |scenarios: &'static [Scenario]| -> Vec<RecordedRequest> {
        scenarios
            .iter()
            .flat_map(|scenario| play(scenario, Pace::coarse(1), |_| {}).unwrap().world.requests())
            .collect()
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| play_all(right));
        (play_all(left), other.join().unwrap())
    });
    note(one);
    note(other);
    for ways_fail in [false, true] {
        note(runtime().block_on(refusals(ways_fail)));
    }
    note(runtime().block_on(receipts()));
    note(runtime().block_on(answers()));
    note(runtime().block_on(comparisons()));
    calls
}

fn installed_names() -> BTreeSet<&'static str> {
    [
        check_readiness::FUNCTION,
        observe_region::FUNCTION,
        page_humans::FUNCTION,
        promote_aurora::FUNCTION,
        reconcile_ledger::FUNCTION,
        reconcile_receipts::FUNCTION,
        shift_traffic::FUNCTION,
        verify_replication::FUNCTION,
    ]
    .into()
}

/// Both ways: copies in one piece and in parts, one of them broken off, and deletes.
async fn receipts() -> Vec<RecordedRequest> {
    let world = World::new(&WorldConfig { seed: 1, start: "2026-11-24T14:00:00Z".parse().unwrap() });
    // One apply at a time: its lease is in the coordination table.
    create_table(&world, TABLE, Mode::Mrsc(REGIONS), "pk", Some("sk"));
    for region in DATA_REGIONS {
        s3::create_bucket(&world, bucket(region), region);
    }
    let tagged = About { tags: "team=pay".into(), checksum: true, ..About::default() };
    for (number, region) in DATA_REGIONS.into_iter().enumerate() {
        for (key, size) in [("small", 10), ("large", 9001)] {
            let body = Bytes::from(vec![b'x'; size]);
            s3::put_with(&world, bucket(region), &format!("{key}-{number}"), body, tagged.clone()).unwrap();
        }
    }
    let caller = Caller { name: reconcile_receipts::FUNCTION.into(), region: Region::LONDON, invocation: None };
    let here = holdfast_domain::Region::new("eu-west-2").unwrap();
    let startup = Startup::new(example_config(), here, &world.sdk(caller), Metrics::Silent).unwrap();
    let apply = async || {
        let payload = br#"{"action":"apply_receipts","by":"a test"}"#.to_vec();
        let invocation = Invocation { payload, id: "test".into(), deadline: Timestamp::MAX };
        reconcile_receipts::handle_with(&startup, invocation, Limits { copy_max_bytes: 5000, part_bytes: 2000 }).await
    };
    let breaks = CallMatch { operation: Some("UploadPartCopy"), ..CallMatch::default() };
    world.inject(CallFault::new(breaks, 0..10, CallEffect::Error { status: 500, code: "InternalError" }));
    drop(apply().await);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    apply().await.unwrap();
    for (number, region) in DATA_REGIONS.into_iter().enumerate() {
        s3::delete_object(&world, bucket(region), &format!("small-{number}")).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    apply().await.unwrap();
    world.requests()
}

/// A person answers at the pager's own address, in each Region: the answer goes to where the incident promotes.
async fn answers() -> Vec<RecordedRequest> {
    let world = deploy(&Setup { readers: false, ..Setup::standard(1) }).world;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let switchover = r#"{"action":"switchover","to":"eu-west-2","by":"ada"}"#;
    world.invoke(Region::LONDON, promote_aurora::FUNCTION, Bytes::from_static(switchover.as_bytes())).await.unwrap();
    let request = serde_json::json!({
        "requestContext": {"authorizer": {"iam": {"userArn": "arn:aws:sts::123456789012:assumed-role/on-call/ada"}}},
        "headers": {}, "body": r#"{"action":"veto","incident":"e1"}"#,
    });
    for region in REGIONS {
        let answer = world.invoke(region, page_humans::FUNCTION, Bytes::from(request.to_string())).await.unwrap();
        assert_eq!(answer["statusCode"], 202, "{answer}");
    }
    world.requests()
}

/// Both data Regions compare, and work the budget out.
async fn comparisons() -> Vec<RecordedRequest> {
    let world = deploy(&Setup { readers: false, ..Setup::standard(1) }).world;
    for region in DATA_REGIONS {
        for request in [r#"{"action":"check"}"#, r#"{"action":"budget"}"#] {
            world.invoke(region, check_readiness::FUNCTION, Bytes::from_static(request.as_bytes())).await.unwrap();
        }
    }
    world.requests()
}

/// Every function in every Region is sent what it cannot name, each in a world of its own, and says so: where it should,
/// or by another way because the bus and the topic of its own Region and the witness's topic fail.
async fn refusals(ways_fail: bool) -> Vec<RecordedRequest> {
    let mut requests = Vec::new();
    let mut number = 0;
    loop {
        let world = deploy(&Setup { readers: false, ..whole() }).world;
        let functions = world.functions();
        let Some((region, name, _)) = functions.get(number).copied() else { return requests };
        number += 1;
        let struck = [("PutEvents", region), ("Publish", region), ("Publish", Region::FRANKFURT)];
        for (operation, to) in struck.into_iter().filter(|_| ways_fail) {
            let matches = CallMatch { operation: Some(operation), to: Some(to), ..CallMatch::default() };
            world.inject(CallFault::new(matches, 0..u64::MAX, CallEffect::LoseRequest));
        }
        let answer = world.invoke(region, name, Bytes::from_static(b"{}")).await;
        assert!(answer.is_err(), "{name} in {region} took {{}}");
        requests.extend(world.requests());
    }
}

fn allowed(function: &Function) -> BTreeSet<Call> {
    let calls = |grant: &Grant| {
        let (actions, places) = (grant.actions.clone(), grant.places.clone());
        actions.into_iter().flat_map(move |action| places.clone().into_iter().map(move |place| (action.clone(), place)))
    };
    function.may.iter().flat_map(calls).collect()
}

#[test]
fn each_role_allows_what_its_function_calls_and_nothing_else() {
    let recorded = recorded();
    let mut problems = Vec::new();
    let mut explained = BTreeSet::new();
    for area in [Area::Region, Area::Witness] {
        for (name, function) in installed(area) {
            let called = recorded.get(&(name.clone(), area)).cloned().unwrap_or_default();
            let allowed = allowed(&function);
            for (action, place) in called.difference(&allowed) {
                problems.push(format!("{name} in {area} calls {action} ({place:?}), and its role does not allow it"));
            }
            for (action, place) in allowed.difference(&called) {
                let reason = UNSEEN.iter().position(|(function, unseen, places, _)| {
                    *function == name && unseen == action && places.contains(place)
                });
                match reason {
                    Some(entry) => drop(explained.insert((entry, *place))),
                    None => {
                        problems.push(format!("{name} in {area} may {action} ({place:?}), and nothing shows what for"))
                    }
                }
            }
        }
    }
    for (entry, (function, action, places, _)) in UNSEEN.iter().enumerate() {
        for place in places.iter().filter(|place| !explained.contains(&(entry, **place))) {
            problems.push(format!("{function}, {action} ({place:?}) is explained, and needs no explanation any more"));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// An outage in auto mode, and the old Region's return, with a ledger that is no global database.
async fn outage_with(strategy: LedgerStrategy) -> Vec<RecordedRequest> {
    let minute = Duration::from_secs(60);
    let mut setup = Setup { readers: false, reconcilers: false, ..Setup::standard(1) };
    setup.config.policy.mode = holdfast_domain::policy::Mode::Auto;
    setup.config.policy.standing_acceptance.as_mut().unwrap().lag_max_seconds = 7200;
    setup.config.topology.ledger_strategy = strategy;
    if strategy == LedgerStrategy::RestoreFromSnapshot {
        for data in &mut setup.config.topology.data_regions {
            data.restore_into = Some(RestoreInto {
                instance_class: "db.r6g.large".into(),
                subnet_group: "ledger".into(),
                security_groups: vec!["sg-ledger".into()],
            });
        }
    }
    let world = deploy(&setup).world;
    match strategy {
        LedgerStrategy::GlobalDatabase => {}
        LedgerStrategy::ReadReplica => pair(&world, Pairing::ReadReplica { promotion: minute }),
        LedgerStrategy::RestoreFromSnapshot => {
            pair(&world, Pairing::Apart { restore: minute, instance: minute });
            copy_to_other_region(&world, "hourly-copy", Duration::ZERO);
        }
    }
    tokio::time::sleep(2 * minute).await;
    world.go_dark(Region::DUBLIN);
    tokio::time::sleep(8 * minute).await;
    world.come_back(Region::DUBLIN);
    tokio::time::sleep(5 * minute).await;
    world.requests()
}

/// What a strategy's role allows beyond that of a global database and the outage does not show, with the reason.
const UNSEEN_WITH: [(LedgerStrategy, &str, Place, &str); 2] = [
    (LedgerStrategy::RestoreFromSnapshot, "kms:DescribeKey", Place::Here, RESTORED),
    (LedgerStrategy::RestoreFromSnapshot, "kms:CreateGrant", Place::Here, RESTORED),
];
const RESTORED: &str = "RDS checks it when the snapshot that is restored is encrypted";

/// Nobody who has no replica may promote one: the role follows `topology.ledger_strategy`.
#[test]
fn the_promoter_may_what_its_strategy_needs_and_nothing_of_another() {
    let role = |strategy| allowed(&installed_with(Area::Region, strategy)[promote_aurora::FUNCTION]);
    let ordinary = role(LedgerStrategy::GlobalDatabase);
    for strategy in [LedgerStrategy::ReadReplica, LedgerStrategy::RestoreFromSnapshot] {
        let requests = runtime().block_on(outage_with(strategy));
        let own = requests.iter().filter(|request| &*request.caller.name == promote_aurora::FUNCTION);
        let called: BTreeSet<Call> = own
            .flat_map(|request| {
                let place = place(request.caller.region, request.to);
                actions(request).into_iter().map(move |action| (action, place))
            })
            .collect();
        let allowed = role(strategy);
        let refused: Vec<_> = called.difference(&allowed).collect();
        assert!(refused.is_empty(), "{strategy:?}: these calls are made and not allowed: {refused:?}");
        let unseen: BTreeSet<Call> =
            allowed.difference(&ordinary).filter(|call| !called.contains(*call)).cloned().collect();
        let explained = UNSEEN_WITH.iter().filter(|(of, ..)| *of == strategy);
        let explained = explained.map(|(_, action, place, _)| ((*action).to_owned(), *place)).collect();
        assert_eq!(unseen, explained, "{strategy:?}: allowed beyond the ordinary, and nothing shows what for");
        // What only a global database needs is taken away.
        for action in ["rds:FailoverGlobalCluster", "rds:SwitchoverGlobalCluster", "rds:CopyDBClusterSnapshot"] {
            assert!(allowed.iter().all(|(it, _)| it != action), "{strategy:?}: {action}");
        }
    }
}
