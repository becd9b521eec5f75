//! The driver: facts, one decision, carried out once, saved, told. Whoever comes later resumes from what was saved.

use std::time::Duration;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::event::Event;
use holdfast_domain::incident::{ClusterState, Incident, Intent, Phase, Verb};
use holdfast_domain::order::Order;
use holdfast_domain::promotion::{Decision, Facts, Judgement, decide, remember};
use serde_json::{Value, json};

use crate::rds::{Answer, Rds};
use crate::{Run, unread};

/// Between two looks at a promotion. The payments tier does not wait for us: it tries by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Between two tries to raise the epoch.
const FENCE_AGAIN: Duration = Duration::from_secs(1);
/// Between two tries to write the fence row.
const PROVE_AGAIN: Duration = Duration::from_secs(1);
/// A driver that is waiting shows that it lives, well within the lease.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// Kept for saving and telling before Lambda ends the run.
const RESERVE: Duration = Duration::from_secs(15);
/// Steps of one run; a run of Lambda's 900 s with a look every second needs no more.
const STEPS_MAX: usize = 2000;

/// What a step leaves to be done.
enum Next {
    /// Decide again at once.
    Decide,
    /// Decide again after a pause.
    Pause(Duration),
    /// Nothing more for this run.
    Stop,
}

pub(crate) fn busy() -> Value {
    json!({"done": "nothing", "why": "another driver is at work on the incident"})
}

impl Run<'_> {
    /// Time that is left for work.
    pub(crate) fn time_left(&self) -> Duration {
        self.invocation.time_left(self.startup.now(), RESERVE)
    }

    /// Waits for another driver to show a sign of life. `None`: it did, and it keeps the incident. The state otherwise:
    /// there is no driver, it is this run, or it was silent for a whole lease, measured by this run's own clock.
    pub(crate) async fn outwait_driver(&self, state: ClusterState) -> Result<Option<ClusterState>, Failure> {
        let lease_s = self.startup.config.policy.driver_lease_seconds;
        for _ in 0..lease_s {
            if state.driver.as_ref().is_none_or(|driver| *driver == self.invocation.id) {
                return Ok(Some(state));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let again = self.startup.coordination().cluster_state().await.map_err(unread)?;
            if again.version != state.version {
                return Ok(None);
            }
        }
        Ok(Some(state))
    }

    /// Takes the open incident as far as it goes now.
    pub(crate) async fn drive(&self, state: ClusterState) -> Result<Value, Failure> {
        let Some(mut state) = self.outwait_driver(state).await? else { return Ok(busy()) };
        let taken_over = state.driver.as_ref().is_some_and(|driver| *driver != self.invocation.id);
        if state.driver.as_deref() != Some(self.invocation.id.as_str()) {
            state.driver = Some(self.invocation.id.clone());
            match self.save(&mut state).await {
                Ok(()) => {}
                Err(CoordinationError::Conflict { .. }) => return Ok(busy()),
                Err(error) => return Err(unread(error)),
            }
        }
        let Some(incident) = state.incident.clone() else { return Ok(json!({"done": "nothing"})) };
        if taken_over {
            tracing::warn!(incident = incident.id(), phase = %incident.phase, "taking over from a silent driver");
            // The one before may have died between saving and telling.
            self.publish(&Event::IncidentAdvanced { incident: Box::new(incident) }).await?;
        }
        // A run that failed keeps the incident until its lease runs out: the next one tells again what may be untold.
        let decision = self.steps(&mut state).await?;
        self.release(&mut state).await;
        let incident = state.incident.as_ref();
        Ok(json!({
            "incident": incident.map(Incident::id),
            "phase": incident.map(|incident| incident.phase),
            "decision": decision,
        }))
    }

    async fn steps(&self, state: &mut ClusterState) -> Result<String, Failure> {
        let mut last_said = String::new();
        let mut last_saved = self.startup.now();
        let mut slow_told = false;
        for _ in 0..STEPS_MAX {
            let Some(incident) = state.incident.clone() else { break };
            let facts = self.facts(state, &incident).await?;
            let now = self.startup.now();
            let decision = decide(&facts, &self.startup.config.policy, now);
            let said = decision.to_string();
            if said != last_said {
                tracing::info!(incident = incident.id(), epoch = incident.epoch, phase = %incident.phase, "{said}");
                last_said.clone_from(&said);
            }
            // Saved with whatever is saved next: what the decision changes, a heartbeat, or the end of the run.
            remember(&mut state.judgements, Judgement::new(&facts, &self.startup.config.policy, &decision, now));
            if let Decision::LookAgain { waiting_for, slow: true } = &decision
                && !slow_told
            {
                slow_told = true;
                let incident = Box::new(incident);
                self.publish(&Event::PromotionSlow { incident, waiting_for: waiting_for.clone() }).await?;
            }
            let version = state.version;
            match self.carry_out(state, facts, decision).await {
                Ok(Next::Decide) => {}
                Ok(Next::Pause(pause)) => {
                    tokio::time::sleep(pause).await;
                    let silent = holdfast_domain::distance(self.startup.now(), last_saved);
                    if silent >= HEARTBEAT {
                        self.heartbeat(state).await?;
                    }
                }
                Ok(Next::Stop) => return Ok(said),
                Err(failure) => return Err(failure),
            }
            if state.version != version {
                last_saved = self.startup.now();
            }
            if self.time_left().is_zero() {
                return Ok(format!("{said}; the run is over, the next one goes on"));
            }
        }
        Ok(last_said)
    }

    /// Does the one thing that was decided. The state in memory never runs ahead of the table.
    async fn carry_out(&self, state: &mut ClusterState, facts: Facts, decision: Decision) -> Result<Next, Failure> {
        let said = decision.to_string();
        match decision {
            Decision::Rest { .. } => Ok(Next::Stop),
            Decision::LookAgain { .. } => Ok(Next::Pause(LOOK_AGAIN)),
            Decision::Dismiss(_) => {
                self.advance(state, Phase::Dismissed, said, |_| {}).await?;
                self.tell(state).await?;
                Ok(Next::Stop)
            }
            Decision::Block(blocked) => {
                self.advance(state, Phase::Blocked, said, |incident| {
                    incident.blocked = blocked;
                    incident.lag = Some(facts.lag);
                    incident.price = Some(facts.price);
                })
                .await?;
                self.tell(state).await?;
                Ok(Next::Stop)
            }
            Decision::Confirm(proof) => {
                self.advance(state, Phase::Confirmed, said, |incident| {
                    incident.proof = proof;
                    incident.lag = Some(facts.lag);
                    incident.price = Some(facts.price);
                })
                .await?;
                // Told together with the next phase, or after one that has no page of its own.
                Ok(Next::Decide)
            }
            Decision::AskApproval { veto_until, .. } => {
                self.advance(state, Phase::AwaitingApproval, said, |incident| {
                    incident.veto_until = veto_until;
                    incident.lag = Some(facts.lag);
                    incident.price = Some(facts.price);
                })
                .await?;
                self.tell(state).await?;
                Ok(Next::Stop)
            }
            Decision::Fence(order) => {
                let confirmed = state.incident.clone();
                self.advance(state, Phase::Fencing, said, |incident| {
                    incident.order = Some(order);
                    incident.intent = None;
                    incident.lag = Some(facts.lag);
                    incident.price = Some(facts.price);
                })
                .await?;
                // People are told while the call to RDS is made: an event bus that hangs must not cost recovery time.
                let (called, told) = tokio::join!(self.fence_and_promote(state), self.tell_of(confirmed));
                told?;
                called
            }
            Decision::Promote { order, attempt } => match facts.incident.phase {
                Phase::Fencing => self.fence_and_promote(state).await,
                Phase::Suspected
                | Phase::Confirmed
                | Phase::AwaitingApproval
                | Phase::Blocked
                | Phase::Promoting
                | Phase::Proving
                | Phase::Restored
                | Phase::Reconciling
                | Phase::Dismissed
                | Phase::Failed
                | Phase::Closed => self.promote(state, order, attempt).await,
            },
            Decision::AddInstance { order, attempt } => self.add_instance(state, order, attempt).await,
            Decision::GiveBack { .. } => self.give_back(state, said).await,
            Decision::Prove => {
                self.advance(state, Phase::Proving, said, |_| {}).await?;
                Ok(Next::Decide)
            }
            Decision::WriteFenceRow => match self.ledger.write_fence_row(facts.incident.epoch).await {
                Ok(()) => self.restored(state).await,
                Err(error) => {
                    tracing::info!(incident = facts.incident.id(), "writes are not proven yet: {error}");
                    Ok(Next::Pause(PROVE_AGAIN))
                }
            },
            Decision::RecordLoss(loss) => {
                self.update(state, |incident| incident.loss = Some(loss)).await?;
                if let Some(incident) = state.incident.clone() {
                    self.publish(&Event::LossCounted { incident: Box::new(incident) }).await?;
                }
                Ok(Next::Decide)
            }
            Decision::CloseItself => {
                self.advance(state, Phase::Closed, said, |_| {}).await?;
                Ok(Next::Stop)
            }
            Decision::SecureOldVolume => self.secure_old_volume(state, &facts).await,
            Decision::Fail { .. } => {
                self.advance(state, Phase::Failed, said, |_| {}).await?;
                self.tell(state).await?;
                Ok(Next::Stop)
            }
        }
    }

    /// Raises the epoch, so that the old writer's lease runs out, and asks RDS in the same breath.
    async fn fence_and_promote(&self, state: &mut ClusterState) -> Result<Next, Failure> {
        let Some(incident) = state.incident.clone() else { return Ok(Next::Stop) };
        let Some(order) = incident.order.clone() else { return Ok(Next::Decide) };
        match self.startup.coordination().raise_epoch(incident.epoch, &incident.to, self.startup.now()).await {
            Ok(()) => self.promote(state, order, 1).await,
            // A driver that was lost on the way had begun to give the writer back.
            Err(CoordinationError::Conflict { .. }) => {
                let said = format!("the writer was given back to {} by a later epoch", incident.from);
                self.give_back(state, said).await
            }
            // Safe to repeat; a run that ended here would cost a lease and a retry of Lambda's.
            Err(error) => {
                tracing::warn!(incident = incident.id(), epoch = incident.epoch, "the epoch was not raised: {error}");
                Ok(Next::Pause(FENCE_AGAIN))
            }
        }
    }

    /// Names the old writer again under a later epoch, before the incident ends: whoever dies between the two leaves an
    /// incident that the next driver ends the same way.
    async fn give_back(&self, state: &mut ClusterState, said: String) -> Result<Next, Failure> {
        let Some(incident) = state.incident.clone() else { return Ok(Next::Stop) };
        let epoch = incident.epoch.saturating_add(1);
        let raised = self.startup.coordination().raise_epoch(epoch, &incident.from, self.startup.now()).await;
        raised
            .map_err(|error| Failure::LookBeforeRetry(format!("{incident}: the writer was not given back: {error}")))?;
        let mut wanted = ClusterState { epoch, ..state.clone() };
        self.advance(&mut wanted, Phase::Dismissed, said, |_| {}).await?;
        *state = wanted;
        self.tell(state).await?;
        Ok(Next::Stop)
    }

    /// Records the intent, then calls RDS once. What came of it is for the next look to find out.
    async fn promote(&self, state: &mut ClusterState, order: Order, attempt: u32) -> Result<Next, Failure> {
        let intent = Some(Intent { attempt, at: self.startup.now() });
        let said = format!("asking RDS ({attempt}) to {order}");
        if state.incident.as_ref().is_some_and(|incident| incident.phase == Phase::Promoting) {
            self.update(state, |incident| incident.intent = intent).await?;
        } else {
            self.advance(state, Phase::Promoting, said, |incident| incident.intent = intent).await?;
        }
        let asked_in = match &order {
            Order::Failover(order) => order.asked_in(),
            Order::Switchover(order) => order.asked_in(),
        };
        let rds = Rds::in_region(&self.startup.sdk, asked_in);
        let answer = rds.carry_out(&self.startup.config.topology, &order).await;
        self.heard(state, &order, answer).await
    }

    /// The second call of a restore: records the intent, then asks for the instance once.
    async fn add_instance(&self, state: &mut ClusterState, order: Order, attempt: u32) -> Result<Next, Failure> {
        let intent = Some(Intent { attempt, at: self.startup.now() });
        self.update(state, |incident| incident.intent = intent).await?;
        let rds = Rds::in_region(&self.startup.sdk, order.target().region());
        let answer = rds.add_instance(&self.startup.config.topology, &order).await;
        self.heard(state, &order, answer).await
    }

    async fn heard(&self, state: &mut ClusterState, order: &Order, answer: Answer) -> Result<Next, Failure> {
        match answer {
            Answer::Accepted => {
                // Said a second time while RDS works: should the first page die on its way, Lambda's own retry comes
                // only when it is over. The pager sends it once.
                if let Err(error) = self.tell(state).await {
                    tracing::warn!("the promotion goes on, but was not told: {error}");
                }
                Ok(Next::Pause(LOOK_AGAIN))
            }
            Answer::Busy(why) | Answer::Silence(why) => {
                tracing::warn!(epoch = order.epoch(), "RDS did not say yes: {why}");
                Ok(Next::Pause(LOOK_AGAIN))
            }
            Answer::Refused(why) => {
                let said = format!("RDS refuses: {why}");
                self.advance(state, Phase::Failed, said, |_| {}).await?;
                self.tell(state).await?;
                Ok(Next::Stop)
            }
        }
    }

    async fn restored(&self, state: &mut ClusterState) -> Result<Next, Failure> {
        let now = self.startup.now();
        let Some(incident) = state.incident.clone() else { return Ok(Next::Stop) };
        if incident.verb == Verb::Failover && incident.approval.is_none() {
            state.promoted_at.insert(incident.to.clone(), now);
        }
        let took = holdfast_domain::age(incident.proof.as_ref().map_or(incident.opened_at, |proof| proof.since), now);
        let said = format!("the fence row is written through the writer endpoint, {} s after it began", took.as_secs());
        let loss = match incident.verb {
            Verb::Failover => Some(self.loss(&incident).await),
            Verb::Switchover => None,
        };
        self.advance(state, Phase::Restored, said, |incident| incident.loss = loss).await?;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.startup.metrics.emit(
            now,
            &[("Region", incident.to.as_str()), ("Verb", &incident.verb.to_string())],
            &[("WritesRestoredAfter", "Milliseconds", took_ms)],
        );
        self.tell(state).await?;
        Ok(Next::Decide)
    }

    /// The old Region is back: finds the snapshot that Aurora took of the old volume, and copies it to one that stays.
    async fn secure_old_volume(&self, state: &mut ClusterState, facts: &Facts) -> Result<Next, Failure> {
        let incident = &facts.incident;
        if incident.phase == Phase::Restored {
            let said = format!("{} answers again; looking for the snapshot of its old volume", incident.from);
            self.advance(state, Phase::Reconciling, said, |_| {}).await?;
            self.tell(state).await?;
            return Ok(Next::Decide);
        }
        let rds = Rds::in_region(&self.startup.sdk, &incident.from);
        let failed = |why: String| Failure::NothingChanged(format!("{incident}: {why}"));
        let copy = format!("holdfast-{}-{}", incident.id(), facts.source.identifier());
        let snapshots = rds.snapshots(facts.source.identifier()).await.map_err(failed)?;
        let prefix = format!("rds:unplanned-global-failover-{}", facts.source.identifier());
        let ours = snapshots.iter().find(|snapshot| snapshot.id == copy);
        let original = snapshots.iter().rfind(|snapshot| snapshot.id.starts_with(&prefix));
        match (ours, original) {
            (Some(copied), _) if copied.status == "available" => {
                self.update(state, |incident| incident.secured_snapshot = Some(copied.id.clone())).await?;
                Ok(Next::Stop)
            }
            (Some(_), _) => Ok(Next::Stop),
            (None, Some(original)) if original.status == "available" => {
                rds.copy_snapshot(&original.id, &copy).await.map_err(failed)?;
                Ok(Next::Pause(LOOK_AGAIN))
            }
            (None, Some(_) | None) => Ok(Next::Stop),
        }
    }

    /// Goes to the next phase and saves it.
    pub(crate) async fn advance(
        &self,
        state: &mut ClusterState,
        next: Phase,
        said: String,
        change: impl FnOnce(&mut Incident),
    ) -> Result<(), Failure> {
        let now = self.startup.now();
        let mut wanted = state.clone();
        let Some(incident) = wanted.incident.as_mut() else { return Ok(()) };
        incident.advance(next, now, said).map_err(|error| Failure::NothingChanged(error.to_string()))?;
        change(incident);
        self.save_or_yield(&mut wanted).await?;
        if let Some(incident) = wanted.incident.as_ref().filter(|incident| incident.phase.is_over()) {
            self.startup.coordination().archive(incident, &wanted.judgements).await.map_err(unread)?;
        }
        *state = wanted;
        Ok(())
    }

    /// Changes the incident within its phase and saves it.
    pub(crate) async fn update(
        &self,
        state: &mut ClusterState,
        change: impl FnOnce(&mut Incident),
    ) -> Result<(), Failure> {
        let mut wanted = state.clone();
        let Some(incident) = wanted.incident.as_mut() else { return Ok(()) };
        change(incident);
        self.save_or_yield(&mut wanted).await?;
        *state = wanted;
        Ok(())
    }

    async fn heartbeat(&self, state: &mut ClusterState) -> Result<(), Failure> {
        let mut wanted = state.clone();
        match self.save(&mut wanted).await {
            Ok(()) => *state = wanted,
            Err(CoordinationError::Conflict { .. }) => return Err(overtaken()),
            // The table is slow: the lease may run out, and then somebody else goes on from here.
            Err(error) => tracing::warn!("no heartbeat: {error}"),
        }
        Ok(())
    }

    async fn save_or_yield(&self, wanted: &mut ClusterState) -> Result<(), Failure> {
        match self.save(wanted).await {
            Ok(()) => Ok(()),
            Err(CoordinationError::Conflict { .. }) => Err(overtaken()),
            Err(error) => Err(Failure::LookBeforeRetry(error.to_string())),
        }
    }

    pub(crate) async fn save(&self, wanted: &mut ClusterState) -> Result<(), CoordinationError> {
        wanted.version += 1;
        self.startup.coordination().save_cluster_state(wanted).await
    }

    /// Gives the incident up, so that the next one need not wait for the lease.
    async fn release(&self, state: &mut ClusterState) {
        if state.driver.as_deref() != Some(self.invocation.id.as_str()) {
            return;
        }
        let mut wanted = state.clone();
        wanted.driver = None;
        match self.save(&mut wanted).await {
            Ok(()) => *state = wanted,
            Err(error) => tracing::warn!("the incident was not released, its lease will run out: {error}"),
        }
    }

    /// Tells the other functions how the incident stands.
    pub(crate) async fn tell(&self, state: &ClusterState) -> Result<(), Failure> {
        self.tell_of(state.incident.clone()).await
    }

    async fn tell_of(&self, incident: Option<Incident>) -> Result<(), Failure> {
        match incident {
            Some(incident) => self.publish(&Event::IncidentAdvanced { incident: Box::new(incident) }).await,
            None => Ok(()),
        }
    }
}

fn overtaken() -> Failure {
    Failure::LookBeforeRetry("somebody else has changed the incident; the next run goes on from there".into())
}
