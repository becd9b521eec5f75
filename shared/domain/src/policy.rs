//! What the owners allow: the mode, the bounds, and the standing acceptance of loss.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::config::ConfigError;
use crate::receipts::ReceiptsPolicy;

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
    /// With a countdown: how long a veto holds; then people are asked anew, with a new countdown. Absent: until the Region
    /// recovers or somebody approves.
    #[serde(default)]
    pub veto_holds_seconds: Option<u64>,
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
    /// The bounds of reconciling receipts.
    #[serde(default)]
    pub receipts: ReceiptsPolicy,
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

    /// When a veto of that time runs out, if it does by itself.
    #[must_use]
    pub fn veto_ends(&self, at: Timestamp) -> Option<Timestamp> {
        let holds = self.veto_holds_seconds.filter(|_| self.mode == Mode::Approve)?;
        at.checked_add(Duration::from_secs(holds)).ok()
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
        if self.veto_holds_seconds.is_some_and(|holds| holds == 0 || self.approve_countdown_seconds.is_none()) {
            return Err(ConfigError::new(
                "policy.veto_holds_seconds",
                "needs a countdown, and at least a second",
                "add policy.approve_countdown_seconds: without one nothing goes on by itself that a veto could hold up",
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
        self.receipts.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        serde_json::from_str("{}").unwrap()
    }
    fn acceptance(accepted_by: &str) -> Option<StandingAcceptance> {
        let expires_at = "2027-06-30T00:00:00Z".parse().unwrap();
        Some(StandingAcceptance { accepted_by: accepted_by.into(), expires_at, lag_max_seconds: 10 })
    }

    #[test]
    fn an_empty_policy_asks_a_person_and_has_the_argued_bounds() {
        let expected = Policy {
            mode: Mode::Approve,
            approve_countdown_seconds: None,
            veto_holds_seconds: None,
            standing_acceptance: None,
            failed_probes: 2,
            vote_age_max_seconds: 15,
            lag_age_max_seconds: 180,
            cooldown_seconds: 1800,
            writer_lease_seconds: 6,
            clock_margin_seconds: 30,
            driver_lease_seconds: 10,
            promotion_slow_seconds: 300,
            receipts: ReceiptsPolicy::default(),
        };
        assert_eq!(policy(), expected);
        assert_eq!(policy().vote_age_max(), Duration::from_secs(15));
        assert_eq!(policy().lag_age_max(), Duration::from_secs(180));
        assert_eq!(policy().driver_lease(), Duration::from_secs(10));
    }

    #[test]
    fn a_mode_is_shown_as_it_is_written() {
        for (mode, name) in [(Mode::Observe, "observe"), (Mode::Approve, "approve"), (Mode::Auto, "auto")] {
            assert_eq!(mode.to_string(), name);
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{name}\""));
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Policy), expected: Option<&str>) {
        let mut policy = policy();
        change(&mut policy);
        let problem = policy.validate().err().map(|problem| problem.to_string());
        match (&problem, expected) {
            (Some(problem), Some(expected)) => assert!(problem.contains(expected), "{problem}"),
            (problem, expected) => assert_eq!(problem.as_deref(), expected),
        }
    }

    #[test]
    fn only_what_goes_on_without_asking_needs_an_acceptance() {
        let absent = Some("`policy.standing_acceptance` is absent");
        check(|_| {}, None);
        check(|policy| policy.mode = Mode::Observe, None);
        check(|policy| policy.mode = Mode::Auto, absent);
        check(|policy| policy.approve_countdown_seconds = Some(60), absent);
        check(|policy| policy.veto_holds_seconds = Some(60), Some("`policy.veto_holds_seconds` needs a countdown"));
        check(
            |policy| {
                policy.mode = Mode::Auto;
                policy.standing_acceptance = acceptance("cfo");
            },
            None,
        );
    }
    #[test]
    fn an_acceptance_is_signed() {
        let empty = Some("`policy.standing_acceptance.accepted_by` is empty");
        check(|policy| policy.standing_acceptance = acceptance(" "), empty);
        check(|policy| policy.standing_acceptance = acceptance("cfo"), None);
    }
    #[test]
    fn every_bound_is_from_a_second_to_a_day() {
        type Set = fn(&mut Policy, u64);
        let bounds: [(&str, Set); 6] = [
            ("failed_probes", |policy, value| policy.failed_probes = u32::try_from(value).unwrap()),
            ("vote_age_max_seconds", |policy, value| policy.vote_age_max_seconds = value),
            ("lag_age_max_seconds", |policy, value| policy.lag_age_max_seconds = value),
            ("writer_lease_seconds", |policy, value| policy.writer_lease_seconds = value),
            ("driver_lease_seconds", |policy, value| policy.driver_lease_seconds = value),
            ("promotion_slow_seconds", |policy, value| policy.promotion_slow_seconds = value),
        ];
        for (field, set) in bounds {
            for value in [0, 86_401] {
                let expected = format!("configuration: `policy.{field}` is {value}; give a number from 1 to 86400");
                check(|policy| set(policy, value), Some(&expected));
            }
            for value in [1, 86_400] {
                check(|policy| set(policy, value), None);
            }
        }
    }
}
