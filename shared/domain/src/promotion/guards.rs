//! The guards that stand before the fence, each with its evidence and the way past it.

use std::time::Duration;

use crate::blocked::{Blocked, Guard};
use crate::incident::Verb;
use crate::lag::{Lag, LagDoubt};
use crate::policy::{Mode, Policy};
use crate::promotion::{Facts, Observed, Operation, Standby};
use crate::quorum::Quorum;
use crate::replication::reasons_not_to_move;
use crate::{Timestamp, age};

/// Every guard that stops this incident now, less those that a person has vouched for.
pub(super) fn standing_in_the_way(facts: &Facts, policy: &Policy, now: Timestamp) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    blocked.extend(frozen(facts, now));
    blocked.extend(vetoed(facts, policy, now));
    blocked.extend(quorum(facts));
    match (&facts.standby, facts.incident.verb) {
        (Standby::GlobalDatabase, _) => {
            blocked.extend(global_cluster(facts));
            blocked.extend(target_cluster(facts));
            blocked.extend(engine_version(facts));
        }
        (Standby::ReadReplica | Standby::Snapshot { .. }, Verb::Switchover) => blocked.push(no_lossless_way(facts)),
        (Standby::ReadReplica, Verb::Failover) => blocked.extend(target_cluster(facts)),
        (Standby::Snapshot { .. }, Verb::Failover) => blocked.extend(super::standby::in_the_way(facts)),
    }
    blocked.extend(lag(facts, policy, now));
    blocked.extend(cooldown(facts, policy, now));
    blocked.extend(replication(facts, now));
    let vouched_for = facts.incident.approval.as_ref().map(|approval| &approval.overrides);
    blocked.retain(|block| {
        !(block.guard.can_be_overridden() && vouched_for.is_some_and(|guards| guards.contains(&block.guard)))
    });
    blocked
}

fn overridden_by(facts: &Facts, guard: Guard) -> String {
    let verb = match facts.incident.verb {
        Verb::Failover => "approve",
        Verb::Switchover => "switchover",
    };
    match facts.incident.verb {
        Verb::Failover => {
            format!(r#"{{"action":"{verb}","incident":"{}","by":"<you>","override":["{guard}"]}}"#, facts.incident.id())
        }
        Verb::Switchover => {
            format!(r#"{{"action":"{verb}","to":"{}","by":"<you>","override":["{guard}"]}}"#, facts.incident.to)
        }
    }
}

fn block(facts: &Facts, guard: Guard, evidence: String, evidence_age: Option<Duration>) -> Blocked {
    Blocked { guard, evidence, evidence_age, override_with: overridden_by(facts, guard) }
}

fn frozen(facts: &Facts, now: Timestamp) -> Option<Blocked> {
    let freeze = facts.freeze.as_ref()?;
    Some(Blocked {
        guard: Guard::Frozen,
        evidence: format!("frozen by {} ({})", freeze.by, freeze.reason),
        evidence_age: Some(age(freeze.at, now)),
        override_with: r#"{"action":"unfreeze","by":"<you>"}"#.into(),
    })
}

fn vetoed(facts: &Facts, policy: &Policy, now: Timestamp) -> Option<Blocked> {
    let veto = facts.incident.standing_veto(policy, now)?;
    let until = policy.veto_ends(veto.at).map(|end| format!("; it runs out at {end:.0}")).unwrap_or_default();
    let evidence = format!("vetoed by {} ({}){until}", veto.by, veto.comment);
    Some(Blocked {
        guard: Guard::Vetoed,
        evidence,
        evidence_age: Some(age(veto.at, now)),
        override_with: format!(r#"{{"action":"approve","incident":"{}","by":"<you>"}}"#, facts.incident.id()),
    })
}

/// In `observe` mode automation only says what it would do; a person may still have it done.
pub(super) fn observe_mode(facts: &Facts, policy: &Policy, would: &str) -> Option<Blocked> {
    let vouched = facts.incident.approval.as_ref().is_some_and(|go| go.overrides.contains(&Guard::ObserveMode));
    if policy.mode != Mode::Observe || vouched {
        return None;
    }
    Some(block(facts, Guard::ObserveMode, format!("the policy is to observe; it would {would}"), None))
}

fn quorum(facts: &Facts) -> Option<Blocked> {
    match (facts.incident.verb, &facts.quorum) {
        (Verb::Failover, Quorum::Dark(_)) | (Verb::Switchover, Quorum::Alive) => None,
        (Verb::Switchover, other) => Some(Blocked {
            guard: Guard::PrimaryNotHealthy,
            evidence: format!("{}: {other}", facts.incident.from),
            evidence_age: None,
            override_with: format!(
                r#"wait until it is healthy, or fail over instead and accept the loss: {{"action":"failover","to":"{}","by":"<you>","override":["quorum"]}}"#,
                facts.incident.to
            ),
        }),
        (Verb::Failover, still @ Quorum::StillHeard { .. }) => {
            Some(block(facts, Guard::StillHeard, format!("{} is {still}", facts.incident.from), None))
        }
        (Verb::Failover, Quorum::Unknown { why, evidence_age }) => {
            Some(block(facts, Guard::Quorum, why.clone(), *evidence_age))
        }
        (Verb::Failover, other) => Some(block(facts, Guard::Quorum, format!("{}: {other}", facts.incident.from), None)),
    }
}

fn global_cluster(facts: &Facts) -> Option<Blocked> {
    match &facts.global_cluster {
        Observed::Unseen { why } => Some(Blocked {
            guard: Guard::ClusterUnseen,
            evidence: why.clone(),
            evidence_age: None,
            override_with: format!(
                "it is tried again by itself; by hand: aws rds describe-global-clusters --region {}",
                facts.incident.to
            ),
        }),
        Observed::Seen(cluster) => cluster.operation.as_ref().map(operation_in_flight),
    }
}

/// Only a global database can be moved without loss.
fn no_lossless_way(facts: &Facts) -> Blocked {
    Blocked {
        guard: Guard::ClusterUnseen,
        evidence: "the ledger is no global database (topology.ledger_strategy): there is no lossless way".into(),
        evidence_age: None,
        override_with: format!(
            r#"stop the payments tier, wait until the standby has everything, then accept the loss: {{"action":"failover","to":"{}","by":"<you>"}}"#,
            facts.incident.to
        ),
    }
}

/// RDS does one thing at a time; only it can end what it has begun.
pub(super) fn operation_in_flight(operation: &Operation) -> Blocked {
    let verb = if operation.data_loss_allowed { "failover" } else { "switchover" };
    Blocked {
        guard: Guard::OperationInFlight,
        evidence: format!(
            "RDS has a {verb} to {} in flight ({})",
            operation.to.as_deref().unwrap_or("an unnamed cluster"),
            operation.status
        ),
        evidence_age: None,
        override_with: "wait for it to end or to be cancelled; it is looked at again every minute".into(),
    }
}

fn target_cluster(facts: &Facts) -> Option<Blocked> {
    let target = match &facts.target_cluster {
        Observed::Unseen { why } => {
            return Some(block(facts, Guard::TargetNotAvailable, format!("{}: {why}", facts.target), None));
        }
        Observed::Seen(target) => target,
    };
    if target.instances.is_empty() {
        return Some(Blocked {
            guard: Guard::TargetHeadless,
            evidence: format!("{} has no DB instance: nothing in it could write", facts.target),
            evidence_age: None,
            override_with: format!(
                "add an instance: aws rds create-db-instance --region {} --db-cluster-identifier {} --db-instance-identifier {}-1 --engine aurora-postgresql --db-instance-class <as in {}>",
                facts.incident.to,
                facts.target.identifier(),
                facts.target.identifier(),
                facts.incident.from
            ),
        });
    }
    let ready = target.instances.iter().filter(|instance| instance.status == "available").count();
    if target.status != "available" || ready == 0 {
        let total = target.instances.len();
        let evidence = format!("{} is {}, {ready} of {total} instances available", facts.target, target.status);
        return Some(block(facts, Guard::TargetNotAvailable, evidence, None));
    }
    None
}

fn engine_version(facts: &Facts) -> Option<Blocked> {
    let (Observed::Seen(cluster), Observed::Seen(target)) = (&facts.global_cluster, &facts.target_cluster) else {
        return None;
    };
    match (&cluster.engine_version, &target.engine_version) {
        (Some(global), Some(own)) if major_and_minor(global) == major_and_minor(own) => None,
        (global, own) => {
            let say = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
            let evidence = format!("the global cluster runs {}, {} runs {}", say(global), facts.target, say(own));
            Some(block(facts, Guard::EngineVersion, evidence, None))
        }
    }
}

/// Aurora's managed path needs the same major and minor version; the patch may differ (facts of the AUG upgrade page).
fn major_and_minor(version: &str) -> (Option<&str>, Option<&str>) {
    let mut parts = version.split('.');
    (parts.next(), parts.next())
}

/// A switchover waits for the lag to drain, so it starts only when there is little of it.
const SWITCHOVER_LAG_MAX: Duration = Duration::from_secs(10);

fn lag(facts: &Facts, policy: &Policy, now: Timestamp) -> Option<Blocked> {
    let lag_max = match facts.incident.verb {
        Verb::Switchover => SWITCHOVER_LAG_MAX,
        // A person who approves has read the lag on the page; one who is about to be asked will.
        Verb::Failover if facts.incident.approval.is_some() => return None,
        Verb::Failover => {
            let standing = policy.standing_acceptance.as_ref()?;
            let without_asking = match policy.mode {
                Mode::Auto => true,
                Mode::Approve => facts.incident.veto_until.is_some_and(|deadline| now >= deadline),
                Mode::Observe => false,
            };
            if !without_asking {
                return None;
            }
            standing.lag_max()
        }
    };
    // What was fresh when the primary went dark stays so: nothing has been written there since.
    let dark_for = match &facts.quorum {
        Quorum::Dark(proof) => age(proof.since, now),
        Quorum::StillHeard { .. }
        | Quorum::Grey { .. }
        | Quorum::Split { .. }
        | Quorum::Wavering
        | Quorum::Alive
        | Quorum::Unknown { .. } => Duration::ZERO,
    };
    let guard = match facts.lag.within(lag_max, policy.lag_age_max().saturating_add(dark_for)) {
        Ok(()) => return None,
        Err(LagDoubt::Unknown) => Guard::LagUnknown,
        Err(LagDoubt::Stale) => Guard::LagStale,
        Err(LagDoubt::High) => Guard::LagHigh,
    };
    let evidence_age = match &facts.lag {
        Lag::Known { age, .. } => Some(*age),
        Lag::Unknown { .. } => None,
    };
    Some(block(facts, guard, format!("{}; {} s was accepted", facts.lag, lag_max.as_secs()), evidence_age))
}

/// A planned move has time: it begins only when every store is known to be in sync. An outage has not.
fn replication(facts: &Facts, now: Timestamp) -> Vec<Blocked> {
    match facts.incident.verb {
        Verb::Failover => Vec::new(),
        Verb::Switchover => {
            let way_past = overridden_by(facts, Guard::Replication);
            reasons_not_to_move(&facts.incident.from, &facts.incident.to, &facts.replication, &way_past, now)
        }
    }
}

fn cooldown(facts: &Facts, policy: &Policy, now: Timestamp) -> Option<Blocked> {
    if facts.incident.verb == Verb::Switchover || facts.incident.approval.is_some() {
        return None;
    }
    let since = age(facts.promoted_at?, now);
    if since.as_secs() >= policy.cooldown_seconds {
        return None;
    }
    let evidence = format!(
        "the last automatic promotion to {} was {} s ago, and none follows by itself for {} s",
        facts.incident.to,
        since.as_secs(),
        policy.cooldown_seconds
    );
    Some(block(facts, Guard::Cooldown, evidence, Some(since)))
}
