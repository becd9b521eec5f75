//! A reading says how far it is while somebody waits for it, and stops before the invocation's time is up.

use std::time::Duration;

use holdfast_domain::reconciliation::Pace;
use holdfast_domain::{Timestamp, age};
use holdfast_settlement::{Go, Progress};

use crate::Run;

/// Between two lines of the log.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Watches a reading of one or more sources.
pub(crate) struct Watch<'w> {
    run: &'w Run<'w>,
    /// Which reading this is, when it began, and the rows that earlier ones had read.
    pass: u8,
    began: Timestamp,
    rows_before: u64,
    told: Timestamp,
}

impl Run<'_> {
    pub(crate) fn watch(&self) -> Watch<'_> {
        let now = self.startup.now();
        Watch { run: self, pass: 1, began: now, rows_before: 0, told: now }
    }
}

impl Watch<'_> {
    /// Whether it goes on.
    pub(crate) fn go(&mut self, progress: Progress<'_>) -> Go {
        let Progress { source, rows_done, pass, bytes } = progress;
        let now = self.run.startup.now();
        if pass != self.pass {
            (self.pass, self.began, self.rows_before) = (pass, now, rows_done);
        }
        let pace = Pace { rows: rows_done.saturating_sub(self.rows_before), took: age(self.began, now), bytes };
        if self.run.time_left().is_zero() {
            return Go::Stop(format!("the invocation's time was up in reading {pass} of {source}, after {pace}"));
        }
        if age(self.told, now) >= TOLD_EVERY {
            self.told = now;
            tracing::info!(source, pass, "{pace}");
        }
        Go::On
    }
}
