//! Beside the votes: how far this Region's copy of the ledger has come, every round.

use std::time::Duration;

use holdfast_aws::Startup;
use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::ledger::Ledger;
use holdfast_domain::Timestamp;
use holdfast_domain::beacon::{Beacon, Role, Standing, Trail, Waypoint};

/// One note takes no longer, so that the next round begins in time.
const NOTE_MAX: Duration = Duration::from_secs(3);
/// Bookings are summed since the beacon before, if that is not longer ago than this.
const SUM_MAX: Duration = Duration::from_secs(120);

/// What a run has noted so far.
pub(crate) struct Notes<'a> {
    startup: &'a Startup,
    ledger: &'a dyn Ledger,
    beacons: Option<Trail<Beacon>>,
    waypoints: Option<Trail<Waypoint>>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(startup: &'a Startup, ledger: &'a dyn Ledger) -> Self {
        Self { startup, ledger, beacons: None, waypoints: None }
    }

    /// Writes one note. A failure is logged: the next round is the retry.
    pub(crate) async fn round(&mut self) {
        let region = &self.startup.region;
        if self.startup.config.topology.data_region(region).is_none() {
            return;
        }
        match tokio::time::timeout(NOTE_MAX, self.note()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%region, "the ledger was not noted: {why}"),
            Err(_) => tracing::warn!(%region, "the ledger was not noted within {} s", NOTE_MAX.as_secs()),
        }
    }

    async fn note(&mut self) -> Result<(), String> {
        // Before the question: whatever was committed by now lies below the position that is answered.
        let now = self.startup.now();
        let standing = self.ledger.standing().await.map_err(|error| error.to_string())?;
        let noted = match standing.role {
            Role::Primary => self.beacon(&standing, now).await,
            Role::Standby => self.waypoint(&standing, now).await,
        };
        match noted {
            // A run that overlaps this one has written: go on from what is there.
            Err(CoordinationError::Conflict { .. }) => {
                (self.beacons, self.waypoints) = (None, None);
                Ok(())
            }
            other => other.map_err(|error| error.to_string()),
        }
    }

    async fn beacon(&mut self, standing: &Standing, at: Timestamp) -> Result<(), CoordinationError> {
        let coordination = self.startup.coordination();
        let region = &self.startup.region;
        let mut trail = match self.beacons.take() {
            Some(trail) => trail,
            None => coordination.beacons(region).await?.unwrap_or_else(|| Trail::new(region.clone())),
        };
        let since = trail.newest().map(|newest| newest.at);
        let booked = match since.filter(|since| holdfast_domain::distance(*since, at) <= SUM_MAX) {
            Some(since) => match self.ledger.booked_between(since, at).await {
                Ok(booked) => Some(booked),
                Err(error) => {
                    tracing::warn!(%region, "a beacon without its sum: {error}");
                    None
                }
            },
            None => None,
        };
        trail.add(Beacon { sequence: trail.next_sequence(), at, position: standing.position, booked });
        coordination.save_beacons(&trail).await?;
        self.beacons = Some(trail);
        Ok(())
    }

    async fn waypoint(&mut self, standing: &Standing, at: Timestamp) -> Result<(), CoordinationError> {
        let coordination = self.startup.coordination();
        let region = &self.startup.region;
        let peer = self.startup.config.topology.peer_of(region).map(|peer| peer.region.clone());
        let beacons = match &peer {
            Some(peer) => coordination.beacons(peer).await?,
            None => None,
        };
        let now = self.startup.now();
        let newest = beacons.as_ref().and_then(Trail::newest);
        let clock_ahead_ms = newest.map(|beacon| beacon.at.as_millisecond() - now.as_millisecond());
        let mut trail = match self.waypoints.take() {
            Some(trail) => trail,
            None => coordination.waypoints(region).await?.unwrap_or_else(|| Trail::new(region.clone())),
        };
        let Standing { position, lag, .. } = *standing;
        trail.add(Waypoint { sequence: trail.next_sequence(), at, position, lag, clock_ahead_ms });
        coordination.save_waypoints(&trail).await?;
        self.waypoints = Some(trail);
        if let Some(lag) = lag {
            let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
            let metrics = [("LedgerLag", "Milliseconds", lag_ms)];
            self.startup.metrics.emit(at, &[("Region", region.as_str())], &metrics);
        }
        Ok(())
    }
}
