//! A model of Aurora DSQL with two peered Regions and a witness: SQL is a port in this house, so there is no server.
//!
//! A transaction reads a snapshot in its own Region and is decided at commit, when its log is in one more of the three
//! Regions; one that began before a later write of its key was committed is broken off with SQLSTATE 40001
//! (aurora-dsql userguide: disaster-recovery-resiliency, working-with-concurrency-control).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_world::{Region, World};

use super::{Contents, Created, Store, StoreFuture};

/// A transaction that was broken off is tried again so often.
const TRIES_MAX: u32 = 5;
/// The three that a commit needs two of.
const MEMBERS: [Region; 3] = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];

/// Values by key, each with when it was committed.
type Rows = BTreeMap<String, (String, Duration)>;

/// The cluster.
#[derive(Debug)]
pub struct DistributedSql {
    world: World,
    rows: Arc<Mutex<Rows>>,
    aborted: AtomicU64,
}

enum Commit {
    Done,
    /// SQLSTATE 40001.
    BrokenOff,
}

impl DistributedSql {
    /// An empty cluster.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), rows: Arc::default(), aborted: AtomicU64::new(0) }
    }

    /// The nearest of the others that a Region reaches.
    fn partner(&self, at: Region) -> Option<Region> {
        let state = self.world.state();
        let reached = MEMBERS.into_iter().filter(|other| *other != at && state.network.linked(at, *other));
        reached.min_by_key(|other| state.network.one_way(at, *other))
    }

    fn value(&self, key: &str) -> Option<String> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(key).map(|(value, _)| value.clone())
    }

    fn commit(&self, began: Duration, key: &str, value: &str) -> Commit {
        let now = self.world.elapsed();
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.get(key).is_some_and(|(_, committed)| *committed > began) {
            return Commit::BrokenOff;
        }
        rows.insert(key.to_owned(), (value.to_owned(), now));
        Commit::Done
    }
}

impl Store for DistributedSql {
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created> {
        Box::pin(async move {
            for _ in 0..TRIES_MAX {
                let (began, found) = self.world.round_trip(at, at, |world| (world.elapsed(), self.value(key))).await;
                match found {
                    Some(there) if there == value => return Created::Accepted,
                    Some(_) => return Created::Taken,
                    None => {}
                }
                let Some(partner) = self.partner(at) else { return Created::Unavailable };
                match self.world.round_trip(at, partner, |_| self.commit(began, key, value)).await {
                    Commit::Done => return Created::Accepted,
                    Commit::BrokenOff => drop(self.aborted.fetch_add(1, Ordering::Relaxed)),
                }
            }
            Created::Unavailable
        })
    }

    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(self.world.round_trip(at, at, move |_| {
            let _ = self.value(key);
            true
        }))
    }

    fn contents(&self, _: Region) -> Contents {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().map(|(key, (value, _))| (key.clone(), vec![value.clone()])).collect()
    }

    fn aborted(&self) -> u64 {
        self.aborted.load(Ordering::Relaxed)
    }
}
