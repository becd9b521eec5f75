//! The objective as a finding: what takes longer than it beyond doubt.

use super::{Budget, Phase, in_seconds, known, longest, total};
use crate::Region;
use crate::page::Severity;
use crate::promotion::Observed;
use crate::readiness::{Finding, Objective, Side};

/// What the phases that are known exceed by themselves, whichever Region is lost.
///
/// A phase that is unknown proves nothing: it neither meets the objective nor exceeds it, and `budget` tells it as unknown.
/// Nothing is said where the longest phase comes from a setting that was found wrong by itself (`found`): that says more,
/// and it has the fix. It stops nobody: a Region that is slow to take over is better than one that is dark.
#[must_use]
pub fn exceeded(budgets: &[(Region, Budget)], objective: &Objective, found: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subject, seconds) in [("writes", objective.writes_seconds), ("reads", objective.reads_seconds)] {
        let mut slowest: Option<(u64, &[Phase])> = None;
        let mut sides = Vec::new();
        for (lost, budget) in budgets {
            let phases = if subject == "writes" { &budget.writes } else { &budget.reads_kept_open };
            let takes: u64 = known(phases).fold(0, |sum, (ms, _)| sum.saturating_add(ms));
            if takes <= seconds.saturating_mul(1000) || is_said(phases, found) {
                continue;
            }
            let shows = match total(phases) {
                Observed::Seen(ms) => format!("{subject} back after up to {} when it is lost", in_seconds(ms)),
                Observed::Unseen { why } => {
                    format!("{subject} back after {} and more when it is lost ({why})", in_seconds(takes))
                }
            };
            sides.push(Side { region: lost.clone(), shows });
            if slowest.as_ref().is_none_or(|(most, _)| *most < takes) {
                slowest = Some((takes, phases));
            }
        }
        let Some((_, phases)) = slowest else { continue };
        findings.push(Finding {
            id: "recovery-objective-exceeded".into(),
            subject: subject.to_owned(),
            region: None,
            severity: Severity::Warning,
            sides,
            should_be: Some(format!("{seconds} s at most (readiness.objective)")),
            hurts: "an outage takes longer than its owners have agreed to, and nobody has told them".into(),
            fix: format!("{}; shorten it, or agree on another objective: {{\"action\":\"budget\"}}", longest(phases)),
        });
    }
    findings
}

/// The longest phase comes from a setting that is a finding already.
fn is_said(phases: &[Phase], found: &[Finding]) -> bool {
    let longest = known(phases).max_by_key(|(ms, _)| *ms).and_then(|(_, phase)| phase.compared_as);
    longest.is_some_and(|setting| found.iter().any(|finding| finding.id == setting.about().id))
}
