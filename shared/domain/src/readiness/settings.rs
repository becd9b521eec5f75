//! Every setting that is compared, written once: its name, how bad it is, the rule, why it hurts, and the fix.

use super::Value;
use crate::page::Severity;

/// What is known of a setting without looking at it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The finding's name.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// When it is a finding.
    pub rule: Rule,
    /// Why it hurts during an outage.
    pub hurts: &'static str,
    /// The fix; `{subject}` and `{region}` are filled in.
    pub fix: &'static str,
}

/// When a setting is a finding.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Both Regions must show the same.
    Alike,
    /// Each Region by itself must show something sound, which is described in words.
    Each(fn(&Value) -> bool, &'static str),
    /// It is only counted with (`capacity`, the budget), and no finding by itself.
    Counted,
}

use Rule::{Alike, Counted, Each};
use Severity::{Critical, Info, Warning};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident $id:literal $severity:ident $rule:expr; $hurts:literal; $fix:literal;)*) => {
        /// A setting of one of the things that both Regions have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting {
            $($(#[$doc])* $name,)*
        }

        impl Setting {
            /// Every setting.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is known of it.
            #[must_use]
            pub fn about(self) -> About {
                match self {
                    $(Self::$name => About { id: $id, severity: $severity, rule: $rule, hurts: $hurts, fix: $fix },)*
                }
            }
        }
    };
}

settings! {
    /// The Region has the service.
    ServiceThere "service-missing" Critical Each(is_on, "there");
        "nothing serves there";
        "terraform apply, in both Regions from the same inputs";
    /// The image of the first container, with its digest.
    ServiceImage "service-image-differs" Critical Alike;
        "the survivor runs other code than the Region that it takes over from";
        "aws ecs update-service --region {region} --cluster <cluster> --service {subject} --task-definition <the other Region's>";
    /// The image is named by its digest.
    ServiceImagePinned "service-image-not-pinned" Warning Each(is_on, "named by a digest (…@sha256:…)");
        "a task that is started during the outage may pull another image than those that run";
        "service_image = \"<repository>@sha256:<digest>\"";
    /// CPU units of a task.
    ServiceCpu "service-cpu-differs" Critical Alike;
        "as many tasks carry less there";
        "aws_ecs_task_definition.service: the same cpu in both Regions";
    /// Memory of a task, in MB.
    ServiceMemory "service-memory-differs" Critical Alike;
        "tasks that are well here are killed there";
        "aws_ecs_task_definition.service: the same memory in both Regions";
    /// The names of the environment's variables.
    ServiceEnvironment "service-environment-differs" Critical Alike;
        "a variable that is missing shows when the load arrives";
        "aws_ecs_task_definition.service: the same environment in both Regions";
    /// The names of the secrets that are injected.
    ServiceSecrets "service-secrets-differ" Critical Alike;
        "a task that is started there lacks a secret, and dies or does without";
        "aws_ecs_task_definition.service: the same secrets in both Regions";
    /// `LEDGER_ENDPOINT` is the global writer endpoint.
    ServiceWriterEndpoint "service-writer-endpoint-wrong" Critical Each(is_on, "the global writer endpoint of the topology");
        "the service goes on writing to the old writer after a promotion";
        "LEDGER_ENDPOINT = jsondecode(var.holdfast_config).topology.writer_endpoint";
    /// `DNS_CACHE_SECONDS`: how long the service keeps an address.
    ServiceDnsCache "service-writer-endpoint-cached" Critical Each(at_most_5, "5 s at most");
        "the service keeps the old writer's address after the endpoint has moved";
        "DNS_CACHE_SECONDS = \"5\"";
    /// How many tasks are wanted.
    ServiceDesired "service-desired-differs" Warning Alike;
        "the Region with fewer tasks must first start what the other already has";
        "aws ecs update-service --region {region} --cluster <cluster> --service {subject} --desired-count <as many>";
    /// How many of the wanted tasks do not run.
    ServiceMissing "service-tasks-missing" Critical Each(is_zero, "none that is wanted and does not run");
        "it does not carry its own load, and would have to carry both";
        "aws ecs describe-services --region {region} --cluster <cluster> --services {subject}";
    /// Whether a deployment that fails is rolled back.
    ServiceRollback "service-rollback-differs" Warning Alike;
        "a bad deployment stays in one Region and not in the other";
        "aws_ecs_service.service: the same deployment_circuit_breaker in both Regions";
    /// The most CPU that all tasks used together in a minute of the days that are looked at, in CPU units.
    CpuPeak "cpu-peak" Info Counted; "it is what the survivor must carry"; "none";

    /// The least tasks that scaling leaves.
    ScalingMin "scaling-min-differs" Critical Alike;
        "scaling takes away there what the outage needs at once";
        "aws_appautoscaling_target.service: the same min_capacity in both Regions";
    /// The most tasks that scaling allows.
    ScalingMax "scaling-max-differs" Warning Alike;
        "one Region cannot grow as far as the other";
        "aws_appautoscaling_target.service: the same max_capacity in both Regions";
    /// Fargate vCPUs that the account may run.
    QuotaFargate "quota-fargate-differs" Warning Alike;
        "one Region cannot start as many tasks as the other";
        "aws service-quotas request-service-quota-increase --region {region} --service-code fargate --quota-code L-3032A538 --desired-value <as many>";
    /// Lambda executions at once that the account may run.
    QuotaLambda "quota-lambda-differs" Warning Alike;
        "the functions are throttled in one Region where they are not in the other";
        "aws service-quotas request-service-quota-increase --region {region} --service-code lambda --quota-code L-B99A9384 --desired-value <as many>";

    /// `client_keep_alive.seconds`.
    BalancerKeepAlive "alb-keep-alive-too-long" Warning Each(at_most_60, "60 s at most");
        "clients stay on a connection to the dying Region and do not ask DNS again";
        "aws_lb.service: client_keep_alive = 60";
    /// `idle_timeout.timeout_seconds`.
    BalancerIdle "alb-idle-timeout-differs" Warning Alike;
        "connections that live in one Region are cut in the other";
        "aws_lb.service: the same idle_timeout in both Regions";
    /// `deletion_protection.enabled`.
    BalancerProtected "alb-deletion-protection-off" Warning Each(is_on, "on");
        "one command takes the front door away";
        "aws_lb.service: enable_deletion_protection = true";
    /// The rules of the load balancer's security groups.
    BalancerRules "alb-security-group-differs" Critical Alike;
        "traffic that passes here is dropped there";
        "aws_security_group.front_door: the same rules in both Regions";
    /// The rules of the service's security groups.
    ServiceRules "service-security-group-differs" Critical Alike;
        "what the service reaches here it does not reach there";
        "aws_security_group.service: the same rules in both Regions";
    /// Ports, protocols and actions of the listeners.
    Listeners "listeners-differ" Critical Alike;
        "a client finds no listener where it is sent to";
        "aws_lb_listener.service: the same in both Regions";
    /// TLS policies of the listeners.
    ListenerTls "listener-tls-policy-differs" Warning Alike;
        "a client that can speak to one Region cannot speak to the other";
        "aws_lb_listener.service: the same ssl_policy in both Regions";
    /// The path that the target group asks is the topology's liveness path.
    TargetPath "target-health-path-wrong" Critical Each(is_on, "the liveness path of the topology, which does not need the database");
        "during a promotion every target is taken out, and Route 53 takes both Regions for healthy";
        "aws_lb_target_group.service: health_check { path = \"/healthz\" }";
    /// Seconds between two health checks of a target.
    TargetInterval "target-health-interval-differs" Warning Alike;
        "dead targets get requests for longer in one Region";
        "aws_lb_target_group.service: the same health_check.interval in both Regions";
    /// Failures that take a target out.
    TargetThreshold "target-health-threshold-differs" Warning Alike;
        "dead targets get requests for longer in one Region";
        "aws_lb_target_group.service: the same unhealthy_threshold in both Regions";
    /// `deregistration_delay.timeout_seconds`.
    TargetDelay "target-deregistration-delay-differs" Warning Alike;
        "a deployment takes longer in one Region";
        "aws_lb_target_group.service: the same deregistration_delay in both Regions";

    /// `EngineVersion` of the cluster.
    AuroraEngine "aurora-engine-differs" Critical Alike;
        "a failover needs the same engine on both sides, or RDS refuses it";
        "aws rds modify-global-cluster --global-cluster-identifier <global cluster> --engine-version <the higher one>";
    /// The classes of the cluster's instances.
    AuroraClasses "aurora-instance-class-differs" Critical Alike;
        "the promoted writer is another size than the one that carried the load";
        "aws_rds_cluster_instance: the same instance_class in both Regions";
    /// Instances of the cluster.
    AuroraInstances "aurora-headless" Critical Each(at_least_1, "1 instance at least");
        "a cluster without instances cannot take the writer (RDS-EVENT-0519)";
        "aws rds create-db-instance --region {region} --db-cluster-identifier <the one of {region}> --engine aurora-postgresql --db-instance-class <class>";
    /// Parameters of the cluster that somebody has set, but for `rds.global_db_rpo`.
    AuroraParameters "aurora-parameters-differ" Critical Alike;
        "the promoted writer behaves otherwise than the one before";
        "aws_rds_cluster_parameter_group.ledger: the same parameters in both Regions";
    /// `rds.global_db_rpo`, when somebody has set it.
    AuroraRpo "aurora-global-db-rpo-set" Critical Each(is_absent, "left at its default");
        "with two Regions the promoted writer has no secondary left, and stops commits";
        "aws rds reset-db-cluster-parameter-group --region {region} --db-cluster-parameter-group-name <group> --parameters ParameterName=rds.global_db_rpo,ApplyMethod=immediate";
    /// `DeletionProtection` of the cluster.
    AuroraProtected "aurora-deletion-protection-off" Warning Each(is_on, "on");
        "one command deletes the only copy that is left";
        "aws rds modify-db-cluster --region {region} --db-cluster-identifier <the one of {region}> --deletion-protection";
    /// `BackupRetentionPeriod`, in days.
    AuroraBackups "aurora-backups-differ" Warning Alike;
        "after a failover backups are kept for another time than the owners have decided";
        "aws rds modify-db-cluster --region {region} --db-cluster-identifier <the one of {region}> --backup-retention-period <as long>";
    /// `IAMDatabaseAuthenticationEnabled`.
    AuroraLogin "aurora-iam-login-differs" Critical Alike;
        "the functions log in with a token, and cannot prove that writes work";
        "aws rds modify-db-cluster --region {region} --db-cluster-identifier <the one of {region}> --enable-iam-database-authentication";
    /// Whether AWS raises minor versions by itself, on any instance.
    AuroraUpgrades "aurora-auto-upgrade-on" Warning Each(is_off, "off");
        "versions drift apart by themselves, and a difference blocks the failover";
        "aws_rds_cluster_instance: auto_minor_version_upgrade = false";

    /// `MultiRegionConsistency` of the coordination table.
    CoordinationStrong "coordination-table-not-strong" Critical Each(is_strong, "STRONG");
        "two Regions could each believe that they drive the incident";
        "make the table anew with MultiRegionConsistency = STRONG; the mode cannot be changed";
    /// `MultiRegionConsistency` of the attempts table.
    AttemptsStrong "attempts-table-not-strong" Warning Each(is_strong, "STRONG");
        "a key may be charged in both Regions, and attempts are lost with the Region";
        "make the table anew with MultiRegionConsistency = STRONG; the mode cannot be changed";
    /// Every other Region of the table has an active replica.
    TableReplicas "table-replica-not-active" Critical Each(is_on, "an ACTIVE replica in every other Region");
        "what is written here does not reach the Region that takes over";
        "aws dynamodb describe-table --region {region} --table-name {subject}";
    /// Billing mode and provisioned throughput.
    TableCapacity "table-capacity-differs" Critical Alike;
        "writes are throttled in the Region that takes the whole load";
        "aws dynamodb update-table --region {region} --table-name {subject} --billing-mode PAY_PER_REQUEST";
    /// Point-in-time recovery.
    TableRecovery "table-pitr-off" Warning Each(is_on, "on");
        "a mistake that is made in the night cannot be taken back";
        "aws dynamodb update-continuous-backups --region {region} --table-name {subject} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true";
    /// `DeletionProtectionEnabled`.
    TableProtected "table-deletion-protection-off" Warning Each(is_on, "on");
        "one command deletes the memory of every incident";
        "aws dynamodb update-table --region {region} --table-name {subject} --deletion-protection-enabled";

    /// Versioning of the bucket of receipts.
    BucketVersions "bucket-versioning-off" Critical Each(is_on, "on");
        "without versions nothing is replicated, and reconcile-receipts cannot tell what is newer";
        "aws s3api put-bucket-versioning --bucket <the one of {region}> --versioning-configuration Status=Enabled";
    /// An enabled rule replicates all objects to the other Region's bucket.
    BucketRule "bucket-replication-one-way" Critical Each(is_on, "a rule for everything, to the other Region's bucket");
        "receipts that are written there never reach the other Region";
        "aws_s3_bucket_replication_configuration: a rule each way";
    /// Delete markers are replicated.
    BucketDeletes "bucket-delete-markers-not-replicated" Warning Each(is_on, "on");
        "a receipt that is deleted on one side lives on at the other";
        "delete_marker_replication { status = \"Enabled\" }";
    /// Objects under KMS are replicated.
    BucketKms "bucket-kms-objects-not-replicated" Critical Each(is_on, "on");
        "S3 leaves encrypted receipts out unless it is told not to";
        "sse_kms_encrypted_objects { status = \"Enabled\" }";
    /// Changes of replicas are replicated back.
    BucketChanges "bucket-replica-changes-not-replicated" Warning Each(is_on, "on");
        "locks and tags that are changed on a replica do not go back";
        "replica_modifications { status = \"Enabled\" }";
    /// The rules of lifecycle.
    BucketLifecycle "bucket-lifecycle-differs" Warning Alike;
        "what is kept in one Region is gone in the other";
        "aws_s3_bucket_lifecycle_configuration.receipts: the same rules in both Regions";
    /// Every rule that moves objects into Glacier leaves out those under 128 KB, or S3 does.
    BucketSmall "bucket-small-objects-to-glacier" Warning Each(is_off, "objects of 128 KB and more only");
        "small receipts are billed as 128 KB for 90 days, and are blocked while replication is pending";
        "filter { object_size_greater_than = 131072 }";
    /// How objects are encrypted.
    BucketEncryption "bucket-encryption-differs" Warning Alike;
        "receipts of one Region are protected otherwise than those of the other";
        "aws_s3_bucket_server_side_encryption_configuration.receipts: the same algorithm in both Regions";
    /// The bucket of the switch for the other Region.
    SwitchBucket "switch-missing" Critical Each(is_on, "a bucket that Route 53 watches");
        "the other Region cannot be taken out of DNS without Route 53's control plane in us-east-1";
        "terraform apply -target=module.<region>.aws_s3_bucket.switch";

    /// The Region has a record under the service's name.
    RecordThere "route53-record-missing" Critical Each(is_on, "a latency record for this Region");
        "no client is ever sent there";
        "aws_route53_record.service[\"{region}\"]";
    /// The record has a health check.
    RecordChecked "route53-record-not-checked" Critical Each(is_on, "a health check on the record");
        "clients are sent to the Region however dead it is";
        "aws_route53_record.service: health_check_id = aws_route53_health_check.in_service[\"{region}\"].id";
    /// Time to live of the answer, in seconds: 60 for an alias.
    RecordTtl "route53-ttl-too-long" Warning Each(at_most_60, "60 s at most");
        "resolvers answer the dead Region for longer than it takes to notice";
        "aws_route53_record.service: an alias, or ttl = 60";
    /// Interval times threshold of the liveness check, in seconds.
    RecordDetection "route53-detection-slow" Warning Each(at_most_30, "30 s at most (10 s, three times)");
        "the default of 30 s three times takes 90 s to notice, before any TTL";
        "aws_route53_health_check.liveness: request_interval = 10, failure_threshold = 3";
    /// Interval of the liveness check, in seconds.
    RecordInterval "route53-interval" Info Counted; "it is part of the budget"; "none";
    /// Failures that make it unhealthy.
    RecordThreshold "route53-threshold" Info Counted; "it is part of the budget"; "none";
    /// The liveness check asks the topology's liveness path.
    RecordPath "route53-check-needs-database" Critical Each(is_on, "the liveness path of the topology, which does not need the database");
        "during a promotion both Regions look unhealthy, and Route 53 takes both for healthy";
        "aws_route53_health_check.liveness: resource_path = \"/healthz\"";
    /// An inverted check watches the switch in the other Region.
    RecordSwitch "route53-switch-not-watched" Critical Each(is_on, "an inverted check of the other Region's switch");
        "throwing the switch changes nothing";
        "aws_route53_health_check.in_service: child_healthchecks = [liveness, stop]";

    /// The Region has the function.
    FunctionThere "function-missing" Critical Each(is_on, "there, with the alias `live`");
        "what it does is not done when that Region is the one that is left";
        "terraform apply, in both Regions from the same inputs";
    /// The hash of a function's code.
    FunctionCode "function-code-differs" Critical Alike;
        "the Region that takes over runs another version of Holdfast";
        "infra/deliver.sh {subject}";
    /// Time-out and memory of a function, and a hash of its configuration.
    FunctionSettings "function-settings-differ" Critical Alike;
        "the Regions act by different policies";
        "terraform apply, in both Regions from the same inputs";
    /// How many of a function may run at once.
    FunctionAtOnce "function-concurrency-missing" Warning Each(at_least_1, "a number of its own");
        "other functions of the account can use up what this one needs at 14:07";
        "aws lambda put-function-concurrency --region {region} --function-name {subject} --reserved-concurrent-executions 2";

    /// The Region has the secret.
    SecretThere "secret-missing" Critical Each(is_on, "there");
        "what the Region needs to page or to pay with is not there";
        "aws secretsmanager create-secret --region {region} --name {subject} --secret-string file://value";
    /// A secret's value.
    Secret "secret-differs" Critical Alike;
        "what the Region needs to page or to pay with is not what works in the other";
        "aws secretsmanager put-secret-value --region {region} --secret-id {subject} --secret-string file://value";
    /// The Region has the parameter.
    ParameterThere "parameter-missing" Critical Each(is_on, "there");
        "the service starts with a default, or does not start";
        "aws ssm put-parameter --region {region} --name {subject} --type String --value <the other Region's>";
    /// A parameter's value.
    Parameter "parameter-differs" Critical Alike;
        "the Regions behave differently on the day that they must not";
        "aws ssm put-parameter --region {region} --name {subject} --overwrite --value <the other Region's>";
}

impl Setting {
    /// The subject is not there at all: of one that is not, nothing else is said.
    #[must_use]
    pub fn says_gone(self, value: &Value) -> bool {
        let existence =
            [Self::ServiceThere, Self::FunctionThere, Self::SecretThere, Self::ParameterThere, Self::RecordThere];
        (existence.contains(&self) && is_off(value)) || (self == Self::AuroraInstances && is_zero(value))
    }
}

fn is_on(value: &Value) -> bool {
    matches!(value, Value::Flag(true))
}
fn is_off(value: &Value) -> bool {
    matches!(value, Value::Flag(false))
}
fn is_absent(value: &Value) -> bool {
    matches!(value, Value::Absent)
}
fn is_strong(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text == "STRONG")
}
fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Number(0))
}
fn at_least_1(value: &Value) -> bool {
    matches!(value, Value::Number(1..))
}
fn at_most_5(value: &Value) -> bool {
    matches!(value, Value::Number(..=5))
}
fn at_most_30(value: &Value) -> bool {
    matches!(value, Value::Number(..=30))
}
fn at_most_60(value: &Value) -> bool {
    matches!(value, Value::Number(..=60))
}
