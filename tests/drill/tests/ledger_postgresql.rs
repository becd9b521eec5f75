//! reconcile-ledger on two real PostgreSQL servers: the new ledger, and the old volume that was restored beside it. Everything
//! else is the world, here in real time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use drill::deployment::{Setup, deploy};
use holdfast_aws::ledger::PostgresLedger;
use holdfast_aws::metrics::Metrics;
use holdfast_aws::{Invocation, Startup};
use holdfast_domain::Timestamp;
use holdfast_payments::service::bucket;
use holdfast_postgresql::{DATABASE, PORT, Server, ServerError, USER};
use holdfast_world::{Caller, Region, s3};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

const SCHEMA: &str = "
    CREATE TABLE bookings (attempt_key text, network_reference text, kind text NOT NULL,
                           amount_minor bigint NOT NULL, currency char(3) NOT NULL, booked_at timestamptz NOT NULL);
    CREATE VIEW holdfast_ledger AS SELECT * FROM bookings;";

/// A server with these bookings; none where PostgreSQL cannot be had and that was said on purpose.
async fn server(bookings: &str) -> Option<Server> {
    let server = match Server::start() {
        Ok(server) => server,
        Err(ServerError::NotInstalled) if std::env::var_os("HOLDFAST_WITHOUT_POSTGRESQL").is_some() => return None,
        Err(error) => panic!("{error}"),
    };
    let (client, connection) = server.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.unwrap();
    client.batch_execute(bookings).await.unwrap();
    Some(server)
}

struct Installation {
    world: holdfast_world::World,
    startup: Startup,
    ledger: Arc<PostgresLedger>,
}

fn install(new: &Server, old: &Server) -> Installation {
    let mut setup = Setup { readers: false, payments_until: std::time::Duration::ZERO, ..Setup::standard(1) };
    let topology = &mut setup.config.topology;
    topology.writer_endpoint = new.socket();
    topology.ledger.port = PORT;
    topology.ledger.database = DATABASE.into();
    topology.ledger.user = USER.into();
    topology.ledger.ca_file = None;
    topology.ledger.salvage_endpoint = Some(old.socket());
    let world = deploy(&setup).world;
    let caller = Caller { name: reconcile_ledger::FUNCTION.into(), region: Region::LONDON, invocation: None };
    let london = holdfast_domain::Region::new("eu-west-2").unwrap();
    let startup = Startup::new(setup.config, london, &world.sdk(caller), Metrics::Silent).unwrap();
    let ledger = Arc::new(PostgresLedger::new(&startup.sdk, &startup.config.topology, Some("unused".into())));
    Installation { world, startup, ledger }
}

impl Installation {
    async fn ask(&self, request: Value) -> Value {
        let payload = request.to_string().into_bytes();
        let invocation = Invocation { payload, id: "r".into(), deadline: Timestamp::MAX };
        let answer = reconcile_ledger::handle(&self.startup, self.ledger.clone(), invocation).await.unwrap();
        answer["summary"]["finding"]["complete"].clone()
    }
}

/// 3,000 bookings on both; three only in the old volume, one with another amount, and two that were booked anew since.
#[tokio::test]
async fn the_old_volumes_last_second_is_found_to_the_payment() {
    let both = "INSERT INTO bookings SELECT 'k' || n, 'net-' || n, 'capture', n, 'EUR', '2026-11-24T14:06:00Z' FROM generate_series(1, 3000) n;";
    let old = "UPDATE bookings SET amount_minor = 71 WHERE attempt_key = 'k70';
               INSERT INTO bookings VALUES ('it''s lost', 'net-a', 'capture', 1999, 'EUR', '2026-11-24T14:06:59Z'),
                  ('lost, \"too\"', 'net-b', 'capture', 500, 'JPY', '2026-11-24T14:06:59Z'), ('lost', NULL, 'capture', 12345, 'KWD', '2026-11-24T14:06:59Z'),
                  ('again', 'net-c', 'capture', 100, 'EUR', '2026-11-24T14:06:59Z')";
    let new = "INSERT INTO bookings VALUES ('again', 'net-c', 'capture', 100, 'EUR', '2026-11-24T14:08:10Z'),
               ('since', 'net-d', 'capture', 100, 'EUR', '2026-11-24T14:06:59Z')";
    let Some(old) = server(&format!("{both}{old}")).await else { return };
    let Some(new) = server(&format!("{both}{new}")).await else { return };
    let installation = install(&new, &old);
    let request =
        json!({"action": "reconcile", "pass": "salvage", "from": "2026-11-24T14:05:00Z", "to": "2026-11-24T14:07:00Z"});
    let found = installation.ask(request).await;
    assert_eq!(found["others"], json!({"NetworkOnly": 3, "AmountMismatch": 1}), "{found}");
    assert_eq!(found["balanced"], true, "{found}");
    let balance = found["balance"].to_string();
    assert!(balance.contains("proposed JPY 500 = network JPY 500"), "{balance}");
    assert!(balance.contains("proposed KWD 12.345 = network KWD 12.345"), "{balance}");
}

/// The file against PostgreSQL: a charge that the ledger lacks, one that it has on another day, and nothing else.
#[tokio::test]
async fn a_file_is_settled_against_postgresql() {
    let booked = "INSERT INTO bookings SELECT 'k' || n, 'net-' || n, 'capture', 1000 + n, 'EUR', '2026-11-24T14:06:00Z' FROM generate_series(1, 999) n;
                  INSERT INTO bookings VALUES ('k1000', 'net-1000', 'capture', 2000, 'EUR', '2026-11-22T09:00:00Z')";
    let Some(new) = server(booked).await else { return };
    let Some(old) = server("").await else { return };
    let installation = install(&new, &old);
    let mut file = "source_id,reporting_category,created_utc,available_on_utc,currency,gross,fee,net,automatic_payout_id,payment_metadata[attempt_key]\n".to_owned();
    for number in 1..=1001 {
        let gross = format!("{}.{:02}", (1000 + number) / 100, (1000 + number) % 100);
        let when = format!("2026-11-24 14:{:02}:00", 5 + number % 5);
        file += &format!("net-{number},charge,{when},{when},eur,{gross},0.00,{gross},,k{number}\n");
    }
    let key = "holdfast/clearing/stripe/day.csv";
    s3::put_object(&installation.world, bucket(Region::LONDON), key, file.into()).unwrap();
    let found = installation.ask(json!({"action": "reconcile", "pass": "clearing", "object": key})).await;
    assert_eq!(found["others"], json!({"NetworkOnly": 1}), "{found}");
    assert_eq!((&found["balanced"], &found["proposed"]), (&json!(true), &json!(1)), "{found}");
}
