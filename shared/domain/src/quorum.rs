//! What two of three observers make of a Region. The observer inside the suspect Region never counts against it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::region::Region;
use crate::vote::{Appearance, Vote};
use crate::{Timestamp, distance};

/// A vote as it was read, with what reading it twice has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedVote {
    /// The vote.
    pub vote: Vote,
    /// Its sequence rose while we watched: it is fresh whatever the two clocks say.
    pub seen_to_advance: bool,
}

/// What the votes say about one Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quorum {
    /// Both observers outside the Region find it dark, and it shows no sign of life.
    Dark(DarkProof),
    /// Both find it dark, yet it goes on writing its own votes: the path to it is gone, not the Region.
    StillHeard {
        /// How many votes it has written since it was first found unreachable.
        beats_since: u64,
    },
    /// Both find that it answers but cannot write.
    Grey {
        /// Since when, by the earliest observer.
        since: Option<Timestamp>,
    },
    /// The observers disagree, and the disagreement is settled: one of them is alone with what it sees.
    Split {
        /// Who finds it dark or grey.
        against: Region,
        /// Who finds it alive.
        in_favour: Region,
    },
    /// At least one probe failed, but nobody's row is long enough yet.
    Wavering,
    /// Both find it alive.
    Alive,
    /// A needed vote is missing or stale. Absence is unknown: it counts neither way.
    Unknown {
        /// Whose, and how.
        why: String,
        /// How old the stale vote is, when there is one.
        evidence_age: Option<Duration>,
    },
}

/// Why a Region is held to be dark: who says so, since when, and how fresh that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DarkProof {
    /// The observers, none of them in the dark Region.
    pub observers: Vec<Region>,
    /// The start of the first failed probe.
    pub since: Timestamp,
    /// The age of the older of the votes.
    pub oldest_vote_age: Duration,
}

/// How many votes of its own a Region may still land after it was first found unreachable: the round that was under way.
const BEATS_IN_FLIGHT: u64 = 1;

/// What the votes say about `subject`, with observers in all the Regions of `observers`.
///
/// Total: any subset of votes may be missing, stale or from the future.
#[must_use]
pub fn verdict<'a>(
    subject: &Region,
    observers: impl IntoIterator<Item = &'a Region>,
    votes: &[ReceivedVote],
    policy: &Policy,
    now: Timestamp,
) -> Quorum {
    let mut seen = Vec::new();
    for observer in observers.into_iter().filter(|observer| *observer != subject) {
        let Some(received) = votes.iter().find(|received| received.vote.observer == *observer) else {
            return Quorum::Unknown { why: format!("{observer} has not voted"), evidence_age: None };
        };
        let age = distance(received.vote.at, now);
        if !received.seen_to_advance && age > policy.vote_age_max() {
            let why = format!("the vote of {observer} is {} s old", age.as_secs());
            return Quorum::Unknown { why, evidence_age: Some(age) };
        }
        let Some(sighting) = received.vote.subjects.get(subject) else {
            return Quorum::Unknown { why: format!("{observer} has not probed {subject}"), evidence_age: Some(age) };
        };
        seen.push((observer, sighting, sighting.appearance(policy.failed_probes), age));
    }
    let [(one, one_saw, one_says, one_age), (other, other_saw, other_says, other_age)] = seen.as_slice() else {
        return Quorum::Unknown {
            why: format!("{} observers stand outside {subject}; two are needed", seen.len()),
            evidence_age: None,
        };
    };
    let since = match (one_saw.failing_since(), other_saw.failing_since()) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    match (one_says, other_says) {
        (Appearance::Alive, Appearance::Alive) => Quorum::Alive,
        (Appearance::Dark, Appearance::Dark) => {
            let first_failed = one_saw.beat_when_first_failed.max(other_saw.beat_when_first_failed);
            match beats_since(subject, votes, first_failed) {
                beats_since if beats_since > BEATS_IN_FLIGHT => Quorum::StillHeard { beats_since },
                _ => Quorum::Dark(DarkProof {
                    observers: vec![(*one).clone(), (*other).clone()],
                    since: since.unwrap_or(now),
                    oldest_vote_age: (*one_age).max(*other_age),
                }),
            }
        }
        (Appearance::Dark | Appearance::Grey, Appearance::Dark | Appearance::Grey) => Quorum::Grey { since },
        (Appearance::Dark | Appearance::Grey, Appearance::Alive) => {
            Quorum::Split { against: (*one).clone(), in_favour: (*other).clone() }
        }
        (Appearance::Alive, Appearance::Dark | Appearance::Grey) => {
            Quorum::Split { against: (*other).clone(), in_favour: (*one).clone() }
        }
        (Appearance::Wavering, _) | (_, Appearance::Wavering) => Quorum::Wavering,
    }
}

/// How many votes the subject has written since an observer first failed to reach it; 0 when it has never voted.
fn beats_since(subject: &Region, votes: &[ReceivedVote], first_failed: Option<u64>) -> u64 {
    let own = votes.iter().find(|received| received.vote.observer == *subject);
    match (own, first_failed) {
        (Some(own), Some(then)) => own.vote.sequence.saturating_sub(then),
        (Some(own), None) if own.seen_to_advance => u64::MAX,
        (Some(_) | None, _) => 0,
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dark(proof) => write!(f, "{proof}"),
            Self::StillHeard { beats_since } => {
                write!(
                    f,
                    "unreachable for the others, yet it has written {beats_since} votes since: it is cut off from them, not dark"
                )
            }
            Self::Grey { .. } => f.write_str("it answers but cannot write"),
            Self::Split { against, in_favour } => {
                write!(f, "{against} alone cannot use it, {in_favour} can: the path from {against} is at fault")
            }
            Self::Wavering => f.write_str("probes have begun to fail, not yet often enough"),
            Self::Alive => f.write_str("alive and writing, as both other Regions see it"),
            Self::Unknown { why, .. } => write!(f, "no quorum: {why}"),
        }
    }
}

impl fmt::Display for DarkProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who: Vec<&str> = self.observers.iter().map(Region::as_str).collect();
        write!(
            f,
            "unreachable from {} since {:.0}, oldest vote {} s old",
            who.join(" and "),
            self.since,
            self.oldest_vote_age.as_secs()
        )
    }
}

#[cfg(test)]
mod tests;
