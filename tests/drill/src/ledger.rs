//! The ledger port on the world's Aurora.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use holdfast_aws::ledger::{
    EXPORT_HEADER, FENCE_WRITE_MAX, Ledger, LedgerError, LedgerFuture, READ_MAX, Selection, Through,
};
use holdfast_domain::Timestamp;
use holdfast_domain::beacon::{Role, Standing};
use holdfast_domain::money::{Currency, Totals};
use holdfast_world::aurora::{
    BookedRow, LedgerRow, Read, Reading, SqlError, Statement, WRITER_ENDPOINT, read_local, read_restored,
    read_through_writer_endpoint, through_writer_endpoint,
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
            Through::OldVolume => format!("the old volume, restored in {}", self.region),
        };
        let work = async {
            match through {
                Through::LocalReader => read_local(&self.world, self.region, read).await,
                Through::Writer => read_through_writer_endpoint(&self.world, self.region, read).await,
                Through::OldVolume => {
                    let other = if self.region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
                    read_restored(&self.world, self.region, other, read).await
                }
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
            Reading::Standing(_) | Reading::Dated(_) => {
                Err(LedgerError::Reading { why: "another answer than rows".into() })
            }
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
                Reading::Rows(_) | Reading::Dated(_) => Err(LedgerError::Reading { why: "rows for an answer".into() }),
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

    /// This world's ledger knows charges only. Its rows come in order of their keys, as the query has them.
    fn export<'a>(
        &'a self,
        through: Through,
        rows: Selection,
        within: Duration,
        to: &'a mut (dyn Write + Send),
    ) -> LedgerFuture<'a, u64> {
        Box::pin(async move {
            let spool = |error: std::io::Error| LedgerError::Spool { why: error.to_string() };
            let (read, outside) = match rows {
                Selection::Window(window) => {
                    (Read::Between(self.since_start(window.from), self.since_start(window.to)), None)
                }
                Selection::Keys { keys, outside } => (Read::RowsOf(keys), outside),
            };
            let answer = tokio::time::timeout(within, self.read(through, read)).await;
            let timed_out = || LedgerError::ExportTimedOut { endpoint: through.to_string(), within };
            let Reading::Dated(mut rows) = answer.map_err(|_| timed_out())?? else {
                return Err(LedgerError::Reading { why: "another answer than dated rows".into() });
            };
            rows.sort_by(|(_, one), (_, other)| one.attempt_key.cmp(&other.attempt_key));
            let start = self.world.now().checked_sub(self.world.elapsed()).unwrap_or_default();
            let dated = rows.into_iter().map(|(at, row)| (start.checked_add(at).unwrap_or(start), row));
            to.write_all(EXPORT_HEADER.as_bytes()).map_err(spool)?;
            let mut count = 0;
            for (at, row) in dated.filter(|(at, _)| outside.is_none_or(|window| !window.holds(*at))) {
                let LedgerRow { attempt_key, network_reference, amount_minor, currency } = row;
                writeln!(to, "{attempt_key},{network_reference},capture,{amount_minor},{currency},{at}")
                    .map_err(spool)?;
                count += 1;
            }
            Ok(count)
        })
    }
}
