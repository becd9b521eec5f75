//! Aurora: one writer, named by the epoch in the coordination table, as the payments tier keeps to it.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_payments::lease::WriterLease;
use holdfast_world::aurora::{
    LedgerRow, Read, Reply, SqlError, Statement, read_local, rows, through_cluster_endpoint, writer_endpoint_region,
};
use holdfast_world::{Region, World};

use super::{Contents, Created, DATA_REGIONS, Store, StoreFuture};

/// What stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standby {
    /// A secondary of a global database: applications write through the global writer endpoint.
    GlobalDatabase,
    /// A cross-Region read replica: applications write to the cluster of the Region that the epoch names.
    ReadReplica,
    /// Nothing but copied snapshots: applications write to, and read from, the one cluster there is.
    Snapshots,
}

/// The service's way to the ledger.
#[derive(Debug)]
pub struct Aurora {
    world: World,
    standby: Standby,
    leases: BTreeMap<Region, WriterLease>,
    before: Vec<(Duration, String)>,
}

impl Aurora {
    /// Over clusters that are there already; `before` is what was acknowledged before the run began.
    #[must_use]
    pub fn new(world: &World, standby: Standby, before: Vec<(Duration, String)>) -> Self {
        let keep = |region| {
            WriterLease::keep(world, region, drill::deployment::TABLE, drill::deployment::CLUSTER, Region::DUBLIN)
        };
        let leases = DATA_REGIONS.into_iter().map(|region| (region, keep(region))).collect();
        Self { world: world.clone(), standby, leases, before }
    }

    /// The Region whose database the service in `at` may write to now.
    fn database(&self, at: Region) -> Option<Region> {
        let lease = self.leases.get(&at)?;
        let named = DATA_REGIONS.into_iter().find(|database| lease.grant(*database).is_some())?;
        match self.standby {
            Standby::GlobalDatabase => writer_endpoint_region(&self.world).filter(|endpoint| *endpoint == named),
            Standby::ReadReplica | Standby::Snapshots => Some(named),
        }
    }

    async fn run(&self, at: Region, statement: Statement) -> Result<Reply, SqlError> {
        match self.database(at) {
            Some(database) => through_cluster_endpoint(&self.world, at, database, statement).await,
            None => Err(SqlError::Unavailable),
        }
    }
}

/// The row of a payment of the lab: its value is what tells two of one key apart.
#[must_use]
pub fn row(key: &str, value: &str) -> LedgerRow {
    let (attempt_key, network_reference) = (key.to_owned(), value.to_owned());
    LedgerRow { attempt_key, network_reference, amount_minor: 100, currency: "EUR".into() }
}

impl Store for Aurora {
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created> {
        Box::pin(async move {
            match self.run(at, Statement::Insert(row(key, value))).await {
                Ok(Reply::Done | Reply::Is(true)) => Created::Accepted,
                Ok(Reply::Is(false)) => Created::Taken,
                Err(SqlError::ReadOnly | SqlError::Unavailable | SqlError::FencedOff) => Created::Unavailable,
            }
        })
    }

    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            match self.standby {
                Standby::GlobalDatabase | Standby::ReadReplica => {
                    read_local(&self.world, at, Read::Booked(vec![key.to_owned()])).await.is_ok()
                }
                Standby::Snapshots => self.run(at, Statement::IsBooked(key.to_owned())).await.is_ok(),
            }
        })
    }

    fn write_ready(&self, at: Region) -> StoreFuture<'_, bool> {
        Box::pin(async move { self.run(at, Statement::IsWritable).await == Ok(Reply::Is(true)) })
    }

    fn contents(&self, region: Region) -> Contents {
        let all = rows(&self.world, region).into_iter();
        all.map(|row| (row.attempt_key, vec![row.network_reference])).collect()
    }

    /// The one writer at the end: what the old volume alone had is in no ledger.
    fn authoritative(&self) -> &'static [Region] {
        &[Region::LONDON]
    }

    fn acknowledged_before(&self) -> Vec<(Duration, String)> {
        self.before.clone()
    }
}
