//! A file that is too large for one invocation: a state machine starts one for each shard, and one that merges them.
//!
//! The steps are `plan`, `sums` for each shard, `narrow`, `rows` for each shard, `merge`. What a step comes to lies under the
//! run's folder in this Region's bucket; a step that is repeated leaves the same.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use holdfast_aws::Failure;
use holdfast_aws::ledger::Selection;
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use holdfast_domain::reconciliation::{Finding, Pass, ShardStep};
use holdfast_settlement::matching::fold;
use holdfast_settlement::record::Side;
use holdfast_settlement::shard::{Narrowed, Part, Picked, Slicing, Step, Sums, merged};
use holdfast_settlement::{Report, RunError, Scope, Settlement, Source};
use jiff::tz::Offset;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clearing::{Asked, Span, Stopped, wanted};
use crate::effects::Outcome;
use crate::objects::{DownloadError, Downloaded, REPORTS};
use crate::spool::Spool;
use crate::{FUNCTION, Run, sources};

/// Buckets of a sketch as a power of two: 4 MB for each shard, and enough for ten thousand breaks.
const BITS: u32 = 18;
/// The folder of what the state machine's steps come to.
pub(crate) const SHARDS: &str = "shards";
/// And of those that go on with a run that was cut short.
pub(crate) const RESUMED: &str = "resumed";
/// Slices of a date where nobody asks for another number.
const SLICES: u32 = 4;
/// Shards of a run. Each reads the whole file once for each look.
const SHARDS_MAX: u32 = 1_000;
/// Rows that one shard picks out.
const PICKED_MAX: usize = 200_000;

/// What a plan comes to: every later step goes by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    run: String,
    steps: String,
    object: String,
    digest: String,
    slicing: Slicing,
    span: Span,
    /// What proposals and deadlines are dated by, so that a step that is repeated comes to the same.
    now: Timestamp,
}

/// Sources of the run, in their order.
const SOURCES: [(Side, &str); 2] = [(Side::Network, "network"), (Side::Ledger, "ledger")];

impl Run<'_> {
    /// One step.
    pub(crate) async fn shard(
        &self,
        step: ShardStep,
        object: &str,
        shard: Option<u32>,
        slices: Option<u32>,
    ) -> Result<Value, Failure> {
        let Some(asked) = self.asked_for(object) else {
            let problem = format!("`{object}` is in no folder of a provider whose files are settled in shards");
            return Err(self.startup.refuse(FUNCTION, problem).await);
        };
        self.step(&asked, step, shard, slices.unwrap_or(SLICES)).await
    }

    pub(crate) async fn step(
        &self,
        asked: &Asked<'_>,
        step: ShardStep,
        shard: Option<u32>,
        slices: u32,
    ) -> Result<Value, Failure> {
        let taken = match step {
            ShardStep::Plan => self.plan(asked, slices).await,
            ShardStep::Sums | ShardStep::Rows => match shard {
                Some(shard) if step == ShardStep::Sums => self.sums(asked, shard).await,
                Some(shard) => self.rows(asked, shard).await,
                None => Err(Stopped::Hindered(format!("the step `{}` needs `shard`", name_of(step)))),
            },
            ShardStep::Narrow => self.narrow(asked).await,
            ShardStep::Merge => return self.merge(asked).await,
        };
        match taken {
            Ok(answer) => Ok(answer),
            // The state machine stops here, and a person is told.
            Err(Stopped::Broken(problem)) => match self.fetch_file(asked.key).await {
                Ok(file) => {
                    self.put_aside(asked.key, &file, problem.clone()).await?;
                    Err(Failure::Refused(problem))
                }
                Err(_) => Err(Failure::Refused(problem)),
            },
            Err(Stopped::Hindered(why) | Stopped::CutShort { why, .. }) => Err(Failure::NothingChanged(why)),
        }
    }

    async fn plan(&self, asked: &Asked<'_>, slices: u32) -> Result<Value, Stopped> {
        let file = self.fetch_file(asked.key).await?;
        let run = file.run("clearing");
        let span = self.span(asked, &file, &run).await?;
        let date = |at: Timestamp| Offset::UTC.to_datetime(at).date();
        let (first, last) = (date(span.books.from), date(span.books.to));
        let days = last.since(first).map_or(0, |days| days.get_days());
        let slicing = Slicing { first, days: u32::try_from(days).unwrap_or(0) + 1, slices: slices.max(1) };
        if slicing.shards() > SHARDS_MAX {
            let why = format!("{} dates in {slices} slices are more than {SHARDS_MAX} shards", slicing.days);
            return Err(Stopped::Hindered(why));
        }
        let plan = Plan {
            run,
            steps: asked.steps.to_owned(),
            object: asked.key.to_owned(),
            digest: file.digest,
            slicing,
            span,
            now: self.startup.now(),
        };
        self.leave(&plan_key(asked), &plan).await?;
        let of = |step: ShardStep| -> Vec<Value> {
            let shards = 0..slicing.shards();
            shards.map(|shard| json!({"action": "shard", "step": step, "object": asked.key, "shard": shard})).collect()
        };
        Ok(json!({
            "run": plan.run, "object": asked.key, "rows": plan.span.rows,
            "sums": of(ShardStep::Sums), "rows_of": of(ShardStep::Rows),
        }))
    }

    async fn sums(&self, asked: &Asked<'_>, shard: u32) -> Result<Value, Stopped> {
        let plan: Plan = self.left(&plan_key(asked)).await?;
        let read = Read::of(self, asked, &plan, shard).await?;
        let sums = self.add_up(asked, &plan, &read, shard)?;
        self.leave_bytes(&key_of(&plan, "sums", Some(shard)), sums.to_bytes()).await?;
        Ok(json!({"done": "sums", "shard": shard}))
    }

    async fn narrow(&self, asked: &Asked<'_>) -> Result<Value, Stopped> {
        let plan: Plan = self.left(&plan_key(asked)).await?;
        let mut all = Vec::new();
        for shard in 0..plan.slicing.shards() {
            let bytes = self.left_bytes(&key_of(&plan, "sums", Some(shard))).await?;
            all.push(Sums::from_bytes(&bytes).map_err(|error| Stopped::Hindered(error.to_string()))?);
        }
        let narrowed =
            Narrowed::of(all).ok_or_else(|| Stopped::Hindered("the shards' sums are not of one run".into()))?;
        self.leave_bytes(&key_of(&plan, "narrowed", None), narrowed.to_bytes()).await?;
        Ok(json!({"done": "narrow", "shards": plan.slicing.shards()}))
    }

    async fn rows(&self, asked: &Asked<'_>, shard: u32) -> Result<Value, Stopped> {
        let plan: Plan = self.left(&plan_key(asked)).await?;
        let narrowed = self.narrowed(&plan).await?;
        let read = Read::of(self, asked, &plan, shard).await?;
        let mut picked = self.pick_out(asked, &plan, &read, (&narrowed, shard))?;
        // Each shard has an export of the ledger of its own; places in them are not to be taken for one another.
        picked.place_apart(Side::Ledger, shard);
        self.leave(&key_of(&plan, "rows", Some(shard)), &picked).await?;
        Ok(json!({"done": "rows", "shard": shard, "picked": picked.len()}))
    }

    async fn merge(&self, asked: &Asked<'_>) -> Result<Value, Failure> {
        let hindered = |stopped: Stopped| match stopped {
            Stopped::Broken(why) | Stopped::Hindered(why) | Stopped::CutShort { why, .. } => {
                Failure::NothingChanged(why)
            }
        };
        let plan: Plan = self.left(&plan_key(asked)).await.map_err(hindered)?;
        let outcome = match self.merge_all(asked, &plan).await {
            Ok(outcome) => outcome,
            Err(Stopped::Broken(why) | Stopped::Hindered(why)) => self.unknown(Pass::Clearing, &plan.run, why),
            Err(Stopped::CutShort { why, resume }) => {
                Outcome::new(self.summary(Pass::Clearing, &plan.run, Finding::Unknown { why, resume }))
            }
        };
        if outcome.settlement.is_none() {
            return self.conclude(outcome).await;
        }
        let file = self.fetch_file(asked.key).await.map_err(hindered)?;
        self.conclude_file(asked, &file, &plan.run, outcome).await
    }

    async fn merge_all(&self, asked: &Asked<'_>, plan: &Plan) -> Result<Outcome, Stopped> {
        let narrowed = self.narrowed(plan).await?;
        let mut picked: Vec<Picked> = Vec::new();
        for shard in 0..plan.slicing.shards() {
            picked.push(self.left(&key_of(plan, "rows", Some(shard))).await?);
        }
        let policy = self.policy_of(asked, &plan.span, plan.now);
        let run = |others: Vec<Box<dyn Source + '_>>| -> Result<Settlement, Stopped> {
            match merged(&policy, &sources::limits(), &SOURCES, &narrowed, &picked, others)? {
                Report::Complete(settlement) => Ok(settlement),
                Report::Unknown { why, resume } => Err(Stopped::CutShort { why, resume: resume.source }),
            }
        };
        let first = run(Vec::new())?;
        let (keys, nameless) = wanted(&first, &plan.span.carried);
        let at_least = (nameless > 0).then(|| {
            format!("{nameless} records without our key were looked for in the ledger's bookings of these days only")
        });
        let mut elsewhere = Spool::new();
        let settlement = if keys.is_empty() {
            first
        } else {
            self.export(Selection::Keys { keys, outside: Some(plan.span.judged) }, &mut elsewhere).await?;
            run(vec![Box::new(sources::ledger("ledger, other days", &elsewhere))])?
        };
        let marks = picked.iter().flat_map(Picked::marks).collect::<Vec<_>>();
        self.settled(asked, &plan.run, (&plan.span, &marks, at_least), settlement).await
    }

    fn add_up(&self, asked: &Asked<'_>, plan: &Plan, read: &Read, shard: u32) -> Result<Sums, Stopped> {
        let mut watch = self.watch();
        self.done(read.part(asked, plan, shard).sums(BITS, &mut |progress| watch.go(progress)))
    }

    fn pick_out(
        &self,
        asked: &Asked<'_>,
        plan: &Plan,
        read: &Read,
        (narrowed, shard): (&Narrowed, u32),
    ) -> Result<Picked, Stopped> {
        let mut watch = self.watch();
        self.done(read.part(asked, plan, shard).picked(narrowed, PICKED_MAX, &mut |progress| watch.go(progress)))
    }

    fn done<T>(&self, step: Result<Step<T>, RunError>) -> Result<T, Stopped> {
        match step? {
            Step::Done(done) => Ok(done),
            Step::Stopped(why) => Err(Stopped::CutShort { why, resume: "the beginning of this shard".into() }),
        }
    }

    async fn narrowed(&self, plan: &Plan) -> Result<Narrowed, Stopped> {
        let bytes = self.left_bytes(&key_of(plan, "narrowed", None)).await?;
        Narrowed::from_bytes(&bytes).map_err(|error| Stopped::Hindered(error.to_string()))
    }

    async fn fetch_file(&self, key: &str) -> Result<Downloaded, Stopped> {
        self.download(key).await.map_err(|error: DownloadError| Stopped::Hindered(error.to_string()))
    }

    async fn leave(&self, key: &str, value: &impl Serialize) -> Result<(), Stopped> {
        let bytes = serde_json::to_vec(value).map_err(|error| Stopped::Hindered(error.to_string()))?;
        self.leave_bytes(key, bytes).await
    }

    async fn leave_bytes(&self, key: &str, bytes: Vec<u8>) -> Result<(), Stopped> {
        self.put(key, ByteStream::from(bytes)).await.map_err(Stopped::Hindered)
    }

    async fn left<T: DeserializeOwned>(&self, key: &str) -> Result<T, Stopped> {
        let bytes = self.left_bytes(key).await?;
        serde_json::from_slice(&bytes).map_err(|error| Stopped::Hindered(format!("{key} cannot be read: {error}")))
    }

    async fn left_bytes(&self, key: &str) -> Result<Vec<u8>, Stopped> {
        let file = self.fetch_file(key).await?;
        let unread = |error: std::io::Error| Stopped::Hindered(format!("{key} cannot be read: {error}"));
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file.spool.read().map_err(unread)?, &mut bytes).map_err(unread)?;
        Ok(bytes)
    }
}

/// What one shard needs: the file, its bookings, its attempts.
struct Read {
    file: Downloaded,
    books: Spool,
    attempts: Vec<holdfast_settlement::Record>,
}

impl Read {
    async fn of(run: &Run<'_>, asked: &Asked<'_>, plan: &Plan, shard: u32) -> Result<Self, Stopped> {
        if shard >= plan.slicing.shards() {
            return Err(Stopped::Hindered(format!("there is no shard {shard} of {}", plan.slicing.shards())));
        }
        let file = run.fetch_file(asked.key).await?;
        if file.digest != plan.digest {
            return Err(Stopped::Hindered(format!("{} has changed since it was planned; plan again", asked.key)));
        }
        let Span { window: marked, books, judged, .. } = &plan.span;
        let day = Offset::UTC.to_timestamp(plan.slicing.date_of(shard).at(0, 0, 0, 0)).unwrap_or(books.from);
        let next = day.checked_add(Duration::from_secs(24 * 3600)).unwrap_or(books.to);
        let window = Window { from: day.max(judged.from), to: next.min(judged.to) };
        let mut books = Spool::new();
        run.export_bookings(window, &mut books).await?;
        let of_day = Window { from: day.max(marked.from), to: next.min(marked.to) };
        let marks =
            if of_day.from <= of_day.to { run.marks(&of_day).await.map_err(Stopped::Hindered)? } else { Vec::new() };
        Ok(Self { file, books, attempts: fold(&marks) })
    }

    fn part<'a>(&'a self, asked: &'a Asked<'_>, plan: &Plan, shard: u32) -> Part<'a> {
        let sources: Vec<(Side, Box<dyn Source + 'a>)> = vec![
            (Side::Network, Box::new(asked.format.source(asked.key, &self.file.spool))),
            (Side::Ledger, Box::new(sources::ledger("ledger", &self.books))),
        ];
        let attempts = self.attempts.clone();
        Part { slicing: plan.slicing, shard, scope: Scope::Payments, sources, attempts }
    }
}

fn name_of(step: ShardStep) -> &'static str {
    match step {
        ShardStep::Plan => "plan",
        ShardStep::Sums => "sums",
        ShardStep::Narrow => "narrow",
        ShardStep::Rows => "rows",
        ShardStep::Merge => "merge",
    }
}

/// Of an object and not of its digest: later steps know the object only.
fn plan_key(asked: &Asked<'_>) -> String {
    format!("{REPORTS}/{}/{}/plan.json", asked.steps, asked.key)
}

fn key_of(plan: &Plan, what: &str, shard: Option<u32>) -> String {
    let shard = shard.map(|shard| format!("-{shard:05}")).unwrap_or_default();
    format!("{REPORTS}/{}/{}/{}/{what}{shard}", plan.steps, plan.object, plan.digest)
}
