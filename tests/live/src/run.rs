//! One live run: everything is started, something is killed, and what clients were told is laid beside what is left.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use drill::checker::{Outcome, Seen};
use drill::deployment::{CLUSTER, DATA_REGIONS, Function, REGIONS, Setup, deploy_aws, example_config, start_clients};
use drill::samples::{Exposed, Samples};
use drill::scenario::OUTAGE_AT;
use drill::timeline;
use drill::waterfall::ms;
use holdfast_domain::config::Config;
use holdfast_payments::card_network::Charge;
use holdfast_payments::history::{History, Operation, Reads, Told};
use holdfast_payments::service::host;
use holdfast_postgresql::{DATABASE, PORT, Server as PostgreSql, ServerError, USER};
use holdfast_report::{Behind, Kind};
use holdfast_world::rds::{Promoter, accepted, promote_with, writer};
use holdfast_world::server::serve_as;
use holdfast_world::{Caller, Region, World, WorldConfig, aurora};
use http::Request;

use crate::functions::{Pool, program};
use crate::ledger::{self, Booked, SCHEMA};
use crate::processes::{Home, Server};
use crate::relay::{Relay, Target};
use crate::scenario::{Fault, Live};
use crate::wire::{self, Client};

/// So much of the story's two quiet minutes is not waited for.
const HEAD_START: Duration = Duration::from_secs(75);
/// A service that takes longer has not answered.
const SERVICE_MAX: Duration = Duration::from_secs(5);
/// After the last payment was sent, clients are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(4);

/// What a run may choose.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Where the functions' binaries are.
    pub functions: PathBuf,
    /// Where the payments API's and the card network's are.
    pub programs: PathBuf,
    /// What is drawn is drawn from this.
    pub seed: u64,
    /// What AWS takes beside the promotion of the real standby.
    pub aws_promotion: Duration,
    /// The payments tier's writer lease, in seconds.
    pub writer_lease_seconds: u64,
    /// From Dublin to London, one way.
    pub one_way: Duration,
    /// Where the functions' own logs are kept after the run.
    pub keep_logs: Option<PathBuf>,
}

/// A live run could not be played.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// PostgreSQL.
    #[error(transparent)]
    PostgreSql(#[from] ServerError),
    /// A statement of the drill's own.
    #[error("PostgreSQL: {0}")]
    Sql(#[from] tokio_postgres::Error),
    /// A process, a port or a file.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A binary is not there.
    #[error("{0} is not there; build it first (`make live-drill` does)")]
    NotBuilt(PathBuf),
}

/// What runs, and ends with this.
struct Parts {
    services: Arc<Mutex<BTreeMap<Region, Server>>>,
    // Ends before its directory is deleted.
    _network: Server,
    databases: BTreeMap<Region, Arc<PostgreSql>>,
    pool: Pool,
    home: Home,
}

/// Plays a story.
pub async fn play(live: &'static Live, choice: &Choice) -> Result<Outcome, LiveError> {
    let mut setup = Setup {
        promotion: choice.aws_promotion,
        payment_every: Duration::from_millis(100),
        ..Setup::standard(choice.seed)
    };
    if let Some(scenario) = live.scenario() {
        scenario.prepare(&mut setup);
    }
    setup.config.policy.writer_lease_seconds = choice.writer_lease_seconds;
    let length = OUTAGE_AT + live.watched + choice.aws_promotion;
    setup.payments_until = length.saturating_sub(LAST_ANSWERS);
    let (history, reads, samples) = (History::default(), Reads::default(), Samples::default());

    // Databases first: they take seconds, and the story's clock does not run yet.
    let primary = PostgreSql::start()?;
    ledger::connect(Path::new(&primary.socket())).await?.batch_execute(SCHEMA).await?;
    let standby = primary.standby()?;
    let home = Home::make()?;
    let databases: BTreeMap<Region, Arc<PostgreSql>> =
        [(Region::DUBLIN, Arc::new(primary)), (Region::LONDON, Arc::new(standby))].into();

    let start = jiff::Timestamp::now().checked_sub(HEAD_START).unwrap_or_default();
    let world = World::later(&WorldConfig { seed: choice.seed, start }, HEAD_START);
    let pool = Pool::default();
    let mut parts = install(&world, &setup, choice, home, databases, pool).await?;
    timeline::follow(&world);
    timeline::print_offsets_as_it_happens(&world);
    aurora::measure_lag(&world);
    start_clients(&world, &setup, &history, &reads);
    tokio::spawn(sample(
        world.clone(),
        history.clone(),
        samples.clone(),
        socket_of(&parts, Region::DUBLIN),
        socket_of(&parts, Region::LONDON),
    ));

    until(&world, OUTAGE_AT).await;
    strike(&world, live.fault, &mut parts).await?;
    until(&world, length).await;

    let at = writer(&world).unwrap_or(Region::DUBLIN);
    let rows = ledger::bookings(&socket_of(&parts, at)).await?;
    let charges = charges(&parts.home.join("charges"))?;
    let operations = history.operations();
    let repeat = format!(
        "make live-drill LIVE={} RUNS=1 SEED={} AWS_PROMOTION={}",
        live.name,
        choice.seed,
        choice.aws_promotion.as_secs()
    );
    let mut outcome = Outcome::judge(Seen {
        scenario: live.name,
        about: live.about,
        kind: Kind::Live,
        outage: live.outage(),
        seed: choice.seed,
        repeat,
        setup: &setup,
        world: world.clone(),
        operations: operations.clone(),
        reads: reads.all(),
        replication: samples.all(),
        booked: rows.keys().cloned().collect(),
        charges: charges.clone(),
    });
    if let Some(scenario) = live.scenario() {
        outcome.problems.extend(scenario.unmet(&outcome));
    }
    outcome.problems.extend(unconserved(&operations, &rows, &charges));
    if let Some(folder) = &choice.keep_logs {
        keep_logs(&parts.home, &folder.join(format!("{}-{}", live.name, choice.seed)))?;
    }
    world.close();
    Ok(outcome)
}

async fn until(world: &World, when: Duration) {
    tokio::time::sleep(when.saturating_sub(world.elapsed())).await;
}

fn socket_of(parts: &Parts, region: Region) -> PathBuf {
    parts.databases.get(&region).map(|server| PathBuf::from(server.socket())).unwrap_or_default()
}

/// Starts everything but the databases.
async fn install(
    world: &World,
    setup: &Setup,
    choice: &Choice,
    home: Home,
    databases: BTreeMap<Region, Arc<PostgreSql>>,
    pool: Pool,
) -> Result<Parts, LiveError> {
    wire_databases(world, choice, &home, &databases).await?;
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
    promote_with(world, promoter(&databases));

    let record = home.join("charges");
    let network = Server::start(
        &choice.programs.join("card-network"),
        &["--record".into(), record.display().to_string()],
        &home.join("card-network.log"),
    )?;
    let mut services = BTreeMap::new();
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
        let service = Server::start(&choice.programs.join("payments-api"), &arguments, &log)?;
        serve(world, region, service.url.clone());
        services.insert(region, service);
    }
    Ok(Parts { services: Arc::new(Mutex::new(services)), _network: network, databases, pool, home })
}

const FUNCTIONS: [Function; 6] =
    [Function::Observe, Function::Promote, Function::Page, Function::Verify, Function::Ledger, Function::Receipts];

/// The relays: the standby's stream, and the writer's and the reader's endpoint in each Region.
async fn wire_databases(
    world: &World,
    choice: &Choice,
    home: &Home,
    databases: &BTreeMap<Region, Arc<PostgreSql>>,
) -> Result<(), LiveError> {
    let sockets: BTreeMap<Region, PathBuf> =
        databases.iter().map(|(region, server)| (*region, PathBuf::from(server.socket()))).collect();
    let to = |region: Region| -> Target {
        let socket = sockets.get(&region).cloned().unwrap_or_default();
        Arc::new(move || (region, socket.clone()))
    };
    let relay = |from: Region, target: Target| Relay { world: world.clone(), from, target, one_way: choice.one_way };
    for region in REGIONS {
        let (known, asked) = (sockets.clone(), world.clone());
        let endpoint: Target = Arc::new(move || {
            let at = aurora::writer_endpoint_region(&asked).unwrap_or(Region::DUBLIN);
            (at, known.get(&at).cloned().unwrap_or_default())
        });
        relay(region, endpoint).listen(&home.join(format!("{region}/writer")))?;
        if DATA_REGIONS.contains(&region) {
            relay(region, to(region)).listen(&home.join(format!("{region}/reader")))?;
        }
    }
    let stream = home.join("stream");
    relay(Region::LONDON, to(Region::DUBLIN)).listen(&stream)?;
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

fn promoter(databases: &BTreeMap<Region, Arc<PostgreSql>>) -> Promoter {
    let databases = databases.clone();
    Promoter(Arc::new(move |to| {
        let server = databases.get(&to).cloned();
        Box::pin(async move {
            let promoted = tokio::task::spawn_blocking(move || server.map(|server| server.promote())).await;
            if !matches!(promoted, Ok(Some(Ok(())))) {
                // RDS would go on failing over for ever; the drill says so and the checker finds no writer.
                std::future::pending::<()>().await;
            }
        })
    }))
}

/// Once a second: how far the standby is behind, and which acknowledged payments it lacks.
async fn sample(world: World, history: History, samples: Samples, primary: PathBuf, standby: PathBuf) {
    let mut exposed = Exposed::default();
    let connections = (ledger::connect(&primary).await.ok(), ledger::connect(&standby).await.ok());
    loop {
        exposed.listen(&history);
        let (mut lag_ms, mut price) = (None, None);
        if let Some(standby) = &connections.1
            && let Ok(held) = ledger::held(standby, &exposed.keys()).await
        {
            exposed.keep(|key| !held.contains(key));
            price = Some(exposed.totals());
        }
        // A standby that hears nothing of its primary cannot know how far it is behind.
        if let Some(primary) = connections.0.as_ref().filter(|_| aurora::lag(&world, Region::LONDON).is_some()) {
            lag_ms = ledger::lag_ms(primary).await.ok().flatten();
        }
        if let Some(lag_ms) = lag_ms.and_then(|lag_ms| u64::try_from(lag_ms).ok()) {
            aurora::set_lag(&world, Duration::from_millis(lag_ms));
        }
        samples.add(Behind { at_ms: ms(world.elapsed()), lag_ms, price });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What goes wrong.
async fn strike(world: &World, fault: Fault, parts: &mut Parts) -> Result<(), LiveError> {
    match fault {
        Fault::DublinDark => kill_dublin(world, parts),
        Fault::DublinDarkAndPromoterKilled => {
            let watched = world.clone();
            tokio::spawn(async move {
                // Not before RDS has it: a request that dies on its way is rightly made again.
                while accepted(&watched).is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                watched.kill_function(Region::LONDON, Function::Promote.name());
            });
            kill_dublin(world, parts)
        }
        Fault::LinkCut => {
            world.cut_link(Region::LONDON, Region::DUBLIN);
            world.cut_link(Region::DUBLIN, Region::LONDON);
            Ok(())
        }
        Fault::OneObserver => {
            world.cut_link(Region::LONDON, Region::DUBLIN);
            world.after(Duration::from_secs(43), |world| world.mend_link(Region::LONDON, Region::DUBLIN));
            Ok(())
        }
    }
}

/// Everything in Dublin dies at once, and no packet of it passes any more.
fn kill_dublin(world: &World, parts: &Parts) -> Result<(), LiveError> {
    world.go_dark(Region::DUBLIN);
    if let Some(service) = parts.services.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&Region::DUBLIN) {
        service.kill();
    }
    parts.pool.kill(Region::DUBLIN);
    if let Some(database) = parts.databases.get(&Region::DUBLIN) {
        database.crash()?;
    }
    Ok(())
}

/// What the card network wrote down.
fn charges(record: &Path) -> io::Result<Vec<Charge>> {
    let text = std::fs::read_to_string(record)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
}

/// Money is neither made nor lost on the way: what is booked was charged, as it was charged, and so was what was acknowledged.
fn unconserved(operations: &[Operation], rows: &BTreeMap<String, Booked>, charges: &[Charge]) -> Vec<String> {
    let charged: BTreeMap<&str, &Charge> = charges.iter().map(|charge| (charge.reference.as_str(), charge)).collect();
    let mut problems = Vec::new();
    for (key, row) in rows {
        let same = charged.get(row.network_reference.as_str()).is_some_and(|charge| {
            charge.attempt_key == *key && charge.amount_minor == row.amount_minor && charge.currency == row.currency
        });
        if !same {
            problems.push(format!("{key} is booked as {row:?}, and the card network has no such charge"));
        }
    }
    for operation in operations {
        let Told::Acknowledged { network_reference } = &operation.told else { continue };
        let same = charged
            .get(network_reference.as_str())
            .is_some_and(|charge| charge.attempt_key == operation.key && charge.amount_minor == operation.amount_minor);
        if !same {
            problems
                .push(format!("{} was acknowledged under {network_reference}, and never charged so", operation.key));
        }
        let booked_otherwise = rows.get(&operation.key).is_some_and(|row| row.network_reference != *network_reference);
        if booked_otherwise {
            problems.push(format!("{} was acknowledged under one reference and booked under another", operation.key));
        }
    }
    problems
}

fn keep_logs(home: &Home, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(home.join(""))? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            std::fs::copy(&path, folder.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(reference: &str, attempt_key: &str, amount_minor: i64) -> Charge {
        let (reference, attempt_key) = (reference.to_owned(), attempt_key.to_owned());
        Charge { reference, attempt_key, amount_minor, currency: "EUR".into(), at: jiff::Timestamp::UNIX_EPOCH }
    }

    fn acknowledged(reference: &str) -> Operation {
        Operation {
            key: "k1".into(),
            amount_minor: 100,
            currency: "EUR".into(),
            client: "eu-west-1".into(),
            sent_to: "eu-west-1".into(),
            started: Duration::ZERO,
            ended: Duration::ZERO,
            told: Told::Acknowledged { network_reference: reference.into() },
        }
    }

    #[track_caller]
    fn check(booked_minor: i64, reference: &str, charges: &[Charge], expected: &[&str]) {
        let row = Booked { network_reference: "net-1".into(), amount_minor: booked_minor, currency: "EUR".into() };
        let found = unconserved(&[acknowledged(reference)], &[("k1".to_owned(), row)].into(), charges);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn what_is_charged_booked_and_acknowledged_alike_is_conserved() {
        check(100, "net-1", &[charge("net-1", "k1", 100)], &[]);
    }
    #[test]
    fn one_minor_unit_between_charge_and_row_is_found() {
        check(101, "net-1", &[charge("net-1", "k1", 100)], &["no such charge"]);
    }
    #[test]
    fn an_acknowledgement_that_was_never_charged_is_found() {
        let problems = ["never charged so", "booked under another"];
        check(100, "net-2", &[charge("net-1", "k1", 100)], &problems);
    }
    #[test]
    fn a_charge_of_another_payment_does_not_do() {
        check(100, "net-1", &[charge("net-1", "k2", 100)], &["no such charge", "never charged so"]);
    }
}
