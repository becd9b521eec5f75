//! One run: compare all ranges, write the plan down, carry it out if that is asked for. Killed anywhere, the next invocation goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use holdfast_aws::clients::never_retried;
use holdfast_aws::{Invocation, Startup};
use holdfast_domain::Timestamp;
use holdfast_domain::receipts::{PlanLine, ReceiptsPolicy, Side, State, Summary, Tally, Verdict};

use crate::apply::{Hands, Outcome};
use crate::large::Limits;
use crate::merge::{Comparison, Pair};
use crate::shards::{Range, ranges};
use crate::store::{RunRecord, ShardRecord, StateRecord, Store, StoreError};
use crate::wire::{Bucket, WireError};

/// Ranges that are compared at once: memory is two pages for each.
const RANGES_AT_ONCE: usize = 8;
/// Actions of one range that are under way at once; the buckets' gates bound them all together.
const ACTIONS_AT_ONCE: usize = 32;
/// Pages between two checkpoints of a range: a kill costs a second of listing, and lines wait in memory no longer.
const PAGES_PER_CHECKPOINT: u64 = 16;
/// Lines are written down in pieces of this size.
const CHUNK_BYTES: usize = 256 << 10;
/// What an invocation needs to put everything down before Lambda ends it.
const RESERVE: Duration = Duration::from_secs(30);
/// A plan that is older than this is not carried out: the buckets have moved on.
const PLAN_AGE_MAX: Duration = Duration::from_secs(3600);

/// A run that could not be ended. What it has done is checkpointed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// A bucket cannot be read.
    #[error("nothing is known about the receipts that were not compared yet: {0}")]
    Wire(#[from] WireError),
    /// The run's own objects.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many keys.
    #[error(
        "there are more than {keys_max} keys, which policy.receipts.keys_max leaves to S3 Inventory and S3 Batch Operations; \
         this function does not drive those yet: raise the bound (a million keys take about ten seconds), or start the jobs by hand"
    )]
    TooMany {
        /// The policy's bound.
        keys_max: u64,
    },
    /// The topology has no such Region.
    #[error("{0} is no data Region of the topology")]
    Elsewhere(String),
}

/// Where the buckets are, and how they are reached.
pub(crate) struct Run<'a> {
    startup: &'a Startup,
    pair: Pair,
    store: Store,
    hands_clients: [Client; 2],
    deadline: Timestamp,
    keys: AtomicU64,
    limits: Limits,
}

/// Both buckets of a topology.
pub fn pair(startup: &Startup) -> Result<Pair, WireError> {
    let topology = &startup.config.topology;
    let bucket = |side: Side| {
        let data = topology.data_regions.get(side.index());
        let missing = || WireError::Unusable { bucket: side.to_string(), why: "it is not in the topology".into() };
        Bucket::new(&startup.sdk, side, data.ok_or_else(missing)?, topology.s3_path_style)
    };
    Ok(Pair { dublin: bucket(Side::Dublin)?, london: bucket(Side::London)? })
}

/// An SDK client of one bucket's Region. A copy of 5 GB takes S3 longer than an outage leaves other calls.
fn client(bucket: &Bucket, path_style: bool) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(120))
        .operation_timeout(Duration::from_secs(120))
        .build();
    let config = aws_sdk_s3::config::Builder::from(&bucket.sdk())
        .timeout_config(timeouts)
        .retry_config(never_retried())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .force_path_style(path_style)
        .build();
    Client::from_conf(config)
}

impl<'a> Run<'a> {
    pub(crate) fn new(startup: &'a Startup, invocation: &Invocation) -> Result<Self, RunError> {
        let pair = pair(startup)?;
        let path_style = startup.config.topology.s3_path_style;
        let here = startup.config.topology.data_regions.iter().position(|data| data.region == startup.region);
        let here = match here {
            Some(0) => &pair.dublin,
            Some(_) => &pair.london,
            None => return Err(RunError::Elsewhere(startup.region.to_string())),
        };
        let store = Store::new(client(here, path_style), &here.name, startup.region.as_str());
        let hands_clients = [client(&pair.dublin, path_style), client(&pair.london, path_style)];
        let deadline = invocation.deadline;
        Ok(Self { startup, pair, store, hands_clients, deadline, keys: AtomicU64::new(0), limits: Limits::S3 })
    }

    /// With other limits, for tests.
    pub(crate) fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn policy(&self) -> &ReceiptsPolicy {
        &self.startup.config.policy.receipts
    }

    fn time_is_up(&self) -> bool {
        let left: Duration = self.deadline.duration_since(self.startup.now()).try_into().unwrap_or_default();
        left < RESERVE
    }

    pub(crate) async fn state(&self) -> Result<StateRecord, StoreError> {
        self.store.state().await
    }

    /// Resumes the run that is under way, or begins one; goes as far as the time allows.
    pub(crate) async fn drive(&self, id: &str, apply: bool) -> Result<(Summary, u32), RunError> {
        let mut state = self.store.state().await?;
        let now = self.startup.now();
        let is_fresh = |open: &RunRecord| holdfast_domain::age(open.began, now) < PLAN_AGE_MAX;
        let (run, mut shards) = match state.open.take().filter(is_fresh) {
            Some(open) => {
                let run =
                    RunRecord { apply: open.apply || apply, invocations: open.invocations.saturating_add(1), ..open };
                let shards = (0..run.ranges.len()).map(|shard| self.store.shard(&run.run, shard));
                let shards: Vec<ShardRecord> = iter(shards).buffered(RANGES_AT_ONCE).try_collect().await?;
                (run, shards)
            }
            None => {
                let ranges = ranges(self.pair.on(self.here())).await?;
                let short: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
                let name = format!("r{}-{short}", now.strftime("%Y%m%dT%H%M%S"));
                let shards = vec![ShardRecord::default(); ranges.len()];
                (RunRecord { run: name, apply, began: now, invocations: 1, ranges }, shards)
            }
        };
        state.open = Some(run.clone());
        self.store.save_state(&state).await?;
        self.keys.store(shards.iter().map(|shard| shard.tally.all()).fold(0, u64::saturating_add), Ordering::Relaxed);
        self.every(&run, &mut shards, Step::Plan).await?;
        let planned = shards.iter().all(|shard| shard.planned);
        if run.apply && planned {
            self.every(&run, &mut shards, Step::Copy).await?;
            // One action for each key: the order only keeps what takes away behind what gives.
            if shards.iter().all(|shard| shard.copied == shard.chunks) {
                self.every(&run, &mut shards, Step::Delete).await?;
            }
        }
        let applied = run.apply && shards.iter().all(|it| it.planned && it.deleted == it.chunks);
        let reached = match (planned, run.apply, applied) {
            (true, false, _) => State::Planned,
            (true, true, true) => State::Applied,
            (false, _, _) | (true, true, false) => State::Unfinished,
        };
        let summary = self.summary(&run, &shards, reached);
        if reached != State::Unfinished {
            self.store.save_summary(&summary).await?;
            self.store.save_state(&StateRecord { open: None, last: Some(summary.clone()) }).await?;
        }
        Ok((summary, run.invocations))
    }

    fn here(&self) -> Side {
        if self.pair.dublin.region == self.startup.region { Side::Dublin } else { Side::London }
    }

    fn summary(&self, run: &RunRecord, shards: &[ShardRecord], state: State) -> Summary {
        let mut plan = Tally::default();
        let mut refused = std::collections::BTreeMap::<String, u64>::new();
        for shard in shards {
            plan.merge(&shard.tally);
            for (code, number) in &shard.refused {
                let sum = refused.entry(code.clone()).or_default();
                *sum = sum.saturating_add(*number);
            }
        }
        let sum = |of: fn(&ShardRecord) -> u64| shards.iter().map(of).fold(0, u64::saturating_add);
        let took = holdfast_domain::distance(run.began, self.startup.now());
        Summary {
            run: run.run.clone(),
            region: self.startup.region.clone(),
            state,
            plan,
            done: sum(|shard| shard.done),
            moved_on: sum(|shard| shard.moved_on),
            refused,
            began: run.began,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            pages: sum(|shard| shard.pages),
            lines: self.store.place(&run.run),
        }
    }

    /// Takes one step in every range. A range that fails leaves the others to their next checkpoint.
    async fn every(&self, run: &RunRecord, shards: &mut [ShardRecord], step: Step) -> Result<(), RunError> {
        let work = shards.iter_mut().zip(&run.ranges).enumerate().map(|(number, (shard, range))| async move {
            match step {
                Step::Plan => self.plan(run, number, range, shard).await,
                Step::Copy | Step::Delete => self.carry_out(run, number, shard, step).await,
            }
        });
        let work: Vec<_> = work.collect();
        let ended: Vec<Result<(), RunError>> = iter(work).buffer_unordered(RANGES_AT_ONCE).collect().await;
        ended.into_iter().collect()
    }

    /// Compares a range and writes down what is not in sync.
    async fn plan(
        &self,
        run: &RunRecord,
        number: usize,
        range: &Range,
        shard: &mut ShardRecord,
    ) -> Result<(), RunError> {
        if shard.planned || self.time_is_up() {
            return Ok(());
        }
        let rest = Range { after: shard.after.clone().or_else(|| range.after.clone()), upto: range.upto.clone() };
        let mut comparison = Comparison::new(&self.pair, self.policy(), run.began, &rest);
        while !shard.planned && !self.time_is_up() {
            let mut chunks = Chunks::default();
            let progress = comparison.advance(PAGES_PER_CHECKPOINT, &mut |line| chunks.add(&line)).await?;
            for lines in chunks.finish() {
                self.store.save_lines(&run.run, number, shard.chunks, lines).await?;
                shard.chunks = shard.chunks.saturating_add(1);
            }
            let keys = progress.tally.all();
            shard.tally.merge(&progress.tally);
            shard.pages = shard.pages.saturating_add(progress.pages);
            shard.planned = progress.finished;
            shard.after = progress.after.or_else(|| shard.after.take());
            self.store.save_shard(&run.run, number, shard).await?;
            let all = self.keys.fetch_add(keys, Ordering::Relaxed).saturating_add(keys);
            if all > self.policy().keys_max {
                return Err(RunError::TooMany { keys_max: self.policy().keys_max });
            }
        }
        Ok(())
    }

    /// Carries the copies or the deletes of a range out, piece by piece.
    async fn carry_out(
        &self,
        run: &RunRecord,
        number: usize,
        shard: &mut ShardRecord,
        step: Step,
    ) -> Result<(), RunError> {
        let hands =
            Hands { pair: &self.pair, clients: self.hands_clients.clone(), policy: self.policy(), limits: self.limits };
        loop {
            let chunk = if step == Step::Copy { shard.copied } else { shard.deleted };
            if chunk >= shard.chunks || self.time_is_up() {
                return Ok(());
            }
            let lines = self.store.lines(&run.run, number, chunk).await?;
            let lines: Vec<PlanLine> = lines.into_iter().filter(|line| step.takes(&line.verdict)).collect();
            let idle = lines.is_empty();
            let hands = &hands;
            let actions = iter(lines).map(move |line| act(hands, line));
            let outcomes: Vec<Outcome> = actions.buffer_unordered(ACTIONS_AT_ONCE).collect().await;
            for outcome in outcomes {
                match outcome {
                    Outcome::Done => shard.done = shard.done.saturating_add(1),
                    Outcome::MovedOn => shard.moved_on = shard.moved_on.saturating_add(1),
                    Outcome::Refused(code) => {
                        let number = shard.refused.entry(code).or_default();
                        *number = number.saturating_add(1);
                    }
                }
            }
            match step {
                Step::Copy => shard.copied = chunk.saturating_add(1),
                Step::Plan | Step::Delete => shard.deleted = chunk.saturating_add(1),
            }
            // A piece without actions costs nothing to look at again.
            if !idle {
                self.store.save_shard(&run.run, number, shard).await?;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Plan,
    Copy,
    Delete,
}

impl Step {
    fn takes(self, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::CopyToDublin(_) | Verdict::CopyToLondon(_) => self == Self::Copy,
            Verdict::DeletePropagates(_) => self == Self::Delete,
            Verdict::InSync
            | Verdict::Pending { .. }
            | Verdict::Conflict { .. }
            | Verdict::Uncheckable { .. }
            | Verdict::Erased { .. }
            | Verdict::Failed { .. } => false,
        }
    }
}

/// One action. Boxed, because a range's whole work is too deep a future for the compiler to lay out in one.
fn act<'a>(hands: &'a Hands<'_>, line: PlanLine) -> BoxFuture<'a, Outcome> {
    Box::pin(carry_out_one(hands, line))
}

async fn carry_out_one(hands: &Hands<'_>, line: PlanLine) -> Outcome {
    let outcome = match &line.verdict {
        Verdict::CopyToDublin(copy) => hands.copy(Side::Dublin, &line.key, copy).await,
        Verdict::CopyToLondon(copy) => hands.copy(Side::London, &line.key, copy).await,
        Verdict::DeletePropagates(delete) => hands.delete(&line.key, delete).await,
        Verdict::InSync
        | Verdict::Pending { .. }
        | Verdict::Conflict { .. }
        | Verdict::Uncheckable { .. }
        | Verdict::Erased { .. }
        | Verdict::Failed { .. } => Outcome::MovedOn,
    };
    if let Outcome::Refused(code) = &outcome {
        tracing::warn!(key = line.key, code, "{}", line.verdict);
    }
    outcome
}

/// Lines in pieces.
#[derive(Default)]
struct Chunks {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Chunks {
    fn add(&mut self, line: &PlanLine) {
        // A line is made of strings and numbers: it can always be written.
        if let Ok(mut json) = serde_json::to_vec(line) {
            self.last.append(&mut json);
            self.last.push(b'\n');
        }
        if self.last.len() >= CHUNK_BYTES {
            self.full.push(std::mem::take(&mut self.last));
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.last.is_empty() {
            self.full.push(self.last);
        }
        self.full
    }
}
