//! What the databases answer to readers: how far a copy has come, and what is booked in it.

use std::time::Duration;

use super::{LedgerRow, SqlError, writer_endpoint_region};
use crate::region::Region;
use crate::world::World;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Read {
    /// The row of this Region in `aurora_global_db_status()`.
    Standing,
    /// The rows that were committed after one moment and up to another, since the start.
    CommittedBetween(Duration, Duration),
    /// Which of these keys are booked.
    Booked(Vec<String>),
    /// The rows that were committed from one moment to another, both included, with when.
    Between(Duration, Duration),
    /// The rows of these keys, with when.
    RowsOf(Vec<String>),
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Reading {
    /// How far this copy has come.
    Standing(Standing),
    /// Rows.
    Rows(Vec<BookedRow>),
    /// Rows, and when each was committed, since the start.
    Dated(Vec<(Duration, BookedRow)>),
}

/// A committed row.
pub type BookedRow = LedgerRow;

/// A copy's row of `aurora_global_db_status()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It takes the writes: the lags are −1 then.
    pub is_primary: bool,
    /// `highest_lsn_written`.
    pub position: u64,
    /// `rpo_lag_in_msec`.
    pub lag: Duration,
}

/// Log sequence numbers rise by this with each row: they are bytes, and not rows.
const ROW_BYTES: u64 = 512;

/// Asks a Region's reader endpoint from within that Region.
pub async fn read_local(world: &World, at: Region, read: Read) -> Result<Reading, SqlError> {
    world.round_trip(at, at, |world| world.read_sql(at, read)).await
}

/// Asks through the global writer endpoint. It never completes where the path is down.
pub async fn read_through_writer_endpoint(world: &World, from: Region, read: Read) -> Result<Reading, SqlError> {
    match writer_endpoint_region(world) {
        Some(at) => world.round_trip(from, at, |world| world.read_sql(at, read)).await,
        None => Err(SqlError::Unavailable),
    }
}

/// Asks a cluster in one Region that was restored from the volume of another.
pub async fn read_restored(world: &World, at: Region, volume_of: Region, read: Read) -> Result<Reading, SqlError> {
    world.round_trip(at, at, |world| world.read_sql(volume_of, read)).await
}

impl World {
    fn read_sql(&self, at: Region, read: Read) -> Result<Reading, SqlError> {
        let now = self.elapsed();
        let state = self.state();
        let global = state.rds.global.as_ref().ok_or(SqlError::Unavailable)?;
        let member = global.member(at).ok_or(SqlError::Unavailable)?;
        if member.instances.iter().all(|(_, status)| *status != "available") {
            return Err(SqlError::Unavailable);
        }
        let rows = || member.volume.rows.iter();
        Ok(match read {
            Read::Standing => Reading::Standing(Standing {
                is_primary: member.is_writer,
                position: u64::try_from(member.volume.rows.len()).unwrap_or(u64::MAX).saturating_mul(ROW_BYTES),
                lag: global.lag_at(now),
            }),
            Read::CommittedBetween(after, until) => Reading::Rows(
                rows().filter(|(at, _)| *at > after && *at <= until).map(|(_, row)| row.clone()).collect(),
            ),
            Read::Between(from, to) => {
                Reading::Dated(rows().filter(|(at, _)| *at >= from && *at <= to).cloned().collect())
            }
            Read::RowsOf(keys) => {
                let wanted: std::collections::BTreeSet<String> = keys.into_iter().collect();
                Reading::Dated(rows().filter(|(_, row)| wanted.contains(&row.attempt_key)).cloned().collect())
            }
            Read::Booked(keys) => {
                let wanted: std::collections::BTreeSet<String> = keys.into_iter().collect();
                Reading::Rows(
                    rows().filter(|(_, row)| wanted.contains(&row.attempt_key)).map(|(_, row)| row.clone()).collect(),
                )
            }
        })
    }
}
