//! Orders, stages and what is believed, as tables.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::blocked::Guard;
use crate::promotion::Observed;
use crate::quorum::{DarkProof, Quorum};
use crate::readiness::{Capacity, ReadinessRecord};
use crate::{Region, Timestamp};

const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
fn dublin() -> Region {
    Region::new("eu-west-1").unwrap()
}
fn london() -> Region {
    Region::new("eu-west-2").unwrap()
}
fn traffic(routing: &str) -> Traffic {
    let doors = |region: &str| {
        format!(r#"{{"switch_bucket":"switch-{region}","load_balancer":"app/p/1","domain":"{region}.pay.example"}}"#)
    };
    let json = format!(
        r#"{{"service_domain":"pay.example","routing":{routing},"regions":{{"eu-west-1":{},"eu-west-2":{}}}}}"#,
        doors("eu-west-1"),
        doors("eu-west-2")
    );
    serde_json::from_str(&json).unwrap()
}
fn latency() -> Traffic {
    traffic(r#""latency""#)
}
fn weighted() -> Traffic {
    traffic(r#"{"weighted":{"hosted_zone_id":"Z1","weights":{"eu-west-1":100,"eu-west-2":0}}}"#)
}
fn dark() -> Quorum {
    let observers = vec![london(), Region::new("eu-central-1").unwrap()];
    Quorum::Dark(DarkProof { observers, since: at(NOW - 60), oldest_vote_age: std::time::Duration::ZERO })
}
fn wish(way: Way, region: Region) -> Wish {
    let driver = if region == dublin() { london() } else { dublin() };
    Wish { way, region, driver, by: "ada".into(), comment: String::new(), overrides: BTreeSet::new() }
}
fn answers(regions: &[Region]) -> Answers {
    let regions = regions.iter().map(|region| (region.clone(), 1)).collect();
    Answers { resolver: "dns.example".into(), near: dublin(), regions: Observed::Seen(regions), elsewhere: 0 }
}
fn ready(region: Region, capacity: Capacity, checked_at: i64) -> Observed<Option<ReadinessRecord>> {
    Observed::Seen(Some(ReadinessRecord { region, checked_at: at(checked_at), capacity, version: 1 }))
}

mod orders {
    use super::*;

    fn facts() -> OrderFacts {
        OrderFacts {
            region: dublin(),
            other: london(),
            record: TrafficRecord::default(),
            quorum: Quorum::Alive,
            readiness: ready(london(), Capacity::Ready, NOW - 60),
            answers: vec![answers(&[dublin(), london()])],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut OrderFacts), vouched: &[Guard], expected: &[Guard]) {
        let mut facts = facts();
        change(&mut facts);
        let overrides: BTreeSet<Guard> = vouched.iter().copied().collect();
        let blocked = reasons_not_to_evacuate(&facts, &latency(), &overrides, at(NOW));
        let guards: Vec<Guard> = blocked.iter().map(|block| block.guard).collect();
        assert_eq!(guards, expected, "{blocked:?}");
        assert!(blocked.iter().all(|block| !block.evidence.is_empty() && !block.override_with.is_empty()));
    }

    #[test]
    fn a_region_is_evacuated_into_one_that_lives_serves_and_is_ready() {
        check(|_| {}, &[], &[]);
    }
    #[test]
    fn the_last_serving_region_is_never_evacuated_whoever_vouches() {
        let all = [Guard::LastServingRegion, Guard::NotReady, Guard::RegionNotHealthy];
        check(|facts| facts.quorum = dark(), &all, &[Guard::LastServingRegion]);
        check(
            |facts| {
                let gone = TrafficRecord::default().ordered(wish(Way::Evacuate, london()), &latency(), false, at(NOW));
                facts.record = gone.unwrap();
            },
            &all,
            &[Guard::LastServingRegion],
        );
        check(|facts| facts.answers = vec![answers(&[dublin()])], &all, &[Guard::LastServingRegion]);
    }
    #[test]
    fn a_region_that_is_still_on_its_way_back_does_not_serve_yet() {
        check(
            |facts| {
                let gone = TrafficRecord::default().ordered(wish(Way::Evacuate, london()), &latency(), false, at(NOW));
                let back = gone.unwrap().ordered(wish(Way::Restore, london()), &latency(), false, at(NOW));
                facts.record = back.unwrap();
            },
            &[],
            &[Guard::LastServingRegion],
        );
    }
    #[test]
    fn resolvers_that_say_nothing_are_no_proof_that_nobody_serves() {
        let why = "timed out".to_owned();
        check(|facts| facts.answers[0].regions = Observed::Unseen { why }, &[], &[]);
    }
    #[test]
    fn a_region_that_is_not_known_to_be_well_needs_a_person_who_vouches() {
        let unknown = || Quorum::Unknown { why: "no votes".into(), evidence_age: None };
        check(|facts| facts.quorum = unknown(), &[], &[Guard::RegionNotHealthy]);
        check(|facts| facts.quorum = unknown(), &[Guard::RegionNotHealthy], &[]);
        check(|facts| facts.quorum = Quorum::Grey { since: None }, &[], &[Guard::RegionNotHealthy]);
    }
    #[test]
    fn readiness_that_is_missing_old_unknown_or_denied_is_not_readiness() {
        let not_ready = [Guard::NotReady];
        check(|facts| facts.readiness = Observed::Seen(None), &[], &not_ready);
        check(|facts| facts.readiness = Observed::Unseen { why: "throttled".into() }, &[], &not_ready);
        check(|facts| facts.readiness = ready(london(), Capacity::Ready, NOW - 7201), &[], &not_ready);
        check(|facts| facts.readiness = ready(london(), Capacity::Ready, NOW - 7200), &[], &[]);
        let because = vec!["max tasks 4, 9 are needed".to_owned()];
        check(|facts| facts.readiness = ready(london(), Capacity::NotReady { because }, NOW), &[], &not_ready);
        let why = vec!["ECS did not answer".to_owned()];
        check(|facts| facts.readiness = ready(london(), Capacity::Unknown { why }, NOW), &[], &not_ready);
        check(|facts| facts.readiness = Observed::Seen(None), &not_ready, &[]);
    }
    #[test]
    fn a_region_gets_its_traffic_back_when_it_lives_and_is_ready() {
        let mut facts = facts();
        facts.readiness = ready(dublin(), Capacity::Ready, NOW);
        assert_eq!(reasons_not_to_restore(&facts, &latency(), &BTreeSet::new(), at(NOW)), []);
        facts.quorum = dark();
        facts.readiness = Observed::Seen(None);
        let blocked = reasons_not_to_restore(&facts, &latency(), &BTreeSet::new(), at(NOW));
        let guards: Vec<Guard> = blocked.iter().map(|block| block.guard).collect();
        assert_eq!(guards, [Guard::RegionNotHealthy, Guard::NotReady]);
    }

    #[track_caller]
    fn stages(traffic: &Traffic, at_once: bool, expected: &[u8]) {
        let record = TrafficRecord::default().ordered(wish(Way::Evacuate, dublin()), traffic, at_once, at(NOW));
        let shift = record.unwrap().shift.unwrap();
        let found: Vec<u8> = std::iter::once(shift.away_percent).chain(shift.then).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn weighted_records_go_in_stages_and_latency_records_at_once() {
        stages(&latency(), false, &[100]);
        stages(&weighted(), false, &[10, 50, 100]);
        stages(&weighted(), true, &[100]);
    }
    #[test]
    fn asking_again_changes_nothing_and_asking_back_goes_the_stages_back() {
        let first = TrafficRecord::default().ordered(wish(Way::Evacuate, dublin()), &weighted(), false, at(NOW));
        let first = first.unwrap();
        assert_eq!(first.ordered(wish(Way::Evacuate, dublin()), &weighted(), false, at(NOW)), None);
        let in_a_hurry = first.ordered(wish(Way::Evacuate, dublin()), &weighted(), true, at(NOW)).unwrap();
        assert_eq!((in_a_hurry.away_percent(&dublin()), in_a_hurry.version), (100, 2));
        let back = in_a_hurry.ordered(wish(Way::Restore, dublin()), &weighted(), false, at(NOW)).unwrap();
        let shift = back.shift.clone().unwrap();
        assert_eq!((shift.id, shift.away_percent, shift.then), (3, 50, vec![10, 0]));
        assert_eq!(TrafficRecord::default().ordered(wish(Way::Restore, dublin()), &latency(), false, at(NOW)), None);
    }
}

mod carriers {
    use super::*;
    use crate::policy::Policy;
    use crate::quorum::ReceivedVote;
    use crate::vote::{ProbeSeries, Sighting, Vote};

    fn vote(observer: &str, age_s: i64, failures: u32) -> ReceivedVote {
        let failing_since = (failures > 0).then(|| at(NOW - 60));
        let row = ProbeSeries { failures, failing_since, last_ok: Some(at(NOW - 60)), last_error: None };
        let sighting = Sighting { liveness: row.clone(), write_readiness: row, beat: None };
        let observer = Region::new(observer).unwrap();
        let vote =
            Vote { observer, at: at(NOW - age_s), sequence: 1, subjects: BTreeMap::from([(london(), sighting)]) };
        ReceivedVote { vote, seen_to_advance: false }
    }

    #[track_caller]
    fn check(votes: &[ReceivedVote], moved: Region, alive: bool) {
        let observers = [dublin(), london(), Region::new("eu-central-1").unwrap()];
        let policy: Policy = serde_json::from_str("{}").unwrap();
        let seen = carrier_as_seen(&london(), &moved, &observers, votes, &policy, at(NOW));
        assert_eq!(seen == Quorum::Alive, alive, "{seen}");
    }

    /// An outage's own: the dark Region's observer is silent, and evacuating that Region must not wait for it.
    #[test]
    fn the_witness_is_believed_when_the_region_that_is_left_says_nothing() {
        check(&[vote("eu-west-1", 1, 0), vote("eu-central-1", 1, 0)], dublin(), true);
        check(&[vote("eu-west-1", 300, 0), vote("eu-central-1", 1, 0)], dublin(), true);
        check(&[vote("eu-central-1", 1, 0)], dublin(), true);
    }
    #[test]
    fn what_the_witness_does_not_see_alive_now_is_not() {
        check(&[vote("eu-central-1", 1, 5)], dublin(), false);
        check(&[vote("eu-central-1", 300, 0)], dublin(), false);
        check(&[vote("eu-west-1", 1, 0)], dublin(), false);
        check(&[], dublin(), false);
    }
    #[test]
    fn a_region_that_is_entered_again_needs_both() {
        check(&[vote("eu-central-1", 1, 0)], london(), false);
        check(&[vote("eu-west-1", 1, 0), vote("eu-central-1", 1, 0)], london(), true);
    }
}

mod steps {
    use super::*;

    fn requests(own: u64, other: u64) -> BTreeMap<Region, Observed<Requests>> {
        let minute = at(NOW - 120);
        let seen = |count| Observed::Seen(Requests { count, minute });
        BTreeMap::from([(dublin(), seen(own)), (london(), seen(other))])
    }
    /// Dublin evacuated by its switch three minutes ago, seen to be empty.
    fn facts(traffic: &Traffic, way: Way, at_once: bool) -> TrafficFacts {
        let mut record = TrafficRecord::default();
        if way == Way::Restore {
            record = record.ordered(wish(Way::Evacuate, dublin()), traffic, true, at(NOW - 999)).unwrap();
        }
        let record = record.ordered(wish(way, dublin()), traffic, at_once, at(NOW - 200)).unwrap();
        let shift = record.shift.unwrap();
        let weights = match &traffic.routing {
            Routing::Latency => None,
            Routing::Weighted { weights, .. } => Some(Observed::Seen(weights_for(weights, &shift))),
        };
        TrafficFacts {
            switch_thrown: Observed::Seen(shift.away_percent == 100),
            weights,
            quorum: BTreeMap::from([(dublin(), Quorum::Alive), (london(), Quorum::Alive)]),
            answers: vec![answers(&[london()])],
            requests: requests(1, 199),
            shift,
        }
    }
    fn evacuated() -> TrafficFacts {
        facts(&latency(), Way::Evacuate, false)
    }

    #[track_caller]
    fn check(traffic: &Traffic, facts: TrafficFacts, expected: &str) {
        assert_eq!(decide(&facts, traffic, at(NOW)).to_string(), expected);
    }

    #[test]
    fn an_evacuation_is_done_when_dns_and_both_load_balancers_say_so() {
        check(
            &latency(),
            evacuated(),
            "done: DNS answers eu-west-1 nowhere (dns.example near eu-west-1: eu-west-2); 1 of 200 requests a minute go to eu-west-1 (0 %)",
        );
    }
    #[test]
    fn our_own_write_is_no_evidence() {
        let unknown = Observed::Unseen { why: "timed out".into() };
        let facts = TrafficFacts { switch_thrown: Observed::Seen(false), ..evacuated() };
        check(&latency(), facts, "the switch is thrown");
        let facts = TrafficFacts { switch_thrown: unknown.clone(), ..evacuated() };
        check(&latency(), facts, "the switch is thrown");
        let facts = TrafficFacts { answers: vec![answers(&[dublin(), london()])], ..evacuated() };
        check(
            &latency(),
            facts,
            "waiting: DNS still answers eu-west-1 (dns.example near eu-west-1: eu-west-1 and eu-west-2)",
        );
        let mut facts = evacuated();
        facts.answers[0].regions = Observed::Unseen { why: "timed out".into() };
        check(
            &latency(),
            facts,
            "waiting: what DNS answers is unknown: dns.example near eu-west-1: unknown (timed out)",
        );
        let facts = TrafficFacts { requests: requests(40, 160), ..evacuated() };
        check(&latency(), facts, "waiting: 40 of 200 requests a minute go to eu-west-1 (20 %)");
    }
    #[test]
    fn counts_that_are_missing_old_or_few_show_nothing() {
        let mut facts = evacuated();
        facts.requests.insert(dublin(), Observed::Unseen { why: "throttled".into() });
        check(&latency(), facts, "waiting: how many requests eu-west-1 gets is unknown: throttled");
        let mut facts = evacuated();
        facts.requests.remove(&london());
        check(&latency(), facts, "waiting: how many requests eu-west-2 gets is unknown: nobody has looked");
        check(
            &latency(),
            TrafficFacts { requests: requests(0, 19), ..evacuated() },
            "waiting: only 19 requests in a minute: too few to tell where they go",
        );
        let mut facts = evacuated();
        facts.shift.stage_since = at(NOW - 150);
        assert!(decide(&facts, &latency(), at(NOW)).to_string().contains("before answers"));
    }
    #[test]
    fn a_dark_region_is_not_asked_and_the_survivors_count_is_enough() {
        let mut facts = evacuated();
        facts.requests.insert(dublin(), Observed::Unseen { why: "it is dark, and not asked".into() });
        facts.quorum.insert(dublin(), dark());
        let said = decide(&facts, &latency(), at(NOW)).to_string();
        assert!(said.starts_with("done: ") && said.contains("is dark and was not asked"), "{said}");
    }
    #[test]
    fn what_should_have_been_seen_by_now_is_told_once() {
        let mut facts = TrafficFacts { answers: vec![answers(&[dublin()])], ..evacuated() };
        facts.shift.stage_since = at(NOW - 601);
        let told = decide(&facts, &latency(), at(NOW));
        let TrafficDecision::TellNotSeen { seen } = told else { panic!("{told}") };
        facts.shift.state = ShiftState::NotSeen { seen };
        assert!(matches!(decide(&facts, &latency(), at(NOW)), TrafficDecision::Wait { .. }));
    }
    #[test]
    fn a_restored_region_is_seen_in_dns_and_in_its_own_counts() {
        let back = || facts(&latency(), Way::Restore, false);
        check(&latency(), back(), "waiting: DNS does not answer eu-west-1 yet (dns.example near eu-west-1: eu-west-2)");
        let answered = TrafficFacts { answers: vec![answers(&[dublin()])], ..back() };
        check(&latency(), answered.clone(), "waiting: 1 of 200 requests a minute go to eu-west-1 (0 %)");
        let counted = TrafficFacts { requests: requests(90, 110), ..answered };
        let said = decide(&counted, &latency(), at(NOW)).to_string();
        assert!(said.starts_with("done: DNS answers eu-west-1 again"), "{said}");
    }
    #[test]
    fn weights_leave_the_wanted_share_away_and_the_last_stage_is_the_switch() {
        let first = || facts(&weighted(), Way::Evacuate, false);
        let wrong = TrafficFacts { weights: Some(Observed::Seen(BTreeMap::new())), ..first() };
        check(&weighted(), wrong, "the switch is off, the weights are eu-west-1 90 and eu-west-2 10");
        check(
            &weighted(),
            first(),
            "DNS answers by weight (dns.example near eu-west-1: eu-west-2); 1 of 200 requests a minute go to eu-west-1 (0 %); next, 50 % away",
        );
        let unmoved = TrafficFacts { requests: requests(202, 0), ..first() };
        assert_eq!(
            decide(&unmoved, &weighted(), at(NOW)).to_string(),
            "DNS answers by weight (dns.example near eu-west-1: eu-west-2); 202 of 202 requests a minute go to eu-west-1 (100 %); next, 50 % away"
        );
        let mut second = first();
        (second.shift.away_percent, second.shift.then) = (50, vec![100]);
        second.weights = Some(Observed::Seen(BTreeMap::from([(dublin(), 50), (london(), 50)])));
        let unmoved = TrafficFacts { requests: requests(190, 10), ..second.clone() };
        check(&weighted(), unmoved, "waiting: 190 of 200 requests a minute go to eu-west-1 (95 %)");
        second.requests = requests(110, 90);
        assert!(decide(&second, &weighted(), at(NOW)).to_string().ends_with("next, 100 % away"));
        let mut last = second;
        (last.shift.away_percent, last.shift.then) = (100, vec![]);
        check(&weighted(), last, "the switch is thrown");
    }
    #[test]
    fn no_further_stage_is_begun_towards_a_region_that_is_not_well() {
        let mut first = facts(&weighted(), Way::Evacuate, false);
        first.quorum.insert(london(), Quorum::Grey { since: None });
        let held = decide(&first, &weighted(), at(NOW));
        assert_eq!(held.to_string(), "held: eu-west-2: it answers but cannot write");
        let TrafficDecision::Hold { why } = held else { panic!() };
        first.shift.state = ShiftState::Held { why };
        assert!(matches!(decide(&first, &weighted(), at(NOW)), TrafficDecision::Wait { .. }));
        first.quorum.remove(&london());
        assert!(matches!(decide(&first, &weighted(), at(NOW)), TrafficDecision::Wait { .. }));
    }
    #[test]
    fn what_is_done_rests_and_deciding_again_changes_nothing() {
        let mut record = TrafficRecord { version: 1, shift: Some(evacuated().shift) };
        let finish = decide(&evacuated(), &latency(), at(NOW));
        record = record.after(&finish, at(NOW)).unwrap();
        assert_eq!(record.version, 2);
        let done = TrafficFacts { shift: record.shift.clone().unwrap(), ..evacuated() };
        let again = decide(&done, &latency(), at(NOW));
        assert!(matches!(again, TrafficDecision::Rest { .. }), "{again}");
        assert_eq!(record.after(&again, at(NOW)), None);
    }
}

mod configuration {
    use super::*;
    use crate::config::Config;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Traffic), expected: Option<&str>) {
        let config = Config::parse(include_str!("../../../../events/config.example.json")).unwrap();
        let mut traffic = latency();
        change(&mut traffic);
        let problem = traffic.validate(&config.topology).err().map(|problem| problem.to_string());
        match (&problem, expected) {
            (Some(problem), Some(expected)) => assert!(problem.contains(expected), "{problem}"),
            (problem, expected) => assert_eq!(problem.as_deref(), expected),
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_field() {
        check(|_| {}, None);
        check(|traffic| drop(traffic.regions.remove(&dublin())), Some("`traffic.regions` names [eu-west-2]"));
        check(|traffic| traffic.stages_percent = vec![50, 10, 100], Some("`traffic.stages_percent` is [50, 10, 100]"));
        check(|traffic| traffic.stages_percent = vec![10, 50], Some("up to 100"));
        check(|traffic| traffic.stages_percent = vec![], Some("up to 100"));
        check(|traffic| traffic.resolvers = vec![], Some("`traffic.resolvers` is empty"));
        check(|traffic| traffic.resolvers = vec!["8.8.8.8".into()], Some("https address"));
        check(|traffic| traffic.confirm_within_seconds = 0, Some("`traffic.confirm_within_seconds` is 0"));
        let mut heavy = weighted();
        if let Routing::Weighted { weights, .. } = &mut heavy.routing {
            weights.insert(dublin(), 256);
        }
        check(|traffic| traffic.routing = heavy.routing, Some("`traffic.routing.weighted.weights`"));
        check(|traffic| traffic.routing = weighted().routing, None);
    }
}
