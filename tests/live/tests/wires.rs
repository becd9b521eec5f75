//! The wires of a live drill on real sockets: they are late, they go dark, and nothing that was under way gets lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_world::server::serve_as;
use holdfast_world::{Caller, Region, World, WorldConfig};
use http::Request;
use live_drill::aws::{Aws, AwsError};
use live_drill::relay::Relay;
use live_drill::wire::{self, Client, NoAnswer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

const ONE_WAY: Duration = Duration::from_millis(15);
/// What has not come by then does not come: several times what the way takes.
const PATIENCE: Duration = Duration::from_millis(150);

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("holdfast-wires-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("server")).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn world() -> World {
    World::new(&WorldConfig { seed: 1, start: jiff::Timestamp::UNIX_EPOCH })
}

/// A server in Dublin that says everything back, and a client in London.
async fn echo(world: &World, scratch: &Scratch) -> UnixStream {
    let listener = UnixListener::bind(scratch.0.join("server/.s.PGSQL.5432")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    let server = scratch.0.join("server");
    let target = Arc::new(move || (Region::DUBLIN, server.clone()));
    let held = Arc::default();
    let relay = Relay { world: world.clone(), from: Region::LONDON, target, one_way: ONE_WAY, held };
    relay.listen(&scratch.0.join("relay")).unwrap();
    UnixStream::connect(scratch.0.join("relay/.s.PGSQL.5432")).await.unwrap()
}

async fn said(stream: &mut UnixStream) -> Option<String> {
    let mut buffer = [0; 64];
    let length = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.ok()?.unwrap();
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[tokio::test]
async fn a_relay_is_late_by_the_way_there_and_back() {
    let (world, scratch) = (world(), Scratch::new("late"));
    let mut client = echo(&world, &scratch).await;
    let began = Instant::now();
    client.write_all(b"one").await.unwrap();
    assert_eq!(said(&mut client).await.as_deref(), Some("one"));
    assert!(began.elapsed() >= ONE_WAY * 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_sent_into_the_dark_arrives_when_the_path_is_back() {
    let (world, scratch) = (world(), Scratch::new("dark"));
    let mut client = echo(&world, &scratch).await;
    client.write_all(b"one").await.unwrap();
    assert_eq!(said(&mut client).await.as_deref(), Some("one"));
    for (from, to) in [(Region::LONDON, Region::DUBLIN), (Region::DUBLIN, Region::LONDON)] {
        world.cut_link(from, to);
        client.write_all(b"two").await.unwrap();
        assert_eq!(said(&mut client).await, None, "{from} to {to} is cut");
        world.mend_link(from, to);
        assert_eq!(said(&mut client).await.as_deref(), Some("two"));
    }
}

#[tokio::test]
async fn a_connection_into_the_dark_waits_and_is_not_refused() {
    let (world, scratch) = (world(), Scratch::new("connect"));
    world.go_dark(Region::DUBLIN);
    let mut client = echo(&world, &scratch).await;
    client.write_all(b"one").await.unwrap();
    assert_eq!(said(&mut client).await, None);
    world.come_back(Region::DUBLIN);
    assert_eq!(said(&mut client).await.as_deref(), Some("one"));
}

/// A way for a caller in London.
async fn way(world: &World) -> String {
    let (listener, address) = wire::listen().await.unwrap();
    let caller = Caller { name: "payments-api".into(), region: Region::LONDON, invocation: None };
    tokio::spawn(serve_as(world.clone(), listener, caller));
    format!("http://{address}")
}

#[tokio::test]
async fn a_front_door_is_reached_over_the_network_and_not_through_the_dark() {
    let world = world();
    let answer = |_: Request<Bytes>| -> holdfast_world::route53::HostFuture {
        Box::pin(async { wire::json(200, &serde_json::json!({"region": "eu-west-1"})) })
    };
    world.serve_host("eu-west-1.payments.example.com", Region::DUBLIN, Arc::new(answer));
    let (client, way) = (Client::default(), way(&world).await);
    let ask = || Request::get(format!("{way}/host/eu-west-1.payments.example.com/healthz")).body(Bytes::new()).unwrap();
    assert_eq!(client.send(ask(), PATIENCE).await.unwrap().status(), 200);
    world.go_dark(Region::DUBLIN);
    let silence = client.send(ask(), PATIENCE).await.unwrap_err();
    assert!(matches!(silence, NoAnswer::TimedOut(_)), "{silence}");
    let asked: Vec<bool> = world.requests().iter().map(|request| request.to_was_dark).collect();
    assert_eq!(asked, [false, true], "every request is recorded, with where it went");
}

#[tokio::test]
async fn the_payments_tier_reads_what_it_has_written_and_a_condition_that_fails_is_known() {
    use holdfast_world::dynamodb::{Mode, create_table};
    let world = world();
    let regions = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
    create_table(&world, "payment-attempts", Mode::Mrsc(regions), "pk", Some("sk"));
    let aws = Aws::new(&way(&world).await, "eu-west-2");
    let item = |value: serde_json::Value| value.as_object().cloned().unwrap();
    let intent = item(serde_json::json!({"pk": {"S": "k1"}, "sk": {"S": "intent"}, "amount_minor": {"N": "100"}}));
    aws.put("payment-attempts", intent.clone(), Some("attribute_not_exists(pk)")).await.unwrap();
    let again = aws.put("payment-attempts", intent.clone(), Some("attribute_not_exists(pk)")).await.unwrap_err();
    assert!(matches!(again, AwsError::ConditionFailed), "{again}");
    let key = item(serde_json::json!({"pk": {"S": "k1"}, "sk": {"S": "intent"}}));
    assert_eq!(aws.get("payment-attempts", key).await.unwrap(), Some(intent));
    let missing = item(serde_json::json!({"pk": {"S": "k2"}, "sk": {"S": "intent"}}));
    assert_eq!(aws.get("payment-attempts", missing).await.unwrap(), None);
}
