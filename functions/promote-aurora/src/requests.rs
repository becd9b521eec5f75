//! What people ask for.

use std::collections::BTreeSet;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::Region;
use holdfast_domain::blocked::{Blocked, Guard};
use holdfast_domain::incident::{Approval, ClusterState, Freeze, Incident, Opening, Phase, Verb, Veto};
use holdfast_domain::promotion::{Decision, decide, reasons_not_to_close};
use holdfast_domain::trigger::{Action, Manual};
use serde_json::{Value, json};

use crate::rds::Rds;
use crate::{FUNCTION, Run, unread};

/// How often a request is put again when a driver saves at the same moment.
const COLLISIONS_MAX: u32 = 5;

impl Run<'_> {
    pub(crate) async fn request(&self, request: Manual) -> Result<Value, Failure> {
        let dry_run = request.dry_run;
        match request.action {
            Action::Status => self.status().await,
            Action::Observe { .. } => Err(self.refused("`observe` goes to observe-region").await),
            Action::PlanReceipts { .. } | Action::ApplyReceipts { .. } => {
                Err(self.refused("`plan_receipts` and `apply_receipts` go to reconcile-receipts").await)
            }
            Action::Ack { .. } | Action::Rehearse => Err(self.refused("`ack` and `rehearse` go to page-humans").await),
            Action::Check | Action::Budget => Err(self.refused("`check` and `budget` go to check-readiness").await),
            Action::Verify | Action::Gate => Err(self.refused("`verify` and `gate` go to verify-replication").await),
            Action::Reconcile { .. } | Action::Shard { .. } => {
                Err(self.refused("`reconcile` and `shard` go to reconcile-ledger").await)
            }
            Action::Resume if dry_run => self.status().await,
            Action::Resume => self.tick().await,
            Action::Failover { to, by, comment, overrides } => {
                self.open_by_hand(Verb::Failover, to, self.approval(by, comment, overrides), dry_run).await
            }
            Action::Switchover { to, by, comment, overrides } => {
                self.open_by_hand(Verb::Switchover, to, self.approval(by, comment, overrides), dry_run).await
            }
            Action::Approve { incident, by, comment, overrides } => {
                let approval = self.approval(by, comment, overrides);
                self.amend(&incident, dry_run, |state, incident| {
                    if incident.phase.is_over() || incident.phase.is_committed() {
                        return Err(format!("{incident}: there is nothing left to approve"));
                    }
                    incident.approval = Some(approval);
                    incident.veto = None;
                    state.driver = Some(self.invocation.id.clone());
                    Ok(())
                })
                .await?;
                self.then_drive(dry_run).await
            }
            Action::Veto { incident, by, comment } => {
                let veto = Veto { by, comment, at: self.startup.now() };
                self.amend(&incident, dry_run, |state, incident| {
                    if incident.phase.is_over() || incident.phase.is_committed() {
                        return Err(format!("{incident}: it is too late for a veto"));
                    }
                    incident.veto = Some(veto);
                    incident.approval = None;
                    state.driver = Some(self.invocation.id.clone());
                    Ok(())
                })
                .await?;
                self.then_drive(dry_run).await
            }
            Action::Retry { incident, by } => {
                let said = format!("{by} has it tried again");
                let now = self.startup.now();
                self.amend(&incident, dry_run, |state, incident| {
                    if incident.phase != Phase::Failed || incident.order.is_none() {
                        return Err(format!("{incident}: only a failed incident is tried again"));
                    }
                    incident.intent = None;
                    state.driver = Some(self.invocation.id.clone());
                    incident.advance(Phase::Fencing, now, said).map_err(|error| error.to_string())
                })
                .await?;
                self.then_drive(dry_run).await
            }
            Action::Freeze { by, reason } => {
                let at = self.startup.now();
                self.amend_state(dry_run, |state| state.freeze = Some(Freeze { by, reason, at })).await
            }
            Action::Unfreeze { by } => {
                tracing::info!("unfrozen by {by}");
                self.amend_state(dry_run, |state| state.freeze = None).await
            }
            Action::Close { incident, by, overrides } => self.close(&incident, &by, &overrides, dry_run).await,
        }
    }

    fn approval(&self, by: String, comment: String, overrides: BTreeSet<Guard>) -> Approval {
        Approval { by, comment, at: self.startup.now(), overrides }
    }

    async fn refused(&self, problem: &str) -> Failure {
        self.startup.refuse(FUNCTION, problem.to_owned()).await
    }

    async fn then_drive(&self, dry_run: bool) -> Result<Value, Failure> {
        if dry_run { self.status().await } else { self.resume().await }
    }

    /// Opens an incident on a person's word. The person accepts the loss by asking; guards still speak.
    async fn open_by_hand(&self, verb: Verb, to: Region, approval: Approval, dry_run: bool) -> Result<Value, Failure> {
        let here = &self.startup.region;
        if to != *here {
            let problem = format!(
                "promote-aurora in {here} only promotes {here}; send this to the one in {to}: aws lambda invoke --region {to} …"
            );
            return Err(self.refused(&problem).await);
        }
        let Some(peer) = self.startup.config.topology.peer_of(here) else {
            return Err(self.refused("this Region has no peer in the topology").await);
        };
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        if let Some(open) = state.open_incident() {
            let settled = matches!(open.phase, Phase::Restored | Phase::Reconciling | Phase::Failed);
            let vouched = approval.overrides.contains(&Guard::IncidentOpen);
            if verb == Verb::Switchover && !vouched {
                let blocked = Blocked {
                    guard: Guard::IncidentOpen,
                    evidence: format!("{open} is not closed: its ledger and in-doubt list may not be clean"),
                    evidence_age: None,
                    override_with: format!(
                        r#"close it first: {{"action":"close","incident":"{}","by":"<you>"}}"#,
                        open.id()
                    ),
                };
                return Ok(json!({"done": "nothing", "blocked": blocked}));
            }
            if !settled && open.to == *here {
                let why = format!("{open} is under way; approve that one instead of opening another");
                return Ok(json!({"done": "nothing", "why": why, "incident": open.id()}));
            }
        }
        let opening =
            Opening { verb, from: peer.region.clone(), to, raised_by: approval.by.clone(), approval: Some(approval) };
        if dry_run {
            return self.foretell(state, opening).await;
        }
        self.open_and_drive(state, opening).await
    }

    /// What would be decided, with nothing saved.
    async fn foretell(&self, mut state: ClusterState, opening: Opening) -> Result<Value, Failure> {
        state.open(opening, self.startup.now());
        let Some(mut incident) = state.incident.clone() else { return Ok(Value::Null) };
        let facts = self.facts(&state, &incident).await?;
        let mut decision = decide(&facts, &self.startup.config.policy, self.startup.now());
        if let Decision::Confirm(proof) = decision {
            incident.phase = Phase::Confirmed;
            incident.proof = proof;
            let facts = holdfast_domain::promotion::Facts { incident, ..facts };
            decision = decide(&facts, &self.startup.config.policy, self.startup.now());
        }
        Ok(json!({"done": "nothing", "would": decision.to_string()}))
    }

    /// Ends an incident when nothing speaks against it, or a person vouches for what does.
    async fn close(&self, id: &str, by: &str, overrides: &BTreeSet<Guard>, dry_run: bool) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let Some(incident) = state.open_incident().filter(|incident| incident.id() == id) else {
            return Err(self.refused(&no_such(id, &state)).await);
        };
        let rds = Rds::in_region(&self.startup.sdk, &self.startup.region);
        let cluster = rds.global_cluster(&self.startup.config.topology.global_cluster).await;
        let blocked = reasons_not_to_close(incident, &cluster, overrides);
        if !blocked.is_empty() || dry_run {
            return Ok(json!({"done": "nothing", "incident": id, "blocked": blocked}));
        }
        let said = if overrides.is_empty() {
            format!("closed by {by}")
        } else {
            let names: Vec<&str> = overrides.iter().map(|guard| guard.name()).collect();
            format!("closed by {by}, who vouches for {}", names.join(", "))
        };
        let Some(mut state) = self.outwait_driver(state).await? else { return Ok(crate::drive::busy()) };
        state.driver = Some(self.invocation.id.clone());
        self.advance(&mut state, Phase::Closed, said, |_| {}).await?;
        self.then_drive(false).await?;
        self.tell(&state).await?;
        Ok(json!({"done": "closed", "incident": id}))
    }

    /// Changes the incident of that name, whatever a driver does at the same moment.
    async fn amend(
        &self,
        id: &str,
        dry_run: bool,
        change: impl FnOnce(&mut ClusterState, &mut Incident) -> Result<(), String> + Clone,
    ) -> Result<(), Failure> {
        for _ in 0..COLLISIONS_MAX {
            let mut state = self.startup.coordination().cluster_state().await.map_err(unread)?;
            let Some(mut incident) = state.incident.clone().filter(|incident| incident.id() == id) else {
                return Err(self.refused(&no_such(id, &state)).await);
            };
            if let Err(problem) = change.clone()(&mut state, &mut incident) {
                return Err(self.refused(&problem).await);
            }
            if dry_run {
                return Ok(());
            }
            state.incident = Some(incident);
            match self.save(&mut state).await {
                Ok(()) => return Ok(()),
                Err(CoordinationError::Conflict { .. }) => {}
                Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
            }
        }
        Err(Failure::NothingChanged(format!("{id} is being changed by others; send the request again")))
    }

    async fn amend_state(
        &self,
        dry_run: bool,
        change: impl FnOnce(&mut ClusterState) + Clone,
    ) -> Result<Value, Failure> {
        for _ in 0..COLLISIONS_MAX {
            let mut state = self.startup.coordination().cluster_state().await.map_err(unread)?;
            change.clone()(&mut state);
            if dry_run {
                return Ok(json!({"done": "nothing", "would": {"freeze": state.freeze}}));
            }
            match self.save(&mut state).await {
                Ok(()) => return Ok(json!({"done": "saved", "freeze": state.freeze})),
                Err(CoordinationError::Conflict { .. }) => {}
                Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
            }
        }
        Err(Failure::NothingChanged("the state is being changed by others; send the request again".into()))
    }

    /// How things stand.
    async fn status(&self) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let Some(peer) = self.startup.config.topology.peer_of(&self.startup.region) else { return Ok(json!(state)) };
        let quorum = self.quorum(&peer.region).await;
        Ok(json!({
            "region": self.startup.region,
            "mode": self.startup.config.policy.mode,
            "peer": {"region": peer.region, "looks": quorum.to_string()},
            "state": state,
        }))
    }
}

fn no_such(id: &str, state: &ClusterState) -> String {
    match &state.incident {
        Some(incident) => format!("there is no incident `{id}`; the last one is {incident}"),
        None => format!("there is no incident `{id}`, and there never was one"),
    }
}
