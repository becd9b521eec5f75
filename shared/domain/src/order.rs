//! The two verbs. A `Switchover` loses nothing and needs both Regions; a `Failover` accepts loss and says who accepted it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arn::ClusterArn;
use crate::policy::StandingAcceptance;
use crate::price::Price;
use crate::{Region, Timestamp};

/// On whose word loss is accepted, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossAcceptance {
    accepted_by: String,
    accepted_at: Timestamp,
    basis: Basis,
    price: Price,
}

/// What an acceptance of loss rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// The dated, bounded acceptance in the policy.
    Standing {
        /// Until when it stands.
        expires_at: Timestamp,
        /// The most lag at which it holds.
        lag_max: Duration,
    },
    /// A person's approval of this incident.
    Approval {
        /// What the person said.
        comment: String,
    },
}

/// The standing acceptance has run out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the standing acceptance of loss by {accepted_by} ran out at {expires_at:.0}")]
pub struct AcceptanceExpired {
    accepted_by: String,
    expires_at: Timestamp,
}

impl LossAcceptance {
    /// Accepts loss on the strength of the policy, while that stands.
    pub fn standing(policy: &StandingAcceptance, price: Price, now: Timestamp) -> Result<Self, AcceptanceExpired> {
        let StandingAcceptance { accepted_by, expires_at, lag_max_seconds } = policy;
        if now >= *expires_at {
            return Err(AcceptanceExpired { accepted_by: accepted_by.clone(), expires_at: *expires_at });
        }
        let basis = Basis::Standing { expires_at: *expires_at, lag_max: Duration::from_secs(*lag_max_seconds) };
        Ok(Self { accepted_by: accepted_by.clone(), accepted_at: now, basis, price })
    }

    /// Accepts loss on a person's word.
    #[must_use]
    pub fn approved(by: &str, comment: &str, at: Timestamp, price: Price) -> Self {
        let basis = Basis::Approval { comment: comment.to_owned() };
        Self { accepted_by: by.to_owned(), accepted_at: at, basis, price }
    }

    /// What was known to be lost when it was accepted.
    #[must_use]
    pub fn price(&self) -> &Price {
        &self.price
    }
}

impl fmt::Display for LossAcceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.basis {
            Basis::Standing { expires_at, lag_max } => write!(
                f,
                "loss accepted by {} in the standing policy (lag up to {} s, until {expires_at:.0}); price {}",
                self.accepted_by,
                lag_max.as_secs(),
                self.price
            ),
            Basis::Approval { comment } if comment.is_empty() => {
                write!(f, "loss accepted by {} for this incident; price {}", self.accepted_by, self.price)
            }
            Basis::Approval { comment } => {
                write!(f, "loss accepted by {} for this incident (“{comment}”); price {}", self.accepted_by, self.price)
            }
        }
    }
}

/// An unplanned promotion, asked in the *target's* Region. Whatever the means, it may lose what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    target: ClusterArn,
    epoch: u64,
    acceptance: LossAcceptance,
    #[serde(default)]
    means: Means,
}

/// By which call the target becomes the writer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// `FailoverGlobalCluster` with `AllowDataLoss=true`.
    #[default]
    GlobalDatabase,
    /// `PromoteReadReplicaDBCluster`.
    ReadReplica,
    /// `RestoreDBClusterFromSnapshot` under the target's identifier, then `CreateDBInstance`.
    Snapshot {
        /// Which.
        id: String,
        /// What was written later is lost.
        taken_at: Timestamp,
    },
}

impl Failover {
    /// There is no failover without an acceptance of loss. The order is good for one epoch and one target.
    #[must_use]
    pub fn new(target: ClusterArn, epoch: u64, acceptance: LossAcceptance) -> Self {
        Self { target, epoch, acceptance, means: Means::GlobalDatabase }
    }

    /// The same by other means.
    #[must_use]
    pub fn by(self, means: Means) -> Self {
        Self { means, ..self }
    }

    /// By which call.
    #[must_use]
    pub fn means(&self) -> &Means {
        &self.means
    }

    /// The cluster to promote.
    #[must_use]
    pub fn target(&self) -> &ClusterArn {
        &self.target
    }

    /// The Region whose control plane is asked: the target's, because the primary's may be dark.
    #[must_use]
    pub fn asked_in(&self) -> &Region {
        self.target.region()
    }

    /// On whose word loss is accepted.
    #[must_use]
    pub fn acceptance(&self) -> &LossAcceptance {
        &self.acceptance
    }
}

/// A planned promotion: `SwitchoverGlobalCluster`, asked in the *current primary's* Region. It loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switchover {
    source: ClusterArn,
    target: ClusterArn,
    epoch: u64,
    asked_by: String,
}

impl Switchover {
    /// The order is good for one epoch and one direction.
    #[must_use]
    pub fn new(source: ClusterArn, target: ClusterArn, epoch: u64, asked_by: &str) -> Self {
        Self { source, target, epoch, asked_by: asked_by.to_owned() }
    }

    /// The cluster to promote.
    #[must_use]
    pub fn target(&self) -> &ClusterArn {
        &self.target
    }

    /// The Region whose control plane is asked: the current primary's.
    #[must_use]
    pub fn asked_in(&self) -> &Region {
        self.source.region()
    }
}

/// Exactly one of the two verbs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Unplanned; accepts loss.
    Failover(Failover),
    /// Planned; loses nothing.
    Switchover(Switchover),
}

impl Order {
    /// The epoch the order is good for.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Failover(order) => order.epoch,
            Self::Switchover(order) => order.epoch,
        }
    }

    /// The cluster to promote.
    #[must_use]
    pub fn target(&self) -> &ClusterArn {
        match self {
            Self::Failover(order) => order.target(),
            Self::Switchover(order) => order.target(),
        }
    }

    /// Whether data loss is allowed, as `FailoverState.IsDataLossAllowed` will show it.
    #[must_use]
    pub fn allows_data_loss(&self) -> bool {
        match self {
            Self::Failover(_) => true,
            Self::Switchover(_) => false,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failover(order) => match &order.means {
                Means::GlobalDatabase => write!(f, "fail over to {}; {}", order.target, order.acceptance),
                Means::ReadReplica => write!(f, "promote the read replica {}; {}", order.target, order.acceptance),
                Means::Snapshot { id, taken_at } => {
                    write!(f, "restore {} from {id} of {taken_at:.0}; {}", order.target, order.acceptance)
                }
            },
            Self::Switchover(order) => write!(f, "switch over to {}, asked for by {}", order.target, order.asked_by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(region: &str) -> ClusterArn {
        ClusterArn::parse(&format!("arn:aws:rds:{region}:123456789012:cluster:payments-{region}")).unwrap()
    }
    fn now() -> Timestamp {
        "2026-11-24T14:07:09Z".parse().unwrap()
    }
    fn unknown() -> Price {
        Price::Unknown { why: "not counted".into() }
    }

    #[test]
    fn a_failover_is_asked_in_the_targets_region_and_a_switchover_in_the_primarys() {
        let acceptance = LossAcceptance::approved("ada", "", now(), unknown());
        assert_eq!(Failover::new(arn("eu-west-2"), 7, acceptance).asked_in().as_str(), "eu-west-2");
        let switchover = Switchover::new(arn("eu-west-1"), arn("eu-west-2"), 7, "ada");
        assert_eq!(switchover.asked_in().as_str(), "eu-west-1");
    }

    #[test]
    fn a_stored_failover_without_an_acceptance_cannot_be_read_back() {
        let json = r#"{"target":"arn:aws:rds:eu-west-2:123456789012:cluster:x","epoch":7}"#;
        assert!(serde_json::from_str::<Failover>(json).is_err());
    }

    #[test]
    fn other_means_are_a_failover_with_an_acceptance_too() {
        let by =
            |means| Failover::new(arn("eu-west-2"), 7, LossAcceptance::approved("ada", "", now(), unknown())).by(means);
        let replica = by(Means::ReadReplica);
        let snapshot = by(Means::Snapshot { id: "copy-1".into(), taken_at: now() });
        for (order, expected) in [
            (
                replica,
                "promote the read replica arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2; loss accepted by ada",
            ),
            (
                snapshot,
                "restore arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2 from copy-1 of 2026-11-24T14:07:09Z; loss accepted by ada",
            ),
        ] {
            assert_eq!(order.asked_in().as_str(), "eu-west-2");
            let order = Order::Failover(order);
            assert!(order.allows_data_loss() && order.to_string().starts_with(expected), "{order}");
            let stored = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&stored).unwrap(), order);
            assert!(serde_json::from_str::<Order>(&stored.replace("\"acceptance\"", "\"none\"")).is_err());
        }
    }

    #[test]
    fn a_standing_acceptance_ends_on_its_date() {
        let policy = StandingAcceptance { accepted_by: "cfo".into(), expires_at: now(), lag_max_seconds: 10 };
        let refused = LossAcceptance::standing(&policy, unknown(), now()).unwrap_err();
        assert!(refused.to_string().contains("ran out"), "{refused}");
    }

    fn counted() -> crate::price::Counted {
        crate::price::Counted::one_payment(now())
    }
    fn standing(expires_in_seconds: i64) -> Result<LossAcceptance, AcceptanceExpired> {
        let expires_at = Timestamp::from_second(now().as_second() + expires_in_seconds).unwrap();
        let policy = StandingAcceptance { accepted_by: "cfo".into(), expires_at, lag_max_seconds: 10 };
        LossAcceptance::standing(&policy, Price::Exact(counted()), now())
    }

    #[track_caller]
    fn says(said: impl fmt::Display, expected: &str) {
        assert_eq!(said.to_string(), expected);
    }

    #[test]
    fn a_price_says_how_sure_it_is() {
        says(Price::Exact(counted()), "exactly 1 payment, EUR 181.07");
        says(Price::AtLeast(counted()), "at least 1 payment, EUR 181.07");
        says(unknown(), "unknown (not counted)");
    }
    #[test]
    fn an_acceptance_says_whose_word_it_is_and_what_it_covers() {
        says(
            standing(1).unwrap(),
            "loss accepted by cfo in the standing policy (lag up to 10 s, until 2026-11-24T14:07:10Z); price exactly 1 payment, EUR 181.07",
        );
        says(
            LossAcceptance::approved("ada", "", now(), unknown()),
            "loss accepted by ada for this incident; price unknown (not counted)",
        );
        says(
            LossAcceptance::approved("ada", "go", now(), unknown()),
            "loss accepted by ada for this incident (“go”); price unknown (not counted)",
        );
        says(standing(0).unwrap_err(), "the standing acceptance of loss by cfo ran out at 2026-11-24T14:07:09Z");
        assert_eq!(standing(1).unwrap().price(), &Price::Exact(counted()));
    }
    #[test]
    fn an_order_names_epoch_target_and_whether_loss_is_allowed() {
        let failover = Failover::new(arn("eu-west-2"), 7, LossAcceptance::approved("ada", "", now(), unknown()));
        assert_eq!(failover.acceptance().price(), &unknown());
        let failover = Order::Failover(failover);
        let switchover = Order::Switchover(Switchover::new(arn("eu-west-1"), arn("eu-west-2"), 8, "ada"));
        for (order, epoch, loses) in [(&failover, 7, true), (&switchover, 8, false)] {
            assert_eq!((order.epoch(), order.allows_data_loss()), (epoch, loses));
            assert_eq!(*order.target(), arn("eu-west-2"));
        }
        says(
            failover,
            "fail over to arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2; loss accepted by ada for this incident; price unknown (not counted)",
        );
        says(
            switchover,
            "switch over to arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2, asked for by ada",
        );
    }
}
