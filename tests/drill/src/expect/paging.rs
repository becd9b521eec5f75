//! What must come of people's channels.

use std::time::Duration;

use holdfast_world::Region;
use holdfast_world::sns::Letter;

use super::{Claims, failed_over, pages, told};
use crate::checker::Outcome;
use crate::scenario::OUTAGE_AT;

/// The alert of the first incident.
const ALERT: &str = "holdfast/payments-global/e1";
/// From the outage to a page by any channel, while one works: detection, and five seconds.
const PAGED_MAX: Duration = Duration::from_secs(20);

fn first<'a>(letters: impl IntoIterator<Item = &'a Letter>, part: &str) -> Option<&'a Letter> {
    letters.into_iter().filter(|letter| letter.message.contains(part)).min_by_key(|letter| letter.sent)
}

fn attribute<'a>(letter: &'a Letter, name: &str) -> &'a str {
    letter.attributes.get(name).map(String::as_str).unwrap_or_default()
}

pub(crate) fn another_topic_carries_the_pages(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    failed_over(outcome, &mut claims);
    let since: Vec<&Letter> = pages(outcome).into_iter().filter(|letter| letter.sent > OUTAGE_AT).collect();
    claims.holds(since.iter().all(|letter| letter.region == Region::FRANKFURT), "a page came from London or Dublin");
    let dark = first(since.iter().copied(), "Holdfast is failing over");
    let in_time = dark.is_some_and(|letter| letter.sent <= OUTAGE_AT + PAGED_MAX);
    claims.holds(in_time, format!("the first page was sent at {:?}", dark.map(|letter| letter.sent)));
    let says = dark.is_some_and(|letter| letter.message.contains("Not delivered through sns in eu-west-2"));
    claims.holds(says, "the page does not say which way failed");
    claims.holds(outcome.world.alerts().contains_key(ALERT), "PagerDuty has no alert");
    claims.0
}

pub(crate) fn pagerduty_gets_them_late(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    failed_over(outcome, &mut claims);
    let dark = first(&outcome.letters, "Holdfast is failing over").map(|letter| letter.sent);
    claims.holds(dark.is_some_and(|sent| sent <= OUTAGE_AT + PAGED_MAX), format!("by SNS it came at {dark:?}"));
    told(outcome, &mut claims, "pagerduty does not take pages.");
    let about = outcome.letters.iter().filter(|letter| letter.subject.starts_with("pagerduty does not")).count();
    claims.holds(about == 1, format!("that PagerDuty does not take pages was told {about} times"));
    let alerts = outcome.world.alerts();
    let events = alerts.get(ALERT).map(|alert| alert.events.clone()).unwrap_or_default();
    let back = OUTAGE_AT + Duration::from_secs(300);
    let (at, _, summary) = events.first().cloned().unwrap_or_default();
    claims.holds(!events.is_empty() && at >= back, format!("PagerDuty's first event came at {at:?}"));
    claims.holds(at <= back + Duration::from_secs(75), format!("PagerDuty's first event came as late as {at:?}"));
    claims.holds(summary.contains("LATE by"), format!("it does not say that it is late: {summary}"));
    claims.holds(summary.contains("Writes work"), format!("it does not tell the latest state: {summary}"));
    claims.0
}

pub(crate) fn the_page_arrives_and_says_that_it_is_late(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    claims.holds(outcome.writer == Some(Region::LONDON), format!("the writer is in {:?}", outcome.writer));
    let back = OUTAGE_AT + Duration::from_secs(120);
    let after: Vec<&Letter> = pages(outcome).into_iter().filter(|letter| letter.sent > OUTAGE_AT).collect();
    claims.holds(after.iter().all(|letter| letter.sent >= back), "a page got through while nothing did");
    let late = after.iter().find(|letter| letter.subject.starts_with("LATE by"));
    let late_at = late.map(|letter| letter.sent);
    claims.holds(
        late_at.is_some_and(|at| at <= back + Duration::from_secs(60)),
        format!("a late page came at {late_at:?}"),
    );
    claims.holds(late.is_some_and(|it| it.message.contains("This page is late")), "it does not say why it is late");
    claims.holds(first(after, "Writes work").is_some(), "nobody was told that writes work");
    claims.holds(outcome.world.alerts().contains_key(ALERT), "PagerDuty has no alert");
    let chat = outcome.world.chat();
    claims.holds(chat.iter().any(|it| it.body.to_string().contains("LATE by")), "the chat got nothing late");
    claims.0
}

pub(crate) fn each_channel_gets_one_page(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let letters = outcome.letters.iter().filter(|letter| attribute(letter, "kind") == "AwaitingApproval").count();
    claims.holds(letters == 1, format!("SNS got {letters}"));
    let asked = "Approve the failover";
    let chat = outcome.world.chat().iter().filter(|it| it.body.to_string().contains(asked)).count();
    claims.holds(chat == 1, format!("the chat got {chat}"));
    let webhook = outcome.world.webhook().iter().filter(|it| it.body.to_string().contains(asked)).count();
    claims.holds(webhook == 1, format!("the webhook got {webhook}"));
    let alerts = outcome.world.alerts();
    let rang: usize = alerts.values().map(|alert| alert.events.len()).sum();
    claims.holds(rang == 1, format!("PagerDuty got {rang}: {alerts:?}"));
    claims.0
}

pub(crate) fn no_alert_stays_open(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let alerts = outcome.world.alerts();
    let overtaken = alerts.values().flat_map(|alert| &alert.events).any(|(_, action, _)| action == "trigger");
    claims.holds(overtaken, "the trigger never came: nothing was overtaken");
    let open: Vec<&String> =
        alerts.iter().filter(|(_, alert)| alert.status != "resolved").map(|(key, _)| key).collect();
    claims.holds(open.is_empty(), format!("still open: {open:?}"));
    let asked = outcome.letters.iter().any(|letter| attribute(letter, "kind") == "AwaitingApproval");
    claims.holds(!asked, "a straggler was paged after the end");
    claims.0
}

pub(crate) fn a_storm_is_a_handful_of_pages(outcome: &Outcome) -> Vec<String> {
    let mut claims = Claims::new();
    let kinds = |kind: &str| outcome.letters.iter().filter(|letter| attribute(letter, "kind") == kind).count();
    for (kind, expected) in [("Confirmed", 1), ("Restored", 1), ("trigger-refused", 1)] {
        let found = kinds(kind);
        claims.holds(found == expected, format!("{kind} was paged {found} times"));
    }
    let all = pages(outcome).len();
    claims.holds(all == 3, format!("{all} pages"));
    let alerts: usize = outcome.world.alerts().values().map(|alert| alert.events.len()).sum();
    claims.holds(alerts == 2, format!("PagerDuty got {alerts} events"));
    let ended = outcome.world.invoked().into_iter().filter(|it| it.function == page_humans::FUNCTION);
    let (taken, lost) =
        ended.fold((0, 0), |(taken, lost), it| if it.outcome.is_ok() { (taken + 1, lost) } else { (taken, lost + 1) });
    claims.holds(lost == 0 && taken >= 10_000, format!("{taken} events were taken and {lost} were not"));
    claims.0
}
