#![doc = include_str!("../README.md")]

pub mod arn;
pub mod attempt;
pub mod beacon;
pub mod blocked;
pub mod budget;
pub mod config;
pub mod event;
pub mod incident;
pub mod lag;
pub mod money;
pub mod order;
pub mod page;
pub mod paging;
pub mod policy;
pub mod price;
pub mod promotion;
pub mod quorum;
pub mod readiness;
pub mod receipts;
pub mod reconciliation;
pub mod region;
pub mod replication;
pub mod signature;
pub mod topology;
pub mod traffic;
pub mod trigger;
pub mod vote;

pub use region::Region;

/// A point in time; every decision takes the present as one of these.
pub type Timestamp = jiff::Timestamp;

/// How long ago `then` was, in whole seconds; a `then` in the future (clock skew) counts as just now.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> std::time::Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

/// Milliseconds between two instants, whatever their order: what clock skew must be judged by.
#[must_use]
pub fn distance(one: Timestamp, other: Timestamp) -> std::time::Duration {
    one.duration_since(other).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(then: i64, now: i64, old: u64, apart: u64) {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(age(at(then), at(now)), Duration::from_secs(old));
        assert_eq!(distance(at(then), at(now)), Duration::from_secs(apart));
    }

    #[test]
    fn what_comes_from_the_future_is_just_now_but_still_far_away() {
        check(100, 107, 7, 7);
        check(107, 100, 0, 7);
    }
}
