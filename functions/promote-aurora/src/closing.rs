//! The end of an incident, and the way back: what it has left behind is looked at first.

use std::collections::BTreeSet;

use holdfast_aws::Failure;
use holdfast_domain::Region;
use holdfast_domain::blocked::{Blocked, Guard};
use holdfast_domain::incident::{Approval, Attestation, ClusterState, Phase, Verb};
use holdfast_domain::promotion::{Aftermath, Observed, is_attested, reasons_not_to_close, waits_for_failback};
use holdfast_domain::replication::reasons_not_to_move;
use serde_json::{Value, json};

use crate::rds::Rds;
use crate::requests::no_such;
use crate::{Run, unread};

impl Run<'_> {
    /// Everything that the end of an incident rests on, looked at together.
    async fn aftermath(&self) -> Aftermath {
        fn observed<T, E: ToString>(read: Result<T, E>) -> Observed<T> {
            match read {
                Ok(seen) => Observed::Seen(seen),
                Err(why) => Observed::Unseen { why: why.to_string() },
            }
        }
        let rds = Rds::in_region(&self.startup.sdk, &self.startup.region);
        let coordination = self.startup.coordination();
        let (cluster, runs, in_doubt, receipts) = tokio::join!(
            rds.global_cluster(&self.startup.config.topology.global_cluster),
            coordination.ledger_runs(),
            coordination.in_doubt(),
            coordination.receipts_compared(),
        );
        let ledger = observed(runs.map(|runs| runs.into_iter().map(|run| run.summary).collect()));
        Aftermath { cluster, ledger, in_doubt: observed(in_doubt), receipts: observed(receipts) }
    }

    /// Ends an incident when nothing speaks against it, or a person vouches for what does.
    pub(crate) async fn close(
        &self,
        id: &str,
        by: &str,
        overrides: &BTreeSet<Guard>,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let Some(incident) = state.open_incident().filter(|incident| incident.id() == id) else {
            return Err(self.refused(&no_such(id, &state)).await);
        };
        let blocked = reasons_not_to_close(incident, &self.aftermath().await, overrides, self.startup.now());
        if !blocked.is_empty() || dry_run {
            return Ok(json!({"done": "nothing", "incident": id, "blocked": blocked}));
        }
        match self.end(state, by, overrides).await? {
            Some(_) => Ok(json!({"done": "closed", "incident": id})),
            None => Ok(crate::drive::busy()),
        }
    }

    /// Closes the open incident and tells; `None` where another driver keeps it.
    async fn end(
        &self,
        state: ClusterState,
        by: &str,
        overrides: &BTreeSet<Guard>,
    ) -> Result<Option<ClusterState>, Failure> {
        let said = if overrides.is_empty() {
            format!("closed by {by}")
        } else {
            let names: Vec<&str> = overrides.iter().map(|guard| guard.name()).collect();
            format!("closed by {by}, who vouches for {}", names.join(", "))
        };
        let Some(mut state) = self.outwait_driver(state).await? else { return Ok(None) };
        state.driver = Some(self.invocation.id.clone());
        self.advance(&mut state, Phase::Closed, said, |_| {}).await?;
        self.then_drive(false).await?;
        self.tell(&state).await?;
        Ok(Some(state))
    }

    /// Moves the writer back: everything that speaks against it at once, then the end of the failover, then a switchover.
    ///
    /// A run that dies in between leaves a closed incident, and the same request goes on from there.
    pub(crate) async fn failback(&self, to: Region, approval: Approval, dry_run: bool) -> Result<Value, Failure> {
        let from = self.peer_for(&to).await?.region.clone();
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let Some(incident) = state.open_incident().filter(|open| waits_for_failback(open, &to)) else {
            return self.open_by_hand(Verb::Switchover, to, approval, dry_run).await;
        };
        let id = incident.id();
        let coordination = self.startup.coordination();
        let (aftermath, record) = tokio::join!(self.aftermath(), coordination.replication());
        let now = self.startup.now();
        let mut blocked = reasons_not_to_close(incident, &aftermath, &approval.overrides, now);
        let record = match record {
            Ok(record) => Observed::Seen(record),
            Err(error) => Observed::Unseen { why: error.to_string() },
        };
        let way_past =
            format!(r#"{{"action":"failback","to":"{to}","by":"<you>","override":["{}"]}}"#, Guard::Replication);
        if !approval.overrides.contains(&Guard::Replication) {
            blocked.extend(reasons_not_to_move(&from, &to, &record, &way_past, now));
        }
        if !blocked.is_empty() || dry_run {
            let would = if blocked.is_empty() { format!("close {id} and switch over to {to}") } else { String::new() };
            return Ok(json!({"done": "nothing", "incident": id, "would": would, "blocked": told(blocked)}));
        }
        match self.end(state, &approval.by, &approval.overrides).await? {
            Some(_) => self.open_by_hand(Verb::Switchover, to, approval, false).await,
            None => Ok(crate::drive::busy()),
        }
    }

    /// Remembers somebody's word for what no machine of ours looks at.
    pub(crate) async fn attest(
        &self,
        id: &str,
        guard: Guard,
        attestation: Attestation,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        if !is_attested(guard) || attestation.evidence.trim().is_empty() {
            let problem = format!(
                "`alarms_moved` and `plan_clean` are attested, with `evidence`; `{guard}` is looked at by Holdfast, or overridden when the incident is closed"
            );
            return Err(self.refused(&problem).await);
        }
        self.amend(id, dry_run, |_, incident| {
            if incident.phase.is_over() || !incident.was(Phase::Restored) {
                return Err(format!("{incident}: this is attested once writes are restored and before it is closed"));
            }
            incident.attestations.insert(guard, attestation);
            Ok(())
        })
        .await?;
        Ok(json!({"done": if dry_run { "nothing" } else { "attested" }, "incident": id, "guard": guard}))
    }
}

/// The same with the sentence that people read.
fn told(blocked: Vec<Blocked>) -> Vec<Value> {
    blocked
        .into_iter()
        .map(|block| {
            let says = block.to_string();
            let mut value = json!(block);
            value["says"] = says.into();
            value
        })
        .collect()
}
