//! How far a reading is, how fast it goes, and when it will be over.

use std::fmt;
use std::time::Duration;

/// How far a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Rows that were read.
    pub rows: u64,
    /// In this time.
    pub took: Duration,
    /// Bytes that were read, and all of them; `None` where nobody knows how many there are.
    pub bytes: Option<(u64, u64)>,
}

impl Pace {
    /// Rows in a second; `None` before a millisecond has passed.
    #[must_use]
    pub fn rows_per_second(&self) -> Option<u64> {
        let rate = u128::from(self.rows).checked_mul(1_000)?.checked_div(self.took.as_millis())?;
        u64::try_from(rate).ok()
    }

    /// What is done, in percent; `None` where nobody knows.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let (done, all) = self.bytes?;
        u64::try_from(u128::from(done.min(all)) * 100 / u128::from(all).max(1)).ok()
    }

    /// The time that is left if it goes on as it did; `None` where nobody knows.
    #[must_use]
    pub fn time_to_go(&self) -> Option<Duration> {
        let (done, all) = self.bytes?;
        let left = u128::from(all.saturating_sub(done));
        let millis = self.took.as_millis().checked_mul(left)?.checked_div(u128::from(done))?;
        Some(Duration::from_millis(u64::try_from(millis).ok()?))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows)?;
        match self.rows_per_second() {
            Some(rate) => write!(f, ", {rate} a second")?,
            None => f.write_str(", rate unknown")?,
        }
        match self.percent() {
            Some(percent) => write!(f, ", {percent} %")?,
            None => f.write_str(", share unknown")?,
        }
        match self.time_to_go() {
            Some(left) => write!(f, ", {} s to go", left.as_secs()),
            None => f.write_str(", time to go unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: u64, took_ms: u64, bytes: Option<(u64, u64)>, expected: &str) {
        assert_eq!(Pace { rows, took: Duration::from_millis(took_ms), bytes }.to_string(), expected);
    }

    #[test]
    fn rate_share_and_time_to_go_are_told_where_they_are_known() {
        check(2_000_000, 4_000, Some((250, 1_000)), "2000000 rows, 500000 a second, 25 %, 12 s to go");
        check(5, 1_000, Some((1_000, 1_000)), "5 rows, 5 a second, 100 %, 0 s to go");
    }
    #[test]
    fn what_is_not_known_is_unknown_and_not_nothing() {
        check(7, 2_000, None, "7 rows, 3 a second, share unknown, time to go unknown");
        check(0, 0, Some((0, 1_000)), "0 rows, rate unknown, 0 %, time to go unknown");
        check(7, 2_000, Some((0, 0)), "7 rows, 3 a second, 0 %, time to go unknown");
    }
    /// A file grows while it is read: what is done is never more than all.
    #[test]
    fn more_than_all_is_all() {
        check(1, 1_000, Some((20, 10)), "1 rows, 1 a second, 100 %, 0 s to go");
    }
}
