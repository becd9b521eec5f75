//! HTTP/1.1 between the processes of a live drill: a small server, and a client with a time limit.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client as Legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;

/// A port on this machine that nobody else has.
pub async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers requests until the process ends.
pub async fn serve<F, Fut>(listener: TcpListener, handler: F)
where
    F: Fn(Request<Bytes>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Bytes>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let handler = handler.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let handler = handler.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                    let answered = handler(Request::from_parts(parts, body)).await;
                    Ok::<_, Infallible>(answered.map(Full::new))
                }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// A JSON answer.
#[must_use]
pub fn json(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// A client that keeps its connections.
#[derive(Clone, Debug)]
pub struct Client(Legacy<HttpConnector, Full<Bytes>>);

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Legacy::builder(TokioExecutor::new()).build(connector))
    }
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// None within the time limit.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection failed.
    #[error("{0}")]
    Broken(String),
}

impl Client {
    /// Sends a request and waits for its whole answer.
    pub async fn send(&self, request: Request<Bytes>, limit: Duration) -> Result<Response<Bytes>, NoAnswer> {
        let broken = |error: String| NoAnswer::Broken(error);
        let work = async {
            let response = self.0.request(request.map(Full::new)).await.map_err(|error| broken(error.to_string()))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| broken(error.to_string()))?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(limit, work).await.map_err(|_| NoAnswer::TimedOut(limit))?
    }
}
