//! What a live run is made of: databases, relays, functions, front doors, and how they are started, killed and moved.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use drill::deployment::{CLUSTER, DATA_REGIONS, Function, REGIONS, Setup, deploy_aws, example_config};
use holdfast_domain::config::Config;
use holdfast_payments::service::host;
use holdfast_postgresql::{DATABASE, PORT, Server as PostgreSql, ServerError, USER};
use holdfast_world::rds::{Move, Promoter, promote_with};
use holdfast_world::server::serve_as;
use holdfast_world::{Caller, Region, World, aurora};
use http::Request;

use crate::failback;
use crate::functions::{Pool, program};
use crate::ledger;
use crate::processes::{Home, Server};
use crate::relay::{Relay, Target};
use crate::run::{Choice, LiveError};
use crate::wire::{self, Client};

/// A service that takes longer has not answered.
const SERVICE_MAX: Duration = Duration::from_secs(5);
/// The way of London's standby to Dublin, in the run's directory.
const STREAM: &str = "stream";
/// The way of Dublin's standby to London.
pub(crate) const STREAM_BACK: &str = "stream-back";

/// What runs, and ends with this.
pub(crate) struct Parts {
    pub(crate) services: BTreeMap<Region, Server>,
    // Ends before its directory is deleted.
    _network: Server,
    apis: BTreeMap<Region, Api>,
    pub(crate) databases: BTreeMap<Region, Arc<PostgreSql>>,
    /// A server on a copy of the old primary's data.
    pub(crate) snapshot: Option<PostgreSql>,
    pub(crate) pool: Pool,
    pub(crate) switches: Switches,
    pub(crate) home: Home,
}

/// How a Region's payments API is started.
struct Api {
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
}

/// What a story can set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches {
    /// Dublin's resolvers still answer the writer's name with Dublin.
    pub(crate) stale_name: Arc<AtomicBool>,
    /// London's standby gets nothing more.
    pub(crate) stream_held: Arc<AtomicBool>,
}

/// Starts everything but the databases.
pub(crate) async fn install(
    world: &World,
    setup: &Setup,
    choice: &Choice,
    home: Home,
    databases: BTreeMap<Region, Arc<PostgreSql>>,
    pool: Pool,
) -> Result<Parts, LiveError> {
    let switches = Switches::default();
    wire_databases(world, choice, &home, &databases, &switches).await?;
    let mut codes = BTreeMap::new();
    for region in REGIONS {
        for function in FUNCTIONS {
            let binary = choice.functions.join(function.name());
            if !binary.is_file() {
                return Err(LiveError::NotBuilt(binary));
            }
            let aws = endpoint(world, function.name(), region).await?;
            let config = serde_json::to_string(&config_of(setup, &home, region, &aws)).unwrap_or_default();
            let log = home.join(format!("{region}.{}.log", function.name()));
            codes.insert((region, function), program(binary, function, region, &aws, &config, log));
        }
    }
    deploy_aws(world, setup, &|region, function| pool.code(region, function, codes.get(&(region, function)).cloned()));
    promote_with(world, promoter(world, &databases));

    let record = home.join("charges");
    let network = Server::start(
        &choice.programs.join("card-network"),
        &["--record".into(), record.display().to_string()],
        &home.join("card-network.log"),
    )?;
    let mut apis = BTreeMap::new();
    for region in DATA_REGIONS {
        let aws = endpoint(world, "payments-api", region).await?;
        let mut arguments: Vec<String> = [
            ("--region", region.to_string()),
            ("--aws", aws),
            ("--writer", home.join(format!("{region}/writer")).display().to_string()),
            ("--network", network.url.clone()),
            ("--first-writer", setup.primary.to_string()),
            ("--lease", setup.config.policy.writer_lease_seconds.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        for (at, server) in &databases {
            arguments.extend(["--server".to_owned(), format!("{at}={}", server.data().display())]);
        }
        let log = home.join(format!("{region}.payments-api.log"));
        apis.insert(region, Api { program: choice.programs.join("payments-api"), arguments, log });
    }
    let services = BTreeMap::new();
    let mut parts = Parts { services, _network: network, apis, databases, snapshot: None, pool, switches, home };
    for region in DATA_REGIONS {
        parts.start_api(world, region)?;
    }
    Ok(parts)
}

impl Parts {
    /// Starts a Region's payments API, for the first time or again.
    pub(crate) fn start_api(&mut self, world: &World, region: Region) -> Result<(), LiveError> {
        if let Some(api) = self.apis.get(&region) {
            let service = Server::start(&api.program, &api.arguments, &api.log)?;
            serve(world, region, service.url.clone());
            self.services.insert(region, service);
        }
        Ok(())
    }

    /// A Region's database.
    pub(crate) fn database(&self, region: Region) -> Result<Arc<PostgreSql>, LiveError> {
        self.databases.get(&region).cloned().ok_or_else(|| LiveError::Missing(format!("no database in {region}")))
    }

    /// Where a Region's database listens.
    pub(crate) fn socket(&self, region: Region) -> PathBuf {
        self.databases.get(&region).map(|server| PathBuf::from(server.socket())).unwrap_or_default()
    }

    /// Everything in a Region dies at once, and no packet of it passes any more.
    pub(crate) fn kill(&mut self, world: &World, region: Region) -> Result<(), LiveError> {
        world.go_dark(region);
        if let Some(service) = self.services.get_mut(&region) {
            service.kill();
        }
        self.pool.kill(region);
        if let Some(database) = self.databases.get(&region) {
            database.crash()?;
        }
        Ok(())
    }
}

const FUNCTIONS: [Function; 6] =
    [Function::Observe, Function::Promote, Function::Page, Function::Verify, Function::Ledger, Function::Receipts];

/// The relays: the standby's stream, and the writer's and the reader's endpoint in each Region.
async fn wire_databases(
    world: &World,
    choice: &Choice,
    home: &Home,
    databases: &BTreeMap<Region, Arc<PostgreSql>>,
    switches: &Switches,
) -> Result<(), LiveError> {
    let sockets: BTreeMap<Region, PathBuf> =
        databases.iter().map(|(region, server)| (*region, PathBuf::from(server.socket()))).collect();
    let to = |region: Region| -> Target {
        let socket = sockets.get(&region).cloned().unwrap_or_default();
        Arc::new(move || (region, socket.clone()))
    };
    let relay = |from: Region, target: Target| Relay {
        world: world.clone(),
        from,
        target,
        one_way: choice.one_way,
        held: Arc::default(),
    };
    for region in REGIONS {
        let (known, asked, stale) = (sockets.clone(), world.clone(), switches.stale_name.clone());
        let endpoint: Target = Arc::new(move || {
            let kept = region == Region::DUBLIN && stale.load(Ordering::Relaxed);
            let now = aurora::writer_endpoint_region(&asked).filter(|_| !kept);
            let at = now.unwrap_or(Region::DUBLIN);
            (at, known.get(&at).cloned().unwrap_or_default())
        });
        relay(region, endpoint).listen(&home.join(format!("{region}/writer")))?;
        if DATA_REGIONS.contains(&region) {
            relay(region, to(region)).listen(&home.join(format!("{region}/reader")))?;
        }
    }
    // One way for each direction of replication; a standby has its own.
    let stream = home.join(STREAM);
    let held = switches.stream_held.clone();
    Relay { held, ..relay(Region::LONDON, to(Region::DUBLIN)) }.listen(&stream)?;
    relay(Region::DUBLIN, to(Region::LONDON)).listen(&home.join(STREAM_BACK))?;
    let standby = ledger::connect(&sockets.get(&Region::LONDON).cloned().unwrap_or_default()).await?;
    let through = format!("host={} port={PORT} user={USER} application_name=london", stream.display());
    standby.batch_execute(&format!("ALTER SYSTEM SET primary_conninfo = '{through}'")).await?;
    standby.batch_execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

/// A way into AWS's API, and to the front doors, for one caller in one Region.
async fn endpoint(world: &World, caller: &str, region: Region) -> io::Result<String> {
    let (listener, address) = wire::listen().await?;
    tokio::spawn(serve_as(world.clone(), listener, Caller { name: caller.into(), region, invocation: None }));
    Ok(format!("http://{address}"))
}

/// What a Region's functions are configured with: its own ways to the databases and to the front doors.
fn config_of(setup: &Setup, home: &Home, region: Region, way: &str) -> Config {
    let mut config = Config { policy: setup.config.policy.clone(), ..example_config() };
    // Real processes reach real addresses: nobody's PagerDuty is rung by a drill.
    config.paging = holdfast_domain::paging::Paging::default();
    let topology = &mut config.topology;
    topology.writer_endpoint = home.join(format!("{region}/writer")).display().to_string();
    topology.ledger.database = DATABASE.into();
    topology.ledger.user = USER.into();
    topology.ledger.port = PORT;
    topology.ledger.ca_file = None;
    topology.s3_path_style = true;
    topology.global_cluster = CLUSTER.into();
    for data in &mut topology.data_regions {
        let there = Region::named(data.region.as_str()).unwrap_or(Region::DUBLIN);
        data.reader_endpoint = home.join(format!("{there}/reader")).display().to_string();
        data.liveness_url = format!("{way}/host/{}/healthz", host(there));
        data.write_readiness_url = format!("{way}/host/{}/writez", host(there));
    }
    config
}

/// Puts a Region's payments API behind its name.
fn serve(world: &World, region: Region, url: String) {
    let client = Client::default();
    world.serve_host(
        &host(region),
        region,
        Arc::new(move |request: Request<Bytes>| {
            let (client, url) = (client.clone(), url.clone());
            Box::pin(async move {
                let (mut parts, body) = request.into_parts();
                let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
                parts.uri = format!("{url}{path}").parse().unwrap_or_default();
                parts.headers.remove("host");
                match client.send(Request::from_parts(parts, body), SERVICE_MAX).await {
                    Ok(response) => response,
                    Err(error) => wire::json(502, &serde_json::json!({"error": error.to_string()})),
                }
            })
        }),
    );
}

/// Moves the writer as RDS is asked to.
fn promoter(world: &World, databases: &BTreeMap<Region, Arc<PostgreSql>>) -> Promoter {
    let (world, databases) = (world.clone(), databases.clone());
    Promoter(Arc::new(move |how: Move| {
        let (old, new) = (databases.get(&how.from).cloned(), databases.get(&how.to).cloned());
        let world = world.clone();
        Box::pin(async move {
            let moved = match (how.lossless, old, new) {
                (true, Some(old), Some(new)) => failback::switch_over(&world, how, old, new).await,
                (false, _, Some(new)) => blocking(move || new.promote()).await,
                (_, _, None) | (true, None, _) => Err(LiveError::Missing(format!("no database in {}", how.to))),
            };
            if let Err(problem) = moved {
                // RDS would go on for ever; the drill says so and the checker finds no writer.
                world.record("live-drill", format!("the databases could not be moved: {problem}"));
                std::future::pending::<()>().await;
            }
        })
    }))
}

/// Waits for a program of PostgreSQL without holding up everybody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, LiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| LiveError::Missing(error.to_string()))??)
}
