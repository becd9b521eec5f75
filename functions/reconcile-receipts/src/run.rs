//! One run: compare all ranges, write the plan down, carry it out if that is asked for. Killed anywhere, the next invocation goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use holdfast_aws::clients::never_retried;
use holdfast_aws::{Invocation, Startup};
use holdfast_domain::Timestamp;
use holdfast_domain::receipts::{PlanFrom, ReceiptsPolicy, Side, State, Summary, Tally, Ways};

use crate::apply::Hands;
use crate::batch::JobsRecord;
use crate::control::ControlError;
use crate::inventory::{ListError, choose};
use crate::large::Limits;
use crate::merge::Pair;
use crate::shards::{Range, ranges};
use crate::steps::Step;
use crate::store::{RunRecord, ShardRecord, StateRecord, Store, StoreError};
use crate::wire::{Bucket, WireError};

/// What an invocation needs to put everything down before Lambda ends it.
const RESERVE: Duration = Duration::from_secs(30);
/// A plan that is older than this is not carried out: the buckets have moved on.
const PLAN_AGE_MAX: Duration = Duration::from_secs(3600);
/// A plan from inventories is old when it is made, and so each of its lines is looked at before it is carried out. Its jobs
/// take hours.
const LISTED_PLAN_AGE_MAX: Duration = Duration::from_secs(48 * 3600);
/// Shards of a resumed run that are read at once.
const READS_AT_ONCE: usize = 8;

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
        "there are more than {keys_max} keys, which policy.receipts.keys_max leaves to S3 Inventory; \
         set policy.receipts.at_scale up, or raise the bound (a million keys take about ten seconds)"
    )]
    TooMany {
        /// The policy's bound.
        keys_max: u64,
    },
    /// The topology has no such Region.
    #[error("{0} is no data Region of the topology")]
    Elsewhere(String),
    /// An inventory cannot be used.
    #[error("nothing is known about the receipts: {0}")]
    List(#[from] ListError),
    /// A plan from inventories was asked for, and there are none.
    #[error("policy.receipts.at_scale is not set: there is no inventory to plan from")]
    NoInventory,
    /// A job's manifest or report cannot be written or read.
    #[error("s3://{bucket}/{key}: {why}; the run goes on from its last checkpoint")]
    Manifest {
        /// Where.
        bucket: String,
        /// Which.
        key: String,
        /// What S3 says.
        why: String,
    },
    /// The rules of a bucket cannot be read.
    #[error("the replication rules of {bucket} cannot be read: {why}")]
    Rules {
        /// Which.
        bucket: String,
        /// What S3 says.
        why: String,
    },
    /// The S3 Control API.
    #[error("{0}; the run goes on from its last checkpoint")]
    Control(ControlError),
}

/// Where the buckets are, and how they are reached.
pub(crate) struct Run<'a> {
    startup: &'a Startup,
    pub(crate) pair: Pair,
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

    pub(crate) fn policy(&self) -> &ReceiptsPolicy {
        &self.startup.config.policy.receipts
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.startup.now()
    }

    /// Beside what putting everything down needs.
    pub(crate) fn time_left(&self) -> Duration {
        let left: Duration = self.deadline.duration_since(self.startup.now()).try_into().unwrap_or_default();
        left.saturating_sub(RESERVE)
    }

    pub(crate) fn time_is_up(&self) -> bool {
        self.time_left().is_zero()
    }

    pub(crate) fn client(&self, side: Side) -> &Client {
        let [dublin, london] = &self.hands_clients;
        match side {
            Side::Dublin => dublin,
            Side::London => london,
        }
    }

    pub(crate) fn hands(&self) -> Hands<'_> {
        Hands { pair: &self.pair, clients: self.hands_clients.clone(), policy: self.policy(), limits: self.limits }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Keys that were compared so far, in all ranges.
    pub(crate) fn keys(&self) -> &AtomicU64 {
        &self.keys
    }

    pub(crate) async fn state(&self) -> Result<StateRecord, StoreError> {
        self.store.state().await
    }

    /// Resumes the run that is under way, or begins one; goes as far as the time allows.
    pub(crate) async fn drive(
        &self,
        id: &str,
        apply: bool,
        from: Option<PlanFrom>,
    ) -> Result<(Summary, u32), RunError> {
        let state = self.store.state().await?;
        let now = self.startup.now();
        let goes_on = |open: &RunRecord| {
            let age_max = if open.inventory.is_some() { LISTED_PLAN_AGE_MAX } else { PLAN_AGE_MAX };
            let is_asked_for = from.is_none_or(|from| (from == PlanFrom::Inventory) == open.inventory.is_some());
            holdfast_domain::age(open.began, now) < age_max && is_asked_for
        };
        let (run, shards) = match state.open.filter(goes_on) {
            Some(open) => {
                let run =
                    RunRecord { apply: open.apply || apply, invocations: open.invocations.saturating_add(1), ..open };
                let shards = (0..run.ranges.len()).map(|shard| self.store.shard(&run.run, shard));
                let shards: Vec<ShardRecord> = iter(shards).buffered(READS_AT_ONCE).try_collect().await?;
                (run, shards)
            }
            None => self.begin(id, apply, from.unwrap_or(PlanFrom::Listing)).await?,
        };
        let driven = self.go_on(run, shards, state.last.clone()).await;
        if let (Err(RunError::TooMany { keys_max }), true) = (&driven, self.policy().at_scale.is_some()) {
            tracing::info!(keys_max, "there are more keys: the plan is made from inventories");
            let (run, shards) = self.begin(id, apply, PlanFrom::Inventory).await?;
            return self.go_on(run, shards, state.last).await;
        }
        driven
    }

    async fn begin(&self, id: &str, apply: bool, from: PlanFrom) -> Result<(RunRecord, Vec<ShardRecord>), RunError> {
        let began = self.startup.now();
        let (ranges, inventory, ways) = match from {
            PlanFrom::Listing => (ranges(self.pair.on(self.here())).await?, None, Ways::default()),
            PlanFrom::Inventory => {
                let at_scale = self.policy().at_scale.as_ref().ok_or(RunError::NoInventory)?;
                let chosen = choose(&self.pair, &self.hands_clients, at_scale, began).await?;
                (vec![Range { after: None, upto: None }], Some(chosen), self.ways().await?)
            }
        };
        let short: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let kind = if inventory.is_some() { "i" } else { "r" };
        let run = format!("{kind}{}-{short}", began.strftime("%Y%m%dT%H%M%S"));
        let shards = vec![ShardRecord::default(); ranges.len()];
        Ok((RunRecord { run, apply, began, invocations: 1, ranges, inventory, ways }, shards))
    }

    async fn go_on(
        &self,
        run: RunRecord,
        mut shards: Vec<ShardRecord>,
        last: Option<Summary>,
    ) -> Result<(Summary, u32), RunError> {
        self.store.save_state(&StateRecord { open: Some(run.clone()), last }).await?;
        self.keys.store(shards.iter().map(|shard| shard.tally.all()).fold(0, u64::saturating_add), Ordering::Relaxed);
        self.every(&run, &mut shards, Step::Plan).await?;
        let planned = shards.iter().all(|shard| shard.planned);
        let mut jobs = JobsRecord::default();
        let mut jobs_ended = true;
        if run.apply && planned {
            if run.ways != Ways::default() {
                jobs = self.store.jobs(&run.run).await?;
                self.hand_over(&run, &shards, &mut jobs).await?;
            }
            self.every(&run, &mut shards, Step::Copy).await?;
            // One action for each key: the order only keeps what takes away behind what gives.
            if shards.iter().all(|shard| shard.copied == shard.chunks) {
                self.every(&run, &mut shards, Step::Delete).await?;
            }
            jobs_ended = Self::is_handed_over(&run, &shards, &jobs) && self.watch(&run, &mut jobs).await?;
        }
        let applied = run.apply && jobs_ended && shards.iter().all(|it| it.planned && it.deleted == it.chunks);
        let reached = match (planned, run.apply, applied) {
            (true, false, _) => State::Planned,
            (true, true, true) => State::Applied,
            (false, _, _) | (true, true, false) => State::Unfinished,
        };
        let summary = self.summary(&run, &shards, &jobs, reached);
        if reached != State::Unfinished {
            self.store.save_summary(&summary).await?;
            self.store.save_state(&StateRecord { open: None, last: Some(summary.clone()) }).await?;
        }
        Ok((summary, run.invocations))
    }

    fn here(&self) -> Side {
        if self.pair.dublin.region == self.startup.region { Side::Dublin } else { Side::London }
    }

    fn summary(&self, run: &RunRecord, shards: &[ShardRecord], jobs: &JobsRecord, state: State) -> Summary {
        let mut plan = Tally::default();
        let mut refused = jobs.refused.clone();
        for shard in shards {
            plan.merge(&shard.tally);
            for (code, number) in &shard.refused {
                let sum = refused.entry(code.clone()).or_default();
                *sum = sum.saturating_add(*number);
            }
        }
        for (code, number) in jobs.jobs.iter().flat_map(|record| &record.job.refused) {
            let sum = refused.entry(code.clone()).or_default();
            *sum = sum.saturating_add(*number);
        }
        let replicated = jobs.jobs.iter().fold(jobs.done, |sum, record| sum.saturating_add(record.job.done));
        let sum = |of: fn(&ShardRecord) -> u64| shards.iter().map(of).fold(0, u64::saturating_add);
        let took = holdfast_domain::distance(run.began, self.startup.now());
        Summary {
            run: run.run.clone(),
            region: self.startup.region.clone(),
            state,
            plan,
            done: sum(|shard| shard.done).saturating_add(replicated),
            moved_on: sum(|shard| shard.moved_on).saturating_add(jobs.moved_on),
            refused,
            began: run.began,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            pages: sum(|shard| shard.pages),
            lines: self.store.place(&run.run),
            lists: run.inventory.as_ref().map(|chosen| chosen.lists),
            jobs: jobs.jobs.iter().map(|record| record.job.clone()).collect(),
        }
    }
}
