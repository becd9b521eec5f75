//! The application writes to two tables that know nothing of each other, and acknowledges when both have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_world::dynamodb::{self, Mode};
use holdfast_world::{Region, World};
use serde_json::Value;

use super::tables::Table;
use super::{Contents, Created, DATA_REGIONS, Store, StoreFuture};

/// A person tells London to go alone so long after the outage began: when a page that nobody answered calls the next
/// people (`paging.escalation` in events/config.example.json).
pub const TOLD_TO_GO_ALONE_AFTER: Duration = Duration::from_secs(300);
/// A person has the two stores made equal so long after the dark Region is back.
pub const MADE_EQUAL_AFTER: Duration = Duration::from_secs(60);

/// Two tables and the application's policy.
#[derive(Debug)]
pub struct DualWrite {
    world: World,
    dublin: Table,
    london: Table,
    alone: Arc<AtomicBool>,
}

fn name(region: Region) -> &'static str {
    if region == Region::DUBLIN { "lab-dual-eu-west-1" } else { "lab-dual-eu-west-2" }
}

impl DualWrite {
    /// Creates both tables.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let table = |region| Table::new(world, name(region), Mode::Regional(region));
        Self {
            world: world.clone(),
            dublin: table(Region::DUBLIN),
            london: table(Region::LONDON),
            alone: Arc::default(),
        }
    }

    fn table(&self, region: Region) -> &Table {
        if region == Region::DUBLIN { &self.dublin } else { &self.london }
    }

    /// What people do: so long after the outage and the return, since now.
    pub fn people_act(&self, outage_in: Duration, return_in: Duration) {
        let alone = self.alone.clone();
        self.world.after(outage_in + TOLD_TO_GO_ALONE_AFTER, move |world| {
            world.record("a person", "tells London to write alone");
            alone.store(true, Ordering::Relaxed);
        });
        let alone = self.alone.clone();
        self.world.after(return_in + MADE_EQUAL_AFTER, move |world| {
            world.record("a person", "copies to Dublin what it lacks, and has both written again");
            for item in dynamodb::items_in(world, name(Region::LONDON), Region::LONDON) {
                // What Dublin has under the same key stays: a conflict is not a person's copy to settle in passing.
                let absent = Some("attribute_not_exists(pk)");
                let _ = dynamodb::put(world, Region::DUBLIN, name(Region::DUBLIN), item, absent, &Value::Null);
            }
            alone.store(false, Ordering::Relaxed);
        });
    }
}

impl Store for DualWrite {
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created> {
        Box::pin(async move {
            // The order is for London alone: nobody can tell the dark Region anything.
            if at == Region::LONDON && self.alone.load(Ordering::Relaxed) {
                return self.table(at).put(at, key, value).await;
            }
            let both = tokio::join!(self.dublin.put(at, key, value), self.london.put(at, key, value));
            match both {
                (Created::Accepted, Created::Accepted) => Created::Accepted,
                (Created::Unavailable, _) | (_, Created::Unavailable) => Created::Unavailable,
                // What the one store took stays there: there is no transaction over both.
                (Created::Taken, _) | (_, Created::Taken) => Created::Taken,
            }
        })
    }

    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool> {
        self.table(at).read(at, key)
    }

    fn contents(&self, region: Region) -> Contents {
        debug_assert!(DATA_REGIONS.contains(&region));
        self.table(region).held(region)
    }
}
