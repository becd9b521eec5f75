//! The application's service in a Region, over whatever store the option has. It behaves the same for all of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_payments::service::host;
use holdfast_world::{Region, World};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::stores::{Created, Store};

/// A step of the service that takes longer has failed; clients wait two seconds.
const STEP_MAX: Duration = Duration::from_millis(1500);

/// What a client posts. Without a value it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The key.
    pub key: String,
    /// What to store.
    pub value: Option<String>,
}

/// Puts the service of a Region behind `https://<region>.payments.example.com`.
pub fn serve(world: &World, region: Region, store: Arc<dyn Store>) {
    let served = world.clone();
    world.serve_host(
        &host(region),
        region,
        Arc::new(move |request| {
            let (world, store) = (served.clone(), store.clone());
            Box::pin(async move { answer(&world, region, store.as_ref(), &request).await })
        }),
    );
}

async fn answer(
    world: &World,
    region: Region,
    store: &dyn Store,
    request: &http::Request<Bytes>,
) -> http::Response<Bytes> {
    match request.uri().path() {
        "/healthz" => respond(200, Duration::ZERO),
        "/writez" => {
            let ready = world.within(STEP_MAX, store.write_ready(region)).await.unwrap_or(false);
            respond(if ready { 200 } else { 503 }, Duration::ZERO)
        }
        "/payments" => {
            let Ok(asked) = serde_json::from_slice::<Asked>(request.body()) else {
                return respond(400, Duration::ZERO);
            };
            let began = Instant::now();
            let status = match &asked.value {
                Some(value) => match world.within(STEP_MAX, store.create(region, &asked.key, value)).await {
                    Some(Created::Accepted) => 201,
                    Some(Created::Taken) => 409,
                    Some(Created::Unavailable) | None => 503,
                },
                None => match world.within(STEP_MAX, store.read(region, &asked.key)).await {
                    Some(true) => 200,
                    Some(false) | None => 503,
                },
            };
            respond(status, began.elapsed())
        }
        _ => respond(404, Duration::ZERO),
    }
}

fn respond(status: u16, took: Duration) -> http::Response<Bytes> {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let body = json!({"took_ms": took_ms}).to_string();
    http::Response::builder().status(status).body(Bytes::from(body)).unwrap_or_default()
}
