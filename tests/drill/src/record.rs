//! What came of a run, as the report takes it.

use std::collections::BTreeMap;

use holdfast_domain::event::Event;
use holdfast_payments::history::{Operation, Told};
use holdfast_report::{FunctionRuns, Letter, Outcomes, Payments, Reconciliation, Requests, Run};

use crate::checker::Outcome;
use crate::report::per_function;
use crate::scenario::OUTAGE_AT;
use crate::timeline::dated_line;
use crate::waterfall::ms;

/// The width of a bucket of requests: that of the recovery time's resolution.
const BUCKET_MS: i64 = 100;

/// The record of a run.
#[must_use]
pub fn record(outcome: &Outcome) -> Run {
    let acknowledged = outcome.operations.iter().filter(|it| matches!(it.told, Told::Acknowledged { .. })).count();
    Run {
        scenario: outcome.scenario.to_owned(),
        about: outcome.about.to_owned(),
        kind: outcome.kind,
        seed: outcome.seed,
        repeat: outcome.repeat.clone(),
        verdict: outcome.verdict(),
        problems: outcome.problems.clone(),
        started_at: format!("{:.3}", outcome.world.start()),
        outage_at_ms: ms(OUTAGE_AT),
        length_ms: ms(outcome.length),
        outage: outcome.outage,
        waterfall: outcome.waterfall.figures.clone(),
        payments: Payments {
            requests: count(outcome.operations.len()),
            acknowledged: count(acknowledged),
            lost: outcome.lost.clone(),
            lost_totals: outcome.lost_totals.clone(),
            charged_twice: outcome.charged_twice.clone(),
        },
        requests: requests(&outcome.operations),
        replication: outcome.replication.clone(),
        incident: outcome.state.incident.clone(),
        judgements: outcome.state.judgements.clone(),
        writer: outcome.writer.map(|region| region.as_str().to_owned()),
        pages: outcome
            .letters
            .iter()
            .map(|it| Letter {
                at_ms: ms(it.at),
                region: it.region.to_string(),
                subject: it.subject.clone(),
                message: it.message.clone(),
            })
            .collect(),
        reconciliations: reconciliations(outcome),
        functions: per_function(outcome)
            .into_iter()
            .map(|((function, region), (runs, failed, calls))| FunctionRuns {
                function,
                region,
                runs: count(runs),
                failed: count(failed),
                aws_calls: count(calls),
            })
            .collect(),
        configuration: serde_json::to_value(&outcome.config).unwrap_or_default(),
        timeline: outcome.world.entries().iter().map(|entry| dated_line(entry, outcome.world.start())).collect(),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn requests(operations: &[Operation]) -> Requests {
    let mut regions: BTreeMap<String, Outcomes> = BTreeMap::new();
    for operation in operations {
        let outcomes = regions.entry(operation.sent_to.clone()).or_default();
        let counts = match operation.told {
            Told::Acknowledged { .. } => &mut outcomes.acknowledged,
            Told::Refused { .. } => &mut outcomes.refused,
            Told::Nothing => &mut outcomes.unanswered,
        };
        *counts.entry(ms(operation.ended) / BUCKET_MS).or_default() += 1;
    }
    Requests { bucket_ms: BUCKET_MS, regions }
}

fn reconciliations(outcome: &Outcome) -> Vec<Reconciliation> {
    let published = outcome.world.published().into_iter();
    let told = published.filter_map(|(at, _, event)| match serde_json::from_value(event["detail"].clone()) {
        Ok(Event::LedgerReconciled { summary }) => Some(Reconciliation { at_ms: ms(at), summary: *summary }),
        Ok(_) | Err(_) => None,
    });
    told.collect()
}
