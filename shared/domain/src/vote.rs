//! What one observer saw of each Region, and how it is remembered between rounds.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Region, Timestamp};

/// Everything that one observer knows after a probe round. It is written whole, so that readers never see half a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The Region that looked.
    pub observer: Region,
    /// Counts this observer's rounds. It rises whatever the clocks say, and so doubles as a sign of life.
    pub sequence: u64,
    /// When the round ended, by the observer's clock.
    pub at: Timestamp,
    /// What it saw of each data Region.
    pub subjects: BTreeMap<Region, Sighting>,
}

/// What one observer saw of one Region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Probes of the liveness URL.
    pub liveness: ProbeSeries,
    /// Probes of the write-readiness URL.
    pub write_readiness: ProbeSeries,
    /// The subject's own votes while its liveness fails: the sign of life that needs no path to it. Absent when the
    /// votes could not be read.
    #[serde(default)]
    pub beat: Option<Beat>,
}

/// The subject's own votes, as an observer that cannot reach it reads them in the coordination table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The sequence of its own vote when liveness first failed; 0 when it had never voted.
    pub when_first_failed: u64,
    /// The same as last read.
    pub sequence: u64,
    /// Since when it has been read unchanged, by the observer's clock.
    pub unchanged_since: Timestamp,
}

impl Beat {
    /// Folds one reading in: the subject's own vote had this sequence.
    #[must_use]
    pub fn after(before: Option<Self>, sequence: u64, at: Timestamp) -> Self {
        match before {
            None => Self { when_first_failed: sequence, sequence, unchanged_since: at },
            Some(before) if before.sequence == sequence => before,
            Some(before) => Self { sequence, unchanged_since: at, ..before },
        }
    }
}

/// Probes of one URL, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSeries {
    /// Failures in a row; 0 after a success.
    pub failures: u32,
    /// When the present row of failures began: the start of its first failed probe.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// The last success.
    #[serde(default)]
    pub last_ok: Option<Timestamp>,
    /// What the last failure said.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// What a Region looks like from one observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// Reachable and able to write.
    Alive,
    /// A probe failed, but not yet often enough to vote.
    Wavering,
    /// Reachable, but it cannot write; or it writes although its liveness fails.
    Grey,
    /// Neither alive nor writing, often enough.
    Dark,
}

impl fmt::Display for Appearance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alive => "alive",
            Self::Wavering => "wavering",
            Self::Grey => "grey",
            Self::Dark => "dark",
        })
    }
}

impl ProbeSeries {
    /// Folds one probe in: it started at `started`, and either answered or failed with a reason.
    #[must_use]
    pub fn after(self, outcome: Result<(), String>, started: Timestamp) -> Self {
        match outcome {
            Ok(()) => Self { failures: 0, failing_since: None, last_ok: Some(started), last_error: None },
            Err(why) => Self {
                failures: self.failures.saturating_add(1),
                failing_since: self.failing_since.or(Some(started)),
                last_ok: self.last_ok,
                last_error: Some(why),
            },
        }
    }

    fn never_probed(&self) -> bool {
        self.failures == 0 && self.last_ok.is_none()
    }
}

impl Sighting {
    /// What the Region looks like, when `failed_probes` in a row make a vote.
    #[must_use]
    pub fn appearance(&self, failed_probes: u32) -> Appearance {
        let lifeless = self.liveness.failures >= failed_probes;
        let writeless = self.write_readiness.failures >= failed_probes;
        if self.liveness.never_probed() || self.write_readiness.never_probed() {
            Appearance::Wavering
        } else if lifeless && writeless {
            Appearance::Dark
        } else if lifeless != writeless && (self.liveness.failures == 0 || self.write_readiness.failures == 0) {
            Appearance::Grey
        } else if self.liveness.failures > 0 || self.write_readiness.failures > 0 {
            Appearance::Wavering
        } else {
            Appearance::Alive
        }
    }

    /// When the trouble began, if there is trouble.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        match (self.liveness.failing_since, self.write_readiness.failing_since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn series(outcomes: &[bool]) -> ProbeSeries {
        outcomes.iter().zip(0..).fold(ProbeSeries::default(), |series, (ok, second)| {
            series.after(if *ok { Ok(()) } else { Err("timed out".into()) }, at(second))
        })
    }

    #[track_caller]
    fn check(liveness: &[bool], write_readiness: &[bool], expected: Appearance) {
        let sighting = Sighting { liveness: series(liveness), write_readiness: series(write_readiness), beat: None };
        assert_eq!(sighting.appearance(2), expected);
    }

    #[test]
    fn one_lost_probe_is_not_a_vote() {
        check(&[true, false], &[true, false], Appearance::Wavering);
    }
    #[test]
    fn two_failures_in_a_row_of_both_are_dark() {
        check(&[true, false, false], &[true, false, false], Appearance::Dark);
    }
    #[test]
    fn a_region_that_answers_but_cannot_write_is_grey() {
        check(&[true, true, true], &[true, false, false], Appearance::Grey);
    }
    #[test]
    fn a_region_that_writes_but_fails_liveness_is_grey_and_not_dark() {
        check(&[false, false], &[true, true], Appearance::Grey);
    }
    #[test]
    fn a_flapping_region_is_never_dark() {
        check(&[false, true, false], &[false, true, false], Appearance::Wavering);
    }
    #[test]
    fn a_region_never_probed_is_not_alive() {
        check(&[], &[], Appearance::Wavering);
        check(&[true], &[], Appearance::Wavering);
    }
    #[test]
    fn a_beat_that_rises_is_not_silent_and_one_that_does_not_is() {
        let first = Beat::after(None, 7, at(0));
        assert_eq!(first, Beat { when_first_failed: 7, sequence: 7, unchanged_since: at(0) });
        let silent = Beat::after(Some(first.clone()), 7, at(5));
        assert_eq!(silent.unchanged_since, at(0));
        let risen = Beat::after(Some(silent), 8, at(10));
        assert_eq!(risen, Beat { when_first_failed: 7, sequence: 8, unchanged_since: at(10) });
    }

    #[test]
    fn a_success_ends_the_row_and_keeps_its_time() {
        let series = series(&[false, false, true]);
        assert_eq!(series.failures, 0);
        assert_eq!(series.failing_since, None);
        assert_eq!(series.last_ok, Some(at(2)));
    }

    /// Failures in a row of liveness and of write readiness after a success, and what they look like when two make a vote.
    #[test]
    fn the_whole_table_of_appearances() {
        use Appearance::{Alive, Dark, Grey, Wavering};
        let table = [
            [Alive, Wavering, Grey, Grey],
            [Wavering, Wavering, Wavering, Wavering],
            [Grey, Wavering, Dark, Dark],
            [Grey, Wavering, Dark, Dark],
        ];
        let row = |failures: usize| [&[true][..], &vec![false; failures]].concat();
        for (liveness, appearances) in table.into_iter().enumerate() {
            for (write_readiness, expected) in appearances.into_iter().enumerate() {
                check(&row(liveness), &row(write_readiness), expected);
            }
        }
    }

    #[test]
    fn a_region_probed_for_one_thing_only_wavers_whatever_that_says() {
        check(&[], &[true], Appearance::Wavering);
        check(&[false, false], &[], Appearance::Wavering);
        check(&[], &[false, false], Appearance::Wavering);
        check(&[false, false], &[false, false], Appearance::Dark);
    }

    #[test]
    fn the_trouble_began_with_the_first_failure_of_either() {
        let since = |liveness: &[bool], write_readiness: &[bool]| {
            let (liveness, write_readiness) = (series(liveness), series(write_readiness));
            Sighting { liveness, write_readiness, beat: None }.failing_since()
        };
        assert_eq!(since(&[true, true], &[true]), None);
        assert_eq!(since(&[true, false, false], &[true, true, false]), Some(at(1)));
        assert_eq!(since(&[true, true, false], &[false, false, false]), Some(at(0)));
        assert_eq!(since(&[true], &[true, false]), Some(at(1)));
        assert_eq!(since(&[true, false], &[true]), Some(at(1)));
    }

    #[test]
    fn a_failure_keeps_the_last_success_and_says_why() {
        let series = series(&[true, false, false]);
        let last_error = Some("timed out".to_owned());
        let expected = ProbeSeries { failures: 2, failing_since: Some(at(1)), last_ok: Some(at(0)), last_error };
        assert_eq!(series, expected);
    }

    #[test]
    fn an_appearance_is_a_word() {
        use Appearance::{Alive, Dark, Grey, Wavering};
        for (appearance, word) in [(Alive, "alive"), (Wavering, "wavering"), (Grey, "grey"), (Dark, "dark")] {
            assert_eq!(appearance.to_string(), word);
        }
    }
}
