//! Beacons of the primary and the standings of the standby: together they say up to when the standby has everything.
//!
//! They are kept in the coordination table, so that the standby has them when the primary is gone.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::Totals;
use crate::{Region, Timestamp};

/// How far one Region's copy of the ledger has come, as its own database says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether this copy takes the writes.
    pub role: Role,
    /// The highest log sequence number that it has written. It only compares within one primary's time.
    pub position: u64,
    /// How far it is behind the primary; absent in the primary, and where the database does not say.
    pub lag: Option<Duration>,
}

/// What a copy of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes the writes.
    Primary,
    /// It follows the primary.
    Standby,
}

/// What the primary says of itself every few seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Rises by one with each.
    pub sequence: u64,
    /// By the primary's clock, before its database was asked: what was committed earlier is below `position`.
    pub at: Timestamp,
    /// The ledger's high-water mark, as a log sequence number.
    pub position: u64,
    /// What was booked since the beacon before; absent when that could not be counted.
    pub booked: Option<Totals>,
}

/// What the standby noted of its own copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waypoint {
    /// Rises by one with each.
    pub sequence: u64,
    /// By the standby's clock.
    pub at: Timestamp,
    /// How far it had come.
    pub position: u64,
    /// How far it was behind.
    pub lag: Option<Duration>,
    /// How far the primary's clock was ahead of the standby's at least, by its newest beacon; negative when it was behind
    /// or the beacon was old.
    pub clock_ahead_ms: Option<i64>,
}

/// Something that is written every few seconds.
pub trait Mark {
    /// Rises by one with each.
    fn sequence(&self) -> u64;
    /// When it was written.
    fn at(&self) -> Timestamp;
}

/// The newest marks and one a minute for an hour: one item of the table, overwritten with each mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail<T> {
    /// Whose marks they are.
    pub region: Region,
    marks: VecDeque<T>,
}

/// So many of the newest marks are kept: a minute of them.
const NEWEST: usize = 12;
/// So many more are kept, one a minute. Together they stay below 16 kB.
const MINUTES: usize = 60;

impl<T: Mark> Trail<T> {
    /// A Region's trail without marks.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self { region, marks: VecDeque::new() }
    }

    /// The sequence that the next mark gets; it rises whatever the clocks say.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.newest().map_or(1, |mark| mark.sequence().saturating_add(1))
    }

    /// The newest mark.
    #[must_use]
    pub fn newest(&self) -> Option<&T> {
        self.marks.back()
    }

    /// All that are kept, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.marks.iter().rev()
    }

    /// Adds a mark, and drops those that the spacing does not need.
    pub fn add(&mut self, mark: T) {
        self.marks.push_back(mark);
        // Whatever leaves the newest is kept only if it is the first of its minute.
        if let Some(leaving) = self.marks.len().checked_sub(NEWEST + 1)
            && let (Some(mark), Some(before)) = (self.marks.get(leaving), leaving.checked_sub(1))
        {
            let minute = |at: Timestamp| at.as_second().div_euclid(60);
            let known = self.marks.get(before).is_some_and(|earlier| minute(earlier.at()) == minute(mark.at()));
            if known {
                self.marks.remove(leaving);
            }
        }
        while self.marks.len() > NEWEST + MINUTES {
            self.marks.pop_front();
        }
    }
}

impl Mark for Beacon {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn at(&self) -> Timestamp {
        self.at
    }
}

impl Mark for Waypoint {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn at(&self) -> Timestamp {
        self.at
    }
}

impl fmt::Display for Beacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "beacon {} at {:.0}, position {}", self.sequence, self.at, self.position)?;
        match &self.booked {
            Some(booked) => write!(f, ", {booked} since the one before"),
            None => Ok(()),
        }
    }
}

/// The newest beacon whose position a copy of the ledger is known to have reached: what was committed before it is there.
#[must_use]
pub fn last_applied(beacons: &Trail<Beacon>, position: u64) -> Option<&Beacon> {
    beacons.newest_first().find(|beacon| beacon.position <= position)
}

/// How far the primary's clock is known to be ahead, in milliseconds: the most that the kept waypoints show.
#[must_use]
pub fn clock_ahead_ms(waypoints: &Trail<Waypoint>) -> i64 {
    waypoints.newest_first().filter_map(|waypoint| waypoint.clock_ahead_ms).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn beacon(sequence: u64) -> Beacon {
        let second = i64::try_from(sequence).unwrap() * 5;
        Beacon { sequence, at: at(second), position: sequence * 100, booked: None }
    }
    fn trail(until: u64) -> Trail<Beacon> {
        let mut trail = Trail::new(Region::new("eu-west-1").unwrap());
        (1..=until).for_each(|sequence| trail.add(beacon(sequence)));
        trail
    }

    #[track_caller]
    fn check(position: u64, expected: Option<u64>) {
        assert_eq!(last_applied(&trail(1000), position).map(|beacon| beacon.sequence), expected);
    }

    #[test]
    fn a_standby_that_has_everything_has_the_newest_beacon() {
        check(100_000, Some(1000));
        check(u64::MAX, Some(1000));
    }
    #[test]
    fn a_standby_that_is_behind_has_an_earlier_one() {
        check(99_999, Some(999));
        check(98_950, Some(989));
    }
    #[test]
    fn beyond_the_newest_minute_there_is_one_for_each_minute_of_the_last_hour() {
        check(95_000, Some(948));
        check(40_000, Some(396));
    }
    #[test]
    fn a_standby_that_is_more_than_an_hour_behind_has_none() {
        check(10_000, None);
        check(0, None);
    }

    #[test]
    fn a_trail_stays_small_and_in_order_however_long_it_is_written() {
        for until in [0, 1, 12, 13, 100, 5000] {
            let trail = trail(until);
            let sequences: Vec<u64> = trail.newest_first().map(|beacon| beacon.sequence).collect();
            assert!(sequences.len() <= NEWEST + MINUTES, "{until}: {}", sequences.len());
            assert!(sequences.is_sorted_by(|newer, older| newer > older), "{until}: {sequences:?}");
            assert_eq!(sequences.first().copied().unwrap_or(0), until);
            assert_eq!(trail.next_sequence(), until + 1);
        }
        let size = serde_json::to_string(&trail(5000)).unwrap().len();
        assert!(size < 16_000, "{size} bytes");
    }

    #[test]
    fn the_newest_minute_is_whole() {
        let sequences: Vec<u64> = trail(500).newest_first().take(NEWEST).map(|beacon| beacon.sequence).collect();
        assert_eq!(sequences, (489..=500).rev().collect::<Vec<_>>());
    }
}
