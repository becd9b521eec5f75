//! What check-readiness found last of each data Region: one item for each, under one conditional write.

use holdfast_domain::Region;
use holdfast_domain::readiness::ReadinessRecord;

use super::{Condition, Coordination, CoordinationError};

impl Coordination {
    /// What was found of a data Region, if it was ever judged.
    pub async fn readiness(&self, region: &Region) -> Result<Option<ReadinessRecord>, CoordinationError> {
        self.read(&self.readiness_key(), region.as_str()).await
    }

    /// Remembers a judgement; `record.version` must be one above the version that was read.
    pub async fn save_readiness(&self, record: &ReadinessRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        self.put(&self.readiness_key(), record.region.as_str(), record, record.version, condition).await
    }

    fn readiness_key(&self) -> String {
        format!("readiness#{}", self.cluster)
    }
}
