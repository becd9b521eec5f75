//! The coordination table: a DynamoDB global table with multi-Region strong consistency (MRSC).
//!
//! Each decision is one conditional write on one item: MRSC has no transactions. A Region that is cut off from
//! the other two cannot write here, and so cannot promote itself.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use holdfast_domain::incident::{ClusterState, Incident};
use holdfast_domain::promotion::{Archived, Judgement};
use holdfast_domain::topology::Topology;
use holdfast_domain::vote::Vote;
use holdfast_domain::{Region, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clients::never_retried;
use crate::failure::causes;

mod ledger;
mod pages;
mod readiness;
mod receipts;
mod replication;
mod traffic;
mod trails;

/// Partition key and sort key; both are strings.
const KEY: (&str, &str) = ("pk", "sk");
/// How often a write that collided with another Region's is tried again (`ReplicatedWriteConflictException`).
const CONFLICT_ATTEMPTS: u32 = 6;
/// The first pause between such tries; it grows by itself.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// The coordination table, reached through one Region's replica.
#[derive(Clone, Debug)]
pub struct Coordination {
    client: Client,
    table: String,
    cluster: String,
}

/// The coordination table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CoordinationError {
    /// No answer, or an error of the service.
    #[error("{operation} on the coordination table {table} failed: {why}")]
    Unavailable {
        /// The DynamoDB operation.
        operation: &'static str,
        /// The table.
        table: String,
        /// The SDK's words.
        why: String,
    },
    /// Somebody else has written since. Read again; do not repeat the write.
    #[error("{item} was changed by somebody else meanwhile")]
    Conflict {
        /// What was to be written.
        item: String,
    },
    /// What is stored cannot be read: a newer version of Holdfast may have written it.
    #[error("{item} in the coordination table cannot be read: {why}")]
    Unreadable {
        /// What was read.
        item: String,
        /// Why not.
        why: String,
    },
}

type Item = HashMap<String, AttributeValue>;

/// A condition on the item that is about to be replaced.
enum Condition {
    /// Its version is this one; 0 means that there is none yet.
    Version(u64),
    /// Its sequence is below this one, or there is none yet.
    SequenceBelow(u64),
    /// Its epoch is below this one, or this one in the same Region, or there is none yet.
    EpochBelow(u64, Region),
}

impl Coordination {
    /// The table of this installation, through the replica in the configuration's Region.
    #[must_use]
    pub fn new(sdk: &SdkConfig, topology: &Topology) -> Self {
        Self {
            client: Client::new(sdk),
            table: topology.coordination_table.clone(),
            cluster: topology.global_cluster.clone(),
        }
    }

    /// The state that all drivers share. A table without one is a cluster that never had an incident.
    pub async fn cluster_state(&self) -> Result<ClusterState, CoordinationError> {
        Ok(self.read(&self.state_key(), "state").await?.unwrap_or_default())
    }

    /// Replaces the state if nobody has since; `next.version` must be one above the version that was read.
    ///
    /// An answer that got lost is looked up, so `Ok` and `Conflict` are both certain.
    pub async fn save_cluster_state(&self, next: &ClusterState) -> Result<(), CoordinationError> {
        let condition = Condition::Version(next.version.saturating_sub(1));
        match self.put(&self.state_key(), "state", next, next.version, condition).await {
            Ok(()) => Ok(()),
            Err(first) => match self.cluster_state().await {
                Ok(stored) if stored == *next => Ok(()),
                Ok(stored) if stored.version >= next.version => {
                    Err(CoordinationError::Conflict { item: self.state_key() })
                }
                Ok(_) | Err(_) => Err(first),
            },
        }
    }

    /// Keeps an incident that is over, or that a later one supersedes, with what was decided in it. Safe to repeat.
    pub async fn archive(&self, incident: &Incident, judgements: &[Judgement]) -> Result<(), CoordinationError> {
        let archived = Archived { incident: incident.clone(), judgements: judgements.to_vec() };
        let written = u64::try_from(incident.history.len()).unwrap_or(u64::MAX);
        let key = format!("incident#{}", self.cluster);
        let condition = Condition::SequenceBelow(written);
        match self.put(&key, &format!("e{:012}", incident.epoch), &archived, written, condition).await {
            Ok(()) | Err(CoordinationError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every observer's last vote.
    pub async fn votes(&self) -> Result<Vec<Vote>, CoordinationError> {
        let key = format!("vote#{}", self.cluster);
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(key.clone()))
            .send()
            .await
            .map_err(|error| self.unavailable("Query", &error))?;
        answer.items().iter().map(|item| body(item, &key)).collect()
    }

    /// Writes a vote, unless a later one of the same observer is there: a slow duplicate run must not turn back time.
    pub async fn put_vote(&self, vote: &Vote) -> Result<(), CoordinationError> {
        let key = format!("vote#{}", self.cluster);
        let condition = Condition::SequenceBelow(vote.sequence);
        self.put(&key, vote.observer.as_str(), vote, vote.sequence, condition).await
    }

    /// Raises the writer epoch for a Region: the old writer's next lease renewal fails. Safe to repeat.
    pub async fn raise_epoch(&self, epoch: u64, region: &Region, now: Timestamp) -> Result<(), CoordinationError> {
        let key = format!("writer#{}", self.cluster);
        let condition = Condition::EpochBelow(epoch, region.clone());
        let writer = WriterEpoch { epoch, region: region.clone(), raised_at: now };
        self.put(&key, "epoch", &writer, epoch, condition).await
    }

    fn state_key(&self) -> String {
        format!("cluster#{}", self.cluster)
    }

    async fn read<T: DeserializeOwned>(&self, pk: &str, sk: &str) -> Result<Option<T>, CoordinationError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .key(KEY.0, AttributeValue::S(pk.to_owned()))
            .key(KEY.1, AttributeValue::S(sk.to_owned()))
            .send()
            .await
            .map_err(|error| self.unavailable("GetItem", &error))?;
        answer.item().map(|item| body(item, pk)).transpose()
    }

    async fn put<T: Serialize + Sync>(
        &self,
        pk: &str,
        sk: &str,
        value: &T,
        number: u64,
        condition: Condition,
    ) -> Result<(), CoordinationError> {
        let item = pk.to_owned();
        let text = serde_json::to_string(value)
            .map_err(|error| CoordinationError::Unreadable { item: item.clone(), why: error.to_string() })?;
        let mut attempt = 1;
        loop {
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .item(KEY.0, AttributeValue::S(pk.to_owned()))
                .item(KEY.1, AttributeValue::S(sk.to_owned()))
                .item("number", AttributeValue::N(number.to_string()))
                .item("body", AttributeValue::S(text.clone()));
            let put = match &condition {
                Condition::Version(0) => put.condition_expression("attribute_not_exists(pk)"),
                Condition::Version(version) => put
                    .condition_expression("#number = :seen")
                    .expression_attribute_names("#number", "number")
                    .expression_attribute_values(":seen", AttributeValue::N(version.to_string())),
                Condition::SequenceBelow(sequence) => put
                    .condition_expression("attribute_not_exists(pk) OR #number < :next")
                    .expression_attribute_names("#number", "number")
                    .expression_attribute_values(":next", AttributeValue::N(sequence.to_string())),
                Condition::EpochBelow(epoch, region) => put
                    .item("writer_region", AttributeValue::S(region.to_string()))
                    .condition_expression(
                        "attribute_not_exists(pk) OR #number < :next OR (#number = :next AND writer_region = :region)",
                    )
                    .expression_attribute_names("#number", "number")
                    .expression_attribute_values(":next", AttributeValue::N(epoch.to_string()))
                    .expression_attribute_values(":region", AttributeValue::S(region.to_string())),
            };
            let sent = put.customize().config_override(Config::builder().retry_config(never_retried())).send().await;
            match sent {
                Ok(_) => return Ok(()),
                Err(error) if collided(&error) && attempt < CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(CONFLICT_PAUSE * attempt).await;
                    attempt += 1;
                }
                Err(error) if refused(&error) => return Err(CoordinationError::Conflict { item }),
                Err(error) => return Err(self.unavailable("PutItem", &error)),
            }
        }
    }

    fn unavailable(&self, operation: &'static str, error: &(dyn std::error::Error + 'static)) -> CoordinationError {
        CoordinationError::Unavailable { operation, table: self.table.clone(), why: causes(error) }
    }
}

/// What the payments tier's writers check their lease against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct WriterEpoch {
    /// The epoch in force.
    pub epoch: u64,
    /// The Region that may write.
    pub region: Region,
    /// When it was raised, by the raiser's clock.
    pub raised_at: Timestamp,
}

fn body<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, CoordinationError> {
    let unreadable = |why: String| CoordinationError::Unreadable { item: name.to_owned(), why };
    let text = item.get("body").and_then(|value| value.as_s().ok());
    let text = text.ok_or_else(|| unreadable("it has no `body`".into()))?;
    serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))
}

/// Another Region was writing the same item: DynamoDB asks for the write to be tried again.
fn collided(error: &SdkError<PutItemError>) -> bool {
    error.as_service_error().and_then(|error| error.code()) == Some("ReplicatedWriteConflictException")
}

/// The condition did not hold.
fn refused(error: &SdkError<PutItemError>) -> bool {
    error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception)
}
