//! The Aurora rows: the installation of the drill, with the functions that decide and promote; nobody is paged.

use std::sync::Arc;
use std::time::Duration;

use drill::deployment::{Function, Setup, deploy_aws, handler};
use holdfast_domain::policy::Mode;
use holdfast_domain::topology::{LedgerStrategy, RestoreInto};
use holdfast_world::World;
use holdfast_world::lambda::Handler;
use holdfast_world::rds::standby::{Pairing, book_history, copy_to_other_region, pair};

use crate::checker::BEFORE;
use crate::run::Options;
use crate::stores::Store;
use crate::stores::aurora::{Aurora, Standby, row};
use crate::timing::{BEGIN, OUTAGE_AT};

/// How far a binary log may be behind: "seconds to minutes", drawn once for each run.
const REPLICA_LAG_MIN_S: u64 = 4;
const REPLICA_LAG_SPREAD_S: u64 = 36;
/// A snapshot is copied every hour, and a copy is usable some minutes after it was taken: how old the newest one is.
const SNAPSHOT_AGE_MIN_S: u64 = 10 * 60;
const SNAPSHOT_AGE_SPREAD_S: u64 = 48 * 60;
/// Between two payments of the hour before the run.
const BEFORE_EVERY: Duration = Duration::from_secs(5);
/// What the owners accept in the rows whose standby is minutes or an hour behind: the drill's ten seconds would block both.
const ACCEPTED_LAG_S: u64 = 7200;

/// Installs it.
pub(super) fn aurora(world: &World, options: &Options, standby: Standby) -> Arc<dyn Store> {
    let mut setup =
        Setup { promotion: options.aws_promotion, readers: false, reconcilers: false, ..Setup::standard(options.seed) };
    let policy = &mut setup.config.policy;
    policy.mode = Mode::Auto;
    let topology = &mut setup.config.topology;
    match standby {
        Standby::GlobalDatabase => {}
        Standby::ReadReplica => {
            topology.ledger_strategy = LedgerStrategy::ReadReplica;
            setup.lag = Duration::from_secs(REPLICA_LAG_MIN_S + world.draw(REPLICA_LAG_SPREAD_S));
        }
        Standby::Snapshots => {
            topology.ledger_strategy = LedgerStrategy::RestoreFromSnapshot;
            for data in &mut topology.data_regions {
                data.restore_into = Some(RestoreInto {
                    instance_class: "db.r6g.large".into(),
                    subnet_group: "ledger".into(),
                    security_groups: vec!["sg-ledger".into()],
                });
            }
        }
    }
    if let (Standby::ReadReplica | Standby::Snapshots, Some(accepted)) = (standby, policy.standing_acceptance.as_mut())
    {
        accepted.lag_max_seconds = ACCEPTED_LAG_S;
    }
    deploy_aws(world, &setup, &|_, function| code(world, &setup, function));
    let before = match standby {
        Standby::GlobalDatabase => Vec::new(),
        Standby::ReadReplica => {
            pair(world, Pairing::ReadReplica { promotion: options.replica_promotion });
            Vec::new()
        }
        Standby::Snapshots => {
            pair(world, Pairing::Apart { restore: options.restore, instance: options.instance });
            let before = payments_before_the_run();
            book_history(world, before.iter().map(|(at, key)| (*at, row(key, "before"))).collect());
            let age = Duration::from_secs(SNAPSHOT_AGE_MIN_S + world.draw(SNAPSHOT_AGE_SPREAD_S));
            copy_to_other_region(world, "hourly-copy-of-payments-eu-west-1", OUTAGE_AT - age);
            before
        }
    };
    Arc::new(Aurora::new(world, standby, before))
}

/// When, since the start of the world, and under which key.
fn payments_before_the_run() -> Vec<(Duration, String)> {
    let count = u32::try_from(BEGIN.as_secs() / BEFORE_EVERY.as_secs()).unwrap_or(0);
    (0..count).map(|number| (BEFORE_EVERY * number, format!("{BEFORE}{number:06}"))).collect()
}

/// observe-region and promote-aurora are the deployed ones. The others would only tell people.
fn code(world: &World, setup: &Setup, function: Function) -> Handler {
    match function {
        Function::Observe | Function::Promote => handler(world, setup, function),
        Function::Page
        | Function::Verify
        | Function::Ledger
        | Function::Receipts
        | Function::Traffic
        | Function::Readiness => Arc::new(|_| Box::pin(async { Ok(serde_json::Value::Null) })),
    }
}
