//! Beacons of the primary and waypoints of the standby: an item for each Region, overwritten every few seconds.

use holdfast_domain::Region;
use holdfast_domain::beacon::{Beacon, Mark, Trail, Waypoint};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Condition, Coordination, CoordinationError};

/// The sort keys.
const BEACONS: &str = "beacons";
const WAYPOINTS: &str = "waypoints";

impl Coordination {
    /// The beacons of a Region, with a strongly consistent read: what it sent before it went dark is here.
    pub async fn beacons(&self, region: &Region) -> Result<Option<Trail<Beacon>>, CoordinationError> {
        self.trail(BEACONS, region).await
    }

    /// Writes a Region's beacons, unless a later one is there.
    pub async fn save_beacons(&self, trail: &Trail<Beacon>) -> Result<(), CoordinationError> {
        self.save_trail(BEACONS, trail).await
    }

    /// How far a Region's standby had come, as it last noted.
    pub async fn waypoints(&self, region: &Region) -> Result<Option<Trail<Waypoint>>, CoordinationError> {
        self.trail(WAYPOINTS, region).await
    }

    /// Writes a Region's waypoints, unless a later one is there.
    pub async fn save_waypoints(&self, trail: &Trail<Waypoint>) -> Result<(), CoordinationError> {
        self.save_trail(WAYPOINTS, trail).await
    }

    async fn trail<T: Mark + DeserializeOwned>(
        &self,
        kind: &str,
        region: &Region,
    ) -> Result<Option<Trail<T>>, CoordinationError> {
        self.read(&self.trail_key(region), kind).await
    }

    async fn save_trail<T: Mark + Serialize + Sync>(
        &self,
        kind: &str,
        trail: &Trail<T>,
    ) -> Result<(), CoordinationError> {
        let Some(newest) = trail.newest().map(Mark::sequence) else { return Ok(()) };
        self.put(&self.trail_key(&trail.region), kind, trail, newest, Condition::SequenceBelow(newest)).await
    }

    fn trail_key(&self, region: &Region) -> String {
        format!("ledger#{}#{region}", self.cluster)
    }
}
