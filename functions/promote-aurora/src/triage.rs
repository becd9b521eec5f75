//! From a suspicion to an incident, or to nothing.

use holdfast_aws::Failure;
use holdfast_domain::event::Event;
use holdfast_domain::incident::{ClusterState, Opening, Verb};
use holdfast_domain::promotion::Observed;
use holdfast_domain::quorum::Quorum;
use holdfast_domain::topology::LedgerStrategy;
use serde_json::{Value, json};

use crate::drive::busy;
use crate::rds::Rds;
use crate::{Run, unread};

impl Run<'_> {
    /// Looks at the other data Region. `page_if_unknown`: somebody outside the observers has raised an alarm, so
    /// that an unknown quorum is a guard to be paged and not a silence.
    pub(crate) async fn triage(&self, raised_by: &str, page_if_unknown: bool) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        if self.is_mine(&state) && state.incident.as_ref().is_some_and(|incident| !incident.is_settled()) {
            return self.drive(state).await;
        }
        let Some(peer) = self.startup.config.topology.peer_of(&self.startup.region) else {
            return Ok(json!({"done": "nothing", "why": "this Region has no peer"}));
        };
        let quorum = self.quorum(&peer.region).await;
        tracing::info!(subject = %peer.region, "{}: {quorum}", peer.region);
        match &quorum {
            Quorum::Dark(proof) => {
                let rds = Rds::in_region(&self.startup.sdk, &self.startup.region);
                let cluster = rds.global_cluster(&self.startup.config.topology.global_cluster).await;
                if self.holds_the_writer(&cluster) || self.writes_by_itself(&rds).await {
                    if state.open_incident().is_some_and(|incident| incident.from == peer.region) {
                        let why = "the open incident has already said that this Region is dark";
                        return Ok(json!({"done": "nothing", "why": why}));
                    }
                    let event = Event::StandbyDark { subject: peer.region.clone(), proof: proof.clone() };
                    self.publish(&event).await?;
                    return Ok(json!({"done": "told", "why": "this Region holds the writer; the standby is dark"}));
                }
            }
            Quorum::Unknown { .. } if page_if_unknown => {}
            Quorum::Unknown { .. }
            | Quorum::StillHeard { .. }
            | Quorum::Grey { .. }
            | Quorum::Split { .. }
            | Quorum::Wavering
            | Quorum::Alive => {
                return Ok(json!({"done": "nothing", "why": format!("{}: {quorum}", peer.region)}));
            }
        }
        let opening = Opening {
            verb: Verb::Failover,
            from: peer.region.clone(),
            to: self.startup.region.clone(),
            raised_by: raised_by.to_owned(),
            approval: None,
        };
        self.open_and_drive(state, opening).await
    }

    /// Opens an incident under this driver and takes it as far as it goes.
    pub(crate) async fn open_and_drive(&self, state: ClusterState, opening: Opening) -> Result<Value, Failure> {
        let Some(mut state) = self.outwait_driver(state).await? else { return Ok(busy()) };
        if self.is_mine(&state) && state.incident.as_ref().is_some_and(|incident| !incident.is_settled()) {
            return self.drive(state).await;
        }
        let superseded = state.incident.clone().map(|incident| (incident, std::mem::take(&mut state.judgements)));
        state.open(opening, self.startup.now());
        state.driver = Some(self.invocation.id.clone());
        state.version += 1;
        let coordination = self.startup.coordination();
        if let Some((superseded, judgements)) = superseded {
            coordination.archive(&superseded, &judgements).await.map_err(unread)?;
        }
        coordination.save_cluster_state(&state).await.map_err(unread)?;
        self.drive(state).await
    }

    /// Once a minute: an incident whose driver fell silent is resumed, and a suspicion that got lost is raised.
    pub(crate) async fn tick(&self) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let unfinished = state.open_incident().is_some() || state.driver.is_some();
        if self.is_mine(&state) && unfinished {
            self.drive(state).await
        } else {
            self.triage("the schedule", false).await
        }
    }

    /// Takes this Region's open incident further, if there is one.
    pub(crate) async fn resume(&self) -> Result<Value, Failure> {
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        let unfinished = state.open_incident().is_some() || state.driver.is_some();
        if self.is_mine(&state) && unfinished {
            return self.drive(state).await;
        }
        Ok(json!({"done": "nothing", "why": "no incident is open towards this Region"}))
    }

    /// The incident promotes this Region: nobody else drives it.
    pub(crate) fn is_mine(&self, state: &ClusterState) -> bool {
        state.incident.as_ref().is_some_and(|incident| incident.to == self.startup.region)
    }

    /// Without a global database: this Region's own cluster replicates nobody and has a writer.
    async fn writes_by_itself(&self, rds: &Rds) -> bool {
        let topology = &self.startup.config.topology;
        let own = topology.data_region(&self.startup.region).map(|data| &data.cluster_arn);
        match (topology.ledger_strategy, own) {
            (LedgerStrategy::GlobalDatabase, _) | (_, None) => false,
            (LedgerStrategy::ReadReplica | LedgerStrategy::RestoreFromSnapshot, Some(own)) => {
                matches!(rds.target_cluster(own).await, Observed::Seen(cluster) if cluster.writes())
            }
        }
    }

    fn holds_the_writer(&self, cluster: &Observed<holdfast_domain::promotion::GlobalCluster>) -> bool {
        match cluster {
            Observed::Seen(cluster) => {
                cluster.members.iter().any(|member| member.is_writer && *member.arn.region() == self.startup.region)
                    && cluster.operation.is_none()
            }
            Observed::Unseen { .. } => false,
        }
    }
}
