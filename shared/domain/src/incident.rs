//! The incident: its phases, the table of what may follow what, and the one record that all drivers share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::blocked::{Blocked, Guard};
use crate::lag::Lag;
use crate::order::Order;
use crate::policy::Policy;
use crate::price::Price;
use crate::promotion::Judgement;
use crate::quorum::DarkProof;
use crate::{Region, Timestamp};

/// Where an incident stands, in words that an operator says aloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Somebody has raised it; the evidence is being gathered.
    Suspected,
    /// The evidence holds.
    Confirmed,
    /// A person is asked.
    AwaitingApproval,
    /// A guard stops it; it is looked at again whenever anything is heard.
    Blocked,
    /// The epoch is being raised, so that the old writer's lease runs out.
    Fencing,
    /// RDS is asked to promote, or is promoting.
    Promoting,
    /// RDS is done; a row is written through the name that applications use.
    Proving,
    /// Writes are proven to work.
    Restored,
    /// The old Region is back; what it had not replicated is being secured.
    Reconciling,
    /// It was nothing, or a person stopped it.
    Dismissed,
    /// It cannot go on without a person.
    Failed,
    /// Redundancy, ledger and in-doubt list are clean.
    Closed,
}

impl Phase {
    /// Every phase, for tests and tables.
    pub const ALL: [Self; 12] = [
        Self::Suspected,
        Self::Confirmed,
        Self::AwaitingApproval,
        Self::Blocked,
        Self::Fencing,
        Self::Promoting,
        Self::Proving,
        Self::Restored,
        Self::Reconciling,
        Self::Dismissed,
        Self::Failed,
        Self::Closed,
    ];

    /// What happens on the way to `next`, as the operator's sentence; `None` when it may not follow.
    #[must_use]
    pub fn edge(self, next: Self) -> Option<&'static str> {
        use Phase::{
            AwaitingApproval, Blocked, Closed, Confirmed, Dismissed, Failed, Fencing, Promoting, Proving, Reconciling,
            Restored, Suspected,
        };
        match (self, next) {
            (Suspected | Blocked, Confirmed) => Some("the evidence holds"),
            (Confirmed | Blocked, AwaitingApproval) => Some("a person is asked to accept the loss"),
            (Suspected | Confirmed | AwaitingApproval | Promoting, Blocked) => Some("a guard stops it"),
            (Confirmed | AwaitingApproval | Blocked, Fencing) => Some("the old writer is being fenced off"),
            (Fencing | Promoting, Dismissed) => Some("the writer is given back: RDS has moved nothing"),
            (Fencing, Promoting) => Some("RDS is asked to promote"),
            (Promoting, Proving) => Some("RDS is done; proving that writes work"),
            (Proving, Restored) => Some("writes work again"),
            (Restored, Reconciling) => Some("the old Region is back; its unreplicated rows are being secured"),
            (Suspected | Confirmed | AwaitingApproval | Blocked, Dismissed) => Some("nothing is moved"),
            (Fencing | Promoting | Proving, Failed) => Some("it cannot go on without a person"),
            (Restored | Reconciling | Failed, Closed) => Some("it is closed"),
            (Failed, Fencing) => Some("a person has it tried again"),
            _ => None,
        }
    }

    /// Nothing follows of itself.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Dismissed | Self::Closed => true,
            Self::Suspected
            | Self::Confirmed
            | Self::AwaitingApproval
            | Self::Blocked
            | Self::Fencing
            | Self::Promoting
            | Self::Proving
            | Self::Restored
            | Self::Reconciling
            | Self::Failed => false,
        }
    }

    /// A driver must be at work: a silent one is replaced.
    #[must_use]
    pub fn wants_a_driver(self) -> bool {
        match self {
            Self::Suspected | Self::Confirmed | Self::Fencing | Self::Promoting | Self::Proving => true,
            Self::AwaitingApproval
            | Self::Blocked
            | Self::Restored
            | Self::Reconciling
            | Self::Dismissed
            | Self::Failed
            | Self::Closed => false,
        }
    }

    /// It waits for evidence or for a person, and moves as soon as it has it.
    #[must_use]
    pub fn can_still_move(self) -> bool {
        match self {
            Self::AwaitingApproval | Self::Blocked => true,
            Self::Suspected
            | Self::Confirmed
            | Self::Fencing
            | Self::Promoting
            | Self::Proving
            | Self::Restored
            | Self::Reconciling
            | Self::Dismissed
            | Self::Failed
            | Self::Closed => false,
        }
    }

    /// The fence is up: there is no way back, only on.
    #[must_use]
    pub fn is_committed(self) -> bool {
        match self {
            Self::Fencing | Self::Promoting | Self::Proving => true,
            Self::Suspected
            | Self::Confirmed
            | Self::AwaitingApproval
            | Self::Blocked
            | Self::Restored
            | Self::Reconciling
            | Self::Dismissed
            | Self::Failed
            | Self::Closed => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Planned or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Planned: both Regions healthy, nothing lost.
    Switchover,
    /// Unplanned: the primary is gone.
    Failover,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        })
    }
}

/// One outage, or one planned move, from suspicion to the end. Its identity is its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The fencing epoch: higher than that of every earlier incident.
    pub epoch: u64,
    /// Planned or not.
    pub verb: Verb,
    /// The Region that loses the writer.
    pub from: Region,
    /// The Region that gets it, and whose promote-aurora drives.
    pub to: Region,
    /// Where it stands.
    pub phase: Phase,
    /// Who or what raised it.
    pub raised_by: String,
    /// When it was opened, by the driver's clock.
    pub opened_at: Timestamp,
    /// Why the old Region is held to be dark.
    pub proof: Option<DarkProof>,
    /// The lag when the decision was made.
    pub lag: Option<Lag>,
    /// The price when the decision was made.
    pub price: Option<Price>,
    /// What was lost, counted after the promotion was proven.
    #[serde(default)]
    pub loss: Option<Price>,
    /// Until when a veto stops it, when there is a countdown.
    pub veto_until: Option<Timestamp>,
    /// A person's go-ahead.
    pub approval: Option<Approval>,
    /// A person's no. It holds until the Region recovers or somebody approves.
    pub veto: Option<Veto>,
    /// The order, once there is one.
    pub order: Option<Order>,
    /// The last call to RDS that was about to be made: written before the call.
    pub intent: Option<Intent>,
    /// What stops it, in phase `Blocked`.
    pub blocked: Vec<Blocked>,
    /// The old volume's snapshot that was copied, in phase `Reconciling`.
    pub secured_snapshot: Option<String>,
    /// What people or pipelines say of what no machine of ours looks at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attestations: BTreeMap<Guard, Attestation>,
    /// When each phase began, and the sentence that was said.
    pub history: Vec<Milestone>,
}

/// A person's go-ahead for one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// What they said.
    pub comment: String,
    /// When.
    pub at: Timestamp,
    /// The guards that they vouch for.
    pub overrides: BTreeSet<Guard>,
}

/// A person's no to one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veto {
    /// Who.
    pub by: String,
    /// What they said.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// Somebody's word that something holds, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Who.
    pub by: String,
    /// Such as the number of a plan that changes nothing.
    pub evidence: String,
    /// When.
    pub at: Timestamp,
}

/// A call to RDS that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// 1 for the first call of this incident.
    pub attempt: u32,
    /// When it was recorded.
    pub at: Timestamp,
}

/// The beginning of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// The phase.
    pub phase: Phase,
    /// When it began, by the driver's clock.
    pub at: Timestamp,
    /// What was decided, in a sentence.
    pub sentence: String,
}

/// A phase may not follow another: a defect of Holdfast, never of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("incident e{epoch}: {next} may not follow {phase}; nothing was changed, tell the makers of Holdfast")]
pub struct IllegalTransition {
    epoch: u64,
    phase: Phase,
    next: Phase,
}

/// The most milestones kept; a blocked incident that is looked at for hours must not outgrow its table item (400 kB).
const HISTORY_MAX: usize = 64;

/// From the last look at the lease to the mark of a payment: three steps of the payments tier, each given up after 1.5 s,
/// and as much again for packets under way.
const PAYMENT_MAX: Duration = Duration::from_secs(6);

/// An incident that was over longer ago than this is history.
const MAY_OWE_A_PAGE: Duration = Duration::from_secs(3600);

impl Incident {
    /// The veto that stands; one that the policy bounds runs out, and people are asked anew.
    #[must_use]
    pub fn standing_veto(&self, policy: &Policy, now: Timestamp) -> Option<&Veto> {
        self.veto.as_ref().filter(|veto| policy.veto_ends(veto.at).is_none_or(|end| now < end))
    }

    /// How people and pages name it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("e{}", self.epoch)
    }

    /// Goes to the next phase, or says that it may not. Staying in `Blocked` with other guards is allowed.
    pub fn advance(&mut self, next: Phase, at: Timestamp, sentence: String) -> Result<(), IllegalTransition> {
        let stays_blocked = self.phase == Phase::Blocked && next == Phase::Blocked;
        if !stays_blocked && self.phase.edge(next).is_none() {
            return Err(IllegalTransition { epoch: self.epoch, phase: self.phase, next });
        }
        self.phase = next;
        if next != Phase::Blocked {
            self.blocked.clear();
        }
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(HISTORY_MAX / 2);
        }
        self.history.push(Milestone { phase: next, at, sentence });
        Ok(())
    }

    /// It was in that phase, as far as its history goes back.
    #[must_use]
    pub fn was(&self, phase: Phase) -> bool {
        self.history.iter().any(|milestone| milestone.phase == phase)
    }

    /// Nothing more is to come of it by itself: a new suspicion is a new incident. A planned move that failed is one of
    /// these, for the primary may be lost meanwhile; a failover that failed is not, for only a person has it tried again.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.phase {
            Phase::Restored | Phase::Reconciling | Phase::Dismissed | Phase::Closed => true,
            Phase::Failed => self.verb == Verb::Switchover,
            Phase::Suspected
            | Phase::Confirmed
            | Phase::AwaitingApproval
            | Phase::Blocked
            | Phase::Fencing
            | Phase::Promoting
            | Phase::Proving => false,
        }
    }

    /// When the old writer can have marked its last payment, at the latest: the epoch is raised by the time that RDS is
    /// asked, a lease lasts so long after it was last read, and a payment that began under it may take a little longer.
    #[must_use]
    pub fn old_writer_silent_from(&self, policy: &Policy) -> Option<Timestamp> {
        let fenced = self.history.iter().find(|milestone| milestone.phase == Phase::Promoting)?;
        fenced.at.checked_add(policy.writer_lease() + PAYMENT_MAX).ok()
    }

    /// Events can get lost: while it is open, and for an hour after, somebody may not have been told yet.
    #[must_use]
    pub fn may_owe_a_page(&self, now: Timestamp) -> bool {
        !self.phase.is_over() || crate::age(self.phase_since(), now) < MAY_OWE_A_PAGE
    }

    /// When the present phase began.
    #[must_use]
    pub fn phase_since(&self) -> Timestamp {
        self.history.last().map_or(self.opened_at, |milestone| milestone.at)
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, from, to, phase, .. } = self;
        write!(f, "{} of the ledger from {from} to {to}, {}: {phase}", verb, self.id())
    }
}

/// The one record that all drivers share, kept in the coordination table under one conditional write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Rises with every write; the condition of the next one.
    pub version: u64,
    /// The highest epoch given out.
    pub epoch: u64,
    /// Who drives, if anybody does. Silence for the length of a lease is permission to take over.
    pub driver: Option<String>,
    /// The present or the last incident.
    pub incident: Option<Incident>,
    /// What was decided in it, and from what. It is kept beside the incident, so that it does not cross the bus with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
    /// Towards which Region the last automatic promotion went, and when it was proven.
    #[serde(default)]
    pub promoted_at: BTreeMap<Region, Timestamp>,
    /// Set by a person to stop every action.
    pub freeze: Option<Freeze>,
}

/// A person's stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What opening an incident needs to know.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Planned or not.
    pub verb: Verb,
    /// The Region that loses the writer.
    pub from: Region,
    /// The Region that gets it.
    pub to: Region,
    /// Who or what raised it.
    pub raised_by: String,
    /// A person's go-ahead, when a person raised it.
    pub approval: Option<Approval>,
}

impl ClusterState {
    /// The incident that is not over.
    #[must_use]
    pub fn open_incident(&self) -> Option<&Incident> {
        self.incident.as_ref().filter(|incident| !incident.phase.is_over())
    }

    /// Opens an incident under the next epoch.
    pub fn open(&mut self, opening: Opening, now: Timestamp) {
        let Opening { verb, from, to, raised_by, approval } = opening;
        self.epoch = self.epoch.saturating_add(1);
        self.judgements.clear();
        let sentence = format!("{verb} from {from} to {to} raised by {raised_by}");
        self.incident = Some(Incident {
            epoch: self.epoch,
            verb,
            from,
            to,
            phase: Phase::Suspected,
            raised_by,
            opened_at: now,
            proof: None,
            lag: None,
            price: None,
            loss: None,
            veto_until: None,
            approval,
            veto: None,
            order: None,
            intent: None,
            blocked: Vec::new(),
            secured_snapshot: None,
            attestations: BTreeMap::new(),
            history: vec![Milestone { phase: Phase::Suspected, at: now, sentence }],
        });
    }
}

#[cfg(test)]
mod table_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn incident() -> Incident {
        let mut state = ClusterState { epoch: 6, ..ClusterState::default() };
        let opening = Opening {
            verb: Verb::Failover,
            from: Region::new("eu-west-1").unwrap(),
            to: Region::new("eu-west-2").unwrap(),
            raised_by: "a test".into(),
            approval: None,
        };
        state.open(opening, Timestamp::UNIX_EPOCH);
        state.incident.unwrap()
    }

    #[test]
    fn an_incident_opens_under_the_next_epoch() {
        assert_eq!(incident().id(), "e7");
    }

    #[test]
    fn a_phase_that_may_not_follow_changes_nothing() {
        let mut incident = incident();
        let before = incident.clone();
        assert!(incident.advance(Phase::Proving, Timestamp::UNIX_EPOCH, String::new()).is_err());
        assert_eq!(incident, before);
    }

    #[test]
    fn a_planned_move_that_failed_makes_way_for_a_failover_and_a_failover_that_failed_does_not() {
        let mut failed = incident();
        failed.phase = Phase::Failed;
        assert!(!failed.is_settled());
        failed.verb = Verb::Switchover;
        assert!(failed.is_settled());
        for phase in Phase::ALL.into_iter().filter(|phase| phase.wants_a_driver() || phase.can_still_move()) {
            failed.phase = phase;
            assert!(!failed.is_settled(), "{phase}");
        }
    }

    #[test]
    fn an_incident_may_owe_a_page_while_it_is_open_and_for_an_hour_after() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let mut incident = incident();
        assert!(incident.may_owe_a_page(second(1_000_000)));
        incident.advance(Phase::Dismissed, second(100), String::new()).unwrap();
        assert!(incident.may_owe_a_page(second(100 + 3599)));
        assert!(!incident.may_owe_a_page(second(100 + 3600)));
    }

    #[test]
    fn nothing_follows_an_incident_that_is_over() {
        for over in Phase::ALL.into_iter().filter(|phase| phase.is_over()) {
            for next in Phase::ALL {
                assert_eq!(over.edge(next), None, "{over} to {next}");
            }
        }
    }

    #[test]
    fn once_rds_has_moved_the_writer_nothing_is_dismissed() {
        for moved in [Phase::Proving, Phase::Restored, Phase::Reconciling] {
            assert_eq!(moved.edge(Phase::Dismissed), None, "{moved}");
        }
    }

    #[test]
    fn every_open_phase_can_reach_an_end() {
        for start in Phase::ALL {
            let mut reached = vec![start];
            let mut next = 0;
            while let Some(phase) = reached.get(next).copied() {
                let fresh = Phase::ALL.into_iter().filter(|to| phase.edge(*to).is_some() && !reached.contains(to));
                let fresh: Vec<Phase> = fresh.collect();
                reached.extend(fresh);
                next += 1;
            }
            assert!(reached.iter().any(|phase| phase.is_over()), "{start} leads nowhere");
        }
    }

    #[test]
    fn promotion_is_reached_only_through_the_fence() {
        for before in Phase::ALL {
            assert_eq!(before.edge(Phase::Promoting).is_some(), before == Phase::Fencing, "{before}");
        }
    }

    #[test]
    fn a_long_blocked_incident_keeps_a_bounded_history() {
        let mut incident = incident();
        for _ in 0..1000 {
            incident.advance(Phase::Blocked, Timestamp::UNIX_EPOCH, "still".into()).unwrap();
        }
        assert_eq!(incident.history.len(), HISTORY_MAX);
    }
}
