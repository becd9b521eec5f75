//! `drill`: plays a scenario and says what came of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use drill::checker::Verdict;
use drill::scenario::{Pace, SCENARIOS, Scenario};
use drill::{play, report, timeline};

mod again;
mod hunt;

/// Plays an outage against Holdfast and says with numbers what came of it.
#[derive(Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 valid, 1 invalid, 2 unknown, 64 unusable arguments or files."
)]
struct Arguments {
    #[command(subcommand)]
    hunt: Option<Hunt>,
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
    /// Write a report for people to this file: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    html: Option<PathBuf>,
}

/// The hunt for the night that nobody thought of.
#[derive(Debug, Subcommand)]
enum Hunt {
    /// Runs random nights, one for each seed, and checks every invariant.
    Campaign {
        /// How many.
        #[arg(long, default_value_t = 500)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many at once; the default is one for each core.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Plays one night of the campaign again, with its timeline.
    Replay {
        /// Which.
        #[arg(long)]
        seed: u64,
        /// Take away every trouble that is not needed to break the same invariant.
        #[arg(long)]
        shrink: bool,
        /// With this deliberate bug; `drill bugs --list` names them.
        #[arg(long)]
        bug: Option<String>,
    },
    /// Makes the decisions of an incident again, offline, from the facts that were stored with it.
    ReplayIncident {
        /// What `--json` wrote, or the body of an incident's or the cluster's item in the coordination table.
        file: PathBuf,
        /// A policy as TOML or JSON: what it leaves out stays as it was. Without it the decisions must be the same.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Plants each deliberate bug and counts the seeds until the campaign finds it.
    Bugs {
        /// Name them and end.
        #[arg(long)]
        list: bool,
        /// How many seeds each may take.
        #[arg(long, default_value_t = 500)]
        seeds: u64,
        /// Write the table to this file, as Markdown.
        #[arg(long, value_name = "FILE")]
        markdown: Option<PathBuf>,
    },
    /// Strikes every call of the functions in every way, one at a time.
    Crash {
        /// Only this scenario; the default is all of them.
        #[arg(long)]
        scenario: Option<String>,
        /// Only this function; the default is all of them.
        #[arg(long)]
        function: Option<String>,
    },
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
    match &arguments.hunt {
        Some(Hunt::Campaign { seeds, from, threads }) => return hunt::campaign(*from, *seeds, *threads),
        Some(Hunt::Replay { seed, shrink, bug }) => return hunt::replay(*seed, *shrink, bug.as_deref()),
        Some(Hunt::ReplayIncident { file, policy }) => return again::replay(file, policy.as_deref()),
        Some(Hunt::Bugs { list: true, .. }) => return hunt::list_bugs(),
        Some(Hunt::Bugs { seeds, markdown, .. }) => return hunt::bugs(*seeds, markdown.as_deref()),
        Some(Hunt::Crash { scenario, function }) => return hunt::crash(scenario.as_deref(), function.as_deref()),
        None => {}
    }
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
        write(file, &report::json_text(&outcome))?;
    }
    if let Some(file) = &arguments.html {
        let html = holdfast_report::html(&report::json_text(&outcome)).map_err(|error| error.to_string())?;
        write(file, &html)?;
    }
    Ok(outcome.verdict())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{} cannot be written: {error}", file.display()))
}
