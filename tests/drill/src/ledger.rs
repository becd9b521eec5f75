//! The ledger port on the world's Aurora.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_aws::ledger::{FENCE_WRITE_MAX, Ledger, LedgerError, LedgerFuture, READ_MAX, Through};
use holdfast_domain::Timestamp;
use holdfast_domain::beacon::{Role, Standing};
use holdfast_domain::money::{Currency, Totals};
use holdfast_world::aurora::{
    BookedRow, Read, Reading, SqlError, Statement, WRITER_ENDPOINT, read_local, read_through_writer_endpoint,
    through_writer_endpoint,
};
use holdfast_world::{Region, World};

use crate::deployment::InstallationBug;

/// One Region's way to the ledger.
#[derive(Debug)]
pub(crate) struct WorldLedger {
    world: World,
    region: Region,
    bug: Option<InstallationBug>,
}

impl WorldLedger {
    pub(crate) fn new(world: &World, region: Region, bug: Option<InstallationBug>) -> Self {
        Self { world: world.clone(), region, bug }
    }

    async fn read(&self, through: Through, read: Read) -> Result<Reading, LedgerError> {
        let endpoint = match through {
            Through::LocalReader => format!("the reader in {}", self.region),
            Through::Writer => WRITER_ENDPOINT.to_owned(),
        };
        let work = async {
            match through {
                Through::LocalReader => read_local(&self.world, self.region, read).await,
                Through::Writer => read_through_writer_endpoint(&self.world, self.region, read).await,
            }
        };
        match self.world.within(READ_MAX, work).await {
            None => Err(LedgerError::ReadTimedOut { endpoint }),
            Some(Ok(reading)) => Ok(reading),
            Some(Err(error)) => Err(LedgerError::Unreachable { endpoint, why: format!("the database says {error:?}") }),
        }
    }

    async fn rows(&self, through: Through, read: Read) -> Result<Vec<BookedRow>, LedgerError> {
        match self.read(through, read).await? {
            Reading::Rows(rows) => Ok(rows),
            Reading::Standing(_) => Err(LedgerError::Reading { why: "a standing for an answer".into() }),
        }
    }

    /// The database stamps rows by the true clock; this is how long after the start of the world an instant is.
    fn since_start(&self, at: Timestamp) -> Duration {
        let start = self.world.now().checked_sub(self.world.elapsed()).unwrap_or_default();
        Duration::try_from(at.duration_since(start)).unwrap_or_default()
    }
}

impl Ledger for WorldLedger {
    fn write_fence_row(&self, epoch: u64) -> LedgerFuture<'_> {
        if self.bug == Some(InstallationBug::FenceRowsSkipped) {
            return Box::pin(async { Ok(()) });
        }
        Box::pin(async move {
            let endpoint = || WRITER_ENDPOINT.to_owned();
            let write = through_writer_endpoint(&self.world, self.region, Statement::Fence(epoch));
            match self.world.within(FENCE_WRITE_MAX, write).await {
                None => Err(LedgerError::TimedOut { endpoint: endpoint() }),
                Some(Ok(_)) => Ok(()),
                Some(Err(SqlError::ReadOnly)) => Err(LedgerError::InRecovery { endpoint: endpoint() }),
                Some(Err(SqlError::FencedOff)) => Err(LedgerError::FencedOff { epoch }),
                Some(Err(SqlError::Unavailable)) => {
                    Err(LedgerError::Unreachable { endpoint: endpoint(), why: "no instance takes connections".into() })
                }
            }
        })
    }

    fn standing(&self) -> LedgerFuture<'_, Standing> {
        Box::pin(async move {
            match self.read(Through::LocalReader, Read::Standing).await? {
                Reading::Standing(it) if it.is_primary => {
                    Ok(Standing { role: Role::Primary, position: it.position, lag: None })
                }
                Reading::Standing(it) => Ok(Standing { role: Role::Standby, position: it.position, lag: Some(it.lag) }),
                Reading::Rows(_) => Err(LedgerError::Reading { why: "rows for an answer".into() }),
            }
        })
    }

    fn booked_between(&self, after: Timestamp, until: Timestamp) -> LedgerFuture<'_, Totals> {
        Box::pin(async move {
            let read = Read::CommittedBetween(self.since_start(after), self.since_start(until));
            let mut totals = Totals::default();
            for row in self.rows(Through::LocalReader, read).await? {
                let currency = Currency::parse(&row.currency);
                let currency = currency.map_err(|error| LedgerError::Reading { why: error.to_string() })?;
                totals.add(currency, row.amount_minor);
            }
            Ok(totals)
        })
    }

    fn booked(&self, through: Through, keys: Vec<String>) -> LedgerFuture<'_, BTreeSet<String>> {
        Box::pin(async move {
            let rows = self.rows(through, Read::Booked(keys)).await?;
            Ok(rows.into_iter().map(|row| row.attempt_key).collect())
        })
    }
}
