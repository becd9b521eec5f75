//! What an installation shows of itself besides what the drill plays with: the payments service, its front door, DNS and
//! quotas, alike in both data Regions and sound, as `infra` makes them.

use holdfast_world::aurora::WRITER_ENDPOINT;
use holdfast_world::{ACCOUNT, Region, World};
use serde_json::{Value, json};

use crate::deployment::{CLUSTER, DATA_REGIONS};

/// The name that clients resolve.
pub const RECORD: &str = "payments.example.com";
/// ECS cluster and service.
pub const SERVICE: (&str, &str) = ("holdfast-service", "service");
/// The image that runs.
pub const DIGEST: &str = "sha256:5f2b9d1c";

/// What a resource is shown under.
#[must_use]
pub fn named(region: Region, kind: &str) -> String {
    let (cluster, service) = SERVICE;
    let balancing = |rest: &str| format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:{rest}");
    let id = match kind {
        "AWS::ECS::Service" => format!("arn:aws:ecs:{region}:{ACCOUNT}:service/{cluster}/{service}|{cluster}"),
        "AWS::ECS::TaskDefinition" => format!("arn:aws:ecs:{region}:{ACCOUNT}:task-definition/{cluster}:7"),
        "AWS::ApplicationAutoScaling::ScalableTarget" => {
            format!("service/{cluster}/{service}|ecs:service:DesiredCount|ecs")
        }
        "AWS::ElasticLoadBalancingV2::TargetGroup" => balancing("targetgroup/holdfast-service/1"),
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => balancing("loadbalancer/app/holdfast-service/1"),
        "AWS::ElasticLoadBalancingV2::Listener" => balancing("listener/app/holdfast-service/1/1"),
        "AWS::EC2::SecurityGroup front" => return format!("AWS::EC2::SecurityGroup sg-front-{region}"),
        "AWS::EC2::SecurityGroup service" => return format!("AWS::EC2::SecurityGroup sg-service-{region}"),
        "AWS::S3::Bucket switch" => return format!("AWS::S3::Bucket {CLUSTER}-switch-{region}"),
        "AWS::SSM::Parameter" => "/payments/fees".into(),
        other => other.to_owned(),
    };
    format!("{kind} {id}")
}

/// Shows everything, in both data Regions and in us-east-1.
pub fn show(world: &World) {
    for (region, peer) in [(Region::DUBLIN, Region::LONDON), (Region::LONDON, Region::DUBLIN)] {
        for (kind, document) in documents(region) {
            world.show(region, &named(region, kind), document);
        }
        world.show(region, "quota fargate L-3032A538", json!(64.0));
        world.show(region, "quota lambda L-B99A9384", json!(1000.0));
        measure(world, region);
        show_dns(world, region, peer);
    }
}

/// What Container Insights counts of the service in a minute.
fn measure(world: &World, region: Region) {
    let (cluster, service) = SERVICE;
    let dimensions = [("ClusterName", cluster), ("ServiceName", service)];
    for (name, value) in [("RunningTaskCount", 8.0), ("CpuUtilized", 1500.0)] {
        world.put_metric(region, "ECS/ContainerInsights", name, &dimensions, value);
    }
}

/// Goes on counting, for stories in which the Regions are compared long after they begin.
pub(crate) fn go_on_measuring(world: &World) {
    for region in DATA_REGIONS {
        let world = world.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                if !world.state().network.is_dark(region) {
                    measure(&world, region);
                }
            }
        });
    }
}

fn show_dns(world: &World, region: Region, peer: Region) {
    let short = if region == DATA_REGIONS[0] { "dublin" } else { "london" };
    let home = Region::N_VIRGINIA;
    world.show(home, &format!("record {region}"), json!({"name": RECORD, "check": format!("in-service-{short}")}));
    let children = [format!("live-{short}"), format!("stop-{short}")];
    world.show(home, &format!("check in-service-{short}"), json!({"type": "CALCULATED", "children": children}));
    world.show(
        home,
        &format!("check live-{short}"),
        json!({"type": "HTTPS", "host": format!("{region}.{RECORD}"), "path": "/healthz", "interval": 10, "threshold": 3}),
    );
    world.show(
        home,
        &format!("check stop-{short}"),
        json!({
            "type": "HTTPS", "host": format!("{CLUSTER}-switch-{peer}.s3.{peer}.amazonaws.com"),
            "path": format!("/evacuate/{region}"), "interval": 10, "threshold": 1, "inverted": true,
        }),
    );
}

fn documents(region: Region) -> Vec<(&'static str, Value)> {
    let of = |kind: &str| named(region, kind).split_once(' ').map(|(_, id)| id.to_owned()).unwrap_or_default();
    let balancer = of("AWS::ElasticLoadBalancingV2::LoadBalancer");
    let (front, service) = (format!("sg-front-{region}"), format!("sg-service-{region}"));
    let attribute = |key: &str, value: &str| json!({"Key": key, "Value": value});
    vec![
        (
            "AWS::ECS::Service",
            json!({
                "ServiceName": SERVICE.1, "Cluster": SERVICE.0, "DesiredCount": 8,
                "TaskDefinition": of("AWS::ECS::TaskDefinition"),
                "LoadBalancers": [{"TargetGroupArn": of("AWS::ElasticLoadBalancingV2::TargetGroup"), "ContainerName": "service", "ContainerPort": 8080}],
                "NetworkConfiguration": {"AwsvpcConfiguration": {"SecurityGroups": [service], "Subnets": ["subnet-1"]}},
                "DeploymentConfiguration": {"DeploymentCircuitBreaker": {"Enable": true, "Rollback": true}},
            }),
        ),
        (
            "AWS::ECS::TaskDefinition",
            json!({"Cpu": "1024", "Memory": "2048", "ContainerDefinitions": [{
                "Name": "service",
                "Image": format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/payments@{DIGEST}"),
                "Environment": [
                    {"Name": "AWS_REGION", "Value": region.as_str()},
                    {"Name": "LEDGER_ENDPOINT", "Value": WRITER_ENDPOINT},
                    {"Name": "DNS_CACHE_SECONDS", "Value": "5"},
                ],
                "Secrets": [{"Name": "CARD_NETWORK_KEY", "ValueFrom": "payments/card-network"}],
            }]}),
        ),
        ("AWS::ApplicationAutoScaling::ScalableTarget", json!({"MinCapacity": 8, "MaxCapacity": 16})),
        (
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            json!({
                "HealthCheckPath": "/healthz", "HealthCheckIntervalSeconds": 5, "UnhealthyThresholdCount": 2,
                "LoadBalancerArns": [balancer],
                "TargetGroupAttributes": [attribute("deregistration_delay.timeout_seconds", "15")],
            }),
        ),
        (
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            json!({
                "LoadBalancerArn": balancer, "SecurityGroups": [front],
                "LoadBalancerAttributes": [
                    attribute("client_keep_alive.seconds", "60"), attribute("idle_timeout.timeout_seconds", "30"),
                    attribute("deletion_protection.enabled", "true"),
                ],
            }),
        ),
        (
            "AWS::ElasticLoadBalancingV2::Listener",
            json!({
                "LoadBalancerArn": balancer, "Port": 443, "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "DefaultActions": [{"Type": "forward"}],
            }),
        ),
        (
            "AWS::EC2::SecurityGroup front",
            json!({
                "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}],
                "SecurityGroupEgress": [{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "DestinationSecurityGroupId": service}],
            }),
        ),
        (
            "AWS::EC2::SecurityGroup service",
            json!({
                "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "SourceSecurityGroupId": front}],
                "SecurityGroupEgress": [
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"},
                    {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"},
                ],
            }),
        ),
        ("AWS::S3::Bucket switch", json!({"BucketName": format!("{CLUSTER}-switch-{region}")})),
        ("AWS::SSM::Parameter", json!({"Name": "/payments/fees", "Type": "String", "Value": "{\"eu\": 20}"})),
    ]
}
