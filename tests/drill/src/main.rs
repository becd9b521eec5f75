//! `drill`: plays a scenario and says what came of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use drill::checker::{Outcome, Verdict};
use drill::scenario::{Pace, SCENARIOS, Scenario};
use drill::{play, report, timeline};

/// Plays an outage against Holdfast and says with numbers what came of it.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 valid, 1 invalid, 2 unknown, 64 unusable arguments or files.")]
struct Arguments {
    /// The scenario; `--list` names them.
    #[arg(default_value = "dublin-dark")]
    scenario: String,
    /// Name the scenarios and end.
    #[arg(long)]
    list: bool,
    /// Play every scenario.
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// The seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long AWS takes to promote, in seconds. The default is the brief's; AWS itself says "minutes".
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    aws_promotion: u64,
    /// Write every figure to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
        Ok(verdict) => ExitCode::from(match verdict {
            Verdict::Valid => 0,
            Verdict::Invalid => 1,
            Verdict::Unknown => 2,
        }),
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "drill: {problem}");
            ExitCode::from(64)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Verdict, String> {
    let mut out = std::io::stdout();
    let pace = Pace { aws_promotion: Duration::from_secs(arguments.aws_promotion), ..Pace::drill(arguments.seed) };
    if arguments.list {
        for scenario in SCENARIOS {
            let _ = writeln!(out, "{:<24} {}", scenario.name, scenario.about);
        }
        return Ok(Verdict::Valid);
    }
    if arguments.all {
        let mut worst = Verdict::Valid;
        for scenario in SCENARIOS {
            let outcome = play(scenario, pace, timeline::follow).map_err(|error| error.to_string())?;
            let _ = writeln!(out, "{:<24} {:?}", scenario.name, outcome.verdict());
            for problem in &outcome.problems {
                let _ = writeln!(out, "    NOT HELD: {problem}");
            }
            worst = match (worst, outcome.verdict()) {
                (Verdict::Invalid, _) | (_, Verdict::Invalid) => Verdict::Invalid,
                (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
                (Verdict::Valid, Verdict::Valid) => Verdict::Valid,
            };
        }
        return Ok(worst);
    }
    let scenario = Scenario::named(&arguments.scenario)
        .ok_or_else(|| format!("there is no scenario `{}`; --list names them", arguments.scenario))?;
    let _ = writeln!(out, "{}: {}\n", scenario.name, scenario.about);
    let outcome = play(scenario, pace, |world| {
        timeline::follow(world);
        timeline::print_as_it_happens(world);
    })
    .map_err(|error| error.to_string())?;
    let _ = write!(out, "{}", report::text(&outcome));
    if let Some(file) = &arguments.json {
        write_json(&outcome, file)?;
    }
    Ok(outcome.verdict())
}

fn write_json(outcome: &Outcome, file: &PathBuf) -> Result<(), String> {
    let json = serde_json::to_vec_pretty(&report::json(outcome)).map_err(|error| error.to_string())?;
    std::fs::write(file, json).map_err(|error| format!("{} cannot be written: {error}", file.display()))
}
