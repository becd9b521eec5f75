//! Real SDK clients against the world: the quirks that the product rests on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_world::dynamodb::{Mode, create_table, inject_conflicts};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::rds::{GlobalClusterConfig, accepted, create_global_cluster, writer};
use holdfast_world::{Caller, Outcome, Region, World, WorldConfig};

const REGIONS: [Region; 3] = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
const LONDON_ARN: &str = "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2";

fn world() -> World {
    let world = World::new(&WorldConfig { seed: 1, start: "2026-11-24T14:00:00Z".parse().unwrap() });
    create_table(&world, "t", Mode::Mrsc(REGIONS), "pk", Some("sk"));
    create_global_cluster(
        &world,
        &GlobalClusterConfig {
            id: "g",
            primary: Region::DUBLIN,
            secondary: Region::LONDON,
            promotion: Duration::from_secs(45),
            lag: Duration::from_millis(80),
            secondary_instances: 1,
        },
    );
    world
}

fn sdk(world: &World, region: Region) -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(Duration::from_secs(1)).read_timeout(Duration::from_secs(2));
    let caller = Caller { name: "test".into(), region, invocation: None };
    let config = world.sdk(caller).to_builder().timeout_config(timeouts.build());
    config.retry_config(RetryConfig::disabled()).build()
}

fn in_region(config: &SdkConfig, region: Region) -> SdkConfig {
    config.to_builder().region(aws_types::region::Region::from_static(region.as_str())).build()
}

async fn put(config: &SdkConfig, value: &str, condition: &str) -> Result<(), String> {
    let put = aws_sdk_dynamodb::Client::new(config)
        .put_item()
        .table_name("t")
        .item("pk", AttributeValue::S("a".into()))
        .item("sk", AttributeValue::S("b".into()))
        .item("v", AttributeValue::N(value.into()));
    let put = if condition.is_empty() { put } else { put.condition_expression(condition) };
    put.send().await.map(drop).map_err(|error| format!("{error:?}"))
}

#[tokio::test(start_paused = true)]
async fn a_conditional_write_sees_the_other_regions_latest_version() {
    let world = world();
    put(&sdk(&world, Region::DUBLIN), "1", "attribute_not_exists(pk)").await.unwrap();
    let problem = put(&sdk(&world, Region::LONDON), "2", "attribute_not_exists(pk)").await.unwrap_err();
    assert!(problem.contains("ConditionalCheckFailedException"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_cut_off_from_both_others_cannot_write() {
    let world = world();
    world.cut_link(Region::DUBLIN, Region::LONDON);
    put(&sdk(&world, Region::DUBLIN), "1", "").await.unwrap();
    world.cut_link(Region::FRANKFURT, Region::DUBLIN);
    let problem = put(&sdk(&world, Region::DUBLIN), "2", "").await.unwrap_err();
    assert!(problem.contains("InternalServerError"), "{problem}");
    put(&sdk(&world, Region::LONDON), "3", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_collides_with_another_regions_is_told_to_try_again() {
    let world = world();
    inject_conflicts(&world, "t", 1);
    let problem = put(&sdk(&world, Region::LONDON), "1", "").await.unwrap_err();
    assert!(problem.contains("ReplicatedWriteConflictException"), "{problem}");
    put(&sdk(&world, Region::LONDON), "1", "").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dark_region_costs_the_connect_timeout_and_no_more() {
    let world = world();
    world.go_dark(Region::DUBLIN);
    let before = world.elapsed();
    let rds = aws_sdk_rds::Client::new(&in_region(&sdk(&world, Region::LONDON), Region::DUBLIN));
    rds.describe_global_clusters().send().await.unwrap_err();
    assert_eq!((world.elapsed() - before).as_secs(), 1);
    let last = world.requests().pop().unwrap();
    assert!(last.to_was_dark && last.outcome == Outcome::Lost, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_has_taken_effect() {
    let world = world();
    let matches = CallMatch { operation: Some("PutItem"), ..CallMatch::default() };
    world.inject(CallFault::new(matches, 0..1, CallEffect::LoseAnswer));
    put(&sdk(&world, Region::LONDON), "1", "").await.unwrap_err();
    let problem = put(&sdk(&world, Region::LONDON), "2", "attribute_not_exists(pk)").await.unwrap_err();
    assert!(problem.contains("ConditionalCheckFailedException"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_failover_without_allow_data_loss_is_a_switchover_and_hangs_on_a_dead_primary() {
    let world = world();
    world.go_dark(Region::DUBLIN);
    let rds = aws_sdk_rds::Client::new(&sdk(&world, Region::LONDON));
    let call = rds.failover_global_cluster().global_cluster_identifier("g").target_db_cluster_identifier(LONDON_ARN);
    let refused_or_hangs = call.send().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(writer(&world), Some(Region::DUBLIN), "{refused_or_hangs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failover_keeps_the_old_writer_flag_until_it_is_done() {
    let world = world();
    world.go_dark(Region::DUBLIN);
    let rds = aws_sdk_rds::Client::new(&sdk(&world, Region::LONDON));
    let call = rds.failover_global_cluster().global_cluster_identifier("g").target_db_cluster_identifier(LONDON_ARN);
    let accepted_as = call.allow_data_loss(true).send().await.unwrap();
    assert!(accepted_as.global_cluster().and_then(|it| it.failover_state()).is_some(), "{accepted_as:?}");
    let describe = || async {
        let answer = rds.describe_global_clusters().global_cluster_identifier("g").send().await.unwrap();
        answer.global_clusters()[0].clone()
    };
    let during = describe().await;
    assert_eq!(during.status(), Some("failing-over"));
    assert_eq!(during.failover_state().unwrap().is_data_loss_allowed(), Some(true));
    let writers = |cluster: &aws_sdk_rds::types::GlobalCluster| -> Vec<String> {
        let members = cluster.global_cluster_members().iter().filter(|member| member.is_writer() == Some(true));
        members.filter_map(|member| member.db_cluster_arn().map(str::to_owned)).collect()
    };
    assert!(writers(&during)[0].contains("eu-west-1"), "{during:?}");
    tokio::time::sleep(Duration::from_secs(46)).await;
    let after = describe().await;
    assert_eq!((after.status(), writers(&after)), (Some("available"), vec![LONDON_ARN.to_owned()]));
    assert!(after.failover_state().is_none(), "{after:?}");
    assert_eq!(accepted(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failover_must_be_asked_in_the_targets_region() {
    let world = world();
    let rds = aws_sdk_rds::Client::new(&sdk(&world, Region::DUBLIN));
    let call = rds.failover_global_cluster().global_cluster_identifier("g").target_db_cluster_identifier(LONDON_ARN);
    let error = call.allow_data_loss(true).send().await.unwrap_err().into_service_error();
    assert!(error.is_db_cluster_not_found_fault(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lag_metric_is_only_in_the_secondary_and_missing_is_no_zero() {
    let world = world();
    tokio::time::sleep(Duration::from_secs(185)).await;
    let points = |region| {
        let world = world.clone();
        async move {
            use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
            let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
            let metric = Metric::builder().namespace("AWS/RDS").metric_name("AuroraGlobalDBRPOLag");
            let metric = metric
                .dimensions(dimension("SourceRegion", "eu-west-1"))
                .dimensions(dimension("DBClusterIdentifier", "payments-eu-west-2"));
            let stat = MetricStat::builder().metric(metric.build()).period(60).stat("Maximum").build();
            let seconds = |at: jiff::Timestamp| aws_smithy_types::DateTime::from_secs(at.as_second());
            let answer = aws_sdk_cloudwatch::Client::new(&sdk(&world, region))
                .get_metric_data()
                .metric_data_queries(MetricDataQuery::builder().id("lag").metric_stat(stat).build())
                .start_time(seconds(world.now() - jiff::SignedDuration::from_mins(10)))
                .end_time(seconds(world.now()))
                .send()
                .await
                .unwrap();
            answer.metric_data_results()[0].values().to_vec()
        }
    };
    assert_eq!(points(Region::LONDON).await, [80.0, 80.0, 80.0]);
    assert!(points(Region::DUBLIN).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_event_reaches_its_function_and_a_failing_function_is_tried_three_times() {
    use holdfast_world::events::Rule;
    let world = world();
    let fails: holdfast_world::lambda::Handler = Arc::new(|_| Box::pin(async { Err("no".to_owned()) }));
    world.create_function(Region::LONDON, "f", Duration::from_secs(10), fails);
    world.put_rule(Rule { region: Region::LONDON, bus: "b", source: "s", detail_types: vec!["D"], target: "f" });
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder();
    let entry = entry.event_bus_name("b").source("s").detail_type("D").detail("{}").build();
    let bus = aws_sdk_eventbridge::Client::new(&in_region(&sdk(&world, Region::FRANKFURT), Region::LONDON));
    bus.put_events().entries(entry).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!((world.invoked().len(), world.dead_letters().len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_topic_reaches_a_person_and_an_unknown_one_is_an_error() {
    let world = world();
    let arn = holdfast_world::sns::topic_arn(Region::LONDON, "pages");
    world.create_topic(&arn);
    let sns = aws_sdk_sns::Client::new(&sdk(&world, Region::LONDON));
    sns.publish().topic_arn(&arn).subject("s").message("<m> & more").send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.inbox()[0].message, "<m> & more");
    let error = sns.publish().topic_arn("arn:aws:sns:eu-west-2:1:no").message("m").send().await.unwrap_err();
    assert!(error.into_service_error().is_not_found_exception());
}

#[tokio::test(start_paused = true)]
async fn the_nearest_healthy_region_is_answered_and_all_when_none_is() {
    use holdfast_world::route53::HealthCheck;
    let world = world();
    for (id, region) in [("d", Region::DUBLIN), ("l", Region::LONDON)] {
        let url = format!("https://{region}.example.com/healthz");
        let well: holdfast_world::route53::HostHandler =
            Arc::new(|_| Box::pin(async { http::Response::new(bytes::Bytes::new()) }));
        world.serve_host(&format!("{region}.example.com"), region, well);
        world.create_health_check(HealthCheck {
            id,
            url,
            region,
            interval: Duration::from_secs(10),
            failure_threshold: 3,
        });
    }
    let answered = |near| world.resolve(near).unwrap().region;
    assert_eq!(answered(Region::DUBLIN), Region::DUBLIN);
    world.go_dark(Region::DUBLIN);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(answered(Region::DUBLIN), Region::LONDON);
    world.go_dark(Region::LONDON);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(answered(Region::DUBLIN), Region::DUBLIN);
}
