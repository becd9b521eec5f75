//! What check-readiness found last of each data Region: one item for each, under one conditional write.

use holdfast_domain::Region;
use holdfast_domain::incident::Incident;
use holdfast_domain::promotion::Archived;
use holdfast_domain::readiness::{ReadinessRecord, ReadinessReport};

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

    /// What the last comparison found, if there ever was one.
    pub async fn readiness_report(&self) -> Result<Option<ReadinessReport>, CoordinationError> {
        self.read(&self.readiness_key(), "report").await
    }

    /// Remembers a comparison; `report.version` must be one above the version that was read.
    pub async fn save_readiness_report(&self, report: &ReadinessReport) -> Result<(), CoordinationError> {
        let condition = Condition::Version(report.version.saturating_sub(1));
        self.put(&self.readiness_key(), "report", report, report.version, condition).await
    }

    /// Every incident that is over and kept: how long promotions really took.
    pub async fn kept_incidents(&self) -> Result<Vec<Incident>, CoordinationError> {
        let kept: Vec<Archived> = self.all_of(format!("incident#{}", self.cluster)).await?;
        Ok(kept.into_iter().map(|archived| archived.incident).collect())
    }

    fn readiness_key(&self) -> String {
        format!("readiness#{}", self.cluster)
    }
}
