//! What verify-replication remembers between its rounds: one item under one conditional write.

use holdfast_domain::replication::ReplicationRecord;

use super::{Condition, Coordination, CoordinationError};

impl Coordination {
    /// What the last round found, if there ever was one.
    pub async fn replication(&self) -> Result<Option<ReplicationRecord>, CoordinationError> {
        self.read(&self.replication_key(), "record").await
    }

    /// Remembers a round; `record.version` must be one above the version that was read.
    pub async fn save_replication(&self, record: &ReplicationRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        self.put(&self.replication_key(), "record", record, record.version, condition).await
    }

    fn replication_key(&self) -> String {
        format!("replication#{}", self.cluster)
    }
}
