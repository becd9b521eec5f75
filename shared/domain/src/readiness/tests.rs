use std::collections::BTreeMap;

use super::*;
use crate::page::Severity;
use crate::promotion::Observed;
use crate::{Region, Timestamp};

fn now() -> Timestamp {
    "2026-11-24T14:00:00Z".parse().unwrap()
}
fn dublin() -> Region {
    Region::new("eu-west-1").unwrap()
}
fn london() -> Region {
    Region::new("eu-west-2").unwrap()
}

/// A value that is sound, and another that is not, or that only differs.
fn sound(setting: Setting) -> (Value, Value) {
    let candidates = [
        Value::Flag(true),
        Value::Flag(false),
        Value::Number(1),
        Value::Number(0),
        Value::Number(1_000),
        Value::Text("STRONG".into()),
        Value::Text("other".into()),
        Value::Absent,
    ];
    match setting.about().rule {
        Rule::Each(is_sound, _) => {
            let good = candidates.iter().find(|it| is_sound(it)).unwrap().clone();
            let bad = candidates.iter().find(|it| !is_sound(it)).unwrap().clone();
            (good, bad)
        }
        Rule::Alike => (Value::Number(1_000), Value::Number(999)),
        Rule::Counted => (Value::Number(100), Value::Number(101)),
    }
}

/// One read for each setting, all of them sound and alike.
fn facts(region: Region) -> RegionFacts {
    let read = |setting: &Setting| {
        let seen = Seen::new(*setting, "it", sound(*setting).0);
        (format!("{setting:?}"), Observed::Seen(vec![seen]))
    };
    let mut facts = RegionFacts { region, reads: Setting::ALL.iter().map(read).collect() };
    // Twice two peaks of 60,000 are 240 tasks with a thousand units each.
    set(&mut facts, Setting::CpuPeak, Value::Number(60_000));
    facts
}

fn set(facts: &mut RegionFacts, setting: Setting, value: Value) {
    facts.reads.insert(format!("{setting:?}"), Observed::Seen(vec![Seen::new(setting, "it", value)]));
}

fn compared(one: &RegionFacts, other: &RegionFacts) -> Assessment {
    compare(one, other, &ReadinessPolicy::default(), &[], now())
}

fn ids(assessment: &Assessment) -> Vec<&str> {
    assessment.findings.iter().map(|finding| finding.id.as_str()).collect()
}

#[test]
fn an_identical_and_sound_pair_has_no_findings_and_is_ready() {
    let assessment = compared(&facts(dublin()), &facts(london()));
    assert_eq!(assessment, Assessment { findings: vec![], accepted: vec![], unknown: vec![] });
    assert_eq!(assessment.overall(), Capacity::Ready);
}

/// Every setting, in either Region: exactly its own finding, once.
#[test]
fn each_setting_that_goes_wrong_is_found_once_and_nothing_else_is() {
    for setting in Setting::ALL {
        for wrong in [dublin(), london()] {
            let (mut one, mut other) = (facts(dublin()), facts(london()));
            let side = if wrong == dublin() { &mut one } else { &mut other };
            set(side, *setting, sound(*setting).1);
            let assessment = compared(&one, &other);
            let about = setting.about();
            match about.rule {
                Rule::Counted => assert_eq!(ids(&assessment), [""; 0], "{setting:?}"),
                Rule::Alike => {
                    assert_eq!(ids(&assessment), [about.id], "{setting:?}");
                    assert_eq!(assessment.findings[0].sides.len(), 2);
                    assert_eq!(assessment.findings[0].region, None);
                }
                Rule::Each(..) => {
                    assert_eq!(ids(&assessment), [about.id], "{setting:?}");
                    assert_eq!(assessment.findings[0].region, Some(wrong.clone()));
                    let critical = about.severity == Severity::Critical;
                    let ready = matches!(assessment.capacity(&wrong), Capacity::Ready);
                    assert_eq!(ready, !critical, "{setting:?}");
                    let peer = if wrong == dublin() { london() } else { dublin() };
                    assert_eq!(assessment.capacity(&peer), Capacity::Ready, "{setting:?}");
                }
            }
        }
    }
}

#[test]
fn every_finding_has_a_name_of_its_own_and_says_why_and_what_to_do() {
    let mut names = std::collections::BTreeSet::new();
    for setting in Setting::ALL {
        let about = setting.about();
        assert!(names.insert(about.id), "{} is there twice", about.id);
        assert!(about.id.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-'), "{}", about.id);
        assert!(about.hurts.len() > 10 && !about.fix.is_empty(), "{}", about.id);
    }
}

/// Law 1: each read fails in turn, on each side.
#[test]
fn whatever_cannot_be_read_is_unknown_and_never_ready() {
    for setting in Setting::ALL {
        let (one, mut other) = (facts(dublin()), facts(london()));
        other.reads.insert(format!("{setting:?}"), Observed::Unseen { why: "throttled".into() });
        let assessment = compared(&one, &other);
        assert_eq!(ids(&assessment), [""; 0], "{setting:?}");
        assert_eq!(assessment.unknown.len(), 1, "{setting:?}");
        for region in [dublin(), london()] {
            assert!(matches!(assessment.capacity(&region), Capacity::Unknown { .. }), "{setting:?}");
        }
        assert!(matches!(assessment.overall(), Capacity::Unknown { .. }));
    }
}

#[test]
fn a_read_that_only_one_side_has_is_unknown_on_the_other() {
    let (one, mut other) = (facts(dublin()), facts(london()));
    other.reads.remove("Listeners");
    let assessment = compared(&one, &other);
    assert_eq!(assessment.unknown.len(), 1);
    assert_eq!(
        (assessment.unknown[0].region.clone(), assessment.unknown[0].why.as_str()),
        (london(), "it was not looked at")
    );
}

#[test]
fn what_is_not_there_on_one_side_is_a_difference_and_not_an_unknown() {
    let (one, mut other) = (facts(dublin()), facts(london()));
    other.reads.insert("Listeners".into(), Observed::Seen(vec![]));
    let assessment = compared(&one, &other);
    assert_eq!(ids(&assessment), ["listeners-differ"]);
    assert_eq!(assessment.findings[0].sides[1].shows, "not there");
}

#[track_caller]
fn check_capacity(change: impl FnOnce(&mut RegionFacts), expected: &[&str]) {
    let (one, mut other) = (facts(dublin()), facts(london()));
    change(&mut other);
    let assessment = compared(&one, &other);
    assert_eq!(ids(&assessment), expected, "{:?}", assessment.findings);
    for finding in &assessment.findings {
        assert_eq!(
            assessment.capacity(&dublin()) == Capacity::Ready,
            !finding.concerns(&dublin()) || finding.severity != Severity::Critical
        );
    }
}

#[test]
fn a_survivor_carries_both_peaks_and_a_margin_or_it_is_not_ready() {
    // 240 tasks of 1,000 units are 235 vCPUs.
    check_capacity(|facts| set(facts, Setting::ScalingMax, Value::Number(240)), &["scaling-max-differs"]);
    check_capacity(|facts| set(facts, Setting::ScalingMax, Value::Number(239)), &["scaling-max-too-low"]);
    check_capacity(|facts| set(facts, Setting::QuotaFargate, Value::Number(235)), &["quota-fargate-differs"]);
    check_capacity(|facts| set(facts, Setting::QuotaFargate, Value::Number(234)), &["quota-fargate-too-low"]);
    check_capacity(|_| {}, &[]);
}

#[test]
fn a_peak_that_outgrows_both_is_found_in_both() {
    let (mut one, other) = (facts(dublin()), facts(london()));
    set(&mut one, Setting::CpuPeak, Value::Number(1_000_000));
    let assessment = compared(&one, &other);
    let both = ["quota-fargate-too-low", "quota-fargate-too-low", "scaling-max-too-low", "scaling-max-too-low"];
    assert_eq!(ids(&assessment), both);
}

fn accepted(until: &str, id: &str) -> ReadinessPolicy {
    let acceptance =
        Acceptance { id: id.into(), subject: "it".into(), owner: "ada".into(), until: until.parse().unwrap() };
    ReadinessPolicy { accepted: vec![acceptance], ..ReadinessPolicy::default() }
}

#[test]
fn what_somebody_accepts_is_no_finding_until_its_day_is_over() {
    let (one, mut other) = (facts(dublin()), facts(london()));
    set(&mut other, Setting::AuroraEngine, Value::Number(1));
    let judged = |until| compare(&one, &other, &accepted(until, "aurora-engine-differs"), &[], now());
    let today = judged("2026-11-24");
    assert_eq!((ids(&today).len(), today.accepted.len(), today.overall()), (0, 1, Capacity::Ready));
    let over = judged("2026-11-23");
    assert_eq!(ids(&over), ["aurora-engine-differs"]);
    assert!(over.findings[0].hurts.contains("ada had accepted it until 2026-11-23"), "{:?}", over.findings);
    assert!(matches!(over.overall(), Capacity::NotReady { .. }));
}

#[test]
fn an_acceptance_of_nothing_is_a_finding_unless_something_is_unknown() {
    let (one, mut other) = (facts(dublin()), facts(london()));
    let policy = accepted("2027-01-01", "aurora-engine-differs");
    let assessment = compare(&one, &other, &policy, &[], now());
    assert_eq!(ids(&assessment), ["acceptance-for-nothing"]);
    assert_eq!(assessment.overall(), Capacity::Ready, "it is no reason not to move");
    other.reads.insert("AuroraEngine".into(), Observed::Unseen { why: "dark".into() });
    assert_eq!(ids(&compare(&one, &other, &policy, &[], now())), [""; 0]);
}

/// What was found of the survivor on the last good day is not overwritten while its peer is dark.
#[test]
fn a_dark_peer_leaves_what_is_remembered_of_the_survivor() {
    let (survivor, mut dark) = (facts(london()), facts(dublin()));
    for read in dark.reads.values_mut() {
        *read = Observed::Unseen { why: "no answer in time".into() };
    }
    let assessment = compared(&dark, &survivor);
    assert_eq!(assessment.worth_remembering(&survivor, &dark), None);
    assert!(matches!(assessment.worth_remembering(&dark, &survivor), Some(Capacity::Unknown { .. })));
    assert!(matches!(assessment.overall(), Capacity::Unknown { .. }));
    let mut headless = survivor;
    set(&mut headless, Setting::AuroraInstances, Value::Number(0));
    let assessment = compared(&dark, &headless);
    assert!(matches!(assessment.worth_remembering(&headless, &dark), Some(Capacity::NotReady { .. })));
}

#[test]
fn a_secret_is_compared_and_never_shown() {
    let (mut one, mut other) = (facts(dublin()), facts(london()));
    set(&mut one, Setting::Secret, Value::Secret("aaaa".into()));
    set(&mut other, Setting::Secret, Value::Secret("bbbb".into()));
    let assessment = compared(&one, &other);
    assert_eq!(ids(&assessment), ["secret-differs"]);
    let told = serde_json::to_string(&assessment.findings).unwrap();
    assert!(!told.contains("aaaa") && !told.contains("bbbb"), "{told}");
}

#[test]
fn people_are_told_of_what_is_new_or_gone_and_of_nothing_else() {
    let (one, mut other) = (facts(dublin()), facts(london()));
    let report = |other: &RegionFacts, before: Option<&ReadinessReport>| {
        ReadinessReport::new(compared(&one, other), before, &london(), now())
    };
    let first = report(&other, None);
    assert!(!first.has_changed() && first.version == 1 && first.standing == Standing::Ready);
    set(&mut other, Setting::AuroraEngine, Value::Number(1));
    let drifted = report(&other, Some(&first));
    assert!(drifted.has_changed() && drifted.standing == Standing::NotReady && drifted.version == 2);
    // Other evidence of the same difference is no news.
    set(&mut other, Setting::AuroraEngine, Value::Number(2));
    let still = report(&other, Some(&drifted));
    assert!(!still.has_changed(), "{still:?}");
    let mended = report(&facts(london()), Some(&still));
    assert!(mended.has_changed() && mended.gone.len() == 1 && mended.reasons_not_to_go().is_empty());
    assert_eq!(drifted.reasons_not_to_go().len(), 1);
}

#[track_caller]
fn check_policy(json: serde_json::Value, expected: &str) {
    let policy: ReadinessPolicy = serde_json::from_value(json).unwrap();
    let problem = policy.validate().unwrap_err().to_string();
    assert!(problem.contains(expected), "{problem}");
}

#[test]
fn a_mistake_in_the_policy_is_named_with_its_field() {
    use serde_json::json;
    check_policy(json!({"service": "holdfast-service"}), "`readiness.service` is `holdfast-service`");
    check_policy(json!({"service": "a/b/c"}), "`readiness.service`");
    check_policy(json!({"peak_days": 0}), "`readiness.peak_days` is 0");
    check_policy(json!({"margin_percent": 99}), "`readiness.margin_percent` is 99");
    let nobody = json!({"accepted": [{"id": "x", "subject": "y", "owner": " ", "until": "2027-01-01"}]});
    check_policy(nobody, "`readiness.accepted[0].owner` is empty");
    assert_eq!(ReadinessPolicy::default().validate(), Ok(()));
    let named: ReadinessPolicy = serde_json::from_value(json!({"service": "c/s"})).unwrap();
    assert_eq!(named.service_names(), Some(("c", "s")));
}

/// Sums of large numbers do not wrap, and an absent number says nothing.
#[test]
fn the_largest_numbers_are_too_little_and_no_panic() {
    let (mut one, mut other) = (facts(dublin()), facts(london()));
    set(&mut one, Setting::CpuPeak, Value::Number(u64::MAX));
    set(&mut other, Setting::CpuPeak, Value::Number(u64::MAX));
    assert!(ids(&compared(&one, &other)).contains(&"scaling-max-too-low"));
    let none = BTreeMap::new();
    let blank = RegionFacts { region: dublin(), reads: none };
    assert!(!blank.is_out_of_reach());
}

#[test]
fn what_is_not_there_is_said_once_and_not_for_each_of_its_settings() {
    let (mut one, mut other) = (facts(dublin()), facts(london()));
    let code = |value: &str| Seen::new(Setting::FunctionCode, "f", Value::Text(value.into()));
    let there = |flag| Seen::new(Setting::FunctionThere, "f", Value::Flag(flag));
    one.reads.insert("f".into(), Observed::Seen(vec![there(true), code("a")]));
    other.reads.insert("f".into(), Observed::Seen(vec![there(false)]));
    let assessment = compared(&one, &other);
    assert_eq!(ids(&assessment), ["function-missing"]);
    assert_eq!(assessment.findings[0].region, Some(london()));
    other.reads.insert("f".into(), Observed::Seen(vec![there(true), code("b")]));
    assert_eq!(ids(&compared(&one, &other)), ["function-code-differs"]);
}
