//! Whether each data Region could carry everything alone, and what differs between the two.
//!
//! What was read of each Region is laid side by side, setting by setting; what could not be read is unknown and never alike.

mod assess;
mod capacity;
mod facts;
mod finding;
mod policy;
mod record;
mod report;
mod settings;

pub use assess::{Assessment, compare};
pub use facts::{DNS_READ, Read, RegionFacts, Seen, Value};
pub use finding::{Finding, Side, Unread};
pub use policy::{Acceptance, DnsRecord, Objective, ReadinessPolicy};
pub use record::{Capacity, ReadinessRecord};
pub use report::{ReadinessReport, Standing};
pub use settings::{About, Rule, Setting};

#[cfg(test)]
mod tests;
