//! The whole installation in a world: tables, clusters, payments, functions, rules, schedules, alarms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_aws::metrics::Metrics;
use holdfast_aws::{Failure, Invocation, Startup};
use holdfast_domain::config::Config;
use holdfast_payments::card_network::CardNetwork;
use holdfast_payments::clients::{Cohort, start_readers};
use holdfast_payments::history::{History, Reads};
use holdfast_payments::lease::WriterLease;
use holdfast_payments::service::{ATTEMPTS_TABLE, PaymentsService, ShortCut, bucket, host};
use holdfast_world::aurora::WRITER_ENDPOINT;
use holdfast_world::cloudwatch::Alarm;
use holdfast_world::dynamodb::{Mode, create_table};
use holdfast_world::events::Rule;
use holdfast_world::lambda::Handler;
use holdfast_world::providers::{CHAT, ROUTING_KEY, WEBHOOK_KEY};
use holdfast_world::rds::{GlobalClusterConfig, create_global_cluster};
use holdfast_world::route53::{HealthCheck, Switch};
use holdfast_world::sns::topic_arn;
use holdfast_world::{Region, World, WorldConfig, lambda, s3};

use crate::ledger::WorldLedger;
use crate::readiness;
use crate::samples::Samples;

/// Both data Regions and the witness.
pub const REGIONS: [Region; 3] = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
/// The Regions that hold the service.
pub const DATA_REGIONS: [Region; 2] = [Region::DUBLIN, Region::LONDON];
/// The coordination table.
pub const TABLE: &str = "holdfast";
/// The global cluster.
pub const CLUSTER: &str = "payments-global";
/// With which PagerDuty signs its webhooks.
pub const PAGERDUTY_WEBHOOK_KEY: &str = "whsec";
const DAY_START: &str = "2026-11-24T14:05:00Z";

/// What an installation is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Everything random is drawn from this.
    pub seed: u64,
    /// Topology and policy.
    pub config: Config,
    /// The Region that holds the writer at the start; the other data Region stands by.
    pub primary: Region,
    /// How long AWS takes to promote.
    pub promotion: Duration,
    /// How far the standby is behind.
    pub lag: Duration,
    /// Instances of the standby cluster.
    pub standby_instances: usize,
    /// Between two payments of each of the two cohorts.
    pub payment_every: Duration,
    /// When clients stop making new payments.
    pub payments_until: Duration,
    /// Whether there are clients that only read.
    pub readers: bool,
    /// Whether the functions that run when it is over are installed.
    pub reconcilers: bool,
    /// Whether traffic can be shifted: switches, resolvers, counting load balancers, and shift-traffic.
    pub traffic: bool,
    /// The attempts table replicates late (MREC), with last-writer-wins.
    pub asynchronous_attempts: bool,
    /// What is wrong with the installation, for tests of the tests.
    pub bug: Option<InstallationBug>,
}

/// A deliberate bug that is not on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallationBug {
    /// Fence rows are not written, and said to be.
    FenceRowsSkipped,
    /// Nothing starts promote-aurora but events.
    PromoterNotScheduled,
    /// The payments tier takes a short cut.
    Payments(ShortCut),
}

impl Setup {
    /// Dublin writes, London is 80 ms behind with one instance, and AWS promotes in the brief's 45 s.
    #[must_use]
    pub fn standard(seed: u64) -> Self {
        Self {
            seed,
            config: example_config(),
            primary: Region::DUBLIN,
            promotion: Duration::from_secs(45),
            lag: Duration::from_millis(80),
            standby_instances: 1,
            payment_every: Duration::from_secs(1),
            payments_until: Duration::MAX,
            readers: true,
            reconcilers: true,
            traffic: false,
            asynchronous_attempts: false,
            bug: None,
        }
    }
}

/// A running installation.
#[derive(Debug)]
pub struct Deployment {
    /// The world it runs in.
    pub world: World,
    /// What payment clients were told.
    pub history: History,
    /// What reading clients got.
    pub reads: Reads,
    /// How far the standby was behind, over time.
    pub samples: Samples,
    /// What the card network remembers.
    pub network: CardNetwork,
    /// How far the standby is behind on a normal day.
    pub lag: Duration,
    /// The payments service of each data Region.
    pub services: BTreeMap<Region, PaymentsService>,
}

/// The configuration of the example, with the world's writer endpoint.
#[must_use]
pub fn example_config() -> Config {
    let text = include_str!("../../../events/config.example.json");
    let mut config = Config::parse(text).expect("events/config.example.json is valid; a test of the domain says so");
    config.topology.writer_endpoint = WRITER_ENDPOINT.to_owned();
    config
}

/// Installs everything.
#[must_use]
pub fn deploy(setup: &Setup) -> Deployment {
    let start = DAY_START.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let world = World::new(&WorldConfig { seed: setup.seed, start });
    deploy_aws(&world, setup, &|_, function| handler(&world, setup, function));
    let network = CardNetwork::default();
    let list = setup.reconcilers.then_some((TABLE, CLUSTER));
    let services = DATA_REGIONS.map(|region| {
        let lease = WriterLease::keep(&world, region, TABLE, CLUSTER, setup.primary);
        let short_cut = match setup.bug {
            Some(InstallationBug::Payments(short_cut)) => Some(short_cut),
            Some(InstallationBug::FenceRowsSkipped | InstallationBug::PromoterNotScheduled) | None => None,
        };
        (region, PaymentsService::start(&world, region, lease, network.clone(), short_cut, list))
    });
    let (history, reads) = (History::default(), Reads::default());
    start_clients(&world, setup, &history, &reads);
    let samples = Samples::default();
    if setup.readers {
        samples.take(&world, &history, setup.primary);
    }
    Deployment { world, history, reads, samples, network, lag: setup.lag, services: services.into_iter().collect() }
}

/// Clients near each data Region.
pub fn start_clients(world: &World, setup: &Setup, history: &History, reads: &Reads) {
    for (near, currency) in [(Region::DUBLIN, "EUR"), (Region::LONDON, "GBP")] {
        let cohort = Cohort { near, every: setup.payment_every, currency, until: setup.payments_until };
        cohort.start(world, history);
        if setup.readers {
            start_readers(world, near, Duration::from_millis(500), reads);
        }
    }
}

/// What makes the code of a function in a Region.
pub type Code<'a> = &'a dyn Fn(Region, Function) -> Handler;

/// Installs what is AWS's: tables, buckets, clusters, topics, alarms, and the functions with the code that they are given.
pub fn deploy_aws(world: &World, setup: &Setup, code: Code<'_>) {
    create_table(world, TABLE, Mode::Mrsc(REGIONS), "pk", Some("sk"));
    let attempts = if setup.asynchronous_attempts { Mode::Mrec(DATA_REGIONS.to_vec()) } else { Mode::Mrsc(REGIONS) };
    create_table(world, ATTEMPTS_TABLE, attempts, "pk", Some("sk"));
    for (region, peer) in [(Region::DUBLIN, Region::LONDON), (Region::LONDON, Region::DUBLIN)] {
        s3::create_bucket(world, bucket(region), region);
        s3::set_rule(world, bucket(region), Some(whole_rule(peer)));
    }
    create_global_cluster(
        world,
        &GlobalClusterConfig {
            id: CLUSTER,
            primary: setup.primary,
            secondary: if setup.primary == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN },
            promotion: setup.promotion,
            lag: setup.lag,
            secondary_instances: setup.standby_instances,
        },
    );
    if setup.traffic {
        deploy_traffic(world);
        readiness::go_on_measuring(world);
    }
    world.start_providers();
    world.alarm_on_dead_letters(page_humans::FUNCTION);
    for region in REGIONS {
        let (host, path) = CHAT;
        for (name, secret) in [
            ("holdfast/pagerduty", ROUTING_KEY),
            ("holdfast/pagerduty-webhook", PAGERDUTY_WEBHOOK_KEY),
            ("holdfast/chat", &format!("https://{host}{path}")),
            ("holdfast/status-page", WEBHOOK_KEY),
        ] {
            world.put_secret(region, name, secret);
        }
        world.create_topic(&topic_arn(region, "holdfast-pages"));
        deploy_functions(world, region, setup, code);
    }
    deploy_route53_alarm(world);
    readiness::show(world);
}

/// A replication rule that leaves nothing out.
pub(crate) fn whole_rule(to: Region) -> s3::Rule {
    s3::Rule {
        destination: bucket(to),
        delete_markers: true,
        replica_modifications: true,
        kms_objects: true,
        broken: false,
    }
}

fn deploy_functions(world: &World, region: Region, setup: &Setup, code: Code<'_>) {
    let data = DATA_REGIONS.contains(&region);
    let minute = Duration::from_secs(60);
    world.create_function(region, observe_region::FUNCTION, Duration::from_secs(75), code(region, Function::Observe));
    world.create_function(region, page_humans::FUNCTION, minute, code(region, Function::Page));
    // Schedules start together and within seconds of the minute; the first one comes as the world begins.
    world.schedule(region, observe_region::FUNCTION, minute, Duration::from_millis(200 + world.draw(800)));
    // Spread over the minute: whichever Region is next pages what an event that got lost should have.
    let turn = REGIONS.iter().position(|it| *it == region).and_then(|turn| u64::try_from(turn).ok()).unwrap_or(0);
    world.schedule(region, page_humans::FUNCTION, minute, Duration::from_secs(10 + 20 * turn));
    let rule = |bus, source, detail_types, target| Rule { region, bus, source, detail_types, target };
    let told = vec![
        "RegionDoubtful",
        "StandbyDark",
        "IncidentAdvanced",
        "LossCounted",
        "ReplicationChanged",
        "KeysAcceptedTwice",
        "ReceiptsReconciled",
        "PromotionSlow",
        "DatabaseNotice",
        "TriggerRefused",
        "LedgerReconciled",
        "ClearingFileRefused",
        "TrafficShifted",
        "ReadinessChanged",
    ];
    world.put_rule(rule("holdfast", "holdfast", told, page_humans::FUNCTION));
    if data {
        world.create_function(
            region,
            promote_aurora::FUNCTION,
            Duration::from_secs(900),
            code(region, Function::Promote),
        );
        if setup.bug != Some(InstallationBug::PromoterNotScheduled) {
            world.schedule(region, promote_aurora::FUNCTION, minute, Duration::from_secs(30));
        }
        world.create_function(region, verify_replication::FUNCTION, minute, code(region, Function::Verify));
        let offset = if region == Region::LONDON { 20 } else { 35 };
        world.schedule(region, verify_replication::FUNCTION, minute, Duration::from_secs(offset));
        world.put_rule(rule("holdfast", "holdfast", vec!["IncidentAdvanced"], verify_replication::FUNCTION));
        // It is there, and looked at like the others; it runs where a scenario moves traffic.
        world.create_function(region, shift_traffic::FUNCTION, minute, code(region, Function::Traffic));
        // An hour is outside of every drill: whoever wants a comparison asks for it.
        let two_minutes = Duration::from_secs(120);
        world.create_function(region, check_readiness::FUNCTION, two_minutes, code(region, Function::Readiness));
        if setup.reconcilers {
            deploy_reconcilers(world, region, Duration::from_secs(offset + 25), code);
        }
        world.put_rule(rule("holdfast", "holdfast", vec!["RegionSuspected", "PageAnswered"], promote_aurora::FUNCTION));
        world.put_rule(rule("default", "aws.rds", vec![], promote_aurora::FUNCTION));
    }
}

/// What runs when it is over.
fn deploy_reconcilers(world: &World, region: Region, ledger_at: Duration, code: Code<'_>) {
    let starts = vec!["IncidentAdvanced", "RegionRecovered", "ReceiptsUnfinished"];
    for (target, function, detail_types) in [
        (reconcile_receipts::FUNCTION, Function::Receipts, starts),
        (reconcile_ledger::FUNCTION, Function::Ledger, vec!["IncidentAdvanced"]),
    ] {
        world.create_function(region, target, Duration::from_secs(900), code(region, function));
        world.put_rule(Rule { region, bus: "holdfast", source: "holdfast", detail_types, target });
    }
    world.schedule(region, reconcile_ledger::FUNCTION, Duration::from_secs(60), ledger_at);
}

/// The switches, what resolvers and load balancers tell, and the schedule of the function that moves traffic.
fn deploy_traffic(world: &World) {
    for (of, held_in, bucket, key, load_balancer) in [
        (Region::DUBLIN, Region::LONDON, "payments-global-switch-eu-west-2", "evacuate/eu-west-1", "app/payments/dub"),
        (Region::LONDON, Region::DUBLIN, "payments-global-switch-eu-west-1", "evacuate/eu-west-2", "app/payments/lon"),
    ] {
        s3::create_bucket(world, bucket, held_in);
        world.watch_switch(Switch { of, held_in, bucket, key });
        world.count_requests(of, load_balancer);
    }
    let own: BTreeMap<String, Region> = DATA_REGIONS.map(|region| (host(region), region)).into();
    for (resolver, path) in [("dns.google", "/resolve"), ("cloudflare-dns.com", "/dns-query")] {
        world.serve_resolver(resolver, path, "payments.example.com", own.clone());
    }
    for region in DATA_REGIONS {
        let offset = if region == Region::LONDON { 5 } else { 50 };
        world.schedule(region, shift_traffic::FUNCTION, Duration::from_secs(60), Duration::from_secs(offset));
    }
}

/// The third, late opinion: Route 53's own alarm, which lives in us-east-1 and reaches London by SNS.
fn deploy_route53_alarm(world: &World) {
    for region in DATA_REGIONS {
        let id = if region == Region::DUBLIN { "hc-dublin" } else { "hc-london" };
        world.create_health_check(HealthCheck {
            id,
            url: format!("https://{}/healthz", host(region)),
            region,
            interval: Duration::from_secs(10),
            failure_threshold: 3,
        });
    }
    let topic = topic_arn(Region::N_VIRGINIA, "holdfast-health-checks");
    world.create_topic(&topic);
    world.subscribe_function(&topic, Region::LONDON, promote_aurora::FUNCTION);
    world.put_alarm(Alarm {
        region: Region::N_VIRGINIA,
        name: "dublin-health-check",
        namespace: "AWS/Route53",
        metric: "HealthCheckStatus",
        dimension: ("HealthCheckId", "hc-dublin"),
        below: 1.0,
        periods: 2,
        topic,
    });
}

/// The functions of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// observe-region
    Observe,
    /// promote-aurora
    Promote,
    /// page-humans
    Page,
    /// verify-replication
    Verify,
    /// check-readiness
    Readiness,
    /// reconcile-ledger
    Ledger,
    /// reconcile-receipts
    Receipts,
    /// shift-traffic
    Traffic,
}

impl Function {
    /// Its name, which is that of its binary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => observe_region::FUNCTION,
            Self::Promote => promote_aurora::FUNCTION,
            Self::Page => page_humans::FUNCTION,
            Self::Verify => verify_replication::FUNCTION,
            Self::Readiness => check_readiness::FUNCTION,
            Self::Ledger => reconcile_ledger::FUNCTION,
            Self::Receipts => reconcile_receipts::FUNCTION,
            Self::Traffic => shift_traffic::FUNCTION,
        }
    }
}

/// The code of a function, as it is deployed.
pub fn handler(world: &World, setup: &Setup, function: Function) -> Handler {
    let (world, config, bug) = (world.clone(), setup.config.clone(), setup.bug);
    // As warm sandboxes keep them.
    let secrets = Arc::new(page_humans::Secrets::default());
    Arc::new(move |invocation: lambda::Invocation| {
        let (world, config, secrets) = (world.clone(), config.clone(), secrets.clone());
        Box::pin(async move {
            let region = holdfast_domain::Region::new(invocation.region.as_str()).map_err(|error| error.to_string())?;
            let startup =
                Startup::new(config, region, &invocation.sdk, Metrics::Silent).map_err(|error| error.to_string())?;
            let ledger = Arc::new(WorldLedger::new(&world, invocation.region, bug));
            let given = Invocation {
                payload: invocation.payload.to_vec(),
                id: invocation.request_id,
                deadline: invocation.deadline,
            };
            let answer: Result<_, Failure> = match function {
                Function::Observe => observe_region::handle(&startup, ledger, given).await,
                Function::Promote => promote_aurora::handle(&startup, ledger, given).await,
                Function::Page => page_humans::handle(&startup, &secrets, given).await,
                Function::Verify => verify_replication::handle(&startup, given).await,
                Function::Readiness => check_readiness::handle(&startup, given).await,
                Function::Ledger => reconcile_ledger::handle(&startup, ledger, given).await,
                Function::Receipts => reconcile_receipts::handle(&startup, given).await,
                Function::Traffic => shift_traffic::handle(&startup, given).await,
            };
            answer.map_err(|failure| failure.to_string())
        })
    })
}
