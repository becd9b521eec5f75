//! What the owners allow: the mode, the bounds, and the standing acceptance of loss.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::config::ConfigError;

/// How far Holdfast goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and report what it would do; touch nothing.
    Observe,
    /// Ask a person, and wait.
    Approve,
    /// Fail over within the standing acceptance of loss.
    Auto,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Approve => "approve",
            Self::Auto => "auto",
        })
    }
}

/// The bounds of every decision. Times are whole seconds; each default carries its argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How far Holdfast goes by itself. The default asks a person: promotion accepts loss.
    #[serde(default = "approve")]
    pub mode: Mode,
    /// In `approve` mode: fail over by itself when nobody has vetoed for this long. Absent: wait for ever.
    #[serde(default)]
    pub approve_countdown_seconds: Option<u64>,
    /// What the owners accept to lose without being asked. Needed for `auto` and for a countdown.
    #[serde(default)]
    pub standing_acceptance: Option<StandingAcceptance>,
    /// Failed probes in a row that make a vote. Two: one lost packet is not an outage.
    #[serde(default = "two")]
    pub failed_probes: u32,
    /// A vote older than this is evidence of nothing. Three probe rounds.
    #[serde(default = "fifteen")]
    pub vote_age_max_seconds: u64,
    /// A lag measured longer ago than this says nothing about now. The metric has one point a minute; three may be missing.
    #[serde(default = "three_minutes")]
    pub lag_age_max_seconds: u64,
    /// After an automatic promotion towards a Region, none follows towards it for this long without a person.
    #[serde(default = "half_an_hour")]
    pub cooldown_seconds: u64,
    /// The payments tier's writer lease: an old writer that is cut off has stopped after this long.
    #[serde(default = "six")]
    pub writer_lease_seconds: u64,
    /// How far the clocks of two Regions, or a commit and its mark, may lie apart. Time services keep it in milliseconds.
    #[serde(default = "half_a_minute")]
    pub clock_margin_seconds: u64,
    /// How long a driver may be silent before another may take its incident over.
    #[serde(default = "ten")]
    pub driver_lease_seconds: u64,
    /// When a promotion that RDS accepted has taken this long, a person is told.
    #[serde(default = "five_minutes")]
    pub promotion_slow_seconds: u64,
}

/// What the owners accept to lose without being asked: signed, bounded and dated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingAcceptance {
    /// Who accepted it.
    pub accepted_by: String,
    /// Until when it stands.
    pub expires_at: Timestamp,
    /// The most replication lag, in seconds, at which it holds.
    pub lag_max_seconds: u64,
}

fn approve() -> Mode {
    Mode::Approve
}
fn two() -> u32 {
    2
}
fn six() -> u64 {
    6
}
fn ten() -> u64 {
    10
}
fn fifteen() -> u64 {
    15
}
fn half_a_minute() -> u64 {
    30
}
fn three_minutes() -> u64 {
    180
}
fn five_minutes() -> u64 {
    300
}
fn half_an_hour() -> u64 {
    1800
}

impl Policy {
    /// How long a vote counts.
    #[must_use]
    pub fn vote_age_max(&self) -> Duration {
        Duration::from_secs(self.vote_age_max_seconds)
    }

    /// How long a lag measurement counts.
    #[must_use]
    pub fn lag_age_max(&self) -> Duration {
        Duration::from_secs(self.lag_age_max_seconds)
    }

    /// How long an old writer goes on at most after it has last read the epoch.
    #[must_use]
    pub fn writer_lease(&self) -> Duration {
        Duration::from_secs(self.writer_lease_seconds)
    }

    /// How far clocks may lie apart.
    #[must_use]
    pub fn clock_margin(&self) -> Duration {
        Duration::from_secs(self.clock_margin_seconds)
    }

    /// How long a driver may be silent.
    #[must_use]
    pub fn driver_lease(&self) -> Duration {
        Duration::from_secs(self.driver_lease_seconds)
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let needs_acceptance = self.mode == Mode::Auto || self.approve_countdown_seconds.is_some();
        if needs_acceptance && self.standing_acceptance.is_none() {
            return Err(ConfigError::new(
                "policy.standing_acceptance",
                "is absent, but the policy fails over without asking",
                "add {accepted_by, expires_at, lag_max_seconds}, or set policy.mode to `approve` without a countdown",
            ));
        }
        if let Some(acceptance) = &self.standing_acceptance
            && acceptance.accepted_by.trim().is_empty()
        {
            return Err(ConfigError::new(
                "policy.standing_acceptance.accepted_by",
                "is empty",
                "name the person or role that accepts the loss",
            ));
        }
        for (field, value) in [
            ("policy.failed_probes", u64::from(self.failed_probes)),
            ("policy.vote_age_max_seconds", self.vote_age_max_seconds),
            ("policy.lag_age_max_seconds", self.lag_age_max_seconds),
            ("policy.writer_lease_seconds", self.writer_lease_seconds),
            ("policy.clock_margin_seconds", self.clock_margin_seconds),
            ("policy.driver_lease_seconds", self.driver_lease_seconds),
            ("policy.promotion_slow_seconds", self.promotion_slow_seconds),
        ] {
            if value == 0 || value > 86_400 {
                return Err(ConfigError::new(field, format!("is {value}"), "give a number from 1 to 86400"));
            }
        }
        Ok(())
    }
}
