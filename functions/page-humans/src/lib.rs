#![doc = include_str!("../README.md")]

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sns::types::MessageAttributeValue;
use holdfast_aws::clients::{in_region, never_retried};
use holdfast_aws::coordination::{Coordination, CoordinationError};
use holdfast_aws::failure::causes;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::Region;
use holdfast_domain::event::Event;
use holdfast_domain::page::{Delivery, Page, PageRecord, compose};
use holdfast_domain::trigger::{Action, AlarmState, Trigger, TriggerError};
use serde_json::{Value, json};

/// The function's name.
pub const FUNCTION: &str = "page-humans";

/// How often a page that another run has claimed is looked at before it is sent anyway.
const LOOKS_MAX: u32 = 10;
/// Between two looks. Together they are longer than a delivery takes with all its time-outs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An SNS subject is at most this long (SNS API reference, Publish).
const SUBJECT_MAX: usize = 100;

/// Turns what arrives into pages and delivers them. What cannot be read is itself a page.
pub async fn handle(startup: &Startup, invocation: Invocation) -> Result<Value, Failure> {
    let triggers = match Trigger::parse(&invocation.payload) {
        Ok(triggers) => triggers,
        Err(problem) => return Err(refuse(startup, &problem).await),
    };
    let mut reports = Vec::new();
    for trigger in triggers {
        reports.push(match trigger {
            Trigger::Holdfast(event) => page(startup, &event).await?,
            Trigger::Alarm(alarm) if alarm.state == AlarmState::Alarm => {
                let problem = format!("alarm {}: {}", alarm.name, alarm.reason);
                page(startup, &refused(startup, problem)).await?
            }
            Trigger::Alarm(_) => json!({"page": null, "why": "only an alarm that is in ALARM pages"}),
            Trigger::Schedule { .. } => catch_up(startup).await?,
            Trigger::Manual(request) if request.action == Action::Status => status(startup),
            Trigger::Manual(_) | Trigger::Rds(_) | Trigger::Object { .. } => {
                let problem = TriggerError::Unnamed {
                    found: "something that promote-aurora or observe-region takes; page-humans takes Holdfast events and {\"action\":\"status\"}".into(),
                };
                return Err(refuse(startup, &problem).await);
            }
        });
    }
    Ok(if reports.len() == 1 { reports.remove(0) } else { Value::Array(reports) })
}

/// Once a minute, in every Region: events can get lost, so the state itself is looked at, and what it owes is paged.
async fn catch_up(startup: &Startup) -> Result<Value, Failure> {
    let nothing = |why: String| Ok(json!({"page": null, "why": why}));
    let state = match startup.coordination().cluster_state().await {
        Ok(state) => state,
        // The next minute looks again, and so does every other Region.
        Err(error) => return nothing(error.to_string()),
    };
    match state.incident {
        Some(incident) if incident.may_owe_a_page(startup.now()) => {
            page(startup, &Event::IncidentAdvanced { incident: Box::new(incident) }).await
        }
        Some(_) | None => nothing("no incident owes a page".into()),
    }
}

fn refused(startup: &Startup, problem: String) -> Event {
    Event::TriggerRefused { function: FUNCTION.into(), region: startup.region.clone(), problem }
}

/// Pages what page-humans itself could not read, and sends it to the dead-letter queue.
async fn refuse(startup: &Startup, problem: &TriggerError) -> Failure {
    if let Err(failure) = page(startup, &refused(startup, problem.to_string())).await {
        tracing::error!("a refused trigger could not be told to anybody: {failure}");
    }
    Failure::Refused(problem.to_string())
}

fn status(startup: &Startup) -> Value {
    let topics = startup.config.topology.page_topics(&startup.region, None);
    json!({"region": startup.region, "topics": topics})
}

async fn page(startup: &Startup, event: &Event) -> Result<Value, Failure> {
    let Some(page) = compose(event, &startup.config.topology) else {
        return Ok(json!({"page": null, "why": "nothing that a person needs to know"}));
    };
    let coordination = startup.coordination();
    let mut record = None;
    for look in 1..=LOOKS_MAX {
        record = match coordination.page_record(&page.thread).await {
            Ok(record) => record,
            // Fail open: what was sent before is not known, and a duplicate is better than a miss.
            Err(error) => {
                tracing::warn!(thread = page.thread, "paging without knowing what was sent: {error}");
                break;
            }
        };
        match page.delivery(record.as_ref(), startup.now()) {
            Delivery::Skip => {
                return Ok(json!({"page": page.kind, "sent": false, "why": "already sent, or overtaken"}));
            }
            Delivery::Heard => {
                remember(startup, &coordination, &page, record).await;
                return Ok(json!({"page": page.kind, "sent": false, "why": "already sent, and still going on"}));
            }
            Delivery::Wait if look < LOOKS_MAX => {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            Delivery::Wait => tracing::warn!(thread = page.thread, "whoever claimed this page did not send it"),
            Delivery::Send => {}
        }
        let claim = page.claimed(record.clone(), startup.now());
        match coordination.save_page_record(&page.thread, &claim).await {
            Ok(()) => {
                record = Some(claim);
                break;
            }
            // Another Region is paging the same; what it writes decides.
            Err(CoordinationError::Conflict { .. }) if look < LOOKS_MAX => {}
            Err(error) => {
                tracing::warn!(thread = page.thread, "paging without a claim: {error}");
                break;
            }
        }
    }
    let through = send(startup, &page).await?;
    tracing::info!(thread = page.thread, kind = page.kind, region = %through, "paged: {}", page.headline);
    remember(startup, &coordination, &page, record).await;
    Ok(json!({"page": page.kind, "sent": true, "through": through}))
}

/// Remembers after sending: whoever dies in between leaves a claim that runs out, and the page is sent twice, not never.
async fn remember(startup: &Startup, coordination: &Coordination, page: &Page, mut record: Option<PageRecord>) {
    for _ in 0..3 {
        let remembered = page.remembered(record.clone(), startup.now());
        match coordination.save_page_record(&page.thread, &remembered).await {
            Ok(()) => return,
            Err(CoordinationError::Conflict { .. }) => {
                record = coordination.page_record(&page.thread).await.ok().flatten();
            }
            Err(error) => {
                tracing::warn!(thread = page.thread, "the page was sent but not remembered: {error}");
                return;
            }
        }
    }
}

/// Tries the topics nearest first; only when none takes it does the run fail, and Lambda tries again.
async fn send(startup: &Startup, page: &Page) -> Result<Region, Failure> {
    let mut failures = Vec::new();
    for (region, topic) in startup.config.topology.page_topics(&startup.region, page.avoid.as_ref()) {
        let mut body = format!("{}\n\n{}", page.headline, page.body);
        for failure in &failures {
            body.push_str(&format!("\nNot delivered through {failure}"));
        }
        let published = aws_sdk_sns::Client::new(&in_region(&startup.sdk, &region))
            .publish()
            .topic_arn(topic)
            .subject(subject(&page.headline))
            .message(body)
            .set_message_attributes(Some(attributes(page)))
            .customize()
            .config_override(aws_sdk_sns::config::Config::builder().retry_config(never_retried()))
            .send()
            .await;
        match published {
            Ok(_) => return Ok(region),
            Err(error) => failures.push(format!("{region}: {}", causes(&error))),
        }
    }
    Err(Failure::NothingChanged(format!("nobody was paged ({}); {}", page.headline, failures.join("; "))))
}

/// What subscribers filter by, and what tells one page from another.
fn attributes(page: &Page) -> HashMap<String, MessageAttributeValue> {
    let text = |value: String| MessageAttributeValue::builder().data_type("String").string_value(value).build();
    let severity = serde_json::to_value(page.severity).ok().and_then(|it| it.as_str().map(str::to_owned));
    [
        ("thread", Some(page.thread.clone())),
        ("kind", Some(page.kind.clone())),
        ("rank", Some(page.rank.to_string())),
        ("severity", severity),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), text(value?).ok()?)))
    .collect()
}

/// SNS takes printable ASCII of at most 100 characters; the headline is cut on a word.
fn subject(headline: &str) -> String {
    let mut subject = String::new();
    for word in headline.split_whitespace() {
        let word: String = word.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).collect();
        if subject.len() + 1 + word.len() > SUBJECT_MAX {
            break;
        }
        if !subject.is_empty() {
            subject.push(' ');
        }
        subject.push_str(&word);
    }
    if subject.is_empty() { "Holdfast".to_owned() } else { subject }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headline: &str, expected: &str) {
        assert_eq!(subject(headline), expected);
    }

    #[test]
    fn a_short_headline_is_the_subject() {
        check("eu-west-1 is dark.", "eu-west-1 is dark.");
    }
    #[test]
    fn a_long_headline_is_cut_on_a_word() {
        let cut = subject(&"payments ".repeat(30));
        assert!(cut.len() <= SUBJECT_MAX && cut.ends_with("payments"), "{cut}");
    }
    #[test]
    fn line_breaks_and_other_alphabets_do_not_make_sns_refuse_the_page() {
        check("dark\nnow – Zürich", "dark now - Z-rich");
    }
    #[test]
    fn a_headline_without_a_usable_word_still_has_a_subject() {
        check("", "Holdfast");
        check(&"x".repeat(200), "Holdfast");
    }
}
