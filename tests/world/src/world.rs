//! The world itself: one clock, one seed, and the state of every service behind one lock.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_types::SdkConfig;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::cloudwatch::CloudWatch;
use crate::connector::Connector;
use crate::dynamodb::DynamoDb;
use crate::events::EventBridge;
use crate::fault::CallFault;
use crate::lambda::Lambda;
use crate::load_balancer::LoadBalancers;
use crate::network::Network;
use crate::providers::Providers;
use crate::rds::Rds;
use crate::region::Region;
use crate::route53::Route53;
use crate::s3::S3;
use crate::secrets::Secrets;
use crate::shown::Shown;
use crate::sns::Sns;
use crate::tamper::Tamper;
use crate::trace::{Caller, Entry, RecordedRequest};

/// What a world starts from. Two worlds of one configuration go the same way.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Everything random is drawn from this.
    pub seed: u64,
    /// The true time at the start.
    pub start: Timestamp,
}

/// Twelve digits, the same everywhere.
pub const ACCOUNT: &str = "123456789012";

/// A cheap handle; every clone is the same world.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    start: Timestamp,
    /// How much of the story had passed when the clock began to run.
    head_start: Duration,
    started: Instant,
    state: Mutex<State>,
}

/// The state of everything.
pub struct State {
    pub network: Network,
    pub dynamodb: DynamoDb,
    pub rds: Rds,
    pub(crate) random: fastrand::Rng,
    pub(crate) entries: Vec<Entry>,
    pub(crate) echo: Option<fn(&Entry)>,
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) faults: Vec<CallFault>,
    pub(crate) tamper: Tamper,
    pub(crate) lambda: Lambda,
    pub(crate) events: EventBridge,
    pub(crate) s3: S3,
    pub(crate) secrets: Secrets,
    pub(crate) shown: Shown,
    pub(crate) providers: Providers,
    pub(crate) sns: Sns,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) route53: Route53,
    pub(crate) load_balancers: LoadBalancers,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("elapsed", &self.elapsed()).finish()
    }
}

impl World {
    /// A world without services in it. Call it inside a single-threaded tokio runtime.
    #[must_use]
    pub fn new(config: &WorldConfig) -> Self {
        Self::later(config, Duration::ZERO)
    }

    /// A world that begins so long after its own start: for real time, in which nobody wants to wait for a quiet minute.
    #[must_use]
    pub fn later(config: &WorldConfig, head_start: Duration) -> Self {
        // The SDK draws its retry jitter from the thread's generator; seeded, its back-off is part of the run.
        fastrand::seed(config.seed);
        Self(Arc::new(Inner {
            start: config.start,
            head_start,
            started: Instant::now(),
            state: Mutex::new(State {
                network: Network::default(),
                dynamodb: DynamoDb::default(),
                rds: Rds::default(),
                random: fastrand::Rng::with_seed(config.seed),
                entries: Vec::new(),
                echo: None,
                requests: Vec::new(),
                faults: Vec::new(),
                tamper: Tamper::default(),
                lambda: Lambda::default(),
                events: EventBridge::default(),
                s3: S3::default(),
                secrets: Secrets::default(),
                shown: Shown::default(),
                providers: Providers::default(),
                sns: Sns::default(),
                cloudwatch: CloudWatch::default(),
                route53: Route53::default(),
                load_balancers: LoadBalancers::default(),
            }),
        }))
    }

    /// The state, for as long as the guard lives; never held over an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.head_start + self.0.started.elapsed()
    }

    /// The true time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.start.checked_add(self.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// The true time at the start.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.0.start
    }

    /// What a Region's clocks show.
    #[must_use]
    pub fn clock(&self, region: Region) -> Timestamp {
        let skew = jiff::SignedDuration::from_millis(self.state().network.skew_ms(region));
        self.now().checked_add(skew).unwrap_or(Timestamp::MAX)
    }

    /// A whole number drawn from the seed, below `bound`.
    pub fn draw(&self, bound: u64) -> u64 {
        self.state().random.u64(0..bound.max(1))
    }

    /// Does something later.
    pub fn after(&self, delay: Duration, effect: impl FnOnce(&Self) + Send + 'static) {
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            effect(&world);
        });
    }

    /// Carries a request to a Region, acts there, and carries the answer back. It never completes where a path is down.
    pub async fn round_trip<R>(&self, from: Region, to: Region, act: impl FnOnce(&Self) -> R) -> R {
        self.travel(from, to).await;
        let answer = act(self);
        self.travel(to, from).await;
        answer
    }

    /// One way. It never completes where the path is down.
    pub(crate) async fn travel(&self, from: Region, to: Region) {
        let (up, delay) = {
            let state = self.state();
            (state.network.path_up(from, to), state.network.one_way(from, to))
        };
        if up {
            tokio::time::sleep(delay).await;
        }
        if !up || !self.state().network.path_up(from, to) {
            std::future::pending::<()>().await;
        }
    }

    /// SDK configuration for a caller: the real SDK on this world's wire, clock and sleep.
    #[must_use]
    pub fn sdk(&self, caller: Caller) -> SdkConfig {
        let clock = RegionClock { world: self.clone(), region: caller.region };
        let credentials = Credentials::new("AKIDWORLD", "secret", None, None, "world");
        SdkConfig::builder()
            .region(aws_types::region::Region::from_static(caller.region.as_str()))
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(clock))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(Connector::new(self.clone(), caller))
            .build()
    }

    /// Notes an event.
    pub fn record(&self, actor: impl Into<String>, what: impl Into<String>) {
        let entry = Entry { at: self.elapsed(), actor: actor.into(), what: what.into() };
        let mut state = self.state();
        if let Some(echo) = state.echo {
            echo(&entry);
        }
        state.entries.push(entry);
    }

    /// Shows each event as it is noted.
    pub fn echo(&self, show: fn(&Entry)) {
        self.state().echo = Some(show);
    }

    /// Every event so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// Adds a fault.
    pub fn inject(&self, fault: CallFault) {
        self.state().faults.push(fault);
    }

    /// Nothing in the Region works any more: its code stops, its packets are lost.
    pub fn go_dark(&self, region: Region) {
        self.state().network.set_dark(region, true);
        self.record(region.as_str(), "goes dark");
        self.kill_invocations(region);
        self.database_region_changed(region);
    }

    /// The Region works again.
    pub fn come_back(&self, region: Region) {
        self.state().network.set_dark(region, false);
        self.record(region.as_str(), "is back");
        self.database_region_changed(region);
    }

    /// Packets from one Region to the other are lost.
    pub fn cut_link(&self, from: Region, to: Region) {
        self.state().network.set_cut(from, to, true);
        self.record(from.as_str(), format!("cannot reach {to} any more"));
    }

    /// Packets pass again.
    pub fn mend_link(&self, from: Region, to: Region) {
        self.state().network.set_cut(from, to, false);
        self.record(from.as_str(), format!("reaches {to} again"));
        self.database_region_changed(to);
    }

    /// Sets a Region's clocks ahead (or, negative, behind).
    pub fn set_skew_ms(&self, region: Region, skew_ms: i64) {
        self.state().network.set_skew_ms(region, skew_ms);
    }

    /// Lets go of the code and the hosts in it, which hold the world themselves: it would never be freed. A real database that
    /// it promotes is let go of too. What happened stays.
    pub fn close(&self) {
        let (functions, hosts, promoter) = {
            let mut state = self.state();
            let promoter = state.rds.global.as_mut().and_then(|global| global.promoter.take());
            (state.lambda.take_functions(), state.route53.take_hosts(), promoter)
        };
        drop((functions, hosts, promoter));
    }

    /// Gives up on something that takes too long.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(limit, work).await.ok()
    }
}

/// A Region's clocks.
#[derive(Debug)]
struct RegionClock {
    world: World,
    region: Region,
}

impl TimeSource for RegionClock {
    fn now(&self) -> std::time::SystemTime {
        let ms = u64::try_from(self.world.clock(self.region).as_millisecond()).unwrap_or(0);
        std::time::UNIX_EPOCH + Duration::from_millis(ms)
    }
}
