//! Single differences, and what must be found of each.

use std::time::Duration;

use drill::deployment::{CLUSTER, TABLE};
use drill::readiness::named;
use holdfast_payments::service::{ATTEMPTS_TABLE, bucket};
use holdfast_world::{Region, World, dynamodb, s3};
use serde_json::{Value, json};

const SERVICE: &str = "AWS::ECS::Service";
pub(super) const TASK: &str = "AWS::ECS::TaskDefinition";
const SCALING: &str = "AWS::ApplicationAutoScaling::ScalableTarget";
const TARGET: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";
const BALANCER: &str = "AWS::ElasticLoadBalancingV2::LoadBalancer";
const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
const HOME: Region = Region::N_VIRGINIA;

/// Changes one field of a resource in London.
pub(super) fn london(world: &World, kind: &str, path: &str, value: Value) {
    change(world, Region::LONDON, &named(Region::LONDON, kind), path, value);
}

pub(super) fn change(world: &World, region: Region, name: &str, path: &str, value: Value) {
    world.change_shown(region, name, |document| {
        if document.is_null() {
            *document = json!({});
        }
        match document.pointer_mut(path) {
            Some(place) => *place = value,
            None => document[path.trim_start_matches('/')] = value,
        }
    });
}

fn rule(to: Region) -> s3::Rule {
    s3::Rule {
        destination: bucket(to),
        delete_markers: true,
        replica_modifications: true,
        kms_objects: true,
        broken: false,
    }
}

pub(super) type Drift = (&'static str, fn(&World), &'static str);

/// One difference each, injected into London (or between the two), and the one finding that must come of it.
pub(super) const DRIFTS: &[Drift] = &[
    (
        "another image",
        |w| london(w, TASK, "/ContainerDefinitions/0/Image", json!("x/payments@sha256:other")),
        "service-image-differs",
    ),
    ("less CPU", |w| london(w, TASK, "/Cpu", json!("512")), "service-cpu-differs"),
    ("less memory", |w| london(w, TASK, "/Memory", json!("1024")), "service-memory-differs"),
    (
        "a variable more",
        |w| {
            let region = json!({"Name": "AWS_REGION", "Value": "eu-west-2"});
            let ledger = json!({"Name": "LEDGER_ENDPOINT", "Value": holdfast_world::aurora::WRITER_ENDPOINT});
            let cache = json!({"Name": "DNS_CACHE_SECONDS", "Value": "5"});
            let debug = json!({"Name": "DEBUG", "Value": "1"});
            london(w, TASK, "/ContainerDefinitions/0/Environment", json!([region, ledger, cache, debug]));
        },
        "service-environment-differs",
    ),
    ("a secret less", |w| london(w, TASK, "/ContainerDefinitions/0/Secrets", json!([])), "service-secrets-differ"),
    (
        "the cluster's own endpoint",
        |w| {
            london(
                w,
                TASK,
                "/ContainerDefinitions/0/Environment/1/Value",
                json!("payments-eu-west-2.cluster-abc.eu-west-2.rds.amazonaws.com"),
            )
        },
        "service-writer-endpoint-wrong",
    ),
    (
        "a long DNS cache",
        |w| london(w, TASK, "/ContainerDefinitions/0/Environment/2/Value", json!("300")),
        "service-writer-endpoint-cached",
    ),
    ("fewer tasks wanted", |w| london(w, SERVICE, "/DesiredCount", json!(6)), "service-desired-differs"),
    (
        "a task that does not run",
        |w| {
            let dimensions = [("ClusterName", "holdfast-service"), ("ServiceName", "service")];
            w.after(Duration::from_secs(60), move |w| {
                w.put_metric(Region::LONDON, "ECS/ContainerInsights", "RunningTaskCount", &dimensions, 7.0)
            });
        },
        "service-tasks-missing",
    ),
    (
        "no rollback",
        |w| london(w, SERVICE, "/DeploymentConfiguration/DeploymentCircuitBreaker/Rollback", json!(false)),
        "service-rollback-differs",
    ),
    ("a lower minimum", |w| london(w, SCALING, "/MinCapacity", json!(2)), "scaling-min-differs"),
    ("another maximum", |w| london(w, SCALING, "/MaxCapacity", json!(20)), "scaling-max-differs"),
    ("a maximum that carries one Region only", |w| london(w, SCALING, "/MaxCapacity", json!(5)), "scaling-max-too-low"),
    ("another quota", |w| w.show(Region::LONDON, "quota fargate L-3032A538", json!(60.0)), "quota-fargate-differs"),
    (
        "a quota that carries one Region only",
        |w| w.show(Region::LONDON, "quota fargate L-3032A538", json!(5.0)),
        "quota-fargate-too-low",
    ),
    (
        "fewer functions at once",
        |w| w.show(Region::LONDON, "quota lambda L-B99A9384", json!(10.0)),
        "quota-lambda-differs",
    ),
    (
        "long keep-alive",
        |w| london(w, BALANCER, "/LoadBalancerAttributes/0/Value", json!("3600")),
        "alb-keep-alive-too-long",
    ),
    (
        "another idle time-out",
        |w| london(w, BALANCER, "/LoadBalancerAttributes/1/Value", json!("60")),
        "alb-idle-timeout-differs",
    ),
    (
        "a front door that may be deleted",
        |w| london(w, BALANCER, "/LoadBalancerAttributes/2/Value", json!("false")),
        "alb-deletion-protection-off",
    ),
    (
        "a front door for few",
        |w| london(w, "AWS::EC2::SecurityGroup front", "/SecurityGroupIngress/0/CidrIp", json!("10.0.0.0/8")),
        "alb-security-group-differs",
    ),
    (
        "no way to PostgreSQL",
        |w| london(w, "AWS::EC2::SecurityGroup service", "/SecurityGroupEgress/1/ToPort", json!(5431)),
        "service-security-group-differs",
    ),
    (
        "another port",
        |w| {
            london(w, LISTENER, "/Port", json!(443));
            london(w, LISTENER, "/Protocol", json!("HTTP"));
        },
        "listeners-differ",
    ),
    (
        "an older TLS policy",
        |w| london(w, LISTENER, "/SslPolicy", json!("ELBSecurityPolicy-2016-08")),
        "listener-tls-policy-differs",
    ),
    (
        "targets asked for the database",
        |w| london(w, TARGET, "/HealthCheckPath", json!("/writez")),
        "target-health-path-wrong",
    ),
    (
        "targets asked seldom",
        |w| london(w, TARGET, "/HealthCheckIntervalSeconds", json!(30)),
        "target-health-interval-differs",
    ),
    (
        "targets kept for long",
        |w| london(w, TARGET, "/UnhealthyThresholdCount", json!(10)),
        "target-health-threshold-differs",
    ),
    (
        "a slow goodbye",
        |w| london(w, TARGET, "/TargetGroupAttributes/0/Value", json!("300")),
        "target-deregistration-delay-differs",
    ),
    (
        "another instance class",
        |w| change(w, Region::LONDON, "rds", "/DBInstanceClass", json!("db.r7g.large")),
        "aurora-instance-class-differs",
    ),
    ("another engine", |w| holdfast_world::rds::set_engine_version(w, Region::LONDON, "16.6"), "aurora-engine-differs"),
    ("no instance", |w| holdfast_world::rds::remove_instances(w, Region::LONDON), "aurora-headless"),
    (
        "another parameter",
        |w| change(w, Region::LONDON, "rds", "/Parameters", json!({"rds.force_ssl": "1", "log_statement": "all"})),
        "aurora-parameters-differ",
    ),
    (
        "a bound on the lag",
        |w| {
            change(
                w,
                Region::LONDON,
                "rds",
                "/Parameters",
                json!({"rds.force_ssl": "1", "log_statement": "ddl", "rds.global_db_rpo": "20"}),
            )
        },
        "aurora-global-db-rpo-set",
    ),
    (
        "a cluster that may be deleted",
        |w| change(w, Region::LONDON, "rds", "/DeletionProtection", json!(false)),
        "aurora-deletion-protection-off",
    ),
    (
        "backups for a day",
        |w| change(w, Region::LONDON, "rds", "/BackupRetentionPeriod", json!(1)),
        "aurora-backups-differ",
    ),
    (
        "no login by IAM",
        |w| change(w, Region::LONDON, "rds", "/IAMDatabaseAuthenticationEnabled", json!(false)),
        "aurora-iam-login-differs",
    ),
    (
        "upgrades by themselves",
        |w| change(w, Region::LONDON, "rds", "/AutoMinorVersionUpgrade", json!(true)),
        "aurora-auto-upgrade-on",
    ),
    (
        "a replica that is gone",
        |w| {
            dynamodb::set_replica_state(
                w,
                ATTEMPTS_TABLE,
                Region::LONDON,
                Some(dynamodb::ReplicaState { status: "REGION_DISABLED", inaccessible_since: None }),
            )
        },
        "table-replica-not-active",
    ),
    (
        "provisioned writes",
        |w| {
            change(w, Region::LONDON, &format!("table {ATTEMPTS_TABLE}"), "/BillingMode", json!("PROVISIONED"));
            change(w, Region::LONDON, &format!("table {ATTEMPTS_TABLE}"), "/WriteCapacityUnits", json!(10));
        },
        "table-capacity-differs",
    ),
    (
        "no recovery to a point in time",
        |w| {
            change(
                w,
                Region::LONDON,
                &format!("table {ATTEMPTS_TABLE}"),
                "/PointInTimeRecoveryStatus",
                json!("DISABLED"),
            )
        },
        "table-pitr-off",
    ),
    (
        "a table that may be deleted",
        |w| change(w, Region::LONDON, &format!("table {TABLE}"), "/DeletionProtectionEnabled", json!(false)),
        "table-deletion-protection-off",
    ),
    (
        "no versions",
        |w| change(w, Region::LONDON, &receipts(), "/VersioningConfiguration", json!({"Status": "Suspended"})),
        "bucket-versioning-off",
    ),
    ("replication one way", |w| s3::set_rule(w, bucket(Region::LONDON), None), "bucket-replication-one-way"),
    (
        "deletes left behind",
        |w| s3::set_rule(w, bucket(Region::LONDON), Some(s3::Rule { delete_markers: false, ..rule(Region::DUBLIN) })),
        "bucket-delete-markers-not-replicated",
    ),
    (
        "encrypted objects left behind",
        |w| s3::set_rule(w, bucket(Region::LONDON), Some(s3::Rule { kms_objects: false, ..rule(Region::DUBLIN) })),
        "bucket-kms-objects-not-replicated",
    ),
    (
        "changes of replicas left behind",
        |w| {
            s3::set_rule(
                w,
                bucket(Region::LONDON),
                Some(s3::Rule { replica_modifications: false, ..rule(Region::DUBLIN) }),
            )
        },
        "bucket-replica-changes-not-replicated",
    ),
    (
        "another lifecycle",
        |w| {
            change(
                w,
                Region::LONDON,
                &receipts(),
                "/LifecycleConfiguration",
                json!({"Rules": [{"Status": "Enabled", "ExpirationInDays": 30}]}),
            )
        },
        "bucket-lifecycle-differs",
    ),
    (
        "another encryption",
        |w| {
            change(
                w,
                Region::LONDON,
                &receipts(),
                "/BucketEncryption",
                json!({"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}),
            )
        },
        "bucket-encryption-differs",
    ),
    ("no switch", |w| w.hide(Region::LONDON, &named(Region::LONDON, "AWS::S3::Bucket switch")), "switch-missing"),
    ("no record", |w| w.hide(HOME, "record eu-west-2"), "route53-record-missing"),
    (
        "a record without a check",
        |w| change(w, HOME, "record eu-west-2", "/check", Value::Null),
        "route53-record-not-checked",
    ),
    ("a long time to live", |w| change(w, HOME, "record eu-west-2", "/ttl", json!(300)), "route53-ttl-too-long"),
    ("Route 53's default", |w| change(w, HOME, "check live-london", "/interval", json!(30)), "route53-detection-slow"),
    (
        "a check of the database",
        |w| change(w, HOME, "check live-london", "/path", json!("/writez")),
        "route53-check-needs-database",
    ),
    (
        "a switch that nobody watches",
        |w| change(w, HOME, "check stop-london", "/path", json!("/evacuate/eu-west-1")),
        "route53-switch-not-watched",
    ),
    (
        "other code",
        |w| change(w, Region::LONDON, "lambda promote-aurora", "/CodeSha256", json!("another")),
        "function-code-differs",
    ),
    (
        "another configuration",
        |w| {
            change(
                w,
                Region::LONDON,
                "lambda promote-aurora",
                "/Environment",
                json!({"Variables": {"HOLDFAST_CONFIG": "{}"}}),
            )
        },
        "function-settings-differ",
    ),
    (
        "nothing reserved",
        |w| w.show(Region::LONDON, "lambda promote-aurora", json!({"ReservedConcurrentExecutions": null})),
        "function-concurrency-missing",
    ),
    ("a function that is not there", |w| w.show(Region::LONDON, "lambda page-humans", Value::Null), "function-missing"),
    (
        "another secret",
        |w| w.put_secret(Region::LONDON, "holdfast/chat", "https://another.example.com/hook"),
        "secret-differs",
    ),
    (
        "another parameter of the service",
        |w| london(w, "AWS::SSM::Parameter", "/Value", json!("{\"eu\": 30}")),
        "parameter-differs",
    ),
    (
        "a parameter less",
        |w| w.hide(Region::LONDON, &named(Region::LONDON, "AWS::SSM::Parameter")),
        "parameter-missing",
    ),
    ("a promotion of ten minutes", |w| promoted_in(w, 600), "recovery-objective-exceeded"),
];

/// Keeps an incident whose promotion took so long, as promote-aurora does when it is over.
pub(super) fn promoted_in(world: &World, seconds: u64) {
    let at = |second: u64| (world.now() + Duration::from_secs(second)).to_string();
    let incident = json!({
        "epoch": 1, "verb": "failover", "from": "eu-west-1", "to": "eu-west-2", "phase": "Closed", "raised_by": "observers",
        "opened_at": at(0), "blocked": [], "judgements": [], "history": [
            {"phase": "Promoting", "at": at(0), "sentence": "asking RDS"},
            {"phase": "Proving", "at": at(seconds), "sentence": "RDS has promoted"},
            {"phase": "Restored", "at": at(seconds + 2), "sentence": "the fence row is written"},
        ],
    });
    let item = json!({
        "pk": {"S": format!("incident#{CLUSTER}")}, "sk": {"S": "e000000000001"}, "number": {"N": "3"},
        "body": {"S": incident.to_string()},
    });
    let Value::Object(item) = item else { return };
    dynamodb::put(world, Region::LONDON, TABLE, item, None, &Value::Null).expect("the table is there");
}

fn receipts() -> String {
    format!("AWS::S3::Bucket {}", bucket(Region::LONDON))
}
