//! What a run leaves behind, in this order: the report in S3, the event, the list of attempts in doubt, what is remembered.
//!
//! A run that dies in between is made again, and leaves the same.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_aws::ledger::Through;
use holdfast_domain::Timestamp;
use holdfast_domain::event::Event;
use holdfast_domain::reconciliation::{Doubt, Finding, InDoubt, RunRecord, Summary, changes_of_list};
use holdfast_settlement::Settlement;
use serde_json::{Value, json};

use crate::carried::Left;
use crate::{FUNCTION, Run, unread};

/// Entries of the list that are written at once.
const WRITES_AT_ONCE: usize = 16;
/// Entries that one run writes. More attempts in doubt than this are no outage of a second but another problem.
const ENTRIES_MAX: usize = 5_000;

/// What a pass came to.
pub(crate) struct Outcome {
    pub(crate) summary: Summary,
    /// Absent where not everything was read.
    pub(crate) settlement: Option<Settlement>,
    pub(crate) doubts: Vec<Doubt>,
    pub(crate) retry_after: Timestamp,
    /// The report of a pass that has no settlement: a line of JSON each.
    pub(crate) lines: Option<String>,
    /// What the provider's next file settles.
    pub(crate) left: Option<Left>,
}

impl Outcome {
    pub(crate) fn new(summary: Summary) -> Self {
        let retry_after = summary.at;
        Self { summary, settlement: None, doubts: Vec::new(), retry_after, lines: None, left: None }
    }
}

impl Run<'_> {
    /// Writes down and tells what was found, where it says anything new.
    pub(crate) async fn conclude(&self, mut outcome: Outcome) -> Result<Value, Failure> {
        let coordination = self.startup.coordination();
        let run = outcome.summary.run.clone();
        self.measure(&outcome.summary);
        tracing::info!(pass = %outcome.summary.pass, run, "{}", outcome.summary);
        if self.dry_run {
            return Ok(json!({"would": "write the report, list the doubts and tell", "summary": outcome.summary}));
        }
        let earlier = coordination.ledger_run(&run).await;
        // Telling fails open: without knowing what was told before, a duplicate is better than a miss.
        let known = earlier.as_ref().ok().and_then(Option::as_ref).map(|record| &record.summary);
        let news = outcome.summary.is_news_after(known);
        if news {
            if let Some(settlement) = &outcome.settlement {
                match self.write_report(&outcome.summary, settlement).await {
                    Ok(place) => outcome.summary.report = Some(place),
                    // A person is told all the same: the event names the keys.
                    Err(why) => tracing::error!(run, "the report could not be written: {why}"),
                }
            }
            if let Some(lines) = &outcome.lines {
                match self.write_lines(&outcome.summary, lines).await {
                    Ok(place) => outcome.summary.report = Some(place),
                    Err(why) => tracing::error!(run, "the report could not be written: {why}"),
                }
            }
            self.publish(&Event::LedgerReconciled { summary: Box::new(outcome.summary.clone()) }).await?;
        }
        let earlier = earlier.map_err(unread)?;
        // The list is set and not told: every run makes it whole again, whether or not there is news.
        let listed = self.list(&outcome).await?;
        if !news {
            let known = earlier.map(|record| record.summary);
            return Ok(json!({"done": "nothing new", "listed": listed, "summary": known}));
        }
        let summary = outcome.summary;
        let version = earlier.map_or(1, |record| record.version + 1);
        match coordination.save_ledger_run(&run, &RunRecord { version, summary: summary.clone() }).await {
            // Somebody else has run the same meanwhile, and has told the same.
            Ok(()) | Err(CoordinationError::Conflict { .. }) => {}
            Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
        }
        Ok(json!({"done": "told", "listed": listed, "summary": summary}))
    }

    /// Makes the list of attempts in doubt say what was found. Returns how many entries were written.
    async fn list(&self, outcome: &Outcome) -> Result<usize, Failure> {
        let Some(settlement) = &outcome.settlement else { return Ok(0) };
        let coordination = self.startup.coordination();
        let listed = coordination.in_doubt().await.map_err(unread)?;
        let open: Vec<String> =
            listed.iter().filter(|entry| entry.settled.is_none()).map(|entry| entry.key.clone()).collect();
        let booked = if open.is_empty() {
            BTreeSet::new()
        } else {
            let booked = self.ledger.booked(Through::Writer, open).await;
            booked.map_err(|error| Failure::NothingChanged(error.to_string()))?
        };
        let fates = settlement.fates(&booked);
        let Outcome { summary, doubts, retry_after, .. } = outcome;
        let changes = changes_of_list(&listed, doubts, &fates, &summary.run, *retry_after);
        if changes.len() > ENTRIES_MAX {
            let why = format!("{} attempts in doubt are more than the {ENTRIES_MAX} that are listed", changes.len());
            return Err(Failure::NothingChanged(why));
        }
        for together in changes.chunks(WRITES_AT_ONCE) {
            let written = join_all(together.iter().map(|entry: &InDoubt| coordination.save_in_doubt(entry))).await;
            for result in written {
                match result {
                    // Somebody else knows more already.
                    Ok(()) | Err(CoordinationError::Conflict { .. }) => {}
                    Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
                }
            }
        }
        Ok(changes.len())
    }

    /// Tells the other functions, or fails so that Lambda has the run repeated: a person must hear of it.
    pub(crate) async fn publish(&self, event: &Event) -> Result<(), Failure> {
        let published = self.startup.bus().publish(event, self.startup.buses()).await;
        published.map(drop).map_err(|error| Failure::LookBeforeRetry(error.to_string()))
    }

    fn measure(&self, summary: &Summary) {
        let pass = summary.pass.to_string();
        let dimensions = [("Function", FUNCTION), ("Region", self.startup.region.as_str()), ("Pass", pass.as_str())];
        let metrics = match &summary.finding {
            Finding::Complete(found) => vec![
                ("PaymentsLost", "Count", found.lost.count),
                ("AttemptsInDoubt", "Count", found.in_doubt.count),
                ("OtherBreaks", "Count", found.others.values().sum()),
                ("EntriesProposed", "Count", found.proposed),
                ("Unbalanced", "Count", u64::from(!found.balanced)),
                ("ReconciliationUnknown", "Count", 0),
            ],
            // No count of anything: absence is unknown.
            Finding::Unknown { .. } => vec![("ReconciliationUnknown", "Count", 1)],
        };
        self.startup.metrics.emit(summary.at, &dimensions, &metrics);
    }
}
