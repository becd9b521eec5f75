//! What is sent, to the second and to the rank.

use std::collections::BTreeSet;

use super::*;

fn page(rank: u8, quiet: Option<u64>) -> Page {
    Page {
        thread: "payments/e7".into(),
        kind: "this".into(),
        rank,
        severity: Severity::Info,
        turn: Turn::Tells,
        section: "s".into(),
        headline: "h".into(),
        body: "b".into(),
        avoid: None,
        quiet: quiet.map(Duration::from_secs),
    }
}

/// Judges a page of `rank` against a record that holds `sent` and was last heard of `seconds` ago.
#[track_caller]
fn check(rank: u8, quiet: Option<u64>, highest_rank: u8, sent: &str, seconds: i64, expected: Delivery) {
    let sent = BTreeSet::from([sent.to_owned()]);
    let record = PageRecord {
        version: 1,
        highest_rank,
        sent,
        asked: BTreeSet::new(),
        claimed: BTreeSet::new(),
        last_heard: at(0),
    };
    assert_eq!(page(rank, quiet).delivery(Some(&record), at(seconds)), expected);
}

#[test]
fn a_condition_is_a_new_one_only_after_the_whole_quiet_time() {
    check(0, Some(600), 0, "this", 60, Delivery::Skip);
    check(0, Some(600), 0, "this", 61, Delivery::Heard);
    check(0, Some(600), 0, "this", 600, Delivery::Heard);
    check(0, Some(600), 0, "this", 601, Delivery::Send);
}
#[test]
fn another_condition_of_the_thread_is_sent_at_once() {
    check(0, Some(600), 0, "that", 0, Delivery::Send);
    check(0, Some(600), 90, "that", 0, Delivery::Send);
}
#[test]
fn only_a_settled_incident_overtakes_and_only_what_ranks_lower() {
    check(10, None, 59, "that", 0, Delivery::Send);
    check(10, None, 60, "that", 0, Delivery::Skip);
    check(59, None, 60, "that", 0, Delivery::Skip);
    check(60, None, 60, "that", 0, Delivery::Send);
    check(70, None, 60, "that", 0, Delivery::Send);
    check(70, None, 60, "this", 0, Delivery::Skip);
    check(10, None, 20, "this", 0, Delivery::Skip);
}

#[test]
fn a_record_only_rises() {
    let claimed = page(20, None).claimed(None, at(5));
    let this = BTreeSet::from(["this".to_owned()]);
    let expected = PageRecord {
        version: 1,
        highest_rank: 0,
        sent: BTreeSet::new(),
        asked: BTreeSet::new(),
        claimed: this.clone(),
        last_heard: at(5),
    };
    assert_eq!(claimed, expected);
    let expected = PageRecord {
        version: 2,
        highest_rank: 20,
        sent: this,
        asked: BTreeSet::new(),
        claimed: BTreeSet::new(),
        last_heard: at(9),
    };
    let sent = page(20, None).remembered(Some(claimed), at(9));
    assert_eq!(sent, expected);
    let late = page(10, None).remembered(Some(sent), at(7));
    assert_eq!(late, PageRecord { version: 3, ..expected });
}

/// Seeds 700 and 7472: both pages were on their way at once, and people read that Dublin is back before that writes work.
#[test]
fn that_the_old_region_is_back_waits_for_the_page_that_writes_work() {
    let back = |sent: Option<&[&str]>, rank| {
        let record = sent.map(|sent| PageRecord {
            version: 1,
            highest_rank: rank,
            sent: sent.iter().map(|kind| (*kind).to_owned()).collect(),
            asked: BTreeSet::new(),
            claimed: BTreeSet::new(),
            last_heard: at(0),
        });
        Page { kind: "Reconciling".into(), ..page(70, None) }.delivery(record.as_ref(), at(0))
    };
    assert_eq!(back(None, 0), Delivery::Wait);
    assert_eq!(back(Some(&["Confirmed"]), 10), Delivery::Wait);
    assert_eq!(back(Some(&["Confirmed", "Restored"]), 60), Delivery::Send);
    // It was sent after all: a page that got lost does not hold up those of every minute to come.
    assert_eq!(back(Some(&["Reconciling"]), 70), Delivery::Skip);
}
