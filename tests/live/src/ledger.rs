//! The ledger in a real PostgreSQL: its schema, a connection that is always looked after, and what checkers read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_postgresql::{DATABASE, PORT, USER};
use tokio_postgres::{Client, Config, NoTls, Statement};

/// What the payments team creates: its table, and what Holdfast needs.
pub const SCHEMA: &str = "
    CREATE TABLE bookings (attempt_key text PRIMARY KEY, network_reference text NOT NULL, kind text NOT NULL,
                           amount_minor bigint NOT NULL, currency char(3) NOT NULL,
                           booked_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE VIEW holdfast_ledger AS SELECT * FROM bookings;
    CREATE TABLE holdfast_fence (epoch bigint NOT NULL, written_at timestamptz NOT NULL);";

/// Books a payment once, whoever tries it again.
const BOOK: &str = "INSERT INTO bookings (attempt_key, network_reference, kind, amount_minor, currency) \
                    VALUES ($1, $2, 'capture', $3, $4) ON CONFLICT (attempt_key) DO NOTHING";

/// A connection that does not answer this for so long is given up.
const ALIVE_MAX: Duration = Duration::from_millis(400);
/// Between two looks at the connection.
const LOOK: Duration = Duration::from_millis(200);

/// A payment in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The card network's reference.
    pub network_reference: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Connects to the server whose socket is in a directory.
pub async fn connect(directory: &Path) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host_path(directory).port(PORT).user(USER).dbname(DATABASE);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Every payment that a server holds, by its key.
pub async fn bookings(directory: &Path) -> Result<BTreeMap<String, Booked>, tokio_postgres::Error> {
    let client = connect(directory).await?;
    let rows =
        client.query("SELECT attempt_key, network_reference, amount_minor, currency::text FROM bookings", &[]).await?;
    rows.iter()
        .map(|row| {
            let booked =
                Booked { network_reference: row.try_get(1)?, amount_minor: row.try_get(2)?, currency: row.try_get(3)? };
            Ok((row.try_get(0)?, booked))
        })
        .collect()
}

/// Which of these payments a server holds.
pub async fn held(client: &Client, keys: &[String]) -> Result<BTreeSet<String>, tokio_postgres::Error> {
    let rows = client.query("SELECT attempt_key FROM bookings WHERE attempt_key = ANY($1)", &[&keys]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// How far the standby is behind, in milliseconds, as the primary measures it; absent where it does not know.
pub async fn lag_ms(primary: &Client) -> Result<Option<i64>, tokio_postgres::Error> {
    // PostgreSQL forgets the lag of a standby that has everything.
    let ask = "SELECT coalesce(ceil(extract(epoch FROM max(replay_lag)) * 1000)::bigint, \
                               CASE WHEN bool_and(replay_lsn >= pg_current_wal_lsn()) THEN 0 END) FROM pg_stat_replication";
    primary.query_one(ask, &[]).await?.try_get(0)
}

/// The payments that a server has booked since an instant, and when, in milliseconds of its own clock.
pub async fn booked_since(directory: &Path, since_ms: i64) -> Result<BTreeMap<String, i64>, tokio_postgres::Error> {
    let ask = "SELECT attempt_key, floor(extract(epoch FROM booked_at) * 1000)::bigint FROM bookings \
               WHERE booked_at > 'epoch'::timestamptz + $1::bigint * interval '1 millisecond'";
    let rows = connect(directory).await?.query(ask, &[&since_ms]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Whether a server follows another one.
pub async fn in_recovery(client: &Client) -> Result<bool, tokio_postgres::Error> {
    client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)
}

/// Whether a standby has replayed the log up to a position.
pub async fn has_replayed(standby: &Client, position: &str) -> Result<bool, tokio_postgres::Error> {
    let ask = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";
    standby.query_one(ask, &[&position]).await?.try_get(0)
}

/// Whether it has also replayed what stands there.
pub async fn has_replayed_beyond(standby: &Client, position: &str) -> Result<bool, tokio_postgres::Error> {
    let ask = "SELECT coalesce(pg_last_wal_replay_lsn() > $1::text::pg_lsn, false)";
    standby.query_one(ask, &[&position]).await?.try_get(0)
}

/// A connection to the writer that is made again whenever it does not answer.
#[derive(Clone, Debug)]
pub struct Writer {
    held: Arc<Mutex<Option<Link>>>,
}

/// A connection, and the directory of the server's data: which server it is.
#[derive(Clone, Debug)]
pub struct Link {
    /// The connection.
    pub client: Arc<Client>,
    /// Books a payment: prepared, so that one packet is all that a booking needs.
    pub book: Statement,
    /// Which server it is.
    pub server: String,
}

impl Writer {
    /// Keeps a connection through an endpoint.
    #[must_use]
    pub fn keep(endpoint: &Path) -> Self {
        let writer = Self { held: Arc::default() };
        let (kept, endpoint) = (writer.clone(), endpoint.to_owned());
        tokio::spawn(async move {
            loop {
                let next = match kept.link() {
                    Some(link) => tokio::time::timeout(ALIVE_MAX, writable(link)).await,
                    None => tokio::time::timeout(ALIVE_MAX, opened(&endpoint)).await,
                };
                kept.put(next.ok().flatten());
                tokio::time::sleep(LOOK).await;
            }
        });
        writer
    }

    /// The connection, when there is one that takes writes.
    #[must_use]
    pub fn link(&self) -> Option<Link> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the connection up: somebody waited for it in vain.
    pub fn give_up(&self) {
        self.put(None);
    }

    fn put(&self, link: Option<Link>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }
}

async fn opened(endpoint: &Path) -> Option<Link> {
    let client = connect(endpoint).await.ok()?;
    let server = client.query_one("SHOW data_directory", &[]).await.ok()?.try_get(0).ok()?;
    let book = client.prepare(BOOK).await.ok()?;
    writable(Link { client: Arc::new(client), book, server }).await
}

/// The connection, if its server takes writes.
async fn writable(link: Link) -> Option<Link> {
    let row = link.client.query_one("SELECT pg_is_in_recovery()", &[]).await.ok()?;
    let replica: bool = row.try_get(0).ok()?;
    (!replica).then_some(link)
}
