#![doc = include_str!("../README.md")]

pub mod aws;
pub mod expect;
mod failback;
pub mod functions;
pub mod ledger;
mod parts;
pub mod processes;
pub mod proof;
pub mod relay;
mod returns;
pub mod run;
pub mod scenario;
mod story;
pub mod wire;
