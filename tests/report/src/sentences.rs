//! What a person reads first: one sentence, and what happened in a few lines.

use holdfast_domain::incident::{Phase, Verb};
use holdfast_domain::money::Totals;
use holdfast_domain::reconciliation::{Pass, Summary};
use jiff::{SignedDuration, Timestamp};

use crate::{Run, Verdict};

/// One moment of the story.
pub(crate) struct Moment {
    pub(crate) after_outage_ms: i64,
    pub(crate) what: String,
}

/// Milliseconds as seconds.
pub(crate) fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}.{:03} s", ms.abs() / 1000, ms.abs() % 1000)
}

/// Seconds after the outage, with their sign.
pub(crate) fn offset(ms: i64) -> String {
    if ms < 0 { seconds(ms) } else { format!("+{}", seconds(ms)) }
}

/// A Region as people call it.
pub(crate) fn region(code: &str) -> String {
    match code {
        "eu-west-1" => "Dublin (eu-west-1)".to_owned(),
        "eu-west-2" => "London (eu-west-2)".to_owned(),
        "eu-central-1" => "Frankfurt (eu-central-1)".to_owned(),
        other => other.to_owned(),
    }
}

/// A Region in a sentence for somebody who was not there.
pub(crate) fn town(code: &str) -> String {
    region(code).split(" (").next().unwrap_or(code).to_owned()
}

/// The sums alone, such as `EUR 22.93, GBP 164.14`.
pub(crate) fn sums(totals: &Totals) -> String {
    let sums = totals.sums_minor.iter().map(|(currency, sum)| currency.display(*sum));
    sums.collect::<Vec<_>>().join(", ")
}

/// What a reconciliation found, without its name.
fn found(summary: &Summary) -> String {
    let said = summary.to_string();
    said.split_once(": ").map_or(said.clone(), |(_, found)| found.to_owned())
}

impl Run {
    /// The wall clock so long after the start of the run; in UTC.
    pub(crate) fn clock(&self, at_ms: i64) -> String {
        match self
            .started_at
            .parse::<Timestamp>()
            .and_then(|start| start.checked_add(SignedDuration::from_millis(at_ms)))
        {
            Ok(at) => at.strftime("%H:%M:%S").to_string(),
            Err(_) => format!("{} ms", at_ms),
        }
    }

    /// Milliseconds after the outage, of an instant by the run's clock.
    pub(crate) fn since_outage(&self, at: Timestamp) -> Option<i64> {
        let start = self.started_at.parse::<Timestamp>().ok()?;
        Some(at.as_millisecond() - start.as_millisecond() - self.outage_at_ms)
    }

    pub(crate) fn verdict_word(&self) -> &'static str {
        match self.verdict {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Unknown => "unknown",
        }
    }

    /// What came of it, in one sentence.
    pub(crate) fn headline(&self) -> String {
        let lost = &self.payments.lost_totals;
        let unlisted = self.payments.lost.iter().filter(|lost| !lost.listed).count();
        let loss = match (lost.count, unlisted) {
            (0, _) => "no acknowledged payment was lost".to_owned(),
            (1, 0) => format!("1 acknowledged payment ({}) was lost, and is named below", sums(lost)),
            (count, 0) => format!("{count} acknowledged payments ({}) were lost, and each is named below", sums(lost)),
            (count, unlisted) => {
                format!("{count} acknowledged payments ({}) were lost, {unlisted} of them listed nowhere", sums(lost))
            }
        };
        let writer = self.writer.as_deref().map_or_else(|| "nowhere".to_owned(), town);
        let moved = self.incident.as_ref().filter(|incident| self.writer.as_deref() == Some(incident.to.as_str()));
        match (self.outage, moved, self.waterfall.rto_writes_ms) {
            (true, Some(incident), Some(rto)) => format!(
                "{} went dark at {}; writes were back in {writer} after {}; {loss}.",
                town(incident.from.as_str()),
                self.clock(self.outage_at_ms),
                seconds(rto)
            ),
            (true, Some(incident), None) => format!(
                "{} went dark at {}; the writer is in {writer}, and no payment was acknowledged again within the run; {loss}.",
                town(incident.from.as_str()),
                self.clock(self.outage_at_ms)
            ),
            (true, None, _) => format!(
                "The primary went dark at {} and the writer was not moved; {loss}.",
                self.clock(self.outage_at_ms)
            ),
            (false, Some(incident), _) => {
                format!(
                    "The writer was moved from {} to {writer} as a {}; {loss}.",
                    town(incident.from.as_str()),
                    incident.verb
                )
            }
            (false, None, _) => format!("Nothing was moved: the writer is in {writer}; {loss}."),
        }
    }

    /// What happened, in order.
    pub(crate) fn story(&self) -> Vec<Moment> {
        let w = &self.waterfall;
        let mut moments = Vec::new();
        let mut add = |at: Option<i64>, what: String| {
            if let Some(after_outage_ms) = at {
                moments.push(Moment { after_outage_ms, what });
            }
        };
        let incident = self.incident.as_ref();
        if self.outage {
            let from = incident.map_or_else(|| "The primary".to_owned(), |it| town(it.from.as_str()));
            let to = incident.map_or_else(|| "the standby".to_owned(), |it| town(it.to.as_str()));
            add(Some(0), format!("{from} goes dark."));
            add(w.suspected_ms, format!("Two observers of three, both outside {from}, agree that it is dark."));
            add(w.rds_called_ms, format!("The old writer is fenced off and RDS is asked to promote {to}."));
            add(w.first_page_ms, self.first_page());
            add(w.promoted_ms, format!("RDS has promoted {to}."));
            add(w.first_durable_payment_ms, "The first payment is acknowledged again, durably.".to_owned());
            add(w.restored_ms, "A fence row is written through the writer endpoint: writes are proven.".to_owned());
            if let Some(price) = incident.and_then(|it| it.loss.as_ref()) {
                add(
                    price.counted().and_then(|it| self.since_outage(it.at)),
                    format!("The loss is counted: {}.", price.headline()),
                );
            }
            if incident.is_some_and(|it| !it.was(Phase::Restored)) {
                self.milestones(&mut add);
            }
        } else if incident.is_some() {
            self.milestones(&mut add);
        } else {
            for letter in &self.pages {
                add(Some(letter.at_ms - self.outage_at_ms), format!("A person reads: {}", letter.subject));
            }
        }
        let pass = |wanted: Pass| self.reconciliations.iter().filter(move |it| it.summary.pass == wanted);
        if let Some(it) = pass(Pass::Now).next() {
            let what = format!("Attempts are compared with the promoted ledger: {}.", found(&it.summary));
            add(Some(it.at_ms - self.outage_at_ms), what);
        }
        if let Some(it) = pass(Pass::Clearing).next_back() {
            let what = format!("The card network's file is compared with the ledger: {}.", found(&it.summary));
            add(Some(it.at_ms - self.outage_at_ms), what);
        }
        moments.sort_by_key(|moment| moment.after_outage_ms);
        moments
    }

    fn first_page(&self) -> String {
        let at = self.waterfall.first_page_ms.map(|ms| ms + self.outage_at_ms);
        let letter = self.pages.iter().find(|letter| Some(letter.at_ms) == at);
        letter.map_or_else(|| "A person is paged.".to_owned(), |it| format!("A person reads: “{}”", it.subject))
    }

    fn milestones(&self, add: &mut impl FnMut(Option<i64>, String)) {
        for milestone in self.incident.iter().flat_map(|incident| &incident.history) {
            let planned = self.incident.as_ref().is_some_and(|incident| incident.verb == Verb::Switchover);
            let kind = if planned { "The planned move" } else { "The incident" };
            add(self.since_outage(milestone.at), format!("{kind} is {}: {}.", milestone.phase, milestone.sentence));
        }
    }
}
