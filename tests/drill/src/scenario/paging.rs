//! Scenarios about people: a channel that is down, busy or overtaken, and a storm of events.

use std::time::Duration;

use bytes::Bytes;
use holdfast_domain::event::{Event, SOURCE};
use holdfast_domain::incident::{ClusterState, Incident, Opening, Phase, Verb};
use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::providers::{CHAT, PAGERDUTY, WEBHOOK};
use holdfast_world::{Region, World};
use serde_json::{Value, json};

use super::{OUTAGE_AT, Scenario, at, auto};
use crate::expect::paging as expect;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) const SNS_DOWN: Scenario = Scenario {
    name: "sns-down",
    about: "Dublin goes dark, and SNS in London does not work: Frankfurt's topic and the other channels carry the pages",
    length: Duration::from_secs(300),
    outage: true,
    setup: auto,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
        let matches = CallMatch { service: Some("sns"), to: Some(Region::LONDON), ..CallMatch::default() };
        fails(&deployment.world, matches, OUTAGE_AT..Duration::MAX, 503);
    },
    expect: expect::another_topic_carries_the_pages,
};

pub(super) const PAGERDUTY_THROTTLED: Scenario = Scenario {
    name: "pagerduty-throttled",
    about: "Dublin goes dark while PagerDuty answers 429 for five minutes: others carry the pages, and it gets them late",
    length: Duration::from_secs(540),
    outage: true,
    setup: auto,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
        let matches = CallMatch { service: Some("http"), operation: Some(PAGERDUTY.1), ..CallMatch::default() };
        fails(&deployment.world, matches, OUTAGE_AT..OUTAGE_AT + MINUTE * 5, 429);
    },
    expect: expect::pagerduty_gets_them_late,
};

pub(super) const EVERY_CHANNEL_DOWN: Scenario = Scenario {
    name: "every-channel-down",
    about: "Dublin goes dark, and for two minutes nobody can be reached by any channel: the page arrives, and says that it is late",
    length: Duration::from_secs(420),
    outage: true,
    setup: auto,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| world.go_dark(Region::DUBLIN));
        let down = OUTAGE_AT..OUTAGE_AT + MINUTE * 2;
        let sns = CallMatch { service: Some("sns"), ..CallMatch::default() };
        fails(&deployment.world, sns, down.clone(), 503);
        for (_, path) in [PAGERDUTY, CHAT, WEBHOOK] {
            let matches = CallMatch { service: Some("http"), operation: Some(path), ..CallMatch::default() };
            deployment.world.inject(CallFault::during(matches, down.clone(), 1000, CallEffect::Hang));
        }
    },
    expect: expect::the_page_arrives_and_says_that_it_is_late,
};

pub(super) const TWO_PAGERS_AT_ONCE: Scenario = Scenario {
    name: "two-pagers-at-once",
    about: "London and Frankfurt page the same state in the same instant: each channel gets one page",
    length: Duration::from_secs(180),
    outage: false,
    setup: auto,
    script: |deployment| {
        at(deployment, OUTAGE_AT, |world| {
            let event = advanced(&an_incident(Phase::AwaitingApproval));
            page(world, Region::LONDON, &event);
            page(world, Region::FRANKFURT, &event);
        });
    },
    expect: expect::each_channel_gets_one_page,
};

pub(super) const RESOLVE_OVERTAKES_TRIGGER: Scenario = Scenario {
    name: "resolve-overtakes-trigger",
    about: "the page that begins an incident is held up in London until Frankfurt has paged its end: no alert stays open",
    length: Duration::from_secs(240),
    outage: false,
    setup: auto,
    script: |deployment| {
        // The first look at the secret takes so long that the end is told meanwhile.
        let matches = CallMatch { service: Some("secretsmanager"), from: Some(Region::LONDON), ..CallMatch::default() };
        deployment.world.inject(CallFault::new(matches, 0..u64::MAX, CallEffect::Delay(Duration::from_millis(1900))));
        at(deployment, OUTAGE_AT, |world| page(world, Region::LONDON, &advanced(&an_incident(Phase::Confirmed))));
        at(deployment, OUTAGE_AT + Duration::from_millis(700), |world| {
            page(world, Region::FRANKFURT, &advanced(&an_incident(Phase::Closed)));
        });
        // And once more, late: a straggler of the bus.
        at(deployment, OUTAGE_AT + MINUTE, |world| {
            page(world, Region::LONDON, &advanced(&an_incident(Phase::AwaitingApproval)));
        });
    },
    expect: expect::no_alert_stays_open,
};

pub(super) const EVENT_STORM: Scenario = Scenario {
    name: "event-storm",
    about: "ten thousand events of one incident and of one broken sender in a minute: few pages, and none is missing",
    length: Duration::from_secs(300),
    outage: false,
    setup: auto,
    script: |deployment| {
        for number in 0..10_000_u32 {
            at(deployment, OUTAGE_AT + MINUTE * number / 10_000, move |world| {
                let phases = [Phase::Confirmed, Phase::Fencing, Phase::Promoting, Phase::Proving, Phase::Restored];
                let event = match number % 10 {
                    0..5 => advanced(&an_incident(phases[(number / 2_000) as usize % phases.len()])),
                    _ => refused(number),
                };
                let region = [Region::LONDON, Region::FRANKFURT][number as usize % 2];
                page(world, region, &event);
            });
        }
    },
    expect: expect::a_storm_is_a_handful_of_pages,
};

fn fails(world: &World, matches: CallMatch, during: std::ops::Range<Duration>, status: u16) {
    let code = if status == 429 { "TooManyRequests" } else { "ServiceUnavailable" };
    world.inject(CallFault::during(matches, during, 1000, CallEffect::Error { status, code }));
}

/// An incident that nobody drives: only its pages are looked at.
fn an_incident(phase: Phase) -> Incident {
    let mut state = ClusterState { epoch: 6, ..ClusterState::default() };
    let region = |region: Region| holdfast_domain::Region::new(region.as_str()).expect("a Region's code");
    let opening = Opening {
        verb: Verb::Failover,
        from: region(Region::DUBLIN),
        to: region(Region::LONDON),
        raised_by: "observers".into(),
        approval: None,
    };
    state.open(opening, jiff::Timestamp::UNIX_EPOCH);
    let mut incident = state.incident.expect("it was just opened");
    incident.phase = phase;
    incident
}

fn advanced(incident: &Incident) -> Event {
    Event::IncidentAdvanced { incident: Box::new(incident.clone()) }
}

fn refused(number: u32) -> Event {
    Event::TriggerRefused {
        function: "promote-aurora".into(),
        region: holdfast_domain::Region::new(Region::LONDON.as_str()).expect("a Region's code"),
        problem: format!("number {number} is no event"),
    }
}

/// As the bus would hand it over.
fn page(world: &World, region: Region, event: &Event) {
    let on_the_bus: Value = json!({"source": SOURCE, "detail-type": event.detail_type(), "detail": event});
    world.invoke_async(region, page_humans::FUNCTION, Bytes::from(on_the_bus.to_string()));
}
