//! The pages about the ledger: who was lost, how much, what is proposed, and what a person must do.

use std::fmt::Write as _;

use super::{Page, Severity, Turn};
use crate::reconciliation::{Finding, Found, OfOldVolume, Pass, RefusedFile, Summary};

/// Keys that one page lists; the report has all.
const KEYS_READ: usize = 20;

/// The page for a run; `None` where nobody needs to know.
pub(super) fn reconciled(summary: &Summary, cluster: &str) -> Option<Page> {
    let Summary { pass, run, region, finding, report, .. } = summary;
    let (kind, severity, headline, need) = match finding {
        Finding::Unknown { why, .. } => (
            "unknown".to_owned(),
            Severity::Warning,
            format!("Whether the ledger is whole is unknown ({pass}, {run}): {why}"),
            format!("Needed from you: mend what stood in the way, then have it looked at again\n{}", again(summary)),
        ),
        Finding::Complete(found) if found.is_clean() => match pass {
            Pass::Now => return None,
            Pass::Salvage => (
                "clean".to_owned(),
                Severity::Info,
                format!("The new ledger has every payment of the old volume ({run})."),
                "Needed from you: nothing. For this stretch of time the old volume has nothing that the ledger lacks."
                    .to_owned(),
            ),
            Pass::Clearing => (
                "clean".to_owned(),
                Severity::Info,
                format!("Every payment is accounted for ({pass}, {run})."),
                "Needed from you: nothing.".to_owned(),
            ),
        },
        Finding::Complete(found) => {
            let (kind, severity) = if found.lost.count > 0 {
                (format!("lost:{}", found.lost.count), Severity::Critical)
            } else if found.others.is_empty() && found.balanced && found.findings.is_empty() {
                ("doubt".to_owned(), Severity::Warning)
            } else {
                ("breaks".to_owned(), Severity::Warning)
            };
            let headline = match pass {
                Pass::Salvage => format!("Ledger ({pass}, {run}): {}.", OfOldVolume(found)),
                Pass::Now | Pass::Clearing => format!("Ledger ({pass}, {run}): {found}."),
            };
            (kind, severity, headline, what_to_do(*pass, found))
        }
    };
    let mut body = format!("{summary}.\n");
    if let Finding::Complete(found) = finding {
        let lost = match pass {
            Pass::Salvage => "Acknowledged, in the old volume, and not in the new ledger",
            Pass::Now | Pass::Clearing => "Acknowledged and not in the ledger",
        };
        list(&mut body, lost, &found.lost_keys, found.lost.count);
        list(&mut body, "In doubt", &found.in_doubt_keys, found.in_doubt.count);
        for line in found.balance.iter().chain(&found.findings).chain(&found.at_least) {
            let _ = writeln!(body, "{line}.");
        }
    }
    let _ = write!(body, "{need}\n{}", report_at(report.as_deref(), region.as_str()));
    Some(Page {
        thread: format!("{cluster}/ledger/{pass}/{run}"),
        kind: format!("{pass}:{kind}"),
        rank: 0,
        turn: if severity == Severity::Info { Turn::Ends } else { Turn::Tells },
        section: "ledger".into(),
        severity,
        headline,
        body,
        avoid: None,
        quiet: None,
    })
}

fn list(body: &mut String, what: &str, keys: &[String], count: u64) {
    if keys.is_empty() {
        return;
    }
    let shown = keys.len().min(KEYS_READ);
    let _ = write!(body, "{what}: {}", keys[..shown].join(", "));
    let left = count.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    let _ = if left > 0 { writeln!(body, " and {left} more.") } else { writeln!(body, ".") };
}

fn what_to_do(pass: Pass, found: &Found) -> String {
    let mut need = String::new();
    if pass == Pass::Salvage && found.proposed > 0 {
        let _ = writeln!(
            need,
            "Needed from you: have the payments team append the {} entries of proposals.ndjson to the new ledger, each once by its id; Holdfast posts nothing.\n\
             Keep the old volume and its snapshot until they are booked and this pass says that nothing is lacking: no other copy has these bookings.",
            found.proposed
        );
        return need.trim_end().to_owned();
    }
    if found.proposed > found.refunds {
        let _ = writeln!(
            need,
            "Needed from you: have the payments team append the {} entries of proposals.ndjson, each once by its id; Holdfast posts nothing.",
            found.proposed - found.refunds
        );
    }
    if found.refunds > 0 {
        let _ = writeln!(need, "Needed from you: have two people decide about {} refunds.", found.refunds);
    }
    if found.in_doubt.count > 0 {
        need.push_str(
            "Do not charge what is in doubt: its retries are told to come back; the card network's file settles it.\n",
        );
    }
    if !found.balanced {
        need.push_str("Needed from you: the sides do not balance by what was found; look at the report before anything is booked.\n");
    }
    if need.is_empty() {
        need.push_str("Needed from you: read the report.\n");
    }
    need.truncate(need.trim_end().len());
    need
}

fn report_at(report: Option<&str>, region: &str) -> String {
    match report {
        Some(report) => format!("The report:\naws s3 cp --region {region} --recursive {report} ."),
        None => "There is no report.".to_owned(),
    }
}

/// The command that has a pass run again.
fn again(summary: &Summary) -> String {
    let payload = match summary.pass {
        Pass::Now => r#"{"action":"reconcile","pass":"now"}"#,
        Pass::Clearing => r#"{"action":"reconcile","pass":"clearing","object":"<key>"}"#,
        Pass::Salvage => r#"{"action":"reconcile","pass":"salvage","from":"<instant>","to":"<instant>"}"#,
    };
    format!(
        "aws lambda invoke --region {} --function-name holdfast-reconcile-ledger:live --cli-binary-format raw-in-base64-out --payload '{payload}' /dev/stdout",
        summary.region
    )
}

/// The page for a file that was put aside.
pub(super) fn refused(file: &RefusedFile, cluster: &str) -> Page {
    let RefusedFile { object, digest, problem, quarantined_as, .. } = file;
    let aside = match quarantined_as {
        Some(copy) => format!("A copy is at {copy}; the original is where it was."),
        None => "It could not be copied; the original is where it was.".to_owned(),
    };
    Page {
        thread: format!("{cluster}/clearing-file/{digest}"),
        kind: format!("refused:{object}"),
        rank: 0,
        severity: Severity::Warning,
        turn: Turn::Tells,
        section: "clearing-file".into(),
        headline: format!("{object} cannot be used: {problem}"),
        body: format!(
            "{problem}.\nNothing of the file was used. {aside}\n\
             Needed from you: have the provider send it again, or teach the reader what is new in it, and put the good file under another key."
        ),
        avoid: None,
        quiet: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;
    use crate::{Region, Timestamp};

    fn page(pass: Pass, finding: Finding) -> Option<Page> {
        let region = Region::new("eu-west-2").unwrap();
        let report = Some("s3://bucket/holdfast/reconcile-ledger/e1/now/".into());
        reconciled(&Summary { pass, run: "e1".into(), region, finding, report, at: Timestamp::UNIX_EPOCH }, "payments")
    }
    fn found(change: impl FnOnce(&mut Found)) -> Finding {
        let mut found = Found { balanced: true, ..Found::default() };
        change(&mut found);
        Finding::Complete(Box::new(found))
    }
    #[track_caller]
    fn check(page: &Page, parts: &[&str]) {
        let whole = format!("{:?} {} {}\n{}", page.severity, page.kind, page.headline, page.body);
        for part in parts {
            assert!(whole.contains(part), "`{part}` is not in: {whole}");
        }
    }

    #[test]
    fn the_lost_are_named_with_their_money_and_what_is_to_be_done() {
        let eur = Currency::parse("EUR").unwrap();
        let lost = found(|it| {
            (1..=21).for_each(|number| it.lose(&format!("k{number}"), eur, 100));
            it.doubt("d", eur, 7);
            it.proposed = 22;
            it.refunds = 1;
        });
        check(
            &page(Pass::Now, lost).unwrap(),
            &[
                "Critical now:lost:21",
                "21 payments, EUR 21.00 acknowledged and not in the ledger; 1 in doubt",
                "k20 and 1 more",
                "append the 21 entries",
                "decide about 1 refunds",
                "In doubt: d.",
                "s3://bucket/holdfast/reconcile-ledger/e1/now/",
            ],
        );
    }
    #[test]
    fn a_clean_look_at_once_wakes_nobody_and_a_clean_file_is_told() {
        assert_eq!(page(Pass::Now, found(|_| {})), None);
        check(&page(Pass::Clearing, found(|_| {})).unwrap(), &["Info", "Every payment is accounted for"]);
    }
    #[test]
    fn the_old_volumes_page_says_what_it_has_and_what_to_do_with_it() {
        let eur = Currency::parse("EUR").unwrap();
        let lacking = found(|it| {
            it.lose("k1", eur, 100);
            it.others.insert("NetworkOnly".into(), 1);
            it.proposed = 2;
        });
        check(
            &page(Pass::Salvage, lacking).unwrap(),
            &[
                "Critical salvage:lost:1",
                "the old volume has 1 payment, EUR 1.00 acknowledged and not in the new ledger; 1 more",
                "Acknowledged, in the old volume, and not in the new ledger: k1.",
                "append the 2 entries of proposals.ndjson to the new ledger",
                "Keep the old volume",
            ],
        );
        check(
            &page(Pass::Salvage, found(|_| {})).unwrap(),
            &["Info", "The new ledger has every payment of the old volume (e1).", "nothing that the ledger lacks"],
        );
    }
    #[test]
    fn what_is_unknown_says_why_and_how_to_look_again() {
        let unknown = Finding::Unknown { why: "no answer".into(), resume: "row 1".into() };
        check(
            &page(Pass::Now, unknown).unwrap(),
            &["now:unknown", "unknown (now, e1): no answer", r#"{"action":"reconcile","pass":"now"}"#],
        );
    }
    #[test]
    fn a_refused_file_says_where_it_is_broken_and_where_it_lies() {
        let file = RefusedFile {
            object: "s3://b/k.csv".into(),
            digest: "0f".into(),
            problem: "k.csv, line or record 7, byte 912: the row has 3 fields".into(),
            quarantined_as: None,
            at: Timestamp::UNIX_EPOCH,
        };
        check(
            &refused(&file, "payments"),
            &["s3://b/k.csv cannot be used", "line or record 7, byte 912", "another key"],
        );
    }
}
