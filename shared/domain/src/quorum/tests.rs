use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::vote::{Beat, ProbeSeries, Sighting};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}
fn region(code: &str) -> Region {
    Region::new(code).unwrap()
}
fn dublin() -> Region {
    region("eu-west-1")
}
fn observers() -> [Region; 3] {
    [dublin(), region("eu-west-2"), region("eu-central-1")]
}
fn policy() -> Policy {
    serde_json::from_str("{}").unwrap()
}

fn series(failures: u32) -> ProbeSeries {
    let failing_since = (failures > 0).then(|| at(-8));
    ProbeSeries { failures, failing_since, last_ok: Some(at(-8)), last_error: None }
}

fn vote(observer: &str, liveness: u32, write_readiness: u32) -> ReceivedVote {
    let sighting = Sighting {
        liveness: series(liveness),
        write_readiness: series(write_readiness),
        beat: (liveness > 0).then(|| Beat { when_first_failed: 100, sequence: 100, unchanged_since: at(-6) }),
    };
    let vote = Vote {
        observer: region(observer),
        sequence: 500,
        at: at(-1),
        subjects: BTreeMap::from([(dublin(), sighting)]),
    };
    ReceivedVote { vote, seen_to_advance: false }
}

/// The same by a clock that is so many seconds behind, or so long ago.
fn earlier(mut received: ReceivedVote, seconds: i64) -> ReceivedVote {
    let shift = |at: Timestamp| at.checked_sub(Duration::from_secs(seconds.unsigned_abs())).unwrap();
    received.vote.at = shift(received.vote.at);
    for sighting in received.vote.subjects.values_mut() {
        for series in [&mut sighting.liveness, &mut sighting.write_readiness] {
            series.failing_since = series.failing_since.map(shift);
        }
        if let Some(beat) = &mut sighting.beat {
            beat.unchanged_since = shift(beat.unchanged_since);
        }
    }
    received
}

fn own_vote(sequence: u64) -> ReceivedVote {
    let mut own = vote("eu-west-1", 0, 0);
    own.vote.sequence = sequence;
    own
}

#[track_caller]
fn check(votes: &[ReceivedVote], expected: fn(&Quorum) -> bool) {
    let quorum = verdict(&dublin(), &observers(), votes, &policy(), at(0));
    assert!(expected(&quorum), "{quorum:?}");
}

#[test]
fn two_outside_observers_with_two_failures_each_prove_it_dark() {
    check(
        &[vote("eu-west-2", 2, 2), vote("eu-central-1", 2, 2), own_vote(100)],
        |quorum| matches!(quorum, Quorum::Dark(proof) if proof.since == at(-8) && proof.observers.len() == 2),
    );
}

#[test]
fn one_failure_is_not_yet_a_vote() {
    check(&[vote("eu-west-2", 2, 2), vote("eu-central-1", 1, 1)], |quorum| matches!(quorum, Quorum::Wavering));
}

#[test]
fn one_observer_alone_is_a_split() {
    check(
        &[vote("eu-west-2", 9, 9), vote("eu-central-1", 0, 0)],
        |quorum| matches!(quorum, Quorum::Split { against, .. } if against.as_str() == "eu-west-2"),
    );
}

#[test]
fn the_suspects_own_vote_never_completes_a_quorum() {
    check(&[vote("eu-west-2", 2, 2), own_vote(100)], |quorum| matches!(quorum, Quorum::Unknown { .. }));
}

#[test]
fn a_stale_vote_is_unknown_and_not_alive() {
    let mut stale = vote("eu-central-1", 0, 0);
    stale.vote.at = at(-16);
    check(
        &[vote("eu-west-2", 2, 2), stale],
        |quorum| matches!(quorum, Quorum::Unknown { evidence_age: Some(age), .. } if age.as_secs() == 16),
    );
}

#[test]
fn a_vote_that_was_seen_to_advance_is_fresh_whatever_the_clocks_say() {
    let mut skewed = earlier(vote("eu-central-1", 2, 2), 30);
    skewed.seen_to_advance = true;
    check(&[vote("eu-west-2", 2, 2), skewed], |quorum| matches!(quorum, Quorum::Dark(_)));
}

#[test]
fn a_vote_from_the_far_future_is_as_stale_as_one_from_the_past() {
    let mut skewed = vote("eu-central-1", 2, 2);
    skewed.vote.at = at(30);
    check(&[vote("eu-west-2", 2, 2), skewed], |quorum| matches!(quorum, Quorum::Unknown { .. }));
}

#[test]
fn a_region_that_still_writes_its_own_votes_is_cut_off_and_not_dark() {
    check(&[vote("eu-west-2", 3, 3), vote("eu-central-1", 3, 3), own_vote(102)], |quorum| {
        matches!(quorum, Quorum::StillHeard { beats_since: 2 })
    });
}

/// Campaign seed 274: a load balancer that failed at once, and a link that was cut, passed for a dark Region.
#[test]
fn one_vote_of_its_own_that_the_observers_had_not_read_yet_is_a_sign_of_life() {
    check(&[vote("eu-west-2", 2, 2), vote("eu-central-1", 2, 2), own_vote(101)], |quorum| {
        matches!(quorum, Quorum::StillHeard { beats_since: 1 })
    });
}

#[track_caller]
fn check_beats(beats: [Option<(u64, i64)>; 2], own: u64, expected: fn(&Quorum) -> bool) {
    let [mut london, mut frankfurt] = [vote("eu-west-2", 3, 3), vote("eu-central-1", 3, 3)];
    for (vote, beat) in [&mut london, &mut frankfurt].into_iter().zip(beats) {
        if let Some(sighting) = vote.vote.subjects.get_mut(&dublin()) {
            let beat =
                beat.map(|(sequence, since)| Beat { when_first_failed: 100, sequence, unchanged_since: at(since) });
            sighting.beat = beat;
        }
    }
    check(&[london, frankfurt, own_vote(own)], expected);
}

#[test]
fn a_region_that_voted_once_more_and_then_fell_silent_is_dark() {
    check_beats([Some((101, -6)), Some((101, -6))], 101, |quorum| matches!(quorum, Quorum::Dark(_)));
}
#[test]
fn a_region_that_voted_a_moment_ago_is_still_heard() {
    check_beats([Some((101, -6)), Some((101, -3))], 101, |quorum| matches!(quorum, Quorum::StillHeard { .. }));
}
#[test]
fn a_silence_of_less_than_a_round_proves_nothing() {
    check_beats([Some((100, -6)), Some((100, -3))], 100, |quorum| matches!(quorum, Quorum::Wavering));
}
#[test]
fn one_observer_that_reads_the_votes_is_enough_and_none_is_unknown() {
    check_beats([None, Some((100, -6))], 100, |quorum| matches!(quorum, Quorum::Dark(_)));
    check_beats([None, None], 100, |quorum| matches!(quorum, Quorum::Unknown { .. }));
}
#[test]
fn failures_that_come_at_once_leave_no_time_for_a_vote_and_prove_nothing_yet() {
    let [mut london, mut frankfurt] = [vote("eu-west-2", 2, 2), vote("eu-central-1", 2, 2)];
    for vote in [&mut london, &mut frankfurt] {
        let sighting = vote.vote.subjects.get_mut(&dublin()).unwrap();
        for series in [&mut sighting.liveness, &mut sighting.write_readiness] {
            series.failing_since = Some(at(-6));
        }
    }
    check(&[london, frankfurt, own_vote(100)], |quorum| matches!(quorum, Quorum::Wavering));
}

#[test]
fn reachable_but_unable_to_write_is_grey() {
    check(&[vote("eu-west-2", 0, 2), vote("eu-central-1", 0, 3)], |quorum| matches!(quorum, Quorum::Grey { .. }));
}

#[test]
fn dark_for_one_and_grey_for_the_other_is_grey() {
    check(&[vote("eu-west-2", 2, 2), vote("eu-central-1", 0, 3)], |quorum| matches!(quorum, Quorum::Grey { .. }));
}

#[test]
fn both_alive_is_alive() {
    check(&[vote("eu-west-2", 0, 0), vote("eu-central-1", 0, 0)], |quorum| matches!(quorum, Quorum::Alive));
}

#[test]
fn one_alone_is_named_whichever_of_the_two_it_is() {
    check(
        &[vote("eu-west-2", 0, 0), vote("eu-central-1", 0, 2)],
        |quorum| matches!(quorum, Quorum::Split { against, in_favour } if against.as_str() == "eu-central-1" && in_favour.as_str() == "eu-west-2"),
    );
}

#[test]
fn a_vote_of_the_greatest_age_still_counts() {
    let old = earlier(vote("eu-central-1", 2, 2), 14);
    check(
        &[vote("eu-west-2", 2, 2), old],
        |quorum| matches!(quorum, Quorum::Dark(proof) if proof.oldest_vote_age.as_secs() == 15),
    );
}

#[test]
fn an_observer_that_did_not_look_is_no_witness() {
    let mut idle = vote("eu-central-1", 0, 0);
    idle.vote.subjects.clear();
    check(
        &[vote("eu-west-2", 2, 2), idle],
        |quorum| matches!(quorum, Quorum::Unknown { why, .. } if why == "eu-central-1 has not probed eu-west-1"),
    );
}

#[test]
fn two_observers_outside_are_needed_however_many_regions_there_are() {
    let quorum = verdict(&dublin(), &observers()[..2], &[vote("eu-west-2", 2, 2)], &policy(), at(0));
    assert_eq!(quorum.to_string(), "no quorum: 1 observers stand outside eu-west-1; two are needed");
}

#[test]
fn the_trouble_began_when_the_first_of_them_saw_it() {
    for (one, other, expected) in [(-19, -17, -19), (-17, -19, -19)] {
        let since = |observer: &str, second: i64| {
            let mut received = vote(observer, 2, 2);
            let sighting = received.vote.subjects.get_mut(&dublin()).unwrap();
            sighting.liveness.failing_since = Some(at(second));
            received
        };
        let votes = [since("eu-west-2", one), since("eu-central-1", other)];
        let Quorum::Dark(proof) = verdict(&dublin(), &observers(), &votes, &policy(), at(0)) else {
            panic!("not dark")
        };
        assert_eq!(proof.since, at(expected));
    }
}

#[track_caller]
fn says(quorum: Quorum, expected: &str) {
    assert_eq!(quorum.to_string(), expected);
}

#[test]
fn every_verdict_has_its_sentence() {
    let proof = DarkProof {
        observers: vec![region("eu-west-2"), region("eu-central-1")],
        since: at(-7),
        oldest_vote_age: Duration::from_secs(3),
    };
    says(
        Quorum::Dark(proof),
        "unreachable from eu-west-2 and eu-central-1 since 2027-01-15T07:59:53Z, oldest vote 3 s old",
    );
    says(
        Quorum::StillHeard { beats_since: 5 },
        "unreachable for the others, yet it has written 5 votes since: it is cut off from them, not dark",
    );
    says(Quorum::Grey { since: None }, "it answers but cannot write");
    says(
        Quorum::Split { against: region("eu-west-2"), in_favour: region("eu-central-1") },
        "eu-west-2 alone cannot use it, eu-central-1 can: the path from eu-west-2 is at fault",
    );
    says(Quorum::Wavering, "probes have begun to fail, not yet often enough");
    says(Quorum::Alive, "alive and writing, as both other Regions see it");
    says(Quorum::Unknown { why: "dark".into(), evidence_age: None }, "no quorum: dark");
}

fn any_vote(observer: &'static str) -> impl Strategy<Value = Option<ReceivedVote>> {
    let parts = (0u32..4, 0u32..4, -60i64..60, any::<bool>(), 98u64..105, any::<bool>());
    proptest::option::of(parts.prop_map(move |(liveness, writes, second, advanced, sequence, probed)| {
        let mut received = vote(observer, liveness, writes);
        received.vote.at = at(second);
        received.vote.sequence = sequence;
        received.seen_to_advance = advanced;
        if !probed {
            received.vote.subjects.clear();
        }
        received
    }))
}

proptest! {
    #[test]
    fn dark_needs_two_fresh_dark_votes_from_outside(
        london in any_vote("eu-west-2"), frankfurt in any_vote("eu-central-1"), own in any_vote("eu-west-1"),
    ) {
        let votes: Vec<ReceivedVote> = [&london, &frankfurt, &own].into_iter().flatten().cloned().collect();
        if let Quorum::Dark(_) = verdict(&dublin(), &observers(), &votes, &policy(), at(0)) {
            for outside in [&london, &frankfurt] {
                let received = outside.as_ref().expect("a dark verdict has both votes");
                let sighting = &received.vote.subjects[&dublin()];
                prop_assert_eq!(sighting.appearance(2), Appearance::Dark);
                prop_assert!(received.seen_to_advance || distance(received.vote.at, at(0)).as_secs() <= 15);
            }
        }
    }
}

#[test]
fn a_vote_is_seen_to_advance_for_as_long_as_a_vote_counts() {
    let mut watch = Watch::default();
    let mut read = |sequence: u64, second: i64| {
        let mut vote = vote("eu-central-1", 0, 0).vote;
        vote.sequence = sequence;
        watch.receive(vec![vote], Duration::from_secs(15), at(second))[0].seen_to_advance
    };
    assert!(!read(500, 0), "a first reading shows no rise");
    assert!(!read(500, 1));
    assert!(read(501, 5));
    assert!(read(501, 20));
    assert!(!read(501, 21), "it has not risen for longer than a vote counts");
}
