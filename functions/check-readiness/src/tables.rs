//! DynamoDB: the coordination table and the attempts table, as this Region describes them.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TableDescription;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::readiness::{Seen, Setting, Value};

use crate::properties::seen;
use crate::side::{Reads, Side, observed};

pub(crate) async fn tables(side: &Side) -> Reads {
    let client = Client::new(&side.sdk);
    let coordination = &side.topology.coordination_table;
    let attempts = &side.topology.attempts.table;
    let everywhere: Vec<&Region> = side.topology.observers().filter(|it| **it != side.data.region).collect();
    let peer = [&side.peer.region];
    let (one, other, one_backups, other_backups) = tokio::join!(
        described(&client, coordination, Setting::CoordinationStrong, &everywhere),
        described(&client, attempts, Setting::AttemptsStrong, &peer),
        backups(&client, coordination),
        backups(&client, attempts),
    );
    Reads::from([
        (format!("the table {coordination}"), observed(one)),
        (format!("the table {attempts}"), observed(other)),
        (format!("the backups of {coordination}"), observed(one_backups)),
        (format!("the backups of {attempts}"), observed(other_backups)),
    ])
}

async fn described(client: &Client, name: &str, mode: Setting, others: &[&Region]) -> Result<Vec<Seen>, String> {
    let answer = client.describe_table().table_name(name).send().await;
    let answer = answer.map_err(|error| format!("DescribeTable of {name} failed: {}", causes(&error)))?;
    let table = answer.table().ok_or_else(|| "DescribeTable answers without a table".to_owned())?;
    let consistency = table.multi_region_consistency().map_or("none", |mode| mode.as_str());
    let active = |region: &&Region| {
        let replica = table.replicas().iter().find(|it| it.region_name() == Some(region.as_str()));
        replica.and_then(|it| it.replica_status()).is_some_and(|status| status.as_str() == "ACTIVE")
    };
    Ok(vec![
        seen(mode, name, Value::Text(consistency.to_owned())),
        seen(Setting::TableReplicas, name, Value::Flag(others.iter().all(active))),
        seen(Setting::TableCapacity, name, Value::Text(capacity(table))),
        seen(Setting::TableProtected, name, Value::Flag(table.deletion_protection_enabled() == Some(true))),
    ])
}

/// A table that was never on demand has no summary, and is provisioned.
fn capacity(table: &TableDescription) -> String {
    let mode = table.billing_mode_summary().and_then(|it| it.billing_mode()).map_or("PROVISIONED", |it| it.as_str());
    if mode == "PAY_PER_REQUEST" {
        return "on demand".into();
    }
    let units = table.provisioned_throughput();
    let reads = units.and_then(|it| it.read_capacity_units()).unwrap_or_default();
    let writes = units.and_then(|it| it.write_capacity_units()).unwrap_or_default();
    format!("{reads} reads and {writes} writes a second")
}

async fn backups(client: &Client, name: &str) -> Result<Vec<Seen>, String> {
    let answer = client.describe_continuous_backups().table_name(name).send().await;
    let answer = answer.map_err(|error| format!("DescribeContinuousBackups of {name} failed: {}", causes(&error)))?;
    let recovery = answer.continuous_backups_description().and_then(|it| it.point_in_time_recovery_description());
    let status = recovery.and_then(|it| it.point_in_time_recovery_status());
    let status = status.ok_or_else(|| "DescribeContinuousBackups answers without a status".to_owned())?;
    Ok(vec![seen(Setting::TableRecovery, name, Value::Flag(status.as_str() == "ENABLED"))])
}
