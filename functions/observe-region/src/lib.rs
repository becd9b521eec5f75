#![doc = include_str!("../README.md")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_aws::coordination::{Coordination, CoordinationError};
use holdfast_aws::ledger::Ledger;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::event::Event;
use holdfast_domain::quorum::{Quorum, ReceivedVote, Watch, verdict};
use holdfast_domain::trigger::{Action, Trigger};
use holdfast_domain::vote::{Appearance, Beat, Sighting, Vote};
use holdfast_domain::{Region, Timestamp, distance};
use serde_json::{Value, json};

mod notes;
mod probe;

use notes::Notes;

/// The function's name.
pub const FUNCTION: &str = "observe-region";

/// Probe rounds begin on multiples of this, by the observer's clock.
const ROUND: Duration = Duration::from_secs(5);
/// One invocation a minute observes for a minute.
const RUN: Duration = Duration::from_secs(60);
/// A doubt must last so many rounds: at the beginning of an outage the observers differ for a moment.
const DOUBTFUL_ROUNDS: u32 = 3;
/// A doubt that lasts is said again every so many rounds.
const DOUBT_AGAIN_ROUNDS: u32 = 6;

/// Observes for a minute on a schedule, or for some rounds by hand.
pub async fn handle(startup: &Startup, ledger: Arc<dyn Ledger>, invocation: Invocation) -> Result<Value, Failure> {
    let mut reports = Vec::new();
    for trigger in startup.triggers(FUNCTION, &invocation).await? {
        reports.push(match trigger {
            Trigger::Schedule { .. } => observe(startup, &*ledger, &invocation, None).await,
            Trigger::Manual(request) => match request.action {
                Action::Status => status(startup).await?,
                Action::Observe { .. } | Action::Resume if request.dry_run => json!({"would": "probe and vote"}),
                Action::Observe { rounds } => observe(startup, &*ledger, &invocation, rounds).await,
                Action::Resume
                | Action::Verify
                | Action::Gate
                | Action::Check
                | Action::Budget
                | Action::PlanReceipts { .. }
                | Action::Shard { .. }
                | Action::ApplyReceipts { .. }
                | Action::Failover { .. }
                | Action::Switchover { .. }
                | Action::Approve { .. }
                | Action::Veto { .. }
                | Action::Freeze { .. }
                | Action::Unfreeze { .. }
                | Action::Retry { .. }
                | Action::Close { .. }
                | Action::Ack { .. }
                | Action::Rehearse
                | Action::Reconcile { .. } => return Err(not_ours(startup).await),
            },
            Trigger::Alarm(_)
            | Trigger::Holdfast(_)
            | Trigger::Rds(_)
            | Trigger::Object { .. }
            | Trigger::Request(_) => {
                return Err(not_ours(startup).await);
            }
        });
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

async fn not_ours(startup: &Startup) -> Failure {
    let problem = "observe-region takes a schedule, {\"action\":\"status\"} and {\"action\":\"observe\"}; the rest goes to promote-aurora";
    startup.refuse(FUNCTION, problem.into()).await
}

/// What this observer carries from round to round.
struct Observer<'a> {
    startup: &'a Startup,
    coordination: Coordination,
    vote: Vote,
    watch: Watch,
    doubtful_rounds: BTreeMap<Region, u32>,
}

async fn observe(startup: &Startup, ledger: &dyn Ledger, invocation: &Invocation, rounds: Option<u32>) -> Value {
    let started = startup.now();
    let run = RUN.min(invocation.time_left(started, ROUND));
    let mut observer = Observer::resume(startup).await;
    let mut notes = Notes::new(startup, ledger);
    let (mut probed, mut written) = (0u32, 0u32);
    while distance(startup.now(), started) < run && rounds.is_none_or(|rounds| probed < rounds) {
        tokio::time::sleep(until_next_round(startup.now())).await;
        if distance(startup.now(), started) >= run {
            break;
        }
        probed += 1;
        // Voting never waits for the ledger: both have their own time limits, and both are over before the next round.
        let (voted, ()) = tokio::join!(observer.round(), notes.round());
        match voted {
            Ok(()) => written += 1,
            // The next round is the retry; whoever reads the votes sees this one go stale.
            Err(error) => tracing::warn!(region = %startup.region, "the vote was not written: {error}"),
        }
    }
    json!({"region": startup.region, "rounds": probed, "votes_written": written, "vote": observer.vote})
}

/// Rounds of all observers begin together, so that two dark votes are seldom further apart than the clocks are.
fn until_next_round(now: Timestamp) -> Duration {
    let round_ms = u64::try_from(ROUND.as_millis()).unwrap_or(u64::MAX);
    let into_round = u64::try_from(now.as_millisecond()).unwrap_or(0) % round_ms;
    Duration::from_millis((round_ms - into_round) % round_ms)
}

impl<'a> Observer<'a> {
    /// Goes on from this Region's last vote while that is fresh; an older one only lends its sequence.
    async fn resume(startup: &'a Startup) -> Self {
        let coordination = startup.coordination();
        let votes = coordination.votes().await.unwrap_or_default();
        let now = startup.now();
        let blank = Vote { observer: startup.region.clone(), sequence: 0, at: now, subjects: BTreeMap::new() };
        let mut vote = votes.into_iter().find(|vote| vote.observer == startup.region).unwrap_or(blank);
        if distance(vote.at, now) > startup.config.policy.vote_age_max() {
            vote.subjects.clear();
        }
        Self { startup, coordination, vote, watch: Watch::default(), doubtful_rounds: BTreeMap::new() }
    }

    async fn round(&mut self) -> Result<(), CoordinationError> {
        let before = std::mem::take(&mut self.vote.subjects);
        let probes = self.startup.config.topology.data_regions.iter().map(|data| async {
            let started = self.startup.now();
            let (liveness, write_readiness) = tokio::join!(
                probe::probe(&self.startup.sdk, &data.liveness_url),
                probe::probe(&self.startup.sdk, &data.write_readiness_url)
            );
            (data.region.clone(), started, liveness, write_readiness)
        });
        let mut failing = false;
        for (region, started, liveness, write_readiness) in join_all(probes).await {
            let Sighting { liveness: alive, write_readiness: writes, beat } =
                before.get(&region).cloned().unwrap_or_default();
            let alive = alive.after(liveness, started);
            let beat = beat.filter(|_| alive.failures > 0);
            let write_readiness = writes.after(write_readiness, started);
            failing |= alive.failures > 0 || write_readiness.failures > 0;
            self.vote.subjects.insert(region, Sighting { liveness: alive, write_readiness, beat });
        }
        if failing {
            self.listen().await;
        }
        self.vote.sequence += 1;
        self.vote.at = self.startup.now();
        self.emit_metrics();
        self.write().await?;
        self.conclude().await
    }

    /// Notes how far every observer's votes have come: those of a failing Region are its sign of life, and the others'
    /// are fresh when they rise, whatever their clocks say.
    async fn listen(&mut self) {
        let Ok(votes) = self.coordination.votes().await else { return };
        let now = self.startup.now();
        for (region, sighting) in self.vote.subjects.iter_mut().filter(|(_, sighting)| sighting.liveness.failures > 0) {
            let own = votes.iter().find(|vote| vote.observer == *region);
            sighting.beat = Some(Beat::after(sighting.beat.take(), own.map_or(0, |vote| vote.sequence), now));
        }
        self.watch.receive(votes, self.startup.config.policy.vote_age_max(), now);
    }

    async fn write(&mut self) -> Result<(), CoordinationError> {
        match self.coordination.put_vote(&self.vote).await {
            Err(CoordinationError::Conflict { .. }) => {
                // A run that overlaps this one has written, or the first read failed: go on from what is there.
                let votes = self.coordination.votes().await?;
                let stored = votes.iter().find(|vote| vote.observer == self.startup.region);
                self.vote.sequence = stored.map_or(0, |vote| vote.sequence) + 1;
                self.coordination.put_vote(&self.vote).await
            }
            outcome => outcome,
        }
    }

    /// Puts this vote beside the others' where it is not a plain "alive", and says what comes of it.
    async fn conclude(&mut self) -> Result<(), CoordinationError> {
        let policy = &self.startup.config.policy;
        let suspects: Vec<Region> = self
            .vote
            .subjects
            .iter()
            .filter(|(region, sighting)| match sighting.appearance(policy.failed_probes) {
                Appearance::Dark | Appearance::Grey => **region != self.startup.region,
                Appearance::Alive | Appearance::Wavering => false,
            })
            .map(|(region, _)| region.clone())
            .collect();
        self.doubtful_rounds.retain(|region, _| suspects.contains(region));
        if suspects.is_empty() {
            return Ok(());
        }
        let votes = self.coordination.votes().await?;
        let received = self.watch.receive(votes, policy.vote_age_max(), self.startup.now());
        for subject in suspects {
            let observers = self.startup.config.topology.observers();
            let quorum = verdict(&subject, observers, &received, policy, self.startup.now());
            tracing::info!(region = %self.startup.region, %subject, "{subject}: {quorum}");
            match quorum {
                Quorum::Dark(proof) => {
                    self.doubtful_rounds.remove(&subject);
                    let observer = self.startup.region.clone();
                    self.suspect(Event::RegionSuspected { subject: subject.clone(), observer, proof }, &subject)
                        .await?;
                }
                Quorum::Grey { .. } | Quorum::Split { .. } | Quorum::StillHeard { .. } => {
                    self.doubt(subject, quorum).await;
                }
                Quorum::Unknown { .. } | Quorum::Wavering | Quorum::Alive => {}
            }
        }
        Ok(())
    }

    /// Tells the surviving Region, every round until its incident needs no more telling: events can get lost.
    async fn suspect(&self, event: Event, subject: &Region) -> Result<(), CoordinationError> {
        let state = self.coordination.cluster_state().await?;
        let settled = state.open_incident().is_some_and(|incident| {
            let waiting = incident.phase.wants_a_driver() || incident.phase.can_still_move();
            incident.from == *subject && !waiting && state.driver.is_none()
        });
        if settled {
            return Ok(());
        }
        let Some(survivor) = self.startup.config.topology.peer_of(subject) else { return Ok(()) };
        let survivor_looks = self.vote.subjects.get(&survivor.region);
        if survivor_looks.is_some_and(|it| it.appearance(self.startup.config.policy.failed_probes) == Appearance::Dark)
        {
            tracing::warn!(%subject, "{subject} and {} both look dark from here; nobody is left to tell", survivor.region);
            return Ok(());
        }
        if let Err(error) = self.startup.bus().publish(&event, [&survivor.region]).await {
            tracing::error!(%subject, "{error}; it is said again in {} s", ROUND.as_secs());
        }
        Ok(())
    }

    async fn doubt(&mut self, subject: Region, quorum: Quorum) {
        let rounds = self.doubtful_rounds.entry(subject.clone()).or_insert(0);
        *rounds += 1;
        if *rounds < DOUBTFUL_ROUNDS || !(*rounds - DOUBTFUL_ROUNDS).is_multiple_of(DOUBT_AGAIN_ROUNDS) {
            return;
        }
        // While the writer is being moved neither Region takes writes for a while; whoever needs to know does.
        let state = self.coordination.cluster_state().await.unwrap_or_default();
        if state.open_incident().is_some_and(|incident| incident.phase.is_committed()) {
            return;
        }
        let event = Event::RegionDoubtful { subject, observer: self.startup.region.clone(), quorum };
        if let Err(error) = self.startup.bus().publish(&event, self.startup.buses()).await {
            tracing::error!("{error}");
        }
    }

    fn emit_metrics(&self) {
        for (region, sighting) in &self.vote.subjects {
            let dimensions = [("Observer", self.startup.region.as_str()), ("Subject", region.as_str())];
            let metrics = [
                ("LivenessFailures", "Count", u64::from(sighting.liveness.failures)),
                ("WriteReadinessFailures", "Count", u64::from(sighting.write_readiness.failures)),
            ];
            self.startup.metrics.emit(self.vote.at, &dimensions, &metrics);
        }
    }
}

/// All votes, and what this Region makes of them.
async fn status(startup: &Startup) -> Result<Value, Failure> {
    let votes = startup.coordination().votes().await.map_err(|error| Failure::NothingChanged(error.to_string()))?;
    let received: Vec<ReceivedVote> =
        votes.iter().map(|vote| ReceivedVote { vote: vote.clone(), seen_to_advance: false }).collect();
    let topology = &startup.config.topology;
    let verdicts: BTreeMap<&Region, String> = topology
        .data_regions
        .iter()
        .map(|data| {
            let quorum = verdict(&data.region, topology.observers(), &received, &startup.config.policy, startup.now());
            (&data.region, quorum.to_string())
        })
        .collect();
    Ok(json!({"region": startup.region, "verdicts": verdicts, "votes": votes}))
}
