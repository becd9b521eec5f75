//! Whether the Region that is to carry what moves is alive: by those who can be heard.

use crate::policy::Policy;
use crate::quorum::{Quorum, ReceivedVote, verdict};
use crate::vote::Appearance;
use crate::{Region, Timestamp, distance};

/// What the observers make of `carrier` while `moved` is left or entered.
///
/// Two observers stand outside it, and one of them is in the Region that is left. When that one is silent, as in an outage it
/// is, the witness alone is believed about the living: a guard that only the dark Region could satisfy would never open.
#[must_use]
pub fn carrier_as_seen<'a>(
    carrier: &Region,
    moved: &Region,
    observers: impl IntoIterator<Item = &'a Region> + Clone,
    votes: &[ReceivedVote],
    policy: &Policy,
    now: Timestamp,
) -> Quorum {
    let both = verdict(carrier, observers, votes, policy, now);
    if carrier == moved || !matches!(both, Quorum::Unknown { .. }) {
        return both;
    }
    let fresh = |vote: &&ReceivedVote| vote.seen_to_advance || distance(vote.vote.at, now) <= policy.vote_age_max();
    let outside = votes.iter().filter(|vote| vote.vote.observer != *carrier && vote.vote.observer != *moved);
    let sighting = outside.filter(fresh).find_map(|vote| vote.vote.subjects.get(carrier));
    match sighting.map(|sighting| sighting.appearance(policy.failed_probes)) {
        Some(Appearance::Alive) => Quorum::Alive,
        Some(Appearance::Dark | Appearance::Grey | Appearance::Wavering) | None => both,
    }
}
