//! What a run left behind, read from the world and from the clients, never from what the functions say of themselves.

use std::time::Duration;

use holdfast_domain::incident::ClusterState;
use holdfast_domain::replication::ReplicationRecord;
use holdfast_domain::vote::Vote;
use holdfast_payments::history::Operation;
use holdfast_world::dynamodb::{Item, journal};
use holdfast_world::lambda::Invoked;
use holdfast_world::rds::{Accepted, accepted, promotions};
use holdfast_world::sns::Letter;
use holdfast_world::{Outcome, RecordedRequest, Region, World};
use serde::de::DeserializeOwned;

use super::plan::Plan;
use crate::deployment::{Deployment, Setup, TABLE};

/// Everything that the invariants look at. Times are since the start, by the true clock.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) plan: Plan,
    pub(crate) setup: Setup,
    pub(crate) world: World,
    pub(crate) ended: Duration,
    /// Every version of the shared state, when it was saved.
    pub(crate) states: Vec<(Duration, ClusterState)>,
    /// Every writer epoch, when it was raised, and the Region that may write under it.
    pub(crate) fences: Vec<(Duration, u64, Region)>,
    /// Every vote, when it was written.
    pub(crate) votes: Vec<(Duration, Vote)>,
    /// Every version of what is known of the stores' replication, when it was saved.
    pub(crate) replication: Vec<(Duration, ReplicationRecord)>,
    /// Requests of the functions.
    pub(crate) requests: Vec<RecordedRequest>,
    /// What Holdfast sent to people.
    pub(crate) letters: Vec<Letter>,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) promotions: Vec<(Duration, Region)>,
    pub(crate) invoked: Vec<Invoked>,
    /// When an invocation was killed, and of which function.
    pub(crate) kills: Vec<(Duration, String)>,
    pub(crate) operations: Vec<Operation>,
    /// Attempt keys that the card network charged, one for each charge.
    pub(crate) charges: Vec<String>,
}

impl Evidence {
    pub(crate) fn gather(plan: &Plan, setup: &Setup, deployment: &Deployment) -> Self {
        let world = deployment.world.clone();
        let functions = [
            observe_region::FUNCTION,
            promote_aurora::FUNCTION,
            page_humans::FUNCTION,
            verify_replication::FUNCTION,
            reconcile_ledger::FUNCTION,
        ];
        let (mut states, mut fences, mut votes, mut replication) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for change in journal(&world, TABLE) {
            let Some(item) = &change.item else { continue };
            let key = text(item, "pk", "S").unwrap_or_default();
            if key.starts_with("cluster#") {
                states.extend(body(item).map(|state| (change.at, state)));
            } else if key.starts_with("vote#") {
                votes.extend(body(item).map(|vote| (change.at, vote)));
            } else if key.starts_with("replication#") {
                replication.extend(body(item).map(|record| (change.at, record)));
            } else if key.starts_with("writer#") {
                let epoch = text(item, "number", "N").and_then(|number| number.parse().ok());
                let region = text(item, "writer_region", "S").and_then(Region::named);
                fences.extend(epoch.zip(region).map(|(epoch, region)| (change.at, epoch, region)));
            }
        }
        Self {
            plan: plan.clone(),
            setup: setup.clone(),
            ended: world.elapsed(),
            states,
            fences,
            votes,
            replication,
            requests: world.requests().into_iter().filter(|it| functions.contains(&&*it.caller.name)).collect(),
            letters: world.inbox().into_iter().filter(|letter| letter.region != Region::N_VIRGINIA).collect(),
            accepted: accepted(&world),
            promotions: promotions(&world),
            invoked: world.invoked(),
            kills: kills(&world),
            operations: deployment.history.operations(),
            charges: deployment.network.charges().into_iter().map(|charge| charge.attempt_key).collect(),
            world,
        }
    }

    /// The shared state at that time.
    pub(crate) fn state_at(&self, at: Duration) -> Option<&ClusterState> {
        self.states.iter().rev().find(|(saved, _)| *saved <= at).map(|(_, state)| state)
    }

    /// The Region that held the writer at that time, as RDS had it.
    pub(crate) fn writer_at(&self, at: Duration) -> Region {
        let done = self.promotions.iter().rfind(|(promoted, _)| *promoted <= at);
        done.map_or(self.plan.primary, |(_, writer)| *writer)
    }

    /// Calls that ask RDS to promote.
    pub(crate) fn promotion_calls(&self) -> impl Iterator<Item = &RecordedRequest> {
        self.requests.iter().filter(|it| ["FailoverGlobalCluster", "SwitchoverGlobalCluster"].contains(&&*it.operation))
    }

    /// Calls of one function that did not go as they should.
    pub(crate) fn disturbed_calls<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a RecordedRequest> {
        self.requests.iter().filter(move |request| {
            let answered = matches!(request.outcome, Outcome::Answered(status) if status < 500);
            &*request.caller.name == function && (request.struck.is_some() || !answered)
        })
    }

    /// When the last trouble was over, as far as it ends at all.
    pub(crate) fn troubles_over(&self) -> Duration {
        troubles_over(&self.plan, &self.kills)
    }
}

/// When the last trouble of a plan is over, as far as it ends at all, and the last kill.
pub(crate) fn troubles_over(plan: &Plan, kills: &[(Duration, String)]) -> Duration {
    let over = plan.faults.iter().map(|fault| fault.until.unwrap_or(fault.from));
    over.chain(kills.iter().map(|(at, _)| *at)).max().unwrap_or_default()
}

/// When an invocation was killed, and of which function.
pub(crate) fn kills(world: &World) -> Vec<(Duration, String)> {
    let killed = world.entries().into_iter().filter(|entry| entry.what.ends_with("is killed"));
    killed.map(|entry| (entry.at, entry.actor)).collect()
}

/// The Lambda request id of a caller.
pub(crate) fn request_id(request: &RecordedRequest) -> String {
    format!("{}-{}", request.caller.region, request.caller.invocation.unwrap_or_default())
}

fn text<'a>(item: &'a Item, attribute: &str, kind: &str) -> Option<&'a str> {
    item.get(attribute)?.get(kind)?.as_str()
}

fn body<T: DeserializeOwned>(item: &Item) -> Option<T> {
    serde_json::from_str(text(item, "body", "S")?).ok()
}
