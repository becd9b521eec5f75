//! What is said of the stores' replication, held against what held them back.

use std::time::Duration;

use holdfast_domain::replication::{Kind, Link, LinkRecord, ReplicationRecord, Store};
use holdfast_world::Region;

use super::{Findings, Invariant};
use crate::campaign::evidence::Evidence;
use crate::campaign::trouble::Trouble;

/// A round ends within the function's time-out, and saves what it has seen since it began.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// What held a store back for so long before a round began is seen by it: the last point of a metric, the last beacon.
const SEEN_AFTER: Duration = Duration::from_secs(15);

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    let mut before = ReplicationRecord::default();
    for (at, record) in &evidence.replication {
        let looked_at =
            |known: &&LinkRecord| before.link(&known.link).is_none_or(|old| old.checked_at != known.checked_at);
        for known in record.links.iter().filter(looked_at) {
            let in_sync = known.verdict.state.kind() == Kind::InSync;
            let held = evidence.plan.faults.iter().find(|fault| {
                let through = fault.from + SEEN_AFTER + ROUND_MAX <= *at && fault.until.is_none_or(|until| *at < until);
                through && holds_back(&fault.trouble, &known.link)
            });
            findings.hold(Invariant::InSyncIsTrue, *at, !(in_sync && held.is_some()), || {
                let fault = held.map(ToString::to_string).unwrap_or_default();
                format!("{} was said to be in sync: {fault}", known.link)
            });
        }
        before.clone_from(record);
    }
}

/// Whether nothing new can arrive over this link while the trouble lasts.
fn holds_back(trouble: &Trouble, link: &Link) -> bool {
    let touches = |region: &Region| link.from.as_str() == region.as_str() || link.to.as_str() == region.as_str();
    match trouble {
        Trouble::StoreHeld { store, from, to } => {
            link.store == *store && link.from.as_str() == from.as_str() && link.to.as_str() == to.as_str()
        }
        Trouble::ReceiptsRuleGone(region) => link.store == Store::Receipts && link.from.as_str() == region.as_str(),
        Trouble::ReplicaWithoutKey(region) => link.store == Store::Attempts && touches(region),
        Trouble::Dark(region) => touches(region),
        Trouble::Cut { .. }
        | Trouble::WritesBroken(_)
        | Trouble::FrontDoorClosed(_)
        | Trouble::Lag(_)
        | Trouble::Unmeasured
        | Trouble::Calls { .. }
        | Trouble::Delivery(_)
        | Trouble::Provider { .. }
        | Trouble::ClockSkew { .. }
        | Trouble::LateEffects(_)
        | Trouble::Killed { .. }
        | Trouble::KilledAtAwait { .. }
        | Trouble::StartedTwice { .. }
        | Trouble::TimedOut { .. }
        | Trouble::Alarm(_)
        | Trouble::Asked { .. } => false,
    }
}
