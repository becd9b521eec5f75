#![doc = include_str!("../README.md")]

pub mod campaign;
pub mod checker;
pub mod crash;
pub mod deployment;
mod expect;
mod ledger;
pub mod readiness;
pub mod record;
pub mod report;
pub mod samples;
pub mod scenario;
pub mod timeline;
pub mod waterfall;

use checker::Outcome;
use holdfast_world::World;
use scenario::{Pace, Scenario};

/// Plays a scenario on a clock of its own. Same seed, same bytes: everything that it draws on is created here.
pub fn play(scenario: &Scenario, pace: Pace, begin: impl FnOnce(&World)) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(scenario.play(pace, begin)))
}
