//! The price of a failover: acknowledged attempts that the standby's ledger lacks. Nothing here goes to the dark Region.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_aws::attempts::Attempts;
use holdfast_aws::ledger::Through;
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use holdfast_domain::beacon::{Role, Trail, Waypoint};
use holdfast_domain::incident::{Incident, Phase};
use holdfast_domain::price::{Evidence, Price, count, window};

use crate::Run;

/// The price is gathered together with the other facts, and must not hold them up.
const PRICE_MAX: Duration = Duration::from_millis(1500);
/// After the promotion nothing waits for the count but a page.
const LOSS_MAX: Duration = Duration::from_secs(10);
/// Keys that one count compares; at 1,000 a statement more would not be done in time.
const KEYS_MAX: usize = 50_000;

impl Run<'_> {
    /// What promoting now would cost, as far as it can be known while the old writer may still write.
    pub(crate) async fn price(&self, incident: &Incident) -> Price {
        let work = async {
            let window = self.window_before_the_fence(incident).await?;
            self.count(Through::LocalReader, window, None).await
        };
        bounded(PRICE_MAX, work).await
    }

    /// What it has cost, after the promotion: the attempts as of the fence against the ledger of the new writer.
    pub(crate) async fn loss(&self, incident: &Incident) -> Price {
        let work = async {
            let policy = &self.startup.config.policy;
            let silent_from = incident.old_writer_silent_from(policy);
            let before = incident.price.as_ref().and_then(Price::counted).map(|counted| counted.window);
            let window = match before {
                Some(window) => window,
                None => self.window_before_the_fence(incident).await?,
            };
            // What is marked later is the new writer's.
            let last = silent_from.unwrap_or_else(|| self.startup.now());
            let to = last.checked_add(policy.clock_margin()).unwrap_or(last);
            self.count(Through::Writer, Window { to, ..window }, silent_from).await
        };
        bounded(LOSS_MAX, work).await
    }

    async fn count(&self, through: Through, window: Window, silent_from: Option<Timestamp>) -> Result<Price, String> {
        let attempts = Attempts::new(&self.startup.sdk, &self.startup.config.topology);
        // The marks first: whatever is marked was booked before, so what the ledger then lacks it really lacks.
        let asked_at = self.startup.now();
        let (consistency, marks) = tokio::join!(attempts.consistency(), attempts.in_window(&window));
        let marks = marks.map_err(|error| error.to_string())?;
        let keys: BTreeSet<String> = marks.iter().map(|attempt| attempt.key.clone()).collect();
        if keys.len() > KEYS_MAX {
            return Err(format!(
                "{} attempts since {:.0} are more than can be compared in time",
                keys.len(),
                window.from
            ));
        }
        let booked = if keys.is_empty() {
            BTreeSet::new()
        } else {
            let booked = self.ledger.booked(through, keys.into_iter().collect()).await;
            booked.map_err(|error| format!("{through}: {error}"))?
        };
        let evidence = Evidence { attempts: &marks, booked: &booked, consistency: &consistency, window, silent_from };
        Ok(count(&evidence, asked_at))
    }

    /// From the last beacon that the standby is known to have. Its own word is best; its last note is older and safe.
    async fn window_before_the_fence(&self, incident: &Incident) -> Result<Window, String> {
        let coordination = self.startup.coordination();
        let (standing, beacons, waypoints) = tokio::join!(
            self.ledger.standing(),
            coordination.beacons(&incident.from),
            coordination.waypoints(&incident.to)
        );
        let beacons = beacons.map_err(|error| error.to_string())?;
        let waypoints = waypoints.map_err(|error| error.to_string());
        let fenced_at = incident.history.iter().find(|it| it.phase == Phase::Promoting).map(|it| it.at);
        let noted = |why: String| match &waypoints {
            Ok(trail) => noted_position(trail.as_ref(), fenced_at).ok_or(why),
            Err(error) => Err(format!("{why}; {error}")),
        };
        // A new writer's position says nothing of what the old one had.
        let position = match standing {
            Ok(standing) if standing.role == Role::Standby && fenced_at.is_none() => Ok(standing.position),
            Ok(_) => noted("the standby's position before the promotion was not noted".into()),
            Err(error) => noted(error.to_string()),
        };
        let trail = waypoints.as_ref().ok().and_then(Option::as_ref);
        let policy = &self.startup.config.policy;
        window(&incident.from, beacons.as_ref(), trail, position, policy.clock_margin(), self.startup.now())
    }
}

/// How far the standby had come when it last noted it, before the promotion if there was one.
fn noted_position(trail: Option<&Trail<Waypoint>>, before: Option<Timestamp>) -> Option<u64> {
    let mut notes = trail?.newest_first();
    notes.find(|note| before.is_none_or(|before| note.at < before)).map(|note| note.position)
}

async fn bounded(limit: Duration, work: impl Future<Output = Result<Price, String>>) -> Price {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(price)) => price,
        Ok(Err(why)) => Price::Unknown { why },
        Err(_) => Price::Unknown { why: format!("it was not counted within {} ms", limit.as_millis()) },
    }
}
