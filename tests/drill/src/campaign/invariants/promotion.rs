//! What may be promoted, when, and on whose word.

use std::time::Duration;

use holdfast_domain::incident::{ClusterState, Incident, Phase};
use holdfast_domain::lag::Lag;
use holdfast_domain::policy::Mode;
use holdfast_world::{RecordedRequest, Region, aurora};

use super::{Findings, Invariant};
use crate::campaign::evidence::Evidence;
use crate::campaign::trouble::Trouble;

/// Evidence may be this old when RDS is called: a vote counts for 15 s, is at most a round younger than what it saw,
/// and the way from the vote to the call takes a few seconds.
const EVIDENCE_MAX: Duration = Duration::from_secs(25);

/// Clocks differ by so much at most, and a metric is a point of its minute.
const SKEW_MAX: Duration = Duration::from_secs(95);

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for call in evidence.promotion_calls() {
        let Some(incident) = evidence.state_at(call.at).and_then(|state| state.incident.as_ref()) else { continue };
        lawful_order(findings, call, incident);
        consent(evidence, findings, call, incident);
        if call.operation == "FailoverGlobalCluster" {
            primary_is_gone(evidence, findings, call);
            accepted_loss(evidence, findings, call, incident);
        }
        let fit = evidence.plan.standby_instances > 0 || Some(evidence.plan.standby()) != region(&incident.to);
        findings.hold(Invariant::FitTarget, call.at, fit, || format!("{} has no instance", incident.to));
    }
    // What RDS gave up may be asked for again.
    let accepted: Vec<_> = evidence.accepted.iter().filter(|accepted| !accepted.cancelled).collect();
    for pair in accepted.windows(2) {
        let [one, other] = pair else { continue };
        let epoch = |at| evidence.state_at(at).map(|state| state.epoch);
        findings.hold(Invariant::OnePromotionPerEpoch, other.at, epoch(one.at) != epoch(other.at), || {
            format!("RDS took on a second promotion, to {}, under epoch {:?}", other.to, epoch(other.at))
        });
    }
    proven_writes(evidence, findings);
    nothing_to_the_dark(evidence, findings);
}

fn region(region: &holdfast_domain::Region) -> Option<Region> {
    Region::named(region.as_str())
}

fn lawful_order(findings: &mut Findings, call: &RecordedRequest, incident: &Incident) {
    let parameter = |name: &str| call.parameters.get(name).map(String::as_str).unwrap_or_default();
    let target = parameter("TargetDbClusterIdentifier");
    let failover = call.operation == "FailoverGlobalCluster";
    let asked_in = if failover { &incident.to } else { &incident.from };
    let lawful = target.starts_with(&format!("arn:aws:rds:{}:", incident.to))
        && (parameter("AllowDataLoss") == "true") == failover
        && parameter("Switchover") != "true"
        && Some(call.to) == region(asked_in);
    findings.hold(Invariant::LawfulOrder, call.at, lawful, || {
        format!("{} was sent to {} with {:?}", call.operation, call.to, call.parameters)
    });
}

/// The consent that the policy asks for, as it stood when the fence went up: from there on there is no way back.
fn consent(evidence: &Evidence, findings: &mut Findings, call: &RecordedRequest, incident: &Incident) {
    let plan = &evidence.plan;
    let of_this = |state: &ClusterState| state.incident.clone().filter(|it| it.epoch == incident.epoch);
    let fenced = evidence.states.iter().find(|(_, state)| of_this(state).is_some_and(|it| it.phase == Phase::Fencing));
    let Some((fenced_at, fenced)) = fenced else {
        findings.hold(Invariant::Consent, call.at, false, || format!("{} without a fence", call.operation));
        return;
    };
    let Some(then) = of_this(fenced) else { return };
    let mut hold = |claim: bool, what: &str| {
        findings.hold(Invariant::Consent, call.at, claim, || format!("{}: {what}", incident.id()));
    };
    // What was once said holds until somebody says otherwise, whatever later versions have forgotten.
    let mut before = evidence.states.iter().take_while(|(at, _)| at < fenced_at);
    let vetoed = before.clone().any(|(_, state)| of_this(state).is_some_and(|it| it.veto.is_some()));
    hold(!vetoed || then.approval.is_some(), "it was vetoed");
    hold(!before.any(|(_, state)| state.freeze.is_some()), "the cluster was frozen");
    if then.approval.is_some() {
        return;
    }
    match plan.mode {
        Mode::Auto => {}
        Mode::Observe => hold(false, "the policy is to observe"),
        Mode::Approve => {
            let asked = evidence.states.iter().find(|(_, state)| {
                let asks = |it: &Incident| it.epoch == incident.epoch && it.phase == Phase::AwaitingApproval;
                state.incident.as_ref().is_some_and(asks)
            });
            let waited = asked.map(|(at, _)| fenced_at.saturating_sub(*at));
            let countdown = plan.countdown_seconds.map(Duration::from_secs);
            let over =
                waited.zip(countdown).is_some_and(|(waited, countdown)| waited + Duration::from_secs(1) >= countdown);
            hold(over, "nobody approved, and no countdown was over");
        }
    }
}

/// The ground truth: for a whole stretch before the call the primary was up, reached both ways by another Region,
/// open and writing; or it went on voting, whatever the others saw.
fn primary_is_gone(evidence: &Evidence, findings: &mut Findings, call: &RecordedRequest) {
    let since = call.at.saturating_sub(EVIDENCE_MAX);
    let primary = evidence.writer_at(call.at);
    let during = |wanted: &dyn Fn(&Trouble) -> bool| {
        evidence.plan.faults.iter().any(|fault| {
            let overlaps = fault.from <= call.at && fault.until.is_none_or(|until| until >= since);
            overlaps && wanted(&fault.trouble)
        })
    };
    let cut = |one: Region, other: Region| {
        let ways = [Trouble::Cut { from: one, to: other }, Trouble::Cut { from: other, to: one }];
        let ends = [Trouble::Dark(one), Trouble::Dark(other)];
        during(&|trouble| ways.contains(trouble) || ends.contains(trouble))
    };
    let others = crate::deployment::REGIONS.into_iter().filter(|region| *region != primary);
    let reached = others.into_iter().any(|other| !cut(primary, other));
    let shut = [Trouble::WritesBroken(primary), Trouble::FrontDoorClosed(primary)];
    let open = !during(&|trouble| shut.contains(trouble));
    findings.hold(Invariant::NoFalsePromotion, call.at, !(reached && open), || {
        format!("{primary} was up, reached and writing for {} s", EVIDENCE_MAX.as_secs())
    });
    let voted = evidence
        .votes
        .iter()
        .filter(|(at, vote)| vote.observer.as_str() == primary.as_str() && *at >= since && *at <= call.at);
    let last = voted.clone().map(|(at, _)| *at).max();
    let still = voted.count() >= 4 && last.is_some_and(|last| call.at.saturating_sub(last) < Duration::from_secs(6));
    findings.hold(Invariant::NoFalsePromotion, call.at, !still, || format!("{primary} went on voting"));
}

fn accepted_loss(evidence: &Evidence, findings: &mut Findings, call: &RecordedRequest, incident: &Incident) {
    let intended = evidence.plan.setup().config.policy;
    let Some(standing) = intended.standing_acceptance.as_ref().filter(|_| incident.approval.is_none()) else { return };
    let target = region(&incident.to).unwrap_or(Region::LONDON);
    // What counts is how fresh it was when the primary went dark: nothing has been written there since.
    let primary = evidence.writer_at(call.at);
    let dark =
        evidence.plan.faults.iter().find(|fault| fault.trouble == Trouble::Dark(primary) && fault.is_on(call.at));
    let gone = dark.map_or(call.at, |fault| fault.from);
    let oldest = gone.saturating_sub(intended.lag_age_max() + SKEW_MAX);
    let measured: Vec<_> =
        aurora::measured_lags(&evidence.world, target).into_iter().filter(|(at, _)| *at >= oldest).collect();
    let honest = match &incident.lag {
        Some(Lag::Known { lag, .. }) => {
            let within = lag.as_secs() <= standing.lag_max_seconds;
            within && measured.iter().any(|(_, lag_ms)| u128::from(*lag_ms) == lag.as_millis())
        }
        Some(Lag::Unknown { .. }) | None => false,
    };
    findings.hold(Invariant::AcceptedLoss, call.at, honest, || {
        format!("{}: {:?}, measured were {measured:?}", incident.id(), incident.lag)
    });
}

fn proven_writes(evidence: &Evidence, findings: &mut Findings) {
    let fences = aurora::fences(&evidence.world);
    for (at, state) in &evidence.states {
        let Some(incident) = state.incident.as_ref().filter(|incident| incident.phase == Phase::Restored) else {
            continue;
        };
        let proven = fences
            .iter()
            .any(|(when, there, epoch)| when <= at && Some(*there) == region(&incident.to) && *epoch == incident.epoch);
        findings.hold(Invariant::ProvenWrites, *at, proven, || {
            format!("{} says Restored, fences: {fences:?}", incident.id())
        });
    }
}

/// A Region that has gone dark a moment ago may still be called on evidence that was true: that long is spared.
fn nothing_to_the_dark(evidence: &Evidence, findings: &mut Findings) {
    for request in evidence.requests.iter().filter(|request| request.service != "http") {
        let third = [Region::N_VIRGINIA, Region::OREGON].contains(&request.to);
        let dark_for = evidence.plan.faults.iter().any(|fault| {
            let known = fault.from + EVIDENCE_MAX <= request.at && fault.until.is_none_or(|until| request.at < until);
            known && fault.trouble == Trouble::Dark(request.to)
        });
        // A Region that is itself cut off from everything cannot know; its own endpoints are not "the dark".
        let own = request.caller.region == request.to;
        findings.hold(Invariant::NothingToTheDark, request.at, !third && (own || !dark_for), || {
            let caller = &request.caller;
            format!("{} in {} called {} in {}", caller.name, caller.region, request.operation, request.to)
        });
    }
}
