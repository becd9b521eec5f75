//! The payments tier's writer lease: a Region may write while it has read the writer epoch a short while ago.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_world::dynamodb::{self, Item};
use holdfast_world::{Region, World};
use serde_json::{Value, json};
use tokio::time::Instant;

/// A Region that has not read the epoch for this long stops writing by itself.
pub const LEASE: Duration = Duration::from_secs(6);
/// Between two readings.
const RENEW: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Held {
    epoch: u64,
    writer: Option<Region>,
    read_at: Option<Instant>,
    writable_from: Option<Instant>,
}

/// One Region's hold on the right to write.
#[derive(Clone, Debug)]
pub struct WriterLease {
    held: Arc<Mutex<Held>>,
}

impl WriterLease {
    /// Keeps a lease for a Region's service, from the coordination table through that Region's replica.
    ///
    /// `first_writer` writes until an epoch is raised for the first time.
    #[must_use]
    pub fn keep(
        world: &World,
        region: Region,
        table: &'static str,
        cluster: &'static str,
        first_writer: Region,
    ) -> Self {
        let lease = Self { held: Arc::default() };
        let (world, kept) = (world.clone(), lease.clone());
        tokio::spawn(async move {
            loop {
                if !world.state().network.is_dark(region) {
                    // The lease counts from before the question: the answer may have been under way for long.
                    let asked = Instant::now();
                    let read = world.within(
                        RENEW,
                        world.round_trip(region, region, |world| {
                            let key = item(json!({"pk": {"S": format!("writer#{cluster}")}, "sk": {"S": "epoch"}}));
                            dynamodb::get(world, region, table, &key)
                        }),
                    );
                    if let Some(Ok(found)) = read.await {
                        kept.renew(found.as_ref(), first_writer, asked);
                    }
                }
                tokio::time::sleep(RENEW).await;
            }
        });
        lease
    }

    fn renew(&self, found: Option<&Item>, first_writer: Region, asked: Instant) {
        let text = |name: &str| found.and_then(|item| item.get(name)?.as_object()?.values().next()?.as_str());
        let epoch = text("number").and_then(|number| number.parse().ok()).unwrap_or(0);
        let writer = text("writer_region").and_then(Region::named).unwrap_or(first_writer);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.read_at.is_some() && epoch > held.epoch && held.writer != Some(writer) {
            // The old writer's lease may still run; it is over after this.
            held.writable_from = Some(asked + LEASE);
        }
        held.epoch = epoch;
        held.writer = Some(writer);
        held.read_at = Some(asked);
    }

    /// Whether this Region may now commit payments to the database of another: only while the epoch was read a short
    /// while ago, and only to the Region that the epoch names.
    #[must_use]
    pub fn may_write_to(&self, database: Region) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = held.read_at.is_some_and(|read| now < read + LEASE);
        fresh && held.writer == Some(database) && held.writable_from.is_none_or(|from| now >= from)
    }
}

/// A JSON object as an item.
pub(crate) fn item(value: Value) -> Item {
    match value {
        Value::Object(item) => item,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Item::new(),
    }
}
