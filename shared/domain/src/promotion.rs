//! From the facts about an incident to its one next step. Total: any fact may be missing.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arn::ClusterArn;
use crate::blocked::Blocked;
use crate::incident::{Freeze, Incident, Phase, Verb};
use crate::lag::Lag;
use crate::order::{Failover, LossAcceptance, Order, Switchover};
use crate::policy::{Mode, Policy, StandingAcceptance};
use crate::price::Price;
use crate::quorum::{DarkProof, Quorum};
use crate::replication::ReplicationRecord;
use crate::{Timestamp, age};

mod closing;
mod guards;
mod judgement;
mod standby;

pub use closing::{Aftermath, is_attested, now_run_of, reasons_not_to_close, waits_for_failback};
pub use judgement::{Archived, JUDGEMENTS_MAX, Judgement, Replayed, remember};
pub use standby::{Backup, Standby};

/// A fact that could be learned, or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed<T> {
    /// What was seen, just now.
    Seen(T),
    /// It could not be learned.
    Unseen {
        /// Why not.
        why: String,
    },
}

/// The global cluster, as `DescribeGlobalClusters` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalCluster {
    /// `Status`: an untyped string; `available` when nothing is going on.
    pub status: String,
    /// `EngineVersion`.
    pub engine_version: Option<String>,
    /// `GlobalClusterMembers`.
    pub members: Vec<Member>,
    /// `FailoverState`, when it is not empty.
    pub operation: Option<Operation>,
}

/// One cluster of the global cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `DBClusterArn`.
    pub arn: ClusterArn,
    /// `IsWriter`. Still true for the old primary right after a failover was accepted.
    pub is_writer: bool,
    /// `SynchronizationStatus` is `connected`; `None` when RDS does not say.
    pub connected: Option<bool>,
}

/// A failover or switchover that RDS has in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// `Status`: `pending`, `failing-over`, `switching-over`, `cancelling`.
    pub status: String,
    /// `ToDbClusterArn`.
    pub to: Option<String>,
    /// `IsDataLossAllowed`: what tells a failover from a switchover.
    pub data_loss_allowed: bool,
}

/// The cluster to be promoted, as its own Region tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetCluster {
    /// `Status` of the cluster.
    pub status: String,
    /// `EngineVersion` of the cluster.
    pub engine_version: Option<String>,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// `ReplicationSourceIdentifier`: what a read replica replicates; nothing for a cluster that is its own writer.
    #[serde(default)]
    pub replication_source: Option<String>,
}

/// A DB instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its identifier.
    pub id: String,
    /// `DBInstanceStatus`.
    pub status: String,
    /// `IsClusterWriter`.
    pub is_writer: bool,
}

/// Everything that a decision may rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The incident as it is stored.
    pub incident: Incident,
    /// The cluster that loses the writer.
    pub source: ClusterArn,
    /// The cluster that gets it: always this Region's own.
    pub target: ClusterArn,
    /// What the votes say about the Region that loses the writer.
    pub quorum: Quorum,
    /// The global cluster as seen from this Region.
    pub global_cluster: Observed<GlobalCluster>,
    /// The target cluster as seen from this Region.
    pub target_cluster: Observed<TargetCluster>,
    /// How far the target is behind.
    pub lag: Lag,
    /// What promoting now would cost.
    pub price: Price,
    /// What verify-replication found last; looked at for a planned move only.
    pub replication: Observed<Option<ReplicationRecord>>,
    /// When the last automatic promotion towards the target was proven.
    pub promoted_at: Option<Timestamp>,
    /// A person's stop.
    pub freeze: Option<Freeze>,
    /// What stands by, where it is no member of a global database.
    #[serde(default)]
    pub standby: Standby,
}

/// The one next step of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is wrong, or nothing is to be promoted.
    Dismiss(Dismissal),
    /// A guard stops it; all that do are listed.
    Block(Vec<Blocked>),
    /// The evidence holds; what follows is decided next.
    Confirm(Option<DarkProof>),
    /// A person must accept the loss.
    AskApproval {
        /// When it goes on without one, if it does.
        veto_until: Option<Timestamp>,
        /// Why it does not go on by itself.
        reason: String,
    },
    /// Raise the epoch and record the order: from here there is only onward.
    Fence(Order),
    /// Ask RDS, after recording the intent.
    Promote {
        /// The order, bound to this epoch and direction.
        order: Order,
        /// 1 for the first call.
        attempt: u32,
    },
    /// The restored cluster is there and has no instance: create one, after recording the intent.
    AddInstance {
        /// The order, bound to this epoch and direction.
        order: Order,
        /// Counts on from the calls before.
        attempt: u32,
    },
    /// The Region answers again and RDS has moved nothing: a later epoch names it the writer, as before.
    GiveBack {
        /// How it is seen.
        seen: String,
    },
    /// RDS is done.
    Prove,
    /// Write the fence row through the name that applications use, and believe only that.
    WriteFenceRow,
    /// Nothing to do but look again soon.
    LookAgain {
        /// What is being waited for.
        waiting_for: String,
        /// It has taken longer than the policy's patience: a person is told once.
        slow: bool,
    },
    /// Look for the old volume's snapshot and copy it.
    SecureOldVolume,
    /// What was lost is counted for good: remember it and tell it.
    RecordLoss(Price),
    /// A planned move that is proven ends by itself: it leaves nothing to reconcile.
    CloseItself,
    /// It cannot go on without a person.
    Fail {
        /// Why.
        reason: String,
    },
    /// Nothing to do until something new is heard.
    Rest {
        /// Why not.
        why: String,
    },
}

/// Why an incident came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// The Region that was suspected does not hold the writer.
    NotTheWriter,
    /// The Region answers again, as the quorum sees it.
    Recovered,
}

/// How long RDS may take to show the effect of a call before the call is made again.
const SETTLE: Duration = Duration::from_secs(8);
/// How long observers that say nothing are waited for while a fence is up: writes work nowhere meanwhile.
const STILL_DARK_WAIT: Duration = Duration::from_secs(60);
/// Calls to RDS for one incident. RDS has no idempotency token: each further one needs its own look first.
const ATTEMPTS_MAX: u32 = 3;

/// The next step.
///
/// A promotion happens only when the primary is gone *and* the price was put *and* somebody accepted it.
#[must_use]
pub fn decide(facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    match facts.incident.phase {
        Phase::Suspected | Phase::Confirmed | Phase::AwaitingApproval | Phase::Blocked => {
            before_the_fence(facts, policy, now)
        }
        Phase::Fencing => match &facts.incident.order {
            Some(order) => {
                let go_on = Decision::Promote { order: order.clone(), attempt: 1 };
                if evidence_is_old(&facts.incident, policy, now) { still_dark(facts, now, go_on) } else { go_on }
            }
            None => Decision::Fail { reason: "the incident is in Fencing without an order".into() },
        },
        Phase::Promoting => promoting(facts, policy, now),
        Phase::Proving => Decision::WriteFenceRow,
        Phase::Restored => restored(facts, policy, now),
        Phase::Reconciling if facts.incident.secured_snapshot.is_none() => Decision::SecureOldVolume,
        Phase::Reconciling => Decision::Rest { why: "the old volume is secured; a person closes the incident".into() },
        Phase::Dismissed | Phase::Failed | Phase::Closed => {
            Decision::Rest { why: format!("the incident is {}", facts.incident.phase) }
        }
    }
}

fn before_the_fence(facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    if facts.is_there_already() {
        return Decision::Dismiss(Dismissal::NotTheWriter);
    }
    let person_insists = facts.incident.approval.is_some();
    if facts.incident.verb == Verb::Failover && facts.quorum == Quorum::Alive && !person_insists {
        return Decision::Dismiss(Dismissal::Recovered);
    }
    if facts.incident.verb == Verb::Failover && facts.quorum == Quorum::Wavering && !person_insists {
        return Decision::Rest { why: "probes waver; the observers speak again in a few seconds".into() };
    }
    let blocked = guards::standing_in_the_way(facts, policy, now);
    if !blocked.is_empty() {
        return block_once(&facts.incident, blocked);
    }
    let unproven = facts.incident.phase == Phase::Blocked && facts.incident.proof.is_none() && !person_insists;
    if facts.incident.phase == Phase::Suspected || unproven {
        let proof = match &facts.quorum {
            Quorum::Dark(proof) => Some(proof.clone()),
            Quorum::StillHeard { .. }
            | Quorum::Grey { .. }
            | Quorum::Split { .. }
            | Quorum::Wavering
            | Quorum::Alive
            | Quorum::Unknown { .. } => None,
        };
        return Decision::Confirm(proof);
    }
    authorised(facts, policy, now)
}

/// The same guards as before are not news: only a new one is said and paged.
fn block_once(incident: &Incident, blocked: Vec<Blocked>) -> Decision {
    let names = |list: &[Blocked]| list.iter().map(|block| block.guard).collect::<Vec<_>>();
    if incident.phase == Phase::Blocked && names(&incident.blocked) == names(&blocked) {
        return Decision::Rest { why: format!("still {}", Decision::Block(blocked)) };
    }
    Decision::Block(blocked)
}

/// The evidence holds: who says go?
fn authorised(facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    let order = match facts.incident.verb {
        Verb::Switchover => {
            let by = facts.incident.approval.as_ref().map_or(facts.incident.raised_by.as_str(), |go| go.by.as_str());
            let order = Switchover::new(facts.source.clone(), facts.target.clone(), facts.incident.epoch, by);
            Order::Switchover(order)
        }
        Verb::Failover => match acceptance(facts, policy, now) {
            Ok(acceptance) => match facts.means() {
                Some(means) => {
                    let order = Failover::new(facts.target.clone(), facts.incident.epoch, acceptance);
                    Order::Failover(order.by(means))
                }
                None => return block_once(&facts.incident, standby::in_the_way(facts)),
            },
            Err(decision) => return *decision,
        },
    };
    match guards::observe_mode(facts, policy, &order.to_string()) {
        Some(blocked) => block_once(&facts.incident, vec![blocked]),
        None => Decision::Fence(order),
    }
}

/// An acceptance of loss, or what is to be done in its absence.
fn acceptance(facts: &Facts, policy: &Policy, now: Timestamp) -> Result<LossAcceptance, Box<Decision>> {
    if let Some(approval) = &facts.incident.approval {
        return Ok(LossAcceptance::approved(&approval.by, &approval.comment, approval.at, facts.price.clone()));
    }
    let ask = |reason: String, veto_until| Err(Box::new(Decision::AskApproval { veto_until, reason }));
    let wait = |waiting: String| Err(Box::new(Decision::Rest { why: waiting }));
    let asked = facts.incident.phase == Phase::AwaitingApproval;
    let standing = policy.standing_acceptance.as_ref().map(|it| LossAcceptance::standing(it, facts.price.clone(), now));
    match (policy.mode, standing) {
        (Mode::Auto | Mode::Observe, Some(Ok(acceptance))) => Ok(acceptance),
        (Mode::Auto, Some(Err(expired))) if !asked => ask(expired.to_string(), None),
        (Mode::Auto, None) if !asked => ask("nobody has accepted loss beforehand".into(), None),
        (Mode::Observe, Some(Err(_)) | None) => {
            let would = format!("ask a person to accept the loss of failing over to {}", facts.target);
            let blocked = guards::observe_mode(facts, policy, &would).into_iter().collect();
            Err(Box::new(block_once(&facts.incident, blocked)))
        }
        (Mode::Approve, standing) => {
            let countdown = policy.approve_countdown_seconds.filter(|_| matches!(standing, Some(Ok(_))));
            match (facts.incident.veto_until, standing) {
                (Some(deadline), Some(Ok(acceptance))) if asked && now >= deadline => Ok(acceptance),
                (deadline, _) if asked => wait(match deadline {
                    Some(deadline) => format!("waiting for an approval or a veto until {deadline:.0}"),
                    None => "waiting for a person's approval".into(),
                }),
                (_, _) => ask(
                    match &facts.incident.veto {
                        Some(veto) => format!("the veto of {} has run out", veto.by),
                        None => "the policy is to ask".into(),
                    },
                    countdown.and_then(|seconds| now.checked_add(Duration::from_secs(seconds)).ok()),
                ),
            }
        }
        (Mode::Auto, Some(Err(_)) | None) => wait("waiting for a person's approval".into()),
    }
}

/// The fence was decided on so long ago that the votes of then no longer count.
#[must_use]
pub fn evidence_is_old(incident: &Incident, policy: &Policy, now: Timestamp) -> bool {
    age(incident.phase_since(), now) > policy.vote_age_max()
}

/// A driver was lost between the fence and RDS, or RDS never heard: the Region may live again by now.
///
/// A person's word is not asked back. Nobody promotes on a proof that is old while the observers say otherwise; and where
/// they say nothing, a person decides.
fn still_dark(facts: &Facts, now: Timestamp, go_on: Decision) -> Decision {
    if facts.incident.verb == Verb::Switchover || facts.incident.approval.is_some() {
        return go_on;
    }
    let from = &facts.incident.from;
    match &facts.quorum {
        Quorum::Dark(_) => go_on,
        seen @ (Quorum::Alive | Quorum::Grey { .. } | Quorum::Split { .. } | Quorum::StillHeard { .. }) => {
            Decision::GiveBack { seen: seen.to_string() }
        }
        seen @ (Quorum::Wavering | Quorum::Unknown { .. }) => {
            if age(facts.incident.phase_since(), now) < STILL_DARK_WAIT {
                let waiting_for = format!("whether {from} is still dark: {seen}");
                return Decision::LookAgain { waiting_for, slow: false };
            }
            Decision::Fail {
                reason: format!(
                    "the fence is up, RDS was not asked, and nobody says whether {from} is still dark: {seen}"
                ),
            }
        }
    }
}

fn promoting(facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    let incident = &facts.incident;
    let waited = age(incident.phase_since(), now);
    // A planned move whose primary has gone dark waits for the dead until RDS gives it up, minutes later.
    let waits_for_the_dead = match (incident.verb, &facts.quorum) {
        (Verb::Switchover, Quorum::Dark(proof)) => Some(proof),
        (Verb::Switchover | Verb::Failover, _) => None,
    };
    let slow = waited.as_secs() >= policy.promotion_slow_seconds || waits_for_the_dead.is_some();
    let look_again = |waiting_for: String| Decision::LookAgain { waiting_for, slow };
    let Some(order) = incident.order.clone() else {
        return Decision::Fail { reason: "the incident is in Promoting without an order".into() };
    };
    if facts.standby != Standby::GlobalDatabase {
        return standby::promoting(facts, order, now, slow);
    }
    let cluster = match &facts.global_cluster {
        Observed::Seen(cluster) => cluster,
        Observed::Unseen { why } => return look_again(format!("the global cluster cannot be described: {why}")),
    };
    if let Some(operation) = &cluster.operation {
        let ours = operation.data_loss_allowed == order.allows_data_loss()
            && operation.to.as_deref().is_none_or(|to| to == order.target().to_string());
        return if ours {
            look_again(match waits_for_the_dead {
                None => format!("RDS is {}", operation.status),
                Some(proof) => format!(
                    "RDS is {}, but {} is {proof}; RDS gives a switchover up after minutes, and then the failover is decided anew",
                    operation.status, incident.from
                ),
            })
        } else {
            Decision::Block(vec![guards::operation_in_flight(operation)])
        };
    }
    if facts.target_is_sole_writer() {
        return match (&facts.target_cluster, cluster.status.as_str()) {
            (_, status) if status != "available" => look_again(format!("the global cluster is {status}")),
            (Observed::Unseen { why }, _) => look_again(format!("the new writer cannot be described: {why}")),
            (Observed::Seen(target), _) if target.has_available_writer() => Decision::Prove,
            (Observed::Seen(_), _) => look_again("the new primary has no available writer instance".into()),
        };
    }
    if let Some(proof) = waits_for_the_dead {
        return Decision::Fail {
            reason: format!("{} is {proof}: nothing can be moved from it as planned", incident.from),
        };
    }
    ask_again(facts, order, now, slow)
}

/// RDS shows no sign of what was asked: it is asked again, a few times, and only of a Region that is still dark.
fn ask_again(facts: &Facts, order: Order, now: Timestamp, slow: bool) -> Decision {
    match &facts.incident.intent {
        None => Decision::Promote { order, attempt: 1 },
        Some(intent) if age(intent.at, now) < SETTLE => {
            Decision::LookAgain { waiting_for: "RDS has not shown the effect of the call yet".into(), slow }
        }
        Some(intent) if intent.attempt < ATTEMPTS_MAX => {
            let again = Decision::Promote { order, attempt: intent.attempt.saturating_add(1) };
            still_dark(facts, now, again)
        }
        Some(intent) => Decision::Fail {
            reason: format!("RDS was asked {} times and the global cluster shows no sign of it", intent.attempt),
        },
    }
}

fn restored(facts: &Facts, policy: &Policy, now: Timestamp) -> Decision {
    let settled = facts.incident.loss.as_ref().is_some_and(Price::is_settled);
    if facts.incident.verb == Verb::Failover && !settled {
        if facts.price.is_settled() {
            return Decision::RecordLoss(facts.price.clone());
        }
        if facts.incident.old_writer_silent_from(policy).is_some_and(|silent| now < silent) {
            let waiting_for = "the last moment at which the old writer can have acknowledged anything".into();
            return Decision::LookAgain { waiting_for, slow: false };
        }
    }
    match (facts.incident.verb, &facts.quorum) {
        (Verb::Switchover, _) => Decision::CloseItself,
        (Verb::Failover, Quorum::Alive | Quorum::Grey { .. }) => match facts.standby {
            Standby::GlobalDatabase => Decision::SecureOldVolume,
            // Aurora rebuilds nothing here: the old cluster keeps its rows, and is fenced by the epoch alone.
            Standby::ReadReplica | Standby::Snapshot { .. } => Decision::Rest {
                why: format!(
                    "{} is back with its old cluster; a person compares the two and closes",
                    facts.incident.from
                ),
            },
        },
        (Verb::Failover, quorum) => Decision::Rest { why: format!("{} is not back: {quorum}", facts.incident.from) },
    }
}

impl Facts {
    /// The target is the one writer, as far as the global cluster was seen.
    #[must_use]
    pub fn target_is_sole_writer(&self) -> bool {
        match &self.global_cluster {
            Observed::Seen(cluster) => self.writer_of(cluster) == Some(&self.target),
            Observed::Unseen { .. } => false,
        }
    }

    /// RDS was seen, and has nothing in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(&self.global_cluster, Observed::Seen(cluster) if cluster.operation.is_none())
    }

    /// The one cluster that is the writer; `None` when there is none or more than one.
    fn writer_of<'a>(&self, cluster: &'a GlobalCluster) -> Option<&'a ClusterArn> {
        let mut writers = cluster.members.iter().filter(|member| member.is_writer);
        match (writers.next(), writers.next()) {
            (Some(writer), None) => Some(&writer.arn),
            (Some(_) | None, _) => None,
        }
    }
}

impl TargetCluster {
    pub(crate) fn has_available_writer(&self) -> bool {
        self.instances.iter().any(|instance| instance.is_writer && instance.status == "available")
    }
}

impl StandingAcceptance {
    /// The most lag at which it holds.
    #[must_use]
    pub fn lag_max(&self) -> Duration {
        Duration::from_secs(self.lag_max_seconds)
    }
}

impl fmt::Display for Dismissal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTheWriter => f.write_str("the Region does not hold the writer; there is nothing to promote, but redundancy is gone until it returns"),
            Self::Recovered => f.write_str("the Region answers and writes again"),
        }
    }
}

impl Decision {
    /// Its name, whatever it carries.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dismiss(_) => "dismiss",
            Self::Block(_) => "block",
            Self::Confirm(_) => "confirm",
            Self::AskApproval { .. } => "ask_approval",
            Self::Fence(_) => "fence",
            Self::Promote { .. } => "promote",
            Self::AddInstance { .. } => "add_instance",
            Self::GiveBack { .. } => "give_back",
            Self::Prove => "prove",
            Self::WriteFenceRow => "write_fence_row",
            Self::LookAgain { .. } => "look_again",
            Self::SecureOldVolume => "secure_old_volume",
            Self::RecordLoss(_) => "record_loss",
            Self::CloseItself => "close_itself",
            Self::Fail { .. } => "fail",
            Self::Rest { .. } => "rest",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dismiss(dismissal) => write!(f, "dismissed: {dismissal}"),
            Self::Block(blocked) => {
                f.write_str("blocked by ")?;
                for (index, block) in blocked.iter().enumerate() {
                    if index > 0 {
                        f.write_str("; and by ")?;
                    }
                    write!(f, "{block}")?;
                }
                Ok(())
            }
            Self::Confirm(Some(proof)) => write!(f, "confirmed dark: {proof}"),
            Self::Confirm(None) => f.write_str("confirmed on a person's word"),
            Self::AskApproval { veto_until: Some(deadline), reason } => {
                write!(f, "a person is asked ({reason}); it goes on at {deadline:.0} unless vetoed")
            }
            Self::AskApproval { veto_until: None, reason } => write!(f, "a person is asked ({reason})"),
            Self::Fence(order) => write!(f, "fencing off the old writer, then {order}"),
            Self::Promote { order, attempt: 1 } => write!(f, "asking RDS to {order}"),
            Self::Promote { order, attempt } => write!(f, "asking RDS for the {attempt}. time to {order}"),
            Self::AddInstance { order, attempt } => {
                write!(f, "asking RDS ({attempt}) for an instance in {}", order.target())
            }
            Self::GiveBack { seen } => {
                write!(f, "the old writer stays: RDS has moved nothing, and its Region is no longer dark: {seen}")
            }
            Self::Prove => f.write_str("RDS is done; proving that writes work"),
            Self::WriteFenceRow => f.write_str("writing the fence row through the writer endpoint"),
            Self::LookAgain { waiting_for, slow: false } => write!(f, "waiting: {waiting_for}"),
            Self::LookAgain { waiting_for, slow: true } => write!(f, "waiting longer than planned: {waiting_for}"),
            Self::RecordLoss(loss) => write!(f, "the loss is counted: {loss}"),
            Self::CloseItself => f.write_str("closed: a planned move that is proven leaves nothing to reconcile"),
            Self::SecureOldVolume => f.write_str("looking for the snapshot of the old volume"),
            Self::Fail { reason } => write!(f, "failed: {reason}"),
            Self::Rest { why } => write!(f, "nothing to do: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
