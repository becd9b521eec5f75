//! The lab: each option's moral on three seeds, and the proof that a seed is all that it depends on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use holdfast_lab::checker::Measured;
use holdfast_lab::rows::{BASELINE, CLAIMS, ROWS, named};
use holdfast_lab::{Options, play_all, play_some, report};

/// Each seed is played once for all tests.
static PLAYED: LazyLock<BTreeMap<u64, Vec<Measured>>> =
    LazyLock::new(|| (1..=3).map(|seed| (seed, play_all(Options::standard(seed)).unwrap())).collect());

/// What is said of a row must hold on every seed.
#[track_caller]
fn holds(row: &str, says: impl Fn(&Measured)) {
    for played in PLAYED.values() {
        let found = played.iter().find(|measured| measured.row == row);
        says(found.unwrap_or_else(|| panic!("there is no row {row}")));
    }
}

fn within(it: Option<Duration>, from: Duration, to: Duration) -> bool {
    it.is_some_and(|it| it >= from && it <= to)
}
fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_line_of_the_table_is_there_and_runs() {
    for claim in CLAIMS {
        let rows: Vec<_> = ROWS.iter().filter(|row| row.claim.is_some_and(|it| it.option == claim.option)).collect();
        assert!(!rows.is_empty(), "{} has no row", claim.option);
        rows.iter().for_each(|row| holds(row.name, |it| assert_eq!(it.row, row.name)));
    }
    for (seed, played) in PLAYED.iter() {
        assert_eq!(played.len(), ROWS.len() + 1, "seed {seed}");
    }
}

#[test]
fn mrsc_loses_nothing_and_accepts_no_key_twice() {
    holds("global-table-mrsc", |it| {
        assert_eq!((it.lost_at_first_service, it.gone_for_good, it.conflicts, it.overwritten), (0, 0, 0, 0), "{it:?}");
        assert!(it.service_ms[0] >= 14, "a write waits for another Region: {it:?}");
    });
}
#[test]
fn mrec_loses_what_had_not_replicated_and_it_surfaces_later() {
    holds("global-table-mrec", |it| {
        assert!(it.lost_at_first_service > 0 && it.oldest_lost < s(1), "{it:?}");
        assert_eq!((it.resurfaced, it.gone_for_good), (it.lost_at_first_service, 0), "{it:?}");
        assert!(it.conflicts > 0 && it.overwritten == it.conflicts, "last-writer-wins erases one of two: {it:?}");
    });
}
#[test]
fn tables_and_buckets_go_on_in_london_at_once() {
    for row in ["global-table-mrec", "global-table-mrsc", "s3-one-way", "s3-two-way", "dsql"] {
        holds(row, |it| {
            assert!(within(it.recovery_of_writes, Duration::ZERO, s(1)), "{it:?}");
            assert!(it.written.iter().all(|share| *share >= 990), "clients try the other Region: {it:?}");
        });
    }
}
#[test]
fn one_way_replication_never_brings_londons_receipts_to_dublin() {
    holds("s3-one-way", |it| assert!(it.never_in_dublin > 100 && it.diverged > 0, "{it:?}"));
    holds("s3-two-way", |it| {
        assert_eq!((it.never_in_dublin, it.overwritten, it.gone_for_good), (0, 0, 0), "{it:?}");
        assert!(it.kept_both > 0, "both versions of a shared key are kept: {it:?}");
    });
}
#[test]
fn a_global_database_blocks_until_it_is_promoted_and_loses_what_its_lag_held() {
    for row in ["aurora-global-latency", "aurora-global-weighted"] {
        holds(row, |it| {
            assert!(within(it.recovery_of_writes, s(45), s(70)), "{it:?}");
            assert!(
                it.oldest_lost < s(1) && it.conflicts == 0 && it.gone_for_good >= it.lost_at_first_service,
                "{it:?}"
            );
        });
    }
}
#[test]
fn weighted_routing_keeps_london_out_of_dublins_deploys_and_pays_for_it_with_latency_and_more_failed_clients() {
    for played in PLAYED.values() {
        let of = |row: &str| played.iter().find(|it| it.row == row).unwrap();
        let (latency, weighted) = (of("aurora-global-latency"), of("aurora-global-weighted"));
        assert!(latency.in_dublin < 600 && weighted.in_dublin == 1000, "{latency:?} {weighted:?}");
        assert_eq!(latency.first_tries_failed_for[1], Duration::ZERO, "{latency:?}");
        assert!(weighted.first_tries_failed_for[1] > s(20), "{weighted:?}");
    }
}
#[test]
fn a_read_replica_loses_its_lag_for_good_and_takes_minutes() {
    holds("aurora-read-replica", |it| {
        assert!(within(it.recovery_of_writes, s(300), s(360)), "{it:?}");
        assert!(it.lost_at_first_service > 0 && it.oldest_lost >= s(3) && it.oldest_lost <= s(45), "{it:?}");
        assert_eq!((it.resurfaced, it.conflicts), (0, 0), "{it:?}");
    });
}
#[test]
fn a_restore_loses_the_age_of_its_snapshot_and_takes_tens_of_minutes() {
    holds("backup", |it| {
        assert!(within(it.recovery_of_writes, s(20 * 60), s(35 * 60)), "{it:?}");
        assert!(it.oldest_lost >= s(590) && it.oldest_lost <= s(58 * 60), "{it:?}");
        assert!(it.lost_at_first_service > 100 && it.resurfaced == 0, "{it:?}");
        assert!(it.written.iter().all(|share| *share < 600), "{it:?}");
    });
}
#[test]
fn dual_write_accepts_nothing_until_it_is_told_to_go_alone() {
    holds("dual-write", |it| {
        assert!(within(it.recovery_of_writes, s(299), s(303)), "{it:?}");
        assert_eq!((it.lost_at_first_service, it.gone_for_good, it.conflicts), (0, 0, 0), "{it:?}");
        assert!(it.partial > 0, "what one store took and nobody was told of stays: {it:?}");
    });
}
#[test]
fn distributed_sql_breaks_races_off_and_loses_nothing() {
    holds("dsql", |it| {
        assert_eq!((it.lost_at_first_service, it.gone_for_good, it.conflicts), (0, 0, 0), "{it:?}");
        assert!(it.aborted > 0 && it.service_ms[0] >= 14, "{it:?}");
    });
}

#[test]
fn one_seed_prints_the_same_bytes_twice() {
    let names = ["global-table-mrec", "aurora-global-latency", "s3-one-way", "dual-write", "dsql"];
    let rows: Vec<_> = std::iter::once(&BASELINE).chain(names.map(|name| named(name).unwrap())).collect();
    let again = play_some(&rows, Options::standard(1)).unwrap();
    let is_again = |it: &&Measured| again.iter().any(|other| other.row == it.row);
    let first: Vec<Measured> = PLAYED[&1].iter().filter(is_again).cloned().collect();
    let first = &first;
    assert!(report::text(first) == report::text(&again), "two runs of one seed print different tables");
    assert!(report::csv(first).unwrap() == report::csv(&again).unwrap(), "two runs of one seed write different files");
    assert!(report::csv(first).unwrap() != report::csv(&PLAYED[&2]).unwrap(), "the seed has no influence");
}

#[test]
fn every_price_says_where_it_is_from_and_of_when() {
    for (name, source, as_of) in holdfast_lab::cost::prices().sources() {
        assert!(source.contains("https://") && as_of.starts_with("202"), "{name}: {source}, {as_of}");
    }
}

/// What `make lab` prints with seed 1 is in the documentation; whoever changes a figure changes it there.
#[test]
fn the_table_in_the_documentation_is_what_is_printed_today() {
    let documentation = include_str!("../../../docs/topologies.md");
    let block = documentation.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let printed = report::text(&PLAYED[&1]);
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(trimmed(block), trimmed(&printed), "run make lab and paste what it prints into docs/topologies.md");
}
