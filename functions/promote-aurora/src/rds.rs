//! RDS as the decisions see it. Statuses are compared as strings: the SDK's enum does not know `switching-over`.

use aws_sdk_rds::Client;
use aws_sdk_rds::config::Config;
use aws_sdk_rds::error::ProvideErrorMetadata as _;
use aws_sdk_rds::types::{DbCluster, DbInstance, Filter, GlobalCluster as SdkGlobalCluster};
use aws_types::SdkConfig;
use holdfast_aws::clients::{in_region, never_retried};
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::arn::ClusterArn;
use holdfast_domain::order::{Means, Order};
use holdfast_domain::promotion::{GlobalCluster, Instance, Member, Observed, Operation, TargetCluster};
use holdfast_domain::topology::Topology;

/// The RDS control plane of one Region.
#[derive(Clone, Debug)]
pub(crate) struct Rds {
    pub(crate) client: Client,
}

/// What RDS answered to a call that was to change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has begun.
    Accepted,
    /// It is busy with something, perhaps with an earlier call of ours: look again.
    Busy(String),
    /// It will never do this.
    Refused(String),
    /// No answer: it may have begun.
    Silence(String),
}

impl Answer {
    /// What an error means, by its code.
    pub(crate) fn of(failed: Option<(Option<String>, String)>) -> Self {
        match failed {
            None => Self::Accepted,
            Some((Some(code), why)) => match code.as_str() {
                // What exists already is perhaps an earlier call of ours: the next look shows it.
                "InvalidGlobalClusterStateFault"
                | "InvalidDBClusterStateFault"
                | "DBClusterAlreadyExistsFault"
                | "DBInstanceAlreadyExists" => Self::Busy(why),
                "GlobalClusterNotFoundFault"
                | "DBClusterNotFoundFault"
                | "DBClusterSnapshotNotFoundFault"
                | "AccessDenied"
                | "InvalidParameterCombination"
                | "InvalidParameterValue" => Self::Refused(why),
                _ => Self::Silence(why),
            },
            Some((None, why)) => Self::Silence(why),
        }
    }
}

/// A snapshot of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) status: String,
}

impl Rds {
    pub(crate) fn in_region(sdk: &SdkConfig, region: &Region) -> Self {
        Self { client: Client::new(&in_region(sdk, region)) }
    }

    pub(crate) async fn global_cluster(&self, id: &str) -> Observed<GlobalCluster> {
        let answer = self.client.describe_global_clusters().global_cluster_identifier(id).send().await;
        match answer {
            Ok(answer) => match answer.global_clusters().first() {
                Some(cluster) => read_global_cluster(cluster),
                None => Observed::Unseen { why: format!("RDS knows no global cluster {id}") },
            },
            Err(error) => Observed::Unseen { why: format!("DescribeGlobalClusters failed: {}", causes(&error)) },
        }
    }

    pub(crate) async fn target_cluster(&self, arn: &ClusterArn) -> Observed<TargetCluster> {
        let filter = Filter::builder().name("db-cluster-id").values(arn.identifier()).build();
        let (cluster, instances) = tokio::join!(
            self.client.describe_db_clusters().db_cluster_identifier(arn.identifier()).send(),
            self.client.describe_db_instances().filters(filter).send()
        );
        match (cluster, instances) {
            (Ok(cluster), Ok(instances)) => match cluster.db_clusters().first() {
                Some(cluster) => Observed::Seen(read_target(cluster, instances.db_instances())),
                None => Observed::Unseen { why: format!("RDS knows no cluster {arn}") },
            },
            (Err(error), _) => Observed::Unseen { why: format!("DescribeDBClusters failed: {}", causes(&error)) },
            (_, Err(error)) => Observed::Unseen { why: format!("DescribeDBInstances failed: {}", causes(&error)) },
        }
    }

    /// The one mutating call of a promotion, sent once.
    pub(crate) async fn carry_out(&self, topology: &Topology, order: &Order) -> Answer {
        let once = || Config::builder().retry_config(never_retried());
        let global_cluster = &topology.global_cluster;
        let target = order.target().to_string();
        let failed = match order {
            Order::Failover(failover) if *failover.means() == Means::ReadReplica => {
                return self.promote_read_replica(failover.target()).await;
            }
            Order::Failover(failover) if *failover.means() != Means::GlobalDatabase => {
                return self.restore(topology, failover).await;
            }
            Order::Failover(_) => self
                .client
                .failover_global_cluster()
                .global_cluster_identifier(global_cluster)
                .target_db_cluster_identifier(target)
                .allow_data_loss(true)
                .customize()
                .config_override(once())
                .send()
                .await
                .err()
                .map(|error| (error.code().map(str::to_owned), causes(&error))),
            Order::Switchover(_) => self
                .client
                .switchover_global_cluster()
                .global_cluster_identifier(global_cluster)
                .target_db_cluster_identifier(target)
                .customize()
                .config_override(once())
                .send()
                .await
                .err()
                .map(|error| (error.code().map(str::to_owned), causes(&error))),
        };
        Answer::of(failed)
    }

    /// Snapshots of a cluster, newest last.
    pub(crate) async fn snapshots(&self, cluster: &str) -> Result<Vec<Snapshot>, String> {
        let answer = self.client.describe_db_cluster_snapshots().db_cluster_identifier(cluster).send().await;
        let answer = answer.map_err(|error| format!("DescribeDBClusterSnapshots failed: {}", causes(&error)))?;
        let read = answer.db_cluster_snapshots().iter().filter_map(|snapshot| {
            let id = snapshot.db_cluster_snapshot_identifier()?.to_owned();
            Some(Snapshot { id, status: snapshot.status().unwrap_or("unknown").to_owned() })
        });
        Ok(read.collect())
    }

    /// Copies a system snapshot to a manual one, which no retention rule deletes.
    pub(crate) async fn copy_snapshot(&self, source: &str, target: &str) -> Result<(), String> {
        let copy = self
            .client
            .copy_db_cluster_snapshot()
            .source_db_cluster_snapshot_identifier(source)
            .target_db_cluster_snapshot_identifier(target)
            .copy_tags(true);
        let once = Config::builder().retry_config(never_retried());
        match copy.customize().config_override(once).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("DBClusterSnapshotAlreadyExistsFault") => Ok(()),
            Err(error) => Err(format!("CopyDBClusterSnapshot failed: {}", causes(&error))),
        }
    }
}

fn read_global_cluster(cluster: &SdkGlobalCluster) -> Observed<GlobalCluster> {
    let mut members = Vec::new();
    for member in cluster.global_cluster_members() {
        match ClusterArn::parse(member.db_cluster_arn().unwrap_or_default()) {
            Ok(arn) => members.push(Member {
                arn,
                is_writer: member.is_writer() == Some(true),
                connected: member.synchronization_status().map(|status| status.as_str() == "connected"),
            }),
            Err(problem) => return Observed::Unseen { why: format!("a member cannot be read: {problem}") },
        }
    }
    let operation = cluster.failover_state().and_then(|state| {
        Some(Operation {
            status: state.status()?.as_str().to_owned(),
            to: state.to_db_cluster_arn().map(str::to_owned),
            data_loss_allowed: state.is_data_loss_allowed() == Some(true),
        })
    });
    Observed::Seen(GlobalCluster {
        status: cluster.status().unwrap_or("unknown").to_owned(),
        engine_version: cluster.engine_version().map(str::to_owned),
        members,
        operation,
    })
}

pub(crate) fn read_target(cluster: &DbCluster, instances: &[DbInstance]) -> TargetCluster {
    let writer = cluster
        .db_cluster_members()
        .iter()
        .find(|member| member.is_cluster_writer() == Some(true))
        .and_then(|member| member.db_instance_identifier());
    let instances = instances.iter().filter_map(|instance| {
        let id = instance.db_instance_identifier()?;
        Some(Instance {
            id: id.to_owned(),
            status: instance.db_instance_status().unwrap_or("unknown").to_owned(),
            is_writer: Some(id) == writer,
        })
    });
    TargetCluster {
        status: cluster.status().unwrap_or("unknown").to_owned(),
        engine_version: cluster.engine_version().map(str::to_owned),
        instances: instances.collect(),
        replication_source: cluster.replication_source_identifier().filter(|it| !it.is_empty()).map(str::to_owned),
    }
}
