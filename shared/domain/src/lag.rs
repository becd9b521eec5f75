//! Replication lag: known with its age, or unknown with the reason. A missing value is never zero (law 1).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far the standby was behind when it was last measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lag {
    /// A measurement: how far behind, and how long ago that was measured.
    Known {
        /// How far behind the writer the standby was.
        lag: Duration,
        /// How old the measurement is.
        age: Duration,
    },
    /// No measurement could be had.
    Unknown {
        /// Why not, as a fragment a person can act on.
        why: String,
    },
}

/// Why a lag does not satisfy a bound. Stale is another answer than high: they have different remedies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LagDoubt {
    /// Nothing was measured.
    Unknown,
    /// The last measurement is too old to speak of now.
    Stale,
    /// The measurement is fresh, and above the bound.
    High,
}

impl Lag {
    /// Whether the lag is known, fresh and within the bound.
    pub fn within(&self, lag_max: Duration, age_max: Duration) -> Result<(), LagDoubt> {
        match self {
            Self::Unknown { .. } => Err(LagDoubt::Unknown),
            Self::Known { age, .. } if *age > age_max => Err(LagDoubt::Stale),
            Self::Known { lag, .. } if *lag > lag_max => Err(LagDoubt::High),
            Self::Known { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { lag, age } => {
                write!(f, "replication lag {} ms, measured {} s ago", lag.as_millis(), age.as_secs())
            }
            Self::Unknown { why } => write!(f, "replication lag unknown: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lag: Lag, expected: Result<(), LagDoubt>) {
        assert_eq!(lag.within(Duration::from_secs(10), Duration::from_secs(180)), expected);
    }

    fn known(lag_s: u64, age_s: u64) -> Lag {
        Lag::Known { lag: Duration::from_secs(lag_s), age: Duration::from_secs(age_s) }
    }

    #[test]
    fn a_missing_metric_is_unknown_and_never_zero() {
        check(Lag::Unknown { why: "no datapoints".into() }, Err(LagDoubt::Unknown));
    }
    #[test]
    fn stale_is_another_answer_than_high() {
        check(known(1, 181), Err(LagDoubt::Stale));
        check(known(11, 180), Err(LagDoubt::High));
    }
    #[test]
    fn the_bounds_themselves_are_allowed() {
        check(known(10, 180), Ok(()));
    }

    #[test]
    fn a_lag_says_how_much_and_how_old_or_why_not() {
        let lag = Lag::Known { lag: Duration::from_millis(80), age: Duration::from_secs(71) };
        assert_eq!(lag.to_string(), "replication lag 80 ms, measured 71 s ago");
        let lag = Lag::Unknown { why: "no datapoints".into() };
        assert_eq!(lag.to_string(), "replication lag unknown: no datapoints");
    }
}
