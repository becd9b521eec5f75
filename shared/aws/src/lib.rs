#![doc = include_str!("../README.md")]

pub mod attempts;
pub mod bus;
pub mod clients;
pub mod coordination;
pub mod failure;
pub mod https;
pub mod ledger;
pub mod metrics;
pub mod startup;

pub use failure::Failure;
pub use startup::{Invocation, Startup};
