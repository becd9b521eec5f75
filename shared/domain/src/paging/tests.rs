use super::*;

fn channel(name: &str, provider: Provider) -> Channel {
    let url = (provider == Provider::SignedWebhook).then(|| "https://hooks.example.com/holdfast".to_owned());
    let secret = format!("holdfast/{name}");
    Channel { name: name.into(), provider, url, secret, from_severity: Severity::Info, only_escalation: false }
}

fn paging() -> Paging {
    Paging {
        channels: vec![
            Channel { from_severity: Severity::Critical, ..channel("pagerduty", Provider::PagerdutyEventsV2) },
            channel("chat", Provider::SlackWebhook),
            Channel { only_escalation: true, ..channel("managers", Provider::SignedWebhook) },
        ],
        escalation: vec![
            EscalationStep { after_seconds: 300, channels: vec!["sns".into(), "pagerduty".into()] },
            EscalationStep { after_seconds: 900, channels: vec!["managers".into()] },
        ],
        runbook_url: Some("https://runbooks.example.com/holdfast".into()),
        pagerduty_webhook_secret: None,
    }
}

fn page(severity: Severity, turn: Turn) -> Page {
    Page {
        thread: "g/e7".into(),
        kind: "k".into(),
        rank: 0,
        severity,
        turn,
        section: "s".into(),
        headline: "h".into(),
        body: "b".into(),
        avoid: None,
        quiet: None,
    }
}

#[track_caller]
fn goes_to(severity: Severity, turn: Turn, expected: &[&str]) {
    let channels = paging().channels_for(&page(severity, turn));
    assert_eq!(channels.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn every_page_takes_sns_and_whatever_is_meant_for_so_loud_a_one() {
    goes_to(Severity::Info, Turn::Tells, &["chat", "sns"]);
    goes_to(Severity::Warning, Turn::Tells, &["chat", "sns"]);
    goes_to(Severity::Critical, Turn::Tells, &["chat", "pagerduty", "sns"]);
    assert_eq!(Paging::default().channels_for(&page(Severity::Info, Turn::Tells)), BTreeSet::from(["sns".into()]));
}
#[test]
fn a_quiet_end_still_closes_the_alert_that_a_loud_page_has_opened() {
    goes_to(Severity::Info, Turn::Ends, &["chat", "pagerduty", "sns"]);
}
#[test]
fn a_rehearsal_takes_every_channel_there_is() {
    goes_to(Severity::Info, Turn::Rehearses, &["chat", "managers", "pagerduty", "sns"]);
}

#[track_caller]
fn due(taken: usize, waited: u64, expected: Option<(usize, &[&str])>) {
    let due = paging().steps_due(taken, Duration::from_secs(waited));
    let due = due.as_ref().map(|(steps, channels)| (*steps, channels.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(due, expected.map(|(steps, channels)| (steps, channels.to_vec())));
}

#[test]
fn each_step_is_taken_once_and_when_its_time_has_come() {
    due(0, 299, None);
    due(0, 300, Some((1, &["pagerduty", "sns"])));
    due(1, 300, None);
    due(1, 900, Some((2, &["managers"])));
    due(2, 90_000, None);
}
#[test]
fn steps_that_were_missed_are_taken_together() {
    due(0, 1000, Some((2, &["managers", "pagerduty", "sns"])));
}

#[track_caller]
fn check(change: impl FnOnce(&mut Paging), expected: Option<&str>) {
    let mut paging = paging();
    change(&mut paging);
    let problem = paging.validate().err().map(|problem| problem.to_string());
    match (&problem, expected) {
        (Some(problem), Some(expected)) => assert!(problem.contains(expected), "{problem}"),
        (problem, expected) => assert_eq!(problem.as_deref(), expected),
    }
}

#[test]
fn what_is_whole_is_taken() {
    check(|_| {}, None);
    check(|paging| *paging = Paging::default(), None);
    check(|paging| paging.channels[2].url = Some("http://127.0.0.1:8080/hook".into()), None);
}
#[test]
fn a_channel_has_a_name_of_its_own() {
    for name in ["", "sns", "Pager Duty", &"x".repeat(41)] {
        check(|paging| paging.channels[0].name = name.into(), Some("`paging.channels[0].name` is `"));
    }
    check(
        |paging| paging.channels[1].name = "pagerduty".into(),
        Some("`paging.channels[1].name` is `pagerduty`, like an earlier one"),
    );
}
#[test]
fn a_channel_has_a_secret_and_the_address_that_its_provider_wants() {
    check(|paging| paging.channels[0].secret = " ".into(), Some("`paging.channels[0].secret` is empty"));
    check(|paging| paging.channels[1].url = Some("https://x".into()), Some("`paging.channels[1].url` is given, but"));
    check(|paging| paging.channels[2].url = None, Some("`paging.channels[2].url` is absent"));
    for url in ["http://hooks.example.com", "hooks.example.com", "https://", "http://127.0.0.1.example.com/"] {
        check(|paging| paging.channels[2].url = Some(url.into()), Some("give a full https:// URL"));
    }
}
#[test]
fn escalation_rises_and_calls_somebody_who_exists() {
    check(|paging| paging.escalation[1].after_seconds = 300, Some("`paging.escalation[1].after_seconds` is 300"));
    check(|paging| paging.escalation[0].after_seconds = 0, Some("`paging.escalation[0].after_seconds` is 0"));
    check(|paging| paging.escalation[0].channels = vec![], Some("`paging.escalation[0].channels` is empty"));
    check(|paging| paging.escalation[0].channels = vec!["nobody".into()], Some("names `nobody`"));
    check(
        |paging| {
            paging.escalation =
                (1..=6).map(|n| EscalationStep { after_seconds: n, channels: vec!["sns".into()] }).collect()
        },
        Some("`paging.escalation` has 6 steps"),
    );
}
#[test]
fn there_are_at_most_twelve_channels_and_the_runbook_is_a_whole_address() {
    check(
        |paging| paging.channels = (0..13).map(|n| channel(&format!("c{n}"), Provider::SlackWebhook)).collect(),
        Some("`paging.channels` has 13 entries"),
    );
    check(|paging| paging.runbook_url = Some("wiki".into()), Some("`paging.runbook_url` is `wiki`"));
}
