//! Whether a Region could carry both Regions' peaks: by what scaling allows, and by the account's quota.

use super::{Finding, ReadinessPolicy, RegionFacts, Setting, Side};
use crate::page::Severity;

/// ECS counts a vCPU as so many units.
const UNITS_OF_A_VCPU: u64 = 1024;

/// What a Region cannot carry of both Regions' peaks. Where a number is missing nothing is said: its read is told as unknown.
pub(super) fn too_little(survivor: &RegionFacts, other: &RegionFacts, policy: &ReadinessPolicy) -> Vec<Finding> {
    let peaks = [survivor, other].map(|facts| facts.number(Setting::CpuPeak));
    let cpu = survivor.number(Setting::ServiceCpu).filter(|cpu| *cpu > 0);
    let ([Some(own), Some(others)], Some(cpu)) = (peaks, cpu) else { return Vec::new() };
    let wanted = own.saturating_add(others).saturating_mul(policy.margin_percent.into()).div_ceil(100);
    let tasks = wanted.div_ceil(cpu);
    let needs = format!(
        "{tasks} tasks of {cpu} CPU units: at the peak {own} were used here and {others} there, and {} % of that must fit",
        policy.margin_percent
    );
    let finding = |id: &str, subject: &str, has: String, hurts: &str, fix: String| Finding {
        id: id.to_owned(),
        subject: subject.to_owned(),
        region: Some(survivor.region.clone()),
        severity: Severity::Critical,
        sides: vec![Side { region: survivor.region.clone(), shows: has }],
        should_be: Some(format!("enough for {needs}")),
        hurts: hurts.to_owned(),
        fix,
    };
    let mut found = Vec::new();
    if let Some(most) = survivor.number(Setting::ScalingMax).filter(|most| *most < tasks) {
        found.push(finding(
            "scaling-max-too-low",
            "service",
            format!("at most {most} tasks"),
            "the survivor stops growing before it carries everything",
            format!("aws_appautoscaling_target.service: max_capacity = {tasks} or more"),
        ));
    }
    if let Some(quota) = survivor.number(Setting::QuotaFargate) {
        let vcpus = tasks.saturating_mul(cpu).div_ceil(UNITS_OF_A_VCPU);
        if quota < vcpus {
            found.push(finding(
                "quota-fargate-too-low",
                "account",
                format!("a quota of {quota} vCPUs"),
                "AWS refuses the tasks that the survivor needs",
                format!(
                    "aws service-quotas request-service-quota-increase --region {} --service-code fargate --quota-code L-3032A538 --desired-value {vcpus}",
                    survivor.region
                ),
            ));
        }
    }
    found
}
