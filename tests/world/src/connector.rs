//! The wire: the SDK's HTTP client, with latency, darkness and faults.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use tokio::time::Instant;

use crate::fault::{CallEffect, CallFault};
use crate::region::Region;
use crate::route53::HostHandler;
use crate::service::{self, Answer, Service};
use crate::tamper::Wired;
use crate::trace::{Caller, Outcome, RecordedRequest};
use crate::world::World;

/// A caller's HTTP client.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    world: World,
    caller: Caller,
}

impl Connector {
    pub(crate) fn new(world: World, caller: Caller) -> Self {
        Self { world, caller }
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Wire { connector: self.clone(), settings: settings.clone() })
    }
}

#[derive(Debug)]
struct Wire {
    connector: Connector,
    settings: HttpConnectorSettings,
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Connector { world, caller } = self.connector.clone();
        let connect = self.settings.connect_timeout();
        let read = self.settings.read_timeout();
        HttpConnectorFuture::new(async move {
            let request = to_http(request).map_err(|error| ConnectorError::user(error.into()))?;
            let limits = Limits { connect, read };
            match send(&world, &caller, request, limits).await {
                Ok(response) => from_http(response).map_err(|error| ConnectorError::user(error.into())),
                Err(Lost::Unknown(host)) => Err(ConnectorError::io(format!("no such host: {host}").into())),
                Err(Lost::NotConnected) => Err(ConnectorError::timeout("no connection in time".into())),
                Err(Lost::NotAnswered) => Err(ConnectorError::timeout("no answer in time".into())),
            }
        })
    }
}

/// How long a caller waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection; `None` is for ever.
    pub connect: Option<Duration>,
    /// For an answer; `None` is for ever.
    pub read: Option<Duration>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The name does not resolve.
    Unknown(String),
    /// No connection in time.
    NotConnected,
    /// No answer in time; the request may have taken effect.
    NotAnswered,
}

enum Target {
    Service(Service, Region),
    Host(Region, HostHandler),
}

impl Target {
    fn region(&self) -> Region {
        match self {
            Self::Service(_, region) | Self::Host(region, _) => *region,
        }
    }
}

/// Sends a request as a caller would, over the world's network.
pub async fn send(
    world: &World,
    caller: &Caller,
    request: http::Request<Bytes>,
    limits: Limits,
) -> Result<http::Response<Bytes>, Lost> {
    let mut request = request;
    let host = request.uri().host().unwrap_or_default().to_owned();
    let mut target = match service::of_host(&host) {
        Some((service, region)) => Target::Service(service, region),
        None => match world.host(&host) {
            Some((region, handler)) => Target::Host(region, handler),
            None => return Err(Lost::Unknown(host)),
        },
    };
    if !tampered(world, caller, &mut target, &mut request) {
        return Ok(service::obeyed(&request));
    }
    let to = target.region();
    let (name, operation, parameters) = match &target {
        Target::Service(service, _) => (service.prefix(), service.operation(&request), service.parameters(&request)),
        Target::Host(..) => ("http", request.uri().path().to_owned(), BTreeMap::new()),
    };
    let (number, effect) = note(world, caller, to, name, operation.clone(), parameters);
    let started = Instant::now();
    if effect == Some(CallEffect::KillBefore) {
        return Err(die(world, caller).await);
    }
    if effect == Some(CallEffect::Hang) {
        settle(world, number, Outcome::Lost);
        return Err(wait_out(started, limits.read, Lost::NotAnswered).await);
    }
    if effect == Some(CallEffect::LoseRequest) || !reaches(world, caller.region, to).await {
        settle(world, number, Outcome::Lost);
        return Err(wait_out(started, limits.connect, Lost::NotConnected).await);
    }
    let mut answer = match effect {
        Some(CallEffect::Error { status, code }) => service::error(name, status, code),
        Some(CallEffect::Duplicate) => {
            act(world, caller, &target, &operation, request.clone()).await;
            act(world, caller, &target, &operation, request).await
        }
        _ => act(world, caller, &target, &operation, request).await,
    };
    if effect == Some(CallEffect::KillAfter) {
        settle(world, number, Outcome::AnswerLost);
        return Err(die(world, caller).await);
    }
    if let Some(CallEffect::Delay(delay)) = effect {
        answer.delay += delay;
    }
    if let Some(read) = limits.read
        && answer.delay >= read
    {
        settle(world, number, Outcome::AnswerLost);
        return Err(wait_out(started, Some(read), Lost::NotAnswered).await);
    }
    tokio::time::sleep(answer.delay).await;
    if effect == Some(CallEffect::LoseAnswer) || !reaches(world, to, caller.region).await {
        settle(world, number, Outcome::AnswerLost);
        return Err(wait_out(started, limits.read, Lost::NotAnswered).await);
    }
    settle(world, number, Outcome::Answered(answer.response.status().as_u16()));
    Ok(answer.response)
}

async fn act(
    world: &World,
    caller: &Caller,
    target: &Target,
    operation: &str,
    request: http::Request<Bytes>,
) -> Answer {
    match target {
        Target::Service(service, region) => {
            let mut answer = service.handle(world, *region, &request);
            if let Some(tamper) = world.tampering().answer {
                let wired = Wired { caller, service: service.prefix(), operation, to: *region };
                tamper(world, &wired, &mut answer.response);
            }
            answer
        }
        Target::Host(region, handler) => {
            world.note_request(*region);
            // A Region that goes dark takes its half-done answers with it.
            let response = handler(request).await;
            if world.state().network.is_dark(*region) {
                std::future::pending::<()>().await;
            }
            Answer { response, delay: Duration::ZERO }
        }
    }
}

/// A deliberate bug may change what is sent, and where to. `false`: it is not sent at all.
fn tampered(world: &World, caller: &Caller, target: &mut Target, request: &mut http::Request<Bytes>) -> bool {
    let (Some(tamper), Target::Service(service, region)) = (world.tampering().request, &mut *target) else {
        return true;
    };
    let operation = service.operation(request);
    let wired = Wired { caller, service: service.prefix(), operation: &operation, to: *region };
    match tamper(world, &wired, request) {
        Some(to) => {
            *region = to;
            true
        }
        None => false,
    }
}

fn note(
    world: &World,
    caller: &Caller,
    to: Region,
    service: &'static str,
    operation: String,
    parameters: BTreeMap<String, String>,
) -> (usize, Option<CallEffect>) {
    let at = world.elapsed();
    let mut state = world.state();
    // A draw for each call would make every run without faults another one.
    let chance = if state.faults.iter().any(CallFault::is_random) { state.random.u64(0..1000) } else { 0 };
    // Every fault counts the call; the first that means it strikes.
    let mut struck = None;
    for fault in &mut state.faults {
        let effect = fault.strikes(caller, to, service, &operation, at, chance);
        struck = struck.or(effect);
    }
    let to_was_dark = state.network.is_dark(to);
    let outcome = Outcome::Pending;
    let caller = caller.clone();
    let request = RecordedRequest { at, caller, service, operation, to, to_was_dark, parameters, struck, outcome };
    state.requests.push(request);
    (state.requests.len() - 1, struck)
}

fn settle(world: &World, number: usize, outcome: Outcome) {
    if let Some(request) = world.state().requests.get_mut(number) {
        request.outcome = outcome;
    }
}

/// Takes the time to get there, and says whether it did.
async fn reaches(world: &World, from: Region, to: Region) -> bool {
    let (up, delay) = {
        let state = world.state();
        (state.network.path_up(from, to), state.network.one_way(from, to))
    };
    if up {
        tokio::time::sleep(delay).await;
    }
    up && world.state().network.path_up(from, to)
}

async fn wait_out(started: Instant, limit: Option<Duration>, lost: Lost) -> Lost {
    match limit {
        Some(limit) => tokio::time::sleep_until(started + limit).await,
        None => std::future::pending().await,
    }
    lost
}

/// The caller's process is gone; nobody waits for this.
async fn die(world: &World, caller: &Caller) -> Lost {
    if let Some(invocation) = caller.invocation {
        world.kill_invocation(invocation);
    }
    std::future::pending().await
}

fn to_http(request: HttpRequest) -> Result<http::Request<Bytes>, String> {
    let body = request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
    let mut builder = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(|error| error.to_string())
}

fn from_http(response: http::Response<Bytes>) -> Result<HttpResponse, String> {
    let (parts, body) = response.into_parts();
    let status = StatusCode::try_from(parts.status.as_u16()).map_err(|error| error.to_string())?;
    let mut answer = HttpResponse::new(status, SdkBody::from(body.to_vec()));
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(|error| error.to_string())?.to_owned();
        answer.headers_mut().append(name.as_str().to_owned(), value);
    }
    Ok(answer)
}
