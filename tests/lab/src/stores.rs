//! The application's way to its data, one for each option: how a payment is created, what is read, what a Region holds.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use holdfast_world::Region;

pub mod aurora;
pub mod distributed_sql;
pub mod dual_write;
pub mod objects;
pub mod tables;

/// The two Regions that serve.
pub const DATA_REGIONS: [Region; 2] = [Region::DUBLIN, Region::LONDON];

/// What came of creating a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there with this value.
    Accepted,
    /// It is there with another.
    Taken,
    /// Not now, or not known.
    Unavailable,
}

/// Work under way.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Keys, and all the versions of each, the current one last.
pub type Contents = BTreeMap<String, Vec<String>>;

/// The data layer of the application, as its service in a Region uses it.
pub trait Store: Send + Sync {
    /// Creates a key, as the service in `at` does it. Safe to repeat with the same value.
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created>;

    /// Whether the service in `at` can answer a read.
    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool>;

    /// Whether the service in `at` could create something now.
    fn write_ready(&self, at: Region) -> StoreFuture<'_, bool> {
        let _ = at;
        Box::pin(async { true })
    }

    /// What a Region holds, whatever the network: for the checker.
    fn contents(&self, region: Region) -> Contents;

    /// The Regions whose contents count when it is over.
    fn authoritative(&self) -> &'static [Region] {
        &DATA_REGIONS
    }

    /// What was acknowledged before the run began and is not in `contents` of the survivor unless it was carried over.
    fn acknowledged_before(&self) -> Vec<(std::time::Duration, String)> {
        Vec::new()
    }

    /// Transactions that the store broke off because of another one, and that were tried again.
    fn aborted(&self) -> u64 {
        0
    }
}

/// The other Region of the two.
#[must_use]
pub fn other(region: Region) -> Region {
    if region == Region::DUBLIN { Region::LONDON } else { Region::DUBLIN }
}
