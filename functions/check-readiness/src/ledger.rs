//! Aurora: the Region's cluster, its instances, and the parameters that somebody has set.

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, Filter};
use holdfast_aws::failure::causes;
use holdfast_domain::readiness::{Seen, Setting, Value};

use crate::properties::{seen, sorted};
use crate::side::{Reads, Side, observed};

/// By what findings name the cluster: its identifier is another one in each Region.
const LEDGER: &str = "ledger";
/// It bounds replication lag by stopping commits.
const RPO: &str = "rds.global_db_rpo";

pub(crate) async fn ledger(side: &Side) -> Reads {
    let client = Client::new(&side.sdk);
    let (cluster, instances) = tokio::join!(cluster(side, &client), instances(side, &client));
    let parameters = match &cluster {
        Ok(cluster) => parameters(cluster, &client).await,
        Err(why) => Err(why.clone()),
    };
    let cluster = cluster.map(|cluster| described(&cluster));
    Reads::from([
        ("the ledger's cluster".to_owned(), observed(cluster)),
        ("the ledger's instances".to_owned(), observed(instances)),
        ("the ledger's parameters".to_owned(), observed(parameters)),
    ])
}

async fn cluster(side: &Side, client: &Client) -> Result<DbCluster, String> {
    let id = side.data.cluster_arn.identifier();
    let answer = client.describe_db_clusters().db_cluster_identifier(id).send().await;
    let answer = answer.map_err(|error| format!("DescribeDBClusters failed: {}", causes(&error)))?;
    answer.db_clusters().first().cloned().ok_or_else(|| format!("there is no cluster {id}"))
}

fn described(cluster: &DbCluster) -> Vec<Seen> {
    let days = cluster.backup_retention_period().and_then(|days| u64::try_from(days).ok());
    let on = |flag: Option<bool>| Value::Flag(flag == Some(true));
    vec![
        seen(Setting::AuroraEngine, LEDGER, Value::Text(cluster.engine_version().unwrap_or("unnamed").to_owned())),
        seen(Setting::AuroraProtected, LEDGER, on(cluster.deletion_protection())),
        seen(Setting::AuroraBackups, LEDGER, days.map_or(Value::Absent, Value::Number)),
        seen(Setting::AuroraLogin, LEDGER, on(cluster.iam_database_authentication_enabled())),
    ]
}

async fn instances(side: &Side, client: &Client) -> Result<Vec<Seen>, String> {
    let filter = Filter::builder().name("db-cluster-id").values(side.data.cluster_arn.identifier()).build();
    let answer = client.describe_db_instances().filters(filter).send().await;
    let answer = answer.map_err(|error| format!("DescribeDBInstances failed: {}", causes(&error)))?;
    let instances = answer.db_instances();
    let count = u64::try_from(instances.len()).unwrap_or(u64::MAX);
    let mut found = vec![seen(Setting::AuroraInstances, LEDGER, Value::Number(count))];
    if !instances.is_empty() {
        let mut classes: Vec<String> =
            instances.iter().filter_map(|it| it.db_instance_class()).map(str::to_owned).collect();
        classes.sort();
        classes.dedup();
        let upgrades = instances.iter().any(|it| it.auto_minor_version_upgrade() == Some(true));
        found.push(seen(Setting::AuroraClasses, LEDGER, sorted(classes)));
        found.push(seen(Setting::AuroraUpgrades, LEDGER, Value::Flag(upgrades)));
    }
    Ok(found)
}

/// Every page: a group has hundreds of parameters, and few that somebody has set.
async fn parameters(cluster: &DbCluster, client: &Client) -> Result<Vec<Seen>, String> {
    let group =
        cluster.db_cluster_parameter_group().ok_or_else(|| "the cluster names no parameter group".to_owned())?;
    let (mut set, mut rpo, mut marker) = (Vec::new(), Value::Absent, None);
    loop {
        let ask = client.describe_db_cluster_parameters().db_cluster_parameter_group_name(group).source("user");
        let answer = ask.set_marker(marker).send().await;
        let answer = answer.map_err(|error| format!("DescribeDBClusterParameters failed: {}", causes(&error)))?;
        for parameter in answer.parameters() {
            let (name, value) = (parameter.parameter_name().unwrap_or_default(), parameter.parameter_value());
            match (name, value) {
                (RPO, Some(value)) => rpo = Value::Text(value.to_owned()),
                (_, Some(value)) => set.push(format!("{name}={value}")),
                (_, None) => {}
            }
        }
        marker = answer.marker().map(str::to_owned).filter(|marker| !marker.is_empty());
        if marker.is_none() {
            break;
        }
    }
    Ok(vec![seen(Setting::AuroraParameters, LEDGER, sorted(set)), seen(Setting::AuroraRpo, LEDGER, rpo)])
}
