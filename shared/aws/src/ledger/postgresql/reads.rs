//! Readings: each on a connection of its own, with one time limit over connecting and asking.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_domain::Timestamp;
use holdfast_domain::beacon::{Role, Standing};
use holdfast_domain::money::{Currency, Totals};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::{KEYS_MAX, LedgerError, PostgresLedger, READ_MAX, Through};
use crate::failure::causes;

impl PostgresLedger {
    pub(super) async fn read<T>(
        &self,
        through: Through,
        ask: impl AsyncFnOnce(&Client) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let endpoint = self.endpoint_of(through)?;
        let work = async {
            let client = self.connect(endpoint).await?;
            ask(&client).await
        };
        match tokio::time::timeout(READ_MAX, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(LedgerError::ReadTimedOut { endpoint: endpoint.to_owned() }),
        }
    }

    /// Aurora's own function knows all Regions; on plain PostgreSQL the write-ahead log says the same of this copy.
    pub(super) async fn standing_of(&self, client: &Client) -> Result<Standing, LedgerError> {
        let aurora = "SELECT highest_lsn_written::bigint, durability_lag_in_msec::bigint, rpo_lag_in_msec::bigint \
                      FROM aurora_global_db_status() WHERE aws_region = $1";
        match client.query_one(aurora, &[&self.region]).await {
            Ok(row) => aurora_standing(&row),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => plain_standing(client).await,
            Err(error) => Err(reading(&error)),
        }
    }
}

/// The primary's row has −1 for its lags (AUG aurora-global-database-monitoring).
fn aurora_standing(row: &Row) -> Result<Standing, LedgerError> {
    let number = |index: usize| row.try_get::<_, Option<i64>>(index).map_err(|error| reading(&error));
    let position = number(0)?.and_then(|lsn| u64::try_from(lsn).ok());
    let position = position.ok_or_else(|| nonsense("aurora_global_db_status() names no position"))?;
    let lag = |ms: Option<i64>| ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    match number(1)? {
        Some(-1) => Ok(Standing { role: Role::Primary, position, lag: None }),
        Some(_) => Ok(Standing { role: Role::Standby, position, lag: lag(number(2)?) }),
        None => Err(nonsense("aurora_global_db_status() does not say which Region is the primary")),
    }
}

async fn plain_standing(client: &Client) -> Result<Standing, LedgerError> {
    let sql = "SELECT pg_is_in_recovery(), \
               ((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) - '0/0')::bigint, \
               (1000 * extract(epoch FROM now() - pg_last_xact_replay_timestamp()))::bigint";
    let row = client.query_one(sql, &[]).await.map_err(|error| reading(&error))?;
    let standby: bool = row.try_get(0).map_err(|error| reading(&error))?;
    let position: Option<i64> = row.try_get(1).map_err(|error| reading(&error))?;
    let lag_ms: Option<i64> = row.try_get(2).map_err(|error| reading(&error))?;
    let position = position.and_then(|lsn| u64::try_from(lsn).ok());
    Ok(Standing {
        role: if standby { Role::Standby } else { Role::Primary },
        position: position.ok_or_else(|| nonsense("PostgreSQL names no log position"))?,
        lag: lag_ms.filter(|_| standby).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
    })
}

pub(super) async fn booked_between(client: &Client, after: Timestamp, until: Timestamp) -> Result<Totals, LedgerError> {
    // A sum of bigint is numeric in PostgreSQL; as text it has no limit and loses nothing.
    let sql = "SELECT currency::text, count(*), sum(amount_minor)::text FROM holdfast_ledger \
               WHERE booked_at > 'epoch'::timestamptz + $1::bigint * interval '1 millisecond' \
               AND booked_at <= 'epoch'::timestamptz + $2::bigint * interval '1 millisecond' GROUP BY currency";
    let (after, until) = (after.as_millisecond(), until.as_millisecond());
    let rows = client.query(sql, &[&after, &until]).await.map_err(|error| reading(&error))?;
    let mut totals = Totals::default();
    for row in rows {
        let currency: String = row.try_get(0).map_err(|error| reading(&error))?;
        let count: i64 = row.try_get(1).map_err(|error| reading(&error))?;
        let sum: String = row.try_get(2).map_err(|error| reading(&error))?;
        let currency = Currency::parse(currency.trim()).map_err(|error| nonsense(&error.to_string()))?;
        let sum = sum.parse().map_err(|_| nonsense(&format!("the sum of {currency} is {sum}")))?;
        totals.add_sum(currency, u64::try_from(count).unwrap_or(0), sum);
    }
    Ok(totals)
}

pub(super) async fn booked(client: &Client, keys: &[String]) -> Result<BTreeSet<String>, LedgerError> {
    let sql = "SELECT attempt_key::text FROM holdfast_ledger WHERE attempt_key = ANY($1::text[])";
    let mut booked = BTreeSet::new();
    for batch in keys.chunks(KEYS_MAX) {
        for row in client.query(sql, &[&batch]).await.map_err(|error| reading(&error))? {
            booked.insert(row.try_get(0).map_err(|error| reading(&error))?);
        }
    }
    Ok(booked)
}

fn reading(error: &(dyn std::error::Error + 'static)) -> LedgerError {
    LedgerError::Reading { why: causes(error) }
}

fn nonsense(why: &str) -> LedgerError {
    LedgerError::Reading { why: why.to_owned() }
}
