//! Every page as people get it: in `docs/pages.md` as text, and in `tests/pages/` as each provider is sent it.
//!
//! What is written there is compared; `HOLDFAST_WRITE=1 cargo test -p holdfast-domain --test pages` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test reads samples and writes documents; the crate does neither")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_domain::config::Config;
use holdfast_domain::event::Event;
use holdfast_domain::incident::{Incident, Phase};
use holdfast_domain::page::message::Message;
use holdfast_domain::page::{Page, Turn, compose, pager, pagerduty, slack, sns, webhook};
use holdfast_domain::traffic::{Shift, ShiftState};
use holdfast_domain::trigger::Trigger;
use holdfast_domain::{Region, Timestamp};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
fn config() -> Config {
    Config::parse(&std::fs::read_to_string(root().join("events/config.example.json")).unwrap()).unwrap()
}
fn at() -> Timestamp {
    "2026-11-24T14:07:12Z".parse().unwrap()
}
fn london() -> Region {
    Region::new("eu-west-2").unwrap()
}

fn sample(file: &str) -> Trigger {
    let payload = std::fs::read(root().join("events/page-humans").join(file)).unwrap();
    Trigger::parse(&payload).unwrap().remove(0)
}

fn incident() -> Incident {
    let trigger = sample("incident-advanced.json");
    let Trigger::Holdfast(Event::IncidentAdvanced { incident }) = trigger else {
        panic!("not an incident: {trigger:?}")
    };
    *incident
}

/// One page of every kind, by a name that says when it is sent.
fn pages() -> Vec<(String, Page)> {
    let topology = config().topology;
    let of = |event: &Event| compose(event, &topology).unwrap();
    let advanced = |phase: Phase, change: &dyn Fn(&mut Incident)| {
        let mut incident = incident();
        incident.phase = phase;
        change(&mut incident);
        of(&Event::IncidentAdvanced { incident: Box::new(incident) })
    };
    let blocked = |incident: &mut Incident| {
        incident.blocked = serde_json::from_value(json!([{
            "guard": "lag_unknown", "evidence": "AuroraGlobalDBRPOLag has no point", "evidence_age": null,
            "override_with": r#"{"action":"approve","incident":"e1","by":"<you>","override":["lag_unknown"]}"#,
        }]))
        .unwrap();
    };
    let planned = |incident: &mut Incident| {
        incident.verb = holdfast_domain::incident::Verb::Switchover;
        incident.proof = None;
        incident.history.clear();
    };
    let countdown = |incident: &mut Incident| incident.veto_until = "2026-11-24T14:09:12Z".parse().ok();
    let as_it_is = |_: &mut Incident| {};
    let mut pages = vec![
        ("A Region is dark, and Holdfast fails over".to_owned(), advanced(Phase::Confirmed, &as_it_is)),
        ("A planned move has begun".into(), advanced(Phase::Confirmed, &planned)),
        ("A person is asked".into(), advanced(Phase::AwaitingApproval, &as_it_is)),
        ("A countdown runs, and a veto stops it".into(), advanced(Phase::AwaitingApproval, &countdown)),
        ("A guard stops it".into(), advanced(Phase::Blocked, &blocked)),
        ("It cannot go on".into(), advanced(Phase::Failed, &as_it_is)),
        ("Writes work again".into(), advanced(Phase::Restored, &as_it_is)),
        ("The old Region is back".into(), advanced(Phase::Reconciling, &as_it_is)),
        ("It was nothing, or a person stopped it".into(), advanced(Phase::Dismissed, &as_it_is)),
        ("It is closed".into(), advanced(Phase::Closed, &as_it_is)),
    ];
    for (name, file) in [
        ("What it has cost is counted", "loss-counted.json"),
        ("RDS takes long", "promotion-slow.json"),
        ("Something is wrong that no machine should act on", "region-doubtful.json"),
        ("The standby is dark", "standby-dark.json"),
        ("A store does not replicate", "replication-changed.json"),
        ("A replica is about to be removed", "replica-cliff.json"),
        ("A key was charged twice", "keys-accepted-twice.json"),
        ("Receipts differ", "receipts-reconciled.json"),
        ("The ledger was reconciled", "ledger-reconciled.json"),
        ("A clearing file cannot be used", "clearing-file-refused.json"),
        ("The Regions have come to differ", "readiness-changed.json"),
        ("RDS says something", "database-notice.json"),
        ("Traffic was moved", "traffic-shifted.json"),
        ("Something arrived that cannot be read", "trigger-refused.json"),
    ] {
        let trigger = sample(file);
        let Trigger::Holdfast(event) = trigger else { panic!("{file} is no event: {trigger:?}") };
        pages.push((name.to_owned(), of(&event)));
    }
    let Trigger::Holdfast(Event::TrafficShifted { shift }) = sample("traffic-shifted.json") else { panic!("no shift") };
    for (name, state) in [
        ("Traffic is being moved", ShiftState::Moving),
        (
            "Traffic does not move",
            ShiftState::NotSeen { seen: "DNS still answers eu-west-1 (dns.google near eu-west-1: eu-west-1)".into() },
        ),
        ("A shift of traffic is held", ShiftState::Held { why: "eu-west-2: it answers but cannot write".into() }),
    ] {
        let shift = Box::new(Shift { state, ..(*shift).clone() });
        pages.push((name.to_owned(), of(&Event::TrafficShifted { shift })));
    }
    let Trigger::Alarm(dead_letters) = sample("alarm-dead-letters.json") else { panic!("not an alarm") };
    let other = holdfast_domain::trigger::Alarm { name: "payments-5xx".into(), ..dead_letters.clone() };
    let cluster = &topology.global_cluster;
    pages.push(("Something lies in a dead-letter queue".into(), pager::alarm(&dead_letters, &london(), cluster)));
    pages.push(("An alarm that is sent to the pager".into(), pager::alarm(&other, &london(), cluster)));
    let failing =
        pager::channel_failing("pagerduty", "HTTP 429: it asks to be left alone for a while", &london(), cluster);
    pages.push(("A channel does not take pages".into(), failing));
    pages.push(("The weekly rehearsal".into(), pager::rehearsal(&london(), at(), cluster)));
    pages
}

fn message<'a>(page: &'a Page, from: &'a Region) -> Message<'a> {
    let runbook_url = Some("https://runbooks.example.com/holdfast");
    Message { page, from, at: at(), late: None, step: 0, failed: &[], runbook_url }
}

/// Compares with what is written, or writes it.
#[track_caller]
fn is_written(file: &str, text: &str) {
    let path = root().join(file);
    if std::env::var_os("HOLDFAST_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(text.lines()).position(|(one, other)| one != other);
    assert!(
        written == text,
        "{file} is not what pages look like (line {}); write it anew with HOLDFAST_WRITE=1, and read what has changed",
        differs.unwrap_or(0) + 1
    );
}

#[test]
fn every_page_is_shown_as_people_read_it() {
    let from = london();
    let mut text = "# Every page\n\nWritten by a test (`shared/domain/tests/pages.rs`) from the sample events; it fails when a page reads otherwise.\n\n\
        The first line is what a telephone shows; the rest is the e-mail.\n"
        .to_owned();
    for (name, page) in pages() {
        let sns = sns::message(&message(&page, &from));
        let _ = write!(
            text,
            "\n## {name}\n\n{}, {}; [what to do](runbook.md#{})\n\n```text\n{}\n```\n\n```text\n{}\n```\n",
            page.severity.name(),
            match page.turn {
                Turn::Tells => "tells",
                Turn::Asks => "asks for a decision",
                Turn::Ends => "ends the alert",
                Turn::Rehearses => "a rehearsal",
            },
            page.section,
            sns.sms,
            sns.default
        );
    }
    // Last of all, one that comes late, to the second people who are called.
    let (_, asked) = pages().into_iter().find(|(_, page)| page.turn == Turn::Asks).unwrap();
    let failed = ["pagerduty: HTTP 503, then HTTP 503".to_owned()];
    let late = Message { late: Some(Duration::from_secs(190)), step: 1, failed: &failed, ..message(&asked, &from) };
    let shaped = sns::message(&late);
    let _ = write!(
        text,
        "\n## Nobody has acknowledged it, and a channel was down\n\n```text\n{}\n```\n\n```text\n{}\n```\n",
        shaped.sms, shaped.default
    );
    is_written("docs/pages.md", &text);
}

#[test]
fn every_page_is_kept_as_each_provider_gets_it() {
    let from = london();
    let asked = BTreeSet::from(["AwaitingApproval".to_owned()]);
    type Shape<'a> = &'a dyn Fn(&Message<'_>) -> Value;
    let shapes: [(&str, Shape<'_>); 4] = [
        ("sns", &|message| json!(sns::message(message))),
        ("pagerduty", &|message| json!(pagerduty::events(message, &asked))),
        ("chat", &|message| slack::message(message)),
        ("webhook", &|message| webhook::message(message)),
    ];
    for (provider, shape) in shapes {
        let shaped: BTreeMap<String, Value> =
            pages().into_iter().map(|(name, page)| (name, shape(&message(&page, &from)))).collect();
        let text = serde_json::to_string_pretty(&shaped).unwrap() + "\n";
        is_written(&format!("shared/domain/tests/pages/{provider}.json"), &text);
    }
}

/// A link that leads nowhere is worse at night than none.
#[test]
fn every_page_has_its_section_in_the_runbook() {
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let sections: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let linked: BTreeSet<String> = pages().into_iter().map(|(_, page)| page.section).collect();
    assert_eq!(sections, linked);
}

/// What is not here is not shown, not kept, and perhaps never read by its author.
#[test]
fn no_kind_of_page_is_missing() {
    let kinds: BTreeSet<String> =
        pages().into_iter().map(|(_, page)| page.kind.split(':').next().unwrap_or_default().to_owned()).collect();
    for phase in Phase::ALL {
        let mut incident = incident();
        incident.phase = phase;
        let page = compose(&Event::IncidentAdvanced { incident: Box::new(incident) }, &config().topology);
        if let Some(page) = page {
            let kind = page.kind.split(':').next().unwrap_or_default().to_owned();
            assert!(kinds.contains(&kind), "{kind}");
        }
    }
    let samples = std::fs::read_dir(root().join("events/page-humans")).unwrap();
    for entry in samples {
        let payload = std::fs::read(entry.unwrap().path()).unwrap();
        for trigger in Trigger::parse(&payload).unwrap() {
            if let Trigger::Holdfast(event) = trigger
                && let Some(page) = compose(&event, &config().topology)
            {
                let kind = page.kind.split(':').next().unwrap_or_default().to_owned();
                assert!(kinds.contains(&kind), "{kind}");
            }
        }
    }
}

/// A person at night reads the first lines: what is needed, and what happens when nobody answers.
#[test]
fn every_page_says_what_is_needed_and_a_question_says_what_silence_means() {
    for (name, page) in pages() {
        let calm = page.turn == Turn::Ends;
        assert!(calm || page.need().is_some(), "{name}: {}", page.body);
        let silence = page.body.contains("If nobody answers");
        assert!(page.turn != Turn::Asks || silence, "{name} asks, and does not say what silence means:\n{}", page.body);
    }
}
