//! Whether a planned move may begin: every store in sync, each way, and known to be so a moment ago.

use std::time::Duration;

use super::{Kind, Link, ReplicationRecord, Store};
use crate::blocked::{Blocked, Guard};
use crate::promotion::Observed;
use crate::{Region, Timestamp};

/// verify-replication looks once a minute; one round may be missing.
const CHECKED_AGE_MAX: Duration = Duration::from_secs(150);

/// The links that a planned move from one Region to the other relies on. What is written after the move must find its way
/// back, so tables and buckets count both ways.
fn needed(from: &Region, to: &Region) -> [Link; 5] {
    [
        Link::new(Store::Ledger, from, to),
        Link::new(Store::Attempts, from, to),
        Link::new(Store::Attempts, to, from),
        Link::new(Store::Receipts, from, to),
        Link::new(Store::Receipts, to, from),
    ]
}

/// What speaks against a planned move, a reason for each link. What is not known refuses.
#[must_use]
pub fn reasons_not_to_move(
    from: &Region,
    to: &Region,
    record: &Observed<Option<ReplicationRecord>>,
    override_with: &str,
    now: Timestamp,
) -> Vec<Blocked> {
    let blocked = |evidence: String, evidence_age: Option<Duration>| Blocked {
        guard: Guard::Replication,
        evidence,
        evidence_age,
        override_with: override_with.to_owned(),
    };
    let record = match record {
        Observed::Unseen { why } => {
            return vec![blocked(format!("what verify-replication found is unknown: {why}"), None)];
        }
        Observed::Seen(None) => return vec![blocked("verify-replication has never looked".into(), None)],
        Observed::Seen(Some(record)) => record,
    };
    needed(from, to)
        .iter()
        .filter_map(|link| {
            let Some(known) = record.link(link) else {
                return Some(blocked(format!("{link} was never looked at"), None));
            };
            let age = crate::age(known.checked_at, now);
            match known.verdict.state.kind() {
                _ if age > CHECKED_AGE_MAX => Some(blocked(format!("{known}, and was not looked at since"), Some(age))),
                Kind::InSync => None,
                Kind::Lagging | Kind::Stalled | Kind::Unknown => Some(blocked(known.to_string(), Some(age))),
            }
        })
        .collect()
}
