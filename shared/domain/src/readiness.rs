//! Whether each data Region could carry everything alone, and what differs between the two.

mod record;

pub use record::{Capacity, ReadinessRecord};
