//! What reconcile-ledger writes: attempts in doubt, an item for each key; what its runs came to; the files it has had.
//!
//! The payments tier reads `in-doubt#<global cluster>` / `<attempt key>` with a strongly consistent read, and answers "in doubt,
//! retry after" while the item is there and not settled. Nothing is deleted here: MRSC has no TTL, and pruning is for later.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_domain::Region;
use holdfast_domain::reconciliation::{FileRecord, InDoubt, OpenPayments, Payout, RunRecord, UnfinishedRuns};
use serde::de::DeserializeOwned;

use super::{Condition, Coordination, CoordinationError, body};

/// Pages of 1 MB of the list; more would be a table scan in the middle of an outage.
const PAGES_MAX: usize = 20;

impl Coordination {
    /// The whole list of attempts in doubt, settled ones too.
    pub async fn in_doubt(&self) -> Result<Vec<InDoubt>, CoordinationError> {
        self.all_of(self.in_doubt_key()).await
    }

    /// Every payout that a provider's file has told of, arrived ones too.
    pub async fn payouts(&self) -> Result<Vec<Payout>, CoordinationError> {
        self.all_of(self.payout_key()).await
    }

    /// Remembers a payout, or that it has arrived; `payout.version` must be one above the version that was read.
    pub async fn save_payout(&self, payout: &Payout) -> Result<(), CoordinationError> {
        let condition = Condition::Version(payout.version.saturating_sub(1));
        self.put(&self.payout_key(), &payout.name(), payout, payout.version, condition).await
    }

    /// The files of a Region whose settling was begun and has not ended.
    pub async fn unfinished_runs(&self, region: &Region) -> Result<UnfinishedRuns, CoordinationError> {
        Ok(self.read(&self.unfinished_key(), region.as_str()).await?.unwrap_or_default())
    }

    /// Remembers them; `runs.version` must be one above the version that was read.
    pub async fn save_unfinished_runs(&self, region: &Region, runs: &UnfinishedRuns) -> Result<(), CoordinationError> {
        let condition = Condition::Version(runs.version.saturating_sub(1));
        self.put(&self.unfinished_key(), region.as_str(), runs, runs.version, condition).await
    }

    /// What a provider's files have left open; nothing before the first of them.
    pub async fn open_payments(&self, provider: &str) -> Result<OpenPayments, CoordinationError> {
        Ok(self.read(&self.open_payments_key(), provider).await?.unwrap_or_default())
    }

    /// Remembers what is open; `open.version` must be one above the version that was read.
    pub async fn save_open_payments(&self, provider: &str, open: &OpenPayments) -> Result<(), CoordinationError> {
        let condition = Condition::Version(open.version.saturating_sub(1));
        self.put(&self.open_payments_key(), provider, open, open.version, condition).await
    }

    /// Every record of a partition.
    pub(super) async fn all_of<T: DeserializeOwned>(&self, key: String) -> Result<Vec<T>, CoordinationError> {
        let mut listed = Vec::new();
        let mut next: Option<HashMap<String, AttributeValue>> = None;
        for _ in 0..PAGES_MAX {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(key.clone()))
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(|error| self.unavailable("Query", &error))?;
            for item in answer.items() {
                listed.push(body(item, &key)?);
            }
            match answer.last_evaluated_key() {
                Some(key) if !key.is_empty() => next = Some(key.clone()),
                Some(_) | None => return Ok(listed),
            }
        }
        let why = format!("the list has more than {PAGES_MAX} pages; prune what is settled");
        Err(CoordinationError::Unreadable { item: key, why })
    }

    /// Lists an attempt or settles it; `entry.version` must be one above the version that was read.
    ///
    /// An answer that got lost is looked up, so `Ok` and `Conflict` are both certain.
    pub async fn save_in_doubt(&self, entry: &InDoubt) -> Result<(), CoordinationError> {
        let key = self.in_doubt_key();
        let condition = Condition::Version(entry.version.saturating_sub(1));
        match self.put(&key, &entry.key, entry, entry.version, condition).await {
            Ok(()) => Ok(()),
            Err(first) => match self.read::<InDoubt>(&key, &entry.key).await {
                Ok(Some(stored)) if stored == *entry => Ok(()),
                Ok(Some(stored)) if stored.version >= entry.version => {
                    Err(CoordinationError::Conflict { item: format!("{key}/{}", entry.key) })
                }
                Ok(_) | Err(_) => Err(first),
            },
        }
    }

    /// What a run came to last, if it ever ran.
    pub async fn ledger_run(&self, run: &str) -> Result<Option<RunRecord>, CoordinationError> {
        self.read(&self.ledger_run_key(), run).await
    }

    /// What every run came to last.
    pub async fn ledger_runs(&self) -> Result<Vec<RunRecord>, CoordinationError> {
        self.all_of(self.ledger_run_key()).await
    }

    /// Remembers what a run came to; `record.version` must be one above the version that was read.
    pub async fn save_ledger_run(&self, run: &str, record: &RunRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        self.put(&self.ledger_run_key(), run, record, record.version, condition).await
    }

    /// What is known of a file with these bytes.
    pub async fn clearing_file(&self, digest: &str) -> Result<Option<FileRecord>, CoordinationError> {
        self.read(&self.clearing_file_key(), digest).await
    }

    /// Remembers a file; `record.version` must be one above the version that was read.
    pub async fn save_clearing_file(&self, record: &FileRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        self.put(&self.clearing_file_key(), &record.digest, record, record.version, condition).await
    }

    fn unfinished_key(&self) -> String {
        format!("unfinished#{}", self.cluster)
    }
    fn open_payments_key(&self) -> String {
        format!("open-payments#{}", self.cluster)
    }
    fn payout_key(&self) -> String {
        format!("payout#{}", self.cluster)
    }
    fn in_doubt_key(&self) -> String {
        format!("in-doubt#{}", self.cluster)
    }
    fn ledger_run_key(&self) -> String {
        format!("ledger-run#{}", self.cluster)
    }
    fn clearing_file_key(&self) -> String {
        format!("clearing-file#{}", self.cluster)
    }
}
