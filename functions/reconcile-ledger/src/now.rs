//! The pass *now*: the attempts of the outage against the promoted ledger, minutes after it and long before any file.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_aws::Failure;
use holdfast_aws::attempts::Attempts;
use holdfast_aws::ledger::{Selection, Through};
use holdfast_domain::attempt::{Attempt, Consistency, Stage, Window};
use holdfast_domain::incident::{Incident, Phase, Verb};
use holdfast_domain::promotion::now_run_of;
use holdfast_domain::reconciliation::{Finding, Pass, Summary};
use holdfast_domain::{Timestamp, age};
use holdfast_settlement::{Policy, Reconciliation, Report};
use serde_json::{Value, json};

use crate::effects::Outcome;
use crate::spool::Spool;
use crate::{Run, sources, unread};

/// What is in doubt settles itself as clients ask again; it is looked at each minute for so long after writes work.
const LOOKED_AT_FOR: Duration = Duration::from_secs(3600);
/// When the card network's next file will be there, at the latest.
const NEXT_FILE: Duration = Duration::from_secs(24 * 3600);

/// What a *now* pass is about.
pub(crate) struct Outage {
    /// The incident, or when it was asked for.
    pub(crate) run: String,
    /// Whose attempts are looked at.
    pub(crate) window: Window,
    /// The incident; absent where a person names a window.
    pub(crate) incident: Option<Incident>,
}

impl Run<'_> {
    /// Each minute: an event may have been lost, a run cut short, or a doubt settled.
    pub(crate) async fn scheduled(&self) -> Result<Value, Failure> {
        let nothing = |why: &str| Ok(json!({"done": "nothing", "why": why}));
        let coordination = self.startup.coordination();
        let state = coordination.cluster_state().await.map_err(unread)?;
        let Some(incident) = state.incident else { return nothing("there is no incident") };
        if !self.is_ours(&incident) {
            return nothing("no failover to this Region waits for its ledger to be looked at");
        }
        let record = coordination.ledger_run(&now_run_of(&incident.id())).await.map_err(unread)?;
        let restored = incident.history.iter().find(|it| it.phase == Phase::Restored).map(|it| it.at);
        let late = restored.is_some_and(|at| age(at, self.startup.now()) > LOOKED_AT_FOR);
        match record {
            Some(record) if late || !record.summary.is_open() => {
                nothing("the ledger was looked at, and nothing is open")
            }
            Some(_) | None => self.now_of(incident).await,
        }
    }

    /// As soon as writes work.
    pub(crate) async fn advanced(&self, incident: &Incident) -> Result<Value, Failure> {
        if self.is_ours(incident) {
            return self.now_of(incident.clone()).await;
        }
        let why = format!("{} of the ledger to {} is {}", incident.verb, incident.to, incident.phase);
        Ok(json!({"done": "nothing", "why": why}))
    }

    pub(crate) async fn now_by_hand(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Value, Failure> {
        if let (Some(from), Some(to)) = (from, to)
            && from <= to
        {
            let run = format!("asked-{:.0}", self.startup.now());
            return self.now(Outage { run, window: Window { from, to }, incident: None }).await;
        }
        let state = self.startup.coordination().cluster_state().await.map_err(unread)?;
        match state.incident {
            Some(incident) if incident.was(Phase::Restored) && incident.verb == Verb::Failover => {
                self.now_of(incident).await
            }
            Some(_) | None => {
                let problem = "there is no failover whose writes were restored; give `from` and `to`, in this order";
                Err(self.startup.refuse(crate::FUNCTION, problem.into()).await)
            }
        }
    }

    /// A planned move loses nothing, and another Region's failover is looked at there.
    fn is_ours(&self, incident: &Incident) -> bool {
        let settled = match incident.phase {
            Phase::Restored | Phase::Reconciling => true,
            Phase::Suspected
            | Phase::Confirmed
            | Phase::AwaitingApproval
            | Phase::Blocked
            | Phase::Fencing
            | Phase::Promoting
            | Phase::Proving
            | Phase::Dismissed
            | Phase::Failed
            | Phase::Closed => false,
        };
        settled && incident.verb == Verb::Failover && incident.to == self.startup.region
    }

    async fn now_of(&self, incident: Incident) -> Result<Value, Failure> {
        let run = now_run_of(&incident.id());
        match self.window_of(&incident).await {
            Ok(window) => self.now(Outage { run, window, incident: Some(incident) }).await,
            Err(why) => self.conclude(self.unknown(Pass::Now, &run, why)).await,
        }
    }

    async fn now(&self, outage: Outage) -> Result<Value, Failure> {
        let outcome = match self.compare(&outage).await {
            Ok(outcome) => outcome,
            Err(why) => self.unknown(Pass::Now, &outage.run, why),
        };
        self.conclude(outcome).await
    }

    /// A run that says nothing but why.
    pub(crate) fn unknown(&self, pass: Pass, run: &str, why: String) -> Outcome {
        let finding = Finding::Unknown { why, resume: "the beginning".to_owned() };
        Outcome::new(self.summary(pass, run, finding))
    }

    pub(crate) fn summary(&self, pass: Pass, run: &str, finding: Finding) -> Summary {
        let region = self.startup.region.clone();
        Summary { pass, run: run.to_owned(), region, finding, report: None, at: self.startup.now() }
    }

    async fn compare(&self, outage: &Outage) -> Result<Outcome, String> {
        let window = outage.window;
        let attempts = Attempts::new(&self.startup.sdk, &self.startup.config.topology);
        // The marks first: whatever is marked as acknowledged was booked before, so what the ledger then lacks it really lacks.
        let (consistency, marks) = tokio::join!(attempts.consistency(), attempts.in_window(&window));
        let marks = outage.chosen(marks.map_err(|error| error.to_string())?);
        let keys: BTreeSet<String> = marks.iter().map(|mark| mark.key.clone()).collect();
        let mut books = Spool::new();
        let rows = Selection::Keys { keys: keys.into_iter().collect(), outside: None };
        let exported = self.ledger.export(Through::Writer, rows, self.export_max(), &mut books).await;
        exported.map_err(|error| error.to_string())?;
        let report = self.settle_now(&marks, &books)?;
        let settlement = match report {
            Report::Complete(settlement) => settlement,
            Report::Unknown { why, resume } => {
                let resume = format!("row {} of {}", resume.position.line, resume.source);
                let finding = Finding::Unknown { why, resume };
                return Ok(Outcome::new(self.summary(Pass::Now, &outage.run, finding)));
            }
        };
        let mut rows = sources::ledger_rows("ledger", &books).map_err(|error| error.to_string())?;
        let promises = settlement.promises(&marks, &mut rows).map_err(|error| error.to_string())?;
        let found = settlement.found(&marks, &promises, window, outage.at_least(&consistency, self));
        let doubts = settlement.doubts(&marks);
        let finding = Finding::Complete(Box::new(found));
        let mut outcome = Outcome::new(self.summary(Pass::Now, &outage.run, finding));
        outcome.doubts = doubts;
        outcome.retry_after = self.next_file();
        outcome.settlement = Some(settlement);
        Ok(outcome)
    }

    fn settle_now(&self, marks: &[Attempt], books: &Spool) -> Result<Report, String> {
        let policy = Policy::new("attempts", self.startup.now(), None, self.next_file());
        let mut watch = self.watch();
        Reconciliation::new(policy)
            .limits(sources::limits())
            .ledger(sources::ledger("ledger", books))
            .attempts(marks.iter().cloned())
            .run(&mut |progress| watch.go(progress))
            .map_err(|error| holdfast_aws::failure::causes(&error))
    }

    pub(crate) fn next_file(&self) -> Timestamp {
        let now = self.startup.now();
        now.checked_add(NEXT_FILE).unwrap_or(now)
    }
}

impl Outage {
    /// The marks that the outage can have left behind. What only the new writer has begun is its everyday work.
    fn chosen(&self, marks: Vec<Attempt>) -> Vec<Attempt> {
        let promoting = |incident: &Incident| {
            incident.history.iter().find(|it| it.phase == Phase::Promoting).map_or(Timestamp::MAX, |it| it.at)
        };
        let is_old = |mark: &Attempt| match (&mark.stage, &self.incident) {
            (Stage::Acknowledged { .. }, _) | (Stage::Begun, None) => true,
            (Stage::Begun, Some(incident)) => mark.region == incident.from || mark.at <= promoting(incident),
        };
        marks.into_iter().filter(|mark| self.window.holds(mark.at) && is_old(mark)).collect()
    }

    /// Why there may be more than was found.
    fn at_least(&self, consistency: &Consistency, run: &Run<'_>) -> Option<String> {
        let now = run.startup.now();
        let silent = self.incident.as_ref().map(|it| it.old_writer_silent_from(&run.startup.config.policy));
        match (consistency, silent) {
            (Consistency::Eventual, _) => {
                Some("the attempts table replicates late, and may lack the last marks".into())
            }
            (Consistency::Unknown { why }, _) => {
                Some(format!("how the attempts table's Regions agree is unknown: {why}"))
            }
            (Consistency::Strong, Some(Some(silent))) if silent > now => {
                Some(format!("the old writer may go on until {silent:.0}"))
            }
            (Consistency::Strong, Some(None)) => Some("when the old writer fell silent is not known".into()),
            (Consistency::Strong, Some(Some(_)) | None) => None,
        }
    }
}
