//! Aurora, from its primary to its standby: what the metric, the databases and the control plane say.

use std::time::Duration;

use super::table::Metric;
use super::{Link, StoreState, Verdict, seconds_since, worst};
use crate::Timestamp;
use crate::beacon::{Beacon, Trail, Waypoint, last_applied};
use crate::promotion::Observed;

/// What one round learned of the ledger.
#[derive(Clone, Debug)]
pub struct LedgerEvidence {
    /// `AuroraGlobalDBRPOLag`, which exists only in the standby's Region.
    pub lag_metric: Metric,
    /// `SynchronizationStatus` of the standby is `connected`; `None` when RDS does not say.
    pub connected: Observed<Option<bool>>,
    /// What the primary has sent.
    pub beacons: Observed<Option<Trail<Beacon>>>,
    /// What the standby has noted.
    pub waypoints: Observed<Option<Trail<Waypoint>>>,
}

/// Six rounds of the observer.
const NOTE_AGE_MAX: Duration = Duration::from_secs(30);
/// One point a minute; three may be missing.
const METRIC_AGE_MAX: Duration = Duration::from_secs(240);
/// Beacons come every five seconds: one that is under way is no lag.
const BEACON_EVERY: Duration = Duration::from_secs(5);

/// How the ledger replicates.
#[must_use]
pub fn ledger(link: &Link, evidence: &LedgerEvidence, now: Timestamp) -> Verdict {
    let mut judgements = Vec::new();
    match &evidence.connected {
        Observed::Seen(Some(true)) => {}
        Observed::Seen(Some(false)) => {
            judgements.push(StoreState::stalled(format!("RDS says that {} needs to be synchronised again", link.to)));
        }
        Observed::Seen(None) => judgements.push(StoreState::unknown("RDS names no SynchronizationStatus")),
        Observed::Unseen { why } => judgements.push(StoreState::unknown(why.clone())),
    }
    match &evidence.lag_metric {
        Metric::Missing { why } => {
            judgements.push(StoreState::unknown(format!("AuroraGlobalDBRPOLag is missing in {}: {why}", link.to)));
        }
        Metric::Point { at, .. } if crate::age(*at, now) > METRIC_AGE_MAX => {
            let seconds = seconds_since(*at, now);
            judgements.push(StoreState::unknown(format!("AuroraGlobalDBRPOLag was last measured {seconds} s ago")));
        }
        Metric::Point { value_ms, .. } => {
            judgements.push(StoreState::measured(Duration::from_millis(*value_ms), link.store.lag_max()));
        }
    }
    judgements.push(match (&evidence.beacons, &evidence.waypoints) {
        (Observed::Seen(beacons), Observed::Seen(waypoints)) => {
            beacons_against_waypoints(link, beacons.as_ref(), waypoints.as_ref(), now)
        }
        (Observed::Unseen { why }, _) | (_, Observed::Unseen { why }) => StoreState::unknown(why.clone()),
    });
    Verdict { state: worst(judgements), findings: Vec::new(), cliff: None }
}

/// Both trails are of the primary's positions, so their distance needs no common clock.
fn beacons_against_waypoints(
    link: &Link,
    beacons: Option<&Trail<Beacon>>,
    waypoints: Option<&Trail<Waypoint>>,
    now: Timestamp,
) -> StoreState {
    let (Some(beacons), Some(beacon)) = (beacons, beacons.and_then(Trail::newest)) else {
        return StoreState::unknown(format!("{} has never sent a beacon", link.from));
    };
    let Some(waypoint) = waypoints.and_then(Trail::newest) else {
        return StoreState::unknown(format!("{} has never noted how far it has come", link.to));
    };
    if crate::distance(beacon.at, now) > NOTE_AGE_MAX {
        let seconds = seconds_since(beacon.at, now);
        return StoreState::unknown(format!("the last beacon of {} is {seconds} s old", link.from));
    }
    if crate::distance(waypoint.at, now) > NOTE_AGE_MAX {
        let seconds = seconds_since(waypoint.at, now);
        return StoreState::unknown(format!("{} last noted {seconds} s ago how far it has come", link.to));
    }
    let Some(applied) = last_applied(beacons, waypoint.position) else {
        return StoreState::stalled(format!("{} has reached no beacon of the last hour", link.to));
    };
    let behind = crate::distance(beacon.at, applied.at);
    if behind >= link.store.stalled_after() {
        return StoreState::stalled(format!("{} has reached no beacon for {} s", link.to, behind.as_secs()));
    }
    StoreState::measured(behind.saturating_sub(BEACON_EVERY), link.store.lag_max())
}
