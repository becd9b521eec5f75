//! Which data Region gets traffic: evacuated, restored, and never neither of them.
//!
//! One record says what is wanted, of one Region at a time: the type has no room for two evacuated Regions. Records with a
//! latency policy are all or nothing, by an object in the other Region's switch bucket that an inverted health check watches.
//! Weighted records are shifted in stages by their weights besides.

mod carrier;
mod config;
mod counts;
mod decision;
pub mod dns;
mod guards;
mod shift;

pub use carrier::carrier_as_seen;
pub use config::{Doors, Routing, Traffic};
pub use counts::newest_minute;
pub use decision::{Answers, Requests, TrafficDecision, TrafficFacts, decide, weights_for};
pub use guards::{OrderFacts, reasons_not_to_evacuate, reasons_not_to_restore};
pub use shift::{Shift, ShiftState, TrafficRecord, Way, Wish};

#[cfg(test)]
mod tests;
