//! The ledger port against a real PostgreSQL: a primary, its hot standby, an outage, a promotion.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_types::SdkConfig;
use aws_types::region::Region;
use holdfast_aws::ledger::{Ledger as _, LedgerError, PostgresLedger, Selection, Through};
use holdfast_domain::Timestamp;
use holdfast_domain::attempt::Window;
use holdfast_domain::beacon::Role;
use holdfast_domain::config::Config;
use holdfast_domain::money::Currency;
use holdfast_domain::topology::Topology;
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
    with(writer, reader, |_| {})
}

/// The same in an installation that differs.
fn with(writer: &Server, reader: &Server, change: impl FnOnce(&mut Topology)) -> PostgresLedger {
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
    change(topology);
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

/// Counts what an export hands over at once.
#[derive(Default)]
struct Sink {
    text: Vec<u8>,
    largest_piece: usize,
}

impl std::io::Write for Sink {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.largest_piece = self.largest_piece.max(piece.len());
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn export(ledger: &PostgresLedger, through: Through, rows: Selection) -> Result<(u64, Sink), LedgerError> {
    let mut sink = Sink::default();
    let count = ledger.export(through, rows, Duration::from_secs(60), &mut sink).await?;
    Ok((count, sink))
}

#[tokio::test]
async fn an_export_has_the_windows_rows_in_order_whatever_is_in_their_text() {
    let Some((server, client)) = primary().await else { return };
    let insert = r#"INSERT INTO bookings VALUES
        ('b', 'net-2', 'capture', 9223372036854775807, 'JPY', '2026-11-24T15:07:00.0005+01:00'),
        ('a "quoted", and
two lines', NULL, 'refund', -250, 'EUR', '2026-11-24T14:06:00Z'),
        ('early', 'net-0', 'capture', 1, 'EUR', '2026-11-24T14:05:59.999Z'),
        ('late', 'net-3', 'capture', 1, 'EUR', '2026-11-24T14:07:00.001Z')"#;
    client.batch_execute(insert).await.unwrap();
    client
        .batch_execute(
            "ALTER DATABASE postgres SET DateStyle = 'German'; ALTER DATABASE postgres SET TimeZone = 'Asia/Tokyo'",
        )
        .await
        .unwrap();
    let window = Window { from: at("2026-11-24T14:06:00Z"), to: at("2026-11-24T14:07:00Z") };
    let (count, sink) = export(&ledger(&server, &server), Through::Writer, Selection::Window(window)).await.unwrap();
    let text = String::from_utf8(sink.text).unwrap();
    let expected = "attempt_key,network_reference,kind,amount_minor,currency,booked_at\n\
        \"a \"\"quoted\"\", and\ntwo lines\",,refund,-250,EUR,2026-11-24 14:06:00+00\n\
        b,net-2,capture,9223372036854775807,JPY,2026-11-24 14:07:00.0005+00\n";
    assert_eq!((count, text.as_str()), (2, expected));
}

#[tokio::test]
async fn an_export_by_keys_takes_each_key_as_text_and_leaves_out_what_somebody_has_already() {
    let Some((server, client)) = primary().await else { return };
    let insert = r"INSERT INTO bookings VALUES ('o''brien'' OR ''1''=''1', 'n1', 'capture', 1, 'EUR', '2026-11-24T14:00:00Z'),
        ('back\slash', 'n2', 'capture', 2, 'EUR', '2026-11-24T14:00:00Z'), ('other', 'n3', 'capture', 3, 'EUR', '2026-11-24T14:00:00Z'),
        ('within', 'n4', 'capture', 4, 'EUR', '2026-11-24T14:06:30Z')";
    client.batch_execute(insert).await.unwrap();
    // Older servers may be set up so; the export sets what it needs.
    client.batch_execute("ALTER DATABASE postgres SET standard_conforming_strings = off").await.unwrap();
    let outside = Some(Window { from: at("2026-11-24T14:06:00Z"), to: at("2026-11-24T14:07:00Z") });
    let keys = (0..2500).map(|number| format!("none{number}"));
    let keys = keys.chain(["o'brien' OR '1'='1", r"back\slash", "within"].map(str::to_owned)).collect();
    let rows = Selection::Keys { keys, outside };
    let (count, sink) = export(&ledger(&server, &server), Through::Writer, rows).await.unwrap();
    let text = String::from_utf8(sink.text).unwrap();
    assert_eq!(count, 2, "{text}");
    assert!(text.contains("n1") && text.contains("n2") && !text.contains("n3") && !text.contains("n4"), "{text}");
    let none = Selection::Keys { keys: vec![], outside: None };
    assert_eq!(export(&ledger(&server, &server), Through::Writer, none).await.unwrap().0, 0);
}

#[tokio::test]
async fn two_hundred_thousand_rows_come_a_piece_at_a_time() {
    let Some((server, client)) = primary().await else { return };
    let insert = "INSERT INTO bookings SELECT 'key-' || n, 'net-' || n, 'capture', n, 'EUR', '2026-11-24T14:06:00Z' FROM generate_series(1, 200000) n";
    client.batch_execute(insert).await.unwrap();
    let window = Window { from: at("2026-11-24T14:06:00Z"), to: at("2026-11-24T14:07:00Z") };
    let (count, sink) =
        export(&ledger(&server, &server), Through::LocalReader, Selection::Window(window)).await.unwrap();
    assert_eq!(count, 200_000);
    assert_eq!(sink.text.iter().filter(|byte| **byte == b'\n').count(), 200_001);
    assert!(sink.largest_piece < 1 << 16, "{} bytes came at once", sink.largest_piece);
}

#[tokio::test]
async fn the_old_volume_is_a_server_of_its_own_and_must_be_named() {
    let Some((new, _)) = primary().await else { return };
    let Some((old, client)) = primary().await else { return };
    client
        .batch_execute("INSERT INTO bookings VALUES ('only here', 'n', 'capture', 1, 'EUR', '2026-11-24T14:06:30Z')")
        .await
        .unwrap();
    let window = Selection::Window(Window { from: at("2026-11-24T14:06:00Z"), to: at("2026-11-24T14:07:00Z") });
    let unnamed = export(&ledger(&new, &new), Through::OldVolume, window.clone()).await.err().unwrap();
    assert!(unnamed.to_string().contains("topology.ledger.salvage_endpoint"), "{unnamed}");
    let named = with(&new, &new, |topology| topology.ledger.salvage_endpoint = Some(old.socket()));
    assert_eq!(export(&named, Through::OldVolume, window.clone()).await.unwrap().0, 1);
    assert_eq!(export(&named, Through::Writer, window).await.unwrap().0, 0);
}

#[tokio::test]
async fn an_export_that_is_not_done_in_time_is_an_error_and_not_a_short_answer() {
    let Some((server, client)) = primary().await else { return };
    client
        .batch_execute("INSERT INTO bookings VALUES ('k', 'n', 'capture', 1, 'EUR', '2026-11-24T14:06:30Z')")
        .await
        .unwrap();
    client
        .batch_execute("CREATE OR REPLACE VIEW holdfast_ledger AS SELECT attempt_key, network_reference, kind, amount_minor, currency, booked_at FROM bookings, pg_sleep(5)")
        .await
        .unwrap();
    let rows = Selection::Keys { keys: vec!["k".into()], outside: None };
    let ledger = ledger(&server, &server);
    let failed = ledger.export(Through::Writer, rows, Duration::from_millis(300), &mut Sink::default()).await;
    assert!(matches!(failed, Err(LedgerError::ExportTimedOut { .. })), "{failed:?}");
}
