//! The pages about replication: a store that stands still, works again or cannot be judged, and replicas about to go.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Page, Severity, Turn};
use crate::attempt::Doubled;
use crate::replication::{Change, CliffStage, Kind, Link, Store};

/// Keys that one page lists; the function's `status` has more.
const KEYS_SHOWN: usize = 20;

/// The page for a change; `None` for what needs no person.
pub(super) fn changed(change: &Change, cluster: &str) -> Option<Page> {
    if !change.concerns_people() {
        return None;
    }
    let link = &change.link;
    let kind = change.verdict.state.kind();
    let what = match (kind, change.cliff_stage, &change.verdict.cliff) {
        (_, Some(stage), Some(cliff)) => {
            return Some(Page {
                // Both directions see the same replica: one page.
                thread: format!("{cluster}/cliff/{}/{}", link.store, cliff.region),
                kind: format!("cliff:{stage:?}:{:.0}", cliff.since),
                // Its stages are told in order, and each is news: the countdown must not be taken for a repetition.
                quiet: None,
                section: "replica-cliff".into(),
                headline: format!(
                    "{}: the replica of the {} in {} is {}.",
                    left(stage, cliff.deadline),
                    link.store,
                    cliff.region,
                    cliff.status
                ),
                body: format!(
                    "{change}.\nAfter that it cannot be brought back; the table would have to be made anew.\n\
                     Needed from you: give the replica back what it lacks: its key, its authorization, its Region.\n{}",
                    look_at(link)
                ),
                ..page(link, cluster, Severity::Critical)
            });
        }
        (Kind::Stalled, _, _) => "does not replicate",
        (Kind::InSync, _, _) => "replicates again",
        (Kind::Lagging, _, _) => "replicates late",
        (Kind::Unknown, _, _) => "cannot be judged for five minutes",
    };
    let severity = match kind {
        Kind::Stalled => Severity::Critical,
        Kind::Unknown | Kind::Lagging => Severity::Warning,
        Kind::InSync => Severity::Info,
    };
    let mut body = format!("{change}, since {:.0}.\n", change.since);
    for finding in &change.verdict.findings {
        let _ = writeln!(body, "Found besides: {finding}.");
    }
    let _ = write!(body, "{}\n{}", need(link, kind), look_at(link));
    Some(Page {
        kind: format!("{kind:?}:{:.0}", change.since),
        headline: format!("{} from {} to {} {what}.", capital(link.store), link.from, link.to),
        body,
        turn: if kind == Kind::InSync { Turn::Ends } else { Turn::Tells },
        ..page(link, cluster, severity)
    })
}

/// The page that lists keys charged more than once.
pub(super) fn accepted_twice(doubled: &[Doubled], cluster: &str) -> Page {
    let mut body = "Both Regions accepted these keys, and each was charged twice:\n".to_owned();
    for one in doubled.iter().take(KEYS_SHOWN) {
        let _ = writeln!(body, "- {one}");
    }
    if doubled.len() > KEYS_SHOWN {
        let _ = writeln!(body, "… and {} more", doubled.len() - KEYS_SHOWN);
    }
    body.push_str(
        "The table replicates asynchronously, so uniqueness across Regions is not guaranteed; last-writer-wins keeps one of each.\n\
         Needed from you: have the payments team refund one charge of each.",
    );
    let first = doubled.first().map(|one| one.key.as_str()).unwrap_or_default();
    let many = if doubled.len() == 1 { "One payment was".into() } else { format!("{} payments were", doubled.len()) };
    Page {
        thread: format!("{cluster}/accepted-twice/{first}"),
        kind: "accepted-twice".into(),
        rank: 0,
        severity: Severity::Critical,
        turn: Turn::Tells,
        section: "accepted-twice".into(),
        headline: format!("{many} charged twice: both Regions accepted the same key."),
        body,
        avoid: None,
        quiet: None,
    }
}

fn page(link: &Link, cluster: &str, severity: Severity) -> Page {
    Page {
        thread: format!("{cluster}/replication/{}/{}/{}", link.store, link.from, link.to),
        kind: String::new(),
        rank: 0,
        severity,
        turn: Turn::Tells,
        section: "replication".into(),
        headline: String::new(),
        body: String::new(),
        avoid: None,
        quiet: Some(Duration::from_secs(600)),
    }
}

/// First on the lock screen: SNS cuts a subject after 100 characters, and two stages must not look the same.
fn left(stage: CliffStage, deadline: crate::Timestamp) -> String {
    match stage {
        CliffStage::Seen => format!("Gone for good at {deadline:.0}"),
        CliffStage::EightHours => "Gone for good in less than eight hours".into(),
        CliffStage::TwoHours => "Gone for good in less than two hours".into(),
        CliffStage::HalfAnHour => "Gone for good in less than half an hour".into(),
        CliffStage::Over => format!("Gone for good since {deadline:.0}"),
    }
}

fn need(link: &Link, kind: Kind) -> String {
    match (kind, link.store) {
        (Kind::InSync, _) => "Needed from you: nothing.".into(),
        (_, Store::Attempts) => format!(
            "Until it is mended a failover may cost more than can be counted, and {} may accept what {} has accepted.\n\
             Needed from you: look at the table's replicas, keys and permissions in both Regions.",
            link.to, link.from
        ),
        (_, Store::Ledger) => format!(
            "Until it is mended everything that {} books is lost if it goes.\nNeeded from you: look at the global cluster.",
            link.from
        ),
        (_, Store::Receipts) => format!(
            "What is written in {} is not in {}.\nNeeded from you: look at the bucket's replication rules, role and keys.",
            link.from, link.to
        ),
    }
}

fn look_at(link: &Link) -> String {
    format!(
        "To see more: aws lambda invoke --region {} --function-name holdfast-verify-replication:live --cli-binary-format raw-in-base64-out --payload '{{\"action\":\"status\"}}' /dev/stdout",
        link.to
    )
}

fn capital(store: Store) -> &'static str {
    match store {
        Store::Attempts => "Attempts",
        Store::Ledger => "The ledger",
        Store::Receipts => "Receipts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::{Cliff, StoreState, Verdict};
    use crate::{Region, Timestamp};

    fn change(was: Option<Kind>, state: StoreState, store: Store) -> Change {
        let (from, to) = (Region::new("eu-west-1").unwrap(), Region::new("eu-west-2").unwrap());
        Change {
            link: Link::new(store, &from, &to),
            was,
            verdict: Verdict { state, findings: vec!["a finding".into()], cliff: None },
            since: Timestamp::UNIX_EPOCH,
            lasts: false,
            recovered: was == Some(Kind::Stalled),
            cliff_stage: None,
        }
    }

    #[track_caller]
    fn check(change: &Change, headline: Option<&str>) {
        let page = changed(change, "g");
        assert_eq!(page.as_ref().map(|page| page.headline.as_str()), headline);
        if let Some(page) = page {
            assert!(
                page.headline.len() <= 140 && page.body.contains("aws lambda invoke --region eu-west-2"),
                "{page:?}"
            );
        }
    }

    #[test]
    fn a_stall_and_its_end_are_pages() {
        let stalled = StoreState::Stalled { why: "x".into() };
        check(
            &change(None, stalled.clone(), Store::Attempts),
            Some("Attempts from eu-west-1 to eu-west-2 does not replicate."),
        );
        check(
            &change(Some(Kind::InSync), stalled, Store::Ledger),
            Some("The ledger from eu-west-1 to eu-west-2 does not replicate."),
        );
        let again = change(Some(Kind::Stalled), StoreState::InSync { lag: Duration::ZERO }, Store::Receipts);
        check(&again, Some("Receipts from eu-west-1 to eu-west-2 replicates again."));
    }
    #[test]
    fn an_unknown_is_a_page_only_when_it_lasts() {
        let mut unknown = change(Some(Kind::InSync), StoreState::Unknown { why: "x".into() }, Store::Ledger);
        check(&unknown, None);
        unknown.lasts = true;
        check(&unknown, Some("The ledger from eu-west-1 to eu-west-2 cannot be judged for five minutes."));
    }
    #[test]
    fn a_lag_is_for_metrics_and_not_for_people() {
        let lagging = StoreState::Lagging { lag: Duration::from_secs(9), lag_max: Duration::from_secs(5) };
        check(&change(Some(Kind::InSync), lagging, Store::Attempts), None);
    }
    #[test]
    fn a_cliff_says_how_much_is_left() {
        let mut near = change(Some(Kind::Stalled), StoreState::Stalled { why: "x".into() }, Store::Attempts);
        let (since, deadline) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        near.verdict.cliff =
            Some(Cliff { region: "eu-west-2".into(), status: "REGION_DISABLED".into(), since, deadline });
        near.cliff_stage = Some(CliffStage::TwoHours);
        check(
            &near,
            Some("Gone for good in less than two hours: the replica of the attempts in eu-west-2 is REGION_DISABLED."),
        );
    }
}
