//! Clients: they resolve names with a TTL, give up after two seconds, and try the other Region with the same key, each
//! time after a longer wait.

use std::time::Duration;

use bytes::Bytes;
use holdfast_world::{Caller, Limits, Region, World, send};
use serde_json::Value;
use tokio::time::Instant;

use crate::history::{History, Operation, Read, Reads, Told};
use crate::service::{PaymentRequest, host};

/// How clients behave.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// Where they are.
    pub near: Region,
    /// Between two new payments.
    pub every: Duration,
    /// Their currency.
    pub currency: &'static str,
    /// When they stop making new payments, since the start.
    pub until: Duration,
}

/// A client that waits longer has given up.
const CLIENT_LIMITS: Limits = Limits { connect: Some(Duration::from_secs(1)), read: Some(Duration::from_secs(2)) };
/// Before the second try of a payment; the wait doubles with each.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(8);
/// Tries of one payment: about two minutes of them.
const TRIES_MAX: u32 = 18;

impl Cohort {
    /// Starts the cohort. Every answer goes into the history.
    pub fn start(self, world: &World, history: &History) {
        let (world, history) = (world.clone(), history.clone());
        tokio::spawn(async move {
            let mut resolved: Option<(Region, Instant)> = None;
            let mut number = 0u64;
            while world.elapsed() < self.until {
                tokio::time::sleep(self.every).await;
                let home = match resolved {
                    Some((region, fresh_until)) if Instant::now() < fresh_until => region,
                    _ => {
                        let Some(answer) = world.resolve(self.near) else { continue };
                        resolved = Some((answer.region, Instant::now() + answer.ttl));
                        answer.region
                    }
                };
                number += 1;
                let payment = PaymentRequest {
                    key: format!("{}-{number:06}", self.near),
                    amount_minor: i64::try_from(100 + world.draw(20_000)).unwrap_or(100),
                    currency: self.currency.to_owned(),
                };
                // Payments do not wait for each other.
                tokio::spawn(pay(world.clone(), history.clone(), self.near, home, payment));
            }
        });
    }
}

/// Tries one payment until somebody acknowledges it, first at home, then in turn.
async fn pay(world: World, history: History, near: Region, home: Region, payment: PaymentRequest) {
    let other = if home == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN };
    let mut wait = TRY_AGAIN;
    for attempt in 0..TRIES_MAX {
        let to = if attempt % 2 == 0 { home } else { other };
        let started = world.elapsed();
        let told = post(&world, to, &payment).await;
        let done = matches!(told, Told::Acknowledged { .. } | Told::Refused { status: 400 });
        history.record(Operation {
            key: payment.key.clone(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
            client: near.to_string(),
            sent_to: to.to_string(),
            started,
            ended: world.elapsed(),
            told,
        });
        if done {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(TRY_AGAIN_MAX);
    }
}

async fn post(world: &World, to: Region, payment: &PaymentRequest) -> Told {
    let caller = Caller { name: "client".into(), region: Region::INTERNET, invocation: None };
    let body = serde_json::to_vec(payment).unwrap_or_default();
    let request = http::Request::post(format!("https://{}/payments", host(to))).body(Bytes::from(body));
    let Ok(request) = request else { return Told::Nothing };
    match tokio::time::timeout(Duration::from_secs(2), send(world, &caller, request, CLIENT_LIMITS)).await {
        Ok(Ok(response)) if response.status().is_success() => {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            let reference = body["network_reference"].as_str().unwrap_or_default().to_owned();
            Told::Acknowledged { network_reference: reference }
        }
        Ok(Ok(response)) => Told::Refused { status: response.status().as_u16() },
        Ok(Err(_)) | Err(_) => Told::Nothing,
    }
}

/// Clients that only read, from the Region that their resolver gave them, without trying the other: what DNS alone does.
pub fn start_readers(world: &World, near: Region, every: Duration, reads: &Reads) {
    let (world, reads) = (world.clone(), reads.clone());
    tokio::spawn(async move {
        let mut resolved: Option<(Region, Instant)> = None;
        loop {
            tokio::time::sleep(every).await;
            let home = match resolved {
                Some((region, fresh_until)) if Instant::now() < fresh_until => region,
                _ => {
                    let Some(answer) = world.resolve(near) else { continue };
                    resolved = Some((answer.region, Instant::now() + answer.ttl));
                    answer.region
                }
            };
            let (world, reads) = (world.clone(), reads.clone());
            tokio::spawn(async move {
                let started = world.elapsed();
                let caller = Caller { name: "client".into(), region: Region::INTERNET, invocation: None };
                let request = http::Request::get(format!("https://{}/healthz", host(home))).body(Bytes::new());
                let answered = match request {
                    Ok(request) => send(&world, &caller, request, CLIENT_LIMITS).await.is_ok(),
                    Err(_) => false,
                };
                reads.record(Read { near, started, ended: world.elapsed(), answered });
            });
        }
    });
}
