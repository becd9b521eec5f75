use proptest::prelude::*;

use super::*;

const NOW: i64 = 10_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object(id: &str, second: i64, etag: &str, head: Head) -> Version {
    let content = Some(Content { size: 10, etag: etag.to_owned() });
    Version { id: id.to_owned(), modified: at(second), content, looked: Looked::Found(head) }
}

fn marker(id: &str, second: i64) -> Version {
    Version { id: id.to_owned(), modified: at(second), content: None, looked: Looked::No }
}

fn status(replication: Replication) -> Head {
    Head { replication: Some(replication), ..Head::default() }
}

/// What one side did after `v1` was on both.
fn history(side: Side, state: &str) -> Vec<Version> {
    let id = |name: &str| format!("{name}-{side}");
    let v1 = || object("v1", 0, "e1", Head::default());
    let plain = |name: &str, second| object(&id(name), second, &format!("e_{name}_{side}"), Head::default());
    match state {
        "absent" => vec![],
        "v1" => vec![v1()],
        "v2" => vec![plain("v2", 100), v1()],
        "deleted" => vec![marker(&id("m"), 200), v1()],
        "rewritten" => vec![plain("r", 300), marker(&id("m"), 200), v1()],
        "multipart" => vec![object(&id("p"), 100, &format!("e-{side}-2"), Head::default()), v1()],
        "kms" => vec![object(&id("k"), 100, "e-k", Head { kms: true, ..Head::default() }), v1()],
        "pending" => vec![object(&id("n"), NOW - 60, &format!("e_n_{side}"), status(Replication::Pending)), v1()],
        "failed" => vec![object(&id("f"), 100, &format!("e_f_{side}"), status(Replication::Failed)), v1()],
        other => panic!("there is no state {other}"),
    }
}

fn settled(mut facts: Facts, policy: &ReceiptsPolicy) -> Verdict {
    settle(&mut facts, policy, at(NOW), |_, version| panic!("{} was not to be looked at", version.id))
}

/// Every pair of states: `=` in sync, `<` copy to Dublin, `>` copy to London, `d` delete in Dublin, `l` delete in London,
/// `p` pending, `x` conflict, `?` uncheckable. Rows are Dublin's state and columns London's.
const PAIRS: &str = "
           absent v1 v2 deleted rewritten multipart kms pending failed
absent     =      <  <  =       <         <         <   p       <
v1         >      =  <  d       <         <         <   p       <
v2         >      >  x  d       x         ?         ?   p       x
deleted    =      l  l  =       <         l         l   p       l
rewritten  >      >  x  >       x         ?         ?   p       x
multipart  >      >  ?  d       ?         ?         ?   p       ?
kms        >      >  ?  d       ?         ?         ?   p       ?
pending    p      p  p  p       p         p         p   p       p
failed     >      >  x  d       x         ?         ?   p       x
";

#[test]
fn every_pair_of_states_comes_to_the_expected_action() {
    let mut lines = PAIRS.trim_matches('\n').lines();
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut pairs = 0;
    for line in lines {
        let mut words = line.split_whitespace();
        let row = words.next().unwrap();
        for (column, expected) in columns.iter().zip(words) {
            let facts = Facts { dublin: history(Side::Dublin, row), london: history(Side::London, column) };
            let verdict = settled(facts, &ReceiptsPolicy::default());
            let found = match &verdict {
                Verdict::InSync => "=",
                Verdict::CopyToDublin(_) => "<",
                Verdict::CopyToLondon(_) => ">",
                Verdict::DeletePropagates(Delete { to: Side::Dublin, .. }) => "d",
                Verdict::DeletePropagates(Delete { to: Side::London, .. }) => "l",
                Verdict::Pending { .. } => "p",
                Verdict::Conflict { .. } => "x",
                Verdict::Uncheckable { .. } => "?",
                Verdict::Erased { .. } => "e",
                Verdict::Failed { .. } => "f",
            };
            assert_eq!(found, expected, "{row} in Dublin, {column} in London: {verdict}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 81);
}

#[track_caller]
fn check(dublin: Vec<Version>, london: Vec<Version>, expected: &str) {
    check_with(&ReceiptsPolicy::default(), dublin, london, expected);
}

#[track_caller]
fn check_with(policy: &ReceiptsPolicy, dublin: Vec<Version>, london: Vec<Version>, expected: &str) {
    assert_eq!(settled(Facts { dublin, london }, policy).to_string(), expected);
}

fn plain(id: &str, second: i64) -> Version {
    object(id, second, id, Head::default())
}

#[test]
fn the_same_version_is_current_on_both_sides() {
    check(vec![plain("a", 5), plain("b", 1)], vec![plain("a", 5)], "in sync");
}
#[test]
fn both_sides_are_deleted_in_their_own_way() {
    check(vec![marker("m", 9), plain("a", 5)], vec![marker("n", 7), plain("b", 6)], "in sync");
}
#[test]
fn a_side_that_is_behind_is_fast_forwarded() {
    check(
        vec![plain("a", 1)],
        vec![plain("b", 5), plain("a", 1)],
        "copy b (10 bytes) to Dublin over a, which stays as a noncurrent version: the other side is behind",
    );
}
#[test]
fn a_delete_of_what_the_other_side_still_has_is_propagated() {
    check(
        vec![marker("m", 5), plain("a", 1)],
        vec![plain("a", 1)],
        "delete in London: marker m is newer than a, which stays as a noncurrent version",
    );
}
#[test]
fn a_delete_newer_than_a_write_that_it_never_saw_wins() {
    check(
        vec![marker("m", 9), plain("a", 1)],
        vec![plain("b", 5), plain("a", 1)],
        "delete in London: marker m is newer than b, which stays as a noncurrent version",
    );
}
#[test]
fn a_delete_and_a_write_of_one_second_are_for_a_person() {
    check(
        vec![marker("m", 5)],
        vec![plain("b", 5)],
        "conflict: m in Dublin and b in London differ, and neither knows the other; both stay, a person decides",
    );
}
#[test]
fn what_was_written_after_a_delete_is_not_deleted_by_it() {
    check(
        vec![plain("c", 9), marker("m", 5), plain("a", 1)],
        vec![marker("m", 5), plain("a", 1)],
        "copy c (10 bytes) to London: it was written after the other side's delete",
    );
}
#[test]
fn a_young_delete_is_left_to_s3() {
    check(
        vec![marker("m", NOW - 30), plain("a", 1)],
        vec![plain("a", 1)],
        "left to S3: m in Dublin is 30 s old and on its way",
    );
}
#[test]
fn pending_ends_when_its_age_passes_the_bound() {
    for (age, expected) in [
        (900, "left to S3: a in Dublin is 900 s old and on its way"),
        (901, "copy a (10 bytes) to London: S3 has not replicated it in time"),
    ] {
        check(vec![object("a", NOW - age, "e", status(Replication::Pending))], vec![], expected);
    }
}
#[test]
fn a_failed_replication_is_copied_whatever_its_age() {
    check(
        vec![object("a", NOW, "e", status(Replication::Failed))],
        vec![],
        "copy a (10 bytes) to London: S3 has given its replication up",
    );
}
#[test]
fn a_version_that_was_deleted_by_its_id_is_reported_and_not_brought_back() {
    let erased =
        |side| format!("erased: S3 says that a was in {side}, and it is not; it was deleted there by its version id");
    check(vec![object("a", 1, "e", status(Replication::Completed))], vec![], &erased("London"));
    check(vec![], vec![object("a", 1, "e", status(Replication::Replica))], &erased("Dublin"));
    let restores = ReceiptsPolicy { restore_erased: true, ..ReceiptsPolicy::default() };
    check_with(
        &restores,
        vec![object("a", 1, "e", status(Replication::Completed))],
        vec![],
        "copy a (10 bytes) to London: it was erased on the other side, and the policy restores",
    );
}
#[test]
fn a_missing_version_is_no_evidence_of_a_deletion() {
    check(vec![plain("a", 1)], vec![], "copy a (10 bytes) to London: the other side never had the key");
}
#[test]
fn what_has_just_arrived_is_not_called_erased() {
    check(
        vec![object("a", NOW - 5, "e", status(Replication::Completed))],
        vec![],
        "left to S3: a in Dublin is 5 s old and on its way",
    );
}
#[test]
fn a_version_from_before_versioning_names_nothing() {
    let (mine, theirs) = (object("null", 1, "one", Head::default()), object("null", 2, "two", Head::default()));
    check(
        vec![mine.clone()],
        vec![theirs],
        "conflict: null in Dublin and null in London differ, and neither knows the other; both stay, a person decides",
    );
    check(vec![mine.clone()], vec![mine], "in sync");
}

fn copied(id: &str, second: i64, origin: &str) -> Version {
    object(id, second, id, Head { origin: Some(origin.to_owned()), kms: true, ..Head::default() })
}

#[test]
fn a_copy_of_ours_is_the_version_that_it_copies() {
    check(vec![copied("c", 50, "a")], vec![plain("a", 1)], "in sync");
    check(
        vec![copied("c", 50, "a")],
        vec![plain("b", 60), plain("a", 1)],
        "copy b (10 bytes) to Dublin over c, which stays as a noncurrent version: the other side is behind",
    );
    check(
        vec![plain("d", 70), copied("c", 50, "a")],
        vec![plain("a", 1)],
        "copy d (10 bytes) to London over a, which stays as a noncurrent version: the other side is behind",
    );
}
#[test]
fn only_what_the_listing_cannot_decide_is_looked_at() {
    let unseen = |id: &str, second| Version { looked: Looked::No, ..plain(id, second) };
    let looks = |dublin: Vec<Version>, london: Vec<Version>| {
        let mut looks = Vec::new();
        let mut facts = Facts { dublin, london };
        settle(&mut facts, &ReceiptsPolicy::default(), at(NOW), |side, version| {
            looks.push(format!("{} in {side}", version.id));
            Looked::Found(Head::default())
        });
        looks
    };
    assert!(looks(vec![unseen("a", 1)], vec![unseen("a", 1)]).is_empty());
    assert!(looks(vec![marker("m", 5), unseen("a", 1)], vec![unseen("a", 1)]).is_empty());
    assert_eq!(looks(vec![unseen("a", 1)], vec![]), ["a in Dublin"]);
    assert_eq!(looks(vec![unseen("a", 1)], vec![unseen("b", 5), unseen("a", 1)]), ["b in London"]);
    assert_eq!(
        looks(vec![unseen("c", 9), unseen("a", 1)], vec![unseen("b", 5), unseen("a", 1)]),
        ["c in Dublin", "b in London", "a in Dublin", "a in London"]
    );
}
#[test]
fn what_s3_refuses_to_show_is_failed_with_its_code() {
    let refused = Version { looked: Looked::Refused("AccessDenied".into()), ..plain("a", 1) };
    check(vec![refused.clone()], vec![], "failed: S3 in Dublin answers AccessDenied");
    check(vec![plain("b", 2)], vec![refused], "failed: S3 in London answers AccessDenied");
}

#[test]
fn a_policy_may_prefer_a_side_or_the_newest() {
    let (dublin, london) = (vec![plain("a", 5)], vec![plain("b", 9)]);
    let copied = |version: &str, to: &str, over: &str| {
        format!(
            "copy {version} (10 bytes) to {to} over {over}, which stays as a noncurrent version: both sides wrote, and the policy prefers this one"
        )
    };
    for (conflicts, expected) in [
        (Conflicts::PreferDublin, copied("a", "London", "b")),
        (Conflicts::PreferLondon, copied("b", "Dublin", "a")),
        (Conflicts::PreferNewest, copied("b", "Dublin", "a")),
    ] {
        let policy = ReceiptsPolicy { conflicts, ..ReceiptsPolicy::default() };
        check_with(&policy, dublin.clone(), london.clone(), &expected);
    }
}

#[test]
fn content_is_compared_by_checksum_and_by_etag_only_where_it_is_one() {
    use ChecksumKind::{Composite, FullObject};
    let sum = |kind, algorithm: &str, value: &str| Checksum { algorithm: algorithm.into(), kind, value: value.into() };
    let of = |etag: &str, checksum: Option<Checksum>, kms| {
        (Content { size: 10, etag: etag.into() }, Head { checksum, kms, ..Head::default() })
    };
    let full = |value| Some(sum(FullObject, "CRC64NVME", value));
    let parts = |value| Some(sum(Composite, "SHA256", value));
    for (one, other, expected) in [
        (of("a", None, false), of("a", None, false), "Same"),
        (of("a", None, false), of("b", None, false), "Different"),
        (of("a-2", None, false), of("a-2", None, false), "Unknown"),
        (of("a", None, true), of("a", None, false), "Unknown"),
        (of("", None, false), of("", None, false), "Unknown"),
        (of("a-2", full("x"), true), of("b", full("x"), false), "Same"),
        (of("a-2", full("x"), true), of("b", full("y"), false), "Different"),
        (of("a-2", parts("x-2"), false), of("b-2", parts("x-2"), false), "Same"),
        (of("a-2", parts("x-2"), false), of("b-3", parts("y-3"), false), "Unknown"),
        (of("a", parts("x-1"), false), of("a", full("x"), false), "Same"),
        (of("a", Some(sum(FullObject, "SHA1", "x")), false), of("b", full("x"), false), "Different"),
    ] {
        let found = compare((&one.0, &one.1), (&other.0, &other.1));
        assert!(format!("{found:?}").starts_with(expected), "{one:?} and {other:?}: {found:?}");
    }
    let longer = Content { size: 11, etag: "a".into() };
    let (content, head) = of("a", full("x"), false);
    assert_eq!(compare((&content, &head), (&longer, &head)), Sameness::Different);
}

#[test]
fn a_plan_line_survives_a_round_trip_and_carries_its_sentence() {
    let facts = Facts { dublin: history(Side::Dublin, "v2"), london: history(Side::London, "v1") };
    let verdict = settled(facts, &ReceiptsPolicy::default());
    let line = PlanLine { key: "receipts/a".into(), says: verdict.to_string(), verdict };
    let json = serde_json::to_string(&line).unwrap();
    assert!(json.starts_with(r#"{"key":"receipts/a","class":"CopyToLondon","version":"v2-Dublin""#), "{json}");
    assert_eq!(serde_json::from_str::<PlanLine>(&json).unwrap(), line);
}

#[test]
fn a_summary_fits_a_screen_and_an_unfinished_one_is_never_clean() {
    let mut plan = Tally::default();
    plan.add(Class::InSync, 990, 0);
    let mut summary = Summary {
        run: "r1".into(),
        region: crate::Region::new("eu-west-2").unwrap(),
        state: State::Planned,
        plan,
        done: 0,
        moved_on: 0,
        refused: std::collections::BTreeMap::new(),
        began: at(0),
        took_ms: 500,
        pages: 2,
        lines: "bucket/holdfast/reconcile/r1/".into(),
        lists: None,
        jobs: Vec::new(),
    };
    assert!(summary.is_clean());
    summary.state = State::Unfinished;
    assert!(!summary.is_clean() && summary.to_string().contains("NOT FINISHED"));
    summary.state = State::Applied;
    summary.plan.add(Class::Conflict, 10, 4096);
    assert!(!summary.is_clean());
    let text = summary.to_string();
    assert!(text.lines().count() <= 20 && text.contains("1000 keys in 0.500 s, 2000 keys/s"), "{text}");
    assert!(
        text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == ["Conflict", "10", "4096"]),
        "{text}"
    );
}

/// Versions of one key, drawn from few ids, times and contents, so that pairs meet in every way.
fn versions() -> impl Strategy<Value = Vec<Version>> {
    let statuses = [
        None,
        Some(Replication::Pending),
        Some(Replication::Completed),
        Some(Replication::Failed),
        Some(Replication::Replica),
    ];
    let one = (0..6_u8, 0..4_i64, any::<bool>(), 0..5_usize, prop::option::of(0..6_u8), any::<bool>(), 0..8_u8)
        .prop_map(move |(id, second, is_marker, status, origin, kms, refused)| {
            let modified = at(NOW - 1000 + second * 300);
            if is_marker {
                return Version { modified, ..marker(&format!("m{id}"), 0) };
            }
            let origin = origin.map(|origin| format!("v{origin}"));
            let head = Head { replication: statuses[status], origin, kms, checksum: None };
            let looked = if refused == 0 { Looked::Refused("AccessDenied".into()) } else { Looked::Found(head) };
            let content = Some(Content { size: 10 + u64::from(id % 2), etag: format!("e{}", id % 3) });
            Version { id: format!("v{id}"), modified, content, looked }
        });
    prop::collection::vec(one, 0..5)
}

/// Carries a verdict out as S3 does, far later.
fn applied(mut facts: Facts, verdict: &Verdict) -> Facts {
    let (to, version) = match verdict {
        Verdict::CopyToDublin(_) | Verdict::CopyToLondon(_) => {
            let to = if matches!(verdict, Verdict::CopyToDublin(_)) { Side::Dublin } else { Side::London };
            let source = facts.on(to.other())[0].clone();
            let head = Head { origin: Some(source.id.clone()), ..source.head().cloned().unwrap_or_default() };
            let head = Head { replication: None, ..head };
            (to, Version { id: "copy".into(), modified: at(NOW), looked: Looked::Found(head), ..source })
        }
        Verdict::DeletePropagates(delete) => (delete.to, marker("ours", NOW)),
        Verdict::InSync
        | Verdict::Pending { .. }
        | Verdict::Conflict { .. }
        | Verdict::Uncheckable { .. }
        | Verdict::Erased { .. }
        | Verdict::Failed { .. } => return facts,
    };
    facts.on_mut(to).insert(0, version);
    facts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_found_comes_to_one_verdict_and_its_mirror_image(dublin in versions(), london in versions()) {
        let facts = Facts { dublin: dublin.clone(), london: london.clone() };
        let verdict = settled(facts, &ReceiptsPolicy::default());
        let mirrored = settled(Facts { dublin: london, london: dublin }, &ReceiptsPolicy::default());
        let expected = match verdict.class() {
            Class::CopyToDublin => Class::CopyToLondon,
            Class::CopyToLondon => Class::CopyToDublin,
            class @ (Class::InSync | Class::Pending | Class::DeletePropagates | Class::Conflict | Class::Uncheckable
                | Class::Erased | Class::Failed) => class,
        };
        prop_assert_eq!(mirrored.class(), expected);
    }

    #[test]
    fn nothing_is_written_over_a_newer_delete_or_deleted_by_an_older_one(dublin in versions(), london in versions()) {
        let facts = Facts { dublin, london };
        match settled(facts.clone(), &ReceiptsPolicy::default()) {
            Verdict::CopyToDublin(copy) => prop_assert!(!resurrects(&facts, Side::Dublin), "{copy:?}"),
            Verdict::CopyToLondon(copy) => prop_assert!(!resurrects(&facts, Side::London), "{copy:?}"),
            Verdict::DeletePropagates(delete) => {
                let (marker, object) = (&facts.on(delete.to.other())[0], &facts.on(delete.to)[0]);
                let is_ancestor = facts.on(delete.to.other()).iter().any(|known| known.is(object));
                prop_assert!(marker.content.is_none() && (is_ancestor || marker.modified > object.modified));
            }
            Verdict::InSync | Verdict::Pending { .. } | Verdict::Conflict { .. } | Verdict::Uncheckable { .. }
            | Verdict::Erased { .. } | Verdict::Failed { .. } => {}
        }
    }

    #[test]
    fn what_was_applied_is_in_sync_and_planning_again_changes_nothing(dublin in versions(), london in versions()) {
        let facts = Facts { dublin, london };
        let verdict = settled(facts.clone(), &ReceiptsPolicy::default());
        let acts = matches!(verdict.class(), Class::CopyToDublin | Class::CopyToLondon | Class::DeletePropagates);
        let again = settled(applied(facts, &verdict), &ReceiptsPolicy::default());
        prop_assert_eq!(again.class(), if acts { Class::InSync } else { verdict.class() });
    }
}

/// A current delete marker that is newer than the object, and that the object's side does not know of.
fn resurrects(facts: &Facts, to: Side) -> bool {
    let (Some(object), Some(current)) = (facts.on(to.other()).first(), facts.on(to).first()) else { return false };
    let known = facts.on(to.other()).iter().any(|version| version.is(current));
    current.content.is_none() && current.modified > object.modified && !known
}
