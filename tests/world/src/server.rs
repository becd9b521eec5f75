//! The same handlers on loopback HTTP: any AWS client can be pointed at it.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::connector::{Limits, send};
use crate::service::{json_error, of_signature};
use crate::trace::Caller;
use crate::world::World;

/// Serves the world until the process ends. The SigV4 credential scope says which service and Region is meant.
pub async fn serve(world: World, address: SocketAddr) -> std::io::Result<()> {
    serve_with(world, address, Pace::AsAws).await
}

/// How long services take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As long as AWS's.
    AsAws,
    /// No longer than this machine: for benches of their callers.
    AtOnce,
}

/// The same, with services of another pace.
pub async fn serve_with(world: World, address: SocketAddr, pace: Pace) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let world = world.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(world.clone(), request, pace));
            // A client that hangs up is its own business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Serves one caller: its requests travel over the world's network from where it runs, are recorded under its name, and are
/// struck by the world's faults. What is not signed is meant for a host: `/host/<name>/<path>`.
pub async fn serve_as(world: World, listener: TcpListener, caller: Caller) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (world, caller) = (world.clone(), caller.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| carried(world.clone(), caller.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn carried(
    world: World,
    caller: Caller,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(full(json_error(400, "IncompleteBody", &error.to_string()))),
    };
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let scope = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(of_signature);
    let address = match (scope, path.strip_prefix("/host/")) {
        (Some((service, region)), _) => format!("https://{}.{region}.amazonaws.com{path}", service.prefix()),
        (None, Some(host)) => format!("https://{host}"),
        (None, None) => {
            return Ok(full(json_error(
                403,
                "IncompleteSignature",
                "neither a signed request nor /host/<name>/<path>",
            )));
        }
    };
    let Ok(uri) = address.parse() else { return Ok(full(json_error(400, "BadAddress", &address))) };
    parts.uri = uri;
    // Whoever asks gives up by itself: it has real time-outs. It has connected to this server, so that it waits for an answer
    // out of the dark where it would have waited for a connection.
    let patience = Limits { connect: None, read: None };
    match send(&world, &caller, http::Request::from_parts(parts, body), patience).await {
        Ok(response) => Ok(full(response)),
        Err(lost) => Ok(full(json_error(504, "Lost", &format!("{lost:?}")))),
    }
}

async fn answer(
    world: World,
    request: http::Request<Incoming>,
    pace: Pace,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(full(json_error(400, "IncompleteBody", &error.to_string()))),
    };
    let scope = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(of_signature);
    let Some((service, region)) = scope else {
        let why = "the request is not signed for a service and Region of this world: dynamodb, rds, s3, sns, events or monitoring in eu-west-1, eu-west-2, eu-central-1 or us-east-1";
        return Ok(full(json_error(403, "IncompleteSignature", why)));
    };
    let answer = service.handle(&world, region, &http::Request::from_parts(parts, body));
    match pace {
        Pace::AsAws => tokio::time::sleep(answer.delay).await,
        Pace::AtOnce => {}
    }
    Ok(full(answer.response))
}

fn full(response: http::Response<Bytes>) -> http::Response<Full<Bytes>> {
    response.map(Full::new)
}
