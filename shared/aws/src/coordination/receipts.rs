//! Who applies receipts, and what the last whole run came to: one item each for the whole installation.

use holdfast_domain::receipts::{ApplyLease, Summary};

use super::{Condition, Coordination, CoordinationError};

impl Coordination {
    /// Who applies, if anybody ever has.
    pub async fn apply_lease(&self) -> Result<Option<ApplyLease>, CoordinationError> {
        self.read(&self.receipts_key(), "apply").await
    }

    /// Takes the lease or gives it back; `lease.version` must be one above the version that was read.
    ///
    /// An answer that got lost is looked up, so `Ok` and `Conflict` are both certain.
    pub async fn save_apply_lease(&self, lease: &ApplyLease) -> Result<(), CoordinationError> {
        let condition = Condition::Version(lease.version.saturating_sub(1));
        match self.put(&self.receipts_key(), "apply", lease, lease.version, condition).await {
            Ok(()) => Ok(()),
            Err(first) => match self.apply_lease().await {
                Ok(Some(stored)) if stored == *lease => Ok(()),
                Ok(Some(stored)) if stored.version >= lease.version => {
                    Err(CoordinationError::Conflict { item: self.receipts_key() })
                }
                Ok(_) | Err(_) => Err(first),
            },
        }
    }

    /// What the last run that looked at every key came to, in whichever Region.
    pub async fn receipts_compared(&self) -> Result<Option<Summary>, CoordinationError> {
        self.read(&self.receipts_key(), "last").await
    }

    /// Remembers a run that looked at every key, unless one that began later is there. Safe to repeat.
    pub async fn save_receipts_compared(&self, summary: &Summary) -> Result<(), CoordinationError> {
        let began = u64::try_from(summary.began.as_millisecond()).unwrap_or_default();
        let condition = Condition::SequenceBelow(began);
        match self.put(&self.receipts_key(), "last", summary, began, condition).await {
            Ok(()) | Err(CoordinationError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn receipts_key(&self) -> String {
        format!("receipts#{}", self.cluster)
    }
}
