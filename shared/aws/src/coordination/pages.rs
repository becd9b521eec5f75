//! What the pager keeps: what was paged, which pages somebody still waits for, and how long rehearsals took.

use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_domain::page::PageRecord;
use holdfast_domain::page::open::OpenPage;
use holdfast_domain::page::pager::Rehearsed;

use super::{Condition, Coordination, CoordinationError, KEY};
use crate::clients::never_retried;

/// What a thread's open page is kept under, in a partition of its own: they are listed every minute, and are few.
const OPEN: &str = "open-page";

impl Coordination {
    /// What is remembered of a thread's pages.
    pub async fn page_record(&self, thread: &str) -> Result<Option<PageRecord>, CoordinationError> {
        self.read(&format!("page#{thread}"), "record").await
    }

    /// Remembers what was paged; `record.version` must be one above the version that was read.
    pub async fn save_page_record(&self, thread: &str, record: &PageRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        self.put(&format!("page#{thread}"), "record", record, record.version, condition).await
    }

    /// The pages that a channel has not taken or that nobody has acknowledged.
    pub async fn open_pages(&self) -> Result<Vec<OpenPage>, CoordinationError> {
        self.all_of(self.open_pages_key()).await
    }

    /// A thread's open page.
    pub async fn open_page(&self, thread: &str) -> Result<Option<OpenPage>, CoordinationError> {
        self.read(&self.open_pages_key(), thread).await
    }

    /// Keeps a thread's open page; `open.version` must be one above the version that was read.
    pub async fn save_open_page(&self, open: &OpenPage) -> Result<(), CoordinationError> {
        let condition = Condition::Version(open.version.saturating_sub(1));
        self.put(&self.open_pages_key(), &open.page.thread, open, open.version, condition).await
    }

    /// Forgets a page that is done with, unless somebody has changed it since.
    pub async fn close_page(&self, open: &OpenPage) -> Result<(), CoordinationError> {
        let pk = self.open_pages_key();
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY.0, AttributeValue::S(pk.clone()))
            .key(KEY.1, AttributeValue::S(open.page.thread.clone()))
            .condition_expression("#number = :seen")
            .expression_attribute_names("#number", "number")
            .expression_attribute_values(":seen", AttributeValue::N(open.version.to_string()))
            .customize()
            .config_override(Config::builder().retry_config(never_retried()))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                Err(CoordinationError::Conflict { item: format!("{pk}/{}", open.page.thread) })
            }
            Err(error) => Err(self.unavailable("DeleteItem", &error)),
        }
    }

    /// Keeps how long people took to acknowledge a rehearsal. Safe to repeat: the first is kept.
    pub async fn save_rehearsal(&self, rehearsed: &Rehearsed) -> Result<(), CoordinationError> {
        let key = format!("rehearsal#{}", self.cluster);
        match self.put(&key, &rehearsed.thread, rehearsed, 1, Condition::Version(0)).await {
            Ok(()) | Err(CoordinationError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn open_pages_key(&self) -> String {
        format!("{OPEN}#{}", self.cluster)
    }
}
