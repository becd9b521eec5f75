//! What promoting costs, in payments and money: acknowledged attempts that the standby's ledger lacks.
//!
//! What is knowable when: until the old writer's lease has run out it may go on acknowledging, and the standby may go on
//! catching up. A count from before that is `Provisional`, however well it was made. `Exact` is said only of a strongly
//! consistent attempts table, after the last moment at which the old writer can have marked anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Consistency, Stage, Window};
use crate::beacon::{Beacon, Trail, Waypoint, clock_ahead_ms, last_applied};
use crate::money::Totals;
use crate::{Region, Timestamp};

/// What promoting now would cost, or has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Price {
    /// Counted from a strongly consistent attempts table after the old writer fell silent: this and nothing else.
    Exact(Counted),
    /// Counted after the old writer fell silent, from a table that cannot be known to be whole: this, and perhaps more.
    AtLeast(Counted),
    /// Counted while the old writer may still write and the standby may still catch up: so much at that moment.
    Provisional(Counted),
    /// Nobody could count.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// A count of attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Acknowledged, and absent from the ledger that was compared.
    pub lost: Totals,
    /// Begun, neither acknowledged nor in that ledger: the card network may have charged them.
    pub in_doubt: Totals,
    /// When the oldest of the lost was acknowledged.
    pub oldest: Option<Timestamp>,
    /// The stretch of time that was looked at. What is older is known to be in the standby's ledger.
    pub window: Window,
    /// When it was counted.
    pub at: Timestamp,
}

/// What a count is made from.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Every mark in the window.
    pub attempts: &'a [Attempt],
    /// Which of their keys the ledger has. It was asked after the marks were read.
    pub booked: &'a BTreeSet<String>,
    /// How the attempts table's Regions agree.
    pub consistency: &'a Consistency,
    /// The stretch of time that was looked at.
    pub window: Window,
    /// When the old writer can have marked its last attempt; absent while it is not fenced.
    pub silent_from: Option<Timestamp>,
}

/// The price, from the evidence.
#[must_use]
pub fn count(evidence: &Evidence<'_>, now: Timestamp) -> Price {
    let Evidence { attempts, booked, consistency, window, silent_from } = evidence;
    let mut missing: BTreeMap<&str, &Attempt> = BTreeMap::new();
    for attempt in attempts.iter().filter(|it| window.holds(it.at) && !booked.contains(&it.key)) {
        let before = missing.get(attempt.key.as_str());
        let better = before.is_none_or(|before| match (&before.stage, &attempt.stage) {
            (Stage::Begun, Stage::Acknowledged { .. }) => true,
            (Stage::Begun, Stage::Begun) | (Stage::Acknowledged { .. }, Stage::Acknowledged { .. }) => {
                attempt.at < before.at
            }
            (Stage::Acknowledged { .. }, Stage::Begun) => false,
        });
        if better {
            missing.insert(&attempt.key, attempt);
        }
    }
    let mut counted =
        Counted { lost: Totals::default(), in_doubt: Totals::default(), oldest: None, window: *window, at: now };
    for attempt in missing.values() {
        match &attempt.stage {
            Stage::Begun => counted.in_doubt.add(attempt.currency, attempt.amount_minor),
            Stage::Acknowledged { .. } => {
                counted.lost.add(attempt.currency, attempt.amount_minor);
                counted.oldest = Some(counted.oldest.map_or(attempt.at, |oldest| oldest.min(attempt.at)));
            }
        }
    }
    let silent = silent_from.is_some_and(|silent| silent <= now && silent <= window.to);
    match (silent, consistency) {
        (false, _) => Price::Provisional(counted),
        (true, Consistency::Strong) => Price::Exact(counted),
        (true, Consistency::Eventual | Consistency::Unknown { .. }) => Price::AtLeast(counted),
    }
}

/// A beacon that is looked at may be this old already, and its clock that much further ahead than it shows.
const BEACON_AGE: Duration = Duration::from_secs(10);

/// The window whose attempts must be looked at, from the primary's beacons and how far the standby has come.
///
/// What was committed before a beacon that the standby has reached is there. The margin covers clocks that differ and the
/// moment between a commit and its mark.
pub fn window(
    primary: &Region,
    beacons: Option<&Trail<Beacon>>,
    waypoints: Option<&Trail<Waypoint>>,
    standby_position: Result<u64, String>,
    clock_margin: Duration,
    now: Timestamp,
) -> Result<Window, String> {
    let position = standby_position?;
    let Some(beacons) = beacons else { return Err(format!("{primary} has never sent a beacon")) };
    let ahead_now_ms = beacons.newest().map_or(0, |newest| newest.at.as_millisecond() - now.as_millisecond());
    let ahead_ms = ahead_now_ms.max(waypoints.map_or(0, clock_ahead_ms));
    let allowed_ms = i64::try_from(clock_margin.saturating_sub(BEACON_AGE).as_millis()).unwrap_or(i64::MAX);
    if ahead_ms > allowed_ms {
        return Err(format!("the clock of {primary} is ahead of this one by {ahead_ms} ms or more"));
    }
    let Some(beacon) = last_applied(beacons, position) else {
        return Err(format!("no beacon of {primary} within the last hour is known to have reached the standby"));
    };
    let from = beacon.at.checked_sub(clock_margin).unwrap_or(beacon.at);
    let to = now.checked_add(clock_margin).unwrap_or(now);
    Ok(Window { from, to })
}

impl Price {
    /// The count, if there is one.
    #[must_use]
    pub fn counted(&self) -> Option<&Counted> {
        match self {
            Self::Exact(counted) | Self::AtLeast(counted) | Self::Provisional(counted) => Some(counted),
            Self::Unknown { .. } => None,
        }
    }

    /// Nothing better can be learned from the attempts.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Exact(_) | Self::AtLeast(_) => true,
            Self::Provisional(_) | Self::Unknown { .. } => false,
        }
    }

    /// How what was said differs from what was really lost; `None` when it holds.
    ///
    /// What was counted before the old writer fell silent promises nothing about the end.
    #[must_use]
    pub fn contradicted_by(&self, actual: &Totals) -> Option<String> {
        let differs = match self {
            Self::Exact(said) => said.lost != *actual,
            Self::AtLeast(said) => !said.lost.is_within(actual),
            Self::Provisional(_) | Self::Unknown { .. } => false,
        };
        differs.then(|| format!("the price said {self}, and {actual} were lost"))
    }

    /// Without the details, for a lock screen.
    #[must_use]
    pub fn headline(&self) -> String {
        match self {
            Self::Exact(counted) => format!("exactly {}", counted.lost),
            Self::AtLeast(counted) => format!("at least {}", counted.lost),
            Self::Provisional(counted) => counted.lost.to_string(),
            Self::Unknown { .. } => "not counted yet".into(),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(counted) => write!(f, "exactly {counted}"),
            Self::AtLeast(counted) => write!(f, "at least {counted}"),
            Self::Provisional(counted) => {
                write!(f, "{counted}, as counted at {:.0}; it may change until the old writer is silent", counted.at)
            }
            Self::Unknown { why } => write!(f, "unknown ({why})"),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lost)?;
        if let Some(oldest) = self.oldest {
            write!(f, " acknowledged since {oldest:.0}")?;
        }
        if self.in_doubt.count > 0 {
            write!(f, ", and {} more in doubt", self.in_doubt.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Counted {
    /// One payment of EUR 181.07, for tests of sentences.
    pub(crate) fn one_payment(at: Timestamp) -> Self {
        let mut lost = Totals::default();
        lost.add(crate::money::Currency::parse("EUR").unwrap(), 18_107);
        Self { lost, in_doubt: Totals::default(), oldest: None, window: Window { from: at, to: at }, at }
    }
}

#[cfg(test)]
mod tests;
