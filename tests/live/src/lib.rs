#![doc = include_str!("../README.md")]

pub mod aws;
pub mod functions;
pub mod ledger;
pub mod processes;
pub mod relay;
pub mod run;
pub mod scenario;
pub mod wire;
