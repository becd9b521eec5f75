//! Pages about a Region's traffic: who ordered it, how far it is, and what shows it.

use super::{Page, Severity, Turn};
use crate::traffic::{Shift, ShiftState, Way};

/// The page for a shift as it stands. Each stage and each trouble is a state of its own in the order's thread.
pub(super) fn shifted(shift: &Shift, cluster: &str) -> Page {
    let Shift { region, driver, by, away_percent, .. } = shift;
    let stages_left = u8::try_from(shift.then.len().min(3)).unwrap_or(3);
    let stage = 80 - 20 * stages_left;
    let goes = match shift.way {
        Way::Evacuate => format!("Traffic of {region} is being moved to {driver}"),
        Way::Restore => format!("Traffic of {region} is being given back to it"),
    };
    let (kind, rank, severity, turn, headline, need) = match &shift.state {
        ShiftState::Moving => (
            format!("moving-{away_percent}"),
            stage,
            Severity::Info,
            Turn::Tells,
            format!("{goes}: {away_percent} % is to be away. Asked by {by}."),
            "Needed from you: nothing now. It is believed only when DNS and the load balancers show it; that takes minutes.".to_owned(),
        ),
        ShiftState::Held { why } => (
            format!("held-{away_percent}"),
            stage + 5,
            Severity::Warning,
            Turn::Tells,
            format!("{goes}, and is held at {away_percent} % away: {why}"),
            format!(
                "Needed from you: decide. It goes on by itself when the Region is well; the way back is:\n{}",
                back(shift)
            ),
        ),
        ShiftState::NotSeen { seen } => (
            format!("not-seen-{away_percent}"),
            stage + 6,
            Severity::Critical,
            Turn::Tells,
            format!("{goes}, and it is not seen to move: {seen}"),
            format!(
                "Needed from you: look at the records and health checks of Route 53, and at the object `evacuate/{region}` in the switch bucket of {driver}. It is looked at again every minute. The way back is:\n{}",
                back(shift)
            ),
        ),
        ShiftState::Done { seen, .. } => {
            let done = match shift.way {
                Way::Evacuate => format!("{region} gets no more traffic"),
                Way::Restore => format!("{region} has its traffic again"),
            };
            let need = match shift.way {
                Way::Evacuate => format!("Needed from you: nothing. When it may serve again:\n{}", back(shift)),
                Way::Restore => "Needed from you: nothing.".to_owned(),
            };
            ("done".to_owned(), 90, Severity::Info, Turn::Ends, format!("{done}: {seen}."), need)
        }
    };
    let why = if shift.comment.is_empty() { String::new() } else { format!("\nWhy: {}", shift.comment) };
    let overrides: Vec<&str> = shift.overrides.iter().map(|guard| guard.name()).collect();
    let vouched =
        if overrides.is_empty() { String::new() } else { format!("\n{by} vouches for {}.", overrides.join(", ")) };
    Page {
        thread: format!("{cluster}/traffic/{}", shift.name()),
        kind,
        rank,
        severity,
        turn,
        section: "traffic".into(),
        headline,
        body: format!("{shift}.\nOrdered at {:.0}.{why}{vouched}\n{need}", shift.ordered_at),
        avoid: (shift.way == Way::Evacuate).then(|| region.clone()),
        quiet: None,
    }
}

/// The command that takes it back.
fn back(shift: &Shift) -> String {
    let way = match shift.way {
        Way::Evacuate => Way::Restore,
        Way::Restore => Way::Evacuate,
    };
    format!(
        r#"aws lambda invoke --region {} --function-name holdfast-shift-traffic:live --cli-binary-format raw-in-base64-out --payload '{{"action":"{way}","region":"{}","by":"<you>"}}' /dev/stdout"#,
        shift.driver, shift.region
    )
}
