//! `lab`: the same outage and workload against every topology.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use holdfast_lab::rows::{BASELINE, ROWS, Row};
use holdfast_lab::{Options, Routing, play_some, report};

/// Plays Dublin's outage against every option of the table, and prints what was measured beside what is claimed.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 played, 64 unusable arguments or files.")]
struct Arguments {
    /// Name the rows and end.
    #[arg(long)]
    list: bool,
    /// Only this row (may be given more than once).
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How clients find a Region, where the row does not say.
    #[arg(long, value_enum, default_value_t = Routing::Latency)]
    routing: Routing,
    /// How long AWS takes to fail a global database over, in seconds. The default is the brief's; AWS itself says "minutes".
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    aws_promotion: u64,
    /// Write every figure to this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "lab: {problem}");
            ExitCode::from(64)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut out = std::io::stdout();
    if arguments.list {
        for row in ROWS {
            let _ = writeln!(out, "{:<26} {}", row.name, row.title);
        }
        return Ok(());
    }
    // The baseline is always played: every latency is told beside it.
    let mut rows: Vec<&Row> = vec![&BASELINE];
    for name in &arguments.only {
        let found = ROWS.iter().find(|row| row.name == *name);
        rows.push(found.ok_or_else(|| format!("there is no row `{name}`; --list names them"))?);
    }
    if arguments.only.is_empty() {
        rows.extend(ROWS);
    }
    let options = Options {
        routing: arguments.routing,
        aws_promotion: Duration::from_secs(arguments.aws_promotion),
        ..Options::standard(arguments.seed)
    };
    let measured = play_some(&rows, options).map_err(|error| error.to_string())?;
    let _ = write!(out, "{}", report::text(&measured));
    if let Some(file) = &arguments.csv {
        let csv = report::csv(&measured).map_err(|error| error.to_string())?;
        std::fs::write(file, csv).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    Ok(())
}
