//! What two of three observers make of a Region. The observer inside the suspect Region never counts against it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::region::Region;
use crate::vote::{Appearance, Sighting, Vote};
use crate::{Timestamp, age, distance};

/// A vote as it was read, with what reading it twice has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedVote {
    /// The vote.
    pub vote: Vote,
    /// Its sequence rose while it was watched: it is fresh whatever the two clocks say.
    pub seen_to_advance: bool,
}

/// Watches votes rise from one reading to the next: what rises is fresh whatever the two clocks say.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    heard: BTreeMap<Region, Heard>,
}

#[derive(Clone, Debug)]
struct Heard {
    sequence: u64,
    /// When it was last seen to rise, by the watcher's clock.
    rose_at: Option<Timestamp>,
}

impl Watch {
    /// Takes a reading. A vote that rose between two readings, the later of which is not older than `age_max`, is fresh.
    pub fn receive(&mut self, votes: Vec<Vote>, age_max: Duration, now: Timestamp) -> Vec<ReceivedVote> {
        votes.into_iter().map(|vote| self.receive_one(vote, age_max, now)).collect()
    }

    fn receive_one(&mut self, vote: Vote, age_max: Duration, now: Timestamp) -> ReceivedVote {
        let first = Heard { sequence: vote.sequence, rose_at: None };
        let heard = self.heard.entry(vote.observer.clone()).or_insert(first);
        if vote.sequence > heard.sequence {
            *heard = Heard { sequence: vote.sequence, rose_at: Some(now) };
        }
        let seen_to_advance = heard.rose_at.is_some_and(|rose| age(rose, now) <= age_max);
        ReceivedVote { vote, seen_to_advance }
    }
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

/// A Region that lives writes a vote in each round of five seconds: one that has written none for this long is silent.
const SILENCE: Duration = Duration::from_millis(4_500);
/// A vote is written after its round's probes, which may take two seconds: no sooner than this after the first failure
/// can the absence of one be told from its being late.
const TROUBLE_MIN: Duration = Duration::from_millis(6_500);

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
        let age = if received.seen_to_advance { Duration::ZERO } else { distance(received.vote.at, now) };
        if !received.seen_to_advance && age > policy.vote_age_max() {
            let why = format!("the vote of {observer} is {} s old", age.as_secs());
            return Quorum::Unknown { why, evidence_age: Some(age) };
        }
        let Some(sighting) = received.vote.subjects.get(subject) else {
            return Quorum::Unknown { why: format!("{observer} has not probed {subject}"), evidence_age: Some(age) };
        };
        seen.push((&received.vote, sighting, sighting.appearance(policy.failed_probes), age));
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
            match sign_of_life(subject, [(*one, *one_saw), (*other, *other_saw)], votes) {
                SignOfLife::None => Quorum::Dark(DarkProof {
                    observers: vec![one.observer.clone(), other.observer.clone()],
                    since: since.unwrap_or(now),
                    oldest_vote_age: (*one_age).max(*other_age),
                }),
                SignOfLife::Beats(beats_since) => Quorum::StillHeard { beats_since },
                SignOfLife::TooEarly => Quorum::Wavering,
                SignOfLife::Unread => Quorum::Unknown {
                    why: format!("nobody could read whether {subject} still writes its own votes"),
                    evidence_age: None,
                },
            }
        }
        (Appearance::Dark | Appearance::Grey, Appearance::Dark | Appearance::Grey) => Quorum::Grey { since },
        (Appearance::Dark | Appearance::Grey, Appearance::Alive) => {
            Quorum::Split { against: one.observer.clone(), in_favour: other.observer.clone() }
        }
        (Appearance::Alive, Appearance::Dark | Appearance::Grey) => {
            Quorum::Split { against: other.observer.clone(), in_favour: one.observer.clone() }
        }
        (Appearance::Wavering, _) | (_, Appearance::Wavering) => Quorum::Wavering,
    }
}

impl Quorum {
    /// Why nothing may lean on an answer from the Region now: it is dark, cut off, or nobody has looked at it lately (law 3).
    #[must_use]
    pub fn why_not_asked(&self) -> Option<String> {
        match self {
            Self::Dark(_) | Self::StillHeard { .. } | Self::Unknown { .. } => Some(format!("{self}; it is not asked")),
            Self::Grey { .. } | Self::Split { .. } | Self::Wavering | Self::Alive => None,
        }
    }
}

/// What a Region that cannot be reached shows of itself in the table.
enum SignOfLife {
    /// It was given time to write, and has not.
    None,
    /// It has written so many votes since it was first found unreachable, the last one lately.
    Beats(u64),
    /// A vote of its own may still be on its way.
    TooEarly,
    /// No observer could read its votes.
    Unread,
}

fn sign_of_life(subject: &Region, seen: [(&Vote, &Sighting); 2], votes: &[ReceivedVote]) -> SignOfLife {
    let own = votes.iter().find(|received| received.vote.observer == *subject);
    let own = own.map_or(0, |received| received.vote.sequence);
    let known = || seen.iter().filter_map(|(vote, sighting)| Some((vote.at, sighting.beat.as_ref()?)));
    let (Some(last_read), Some(first)) =
        (known().map(|(_, beat)| beat.sequence).max(), known().map(|(_, beat)| beat.when_first_failed).min())
    else {
        return SignOfLife::Unread;
    };
    let silent = known().map(|(at, beat)| age(beat.unchanged_since, at)).min().unwrap_or_default();
    let trouble = seen.iter().filter_map(|(vote, sighting)| Some(age(sighting.failing_since()?, vote.at))).min();
    match () {
        () if own > last_read => SignOfLife::Beats(own.saturating_sub(first)),
        () if silent < SILENCE && last_read > first => SignOfLife::Beats(own.saturating_sub(first)),
        () if silent < SILENCE || trouble.is_none_or(|trouble| trouble < TROUBLE_MIN) => SignOfLife::TooEarly,
        () => SignOfLife::None,
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
