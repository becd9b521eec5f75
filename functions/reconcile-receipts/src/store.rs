//! What a run leaves behind: its plan, its checkpoints and its summary, under `holdfast/` in this Region's bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::primitives::ByteStream;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Timestamp;
use holdfast_domain::receipts::{OWN_PREFIX, PlanLine, Summary, Tally, Ways};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::batch::JobsRecord;
use crate::inventory::Chosen;
use crate::shards::Range;

/// The same bytes at the same key: writing them again changes nothing.
const ATTEMPTS_MAX: u32 = 3;

/// The run's own objects cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Reading failed.
    #[error("reading {key} from {bucket} failed: {why}")]
    Read { bucket: String, key: String, why: String },
    /// Writing failed.
    #[error("writing {key} to {bucket} failed: {why}; the run goes on from its last checkpoint")]
    Write { bucket: String, key: String, why: String },
    /// It is not what this version writes.
    #[error("{key} in {bucket} cannot be understood: {why}; delete it to begin anew")]
    Garbled { bucket: String, key: String, why: String },
}

/// What is remembered between runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    /// The run that is under way.
    pub(crate) open: Option<RunRecord>,
    /// What the last finished run said.
    pub(crate) last: Option<Summary>,
}

/// A run that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) run: String,
    /// The plan is carried out.
    pub(crate) apply: bool,
    pub(crate) began: Timestamp,
    pub(crate) invocations: u32,
    pub(crate) ranges: Vec<Range>,
    /// Absent: the buckets are listed.
    #[serde(default)]
    pub(crate) inventory: Option<Chosen>,
    /// What S3 Batch Replication may be given.
    #[serde(default)]
    pub(crate) ways: Ways,
}

/// How far one range has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// Everything up to this key is in the plan.
    pub(crate) after: Option<String>,
    /// All of the range is in the plan.
    pub(crate) planned: bool,
    /// Objects that its plan is in.
    pub(crate) chunks: u32,
    pub(crate) tally: Tally,
    pub(crate) pages: u64,
    /// Objects of the plan whose copies are made.
    pub(crate) copied: u32,
    /// Objects of the plan whose deletes are made.
    pub(crate) deleted: u32,
    pub(crate) done: u64,
    pub(crate) moved_on: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Files of both inventories of which nothing is needed any more.
    #[serde(default)]
    pub(crate) used_up: [Vec<u32>; 2],
}

/// This Region's bucket, for the run's own objects.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    bucket: String,
    folder: String,
}

impl Store {
    pub(crate) fn new(client: Client, bucket: &str, region: &str) -> Self {
        Self { client, bucket: bucket.to_owned(), folder: format!("{OWN_PREFIX}reconcile/{region}") }
    }

    pub(crate) async fn state(&self) -> Result<StateRecord, StoreError> {
        Ok(self.read(&format!("{}/state.json", self.folder)).await?.unwrap_or_default())
    }

    pub(crate) async fn save_state(&self, state: &StateRecord) -> Result<(), StoreError> {
        self.write(&format!("{}/state.json", self.folder), state).await
    }

    pub(crate) async fn shard(&self, run: &str, shard: usize) -> Result<ShardRecord, StoreError> {
        Ok(self.read(&self.shard_key(run, shard)).await?.unwrap_or_default())
    }

    pub(crate) async fn save_shard(&self, run: &str, shard: usize, record: &ShardRecord) -> Result<(), StoreError> {
        self.write(&self.shard_key(run, shard), record).await
    }

    pub(crate) async fn save_summary(&self, summary: &Summary) -> Result<(), StoreError> {
        self.write(&format!("{}/{}/summary.json", self.folder, summary.run), summary).await
    }

    pub(crate) async fn save_lines(
        &self,
        run: &str,
        shard: usize,
        chunk: u32,
        lines: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.put(&self.lines_key(run, shard, chunk), lines).await
    }

    pub(crate) async fn lines(&self, run: &str, shard: usize, chunk: u32) -> Result<Vec<PlanLine>, StoreError> {
        let key = self.lines_key(run, shard, chunk);
        let garbled = |why: String| StoreError::Garbled { bucket: self.bucket.clone(), key: key.clone(), why };
        let bytes = self.get(&key).await?.ok_or_else(|| garbled("it is gone".into()))?;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| garbled(error.to_string()))).collect()
    }

    pub(crate) async fn jobs(&self, run: &str) -> Result<JobsRecord, StoreError> {
        Ok(self.read(&format!("{}/jobs.json", self.folder_of(run))).await?.unwrap_or_default())
    }

    pub(crate) async fn save_jobs(&self, run: &str, jobs: &JobsRecord) -> Result<(), StoreError> {
        self.write(&format!("{}/jobs.json", self.folder_of(run)), jobs).await
    }

    /// What a run's own objects begin with.
    pub(crate) fn folder_of(&self, run: &str) -> String {
        format!("{}/{run}", self.folder)
    }

    /// Where a run's lines are.
    pub(crate) fn place(&self, run: &str) -> String {
        format!("s3://{}/{}/{run}/", self.bucket, self.folder)
    }

    fn shard_key(&self, run: &str, shard: usize) -> String {
        format!("{}/{run}/shard-{shard:03}.json", self.folder)
    }

    fn lines_key(&self, run: &str, shard: usize, chunk: u32) -> String {
        format!("{}/{run}/plan-{shard:03}-{chunk:05}.ndjson", self.folder)
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.get(key).await? else { return Ok(None) };
        let garbled = |error: serde_json::Error| StoreError::Garbled {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            why: error.to_string(),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(garbled)
    }

    async fn write<T: Serialize>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        let failed = |why: String| StoreError::Write { bucket: self.bucket.clone(), key: key.to_owned(), why };
        let bytes = serde_json::to_vec(value).map_err(|error| failed(error.to_string()))?;
        self.put(key, bytes).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |why: String| StoreError::Read { bucket: self.bucket.clone(), key: key.to_owned(), why };
        match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => {
                let body = answer.body.collect().await.map_err(|error| failed(error.to_string()))?;
                Ok(Some(body.into_bytes().to_vec()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(failed(causes(&error))),
        }
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let mut attempt = 1;
        loop {
            let put = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(bytes.clone()));
            let once = Config::builder().retry_config(never_retried());
            match put.customize().config_override(once).send().await {
                Ok(_) => return Ok(()),
                Err(error) if attempt == ATTEMPTS_MAX => {
                    let (bucket, key) = (self.bucket.clone(), key.to_owned());
                    return Err(StoreError::Write { bucket, key, why: causes(&error) });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,
            }
            attempt += 1;
        }
    }
}
