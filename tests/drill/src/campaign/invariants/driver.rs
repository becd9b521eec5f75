//! Who drives, and what is written of it.

use std::time::Duration;

use holdfast_domain::incident::{ClusterState, Phase};

use super::{Findings, Invariant};
use crate::campaign::evidence::{Evidence, request_id};

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for pair in evidence.states.windows(2) {
        let [(before_at, before), (at, after)] = pair else { continue };
        driver_changes(evidence, findings, at.saturating_sub(*before_at), *at, before, after);
        history_grows(findings, *at, before, after);
    }
    calls_follow_intents(evidence, findings);
    for invoked in &evidence.invoked {
        let why = invoked.outcome.as_ref().err().map(String::as_str).unwrap_or_default();
        findings.hold(Invariant::NoPanic, invoked.ended, !why.contains("panicked"), || {
            format!("{} in {}: {why}", invoked.function, invoked.region)
        });
    }
}

/// A person's request takes the incident at once; everybody else waits for a release, or for a lease of silence.
fn driver_changes(
    evidence: &Evidence,
    findings: &mut Findings,
    silent: Duration,
    at: Duration,
    before: &ClusterState,
    after: &ClusterState,
) {
    let (Some(old), Some(new)) = (&before.driver, &after.driver) else { return };
    let word = |state: &ClusterState| state.incident.as_ref().map(|it| (it.approval.clone(), it.veto.clone()));
    let by_a_person = word(before) != word(after);
    // The lease is counted in whole seconds from when the new driver first looked.
    let lease = evidence.plan.setup().config.policy.driver_lease().saturating_sub(Duration::from_secs(1));
    findings.hold(Invariant::SingleDriver, at, old == new || by_a_person || silent >= lease, || {
        format!("{new} took the incident from {old}, which had written {} ms before", silent.as_millis())
    });
}

fn history_grows(findings: &mut Findings, at: Duration, before: &ClusterState, after: &ClusterState) {
    let mut hold = |claim: bool, what: String| findings.hold(Invariant::LawfulHistory, at, claim, || what);
    let versions = format!("version {} follows {}", after.version, before.version);
    hold(after.version == before.version + 1, versions);
    hold(after.epoch >= before.epoch, format!("epoch {} follows {}", after.epoch, before.epoch));
    let (Some(old), Some(new)) = (&before.incident, &after.incident) else { return };
    if old.epoch != new.epoch {
        hold(new.epoch > old.epoch, format!("incident {} follows {}", new.id(), old.id()));
        return;
    }
    let legal = old.phase == new.phase || old.phase.edge(new.phase).is_some();
    hold(legal, format!("{}: {} follows {}", new.id(), new.phase, old.phase));
    // A history that is full loses one from its middle.
    let kept = new.history.len() < old.history.len() || new.history.starts_with(&old.history);
    hold(kept || old.history.len() > 32, format!("{}: its history was rewritten", new.id()));
    let orders = old.order.is_none() || new.order.is_some() || new.phase == Phase::Dismissed;
    hold(orders, format!("{}: its order is gone", new.id()));
}

fn calls_follow_intents(evidence: &Evidence, findings: &mut Findings) {
    let mut asked: Vec<(u64, u32)> = Vec::new();
    for call in evidence.promotion_calls() {
        let Some(state) = evidence.state_at(call.at) else {
            findings
                .hold(Invariant::IntentBeforeCall, call.at, false, || format!("{} out of the blue", call.operation));
            continue;
        };
        let caller = request_id(call);
        findings.hold(Invariant::SingleDriver, call.at, state.driver.as_ref() == Some(&caller), || {
            format!("{caller} calls {} while {:?} drives", call.operation, state.driver)
        });
        let intent = state.incident.as_ref().and_then(|incident| incident.intent.clone());
        let attempt = intent.as_ref().map_or(0, |intent| intent.attempt);
        let key = (state.epoch, attempt);
        let fresh = attempt > 0 && !asked.contains(&key);
        findings.hold(Invariant::IntentBeforeCall, call.at, fresh, || {
            format!("{} under epoch {} with intent {intent:?}, asked before: {asked:?}", call.operation, state.epoch)
        });
        asked.push(key);
        let fence = evidence.fences.iter().rfind(|(raised, ..)| *raised <= call.at);
        let to = state.incident.as_ref().map(|incident| incident.to.to_string()).unwrap_or_default();
        let fenced = fence.is_some_and(|(_, epoch, writer)| *epoch == state.epoch && writer.as_str() == to);
        findings.hold(Invariant::FenceBeforeCall, call.at, fenced, || {
            format!("{} for {to} under epoch {} with {fence:?}", call.operation, state.epoch)
        });
    }
}
