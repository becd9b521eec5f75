#![doc = include_str!("../README.md")]

pub mod checker;
pub mod deployment;
mod expect;
pub mod report;
pub mod scenario;
pub mod timeline;
pub mod waterfall;

use std::time::Duration;

use checker::Outcome;
use holdfast_world::World;
use scenario::Scenario;

/// The drill's payments: ten a second from each of two cohorts, so that recovery is measured at 100 ms.
const PAYMENT_EVERY: Duration = Duration::from_millis(100);
/// Campaigns play hundreds of runs and look at safety, not at milliseconds.
const FEW_PAYMENTS_EVERY: Duration = Duration::from_secs(2);

/// Plays a scenario on a clock of its own. Same seed, same bytes: everything that it draws on is created here.
pub fn play(scenario: &Scenario, seed: u64, begin: impl FnOnce(&World)) -> std::io::Result<Outcome> {
    Ok(runtime()?.block_on(scenario.play(seed, PAYMENT_EVERY, begin)))
}

/// The same with few payments: many times faster, and coarser.
pub fn play_coarsely(scenario: &Scenario, seed: u64, begin: impl FnOnce(&World)) -> std::io::Result<Outcome> {
    Ok(runtime()?.block_on(scenario.play(seed, FEW_PAYMENTS_EVERY, begin)))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
}
