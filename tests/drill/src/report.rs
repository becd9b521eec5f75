//! The verdict, the waterfall and the losses: as text for a terminal, and as JSON with every figure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use comfy_table::{Table, presets::NOTHING};
use holdfast_report::Kind;
use holdfast_world::RecordedRequest;
use serde_json::{Value, json};

use crate::checker::{Outcome, Verdict};
use crate::record::record;
use crate::waterfall::Waterfall;

/// How many lost payments the terminal shows; the JSON has them all.
const LOST_SHOWN: usize = 12;

/// The report for a terminal.
#[must_use]
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    if outcome.outage {
        let _ = writeln!(text, "\nWhere the time went (seconds after 14:07:00)\n{}", waterfall(&outcome.waterfall));
        let _ = writeln!(text, "{}", recovery(&outcome.waterfall));
    }
    let _ = writeln!(text, "\nAcknowledged payments absent from the promoted ledger: {}", outcome.lost_totals);
    for lost in outcome.lost.iter().take(LOST_SHOWN) {
        let _ = writeln!(
            text,
            "  {}  {}  {} minor units {}  acknowledged {} ms after the outage began",
            lost.key, lost.network_reference, lost.amount_minor, lost.currency, lost.acknowledged_after_outage_ms
        );
    }
    if outcome.lost.len() > LOST_SHOWN {
        let _ = writeln!(text, "  … and {} more; --json has them all", outcome.lost.len() - LOST_SHOWN);
    }
    let _ = writeln!(text, "\nWhat each function did\n{}", functions(outcome));
    let _ = writeln!(text, "Read by people");
    for letter in &outcome.letters {
        let _ = writeln!(text, "  {}", letter.subject);
    }
    for problem in &outcome.problems {
        let _ = writeln!(text, "\nNOT HELD: {problem}");
    }
    let verdict = match outcome.verdict() {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
        Verdict::Unknown => "unknown",
    };
    let _ = writeln!(text, "\n{} seed {}: {verdict}", outcome.scenario, outcome.seed);
    text
}

fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", ms.abs() / 1000, ms.abs() % 1000)
}

fn waterfall(waterfall: &Waterfall) -> String {
    let stages = [
        ("detect", "first failed probe", waterfall.first_failed_probe_ms, "ours"),
        ("detect", "two observers agree, London is told", waterfall.suspected_ms, "ours"),
        ("confirm", "promote-aurora confirms", waterfall.confirmed_ms, "ours"),
        ("decide", "RDS is asked", waterfall.rds_called_ms, "ours"),
        ("tell", "a page is handed to SNS", waterfall.first_page_sent_ms, "ours"),
        ("promote", "RDS has promoted London", waterfall.promoted_ms, "AWS"),
        ("route", "the writer endpoint has moved", waterfall.endpoint_moved_ms, "AWS"),
        ("first write", "a payment is acknowledged", waterfall.first_durable_payment_ms, "ours"),
        ("prove", "the fence row is written", waterfall.restored_ms, "ours"),
    ];
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["phase", "what", "at", "took", "whose time"]);
    let mut previous = 0;
    for (phase, what, at, whose) in stages {
        // Clients and the driver try at the same time, each from the moment at which the endpoint has moved.
        let began = match phase {
            "tell" => None,
            "prove" => waterfall.endpoint_moved_ms,
            _ => Some(previous),
        };
        match at {
            Some(at) => {
                let took = began.map_or_else(String::new, |began| seconds(at - began));
                if !matches!(phase, "tell" | "prove") {
                    previous = at;
                }
                table.add_row([phase.to_owned(), what.to_owned(), seconds(at), took, whose.to_owned()]);
            }
            None => {
                table.add_row([phase, what, "did not happen", "", whose]);
            }
        }
    }
    table.to_string()
}

fn recovery(waterfall: &Waterfall) -> String {
    let say = |ms: Option<i64>| ms.map_or_else(|| "not within the run".to_owned(), |ms| format!("{} s", seconds(ms)));
    let ours = waterfall.rto_writes_ms.zip(waterfall.aws_promotion_ms).map(|(all, aws)| all - aws);
    format!(
        "Writes were back after {}, of which AWS took {} to promote and all else {} (sampled every {} ms).\n\
         Reads, with DNS alone: clients near Dublin waited {}, clients near London {}.",
        say(waterfall.rto_writes_ms),
        say(waterfall.aws_promotion_ms),
        say(ours),
        waterfall.sampling_ms,
        say(waterfall.rto_reads_dublin_ms),
        say(waterfall.rto_reads_london_ms),
    )
}

/// Runs, failures and AWS calls of each function in each Region.
pub(crate) fn per_function(outcome: &Outcome) -> BTreeMap<(String, String), (usize, usize, usize)> {
    let mut counts: BTreeMap<(String, String), (usize, usize, usize)> = BTreeMap::new();
    for invoked in outcome.world.invoked() {
        let count = counts.entry((invoked.function.to_owned(), invoked.region.to_string())).or_default();
        count.0 += 1;
        count.1 += usize::from(invoked.outcome.is_err());
    }
    let names: BTreeSet<&str> = outcome.world.invoked().iter().map(|invoked| invoked.function).collect();
    let of_functions = |request: &&RecordedRequest| {
        let by_function = match outcome.kind {
            Kind::Simulated => request.caller.invocation.is_some(),
            // Processes are told apart by their names alone.
            Kind::Live => names.contains(&*request.caller.name),
        };
        by_function && request.service != "http"
    };
    for request in outcome.world.requests().iter().filter(of_functions) {
        let key = (request.caller.name.to_string(), request.caller.region.to_string());
        counts.entry(key).or_default().2 += 1;
    }
    counts
}

fn functions(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["function", "Region", "runs ended", "failed or killed", "AWS calls"]);
    for ((function, region), (runs, failed, calls)) in per_function(outcome) {
        table.add_row([function, region, runs.to_string(), failed.to_string(), calls.to_string()]);
    }
    table.to_string()
}

/// Every figure, as the file has it.
#[must_use]
pub fn json_text(outcome: &Outcome) -> String {
    serde_json::to_string_pretty(&json(outcome)).unwrap_or_default()
}

/// Every figure.
#[must_use]
pub fn json(outcome: &Outcome) -> Value {
    let rds: Vec<Value> = outcome
        .requests
        .iter()
        .filter(|request| !request.parameters.is_empty() && request.service == "rds")
        .filter(|request| !request.operation.starts_with("Describe"))
        .map(|request| {
            json!({"at_ms": crate::waterfall::ms(request.at), "by": &*request.caller.name, "in": request.to.as_str(), "parameters": request.parameters})
        })
        .collect();
    let mut figures = serde_json::to_value(record(outcome)).unwrap_or_default();
    figures["rds_mutations"] = Value::Array(rds);
    figures
}
