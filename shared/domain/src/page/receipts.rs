//! The page about reconciled receipts: only what a machine must not decide.

use std::time::Duration;

use super::{Page, Severity, Turn};
use crate::receipts::{Class, State, Summary};

/// The page for a run; `None` when nothing is left for a person.
pub(super) fn reconciled(summary: &Summary, cluster: &str) -> Option<Page> {
    let plan = &summary.plan;
    let refused = summary.refused.values().fold(0_u64, |sum, number| sum.saturating_add(*number));
    let left = [
        (plan.keys(Class::Conflict), "in conflict"),
        (plan.keys(Class::Uncheckable), "uncheckable"),
        (plan.keys(Class::Erased), "erased on one side"),
        (plan.keys(Class::Failed).saturating_add(refused), "refused by S3"),
        (if summary.state == State::Planned { plan.to_do() } else { 0 }, "to be copied or deleted"),
    ];
    let left: Vec<String> =
        left.iter().filter(|(keys, _)| *keys > 0).map(|(keys, what)| format!("{keys} {what}")).collect();
    if left.is_empty() && summary.state != State::Unfinished {
        return None;
    }
    let left = if left.is_empty() { "unknown: the run did not finish".to_owned() } else { left.join(", ") };
    let apply = match summary.state {
        State::Planned if plan.to_do() > 0 => format!(
            "\nTo carry the plan out:\naws lambda invoke --region {} --function-name holdfast-reconcile-receipts:live \\\n  --cli-binary-format raw-in-base64-out --payload '{{\"action\":\"apply_receipts\",\"by\":\"<you>\"}}' /dev/stdout",
            summary.region
        ),
        State::Planned | State::Applied | State::Unfinished => String::new(),
    };
    Some(Page {
        thread: format!("{cluster}/receipts/{}", summary.run),
        kind: "receipts".into(),
        rank: 0,
        severity: Severity::Warning,
        turn: Turn::Tells,
        section: "receipts".into(),
        headline: format!("Receipts of the two Regions differ: {left}."),
        body: format!("{summary}\nNeeded from you: look at the lines of each class that is not InSync.{apply}"),
        avoid: None,
        quiet: Some(Duration::from_secs(3600)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipts::Tally;
    use crate::{Region, Timestamp};

    #[track_caller]
    fn check(state: State, classes: &[(Class, u64)], expected: Option<&str>) {
        let mut plan = Tally::default();
        for (class, keys) in classes {
            plan.add(*class, *keys, 0);
        }
        let summary = Summary {
            run: "r1".into(),
            region: Region::new("eu-west-2").unwrap(),
            state,
            plan,
            done: 0,
            moved_on: 0,
            refused: std::collections::BTreeMap::new(),
            began: Timestamp::UNIX_EPOCH,
            took_ms: 1,
            pages: 1,
            lines: "bucket/holdfast/".into(),
            lists: None,
            jobs: Vec::new(),
        };
        let page = reconciled(&summary, "c");
        assert_eq!(page.map(|page| page.headline).as_deref(), expected);
    }

    #[test]
    fn only_what_a_person_must_decide_is_paged() {
        check(State::Planned, &[(Class::InSync, 9), (Class::Pending, 2)], None);
        check(State::Applied, &[(Class::InSync, 9), (Class::CopyToLondon, 2)], None);
        check(
            State::Applied,
            &[(Class::Conflict, 2), (Class::Erased, 1)],
            Some("Receipts of the two Regions differ: 2 in conflict, 1 erased on one side."),
        );
        check(
            State::Planned,
            &[(Class::DeletePropagates, 2)],
            Some("Receipts of the two Regions differ: 2 to be copied or deleted."),
        );
    }
    #[test]
    fn an_unfinished_run_is_unknown_and_not_nothing() {
        check(
            State::Unfinished,
            &[(Class::InSync, 9)],
            Some("Receipts of the two Regions differ: unknown: the run did not finish."),
        );
    }
}
