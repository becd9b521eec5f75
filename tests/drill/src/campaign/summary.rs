//! What a campaign came to: troubles × verdicts × the worst recovery.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use comfy_table::Table;
use holdfast_domain::incident::Phase;

use super::Run;
use super::invariants::Invariant;

/// Counts over many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Simulated time.
    pub watched: Duration,
    /// For each broken invariant the seeds that broke it.
    pub broken: BTreeMap<Invariant, BTreeSet<u64>>,
    rows: BTreeMap<&'static str, Row>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    runs: u64,
    restored: u64,
    held: u64,
    still: u64,
    broken: u64,
    worst_recovery: Option<Duration>,
}

impl Summary {
    /// Counts a run.
    pub fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.watched += run.watched;
        for violation in &run.violations {
            self.broken.entry(violation.invariant).or_default().insert(run.plan.seed);
        }
        let names: BTreeSet<&'static str> = run.plan.faults.iter().map(|fault| fault.trouble.name()).collect();
        for name in names.into_iter().chain(["all"]) {
            let row = self.rows.entry(name).or_default();
            row.runs += 1;
            row.broken += u64::from(!run.violations.is_empty());
            match run.phase {
                Some(Phase::Restored | Phase::Reconciling | Phase::Closed) => row.restored += 1,
                Some(Phase::AwaitingApproval | Phase::Blocked | Phase::Failed) => row.held += 1,
                None | Some(Phase::Dismissed) => row.still += 1,
                Some(Phase::Suspected | Phase::Confirmed | Phase::Fencing | Phase::Promoting | Phase::Proving) => {}
            }
            row.worst_recovery = row.worst_recovery.max(run.recovered_after);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        let head =
            ["trouble", "runs", "writer moved", "held for a person", "nothing moved", "broken", "worst recovery"];
        table.set_header(head);
        for (name, row) in &self.rows {
            let worst = row.worst_recovery.map_or_else(String::new, |worst| format!("{:.1} s", worst.as_secs_f64()));
            table.add_row([
                (*name).to_owned(),
                row.runs.to_string(),
                row.restored.to_string(),
                row.held.to_string(),
                row.still.to_string(),
                row.broken.to_string(),
                worst,
            ]);
        }
        writeln!(f, "{table}")?;
        for (invariant, seeds) in &self.broken {
            let first: Vec<String> = seeds.iter().take(8).map(u64::to_string).collect();
            writeln!(f, "NOT HELD: {invariant} in {} runs, seeds {}", seeds.len(), first.join(", "))?;
        }
        let hours = self.watched.as_secs() / 3600;
        writeln!(f, "{} runs, {hours} simulated hours, {} invariants broken", self.runs, self.broken.len())
    }
}
