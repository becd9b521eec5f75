//! When what happens, since the start of the world, which is 13:05.

use std::time::Duration;

/// The start of every world: an hour before the run, for what was booked in it.
pub const START: &str = "2026-11-24T13:05:00Z";
/// 14:05: the run begins.
pub const BEGIN: Duration = Duration::from_secs(3600);
/// 14:07: Dublin goes dark.
pub const OUTAGE_AT: Duration = Duration::from_secs(3720);
/// 14:37: Dublin is back.
pub const RETURN_AT: Duration = Duration::from_secs(5520);
/// Clients stop making new writes.
pub const PAYMENTS_UNTIL: Duration = Duration::from_secs(5580);
/// 14:39: whatever could still be replicated has been.
pub const END: Duration = Duration::from_secs(5640);
