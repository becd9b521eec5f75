//! Which RDS events a person must hear of, and what they mean (AUG USER_Events.Messages page).

use holdfast_domain::trigger::RdsEvent;

/// What the event means for a person; `None` for events that polling tells better.
pub(crate) fn meaning(event: &RdsEvent) -> Option<String> {
    let meaning = match event.id.as_str() {
        "RDS-EVENT-0391" => {
            "the old primary could not be fenced by AWS; compare its snapshot with the ledger when it returns"
        }
        "RDS-EVENT-0239" => "the failover failed; look at the global cluster now",
        "RDS-EVENT-0519" => {
            "the failover finished, but the new primary has no instances: nobody can write; add one now"
        }
        "RDS-EVENT-0186" => "the switchover was cancelled; the writer is where it was",
        "RDS-EVENT-0187" => "the switchover failed; look at the global cluster now",
        _ => return None,
    };
    Some(meaning.to_owned())
}
