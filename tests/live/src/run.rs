//! One live run: everything is started, something is killed, and what clients were told is laid beside what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drill::checker::{Outcome, Seen};
use drill::deployment::{Setup, start_clients};
use drill::samples::{Exposed, Samples};
use drill::scenario::OUTAGE_AT;
use drill::timeline;
use drill::waterfall::ms;
use holdfast_payments::card_network::Charge;
use holdfast_payments::history::{History, Operation, Reads};
use holdfast_postgresql::{Server as PostgreSql, ServerError};
use holdfast_report::{Behind, Kind};
use holdfast_world::rds::writer;
use holdfast_world::{Region, World, WorldConfig, aurora};

use crate::functions::Pool;
use crate::ledger::{self, SCHEMA};
use crate::parts::install;
use crate::processes::Home;
use crate::proof::unconserved;
use crate::scenario::Live;
use crate::story::Stage;

/// So much of the story's two quiet minutes is not waited for.
const HEAD_START: Duration = Duration::from_secs(75);
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
    /// Something that a story needs did not come about.
    #[error("{0}")]
    Missing(String),
    /// A binary is not there.
    #[error("{0} is not there; build it first (`make live-drill` does)")]
    NotBuilt(PathBuf),
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
    let _closing = Closing(world.clone());
    let parts = install(&world, &setup, choice, home, databases, Pool::default()).await?;
    timeline::follow(&world);
    timeline::print_offsets_as_it_happens(&world);
    aurora::measure_lag(&world);
    start_clients(&world, &setup, &history, &reads);
    let sockets: BTreeMap<Region, PathBuf> =
        parts.databases.keys().map(|region| (*region, parts.socket(*region))).collect();
    tokio::spawn(sample(world.clone(), history.clone(), samples.clone(), sockets));

    let repeat = format!(
        "make live-drill LIVE={} RUNS=1 SEED={} AWS_PROMOTION={}",
        live.name,
        choice.seed,
        choice.aws_promotion.as_secs()
    );
    let record = parts.home.join("charges");
    let (seed, seen, charged) = (choice.seed, world.clone(), record.clone());
    let judge = move |operations: Vec<Operation>, booked: BTreeSet<String>| -> io::Result<Outcome> {
        Ok(Outcome::judge(Seen {
            scenario: live.name,
            about: live.about,
            kind: Kind::Live,
            outage: live.outage(),
            seed,
            repeat: repeat.clone(),
            setup: &setup,
            world: seen.clone(),
            operations,
            reads: reads.all(),
            replication: samples.all(),
            booked,
            charges: charges(&charged)?,
        }))
    };
    let (world, aws_promotion) = (world.clone(), choice.aws_promotion);
    let mut stage = Stage::new(world.clone(), parts, history.clone(), aws_promotion, Box::new(judge));
    stage.play(live.fault).await?;
    stage.until(length).await;

    let at = writer(&world).unwrap_or(Region::DUBLIN);
    stage.one_writer(at).await;
    let rows = ledger::bookings(&stage.parts.socket(at)).await?;
    let operations = history.operations();
    let mut outcome = (stage.judge)(operations.clone(), rows.keys().cloned().collect())?;
    stage.nothing_said_by_the_zombie(&outcome, &rows).await?;
    outcome.problems.extend(live.unmet(&outcome));
    outcome.problems.extend(unconserved(&operations, &rows, &charges(&record)?));
    stage.conclude(&mut outcome);
    let parts = &stage.parts;
    if let Some(folder) = &choice.keep_logs {
        keep_logs(&parts.home, &folder.join(format!("{}-{}", live.name, choice.seed)))?;
    }
    Ok(outcome)
}

/// The world holds the databases and is held by what runs in it: however a run ends, it lets go of them.
struct Closing(World);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Once a second: how far the standby is behind, and which acknowledged payments it lacks.
async fn sample(world: World, history: History, samples: Samples, sockets: BTreeMap<Region, PathBuf>) {
    let mut exposed = Exposed::default();
    let mut connections: BTreeMap<Region, tokio_postgres::Client> = BTreeMap::new();
    loop {
        exposed.listen(&history);
        let (mut lag_ms, mut price) = (None, None);
        for (region, socket) in &sockets {
            if connections.get(region).is_none_or(tokio_postgres::Client::is_closed)
                && let Some(Ok(client)) = soon(ledger::connect(socket)).await
            {
                connections.insert(*region, client);
            }
        }
        let primary = writer(&world).unwrap_or(Region::DUBLIN);
        let standby = if primary == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
        // After a failover nobody stands by until the old primary is rebuilt.
        let stands_by = aurora::lag(&world, standby).is_some();
        if (stands_by || primary == Region::DUBLIN)
            && let Some(client) = connections.get(&standby)
            && let Some(Ok(held)) = soon(ledger::held(client, &exposed.keys())).await
        {
            exposed.keep(|key| !held.contains(key));
            price = Some(exposed.totals());
        }
        // A standby that hears nothing of its primary cannot know how far it is behind.
        if let Some(client) = connections.get(&primary).filter(|_| stands_by) {
            lag_ms = soon(ledger::lag_ms(client)).await.and_then(Result::ok).flatten();
        }
        if let Some(lag_ms) = lag_ms.and_then(|lag_ms| u64::try_from(lag_ms).ok()) {
            aurora::set_lag(&world, Duration::from_millis(lag_ms));
        }
        samples.add(Behind { at_ms: ms(world.elapsed()), lag_ms, price });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What stands still does not answer.
async fn soon<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_millis(500), work).await.ok()
}

/// What the card network wrote down.
fn charges(record: &Path) -> io::Result<Vec<Charge>> {
    let text = std::fs::read_to_string(record)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
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
