//! The pass *salvage*: what the old volume has and the new ledger lacks.
//!
//! The old volume stands in the network's place, and the new ledger is asked for its keys only: what was booked since is no
//! difference.

use std::collections::BTreeSet;

use holdfast_aws::Failure;
use holdfast_aws::ledger::{Selection, Through};
use holdfast_domain::attempt::Window;
use holdfast_domain::reconciliation::{Finding, Pass};
use holdfast_settlement::format::Rows;
use holdfast_settlement::record::{Record, Side};
use holdfast_settlement::{Policy, Reconciliation, Report};
use serde_json::Value;

use crate::effects::Outcome;
use crate::spool::Spool;
use crate::{Run, sources};

/// Keys that the new ledger is asked for: a thousand statements of a thousand keys.
const KEYS_MAX: usize = 1_000_000;

impl Run<'_> {
    /// Compares the old volume's bookings of a stretch of time with the ledger.
    pub(crate) async fn salvage(&self, window: Window) -> Result<Value, Failure> {
        let run = format!("salvage-{:.0}-{:.0}", window.from, window.to);
        let outcome = match self.compare_volumes(window, &run).await {
            Ok(outcome) => outcome,
            Err(why) => self.unknown(Pass::Salvage, &run, why),
        };
        self.conclude(outcome).await
    }

    async fn compare_volumes(&self, window: Window, run: &str) -> Result<Outcome, String> {
        let (marks, at_least) = match self.marks(&window).await {
            Ok(marks) => (marks, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let (mut old, mut books) = (Spool::new(), Spool::new());
        let exported =
            self.ledger.export(Through::OldVolume, Selection::Window(window), self.export_max(), &mut old).await;
        exported.map_err(|error| error.to_string())?;
        let keys = keys_of(&old)?;
        let rows = Selection::Keys { keys: keys.iter().cloned().collect(), outside: None };
        let exported = self.ledger.export(Through::Writer, rows, self.export_max(), &mut books).await;
        exported.map_err(|error| error.to_string())?;
        // The old volume says nothing of attempts that it never booked.
        let marks: Vec<_> = marks.into_iter().filter(|mark| keys.contains(&mark.key)).collect();
        let policy = Policy::new("old volume", self.startup.now(), Some(window.to), self.next_file());
        let mut watch = self.watch();
        let report = Reconciliation::new(policy)
            .limits(sources::limits())
            .ledger(sources::ledger("ledger", &books))
            .network(sources::ledger("old volume", &old))
            .attempts(marks.iter().cloned())
            .run(&mut |progress| watch.go(progress))
            .map_err(|error| holdfast_aws::failure::causes(&error))?;
        match report {
            Report::Complete(settlement) => {
                let found = settlement.found(&marks, &[], window, at_least);
                let summary = self.summary(Pass::Salvage, run, Finding::Complete(Box::new(found)));
                let mut outcome = Outcome::new(summary);
                outcome.settlement = Some(settlement);
                Ok(outcome)
            }
            Report::Unknown { why, resume } => {
                let resume = format!("row {} of {}", resume.position.line, resume.source);
                Ok(Outcome::new(self.summary(Pass::Salvage, run, Finding::Unknown { why, resume })))
            }
        }
    }
}

fn keys_of(old: &Spool) -> Result<BTreeSet<String>, String> {
    let mut rows = sources::ledger_rows("old volume", old).map_err(|error| error.to_string())?;
    let mut record = Record::blank(Side::Ledger);
    let mut keys = BTreeSet::new();
    while rows.read(&mut record).map_err(|error| error.to_string())? {
        if !record.merchant_ref.is_empty() {
            keys.insert(record.merchant_ref.clone());
        }
        if keys.len() > KEYS_MAX {
            return Err(format!(
                "more than {KEYS_MAX} keys are too many for one run; ask for a shorter stretch of time"
            ));
        }
    }
    Ok(keys)
}
