use super::*;
use crate::paging::EscalationStep;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn page(rank: u8, severity: Severity, turn: Turn) -> Page {
    Page {
        thread: "g/e7".into(),
        kind: format!("k{rank}"),
        rank,
        severity,
        turn,
        section: "s".into(),
        headline: "h".into(),
        body: "b".into(),
        avoid: None,
        quiet: None,
    }
}
fn critical(rank: u8) -> Page {
    page(rank, Severity::Critical, Turn::Tells)
}
fn failed(channels: &[&str]) -> BTreeMap<String, String> {
    channels.iter().map(|channel| ((*channel).to_owned(), "HTTP 500".to_owned())).collect()
}
fn named(channels: &[&str]) -> BTreeSet<String> {
    channels.iter().map(|channel| (*channel).to_owned()).collect()
}
fn acknowledgement(by: &str) -> Acknowledgement {
    Acknowledgement { by: by.into(), comment: String::new(), via: "a command".into(), at: at(60) }
}
fn paging() -> Paging {
    let escalation = vec![
        EscalationStep { after_seconds: 300, channels: vec!["sns".into()] },
        EscalationStep { after_seconds: 900, channels: vec!["managers".into()] },
    ];
    Paging { escalation, ..Paging::default() }
}
fn opened(page: &Page, channels: &[&str]) -> OpenPage {
    OpenPage::after(None, page, failed(channels), at(0)).unwrap()
}

#[track_caller]
fn check(open: &OpenPage, second: i64, expected: Chore) {
    assert_eq!(open.chore(&paging(), at(second)), expected);
}
fn send(channels: &[&str], steps: usize, late: bool) -> Chore {
    Chore::Send { channels: named(channels), steps, late }
}

#[test]
fn a_page_that_everybody_got_and_nobody_must_answer_is_not_kept() {
    assert_eq!(OpenPage::after(None, &page(90, Severity::Info, Turn::Ends), failed(&[]), at(0)), None);
    assert_eq!(OpenPage::after(None, &page(10, Severity::Warning, Turn::Tells), failed(&[]), at(0)), None);
}
#[test]
fn a_channel_that_failed_is_tried_again_and_the_page_comes_late() {
    let open = opened(&page(10, Severity::Warning, Turn::Tells), &["pagerduty"]);
    check(&open, 60, send(&["pagerduty"], 0, true));
    let tried = open.tried(&named(&["pagerduty"]), 0, failed(&["pagerduty"]));
    check(&tried, 120, send(&["pagerduty"], 0, true));
    check(&tried.tried(&named(&["pagerduty"]), 0, failed(&[])), 180, Chore::Done);
    assert_eq!((open.late_by(at(29)), open.late_by(at(30))), (None, Some(Duration::from_secs(30))));
}
#[test]
fn a_channel_is_not_tried_for_ever() {
    let open = opened(&page(10, Severity::Warning, Turn::Tells), &["pagerduty"]);
    check(&open, 6 * 3600, send(&["pagerduty"], 0, true));
    check(&open, 6 * 3600 + 1, Chore::Done);
}
#[test]
fn a_critical_page_that_nobody_acknowledges_goes_to_the_next_people() {
    let open = opened(&critical(10), &[]);
    check(&open, 299, Chore::Rest);
    check(&open, 300, send(&["sns"], 1, false));
    let once = open.tried(&named(&["sns"]), 1, failed(&[]));
    check(&once, 600, Chore::Rest);
    check(&once, 900, send(&["managers"], 2, false));
    let twice = once.tried(&named(&["managers"]), 2, failed(&[]));
    check(&twice, 24 * 3600, Chore::Rest);
    check(&twice, 24 * 3600 + 1, Chore::Done);
}
#[test]
fn a_channel_that_failed_is_part_of_the_next_step() {
    check(&opened(&critical(10), &["pagerduty"]), 300, send(&["pagerduty", "sns"], 1, false));
}
#[test]
fn an_acknowledged_page_calls_nobody_and_who_was_first_is_kept() {
    let open = opened(&critical(10), &[]).acknowledged_by(acknowledgement("ada"));
    check(&open, 300, Chore::Done);
    let again = open.acknowledged_by(acknowledgement("grace"));
    assert_eq!(again.acknowledged.unwrap().by, "ada");
}
#[test]
fn whoever_has_a_thread_keeps_it_until_somebody_must_decide() {
    let mine = opened(&critical(10), &[]).acknowledged_by(acknowledgement("ada"));
    let told = OpenPage::after(Some(mine.clone()), &critical(60), failed(&[]), at(90)).unwrap();
    check(&told, 390, Chore::Done);
    let asked = page(20, Severity::Critical, Turn::Asks);
    let asked = OpenPage::after(Some(mine), &asked, failed(&[]), at(90)).unwrap();
    check(&asked, 390, send(&["sns"], 1, false));
}
#[test]
fn a_late_lower_state_does_not_replace_a_higher_one() {
    let restored = opened(&critical(60), &["pagerduty"]);
    let still = OpenPage::after(Some(restored.clone()), &critical(10), failed(&[]), at(5)).unwrap();
    assert_eq!((still.page, still.undelivered, still.version), (restored.page, restored.undelivered, 2));
}
#[test]
fn the_end_of_a_thread_ends_the_calls() {
    let ended = page(90, Severity::Info, Turn::Ends);
    let over = OpenPage::after(Some(opened(&critical(60), &[])), &ended, failed(&[]), at(90)).unwrap();
    check(&over, 400, Chore::Done);
}
#[test]
fn two_who_look_at_once_do_not_both_send() {
    let claimed = opened(&critical(10), &["sns"]).claimed(at(60));
    check(&claimed, 89, Chore::Rest);
    check(&claimed, 90, send(&["sns"], 0, true));
}
#[test]
fn a_rehearsal_waits_for_somebody_and_calls_nobody_else() {
    let open = opened(&page(0, Severity::Warning, Turn::Rehearses), &[]);
    check(&open, 900, Chore::Rest);
    check(&open.acknowledged_by(acknowledgement("ada")), 900, Chore::Done);
}
