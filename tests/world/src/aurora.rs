//! Aurora storage and what PostgreSQL on it answers: a log of rows that reaches the secondary a little later.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::rds::standby::Pairing;
use crate::region::Region;
use crate::world::World;

mod reads;

pub use reads::{BookedRow, Read, Reading, Standing, read_local, read_restored, read_through_writer_endpoint};

/// The global writer endpoint.
pub const WRITER_ENDPOINT: &str = "payments-global.global-abc123.global.rds.amazonaws.com";

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// The merchant's key.
    pub attempt_key: String,
    /// The card network's reference.
    pub network_reference: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A cluster's volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volume {
    rows: Vec<(Duration, LedgerRow)>,
    keys: BTreeSet<String>,
    fence: u64,
}

/// What is asked of the database.
#[derive(Clone, Debug)]
pub enum Statement {
    /// Book a payment; a second booking of the same key changes nothing.
    Book(LedgerRow),
    /// Book a payment unless its key is taken, and say whether the row that is there has these values: a unique index.
    Insert(LedgerRow),
    /// Raise the fence row to an epoch.
    Fence(u64),
    /// Whether a payment is booked.
    IsBooked(String),
    /// `SELECT NOT pg_is_in_recovery()`, and writes are not blocked.
    IsWritable,
}

/// What the database answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Committed.
    Done,
    /// Whether it is so.
    Is(bool),
}

/// Why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlError {
    /// It is a replica, or its writes are blocked.
    ReadOnly,
    /// No instance takes connections.
    Unavailable,
    /// The fence row holds a higher epoch.
    FencedOff,
}

/// Where the global writer endpoint points now.
#[must_use]
pub fn writer_endpoint_region(world: &World) -> Option<Region> {
    world.state().rds.global.as_ref().map(|global| global.endpoint_at)
}

/// Runs a statement through the global writer endpoint. It never completes where the path is down.
pub async fn through_writer_endpoint(world: &World, from: Region, statement: Statement) -> Result<Reply, SqlError> {
    match writer_endpoint_region(world) {
        Some(at) => world.round_trip(from, at, |world| world.run_sql(at, statement)).await,
        None => Err(SqlError::Unavailable),
    }
}

/// Runs a statement through the endpoint of a Region's own cluster. It never completes where the path is down.
pub async fn through_cluster_endpoint(
    world: &World,
    from: Region,
    at: Region,
    statement: Statement,
) -> Result<Reply, SqlError> {
    world.round_trip(from, at, |world| world.run_sql(at, statement)).await
}

/// The rows of a Region's volume, whatever the network: for checkers after the run.
#[must_use]
pub fn rows(world: &World, region: Region) -> Vec<LedgerRow> {
    let state = world.state();
    let member = state.rds.global.as_ref().and_then(|global| global.member(region));
    member.map(|member| member.volume.rows.iter().map(|(_, row)| row.clone()).collect()).unwrap_or_default()
}

/// The fence row of a Region's volume.
#[must_use]
pub fn fence(world: &World, region: Region) -> u64 {
    let state = world.state();
    state.rds.global.as_ref().and_then(|global| global.member(region)).map_or(0, |member| member.volume.fence)
}

/// Every lag that was measured in a secondary, in milliseconds, with its time since the start.
#[must_use]
pub fn measured_lags(world: &World, region: Region) -> Vec<(Duration, u32)> {
    let state = world.state();
    let measured = state.rds.global.as_ref().map(|global| global.measured.as_slice()).unwrap_or_default();
    measured.iter().filter(|(_, at, _)| *at == region).map(|(at, _, lag_ms)| (*at, *lag_ms)).collect()
}

/// Every payment that was ever committed, with its time since the start and the Region whose volume took it first.
#[must_use]
pub fn bookings(world: &World) -> Vec<(Duration, Region, String)> {
    world.state().rds.global.as_ref().map(|global| global.bookings.clone()).unwrap_or_default()
}

/// Every fence row that was ever written, with its time since the start, the Region and the epoch.
#[must_use]
pub fn fences(world: &World) -> Vec<(Duration, Region, u64)> {
    world.state().rds.global.as_ref().map(|global| global.fences.clone()).unwrap_or_default()
}

/// Whether a Region's volume has a payment, whatever the network: for checkers.
#[must_use]
pub fn holds(world: &World, region: Region, attempt_key: &str) -> bool {
    let state = world.state();
    let member = state.rds.global.as_ref().and_then(|global| global.member(region));
    member.is_some_and(|member| member.volume.keys.contains(attempt_key))
}

/// How far a secondary is behind now; `None` where it cannot be measured, because it hears nothing of the writer.
#[must_use]
pub fn lag(world: &World, secondary: Region) -> Option<Duration> {
    let now = world.elapsed();
    let state = world.state();
    let global = state.rds.global.as_ref()?;
    let writer = global.writer().filter(|writer| *writer != secondary)?;
    let heard = state.network.path_up(writer, secondary) && global.member(secondary)?.connected;
    heard.then(|| global.lag_at(now))
}

/// Sets how far the secondary is behind from now on.
pub fn set_lag(world: &World, lag: Duration) {
    if let Some(global) = world.state().rds.global.as_mut() {
        global.lag = lag;
    }
    // What has waited long enough by the new measure passes now or then.
    world.after(lag, World::replicate);
}

/// Holds replication back, so that the lag grows with every second, or lets it go on.
pub fn hold_replication(world: &World, held: bool) {
    let now = world.elapsed();
    if let Some(global) = world.state().rds.global.as_mut() {
        global.held_since = held.then(|| global.held_since.unwrap_or(now));
    }
    if !held {
        world.replicate();
    }
}

impl World {
    fn run_sql(&self, at: Region, statement: Statement) -> Result<Reply, SqlError> {
        let now = self.elapsed();
        let lag = {
            let mut state = self.state();
            let Some(global) = state.rds.global.as_mut() else { return Err(SqlError::Unavailable) };
            let lag = global.lag_at(now);
            let Some(member) = global.member_mut(at) else { return Err(SqlError::Unavailable) };
            if member.instances.iter().all(|(_, status)| *status != "available") {
                return Err(SqlError::Unavailable);
            }
            let writable = member.is_writer && !member.writes_blocked;
            match statement {
                Statement::IsBooked(key) => {
                    return Ok(Reply::Is(member.volume.keys.contains(&key)));
                }
                Statement::IsWritable => return Ok(Reply::Is(writable)),
                Statement::Book(_) | Statement::Insert(_) | Statement::Fence(_) if !writable => {
                    return Err(SqlError::ReadOnly);
                }
                Statement::Book(row) => {
                    let key = row.attempt_key.clone();
                    if !member.volume.keys.contains(&key) {
                        member.volume.append([(now, row)]);
                        global.bookings.push((now, at, key));
                    }
                }
                Statement::Insert(row) => {
                    let key = row.attempt_key.clone();
                    if member.volume.keys.contains(&key) {
                        return Ok(Reply::Is(member.volume.rows.iter().any(|(_, there)| *there == row)));
                    }
                    member.volume.append([(now, row)]);
                    global.bookings.push((now, at, key));
                }
                Statement::Fence(epoch) if member.volume.fence > epoch => return Err(SqlError::FencedOff),
                Statement::Fence(epoch) => {
                    member.volume.fence = epoch;
                    global.fences.push((now, at, epoch));
                }
            }
            lag
        };
        self.after(lag, Self::replicate);
        Ok(Reply::Done)
    }

    /// Carries over to the secondary what is old enough, while the writer's Region reaches it and nothing is being promoted.
    pub(crate) fn replicate(&self) {
        let now = self.elapsed();
        let lag = self.state().rds.global.as_ref().map(|global| global.lag_at(now)).unwrap_or_default();
        let until = now.checked_sub(lag);
        if let Some(until) = until {
            self.replicate_until(until);
        }
    }

    fn replicate_until(&self, until: Duration) {
        let mut state = self.state();
        let Some(writer) = state.rds.global.as_ref().and_then(|global| global.writer()) else { return };
        let Some(other) = state.rds.global.as_ref().and_then(|global| global.other(writer)) else { return };
        let up = state.network.path_up(writer, other);
        let Some(global) = state.rds.global.as_mut() else { return };
        let failing_over = global.operation.as_ref().is_some_and(|operation| operation.data_loss_allowed);
        let connected = global.member(other).is_some_and(|member| member.connected);
        let sync = connected || global.operation.as_ref().is_some_and(|operation| !operation.data_loss_allowed);
        if !up || failing_over || !sync {
            return;
        }
        let Some(source) = global.member(writer) else { return };
        let ahead = source.volume.rows_after(global.member(other).map_or(0, |it| it.volume.rows.len()), until);
        let fence = source.volume.fence;
        if let Some(secondary) = global.member_mut(other) {
            secondary.volume.append(ahead);
            secondary.volume.fence = fence;
        }
    }

    /// The secondary has every row of the writer.
    pub(crate) fn is_in_sync(&self, writer: Region, secondary: Region) -> bool {
        let state = self.state();
        let rows = |region| state.rds.global.as_ref()?.member(region).map(|member| member.volume.rows.len());
        rows(writer) == rows(secondary)
    }

    pub(crate) fn replicate_everything(&self) {
        let now = self.elapsed();
        let held = self.state().rds.global.as_ref().and_then(|global| global.held_since);
        self.replicate_until(held.unwrap_or(now));
    }

    /// One point a minute, in the secondary only; none while the primary cannot be heard.
    pub(crate) fn start_replication_metrics(&self) {
        let world = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(60)).await;
                measure_lag(&world);
            }
        });
    }

    fn measured_lag(&self) -> Option<(Region, Region, u32)> {
        let now = self.elapsed();
        let state = self.state();
        let global = state.rds.global.as_ref()?;
        let writer = global.writer()?;
        let other = global.other(writer)?;
        let heard = state.network.path_up(writer, other) && global.member(other)?.connected && !global.unmeasured;
        let lag_ms = global.lag_at(now).as_millis();
        heard.then(|| (writer, other, u32::try_from(lag_ms).unwrap_or(u32::MAX)))
    }
}

/// CloudWatch gets no more points of the lag.
pub fn stop_measuring(world: &World) {
    if let Some(global) = world.state().rds.global.as_mut() {
        global.unmeasured = true;
    }
}

/// Puts the lag metrics once, as each minute does.
pub fn measure_lag(world: &World) {
    let Some((writer, other, lag_ms)) = world.measured_lag() else { return };
    let pairing = world.state().rds.global.as_ref().map(|global| global.pairing);
    if let Some(Pairing::ReadReplica { .. }) = pairing {
        let cluster = format!("payments-{other}");
        let seconds = f64::from(lag_ms.div_ceil(1000));
        return world.put_metric(
            other,
            "AWS/RDS",
            "AuroraBinlogReplicaLag",
            &[("DBClusterIdentifier", &cluster)],
            seconds,
        );
    }
    if let Some(global) = world.state().rds.global.as_mut() {
        global.measured.push((world.elapsed(), other, lag_ms));
    }
    let cluster = format!("payments-{other}");
    let dimensions = [("DBClusterIdentifier", cluster.as_str()), ("SourceRegion", writer.as_str())];
    for name in ["AuroraGlobalDBReplicationLag", "AuroraGlobalDBRPOLag", "AuroraGlobalDBProgressLag"] {
        world.put_metric(other, "AWS/RDS", name, &dimensions, f64::from(lag_ms));
    }
}

impl Volume {
    /// Adds rows whose keys are not there yet.
    pub(crate) fn append(&mut self, rows: impl IntoIterator<Item = (Duration, LedgerRow)>) {
        for (at, row) in rows {
            if self.keys.insert(row.attempt_key.clone()) {
                self.rows.push((at, row));
            }
        }
    }

    /// The rows beyond the first `from` that were committed by `until`.
    pub(crate) fn rows_after(&self, from: usize, until: Duration) -> Vec<(Duration, LedgerRow)> {
        self.rows.iter().skip(from).take_while(|(at, _)| *at <= until).cloned().collect()
    }
}
