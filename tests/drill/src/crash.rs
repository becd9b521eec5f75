//! Crash anywhere (law 6): every external call that the functions make in a scenario is struck in every way, one at a
//! time. The end and the pages must be those of the undisturbed run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_world::fault::{CallEffect, CallFault, CallMatch};
use holdfast_world::{Region, World};

use crate::checker::Outcome;
use crate::play;
use crate::scenario::{OUTAGE_AT, Pace, Scenario};

/// Longer than every time-out of the functions.
const PAST_THE_TIMEOUT: Duration = Duration::from_secs(6);
/// Calls from here on are struck: those before are a quiet minute's, the same in every scenario.
const FROM: Duration = OUTAGE_AT.saturating_sub(Duration::from_secs(10));

/// The ways in which a call is struck.
const EFFECTS: [CallEffect; 6] = [
    CallEffect::KillBefore,
    CallEffect::KillAfter,
    CallEffect::LoseRequest,
    CallEffect::LoseAnswer,
    CallEffect::Duplicate,
    CallEffect::Delay(PAST_THE_TIMEOUT),
];

/// One call of an undisturbed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function.
    pub function: String,
    /// Where it runs.
    pub region: Region,
    /// Its number among the calls of that function in that Region.
    pub number: u64,
    /// The service and operation.
    pub what: String,
}

/// A struck run that did not come to the same end.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What was struck.
    pub call: Call,
    /// How.
    pub effect: CallEffect,
    /// What differs.
    pub problems: Vec<String>,
}

/// What came of striking every call.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Struck runs.
    pub runs: usize,
    /// Those that came to another end.
    pub broken: Vec<Broken>,
    /// Those in which a page was sent twice: the pager was struck, and could not know.
    pub paged_twice: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { function, region, number, what } = &self.call;
        write!(f, "{function} in {region}, call {number} ({what}), {:?}: {}", self.effect, self.problems.join("; "))
    }
}

/// What is compared: how it ends, and what people were told.
struct End {
    phase: String,
    epoch: u64,
    writer: Option<Region>,
    promotions: Vec<(bool, Region)>,
    pages: BTreeMap<(String, String), usize>,
}

impl End {
    fn of(outcome: &Outcome) -> Self {
        let mut pages = BTreeMap::new();
        for letter in outcome.letters.iter().filter(|letter| letter.region != Region::N_VIRGINIA) {
            let attribute = |name: &str| letter.attributes.get(name).cloned().unwrap_or_default();
            // What is in doubt right after the restoration is settled within a minute: who looks later finds nothing.
            if attribute("kind") == "now:doubt" {
                continue;
            }
            let (thread, kind) = (attribute("thread"), attribute("kind"));
            // A notice of RDS is named after its time and a file after its bytes, which are others in each run.
            let is_named_anew = kind.starts_with("RDS-EVENT") || kind.starts_with("clearing:");
            let thread = if is_named_anew { kind.clone() } else { thread };
            *pages.entry((thread, kind)).or_default() += 1;
        }
        Self {
            phase: outcome.phase().map_or_else(|| "no incident".into(), |phase| phase.to_string()),
            epoch: outcome.state.epoch,
            writer: outcome.writer,
            promotions: outcome.accepted.iter().map(|it| (it.failover, it.to)).collect(),
            pages,
        }
    }
}

/// Every call of the functions with these names in an undisturbed run, from shortly before the trouble up to a time.
fn calls(calm: &Outcome, functions: &[&str], until: Duration) -> Vec<Call> {
    let mut numbers: BTreeMap<(String, Region), u64> = BTreeMap::new();
    let mut calls = Vec::new();
    for request in calm.requests.iter().filter(|request| functions.contains(&&*request.caller.name)) {
        let (function, region) = (request.caller.name.to_string(), request.caller.region);
        let next = numbers.entry((function.clone(), region)).or_default();
        let number = *next;
        *next += 1;
        if request.at >= FROM && request.at <= until {
            calls.push(Call { function, region, number, what: format!("{} {}", request.service, request.operation) });
        }
    }
    calls
}

/// Strikes every call that these functions make up to a time, in every way, over the given number of threads. `each` is
/// told of every run.
pub fn strike_all(
    scenario: &Scenario,
    functions: &[&str],
    until: Duration,
    threads: usize,
    each: impl Fn() + Sync,
) -> std::io::Result<Report> {
    let pace = Pace::coarse(1);
    let calm = play(scenario, pace, |_| {})?;
    let end = End::of(&calm);
    let work: Vec<(Call, CallEffect)> = calls(&calm, functions, until)
        .into_iter()
        .flat_map(|call| EFFECTS.map(|effect| (call.clone(), effect)))
        .collect();
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report { runs: work.len(), ..Report::default() });
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((call, effect)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match play(scenario, pace, strike(call, *effect)) {
                        Ok(struck) => {
                            let (problems, twice) = differences(&end, &struck, call);
                            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                            report.paged_twice += usize::from(twice);
                            if !problems.is_empty() {
                                report.broken.push(Broken { call: call.clone(), effect: *effect, problems });
                            }
                        }
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            next.store(work.len(), Ordering::Relaxed);
                        }
                    }
                    each();
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(report.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn strike(call: &Call, effect: CallEffect) -> impl FnOnce(&World) {
    let matches = CallMatch { caller: Some(call.function.clone()), from: Some(call.region), ..CallMatch::default() };
    let fault = CallFault::new(matches, call.number..call.number + 1, effect);
    move |world| world.inject(fault)
}

/// What differs from the undisturbed end, and whether a page was sent twice for want of certainty.
fn differences(calm: &End, struck: &Outcome, call: &Call) -> (Vec<String>, bool) {
    let end = End::of(struck);
    let mut problems = Vec::new();
    let mut differ = |what: &str, one: String, other: String| {
        if one != other {
            problems.push(format!("{what} {other} and not {one}"));
        }
    };
    differ("the phase is", calm.phase.clone(), end.phase);
    differ("the epoch is", calm.epoch.to_string(), end.epoch.to_string());
    differ("the writer is", format!("{:?}", calm.writer), format!("{:?}", end.writer));
    differ("RDS took on", format!("{:?}", calm.promotions), format!("{:?}", end.promotions));
    if struck.state.driver.is_some() {
        problems.push("the incident was never released".to_owned());
    }
    let mut twice = false;
    for (page, copies) in &calm.pages {
        let again = end.pages.get(page).copied().unwrap_or_default();
        if again == 0 {
            problems.push(format!("never paged: {} {}", page.0, page.1));
        } else if again > *copies {
            twice = true;
            if call.function != page_humans::FUNCTION {
                problems.push(format!("paged {again} times: {} {}", page.0, page.1));
            }
        }
    }
    for page in end.pages.keys().filter(|page| !calm.pages.contains_key(page)) {
        problems.push(format!("paged besides: {} {}", page.0, page.1));
    }
    let laws = |it: &&String| {
        it.starts_with("law")
            || it.contains("nothing lists them")
            || it.contains("charged")
            || it.contains("after the fence")
    };
    problems.extend(struck.problems.iter().filter(laws).cloned());
    (problems, twice)
}
