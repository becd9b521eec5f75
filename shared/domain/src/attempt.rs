//! Attempts at a payment, as the payments tier marks them in the attempts table: the write-ahead log of the ledger.
//!
//! The contract with the payments tier: an attempt is marked as begun before its intent, and as acknowledged after its row
//! is committed and before anybody is told. Marks are items of their own in time buckets of the base table, so that a
//! strongly consistent query finds all of them: an index would be read eventually, and could miss the last second.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::money::Currency;
use crate::{Region, Timestamp};

/// One mark of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The merchant's key: the same in the ledger.
    pub key: String,
    /// How far it had come.
    pub stage: Stage,
    /// The Region that marked it.
    pub region: Region,
    /// Minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// When, by that Region's clock.
    pub at: Timestamp,
}

/// How far an attempt had come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Something may be charged.
    Begun,
    /// It is charged and booked, and whoever asks is told so.
    Acknowledged {
        /// The card network's reference.
        network_reference: String,
    },
}

/// How a table's Regions agree. Only what `DescribeTable` says counts, never the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consistency {
    /// `MultiRegionConsistency` is `STRONG`: a strongly consistent read sees every Region's writes.
    Strong,
    /// Each Region's writes reach the others later.
    Eventual,
    /// It could not be learned.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A key that more than one Region has accepted: with last-writer-wins only the marks still tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubled {
    /// The merchant's key.
    pub key: String,
    /// The Regions that have acknowledged it, each with the card network's reference.
    pub acknowledged: Vec<(Region, String)>,
    /// Minor units, of each.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// The keys that were acknowledged under more than one reference of the card network: each was charged more than once.
#[must_use]
pub fn accepted_twice(attempts: &[Attempt]) -> Vec<Doubled> {
    let mut by_key: BTreeMap<&str, BTreeSet<(&Region, &str)>> = BTreeMap::new();
    let mut money: BTreeMap<&str, (i64, Currency)> = BTreeMap::new();
    for attempt in attempts {
        if let Stage::Acknowledged { network_reference } = &attempt.stage {
            by_key.entry(&attempt.key).or_default().insert((&attempt.region, network_reference));
            money.entry(&attempt.key).or_insert((attempt.amount_minor, attempt.currency));
        }
    }
    let charged_twice = by_key.into_iter().filter_map(|(key, seen)| {
        let references: BTreeSet<&str> = seen.iter().map(|(_, reference)| *reference).collect();
        let (amount_minor, currency) = *money.get(key)?;
        (references.len() > 1).then(|| Doubled {
            key: key.to_owned(),
            acknowledged: seen.into_iter().map(|(region, reference)| (region.clone(), reference.to_owned())).collect(),
            amount_minor,
            currency,
        })
    });
    charged_twice.collect()
}

impl fmt::Display for Doubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} charged as", self.key, self.currency.display(i128::from(self.amount_minor)))?;
        for (index, (region, reference)) in self.acknowledged.iter().enumerate() {
            write!(f, "{} {reference} in {region}", if index == 0 { "" } else { " and" })?;
        }
        Ok(())
    }
}

/// A stretch of time whose marks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The last instant.
    pub to: Timestamp,
}

/// The most minutes of one window: an hour of marks would not be read in time.
pub const WINDOW_MINUTES_MAX: i64 = 70;

impl Window {
    /// The partition keys that hold the window's marks; `None` when there are more than anybody should read.
    #[must_use]
    pub fn buckets(&self, shards: u32) -> Option<Vec<String>> {
        let minute = |at: Timestamp| at.as_second().div_euclid(60);
        let (first, last) = (minute(self.from), minute(self.to));
        if last.saturating_sub(first) >= WINDOW_MINUTES_MAX {
            return None;
        }
        let starts = (first..=last).filter_map(|minute| Timestamp::from_second(minute * 60).ok());
        Some(starts.flat_map(|start| (0..shards).map(move |shard| bucket(start, shard))).collect())
    }

    /// Whether an instant is within.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// The partition key of a minute's marks in one shard, such as `at#2026-11-24T14:07#3`.
#[must_use]
pub fn bucket(at: Timestamp, shard: u32) -> String {
    let minute = at.to_string();
    format!("at#{}#{shard}", minute.get(..16).unwrap_or(&minute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(from: &str, to: &str, shards: u32, expected: Option<&[&str]>) {
        let found = Window { from: at(from), to: at(to) }.buckets(shards);
        assert_eq!(found, expected.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()));
    }

    fn mark(key: &str, region: &str, reference: Option<&str>) -> Attempt {
        let stage = match reference {
            Some(reference) => Stage::Acknowledged { network_reference: reference.into() },
            None => Stage::Begun,
        };
        Attempt {
            key: key.into(),
            stage,
            region: Region::new(region).unwrap(),
            amount_minor: 1234,
            currency: Currency::parse("EUR").unwrap(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[track_caller]
    fn check_doubles(marks: &[Attempt], expected: &[&str]) {
        let found: Vec<String> = accepted_twice(marks).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_key_under_two_references_was_charged_twice() {
        let marks = [
            mark("a", "eu-west-2", Some("net-2")),
            mark("b", "eu-west-1", Some("net-3")),
            mark("a", "eu-west-1", Some("net-1")),
        ];
        check_doubles(&marks, &["a: EUR 12.34 charged as net-1 in eu-west-1 and net-2 in eu-west-2"]);
    }
    #[test]
    fn a_retry_that_was_told_the_same_is_no_double() {
        check_doubles(&[mark("a", "eu-west-1", Some("net-1")), mark("a", "eu-west-2", Some("net-1"))], &[]);
    }
    #[test]
    fn what_has_only_begun_is_no_double() {
        check_doubles(&[mark("a", "eu-west-1", Some("net-1")), mark("a", "eu-west-2", None)], &[]);
    }

    #[test]
    fn a_window_has_every_shard_of_every_minute_that_it_touches() {
        check(
            "2026-11-24T14:06:59.9Z",
            "2026-11-24T14:07:00Z",
            2,
            Some(&["at#2026-11-24T14:06#0", "at#2026-11-24T14:06#1", "at#2026-11-24T14:07#0", "at#2026-11-24T14:07#1"]),
        );
    }
    #[test]
    fn a_window_across_midnight_is_no_different() {
        check(
            "2026-12-31T23:59:59Z",
            "2027-01-01T00:00:01Z",
            1,
            Some(&["at#2026-12-31T23:59#0", "at#2027-01-01T00:00#0"]),
        );
    }
    #[test]
    fn a_window_that_nobody_can_read_in_time_has_none() {
        check("2026-11-24T10:00:00Z", "2026-11-24T14:00:00Z", 4, None);
    }
    #[test]
    fn a_window_that_ends_before_it_begins_is_empty() {
        check("2026-11-24T14:08:00Z", "2026-11-24T14:06:00Z", 4, Some(&[]));
    }
}
