//! The bench: `generate DIRECTORY ROWS`, then `sort DIRECTORY` or `sketch DIRECTORY`.
//!
//! `bench.py` runs all of it beside DuckDB, each in a process of its own, and compares what they found with the truth.

mod generate;

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use holdfast_settlement::format::Fetch;
use holdfast_settlement::format::adyen::{Identity, SettlementDetails};
use holdfast_settlement::format::ledger::LedgerRows;
use holdfast_settlement::{Go, Limits, Method, Policy, Reconciliation, Report, Seekable};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", directory, rows] => Ok(generate::generate(Path::new(directory), rows.parse()?)?),
        ["sort", directory] => settle(Path::new(directory), Method::Sort, "sort"),
        ["sketch", directory] => settle(Path::new(directory), Method::sketch(), "sketch"),
        _ => Err("write: bench-ledger generate DIRECTORY ROWS, or bench-ledger sort|sketch DIRECTORY".into()),
    }
}

fn file(of: &Path) -> std::io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(1 << 13, File::open(of)?))
}

/// Settles the two files, and writes what was found, one line per break, in order.
fn settle(directory: &Path, method: Method, name: &str) -> Result<(), Box<dyn Error>> {
    let (ledger, network) = (directory.join("ledger.csv"), directory.join("settlement.csv"));
    let broken = |path: &Path, error| {
        let fault = holdfast_settlement::format::Fault::Io(error);
        holdfast_settlement::format::FormatError::at(&path.display().to_string(), Default::default(), fault)
    };
    let books = Seekable::new("ledger.csv", || {
        let from = file(&ledger).map_err(|error| broken(&ledger, error))?;
        Ok(Box::new(LedgerRows::open("ledger.csv", from)?) as Box<dyn Fetch>)
    });
    let lines = Seekable::new("settlement.csv", || {
        let from = file(&network).map_err(|error| broken(&network, error))?;
        Ok(Box::new(SettlementDetails::open("settlement.csv", from, Identity::Modification)?) as Box<dyn Fetch>)
    });
    let now = "2026-11-25T14:00:00Z".parse()?;
    let run = Reconciliation::new(Policy::new("adyen", now, Some(now), now))
        .method(method)
        .limits(Limits { spill_directory: Some(directory.to_path_buf()), ..Limits::default() })
        .ledger(books)
        .network(lines);
    let mut passes = 0;
    let report = run.run(&mut |progress| {
        passes = passes.max(progress.pass);
        Go::On
    })?;
    let Report::Complete(settlement) = report else { return Err("nobody stopped it, and it did not finish".into()) };
    let mut found: Vec<String> =
        settlement.breaks.iter().map(|found| format!("{} {}", found.what.name(), found.event_ref)).collect();
    found.sort_unstable();
    let mut out = BufWriter::new(File::create(directory.join(format!("found-{name}.txt")))?);
    for line in &found {
        writeln!(out, "{line}")?;
    }
    let mut log = std::io::stdout().lock();
    writeln!(log, "{} breaks, {passes} passes", found.len())?;
    for line in &settlement.conservation {
        writeln!(log, "{line}")?;
    }
    for finding in &settlement.findings {
        writeln!(log, "{finding}")?;
    }
    Ok(())
}
