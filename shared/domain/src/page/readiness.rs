//! The page about readiness: what has come to differ between the Regions, and what is well again.

use std::fmt::Write as _;

use super::{Page, Severity, Turn};
use crate::readiness::{ReadinessReport, Standing};

/// Findings that one page shows whole; the function's `status` has all of them.
const SHOWN: usize = 8;

/// The page for a report that has changed; `None` for one that has not.
pub(super) fn changed(report: &ReadinessReport, cluster: &str) -> Option<Page> {
    if !report.has_changed() {
        return None;
    }
    let open = report.findings.len().saturating_add(report.left_out);
    let (severity, headline) = match (report.standing, report.findings.first()) {
        (Standing::NotReady, Some(worst)) => {
            (Severity::Critical, format!("The Regions are not ready for an outage: {worst}."))
        }
        (Standing::NotReady, None) => (Severity::Critical, "The Regions are not ready for an outage.".into()),
        (Standing::Unknown, _) => {
            let reads = report.unknown.len();
            (
                Severity::Warning,
                format!("Whether the Regions are ready for an outage is unknown: {reads} reads failed."),
            )
        }
        (Standing::Ready, Some(worst)) => {
            (Severity::Warning, format!("Ready for an outage, with {open} to look at: {worst}."))
        }
        (Standing::Ready, None) => (Severity::Info, "The Regions are ready for an outage again.".into()),
    };
    let mut body =
        format!("Either Region carrying everything alone: {}, as looked at from {}.\n", report.standing, report.region);
    for finding in report.findings.iter().take(SHOWN) {
        let sign = if report.new.contains(&finding.key()) { "new: " } else { "" };
        let _ = writeln!(body, "- {sign}{finding}.\n  It hurts: {}.\n  To mend it: {}", finding.hurts, finding.fix);
    }
    if open > SHOWN {
        let _ = writeln!(body, "… and {} more", open - SHOWN);
    }
    for unread in report.unknown.iter().take(SHOWN) {
        let _ = writeln!(body, "- unknown: {unread}.");
    }
    for gone in report.gone.iter().take(SHOWN) {
        let _ = writeln!(body, "- no longer: {gone}");
    }
    let over = open == 0 && report.unknown.is_empty();
    let need = match report.standing {
        _ if over => "nothing.",
        Standing::NotReady => {
            "mend what is critical today, or accept it by name with an owner and a day; until then do not count on a failover."
        }
        Standing::Unknown => "find out why it could not be read; nothing is known to be alike until it is.",
        Standing::Ready => "mend it, or accept it by name with an owner and a day.",
    };
    let _ = write!(
        body,
        "Needed from you: {need}\nTo see all: aws lambda invoke --region {} --function-name holdfast-check-readiness:live --cli-binary-format raw-in-base64-out --payload '{{\"action\":\"status\"}}' /dev/stdout",
        report.region
    );
    Some(Page {
        thread: format!("{cluster}/readiness"),
        kind: format!("readiness:{}", report.version),
        rank: 0,
        severity,
        turn: if over { Turn::Ends } else { Turn::Tells },
        section: "readiness".into(),
        headline,
        body,
        avoid: None,
        quiet: None,
    })
}
