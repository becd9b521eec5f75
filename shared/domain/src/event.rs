//! What the functions tell each other on the event bus: source `holdfast`, the variant's name as detail-type.

use serde::{Deserialize, Serialize};

use crate::attempt::Doubled;
use crate::incident::Incident;
use crate::quorum::{DarkProof, Quorum};
use crate::readiness::ReadinessReport;
use crate::receipts::Summary;
use crate::reconciliation::{RefusedFile, Summary as LedgerSummary};
use crate::replication::Change;
use crate::traffic::Shift;
use crate::trigger::Answer;
use crate::{Region, Timestamp};

/// The `source` of every Holdfast event.
pub const SOURCE: &str = "holdfast";

/// An event of Holdfast's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// Two observers outside a Region find it dark.
    RegionSuspected {
        /// The dark Region.
        subject: Region,
        /// Who says so in this event; the proof names both.
        observer: Region,
        /// The proof as that observer had it.
        proof: DarkProof,
    },
    /// Something is wrong that no machine should act on: a person must look.
    RegionDoubtful {
        /// The Region.
        subject: Region,
        /// Who says so.
        observer: Region,
        /// What is wrong: grey, split, or still heard.
        quorum: Quorum,
    },
    /// A dark Region that does not hold the writer: nothing to promote, redundancy gone.
    StandbyDark {
        /// The dark Region.
        subject: Region,
        /// The proof.
        proof: DarkProof,
    },
    /// A Region that was dark serves again: what it missed can be given to it.
    RegionRecovered {
        /// The Region that is back.
        subject: Region,
        /// Who says so.
        observer: Region,
    },
    /// An incident entered a phase.
    IncidentAdvanced {
        /// The incident as it now stands.
        incident: Box<Incident>,
    },
    /// What an incident has cost is counted for good, after its writes were restored.
    LossCounted {
        /// The incident, with its loss.
        incident: Box<Incident>,
    },
    /// A store replicates in another way than before, or a replica is about to be removed.
    ReplicationChanged {
        /// What has changed.
        change: Change,
    },
    /// Keys that both Regions have accepted: each was charged more than once.
    KeysAcceptedTwice {
        /// Which, with the card network's references.
        doubled: Vec<Doubled>,
    },
    /// Both receipt buckets were compared, and perhaps reconciled.
    ReceiptsReconciled {
        /// What was found and done.
        summary: Box<Summary>,
    },
    /// An invocation's time was up before all receipts were compared: a fresh one goes on from the checkpoints.
    ReceiptsUnfinished {
        /// The run.
        run: String,
        /// Where its checkpoints are.
        region: Region,
        /// How many invocations it has had.
        invocations: u32,
    },
    /// An incident's promotion takes longer than the policy's patience.
    PromotionSlow {
        /// The incident.
        incident: Box<Incident>,
        /// What is being waited for.
        waiting_for: String,
    },
    /// RDS said something about a global cluster that a person must know.
    DatabaseNotice {
        /// The RDS event, such as `RDS-EVENT-0391`.
        event_id: String,
        /// What RDS said.
        message: String,
        /// What it means and what to do.
        meaning: String,
        /// When RDS says it happened.
        at: Option<Timestamp>,
    },
    /// Something arrived that no function could name; it is in the dead-letter queue.
    TriggerRefused {
        /// Which function refused it.
        function: String,
        /// Where.
        region: Region,
        /// What was expected.
        problem: String,
    },
    /// Attempts, ledger and perhaps the card network's file were laid side by side.
    LedgerReconciled {
        /// What was found.
        summary: Box<LedgerSummary>,
    },
    /// A file of the card network cannot be used, and was put aside whole.
    ClearingFileRefused {
        /// Which, and why.
        refused: RefusedFile,
    },
    /// A Region's traffic was ordered away or back, or has moved, or does not move.
    TrafficShifted {
        /// The order, as far as it has come.
        shift: Box<Shift>,
    },
    /// A person has answered a page at the pager's own address: approve or veto, for promote-aurora.
    PageAnswered {
        /// What they said, about which incident, and who they are.
        answer: Answer,
    },
    /// The two data Regions differ in another way than before, or what would hurt in an outage has come or gone.
    ReadinessChanged {
        /// What was found.
        report: Box<ReadinessReport>,
    },
}

impl Event {
    /// The event's `detail-type` on the bus.
    #[must_use]
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::RegionSuspected { .. } => "RegionSuspected",
            Self::RegionDoubtful { .. } => "RegionDoubtful",
            Self::StandbyDark { .. } => "StandbyDark",
            Self::RegionRecovered { .. } => "RegionRecovered",
            Self::IncidentAdvanced { .. } => "IncidentAdvanced",
            Self::LossCounted { .. } => "LossCounted",
            Self::ReplicationChanged { .. } => "ReplicationChanged",
            Self::KeysAcceptedTwice { .. } => "KeysAcceptedTwice",
            Self::ReceiptsReconciled { .. } => "ReceiptsReconciled",
            Self::ReceiptsUnfinished { .. } => "ReceiptsUnfinished",
            Self::PromotionSlow { .. } => "PromotionSlow",
            Self::DatabaseNotice { .. } => "DatabaseNotice",
            Self::TriggerRefused { .. } => "TriggerRefused",
            Self::LedgerReconciled { .. } => "LedgerReconciled",
            Self::ClearingFileRefused { .. } => "ClearingFileRefused",
            Self::TrafficShifted { .. } => "TrafficShifted",
            Self::PageAnswered { .. } => "PageAnswered",
            Self::ReadinessChanged { .. } => "ReadinessChanged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Window;
    use crate::incident::{ClusterState, Opening, Verb};
    use crate::money::{Currency, Totals};
    use crate::price::{Counted, Price};

    #[track_caller]
    fn check(rest: &str, expected: &str) {
        let json = format!(r#"{{"event":"{expected}",{rest}}}"#);
        let event: Event = serde_json::from_str(&json).unwrap();
        assert_eq!(event.detail_type(), expected);
    }

    #[test]
    fn an_event_has_one_name_on_the_bus_and_inside() {
        let proof = r#""proof":{"observers":[],"since":"2026-11-24T14:07:05Z","oldest_vote_age":{"secs":0,"nanos":0}}"#;
        let incident = r#""incident":{"epoch":1,"verb":"failover","from":"eu-west-1","to":"eu-west-2","phase":"Suspected","raised_by":"x","opened_at":"2026-11-24T14:07:05Z","blocked":[],"history":[]}"#;
        check(&format!(r#""subject":"eu-west-1","observer":"eu-west-2",{proof}"#), "RegionSuspected");
        check(r#""subject":"eu-west-1","observer":"eu-west-2","quorum":"Alive""#, "RegionDoubtful");
        check(&format!(r#""subject":"eu-west-1",{proof}"#), "StandbyDark");
        check(r#""subject":"eu-west-1","observer":"eu-west-2""#, "RegionRecovered");
        check(r#""run":"r1","region":"eu-west-2","invocations":2"#, "ReceiptsUnfinished");
        let summary = r#""summary":{"run":"r1","region":"eu-west-2","state":"planned","plan":{"InSync":{"keys":1,"bytes":0}},"done":0,"moved_on":0,"refused":{},"began":"2026-11-24T14:07:05Z","took_ms":5,"pages":2,"lines":"b"}"#;
        check(summary, "ReceiptsReconciled");
        check(incident, "IncidentAdvanced");
        check(&format!(r#"{incident},"waiting_for":"RDS""#), "PromotionSlow");
        check(r#""event_id":"RDS-EVENT-0391","message":"m","meaning":"n","at":null"#, "DatabaseNotice");
        check(r#""function":"f","region":"eu-west-2","problem":"p""#, "TriggerRefused");
        check(
            r#""summary":{"pass":"now","run":"e1","region":"eu-west-2","finding":{"unknown":{"why":"w","resume":"r"}},"report":null,"at":"2026-11-24T14:08:00Z"}"#,
            "LedgerReconciled",
        );
        check(
            r#""refused":{"object":"s3://b/k","digest":"0f","problem":"p","quarantined_as":null,"at":"2026-11-24T14:08:00Z"}"#,
            "ClearingFileRefused",
        );
        check(
            r#""shift":{"id":1,"way":"evacuate","region":"eu-west-1","driver":"eu-west-2","by":"ada","comment":"","overrides":[],"ordered_at":"2026-11-24T14:08:00Z","away_percent":100,"then":[],"stage_since":"2026-11-24T14:08:00Z","state":{"state":"moving"}}"#,
            "TrafficShifted",
        );
        check(
            r#""report":{"region":"eu-west-2","at":"2026-11-24T14:08:00Z","standing":"ready","findings":[],"accepted":[],"unknown":[],"left_out":0,"new":[],"gone":["x"],"version":2}"#,
            "ReadinessChanged",
        );
        check(r#""answer":{"says":"veto","incident":"e7","by":"ada","comment":"","via":"v"}"#, "PageAnswered");
    }

    /// Sums were numbers of 128 bits once: they could be written, and no pager could read them.
    #[test]
    fn an_incident_with_a_price_survives_the_bus() {
        let mut lost = Totals::default();
        lost.add(Currency::parse("EUR").unwrap(), 18_107);
        let (from, to) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let window = Window { from, to };
        let counted = Counted { lost, in_doubt: Totals::default(), oldest: Some(from), window, at: to };
        let mut state = ClusterState::default();
        let opening = Opening {
            verb: Verb::Failover,
            from: Region::new("eu-west-1").unwrap(),
            to: Region::new("eu-west-2").unwrap(),
            raised_by: "a test".into(),
            approval: None,
        };
        state.open(opening, from);
        let mut incident = state.incident.unwrap();
        incident.price = Some(Price::Provisional(counted.clone()));
        incident.loss = Some(Price::Exact(counted));
        let event = Event::LossCounted { incident: Box::new(incident) };
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains(r#""EUR":"18107""#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
