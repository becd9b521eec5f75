//! `live-drill`: plays an outage on real processes, and says what came of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use drill::checker::{Outcome, Verdict};
use drill::report;
use live_drill::expect::{OURS_MAX_MS, ours_ms};
use live_drill::run::{Choice, play};
use live_drill::scenario::{LIVE, Live};

/// Plays an outage against Holdfast's own binaries and a real PostgreSQL, in real seconds.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 valid, 1 invalid, 2 unknown, 64 unusable arguments or parts, 130 interrupted.")]
struct Arguments {
    /// The scenarios, one after the other; `--list` names them.
    #[arg(default_value = "dublin-dark")]
    scenarios: Vec<String>,
    /// Name the scenarios and end.
    #[arg(long)]
    list: bool,
    /// How often each is played.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// What is drawn is drawn from this; each run takes the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What AWS takes to promote, in seconds, beside the real promotion: 0 measures our own floor, 45 is the brief's.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = seconds)]
    aws_promotion: u64,
    /// The payments tier's writer lease, in seconds. It reads the epoch twice a second, so that 4 s outlast seven lost readings.
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = seconds)]
    writer_lease: u64,
    /// Between Dublin and London, one way, in microseconds.
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 7500)]
    one_way: u64,
    /// Where the functions' binaries are; beside this program by default.
    #[arg(long, value_name = "DIRECTORY")]
    functions: Option<PathBuf>,
    /// Write every figure of the last run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report of the last run for people to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep what the processes logged in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    logs: Option<PathBuf>,
}

/// The brief's recovery time, AWS's part included.
const MINUTE_MS: i64 = 60_000;

/// `45` and `45s`.
fn seconds(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.trim_end_matches('s').parse()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    if arguments.list {
        for live in LIVE {
            let _ = writeln!(out, "{:<16} {}", live.name, live.about);
        }
        return ExitCode::SUCCESS;
    }
    match all(&arguments) {
        Ok(Some(Verdict::Valid)) => ExitCode::SUCCESS,
        Ok(Some(Verdict::Invalid)) => ExitCode::from(1),
        Ok(Some(Verdict::Unknown)) => ExitCode::from(2),
        Ok(None) => {
            let _ = writeln!(
                std::io::stderr(),
                "live-drill: interrupted; every process is ended and every directory deleted"
            );
            ExitCode::from(130)
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "live-drill: {problem}");
            ExitCode::from(64)
        }
    }
}

/// Plays everything that was asked for; none when it was interrupted.
fn all(arguments: &Arguments) -> Result<Option<Verdict>, String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, interrupted.clone()).map_err(|error| error.to_string())?;
    }
    let programs = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = programs.parent().unwrap_or(Path::new(".")).to_owned();
    let mut outcomes = Vec::new();
    for name in &arguments.scenarios {
        let live = Live::named(name).ok_or_else(|| format!("there is no scenario `{name}`; --list names them"))?;
        for run in 0..arguments.runs {
            let choice = Choice {
                functions: arguments.functions.clone().unwrap_or_else(|| programs.clone()),
                programs: programs.clone(),
                seed: arguments.seed + u64::from(run),
                aws_promotion: Duration::from_secs(arguments.aws_promotion),
                writer_lease_seconds: arguments.writer_lease,
                one_way: Duration::from_micros(arguments.one_way),
                keep_logs: arguments.logs.clone(),
            };
            let Some(outcome) = one(live, &choice, &interrupted)? else { return Ok(None) };
            outcomes.push(outcome);
        }
    }
    if let Some(last) = outcomes.last() {
        write(arguments, last)?;
    }
    summary(&outcomes, arguments.aws_promotion);
    let worst = |verdict| outcomes.iter().any(|outcome| outcome.verdict() == verdict);
    Ok(Some(match () {
        () if worst(Verdict::Invalid) => Verdict::Invalid,
        () if worst(Verdict::Unknown) || outcomes.is_empty() => Verdict::Unknown,
        () => Verdict::Valid,
    }))
}

/// One run on a runtime of its own: when that is gone, so is every task of it.
fn one(live: &'static Live, choice: &Choice, interrupted: &AtomicBool) -> Result<Option<Outcome>, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\n{} (live, seed {}): {}\n", live.name, choice.seed, live.about);
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            () = until_set(interrupted) => Ok(None),
            outcome = play(live, choice) => outcome.map(Some).map_err(|error| error.to_string()),
        }
    })?;
    if let Some(outcome) = &outcome {
        let _ = write!(out, "{}", report::text(outcome));
    }
    Ok(outcome)
}

async fn until_set(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn summary(outcomes: &[Outcome], aws_promotion_seconds: u64) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\nscenario          seed  verdict  writes back after  of which ours  lost");
    let said = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{}.{:03} s", ms / 1000, ms % 1000));
    let (mut minutes, mut outages) = (0, 0);
    for outcome in outcomes {
        let rto = outcome.waterfall.rto_writes_ms.filter(|_| outcome.outage);
        outages += u32::from(outcome.outage);
        minutes += u32::from(rto.is_some_and(|ms| ms <= MINUTE_MS));
        let ours = ours_ms(outcome).filter(|_| outcome.outage);
        let verdict = format!("{:?}", outcome.verdict()).to_lowercase();
        let _ = writeln!(
            out,
            "{:<16}  {:<4}  {verdict:<7}  {:<17}  {:<13}  {}",
            outcome.scenario,
            outcome.seed,
            said(rto),
            said(ours),
            outcome.lost_totals
        );
    }
    if outages > 0 {
        let _ = writeln!(
            out,
            "Within a minute, AWS's {aws_promotion_seconds} s included: {minutes} of {outages}. Judged is our part: at most {} s.",
            OURS_MAX_MS / 1000
        );
    }
}

fn write(arguments: &Arguments, outcome: &Outcome) -> Result<(), String> {
    let json = report::json_text(outcome);
    let put = |file: &PathBuf, text: &str| {
        std::fs::write(file, text).map_err(|error| format!("{} cannot be written: {error}", file.display()))
    };
    if let Some(file) = &arguments.json {
        put(file, &json)?;
    }
    if let Some(file) = &arguments.html {
        put(file, &holdfast_report::html(&json).map_err(|error| error.to_string())?)?;
    }
    Ok(())
}
