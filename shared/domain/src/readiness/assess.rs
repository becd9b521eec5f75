//! Both Regions side by side: what is wrong, what is unknown, and what each Region could carry.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::too_little;
use super::{Capacity, Finding, ReadinessPolicy, RegionFacts, Rule, Setting, Side, Unread, Value};
use crate::budget::{Budget, exceeded};
use crate::page::Severity;
use crate::promotion::Observed;
use crate::{Region, Timestamp};

/// What came of comparing both Regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The worst first.
    pub findings: Vec<Finding>,
    /// Found, and accepted by somebody: not findings until their day is over.
    pub accepted: Vec<Finding>,
    /// Reads that failed.
    pub unknown: Vec<Unread>,
}

/// Lays both Regions side by side.
///
/// What is missing on one side is a difference; what could not be read on either is unknown, and then nothing is said of it.
/// `budgets`: how long an outage takes, for each Region that may be lost.
#[must_use]
pub fn compare(
    one: &RegionFacts,
    other: &RegionFacts,
    policy: &ReadinessPolicy,
    budgets: &[(Region, Budget)],
    now: Timestamp,
) -> Assessment {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    let names: BTreeSet<&String> = one.reads.keys().chain(other.reads.keys()).collect();
    for name in names {
        let sides = [one, other].map(|facts| seen(facts, name, &mut unknown));
        for (number, (facts, settings)) in [one, other].into_iter().zip(&sides).enumerate() {
            let across = ([one, other][1 - number], sides[1 - number].as_ref());
            if let Some(settings) = settings {
                for ((setting, subject), value) in settings {
                    found.extend(unsound(*setting, subject, (facts, value), across));
                }
            }
        }
        if let [Some(here), Some(there)] = &sides {
            found.extend(differences((one, here), (other, there)));
        }
    }
    let capacity: Vec<Finding> = [(one, other), (other, one)]
        .into_iter()
        .flat_map(|(survivor, dark)| too_little(survivor, dark, policy))
        .collect();
    // Too little says more than "another number than there".
    let said = |id: &str| capacity.iter().any(|finding| finding.id == id);
    found.retain(|finding| match finding.id.as_str() {
        "scaling-max-differs" => !said("scaling-max-too-low"),
        "quota-fargate-differs" => !said("quota-fargate-too-low"),
        _ => true,
    });
    found.extend(capacity);
    if let Some(objective) = &policy.objective {
        found.extend(exceeded(budgets, objective, &found));
    }
    judge(found, unknown, policy, now)
}

type Settings<'a> = BTreeMap<(Setting, &'a str), &'a Value>;

fn seen<'a>(facts: &'a RegionFacts, name: &str, unknown: &mut Vec<Unread>) -> Option<Settings<'a>> {
    let why = match facts.reads.get(name) {
        Some(Observed::Seen(seen)) => {
            return Some(seen.iter().map(|seen| ((seen.setting, seen.subject.as_str()), &seen.value)).collect());
        }
        Some(Observed::Unseen { why }) => why.clone(),
        None => "it was not looked at".into(),
    };
    unknown.push(Unread { region: facts.region.clone(), read: name.to_owned(), why });
    None
}

/// A setting that is wrong by itself, with what the other Region shows beside it.
fn unsound(
    setting: Setting,
    subject: &str,
    (facts, value): (&RegionFacts, &Value),
    (across, settings): (&RegionFacts, Option<&Settings<'_>>),
) -> Option<Finding> {
    let about = setting.about();
    let Rule::Each(is_sound, should_be) = about.rule else { return None };
    if is_sound(value) {
        return None;
    }
    let mut sides = vec![Side { region: facts.region.clone(), shows: value.to_string() }];
    if let Some(value) = settings.and_then(|settings| settings.get(&(setting, subject))) {
        sides.push(Side { region: across.region.clone(), shows: value.to_string() });
    }
    Some(Finding {
        id: about.id.to_owned(),
        subject: subject.to_owned(),
        region: Some(facts.region.clone()),
        severity: about.severity,
        sides,
        should_be: Some(should_be.to_owned()),
        hurts: about.hurts.to_owned(),
        fix: filled_in(about.fix, subject, &facts.region),
    })
}

fn differences(
    (one, here): (&RegionFacts, &Settings<'_>),
    (other, there): (&RegionFacts, &Settings<'_>),
) -> Vec<Finding> {
    let keys: BTreeSet<&(Setting, &str)> = here.keys().chain(there.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (setting, subject) = key;
        let about = setting.about();
        let sides = [here, there].map(|settings| settings.get(key).copied().unwrap_or(&Value::Absent));
        let alike = match about.rule {
            Rule::Alike => sides[0] == sides[1] || [here, there].into_iter().any(|side| is_gone(side, subject)),
            Rule::Each(..) | Rule::Counted => true,
        };
        if !alike {
            found.push(Finding {
                id: about.id.to_owned(),
                subject: (*subject).to_owned(),
                region: None,
                severity: about.severity,
                sides: [one, other]
                    .into_iter()
                    .zip(sides)
                    .map(|(facts, value)| Side { region: facts.region.clone(), shows: value.to_string() })
                    .collect(),
                should_be: None,
                hurts: about.hurts.to_owned(),
                fix: filled_in(about.fix, subject, &other.region),
            });
        }
    }
    found
}

/// It is not there, which is said once and not for each of its settings.
fn is_gone(settings: &Settings<'_>, subject: &str) -> bool {
    let mut all = settings.iter();
    all.any(|((setting, of), value)| *of == subject && setting.says_gone(value))
}

fn filled_in(fix: &str, subject: &str, region: &Region) -> String {
    fix.replace("{subject}", subject).replace("{region}", region.as_str())
}

/// Takes out what is accepted; an acceptance that is over, or that is for nothing, is told.
fn judge(found: Vec<Finding>, unknown: Vec<Unread>, policy: &ReadinessPolicy, now: Timestamp) -> Assessment {
    let is_for = |finding: &Finding, index: usize| {
        policy.accepted.get(index).is_some_and(|it| it.id == finding.id && it.subject == finding.subject)
    };
    let mut used = BTreeSet::new();
    let (mut findings, mut accepted) = (Vec::new(), Vec::new());
    for mut finding in found {
        let fits: Vec<usize> = (0..policy.accepted.len()).filter(|index| is_for(&finding, *index)).collect();
        used.extend(fits.iter().copied());
        let acceptances: Vec<_> = fits.iter().filter_map(|index| policy.accepted.get(*index)).collect();
        match (acceptances.iter().any(|it| it.stands(now)), acceptances.first()) {
            (true, _) => accepted.push(finding),
            (false, Some(over)) => {
                finding.hurts = format!("{}; {} had accepted it until {}", finding.hurts, over.owner, over.until);
                findings.push(finding);
            }
            (false, None) => findings.push(finding),
        }
    }
    // While something is unknown, what an acceptance is for may be among it.
    for (index, acceptance) in policy.accepted.iter().enumerate().filter(|_| unknown.is_empty()) {
        if !used.contains(&index) {
            findings.push(Finding {
                id: "acceptance-for-nothing".into(),
                subject: format!("{} of {}", acceptance.id, acceptance.subject),
                region: None,
                severity: Severity::Info,
                sides: Vec::new(),
                should_be: None,
                hurts: format!(
                    "the next difference of that name would be accepted by {} without being looked at",
                    acceptance.owner
                ),
                fix: format!("take readiness.accepted[{index}] out of the configuration"),
            });
        }
    }
    let order = |it: &Finding| (std::cmp::Reverse(it.severity), it.id.clone(), it.subject.clone(), it.region.clone());
    findings.sort_by_key(order);
    accepted.sort_by_key(order);
    unknown_sorted(Assessment { findings, accepted, unknown })
}

fn unknown_sorted(mut assessment: Assessment) -> Assessment {
    assessment.unknown.sort_by(|one, other| (&one.region, &one.read).cmp(&(&other.region, &other.read)));
    assessment
}

impl Assessment {
    /// Whether everything could be carried by either Region, as one answer: the gate of a deployment.
    #[must_use]
    pub fn overall(&self) -> Capacity {
        self.judged(|_| true, |_| true)
    }

    /// Whether this Region could carry everything. A difference concerns both: nobody knows which of the two is right.
    #[must_use]
    pub fn capacity(&self, region: &Region) -> Capacity {
        self.judged(|finding| finding.concerns(region), |_| true)
    }

    /// What is to be remembered of a Region; `None`: nothing new is known of it, and what was remembered stands and ages.
    ///
    /// While the other Region is out of reach the two cannot be compared. What was found of this one on the last good day
    /// must not be forgotten just then: it is what decides whether traffic may be sent here.
    #[must_use]
    pub fn worth_remembering(&self, facts: &RegionFacts, other: &RegionFacts) -> Option<Capacity> {
        let own = self
            .judged(|finding| finding.region.as_ref() == Some(&facts.region), |unread| unread.region == facts.region);
        match own {
            Capacity::Ready if other.is_out_of_reach() => None,
            Capacity::Ready => Some(self.capacity(&facts.region)),
            Capacity::NotReady { .. } | Capacity::Unknown { .. } if other.is_out_of_reach() => Some(own),
            Capacity::NotReady { .. } | Capacity::Unknown { .. } => Some(self.capacity(&facts.region)),
        }
    }

    fn judged(&self, finding: impl Fn(&Finding) -> bool, unread: impl Fn(&Unread) -> bool) -> Capacity {
        let because: Vec<String> = self
            .findings
            .iter()
            .filter(|it| it.severity == Severity::Critical && finding(it))
            .map(ToString::to_string)
            .collect();
        let why: Vec<String> = self.unknown.iter().filter(|it| unread(it)).map(ToString::to_string).collect();
        if !because.is_empty() {
            Capacity::NotReady { because }
        } else if !why.is_empty() {
            Capacity::Unknown { why }
        } else {
            Capacity::Ready
        }
    }
}
