//! Requests that a load balancer has counted, minute by minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::promotion::Observed;
use crate::traffic::Requests;
use crate::{Timestamp, age};

/// A minute's counts are whole two minutes after its end, at the latest.
const WHOLE_AFTER: Duration = Duration::from_secs(120);

/// The newest minute that is whole.
///
/// `RequestCount` has no point for a minute without a request. `ConsumedLCUs` has one for every minute: where only the former
/// is missing there was no request, and where both are nothing is known.
#[must_use]
pub fn newest_minute(
    always_reported: &[Timestamp],
    counts: &BTreeMap<Timestamp, u64>,
    probes_per_minute: u64,
    now: Timestamp,
) -> Observed<Requests> {
    let whole = always_reported.iter().chain(counts.keys()).filter(|minute| age(**minute, now) >= WHOLE_AFTER);
    match whole.max() {
        None => Observed::Unseen { why: "the load balancer has reported no whole minute".into() },
        Some(minute) => {
            let count = counts.get(minute).copied().unwrap_or(0).saturating_sub(probes_per_minute);
            Observed::Seen(Requests { count, minute: *minute })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[track_caller]
    fn check(reported: &[i64], counts: &[(i64, u64)], probes: u64, expected: Option<(u64, i64)>) {
        let reported: Vec<Timestamp> = reported.iter().map(|minute| at(*minute)).collect();
        let counts = counts.iter().map(|(minute, count)| (at(*minute), *count)).collect();
        let found = match newest_minute(&reported, &counts, probes, at(10)) {
            Observed::Seen(found) => Some((found.count, found.minute)),
            Observed::Unseen { .. } => None,
        };
        assert_eq!(found, expected.map(|(count, minute)| (count, at(minute))));
    }

    #[test]
    fn the_newest_whole_minute_counts() {
        check(&[6, 7, 8, 9], &[(7, 40), (8, 30), (9, 3)], 0, Some((30, 8)));
        check(&[], &[(7, 40)], 0, Some((40, 7)));
    }
    #[test]
    fn a_minute_without_a_request_is_zero_only_where_the_load_balancer_has_reported_it() {
        check(&[7, 8], &[(7, 40)], 0, Some((0, 8)));
        check(&[], &[], 0, None);
        check(&[9], &[(9, 1)], 0, None);
    }
    #[test]
    fn health_checkers_are_no_customers() {
        check(&[8], &[(8, 130)], 120, Some((10, 8)));
        check(&[8], &[(8, 100)], 120, Some((0, 8)));
    }
}
