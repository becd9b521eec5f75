//! The outage's window where nobody has counted a price: from the last beacon that the standby is known to have had.

use holdfast_domain::attempt::Window;
use holdfast_domain::incident::{Incident, Phase};
use holdfast_domain::price::{Price, window};

use crate::Run;

impl Run<'_> {
    /// The stretch of time whose attempts the promoted ledger may lack.
    pub(crate) async fn window_of(&self, incident: &Incident) -> Result<Window, String> {
        let policy = &self.startup.config.policy;
        // What is marked later is the new writer's.
        let last = incident.old_writer_silent_from(policy).unwrap_or_else(|| self.startup.now());
        let to = last.checked_add(policy.clock_margin()).unwrap_or(last);
        let counted = [&incident.loss, &incident.price].into_iter().flatten().find_map(Price::counted);
        let from = match counted {
            Some(counted) => counted.window.from,
            None => self.window_from_trails(incident).await?.from,
        };
        Ok(Window { from, to })
    }

    async fn window_from_trails(&self, incident: &Incident) -> Result<Window, String> {
        let coordination = self.startup.coordination();
        let (beacons, waypoints) =
            tokio::join!(coordination.beacons(&incident.from), coordination.waypoints(&incident.to));
        let beacons = beacons.map_err(|error| error.to_string())?;
        let waypoints = waypoints.map_err(|error| error.to_string())?;
        // A new writer's position says nothing of what the old one had: only what was noted before the promotion counts.
        let promoted = incident.history.iter().find(|it| it.phase == Phase::Promoting).map(|it| it.at);
        let position = waypoints
            .as_ref()
            .and_then(|trail| trail.newest_first().find(|note| promoted.is_none_or(|promoted| note.at < promoted)))
            .map(|note| note.position)
            .ok_or_else(|| "the standby's position before the promotion was not noted".to_owned());
        let policy = &self.startup.config.policy;
        let now = self.startup.now();
        window(&incident.from, beacons.as_ref(), waypoints.as_ref(), position, policy.clock_margin(), now)
    }
}
