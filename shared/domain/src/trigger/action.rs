//! What a person can ask for, and which function takes it.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::blocked::Guard;
use crate::receipts::PlanFrom;
use crate::reconciliation::{Pass, ShardStep};
use crate::{Region, Timestamp};

/// What a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Say how things stand.
    Status,
    /// Probe for a while.
    Observe {
        /// Rounds to probe; absent: for the whole minute.
        rounds: Option<u32>,
    },
    /// Look at every store both ways now.
    Verify,
    /// Look now, and say what speaks against it: a planned move (verify-replication), a deployment (check-readiness).
    Gate,
    /// Compare both data Regions now.
    Check,
    /// Say how long an outage takes at worst, phase by phase.
    Budget,
    /// Compare both receipt buckets and write down what would be done.
    PlanReceipts {
        /// From what; absent: what the run that is under way is planned from, or a listing.
        #[serde(default)]
        from: Option<PlanFrom>,
    },
    /// Compare both receipt buckets and carry the plan out.
    ApplyReceipts {
        /// Who asks.
        by: String,
        /// From what; absent: what the run that is under way is planned from, or a listing.
        #[serde(default)]
        from: Option<PlanFrom>,
    },
    /// Look at the evidence and at any open incident now.
    Resume,
    /// Promote `to` although data may be lost.
    Failover {
        /// The Region to promote.
        to: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Move the writer to `to` without loss.
    Switchover {
        /// The Region to promote.
        to: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Accept the loss of one incident.
    Approve {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Stop one incident.
    Veto {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
    },
    /// Stop every action until `unfreeze`.
    Freeze {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Allow actions again.
    Unfreeze {
        /// Who.
        by: String,
    },
    /// Say that one has a page, so that nobody else is called.
    Ack {
        /// Such as `e7`, or another thread as its page names it.
        incident: String,
        /// Who.
        by: String,
        /// What they say.
        #[serde(default)]
        comment: String,
    },
    /// Send a test page from this Region through every channel.
    Rehearse,
    /// Have a failed incident tried again.
    Retry {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
    },
    /// End an incident after reconciliation.
    Close {
        /// Such as `e7`.
        incident: String,
        /// Who.
        by: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Lay attempts, ledger and perhaps the card network's file side by side.
    Reconcile {
        /// Which pass.
        pass: Pass,
        /// `clearing`: the key of the file, in this Region's bucket.
        #[serde(default)]
        object: Option<String>,
        /// The first instant that is looked at; absent: what the incident or the file says.
        #[serde(default)]
        from: Option<Timestamp>,
        /// The last instant; of a file, until when it is complete.
        #[serde(default)]
        to: Option<Timestamp>,
    },
    /// One step of a reconciliation of a large file, spread over many invocations by a state machine.
    Shard {
        /// Which step.
        step: ShardStep,
        /// The key of the file, in this Region's bucket.
        object: String,
        /// `sums` and `rows`: which shard, from zero.
        #[serde(default)]
        shard: Option<u32>,
        /// `plan`: into how many slices each settlement date is cut.
        #[serde(default)]
        slices: Option<u32>,
    },
    /// Move the writer back to `to` once nothing speaks against it any more: ends the failover's incident, then switches over.
    Failback {
        /// The Region that gets the writer back.
        to: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Say that something holds which no machine of ours looks at, and on what evidence.
    Attest {
        /// Such as `e7`.
        incident: String,
        /// What holds: the guard that asks for it.
        guard: Guard,
        /// Who says so.
        by: String,
        /// What it rests on, such as the number of a plan that changes nothing.
        evidence: String,
    },
    /// Take a Region's traffic away, by the other Region's switch.
    Evacuate {
        /// The Region that shall get no more traffic.
        region: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
    /// Give a Region its traffic again.
    Restore {
        /// The Region that shall get traffic again.
        region: Region,
        /// Who asks.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// Guards that the person vouches for.
        #[serde(default, rename = "override")]
        overrides: BTreeSet<Guard>,
    },
}

/// Where an action belongs.
const EVERY_FUNCTION: &str = "every function";

impl Action {
    /// How it is written, and the function that takes it.
    #[must_use]
    pub fn name_and_function(&self) -> (&'static str, &'static str) {
        match self {
            Self::Status => ("status", EVERY_FUNCTION),
            Self::Observe { .. } => ("observe", "observe-region"),
            Self::Verify => ("verify", "verify-replication"),
            Self::Gate => ("gate", "verify-replication or check-readiness"),
            Self::Check => ("check", "check-readiness"),
            Self::Budget => ("budget", "check-readiness"),
            Self::PlanReceipts { .. } => ("plan_receipts", "reconcile-receipts"),
            Self::ApplyReceipts { .. } => ("apply_receipts", "reconcile-receipts"),
            Self::Reconcile { .. } => ("reconcile", "reconcile-ledger"),
            Self::Shard { .. } => ("shard", "reconcile-ledger"),
            Self::Ack { .. } => ("ack", "page-humans"),
            Self::Rehearse => ("rehearse", "page-humans"),
            Self::Resume => ("resume", "promote-aurora"),
            Self::Failover { .. } => ("failover", "promote-aurora"),
            Self::Switchover { .. } => ("switchover", "promote-aurora"),
            Self::Failback { .. } => ("failback", "promote-aurora"),
            Self::Approve { .. } => ("approve", "promote-aurora"),
            Self::Veto { .. } => ("veto", "promote-aurora"),
            Self::Freeze { .. } => ("freeze", "promote-aurora"),
            Self::Unfreeze { .. } => ("unfreeze", "promote-aurora"),
            Self::Retry { .. } => ("retry", "promote-aurora"),
            Self::Attest { .. } => ("attest", "promote-aurora"),
            Self::Close { .. } => ("close", "promote-aurora"),
            Self::Evacuate { .. } => ("evacuate", "shift-traffic"),
            Self::Restore { .. } => ("restore", "shift-traffic"),
        }
    }

    /// What to say to somebody who has sent it to another function.
    #[must_use]
    pub fn goes_elsewhere(&self, sent_to: &str) -> String {
        let (name, function) = self.name_and_function();
        format!("`{name}` goes to {function}, and was sent to {sent_to}; nothing was done")
    }

    /// The person who asks, where the action needs one.
    #[must_use]
    pub fn asked_by(&self) -> Option<&str> {
        match self {
            Self::Failover { by, .. }
            | Self::Switchover { by, .. }
            | Self::Failback { by, .. }
            | Self::Attest { by, .. }
            | Self::Evacuate { by, .. }
            | Self::Restore { by, .. }
            | Self::Approve { by, .. }
            | Self::Veto { by, .. }
            | Self::Freeze { by, .. }
            | Self::Unfreeze { by }
            | Self::Retry { by, .. }
            | Self::Close { by, .. }
            | Self::Ack { by, .. }
            | Self::ApplyReceipts { by, .. } => Some(by),
            Self::Status
            | Self::Observe { .. }
            | Self::Verify
            | Self::Gate
            | Self::Check
            | Self::Budget
            | Self::PlanReceipts { .. }
            | Self::Resume
            | Self::Rehearse
            | Self::Shard { .. }
            | Self::Reconcile { .. } => None,
        }
    }
}
