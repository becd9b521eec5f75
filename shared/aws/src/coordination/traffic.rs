//! What is wanted of the Regions' traffic: one item, so that no two people evacuate both Regions at once.

use holdfast_domain::traffic::TrafficRecord;

use super::{Condition, Coordination, CoordinationError};

impl Coordination {
    /// What is wanted; an installation that never shifted anything has the empty record.
    pub async fn traffic(&self) -> Result<TrafficRecord, CoordinationError> {
        Ok(self.read(&self.traffic_key(), "shift").await?.unwrap_or_default())
    }

    /// Replaces it if nobody has since; `record.version` must be one above the version that was read.
    ///
    /// An answer that got lost is looked up, so `Ok` and `Conflict` are both certain.
    pub async fn save_traffic(&self, record: &TrafficRecord) -> Result<(), CoordinationError> {
        let condition = Condition::Version(record.version.saturating_sub(1));
        match self.put(&self.traffic_key(), "shift", record, record.version, condition).await {
            Ok(()) => Ok(()),
            Err(first) => match self.traffic().await {
                Ok(stored) if stored == *record => Ok(()),
                Ok(stored) if stored.version >= record.version => {
                    Err(CoordinationError::Conflict { item: self.traffic_key() })
                }
                Ok(_) | Err(_) => Err(first),
            },
        }
    }

    fn traffic_key(&self) -> String {
        format!("traffic#{}", self.cluster)
    }
}
