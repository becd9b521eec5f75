//! The ledger port against a real PostgreSQL: a primary, its hot standby, an outage, a promotion.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use aws_types::SdkConfig;
use aws_types::region::Region;
use holdfast_aws::ledger::{Ledger as _, LedgerError, PostgresLedger, Through};
use holdfast_domain::Timestamp;
use holdfast_domain::beacon::Role;
use holdfast_domain::config::Config;
use holdfast_domain::money::Currency;
use holdfast_postgresql::{DATABASE, Server, ServerError, USER};
use tokio_postgres::{Client, NoTls};

/// What the payments team creates.
const SCHEMA: &str = "
    CREATE TABLE bookings (attempt_key text PRIMARY KEY, network_reference text, kind text NOT NULL,
                           amount_minor bigint NOT NULL, currency char(3) NOT NULL, booked_at timestamptz NOT NULL);
    CREATE VIEW holdfast_ledger AS SELECT * FROM bookings;
    CREATE TABLE holdfast_fence (epoch bigint NOT NULL, written_at timestamptz NOT NULL);";

/// A primary with the payments team's schema; none where PostgreSQL cannot be had and that was said on purpose.
async fn primary() -> Option<(Server, Client)> {
    let server = match Server::start() {
        Ok(server) => server,
        Err(ServerError::NotInstalled) if std::env::var_os("HOLDFAST_WITHOUT_POSTGRESQL").is_some() => return None,
        Err(error) => panic!("{error}"),
    };
    let client = connect(&server).await;
    client.batch_execute(SCHEMA).await.unwrap();
    Some((server, client))
}

async fn connect(server: &Server) -> Client {
    let (client, connection) = server.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// London's way to the ledger.
fn ledger(writer: &Server, reader: &Server) -> PostgresLedger {
    let mut config = Config::parse(include_str!("../../../events/config.example.json")).unwrap();
    let topology = &mut config.topology;
    topology.writer_endpoint = writer.socket();
    topology.ledger.port = holdfast_postgresql::PORT;
    topology.ledger.database = DATABASE.into();
    topology.ledger.user = USER.into();
    topology.ledger.ca_file = None;
    for data in &mut topology.data_regions {
        data.reader_endpoint = reader.socket();
    }
    let sdk = SdkConfig::builder().region(Region::new("eu-west-2")).build();
    PostgresLedger::new(&sdk, topology, Some("unused".into()))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_fence_row_is_raised_repeated_and_never_lowered() {
    let Some((server, client)) = primary().await else { return };
    let ledger = ledger(&server, &server);
    for epoch in [1, 1, 7] {
        ledger.write_fence_row(epoch).await.unwrap();
    }
    assert!(matches!(ledger.write_fence_row(6).await, Err(LedgerError::FencedOff { epoch: 6 })));
    let rows = client.query("SELECT epoch FROM holdfast_fence", &[]).await.unwrap();
    let epochs: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(epochs, [7]);
}

#[tokio::test]
async fn sums_are_exact_beyond_64_bits_and_a_window_holds_its_end_and_not_its_beginning() {
    let Some((server, client)) = primary().await else { return };
    let ledger = ledger(&server, &server);
    let insert = "INSERT INTO bookings SELECT 'k' || n, 'net-' || n, 'capture', 9223372036854775807, 'JPY', '2026-11-24T14:07:00Z'
                  FROM generate_series(1, 3) n;
                  INSERT INTO bookings VALUES ('before', NULL, 'capture', 1, 'EUR', '2026-11-24T14:06:00Z'),
                                              ('refund', 'r', 'refund', -250, 'EUR', '2026-11-24T14:06:00.001Z')";
    client.batch_execute(insert).await.unwrap();
    let totals = ledger.booked_between(at("2026-11-24T14:06:00Z"), at("2026-11-24T14:07:00Z")).await.unwrap();
    assert_eq!(totals.count, 4);
    assert_eq!(totals.sums_minor[&Currency::parse("JPY").unwrap()], 3 * i128::from(i64::MAX));
    assert_eq!(totals.sums_minor[&Currency::parse("EUR").unwrap()], -250);
    let keys: Vec<String> = (1..=2500).map(|number| format!("k{number}")).chain(["refund".into()]).collect();
    let booked = ledger.booked(Through::Writer, keys).await.unwrap();
    assert_eq!(booked, BTreeSet::from(["k1", "k2", "k3", "refund"].map(str::to_owned)));
}

#[tokio::test]
async fn an_amount_in_no_currency_is_told_and_not_summed() {
    let Some((server, client)) = primary().await else { return };
    let insert = "INSERT INTO bookings VALUES ('k', NULL, 'capture', 1, 'eu', now())";
    client.batch_execute(insert).await.unwrap();
    let ledger = ledger(&server, &server);
    let failed = ledger.booked_between(at("2020-01-01T00:00:00Z"), at("2100-01-01T00:00:00Z")).await.unwrap_err();
    assert!(failed.to_string().contains("`eu` is not an ISO 4217 currency code"), "{failed}");
}

#[tokio::test]
async fn a_standby_says_where_it_stands_refuses_the_fence_and_takes_it_once_promoted() {
    let Some((primary, client)) = primary().await else { return };
    let standby = primary.standby().unwrap();
    let london = ledger(&standby, &standby);
    let dublin = ledger(&primary, &primary);
    client.batch_execute("INSERT INTO bookings VALUES ('k', 'n', 'capture', 100, 'EUR', now())").await.unwrap();
    let there = dublin.standing().await.unwrap();
    assert_eq!((there.role, there.lag), (Role::Primary, None));
    let mut here = london.standing().await.unwrap();
    for _ in 0..100 {
        if here.position >= there.position {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        here = london.standing().await.unwrap();
    }
    assert_eq!(here.role, Role::Standby);
    assert!(here.position >= there.position && here.lag.is_some(), "{here:?} behind {there:?}");
    assert!(matches!(london.write_fence_row(1).await, Err(LedgerError::InRecovery { .. })));
    primary.kill().unwrap();
    assert!(matches!(dublin.standing().await, Err(LedgerError::Unreachable { .. })));
    // What the standby has is read while the primary is gone.
    let booked = london.booked(Through::LocalReader, vec!["k".into(), "lost".into()]).await.unwrap();
    assert_eq!(booked, BTreeSet::from(["k".to_owned()]));
    standby.promote().unwrap();
    london.write_fence_row(1).await.unwrap();
    assert_eq!(london.standing().await.unwrap().role, Role::Primary);
}
