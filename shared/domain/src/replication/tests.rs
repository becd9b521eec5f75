use super::*;
use crate::attempt::Consistency;
use crate::beacon::{Beacon, Trail, Waypoint};
use crate::blocked::Guard;
use crate::promotion::Observed;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn region(code: &str) -> Region {
    Region::new(code).unwrap()
}
fn link(store: Store) -> Link {
    Link::new(store, &region("eu-west-1"), &region("eu-west-2"))
}
fn seen(sequence: u64) -> CanaryReading {
    CanaryReading::Seen { sequence, after: Duration::from_millis(400) }
}

/// A table as it should be, described in one Region.
fn described(other: &str, consistency: Consistency) -> TableDescription {
    TableDescription {
        status: "ACTIVE".into(),
        consistency,
        replicas: vec![Replica { region: other.into(), status: "ACTIVE".into(), inaccessible_since: None }],
        witnesses: vec![WitnessReplica { region: "eu-central-1".into(), status: "ACTIVE".into() }],
    }
}
fn table_evidence(consistency: Consistency) -> TableEvidence {
    TableEvidence {
        described_there: Observed::Seen(described("eu-west-2", consistency.clone())),
        described_here: Observed::Seen(described("eu-west-1", consistency)),
        canary: seen(1),
        latency: Metric::Point { value_ms: 700, at: at(-30) },
    }
}
fn here(evidence: &mut TableEvidence) -> &mut TableDescription {
    match &mut evidence.described_here {
        Observed::Seen(table) => table,
        Observed::Unseen { .. } => unreachable!("the evidence of these tests has one"),
    }
}

/// One canary was sent just now.
#[track_caller]
fn check_table(consistency: Consistency, change: impl FnOnce(&mut TableEvidence), kind: Kind, part: &str) {
    let mut evidence = table_evidence(consistency);
    change(&mut evidence);
    let mut canary = Canary::default();
    canary.send(at(0));
    let verdict = table(&link(Store::Attempts), &evidence, &mut canary, None, at(1));
    assert_eq!(verdict.state.kind(), kind, "{}", verdict.state);
    assert!(verdict.state.to_string().contains(part), "`{part}` is not in: {}", verdict.state);
}

#[test]
fn a_table_whose_canary_arrives_and_whose_replicas_are_active_is_in_sync() {
    check_table(Consistency::Strong, |_| {}, Kind::InSync, "");
    check_table(Consistency::Eventual, |_| {}, Kind::InSync, "700 ms");
}
#[test]
fn a_strongly_consistent_table_needs_no_latency_metric() {
    let missing = |it: &mut TableEvidence| it.latency = Metric::Missing { why: "no points".into() };
    check_table(Consistency::Strong, missing, Kind::InSync, "");
    check_table(Consistency::Eventual, missing, Kind::Unknown, "ReplicationLatency is missing: no points");
}
#[test]
fn a_metric_that_drops_to_zero_means_stalled() {
    let zero = |it: &mut TableEvidence| {
        it.latency = Metric::Point { value_ms: 0, at: at(-30) };
        it.canary = seen(0);
    };
    check_table(Consistency::Eventual, zero, Kind::Stalled, "dropped to 0");
}
#[test]
fn a_metric_of_zero_beside_a_canary_that_arrives_is_no_certainty() {
    let both = |it: &mut TableEvidence| it.latency = Metric::Point { value_ms: 0, at: at(-30) };
    check_table(Consistency::Eventual, both, Kind::Unknown, "and yet the canary has arrived");
}
#[test]
fn an_old_metric_says_nothing_about_now() {
    let old = |it: &mut TableEvidence| it.latency = Metric::Point { value_ms: 5, at: at(-600) };
    check_table(Consistency::Eventual, old, Kind::Unknown, "10 minutes ago");
}
#[test]
fn a_describe_that_failed_is_unknown_from_either_side() {
    let unseen = || Observed::Unseen { why: "DescribeTable was throttled".into() };
    check_table(Consistency::Strong, |it| it.described_there = unseen(), Kind::Unknown, "eu-west-1 does not say");
    check_table(Consistency::Strong, |it| it.described_here = unseen(), Kind::Unknown, "eu-west-2 does not say");
}
#[test]
fn a_certain_stall_is_a_stall_whatever_else_is_unknown() {
    let both = |it: &mut TableEvidence| {
        here(it).replicas[0].status = "REGION_DISABLED".into();
        it.described_there = Observed::Unseen { why: "dark".into() };
    };
    check_table(Consistency::Strong, both, Kind::Stalled, "REGION_DISABLED");
}
#[test]
fn every_replica_status_is_known_or_unknown_and_never_in_sync_by_accident() {
    for (status, kind) in [
        ("ACTIVE", Kind::InSync),
        ("UPDATING", Kind::InSync),
        ("CREATING", Kind::Unknown),
        ("CREATION_FAILED", Kind::Stalled),
        ("DELETING", Kind::Stalled),
        ("REGION_DISABLED", Kind::Stalled),
        ("INACCESSIBLE_ENCRYPTION_CREDENTIALS", Kind::Stalled),
        ("ARCHIVING", Kind::Stalled),
        ("ARCHIVED", Kind::Stalled),
        ("REPLICATION_NOT_AUTHORIZED", Kind::Stalled),
        ("", Kind::Unknown),
        ("SOMETHING_AWS_ADDS_LATER", Kind::Unknown),
    ] {
        check_table(Consistency::Strong, |it| here(it).replicas[0].status = status.into(), kind, "");
    }
}
#[test]
fn every_witness_status_likewise() {
    for (status, kind) in
        [("ACTIVE", Kind::InSync), ("CREATING", Kind::Unknown), ("DELETING", Kind::Stalled), ("LOST", Kind::Unknown)]
    {
        check_table(Consistency::Strong, |it| here(it).witnesses[0].status = status.into(), kind, "");
    }
}
#[test]
fn a_region_that_knows_of_no_replica_in_the_other_is_stalled() {
    check_table(Consistency::Strong, |it| here(it).replicas.clear(), Kind::Stalled, "knows of no replica in eu-west-1");
}
#[test]
fn a_table_that_replicates_late_says_in_each_report_that_keys_are_not_unique() {
    let mut canary = Canary::default();
    let link = link(Store::Attempts);
    let verdict = table(&link, &table_evidence(Consistency::Eventual), &mut canary, None, at(1));
    assert!(verdict.findings[0].contains("uniqueness across Regions is not guaranteed"), "{:?}", verdict.findings);
    let verdict = table(&link, &table_evidence(Consistency::Strong), &mut canary, None, at(1));
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
}

#[track_caller]
fn check_cliff(
    status: &str,
    consistency: Consistency,
    since: Option<i64>,
    now: i64,
    expected: Option<(i64, CliffStage)>,
) {
    let mut evidence = table_evidence(consistency);
    here(&mut evidence).replicas[0] =
        Replica { region: "eu-west-1".into(), status: status.into(), inaccessible_since: since.map(at) };
    let cliff = table(&link(Store::Attempts), &evidence, &mut Canary::default(), None, at(now)).cliff;
    assert_eq!(
        cliff.map(|cliff| (cliff.deadline, cliff.stage(at(now)))),
        expected.map(|(deadline, it)| (at(deadline), it))
    );
}

const HOUR: i64 = 3600;

#[test]
fn a_replica_without_its_key_is_removed_after_twenty_hours() {
    let inaccessible = "INACCESSIBLE_ENCRYPTION_CREDENTIALS";
    let day = 20 * HOUR;
    for (now, stage) in [
        (0, CliffStage::Seen),
        (12 * HOUR, CliffStage::EightHours),
        (18 * HOUR, CliffStage::TwoHours),
        (day - 1800, CliffStage::HalfAnHour),
        (day, CliffStage::Over),
        (day * 9, CliffStage::Over),
    ] {
        check_cliff(inaccessible, Consistency::Strong, Some(0), now, Some((day, stage)));
        check_cliff("REGION_DISABLED", Consistency::Eventual, Some(0), now, Some((day, stage)));
    }
}
#[test]
fn a_replica_that_is_not_authorized_has_twenty_hours_or_seven_days() {
    let status = "REPLICATION_NOT_AUTHORIZED";
    check_cliff(status, Consistency::Eventual, Some(0), 0, Some((20 * HOUR, CliffStage::Seen)));
    check_cliff(status, Consistency::Strong, Some(0), 0, Some((7 * 24 * HOUR, CliffStage::Seen)));
}
#[test]
fn other_states_have_no_cliff() {
    for status in ["ACTIVE", "UPDATING", "ARCHIVED", "?"] {
        check_cliff(status, Consistency::Strong, Some(0), 0, None);
    }
}
#[test]
fn a_cliff_that_aws_does_not_date_begins_when_it_is_first_seen() {
    let mut evidence = table_evidence(Consistency::Eventual);
    here(&mut evidence).replicas[0].status = "REPLICATION_NOT_AUTHORIZED".into();
    let (link, mut canary) = (link(Store::Attempts), Canary::default());
    let first = table(&link, &evidence, &mut canary, None, at(10)).cliff.unwrap();
    let later = table(&link, &evidence, &mut canary, Some(&first), at(5000)).cliff.unwrap();
    assert_eq!((first.since, later.since), (at(10), at(10)));
}

/// Canaries are sent at the given seconds; the reading is of the last moment.
#[track_caller]
fn check_canary(sent: &[i64], arrived: u64, reading: CanaryReading, now: i64, kind: Kind, part: &str) {
    let mut canary = Canary { arrived, ..Canary::default() };
    for second in sent {
        canary.send(at(*second));
    }
    let state = canary.judge(&reading, &link(Store::Attempts), at(now));
    assert_eq!(state.kind(), kind, "{state}");
    assert!(state.to_string().contains(part), "`{part}` is not in: {state}");
}

#[test]
fn a_canary_that_arrived_is_in_sync() {
    check_canary(&[0], 0, seen(1), 0, Kind::InSync, "400 ms");
}
#[test]
fn a_canary_of_a_later_round_is_as_good() {
    check_canary(&[0], 0, seen(7), 0, Kind::InSync, "");
}
#[test]
fn a_gap_is_stalled_when_it_lasts() {
    check_canary(&[0, 60, 120], 0, seen(0), 124, Kind::Stalled, "3 canaries have not arrived, the oldest after 124 s");
    check_canary(&[0, 60, 120], 0, seen(1), 124, Kind::Stalled, "2 canaries");
}
#[test]
fn a_canary_that_is_late_is_lagging_or_not_yet_known() {
    check_canary(&[0], 0, seen(0), 4, Kind::Unknown, "has not arrived after 4000 ms");
    check_canary(&[0], 0, seen(0), 20, Kind::Lagging, "20000 ms behind");
}
#[test]
fn a_canary_that_goes_back_is_stalled() {
    check_canary(&[0], 9, seen(8), 1, Kind::Stalled, "gone back from canary 9 to 8");
}
#[test]
fn a_canary_that_cannot_be_sent_or_read_is_unknown() {
    let why = || "the peer is dark".to_owned();
    check_canary(&[0], 0, CanaryReading::NotSent { why: why() }, 1, Kind::Unknown, "could be sent in eu-west-1");
    check_canary(&[0], 0, CanaryReading::NotRead { why: why() }, 1, Kind::Unknown, "looked for in eu-west-2");
}
#[test]
fn a_round_that_sees_the_canary_ends_within_twice_the_lag_and_a_second() {
    for polls in [TABLE_POLLS.as_slice(), OBJECT_POLLS.as_slice()] {
        let mut before = Duration::ZERO;
        for poll in polls {
            assert!(*poll <= before * 2 + Duration::from_millis(800), "{poll:?} after {before:?}");
            before = *poll;
        }
    }
}
#[test]
fn canaries_under_way_stay_few_and_keep_the_oldest() {
    let mut canary = Canary::default();
    for minute in 0..500 {
        canary.send(at(minute * 60));
    }
    assert!(canary.under_way.len() <= 16);
    assert_eq!(canary.under_way.first().unwrap().at, at(0));
    assert_eq!(canary.under_way.last().unwrap().sequence, 500);
}

fn beacons(positions: &[u64], last_at: i64) -> Observed<Option<Trail<Beacon>>> {
    let mut trail = Trail::new(region("eu-west-1"));
    let first = last_at - 5 * i64::try_from(positions.len()).unwrap();
    for (number, position) in (1..).zip(positions) {
        let at = at(first + 5 * i64::try_from(number).unwrap());
        trail.add(Beacon { sequence: number, at, position: *position, booked: None });
    }
    Observed::Seen(Some(trail))
}
fn waypoint(position: u64, second: i64) -> Observed<Option<Trail<Waypoint>>> {
    let mut trail = Trail::new(region("eu-west-2"));
    trail.add(Waypoint { sequence: 1, at: at(second), position, lag: None, clock_ahead_ms: None });
    Observed::Seen(Some(trail))
}

#[track_caller]
fn check_ledger(change: impl FnOnce(&mut LedgerEvidence), kind: Kind, part: &str) {
    let mut evidence = LedgerEvidence {
        lag_metric: Metric::Point { value_ms: 80, at: at(-40) },
        connected: Observed::Seen(Some(true)),
        beacons: beacons(&[10, 20, 30], -2),
        waypoints: waypoint(30, -2),
    };
    change(&mut evidence);
    let verdict = ledger(&link(Store::Ledger), &evidence, at(0));
    assert_eq!(verdict.state.kind(), kind, "{}", verdict.state);
    assert!(verdict.state.to_string().contains(part), "`{part}` is not in: {}", verdict.state);
}

#[test]
fn a_ledger_whose_standby_has_the_newest_beacon_is_in_sync() {
    check_ledger(|_| {}, Kind::InSync, "80 ms");
}
#[test]
fn a_ledger_without_its_metric_is_unknown() {
    let missing = Metric::Missing { why: "no points in 15 minutes".into() };
    check_ledger(|it| it.lag_metric = missing, Kind::Unknown, "AuroraGlobalDBRPOLag is missing in eu-west-2");
    check_ledger(|it| it.lag_metric = Metric::Point { value_ms: 1, at: at(-600) }, Kind::Unknown, "600 s ago");
}
#[test]
fn a_ledger_that_falls_behind_is_lagging_and_then_stalled() {
    check_ledger(|it| it.lag_metric = Metric::Point { value_ms: 9000, at: at(-40) }, Kind::Lagging, "9000 ms");
    let positions: Vec<u64> = (1..=12).map(|number| number * 10).collect();
    let behind = |position| {
        let positions = positions.clone();
        move |it: &mut LedgerEvidence| (it.beacons, it.waypoints) = (beacons(&positions, -2), waypoint(position, -2))
    };
    check_ledger(behind(80), Kind::Lagging, "15000 ms");
    check_ledger(behind(10), Kind::Stalled, "reached no beacon for 55 s");
    check_ledger(behind(1), Kind::Stalled, "no beacon of the last hour");
}
#[test]
fn a_ledger_that_rds_wants_to_synchronise_again_is_stalled() {
    check_ledger(|it| it.connected = Observed::Seen(Some(false)), Kind::Stalled, "synchronised again");
    check_ledger(|it| it.connected = Observed::Seen(None), Kind::Unknown, "no SynchronizationStatus");
    check_ledger(|it| it.connected = Observed::Unseen { why: "throttled".into() }, Kind::Unknown, "throttled");
}
#[test]
fn a_primary_or_a_standby_that_is_silent_is_unknown() {
    check_ledger(|it| it.beacons = Observed::Seen(None), Kind::Unknown, "never sent a beacon");
    check_ledger(|it| it.beacons = beacons(&[10], -90), Kind::Unknown, "90 s old");
    check_ledger(|it| it.waypoints = waypoint(30, -90), Kind::Unknown, "90 s ago");
    check_ledger(|it| it.waypoints = Observed::Seen(None), Kind::Unknown, "never noted");
}

fn rule() -> BucketRule {
    BucketRule {
        enabled: true,
        destination: "london".into(),
        selects: None,
        delete_markers: true,
        replica_modifications: true,
        kms_objects: true,
        metrics: true,
    }
}

#[track_caller]
fn check_objects(change: impl FnOnce(&mut ObjectEvidence), kind: Kind, part: &str, findings: &[&str]) {
    let mut evidence = ObjectEvidence {
        destination: "london".into(),
        rules: Observed::Seen(vec![rule()]),
        canary: seen(1),
        status: ObjectStatus::NotNeeded,
        failed: Observed::Seen(None),
    };
    change(&mut evidence);
    let mut canary = Canary::default();
    canary.send(at(0));
    let verdict = objects(&link(Store::Receipts), &evidence, &mut canary, at(1));
    assert_eq!(verdict.state.kind(), kind, "{}", verdict.state);
    assert!(verdict.state.to_string().contains(part), "`{part}` is not in: {}", verdict.state);
    assert_eq!(verdict.findings.len(), findings.len(), "{:?}", verdict.findings);
    for (found, part) in verdict.findings.iter().zip(findings) {
        assert!(found.contains(part), "`{part}` is not in: {found}");
    }
}

#[test]
fn a_bucket_with_a_whole_rule_and_an_arrived_canary_is_in_sync() {
    check_objects(|_| {}, Kind::InSync, "400 ms", &[]);
}
#[test]
fn a_one_way_set_up_is_stalled_the_other_way() {
    check_objects(|it| it.rules = Observed::Seen(vec![]), Kind::Stalled, "no rule replicates from eu-west-1", &[]);
    let off = BucketRule { enabled: false, ..rule() };
    check_objects(|it| it.rules = Observed::Seen(vec![off]), Kind::Stalled, "never arrives", &[]);
    let elsewhere = BucketRule { destination: "paris".into(), ..rule() };
    check_objects(|it| it.rules = Observed::Seen(vec![elsewhere]), Kind::Stalled, "never arrives", &[]);
}
#[test]
fn what_a_rule_leaves_out_is_a_finding() {
    let bare = BucketRule {
        selects: Some("prefix receipts/2026".into()),
        delete_markers: false,
        replica_modifications: false,
        kms_objects: false,
        metrics: false,
        ..rule()
    };
    let expected = [
        "only prefix receipts/2026",
        "DeleteMarkerReplication",
        "ReplicaModifications",
        "SSE-KMS",
        "counts what FAILED",
    ];
    check_objects(|it| it.rules = Observed::Seen(vec![bare]), Kind::InSync, "", &expected);
}
#[test]
fn a_failed_object_is_stalled_and_a_pending_one_is_waited_for() {
    let waiting = |status| move |it: &mut ObjectEvidence| (it.canary, it.status) = (seen(0), status);
    check_objects(waiting(ObjectStatus::Failed), Kind::Stalled, "S3 does not try again", &[]);
    check_objects(waiting(ObjectStatus::Pending), Kind::Unknown, "has not arrived", &[]);
}
#[test]
fn objects_that_failed_while_the_canary_arrives_are_stalled_all_the_same() {
    check_objects(|it| it.failed = Observed::Seen(Some(3)), Kind::Stalled, "3 objects of eu-west-1 have FAILED", &[]);
    check_objects(|it| it.failed = Observed::Seen(Some(0)), Kind::InSync, "", &[]);
    let unseen = Observed::Unseen { why: "throttled".into() };
    check_objects(|it| it.failed = unseen, Kind::Unknown, "not counted: throttled", &[]);
}
#[test]
fn rules_that_cannot_be_read_are_unknown() {
    let unread = Observed::Unseen { why: "AccessDenied".into() };
    check_objects(|it| it.rules = unread, Kind::Unknown, "AccessDenied", &[]);
}

fn verdict(state: StoreState) -> Verdict {
    Verdict { state, findings: Vec::new(), cliff: None }
}
fn in_sync() -> Verdict {
    verdict(StoreState::InSync { lag: Duration::ZERO })
}

#[test]
fn only_a_change_is_news() {
    let (link, mut record) = (link(Store::Attempts), ReplicationRecord::default());
    assert_eq!(record.note(&link, in_sync(), at(0)), None, "in sync from the beginning");
    assert_eq!(record.note(&link, in_sync(), at(60)), None);
    let stalled = record.note(&link, verdict(StoreState::stalled("x")), at(120)).unwrap();
    assert!(stalled.concerns_people());
    assert_eq!(stalled.was, Some(Kind::InSync));
    assert_eq!(record.note(&link, verdict(StoreState::stalled("y")), at(180)), None, "stalled as before");
    assert_eq!(record.link(&link).unwrap().since, at(120));
    let again = record.note(&link, in_sync(), at(240)).unwrap();
    assert!(again.concerns_people());
    assert_eq!(again.since, at(240));
}
#[test]
fn a_link_that_is_stalled_when_it_is_first_seen_is_news() {
    let change = ReplicationRecord::default().note(&link(Store::Receipts), verdict(StoreState::stalled("x")), at(0));
    assert!(change.unwrap().concerns_people());
}
#[test]
fn an_unknown_is_news_for_people_once_it_lasts() {
    let (link, mut record) = (link(Store::Ledger), ReplicationRecord::default());
    let unknown = || verdict(StoreState::unknown("throttled"));
    assert!(!record.note(&link, unknown(), at(0)).unwrap().concerns_people());
    assert_eq!(record.note(&link, unknown(), at(240)), None);
    assert!(record.note(&link, unknown(), at(300)).unwrap().concerns_people());
    assert_eq!(record.note(&link, unknown(), at(360)), None);
}
#[test]
fn a_recovery_is_told_even_if_it_was_unknown_in_between() {
    let (link, mut record) = (link(Store::Attempts), ReplicationRecord::default());
    record.note(&link, verdict(StoreState::stalled("x")), at(0));
    assert!(!record.note(&link, verdict(StoreState::unknown("y")), at(60)).unwrap().concerns_people());
    assert!(record.note(&link, in_sync(), at(120)).unwrap().concerns_people());
    record.note(&link, verdict(StoreState::unknown("y")), at(180));
    assert!(!record.note(&link, in_sync(), at(240)).unwrap().concerns_people());
}
#[test]
fn an_unknown_of_a_dark_region_is_told_only_when_it_outlasts_the_dark() {
    let (link, mut record) = (link(Store::Ledger), ReplicationRecord::default());
    let unknown = || verdict(StoreState::unknown("dark"));
    let told: Vec<i64> =
        (0..10).filter(|it| record.note_in_the_dark(&link, unknown(), at(it * 60)).is_some()).collect();
    assert_eq!(told, [0]);
    assert!(record.note(&link, unknown(), at(600)).unwrap().concerns_people());
}
#[test]
fn each_stage_of_a_cliff_is_news_once() {
    let (link, mut record) = (link(Store::Attempts), ReplicationRecord::default());
    let cliff =
        Cliff { region: "eu-west-2".into(), status: "REGION_DISABLED".into(), since: at(0), deadline: at(20 * HOUR) };
    let stalled = || Verdict { cliff: Some(cliff.clone()), ..verdict(StoreState::stalled("x")) };
    let told: Vec<i64> = (0..=20 * 60 + 5).filter(|it| record.note(&link, stalled(), at(it * 60)).is_some()).collect();
    assert_eq!(told, [0, 12 * 60, 18 * 60, 19 * 60 + 30, 20 * 60]);
}

#[track_caller]
fn check_gate(record: &Observed<Option<ReplicationRecord>>, now: i64, parts: &[&str]) {
    let blocked = reasons_not_to_move(&region("eu-west-1"), &region("eu-west-2"), record, "by hand", at(now));
    assert_eq!(blocked.len(), parts.len(), "{blocked:?}");
    for (block, part) in blocked.iter().zip(parts) {
        assert_eq!(block.guard, Guard::Replication);
        assert!(block.evidence.contains(part), "`{part}` is not in: {}", block.evidence);
    }
}
fn all_in_sync() -> ReplicationRecord {
    let (dublin, london) = (region("eu-west-1"), region("eu-west-2"));
    let mut record = ReplicationRecord::default();
    for (from, to) in [(&dublin, &london), (&london, &dublin)] {
        for store in [Store::Attempts, Store::Ledger, Store::Receipts] {
            record.note(&Link::new(store, from, to), in_sync(), at(0));
        }
    }
    record
}

#[test]
fn the_gate_is_open_when_all_are_in_sync_and_known_to_be() {
    check_gate(&Observed::Seen(Some(all_in_sync())), 100, &[]);
}
#[test]
fn the_gate_is_shut_by_what_is_not_known() {
    check_gate(&Observed::Unseen { why: "no table".into() }, 0, &["no table"]);
    check_gate(&Observed::Seen(None), 0, &["never looked"]);
    let mut one_way = ReplicationRecord::default();
    one_way.note(&link(Store::Ledger), in_sync(), at(0));
    let missing =
        ["attempts from eu-west-1", "attempts from eu-west-2", "receipts from eu-west-1", "receipts from eu-west-2"];
    check_gate(&Observed::Seen(Some(one_way)), 10, &missing);
    check_gate(&Observed::Seen(Some(all_in_sync())), 200, &["was not looked at since"; 5]);
}
#[test]
fn the_gate_is_shut_by_every_state_but_in_sync() {
    let lagging = StoreState::Lagging { lag: Duration::from_secs(9), lag_max: Duration::from_secs(5) };
    for state in [StoreState::stalled("x"), StoreState::unknown("y"), lagging] {
        let mut record = all_in_sync();
        record.note(&link(Store::Attempts), verdict(state), at(1));
        check_gate(&Observed::Seen(Some(record)), 10, &["attempts from eu-west-1 to eu-west-2 is "]);
    }
}
