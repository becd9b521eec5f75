//! Standbys that are no member of a global database: what RDS says of them, and the one call for each step.

use std::time::Duration;

use aws_sdk_rds::config::Config;
use aws_sdk_rds::error::ProvideErrorMetadata as _;
use aws_sdk_rds::types::Filter;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Timestamp;
use holdfast_domain::arn::ClusterArn;
use holdfast_domain::order::{Failover, Means, Order};
use holdfast_domain::promotion::{Backup, Observed, Standby, TargetCluster};
use holdfast_domain::topology::{LedgerStrategy, Topology};

use crate::rds::{Answer, Rds, read_target};

/// The engine of the clusters that are restored: the ledger's.
const ENGINE: &str = "aurora-postgresql";

/// What stands by, as RDS tells it; nothing is asked for a global database, which tells itself.
pub(crate) async fn standby(rds: &Rds, strategy: LedgerStrategy, source: &ClusterArn, target: &ClusterArn) -> Standby {
    match strategy {
        LedgerStrategy::GlobalDatabase => Standby::GlobalDatabase,
        LedgerStrategy::ReadReplica => Standby::ReadReplica,
        LedgerStrategy::RestoreFromSnapshot => {
            let (newest, restored) = tokio::join!(rds.newest_backup(source), rds.cluster_if_any(target));
            Standby::Snapshot { newest, restored }
        }
    }
}

/// How much of the ledger the newest snapshot lacks.
pub(crate) fn age_of_backup(standby: &Standby, now: Timestamp) -> Result<Option<Duration>, String> {
    match standby {
        Standby::GlobalDatabase | Standby::ReadReplica => Ok(None),
        Standby::Snapshot { newest: Observed::Seen(Some(backup)), .. } => {
            Ok(Some(holdfast_domain::age(backup.taken_at, now)))
        }
        Standby::Snapshot { newest: Observed::Seen(None), .. } => Err("there is no snapshot to restore".into()),
        Standby::Snapshot { newest: Observed::Unseen { why }, .. } => Err(why.clone()),
    }
}

impl Rds {
    /// A cluster that may not exist: that is an answer, and no answer is none.
    async fn cluster_if_any(&self, arn: &ClusterArn) -> Observed<Option<TargetCluster>> {
        let filter = Filter::builder().name("db-cluster-id").values(arn.identifier()).build();
        let described = self.client.describe_db_clusters().db_cluster_identifier(arn.identifier()).send().await;
        let cluster = match described {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("DBClusterNotFoundFault") => return Observed::Seen(None),
            Err(error) => return Observed::Unseen { why: format!("DescribeDBClusters failed: {}", causes(&error)) },
        };
        let instances = self.client.describe_db_instances().filters(filter).send().await;
        match instances {
            Ok(instances) => {
                Observed::Seen(cluster.db_clusters().first().map(|it| read_target(it, instances.db_instances())))
            }
            Err(error) => Observed::Unseen { why: format!("DescribeDBInstances failed: {}", causes(&error)) },
        }
    }

    /// The newest available snapshot of a cluster in this Region: a copy keeps the identifier of the cluster it is of.
    async fn newest_backup(&self, source: &ClusterArn) -> Observed<Option<Backup>> {
        let request = self.client.describe_db_cluster_snapshots().db_cluster_identifier(source.identifier());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Observed::Unseen { why: format!("DescribeDBClusterSnapshots failed: {}", causes(&error)) };
            }
        };
        let available = answer.db_cluster_snapshots().iter().filter(|snapshot| snapshot.status() == Some("available"));
        let backups = available.filter_map(|snapshot| {
            let taken_at = Timestamp::from_second(snapshot.snapshot_create_time()?.secs()).ok()?;
            Some(Backup { id: snapshot.db_cluster_snapshot_identifier()?.to_owned(), taken_at })
        });
        Observed::Seen(backups.max_by(|one, other| (one.taken_at, &one.id).cmp(&(other.taken_at, &other.id))))
    }

    pub(crate) async fn promote_read_replica(&self, target: &ClusterArn) -> Answer {
        let request = self.client.promote_read_replica_db_cluster().db_cluster_identifier(target.identifier());
        let once = Config::builder().retry_config(never_retried());
        let failed = request.customize().config_override(once).send().await.err();
        Answer::of(failed.map(|error| (error.code().map(str::to_owned), causes(&error))))
    }

    /// Creates the cluster of the target's name, without an instance: RDS takes those only once it is available.
    pub(crate) async fn restore(&self, topology: &Topology, order: &Failover) -> Answer {
        let Means::Snapshot { id, .. } = order.means() else {
            return Answer::Refused("the order names no snapshot".into());
        };
        let target = order.target();
        let into = topology.data_region_of_cluster(target).and_then(|data| data.restore_into.as_ref());
        let Some(into) = into else {
            return Answer::Refused(format!("the configuration has no restore_into for {target}"));
        };
        let request = self
            .client
            .restore_db_cluster_from_snapshot()
            .snapshot_identifier(id)
            .db_cluster_identifier(target.identifier())
            .engine(ENGINE)
            .db_subnet_group_name(&into.subnet_group)
            .set_vpc_security_group_ids(Some(into.security_groups.clone()))
            .enable_iam_database_authentication(true)
            .deletion_protection(true);
        let once = Config::builder().retry_config(never_retried());
        let failed = request.customize().config_override(once).send().await.err();
        Answer::of(failed.map(|error| (error.code().map(str::to_owned), causes(&error))))
    }

    /// The first instance of a restored cluster, and so its writer. One name: a second call creates no second one.
    pub(crate) async fn add_instance(&self, topology: &Topology, order: &Order) -> Answer {
        let target = order.target();
        let into = topology.data_region_of_cluster(target).and_then(|data| data.restore_into.as_ref());
        let Some(into) = into else {
            return Answer::Refused(format!("the configuration has no restore_into for {target}"));
        };
        let request = self
            .client
            .create_db_instance()
            .db_instance_identifier(format!("{}-1", target.identifier()))
            .db_cluster_identifier(target.identifier())
            .db_instance_class(&into.instance_class)
            .engine(ENGINE);
        let once = Config::builder().retry_config(never_retried());
        let failed = request.customize().config_override(once).send().await.err();
        Answer::of(failed.map(|error| (error.code().map(str::to_owned), causes(&error))))
    }
}
