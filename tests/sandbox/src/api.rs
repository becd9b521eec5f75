//! The Runtime API of one sandbox (Lambda developer guide, "Using the Lambda runtime API").

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::Event;

const PREFIX: &str = "/2018-06-01/runtime/";
const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:holdfast";

/// What was handed out and is not answered yet.
type Pending = Arc<Lock<BTreeMap<String, oneshot::Sender<Result<Bytes, String>>>>>;

#[derive(Clone)]
struct Api {
    waiting: Arc<Mutex<mpsc::Receiver<Event>>>,
    pending: Pending,
}

pub(crate) async fn serve(listener: TcpListener, waiting: mpsc::Receiver<Event>) {
    let api = Api { waiting: Arc::new(Mutex::new(waiting)), pending: Arc::default() };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let api = api.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| api.clone().answer(request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Api {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let steps: Vec<&str> = path.split('/').collect();
        Ok(match (&parts.method, steps.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.settle(id, Ok(body)),
            (&Method::POST, ["invocation", id, "error"]) => self.settle(id, Err(text(&body))),
            (&Method::POST, ["init", "error"]) => {
                self.give_up(&text(&body)).await;
                status(StatusCode::ACCEPTED)
            }
            _ => status(StatusCode::NOT_FOUND),
        })
    }

    /// Waits for an invocation, for as long as there is none.
    async fn next(&self) -> Response<Full<Bytes>> {
        let Some(event) = self.waiting.lock().await.recv().await else { return status(StatusCode::GONE) };
        let Event { request_id, deadline, payload, answer } = event;
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id.clone(), answer);
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", request_id)
            .header("lambda-runtime-deadline-ms", deadline.as_millisecond().to_string())
            .header("lambda-runtime-invoked-function-arn", ARN)
            .header("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0")
            .body(Full::new(payload));
        response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn settle(&self, id: &str, outcome: Result<Bytes, String>) -> Response<Full<Bytes>> {
        match self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            // Nobody may be waiting any more.
            Some(answer) => {
                let _ = answer.send(outcome);
                status(StatusCode::ACCEPTED)
            }
            None => status(StatusCode::BAD_REQUEST),
        }
    }

    /// The function cannot start: whoever waits for its answer is told why.
    async fn give_up(&self, why: &str) {
        if let Some(event) = self.waiting.lock().await.recv().await {
            let _ = event.answer.send(Err(format!("it could not start: {why}")));
        }
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = code;
    response
}
