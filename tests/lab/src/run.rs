//! One option, played: the world, the stores, the clients, the outage, the return.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_payments::service::host;
use holdfast_world::route53::HealthCheck;
use holdfast_world::{Region, World, WorldConfig};

use crate::checker::{Measured, Seen, measure};
use crate::history::History;
use crate::rows::{BASELINE, Row};
use crate::stores::{Contents, DATA_REGIONS, Store};
use crate::timing::{BEGIN, END, OUTAGE_AT, RETURN_AT, START};
use crate::{clients, service};

/// How clients find a Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Routing {
    /// Latency records: everybody goes to the nearest healthy Region.
    Latency,
    /// Weighted records with all the weight on Dublin: London is warm and idle until it is unhealthy, or the weight is moved.
    Weighted,
}

/// What a play may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything random is drawn from this.
    pub seed: u64,
    /// How clients find a Region, where the row does not say.
    pub routing: Routing,
    /// How long AWS takes to fail a global database over.
    pub aws_promotion: Duration,
    /// How long AWS takes to promote a cross-Region read replica.
    pub replica_promotion: Duration,
    /// How long AWS takes to restore a cluster from a snapshot.
    pub restore: Duration,
    /// How long AWS takes to create an instance in it.
    pub instance: Duration,
    /// When the play ends, since the start of the world.
    pub until: Duration,
}

impl Options {
    /// The brief's 45 s for a failover; for what AWS calls "several minutes or longer" five of them, and for a restore what
    /// the brief calls tens of minutes.
    #[must_use]
    pub fn standard(seed: u64) -> Self {
        Self {
            seed,
            routing: Routing::Latency,
            aws_promotion: Duration::from_secs(45),
            replica_promotion: Duration::from_secs(300),
            restore: Duration::from_secs(15 * 60),
            instance: Duration::from_secs(8 * 60),
            until: END,
        }
    }
}

/// Plays a row on a clock of its own. Same seed, same bytes: everything that it draws on is created here.
pub fn play(row: &Row, options: Options) -> std::io::Result<Measured> {
    Ok(play_with(row, options, |_| {})?.0)
}

/// The same with something more going wrong; what happened in the world is there to be read.
pub fn play_with(row: &Row, options: Options, begin: impl FnOnce(&World)) -> std::io::Result<(Measured, World)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(played(row, options, begin)))
}

async fn played(row: &Row, options: Options, begin: impl FnOnce(&World)) -> (Measured, World) {
    let start = START.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let world = World::later(&WorldConfig { seed: options.seed, start }, BEGIN);
    let routing = row.routing.unwrap_or(options.routing);
    if routing == Routing::Weighted {
        world.weigh_all_to(Region::DUBLIN);
    }
    let store = (row.build)(&world, &options);
    begin(&world);
    for region in DATA_REGIONS {
        service::serve(&world, region, store.clone());
    }
    if !row.brings_health_checks {
        check_health(&world);
    }
    let history = History::default();
    clients::start(&world, &history);
    world.after(OUTAGE_AT - BEGIN, |world| world.go_dark(Region::DUBLIN));
    world.after(RETURN_AT - BEGIN, |world| world.come_back(Region::DUBLIN));
    let first_service = watch_for_first_service(&world, &history, &store);
    // Of the baseline nothing but its latency is wanted.
    let until = if row.name == BASELINE.name { OUTAGE_AT } else { options.until };
    tokio::time::sleep(until - BEGIN).await;
    let first_service = first_service.lock().unwrap_or_else(PoisonError::into_inner).take();
    let operations = history.operations();
    let measured =
        measure(&Seen { row, seed: options.seed, routing, operations, store: store.as_ref(), first_service });
    world.close();
    (measured, world)
}

/// The health checks of both Regions' load balancers, as the installation has them.
fn check_health(world: &World) {
    for (id, region) in [("hc-dublin", Region::DUBLIN), ("hc-london", Region::LONDON)] {
        world.create_health_check(HealthCheck {
            id,
            url: format!("https://{}/healthz", host(region)),
            region,
            interval: Duration::from_secs(10),
            failure_threshold: 3,
        });
    }
}

/// What the survivor held when it served its first write after the outage, and when that was.
pub type FirstService = (Duration, Contents);

fn watch_for_first_service(
    world: &World,
    history: &History,
    store: &Arc<dyn Store>,
) -> Arc<Mutex<Option<FirstService>>> {
    let found: Arc<Mutex<Option<FirstService>>> = Arc::default();
    let (world, history, store, filled) = (world.clone(), history.clone(), store.clone(), found.clone());
    tokio::spawn(async move {
        tokio::time::sleep(OUTAGE_AT - BEGIN).await;
        while world.elapsed() < RETURN_AT {
            if history.has_worked_since(OUTAGE_AT, true) {
                let seen = (world.elapsed(), store.contents(Region::LONDON));
                *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found
}
