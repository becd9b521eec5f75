//! The workload: the same clients, arrivals and keys for every option.
//!
//! Two cohorts, one near each Region, write and read at fixed times with a little of chance: densely from ten seconds before
//! the outage to fifty after it, less so while DNS changes, sparsely otherwise. Every tenth write of both cohorts is of one shared key, with a value of
//! each client's own: that is what conflicts are made of. A try that fails is made again in the other Region.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_payments::service::host;
use holdfast_world::{Caller, Limits, Region, World, send};
use tokio::time::Instant;

use crate::history::{History, Kind, Operation, Told};
use crate::service::Asked;
use crate::stores::other;
use crate::timing::{BEGIN, OUTAGE_AT, PAYMENTS_UNTIL, RETURN_AT};

/// A client that waits longer has given up.
const LIMITS: Limits = Limits { connect: Some(Duration::from_secs(1)), read: Some(Duration::from_secs(2)) };
/// Before the second try; the wait doubles with each.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Tries of one write: half a minute of them.
const TRIES_MAX: u32 = 6;
/// Between two arrivals of a cohort, away from the outage and near it.
const SPARSE: Duration = Duration::from_secs(10);
const DENSE: Duration = Duration::from_millis(200);
const DENSE_FROM: Duration = OUTAGE_AT.saturating_sub(Duration::from_secs(10));
const DENSE_UNTIL: Duration = OUTAGE_AT.saturating_add(Duration::from_secs(50));
/// DNS turns away from Dublin in this time.
const DNS_UNTIL: Duration = OUTAGE_AT.saturating_add(Duration::from_secs(100));
const WHILE_DNS_CHANGES: Duration = Duration::from_millis(500);
/// Every so many writes of a cohort one is of a shared key.
const SHARED_EVERY: u64 = 10;
/// How far an arrival may be late.
const CHANCE_MS: u64 = 40;
/// The same for the two writes of one shared key: a race.
const RACE_MS: u64 = 12;
/// Between two looks whether what was lost works again: the resolution of every recovery time.
pub const SAMPLING: Duration = Duration::from_millis(100);

/// Keys of those who only look whether writes work again.
pub const PROBE: &str = "probe-";

/// When a cohort's writes arrive, and which stretch of time each stands for.
fn arrivals() -> Vec<(Duration, Duration)> {
    let mut arrivals = Vec::new();
    let mut at = BEGIN;
    while at < PAYMENTS_UNTIL {
        let dense = at >= DENSE_FROM && at < DENSE_UNTIL;
        let step = match () {
            () if dense => DENSE,
            () if at >= DENSE_UNTIL && at < DNS_UNTIL => WHILE_DNS_CHANGES,
            () => SPARSE,
        };
        arrivals.push((at, step));
        at += step;
    }
    arrivals
}

/// Starts both cohorts, their readers, and those who look whether it works again.
pub fn start(world: &World, history: &History) {
    for near in [Region::DUBLIN, Region::LONDON] {
        for kind in [Kind::Write, Kind::Read] {
            let (world, history) = (world.clone(), history.clone());
            tokio::spawn(async move { cohort(&world, &history, near, kind).await });
        }
    }
    for is_write in [true, false] {
        let (world, history) = (world.clone(), history.clone());
        tokio::spawn(async move { look_again(&world, &history, is_write).await });
    }
}

async fn cohort(world: &World, history: &History, near: Region, kind: Kind) {
    let mut resolved: Option<(Region, Instant)> = None;
    // London's own arrivals lie between Dublin's.
    let offset = if near == Region::LONDON { SAMPLING } else { Duration::ZERO };
    for (number, (at, stands_for)) in (0u64..).zip(arrivals()) {
        let shared = kind == Kind::Write && number % SHARED_EVERY == SHARED_EVERY - 1;
        let chance = Duration::from_millis(world.draw(if shared { RACE_MS } else { CHANCE_MS }));
        let due = at + chance + if shared { Duration::ZERO } else { offset };
        tokio::time::sleep(due.saturating_sub(world.elapsed())).await;
        let home = match resolved {
            Some((region, fresh_until)) if Instant::now() < fresh_until => region,
            _ => {
                let Some(answer) = world.resolve(near) else { continue };
                resolved = Some((answer.region, Instant::now() + answer.ttl));
                answer.region
            }
        };
        let key = if shared { format!("shared-{number:06}") } else { format!("{near}-{number:06}") };
        let value = format!("{near} pays {}", 100 + world.draw(20_000));
        let request = Request { kind, key: key.into(), value: value.into(), near, stands_for };
        tokio::spawn(persist(world.clone(), history.clone(), request, home));
    }
}

#[derive(Clone)]
struct Request {
    kind: Kind,
    key: Arc<str>,
    value: Arc<str>,
    near: Region,
    stands_for: Duration,
}

/// Tries until it is done, first at home and then in turn.
async fn persist(world: World, history: History, request: Request, home: Region) {
    let mut wait = TRY_AGAIN;
    for attempt in 0..TRIES_MAX {
        let to = if attempt % 2 == 0 { home } else { other(home) };
        let told = once(&world, &history, &request, to, attempt).await;
        if matches!(told, Told::Acknowledged | Told::Taken) {
            return;
        }
        // A reader asks the other Region at once, and then gives up.
        if request.kind == Kind::Read {
            if attempt == 1 {
                return;
            }
            continue;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

async fn once(world: &World, history: &History, request: &Request, to: Region, attempt: u32) -> Told {
    let is_write = matches!(request.kind, Kind::Write | Kind::WriteProbe);
    let asked = Asked { key: request.key.to_string(), value: is_write.then(|| request.value.to_string()) };
    let started = world.elapsed();
    let (told, service_took) =
        match tokio::time::timeout(Duration::from_secs(2), post(world, request.near, to, &asked)).await {
            Ok(answer) => answer,
            Err(_) => (Told::Nothing, None),
        };
    history.record(Operation {
        kind: request.kind,
        key: asked.key,
        value: asked.value.unwrap_or_default(),
        near: request.near,
        sent_to: to,
        attempt,
        started,
        ended: world.elapsed(),
        service_took,
        stands_for: request.stands_for,
        told,
    });
    told
}

async fn post(world: &World, near: Region, to: Region, asked: &Asked) -> (Told, Option<Duration>) {
    let caller = Caller { name: "client".into(), region: Region::INTERNET, invocation: None };
    let body = serde_json::to_vec(asked).unwrap_or_default();
    let request = http::Request::post(format!("https://{}/payments", host(to))).body(Bytes::from(body));
    let Ok(request) = request else { return (Told::Nothing, None) };
    // The world's internet is as near to every Region; a client is not.
    let farther = if near == to { Duration::ZERO } else { world.state().network.one_way(near, to) };
    tokio::time::sleep(farther).await;
    let answer = send(world, &caller, request, LIMITS).await;
    let Ok(response) = answer else { return (Told::Nothing, None) };
    tokio::time::sleep(farther).await;
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let took = body["took_ms"].as_u64().map(Duration::from_millis);
    match response.status().as_u16() {
        200 | 201 => (Told::Acknowledged, took),
        409 => (Told::Taken, took),
        _ => (Told::Refused, took),
    }
}

/// From the outage on: every 100 ms a client in London asks London, until something that was begun since has worked.
async fn look_again(world: &World, history: &History, is_write: bool) {
    tokio::time::sleep(OUTAGE_AT.saturating_sub(world.elapsed())).await;
    let kind = if is_write { Kind::WriteProbe } else { Kind::ReadProbe };
    let near = Region::LONDON;
    let mut number = 0;
    while world.elapsed() < RETURN_AT && !history.has_worked_since(OUTAGE_AT, is_write) {
        number += 1;
        let request = Request {
            kind,
            key: format!("{PROBE}{number:06}").into(),
            value: format!("{near} looks").into(),
            near,
            stands_for: Duration::ZERO,
        };
        let (world, history) = (world.clone(), history.clone());
        tokio::spawn(async move {
            let _ = once(&world, &history, &request, near, 0).await;
        });
        tokio::time::sleep(SAMPLING).await;
    }
}
