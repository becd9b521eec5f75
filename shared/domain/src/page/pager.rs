//! The pages about the pager and its surroundings: alarms, dead letters, channels that fail, and the weekly rehearsal.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::open::{Acknowledgement, OpenPage};
use super::{Page, Severity, Turn};
use crate::region::one_line;
use crate::trigger::Alarm;
use crate::{Region, Timestamp, age};

/// That a rehearsal was acknowledged, and how long that took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// The rehearsal's thread: its Region and time.
    pub thread: String,
    /// By whom, and how.
    pub acknowledged: Acknowledgement,
    /// Seconds from the first page to that.
    pub took_seconds: u64,
    /// The channels that had not taken it by then, each with why.
    pub undelivered: BTreeMap<String, String>,
}

impl Rehearsed {
    /// What a rehearsal came to; `None` for any other page, and while nobody has acknowledged it.
    #[must_use]
    pub fn of(open: &OpenPage) -> Option<Self> {
        let acknowledged = open.acknowledged.clone().filter(|_| open.page.turn == Turn::Rehearses)?;
        let took_seconds = age(open.first_tried_at, acknowledged.at).as_secs();
        let undelivered = open.undelivered.clone();
        Some(Self { thread: open.page.thread.clone(), acknowledged, took_seconds, undelivered })
    }
}

/// The end of the name of an alarm on a dead-letter queue: `holdfast-<function>-dead-letters`.
pub const DEAD_LETTERS: &str = "-dead-letters";

/// The page for an alarm that went off.
#[must_use]
pub fn alarm(alarm: &Alarm, region: &Region, cluster: &str) -> Page {
    let name = one_line(&alarm.name, 120, 0);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let queue = name.strip_suffix(DEAD_LETTERS).filter(|queue| queue.chars().all(is_plain));
    let (kind, headline, need) = match queue {
        Some(function) => (
            "dead-letter",
            format!("{function} in {region} has given up on something; it lies in the dead-letter queue."),
            format!(
                "Lambda has tried it three times. What was to be done with it is not done.\n\
                 Needed from you: read it, mend what stood in the way, and send it again:\n\
                 aws sqs receive-message --region {region} --queue-url \"$(aws sqs get-queue-url --region {region} --queue-name {function}-dead-letters --query QueueUrl --output text)\" --attribute-names All --message-attribute-names All --visibility-timeout 30\n\
                 aws logs tail /aws/lambda/{function} --region {region} --since 1h"
            ),
        ),
        None => (
            "alarm",
            format!("Alarm {name} in {region} is in ALARM."),
            "Holdfast does nothing about it by itself.\nNeeded from you: look at what it watches.".to_owned(),
        ),
    };
    Page {
        thread: format!("{cluster}/alarm/{region}/{name}"),
        kind: kind.into(),
        rank: 0,
        severity: Severity::Critical,
        turn: Turn::Tells,
        section: kind.into(),
        headline,
        body: format!("CloudWatch says: {}\n{need}", alarm.reason),
        avoid: None,
        quiet: Some(Duration::from_secs(600)),
    }
}

/// The page for a channel that does not take pages: it goes through all others.
#[must_use]
pub fn channel_failing(channel: &str, why: &str, region: &Region, cluster: &str) -> Page {
    Page {
        thread: format!("{cluster}/channel/{channel}"),
        kind: "channel-failing".into(),
        rank: 0,
        severity: Severity::Warning,
        turn: Turn::Tells,
        section: "channel-failing".into(),
        headline: format!("{channel} does not take pages."),
        body: format!(
            "From {region}: {}.\nIts pages are tried again every minute and will come late; all other channels work.\n\
             Needed from you: do not rely on {channel} until it is mended; look at its service, its secret and its address.",
            one_line(why, 400, 100)
        ),
        avoid: None,
        quiet: Some(Duration::from_secs(600)),
    }
}

/// The weekly test page of a Region: it takes every channel, and waits for somebody to say that it came.
#[must_use]
pub fn rehearsal(region: &Region, now: Timestamp, cluster: &str) -> Page {
    Page {
        thread: format!("{cluster}/rehearsal/{region}/{}", now.strftime("%Y-%m-%dT%H-%M")),
        kind: "rehearsal".into(),
        rank: 0,
        severity: Severity::Warning,
        turn: Turn::Rehearses,
        section: "rehearsal".into(),
        headline: format!("Test page from {region}: nothing is wrong. Please acknowledge it."),
        body: format!(
            "{region} has sent this through every channel, as it would send the page of an outage.\n\
             How long it takes until somebody acknowledges it is measured and kept.\n\
             Needed from you: acknowledge it, and say when it did not come through a channel that you have."
        ),
        avoid: None,
        quiet: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::AlarmState;

    #[track_caller]
    fn check(name: &str, kind: &str, parts: &[&str], never: &[&str]) {
        let region = Region::new("eu-west-2").unwrap();
        let page = alarm(&Alarm { name: name.into(), state: AlarmState::Alarm, reason: "1 > 0".into() }, &region, "g");
        let whole = format!("{}\n{}", page.headline, page.body);
        assert_eq!(page.kind, kind);
        for part in parts {
            assert!(whole.contains(part), "`{part}` is not in: {whole}");
        }
        for part in never {
            assert!(!whole.contains(part), "`{part}` is in: {whole}");
        }
    }

    #[test]
    fn a_dead_letter_names_the_function_and_how_to_read_it() {
        check(
            "holdfast-promote-aurora-dead-letters",
            "dead-letter",
            &["holdfast-promote-aurora in eu-west-2 has given up", "--queue-name holdfast-promote-aurora-dead-letters"],
            &[],
        );
    }
    #[test]
    fn any_other_alarm_is_told_as_it_is() {
        check(
            "dublin-5xx",
            "alarm",
            &["Alarm dublin-5xx in eu-west-2 is in ALARM.", "CloudWatch says: 1 > 0"],
            &["sqs"],
        );
    }
    /// What is to be pasted into a shell must not be written by whoever names an alarm.
    #[test]
    fn an_alarms_name_is_never_part_of_a_command() {
        check("x;$(rm -rf ~)-dead-letters", "alarm", &["Needed from you"], &["aws "]);
    }
}
