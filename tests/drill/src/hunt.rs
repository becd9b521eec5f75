//! The commands of the campaign: run many nights, play one again, plant bugs, strike every call.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use drill::campaign::bugs::{BUGS, Bug};
use drill::campaign::invariants::Invariant;
use drill::campaign::many::run_all;
use drill::campaign::plan::Plan;
use drill::campaign::shrink::shrink;
use drill::campaign::summary::Summary;
use drill::campaign::{Run, run};
use drill::checker::Verdict;
use drill::crash::strike_all;
use drill::scenario::{SCENARIOS, Scenario};
use drill::timeline;
use indicatif::{ProgressBar, ProgressStyle};

fn say(text: impl std::fmt::Display) {
    // A closed pipe must not end a campaign before its verdict.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn progress(runs: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta} {msg}");
    let bar = ProgressBar::new(runs);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn verdict(holds: bool) -> Verdict {
    if holds { Verdict::Valid } else { Verdict::Invalid }
}

pub(crate) fn campaign(from: u64, seeds: u64, threads: Option<usize>) -> Result<Verdict, String> {
    let threads = threads.unwrap_or_else(cores);
    let bar = progress(seeds);
    let mut summary = Summary::default();
    let started = Instant::now();
    run_all(from..from.saturating_add(seeds), threads, None, |run: Run| {
        summary.add(&run);
        bar.inc(1);
        if !run.violations.is_empty() {
            bar.set_message(format!("{} broken", summary.broken.len()));
        }
        true
    })
    .map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    let ms = started.elapsed().as_millis().max(1);
    say(&summary);
    let tenths = u128::from(summary.runs) * 10_000 / ms;
    let each = tenths / u128::try_from(threads).unwrap_or(1).max(1);
    let shown = |tenths: u128| format!("{}.{}", tenths / 10, tenths % 10);
    say(format!("{} seeds/s on {threads} threads, {} each", shown(tenths), shown(each)));
    if let Some(seed) = summary.broken.values().flatten().min() {
        say(format!("To see one again: cargo run -p drill -- replay --seed {seed} --shrink"));
    }
    // Nothing played is nothing known.
    Ok(if summary.runs == 0 { Verdict::Unknown } else { verdict(summary.broken.is_empty()) })
}

fn bug_named(name: Option<&str>) -> Result<Option<&'static Bug>, String> {
    match name {
        None => Ok(None),
        Some(name) => match Bug::named(name) {
            Some(bug) => Ok(Some(bug)),
            None => Err(format!("there is no deliberate bug `{name}`; `drill bugs --list` names them")),
        },
    }
}

pub(crate) fn replay(seed: u64, shrunk: bool, bug: Option<&str>) -> Result<Verdict, String> {
    let bug = bug_named(bug)?;
    let mut plan = Plan::draw(seed);
    if shrunk {
        let broken = run(&plan, bug, |_| {}).map_err(|error| error.to_string())?.violations;
        match broken.first().map(|violation| violation.invariant) {
            Some(broken) => plan = shrink(&plan, broken, bug).map_err(|error| error.to_string())?,
            None => say(format!("seed {seed} breaks nothing; there is nothing to shrink")),
        }
    }
    say(format!(
        "seed {seed}: the writer is in {}, policy {}, countdown {:?} s, {} standby instances, attempts replicate {}, AWS promotes in {} ms, the person {:?}",
        plan.primary,
        plan.mode,
        plan.countdown_seconds,
        plan.standby_instances,
        if plan.asynchronous_attempts { "late" } else { "at once" },
        plan.promotion.as_millis(),
        plan.person
    ));
    for fault in &plan.faults {
        say(format!("  {fault}"));
    }
    say("");
    let done = run(&plan, bug, timeline::follow).map_err(|error| error.to_string())?;
    for entry in done.world.entries() {
        say(entry);
    }
    say("");
    for violation in &done.violations {
        say(format!("NOT HELD: {violation}"));
    }
    say(format!("seed {seed}: {}", if done.violations.is_empty() { "every invariant held" } else { "broken" }));
    Ok(verdict(done.violations.is_empty()))
}

pub(crate) fn list_bugs() -> Result<Verdict, String> {
    for bug in BUGS {
        say(format!("{:<36} {}", bug.name, bug.about));
    }
    Ok(Verdict::Valid)
}

/// What stands above the table of deliberate bugs.
const BUGS_HEAD: &str = "# Deliberate bugs, and how soon the campaign finds them

`make bugs` writes this file; a test plays each row again.
A bug is planted on the wire, in the policy or in the installation, never in the product.
The seeds are those of the campaign, from the first one on: `cargo run -p drill -- replay --seed N --bug NAME --shrink`, where N is the count less one, shows how a bug is found.

| deliberate bug | the mistake | found by | seeds until found |
| --- | --- | --- | --- |
";

pub(crate) fn bugs(seeds: u64, markdown: Option<&Path>) -> Result<Verdict, String> {
    let mut table = String::from(BUGS_HEAD);
    let mut survivors = 0;
    for bug in BUGS {
        let found = first_catch(bug, seeds).map_err(|error| error.to_string())?;
        let (by, after) = match &found {
            Some((by, seeds)) => (by.to_string(), seeds.to_string()),
            None => ("nothing".to_owned(), format!("more than {seeds}")),
        };
        survivors += u32::from(found.is_none());
        say(format!("{:<36} {by:<24} {after}", bug.name));
        let _ = writeln!(table, "| {} | {} | {by} | {after} |", bug.name, bug.about);
    }
    if let Some(file) = markdown {
        std::fs::write(file, &table).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    say(format!("{} deliberate bugs, {survivors} not found within {seeds} seeds", BUGS.len()));
    Ok(verdict(survivors == 0))
}

/// The first seed, counted from 1, that breaks an invariant with this bug.
fn first_catch(bug: &Bug, seeds: u64) -> std::io::Result<Option<(Invariant, u64)>> {
    let batch = u64::try_from(cores()).unwrap_or(1) * 4;
    for begin in (0..seeds).step_by(usize::try_from(batch).unwrap_or(1)) {
        let mut first: Option<(u64, Invariant)> = None;
        run_all(begin..seeds.min(begin + batch), cores(), Some(bug), |run| {
            let caught = run.violations.first().map(|violation| (run.plan.seed, violation.invariant));
            first = [first, caught].into_iter().flatten().min();
            true
        })?;
        if let Some((seed, by)) = first {
            return Ok(Some((by, seed + 1)));
        }
    }
    Ok(None)
}

pub(crate) fn crash(scenario: Option<&str>, function: Option<&str>) -> Result<Verdict, String> {
    let scenarios: Vec<&Scenario> = match scenario {
        None => SCENARIOS.iter().collect(),
        Some(name) => vec![Scenario::named(name).ok_or_else(|| format!("there is no scenario `{name}`"))?],
    };
    let all = [
        observe_region::FUNCTION,
        promote_aurora::FUNCTION,
        page_humans::FUNCTION,
        verify_replication::FUNCTION,
        reconcile_ledger::FUNCTION,
    ];
    let functions: Vec<&str> = match function {
        None => all.to_vec(),
        Some(name) if all.contains(&name) => vec![name],
        Some(name) => return Err(format!("there is no function `{name}`; there are {}", all.join(", "))),
    };
    let (mut runs, mut broken) = (0, 0);
    for scenario in scenarios {
        let started = Instant::now();
        let bar = ProgressBar::new_spinner().with_message(scenario.name);
        bar.enable_steady_tick(Duration::from_millis(500));
        let report =
            strike_all(scenario, &functions, scenario.length, cores(), || bar.inc(1)).map_err(|it| it.to_string())?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs();
        say(format!(
            "{:<24} {} runs, {} came to another end, {} paged twice; {seconds} s",
            scenario.name,
            report.runs,
            report.broken.len(),
            report.paged_twice
        ));
        for broken in &report.broken {
            say(format!("    {broken}"));
        }
        runs += report.runs;
        broken += report.broken.len();
    }
    say(format!("{runs} runs, {broken} came to another end"));
    Ok(verdict(broken == 0))
}
