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

    /// The epoch under which this Region may now commit payments to the database of another: only while the epoch was read a
    /// short while ago, and only to the Region that it names.
    #[must_use]
    pub fn grant(&self, database: Region) -> Option<u64> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = held.writable_from.is_none_or(|from| Instant::now() >= from);
        (held.is_fresh() && held.writer == Some(database) && begun).then_some(held.epoch)
    }

    /// Whether what was granted then is still so: the lease has not run out since, and no later epoch is known.
    #[must_use]
    pub fn still(&self, granted: u64) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_fresh() && held.epoch == granted
    }
}

impl Held {
    fn is_fresh(&self) -> bool {
        self.read_at.is_some_and(|read| Instant::now() < read + LEASE)
    }
}

/// A JSON object as an item.
pub(crate) fn item(value: Value) -> Item {
    match value {
        Value::Object(item) => item,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Item::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64, writer: Region) -> Item {
        item(json!({"number": {"N": number.to_string()}, "writer_region": {"S": writer.as_str()}}))
    }

    fn read(lease: &WriterLease, number: u64, writer: Region) {
        lease.renew(Some(&epoch(number, writer)), Region::DUBLIN, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_holds_while_the_same_epoch_is_read_again() {
        let lease = WriterLease { held: Arc::default() };
        read(&lease, 1, Region::DUBLIN);
        assert_eq!(lease.grant(Region::DUBLIN), Some(1));
        assert_eq!(lease.grant(Region::LONDON), None);
        tokio::time::advance(LEASE - RENEW).await;
        read(&lease, 1, Region::DUBLIN);
        tokio::time::advance(LEASE - RENEW).await;
        assert!(lease.still(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_ends_when_the_epoch_was_not_read_for_a_lease() {
        let lease = WriterLease { held: Arc::default() };
        read(&lease, 1, Region::DUBLIN);
        tokio::time::advance(LEASE).await;
        assert!(!lease.still(1));
        assert_eq!(lease.grant(Region::DUBLIN), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_granted_under_one_epoch_does_not_hold_under_the_next() {
        let lease = WriterLease { held: Arc::default() };
        read(&lease, 1, Region::DUBLIN);
        read(&lease, 2, Region::LONDON);
        assert!(!lease.still(1));
        // The old writer's lease may still run: the new one is not granted before that is over.
        assert_eq!(lease.grant(Region::LONDON), None);
        tokio::time::advance(LEASE - RENEW).await;
        read(&lease, 2, Region::LONDON);
        tokio::time::advance(RENEW).await;
        assert_eq!(lease.grant(Region::LONDON), Some(2));
    }
}
