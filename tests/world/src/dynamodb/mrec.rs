//! Tables that replicate late (MREC): a copy in each Region, conditions on the local copy, last writer wins, and writes
//! of a Region that is cut off surface when it returns (DDB V2globaltables_HowItWorks, prescriptive guidance).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Item, Mode};
use crate::region::Region;
use crate::world::World;

type Key = (String, String);
/// When a write was made by the true clock, and where: the later one wins.
type Stamp = (Duration, Region);

/// The copies of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    items: BTreeMap<Region, BTreeMap<Key, Item>>,
    stamps: BTreeMap<Region, BTreeMap<Key, Stamp>>,
    under_way: BTreeMap<(Region, Region), VecDeque<Change>>,
    paused: BTreeSet<(Region, Region)>,
    /// How long what was delivered since the last minute took, in milliseconds.
    delivered_ms: BTreeMap<(Region, Region), Vec<u64>>,
    nothing: BTreeMap<Key, Item>,
}

#[derive(Clone, Debug)]
struct Change {
    key: Key,
    item: Option<Item>,
    stamp: Stamp,
    ready: Duration,
}

/// Typical replication: "a second or less"; with a tail.
const LAG_MIN_MS: u64 = 300;
const LAG_SPREAD_MS: u64 = 600;
/// What was held back is looked at so often.
const LOOK: Duration = Duration::from_millis(250);
const MINUTE: Duration = Duration::from_secs(60);

impl Copies {
    pub(super) fn items(&self, at: Region) -> &BTreeMap<Key, Item> {
        self.items.get(&at).unwrap_or(&self.nothing)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Item> {
        self.items.values().flat_map(BTreeMap::values)
    }

    /// Writes locally and sends the change on its way to the others.
    pub(super) fn write(
        &mut self,
        at: Region,
        to: &[Region],
        key: Key,
        item: Option<Item>,
        now: Duration,
        lag: Duration,
    ) {
        let stamp = (now, at);
        self.apply(at, key.clone(), item.clone(), stamp);
        for other in to.iter().filter(|other| **other != at) {
            let change = Change { key: key.clone(), item: item.clone(), stamp, ready: now + lag };
            self.under_way.entry((at, *other)).or_default().push_back(change);
        }
    }

    /// A change that is older than what is there is dropped without a trace.
    fn apply(&mut self, at: Region, key: Key, item: Option<Item>, stamp: Stamp) {
        let stamps = self.stamps.entry(at).or_default();
        if stamps.get(&key).is_some_and(|known| *known > stamp) {
            return;
        }
        stamps.insert(key.clone(), stamp);
        let items = self.items.entry(at).or_default();
        match item {
            Some(item) => items.insert(key, item),
            None => items.remove(&key),
        };
    }

    fn deliver(&mut self, pair: (Region, Region), now: Duration) {
        loop {
            let Some(queue) = self.under_way.get_mut(&pair) else { return };
            let Some(change) = queue.pop_front_if(|change| change.ready <= now) else { return };
            let took = u64::try_from((now - change.stamp.0).as_millis()).unwrap_or(u64::MAX);
            self.delivered_ms.entry(pair).or_default().push(took);
            self.apply(pair.1, change.key, change.item, change.stamp);
        }
    }
}

/// Draws how long one write takes to the other Regions.
pub(super) fn draw_lag(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(LAG_MIN_MS + random.u64(0..LAG_SPREAD_MS))
}

/// Starts to carry changes, and the metric that tells of it.
pub(super) fn start(world: &World, table: &str) {
    let (carrier, name) = (world.clone(), table.to_owned());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            deliver(&carrier, &name);
        }
    });
    let (world, name) = (world.clone(), table.to_owned());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(MINUTE).await;
            for (from, to, latency) in latencies(&world, &name) {
                let dimensions = [("TableName", name.as_str()), ("ReceivingRegion", to.as_str())];
                world.put_metric(from, "AWS/DynamoDB", "ReplicationLatency", &dimensions, latency);
            }
        }
    });
}

/// Carries over whatever is due and not held up.
pub(super) fn deliver(world: &World, table: &str) {
    let now = world.elapsed();
    let mut state = world.state();
    let flowing = flowing(&state, table);
    if let Some(table) = state.dynamodb.tables.get_mut(table) {
        flowing.into_iter().for_each(|pair| table.copies.deliver(pair, now));
    }
}

/// The pairs between which changes pass now.
fn flowing(state: &crate::world::State, table: &str) -> Vec<(Region, Region)> {
    pairs(state, table)
        .into_iter()
        .filter(|(from, to)| {
            let table = state.dynamodb.tables.get(table);
            table.is_some_and(|table| {
                state.network.path_up(*from, *to)
                    && !table.copies.paused.contains(&(*from, *to))
                    && table.is_accessible(*from)
                    && table.is_accessible(*to)
            })
        })
        .collect()
}

fn pairs(state: &crate::world::State, table: &str) -> Vec<(Region, Region)> {
    let regions = match state.dynamodb.tables.get(table).map(|table| &table.mode) {
        Some(Mode::Mrec(regions)) => regions.clone(),
        Some(Mode::Mrsc(_) | Mode::Regional(_)) | None => Vec::new(),
    };
    let of = |from: Region| regions.iter().filter(move |to| **to != from).map(move |to| (from, *to));
    regions.iter().flat_map(|from| of(*from)).collect()
}

/// One point a minute in the sending Region: how long changes took; 0 while they do not pass; none while it is dark.
fn latencies(world: &World, table: &str) -> Vec<(Region, Region, f64)> {
    let mut state = world.state();
    let flowing = flowing(&state, table);
    let lit: Vec<_> = pairs(&state, table).into_iter().filter(|(from, _)| !state.network.is_dark(*from)).collect();
    let Some(table) = state.dynamodb.tables.get_mut(table) else { return Vec::new() };
    let points = lit.into_iter().filter_map(|pair| {
        let took = table.copies.delivered_ms.remove(&pair).unwrap_or_default();
        if !flowing.contains(&pair) {
            return Some((pair.0, pair.1, 0.0));
        }
        let slowest = took.into_iter().max().and_then(|ms| u32::try_from(ms).ok())?;
        Some((pair.0, pair.1, f64::from(slowest)))
    });
    points.collect()
}

/// Holds changes of one direction back, or lets them pass again.
pub fn pause_replication(world: &World, table: &str, from: Region, to: Region, paused: bool) {
    if let Some(table) = world.state().dynamodb.tables.get_mut(table) {
        if paused {
            table.copies.paused.insert((from, to));
        } else {
            table.copies.paused.remove(&(from, to));
        }
    }
    let does = if paused { "holds back" } else { "passes on again" };
    world.record("dynamodb", format!("{does} what {from} writes for {to} in {table}"));
}
