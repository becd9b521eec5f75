//! A file that one invocation cannot settle: it is noted before it is begun, and the scheduled invocations go on with it in
//! shards, whatever has ended the first one.

use std::time::Duration;

use holdfast_aws::Failure;
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::Timestamp;
use holdfast_domain::reconciliation::{Finding, Pass, ShardStep, Turn, Unfinished, UnfinishedRuns};
use serde_json::{Value, json};

use crate::clearing::Asked;
use crate::effects::Outcome;
use crate::objects::Downloaded;
use crate::shards::RESUMED;
use crate::{Run, unread};

/// No invocation of Lambda is longer.
const INVOCATION_MAX: Duration = Duration::from_secs(900);
/// With less time than this no step is begun.
const STEP_MIN: Duration = Duration::from_secs(30);
/// Each shard reads the whole file, so that slices of a date would only make more of them.
const SLICES: u32 = 1;
/// The list is written by everybody who settles a file.
const TRIES: usize = 3;

impl Run<'_> {
    /// When Lambda has ended this invocation.
    fn deadline(&self) -> Timestamp {
        let longest = self.startup.now().checked_add(INVOCATION_MAX).unwrap_or(Timestamp::MAX);
        self.invocation.deadline.min(longest)
    }

    /// Notes that this invocation has a file. Without the note it is settled all the same.
    pub(crate) async fn begin(&self, asked: &Asked<'_>, file: &Downloaded, run: &str) {
        let (now, until) = (self.startup.now(), self.deadline());
        self.note(run, |listed| {
            let begun = Unfinished::begun((run, &file.digest), &self.startup.region, asked.key, now, until);
            let begun = Unfinished { from: asked.from, to: asked.to, ..begun };
            listed.with(listed.get(run).map_or(begun, |again| again.again(until)))
        })
        .await;
    }

    /// The next scheduled invocation may go on at once.
    pub(crate) async fn leave_off(&self, run: &str) {
        let now = self.startup.now();
        self.note(run, |listed| listed.with(listed.get(run)?.left(now))).await;
    }

    /// There is nothing to go on with.
    pub(crate) async fn end(&self, run: &str) {
        self.note(run, |listed| listed.without(run)).await;
    }

    /// Writes the list as it is to be; `None` leaves it. What cannot be written is found to be settled later, or begun anew.
    async fn note(&self, run: &str, change: impl Fn(&UnfinishedRuns) -> Option<UnfinishedRuns>) {
        if self.dry_run {
            return;
        }
        let coordination = self.startup.coordination();
        for _ in 0..TRIES {
            let listed = coordination.unfinished_runs(&self.startup.region).await;
            let written = match listed.map(|listed| change(&listed)) {
                Ok(Some(next)) => coordination.save_unfinished_runs(&self.startup.region, &next).await,
                Ok(None) => return,
                Err(error) => Err(error),
            };
            match written {
                Ok(()) => return,
                Err(CoordinationError::Conflict { .. }) => {}
                Err(error) => return tracing::warn!(run, "that the file is being settled could not be noted: {error}"),
            }
        }
        tracing::warn!(run, "that the file is being settled could not be noted: others write the list at once");
    }

    /// Goes on with the next file that nobody has.
    pub(crate) async fn go_on(&self) -> Result<Value, Failure> {
        let coordination = self.startup.coordination();
        let listed = coordination.unfinished_runs(&self.startup.region).await.map_err(unread)?;
        for unfinished in listed.in_turn() {
            match unfinished.turn(&self.startup.region, self.startup.now(), self.deadline()) {
                Turn::Held { .. } | Turn::Nothing => {}
                Turn::GiveUp { invocations, began, progress } => {
                    let why = format!("{invocations} invocations since {began:.0} did not settle the file: {progress}");
                    let resume = format!("the state machine of files that are too large, with {}", unfinished.object);
                    let finding = Finding::Unknown { why, resume };
                    let answer =
                        self.conclude(Outcome::new(self.summary(Pass::Clearing, &unfinished.run, finding))).await?;
                    self.end(&unfinished.run).await;
                    return Ok(answer);
                }
                Turn::GoOn(taken) => {
                    let Some(next) = listed.with(taken.clone()) else { continue };
                    if self.dry_run {
                        return Ok(json!({"would": "go on", "run": taken.run, "progress": taken.to_string()}));
                    }
                    match coordination.save_unfinished_runs(&self.startup.region, &next).await {
                        Ok(()) => return Box::pin(self.drive(taken)).await,
                        Err(CoordinationError::Conflict { .. }) => return Ok(Value::Null),
                        Err(error) => return Err(unread(error)),
                    }
                }
            }
        }
        Ok(Value::Null)
    }

    /// Takes step after step while there is time.
    async fn drive(&self, mut unfinished: Unfinished) -> Result<Value, Failure> {
        let (run, object) = (unfinished.run.clone(), unfinished.object.clone());
        let known = self.startup.coordination().clearing_file(&unfinished.digest).await.map_err(unread)?;
        let asked = self.asked_for(&object).filter(|_| known.is_none());
        let Some(asked) = asked else {
            self.end(&run).await;
            return Ok(json!({"done": "nothing", "run": run, "why": "the file was settled meanwhile"}));
        };
        let asked = Asked { from: unfinished.from, to: unfinished.to, steps: RESUMED, ..asked };
        let mut answer = Value::Null;
        while let Some((step, shard)) = unfinished.next() {
            if self.time_left() < STEP_MIN {
                self.leave_off(&run).await;
                return Ok(json!({"done": "went on", "run": run, "progress": unfinished.to_string()}));
            }
            answer = match self.step(&asked, step, shard, SLICES).await {
                Ok(answer) => answer,
                // The file was put aside.
                Err(refused @ Failure::Refused(_)) => {
                    self.end(&run).await;
                    return Err(refused);
                }
                Err(error) => {
                    self.leave_off(&run).await;
                    return Err(error);
                }
            };
            let shards = answer["sums"].as_array().and_then(|shards| u32::try_from(shards.len()).ok());
            unfinished = unfinished.after(shards.filter(|_| step == ShardStep::Plan));
            tracing::info!(run, "{unfinished}");
            self.note(&run, |listed| listed.with(unfinished.clone())).await;
        }
        self.end(&run).await;
        Ok(answer)
    }
}
