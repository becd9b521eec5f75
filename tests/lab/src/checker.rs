//! What came of a play, from the clients' history and the final stores: one checker for every option.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_world::Region;

use crate::clients::PROBE;
use crate::history::{Kind, Operation, Told};
use crate::rows::Row;
use crate::run::{FirstService, Routing};
use crate::stores::{Contents, Store};
use crate::timing::{OUTAGE_AT, RETURN_AT};

/// What a play left behind.
pub struct Seen<'a> {
    /// Which option.
    pub row: &'a Row,
    /// Which seed.
    pub seed: u64,
    /// How clients found a Region.
    pub routing: Routing,
    /// What they were told.
    pub operations: Vec<Operation>,
    /// The stores.
    pub store: &'a dyn Store,
    /// What London held when it served again.
    pub first_service: Option<FirstService>,
}

/// A share in thousandths.
pub type Permille = u64;

/// Every figure of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Which option.
    pub row: &'static str,
    /// Which seed.
    pub seed: u64,
    /// How clients found a Region.
    pub routing: &'static str,
    /// Acknowledged writes that London lacked when it served again.
    pub lost_at_first_service: u64,
    /// How long before the outage the oldest of them was acknowledged.
    pub oldest_lost: Duration,
    /// First failed to first durable write; `None`: not before Dublin was back.
    pub recovery_of_writes: Option<Duration>,
    /// The same for reads.
    pub recovery_of_reads: Option<Duration>,
    /// Of the outage's time, the share whose writes were acknowledged and stayed, for clients near Dublin and near London.
    pub written: [Permille; 2],
    /// Keys of which two values were acknowledged.
    pub conflicts: u64,
    /// Acknowledged writes whose key holds another value at the end, everywhere.
    pub overwritten: u64,
    /// Keys that hold more than one value at the end, and so wait for a person.
    pub kept_both: u64,
    /// Writes that were told at once that their key is taken.
    pub refused_as_taken: u64,
    /// Of those lost at first service: in London at the end.
    pub resurfaced: u64,
    /// Acknowledged writes that are nowhere at the end.
    pub gone_for_good: u64,
    /// Keys that London acknowledged and Dublin lacks at the end, where Dublin counts.
    pub never_in_dublin: u64,
    /// Keys whose current values differ between the Regions at the end, where both count.
    pub diverged: u64,
    /// Written somewhere, and acknowledged to nobody.
    pub partial: u64,
    /// Transactions that the store broke off.
    pub aborted: u64,
    /// Time inside the service of an acknowledged write before the outage: median and 99 of 100, in milliseconds.
    pub service_ms: [u64; 2],
    /// Mean time of a write as its client saw it before the outage, in tenths of a millisecond.
    pub client_mean_tenth_ms: u64,
    /// For how long the first tries of clients near Dublin and near London failed: what DNS alone does.
    pub first_tries_failed_for: [Duration; 2],
    /// Of the requests before the outage, the share that Dublin answered: what a bad deploy there breaks.
    pub in_dublin: Permille,
}

type Pair = (String, String);

/// Measures.
#[must_use]
pub fn measure(seen: &Seen<'_>) -> Measured {
    let operations = &seen.operations;
    let authoritative = seen.store.authoritative();
    let ends: BTreeMap<Region, Contents> =
        [Region::DUBLIN, Region::LONDON].into_iter().map(|region| (region, seen.store.contents(region))).collect();
    let counting = || authoritative.iter().filter_map(|region| ends.get(region));
    let is_durable = |key: &str, value: &str| {
        counting().any(|end| end.get(key).is_some_and(|versions| versions.iter().any(|it| it == value)))
    };
    let is_present = |key: &str| counting().any(|end| end.contains_key(key));
    let writes: Vec<&Operation> = operations.iter().filter(|it| it.kind == Kind::Write).collect();
    let acknowledged: BTreeSet<Pair> = writes.iter().filter(|it| it.acknowledged()).map(|it| pair(it)).collect();
    let absent: Vec<&Pair> = acknowledged.iter().filter(|(key, value)| !is_durable(key, value)).collect();
    let lost = lost_at_first_service(seen, &writes);
    let london = ends.get(&Region::LONDON);
    let both_count = authoritative.contains(&Region::DUBLIN);
    let current = |region: Region, key: &str| ends.get(&region)?.get(key)?.last();
    let all_keys: BTreeSet<&String> = counting().flat_map(BTreeMap::keys).collect();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in &acknowledged {
        values.entry(key).or_default().insert(value);
    }
    let distinct = |versions: &Vec<String>| versions.iter().collect::<BTreeSet<_>>().len();
    let in_london = writes.iter().filter(|it| it.acknowledged() && it.sent_to == Region::LONDON);
    let recovery = |is_write: bool| recovery(operations, is_write, &|it| !is_write || is_durable(&it.key, &it.value));
    Measured {
        row: seen.row.name,
        seed: seen.seed,
        routing: match seen.routing {
            Routing::Latency => "latency",
            Routing::Weighted => "weighted",
        },
        lost_at_first_service: count(lost.len()),
        oldest_lost: lost.values().max().copied().unwrap_or_default(),
        recovery_of_writes: recovery(true),
        recovery_of_reads: recovery(false),
        written: [Region::DUBLIN, Region::LONDON].map(|near| written(&writes, near, &is_durable)),
        conflicts: count(values.values().filter(|values| values.len() > 1).count()),
        overwritten: count(absent.iter().filter(|(key, _)| is_present(key)).count()),
        kept_both: count(
            all_keys
                .iter()
                .filter(|key| counting().any(|end| end.get(**key).is_some_and(|it| distinct(it) > 1)))
                .count(),
        ),
        refused_as_taken: count(writes.iter().filter(|it| it.told == Told::Taken).count()),
        resurfaced: count(lost.keys().filter(|key| london.is_some_and(|end| end.contains_key(*key))).count()),
        gone_for_good: count(absent.iter().filter(|(key, _)| !is_present(key)).count())
            + count(lost.keys().filter(|key| key.starts_with(BEFORE) && !is_present(key)).count()),
        never_in_dublin: if both_count {
            let dublin = ends.get(&Region::DUBLIN);
            let keys: BTreeSet<&String> = in_london.map(|it| &it.key).collect();
            count(keys.into_iter().filter(|key| dublin.is_some_and(|end| !end.contains_key(*key))).count())
        } else {
            0
        },
        diverged: if both_count {
            let differs = |key: &&&String| {
                let (one, other) = (current(Region::DUBLIN, key), current(Region::LONDON, key));
                one.is_some() && other.is_some() && one != other
            };
            count(all_keys.iter().filter(differs).count())
        } else {
            0
        },
        partial: count(partial(&ends, authoritative, operations).len()),
        aborted: seen.store.aborted(),
        service_ms: service_ms(&writes),
        client_mean_tenth_ms: client_mean(&writes),
        first_tries_failed_for: [Region::DUBLIN, Region::LONDON].map(|near| first_tries_failed_for(operations, near)),
        in_dublin: in_dublin(operations),
    }
}

/// Keys of what was acknowledged before the run began.
pub const BEFORE: &str = "before-";

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn pair(operation: &Operation) -> Pair {
    (operation.key.clone(), operation.value.clone())
}

/// Keys that London lacked at first service although they had been acknowledged, and how long before the outage that was.
fn lost_at_first_service(seen: &Seen<'_>, writes: &[&Operation]) -> BTreeMap<String, Duration> {
    let Some((at, survivor)) = &seen.first_service else { return BTreeMap::new() };
    let age = |acknowledged: Duration| OUTAGE_AT.saturating_sub(acknowledged);
    let mut lost = BTreeMap::new();
    for it in writes.iter().filter(|it| it.acknowledged() && it.ended <= *at && !survivor.contains_key(&it.key)) {
        let oldest: &mut Duration = lost.entry(it.key.clone()).or_default();
        *oldest = (*oldest).max(age(it.ended));
    }
    let before = seen.store.acknowledged_before();
    lost.extend(before.into_iter().filter(|(_, key)| !survivor.contains_key(key)).map(|(then, key)| (key, age(then))));
    lost
}

/// First failed to first good: what was begun after the failure, was not tried before, and is kept.
fn recovery(operations: &[Operation], is_write: bool, is_kept: &dyn Fn(&Operation) -> bool) -> Option<Duration> {
    let of_kind = |kind: Kind| match kind {
        Kind::Write | Kind::WriteProbe => is_write,
        Kind::Read | Kind::ReadProbe => !is_write,
    };
    let mine = || operations.iter().filter(|it| of_kind(it.kind) && it.ended >= OUTAGE_AT && it.started < RETURN_AT);
    let failed = mine().filter(|it| matches!(it.told, Told::Refused | Told::Nothing)).map(|it| it.started).min();
    let Some(failed) = failed else { return Some(Duration::ZERO) };
    let good = mine().filter(|it| it.attempt == 0 && it.started > failed && it.acknowledged() && is_kept(it));
    good.map(|it| it.ended).min().map(|ended| ended.saturating_sub(failed))
}

/// Of the time of the outage, the share whose writes were acknowledged and stayed. A key that was taken says nothing.
fn written(writes: &[&Operation], near: Region, is_durable: &dyn Fn(&str, &str) -> bool) -> Permille {
    let mut begun: BTreeMap<&str, (Duration, bool, bool)> = BTreeMap::new();
    for it in writes.iter().filter(|it| it.near == near) {
        if it.attempt == 0 && it.started >= OUTAGE_AT && it.started < RETURN_AT {
            begun.insert(&it.key, (it.stands_for, false, false));
        }
        if let Some((_, done, taken)) = begun.get_mut(it.key.as_str()) {
            *done |= it.acknowledged() && is_durable(&it.key, &it.value);
            *taken |= it.told == Told::Taken;
        }
    }
    let told = || begun.values().filter(|(_, done, taken)| *done || !*taken);
    let all: u128 = told().map(|(stands_for, ..)| stands_for.as_millis()).sum();
    let done: u128 = told().filter(|(_, done, _)| *done).map(|(stands_for, ..)| stands_for.as_millis()).sum();
    u64::try_from((done * 1000).checked_div(all).unwrap_or(0)).unwrap_or(0)
}

/// What is written in a store that counts, and was acknowledged to nobody.
fn partial(ends: &BTreeMap<Region, Contents>, counting: &[Region], operations: &[Operation]) -> BTreeSet<Pair> {
    let known: BTreeSet<Pair> = operations.iter().filter(|it| it.acknowledged()).map(pair).collect();
    let held = counting.iter().filter_map(|region| ends.get(region)).flatten();
    let pairs = held.flat_map(|(key, versions)| versions.iter().map(move |value| (key.clone(), value.clone())));
    let of_the_workload = |(key, _): &Pair| !key.starts_with(BEFORE) && !key.starts_with(PROBE);
    pairs.filter(of_the_workload).filter(|pair| !known.contains(pair)).collect()
}

/// Acknowledged first tries that ended before the outage.
fn in_peace<'a>(writes: &'a [&'a Operation]) -> impl Iterator<Item = &'a Operation> {
    writes.iter().copied().filter(|it| it.acknowledged() && it.attempt == 0 && it.ended < OUTAGE_AT)
}

fn service_ms(writes: &[&Operation]) -> [u64; 2] {
    let mut took: Vec<u128> = in_peace(writes).filter_map(|it| it.service_took).map(|took| took.as_millis()).collect();
    took.sort_unstable();
    let of_hundred = |rank: usize| {
        let place = (took.len() * rank).div_ceil(100).saturating_sub(1);
        took.get(place).and_then(|ms| u64::try_from(*ms).ok()).unwrap_or(0)
    };
    [of_hundred(50), of_hundred(99)]
}

fn client_mean(writes: &[&Operation]) -> u64 {
    let took: Vec<u128> = in_peace(writes).map(|it| (it.ended - it.started).as_micros()).collect();
    let mean = took.iter().sum::<u128>().checked_div(took.len() as u128).unwrap_or(0);
    u64::try_from(mean / 100).unwrap_or(u64::MAX)
}

/// From the first failed first try of a reader during the outage to the next one that worked.
fn first_tries_failed_for(operations: &[Operation], near: Region) -> Duration {
    let first = |it: &&Operation| {
        let in_outage = it.started >= OUTAGE_AT && it.started < RETURN_AT;
        it.kind == Kind::Read && it.near == near && it.attempt == 0 && in_outage
    };
    let mut mine: Vec<&Operation> = operations.iter().filter(first).collect();
    mine.sort_by_key(|it| it.started);
    let Some(failed) = mine.iter().find(|it| !it.acknowledged()) else { return Duration::ZERO };
    let works = mine.iter().find(|it| it.acknowledged() && it.started > failed.started);
    works.map_or(RETURN_AT, |it| it.started).saturating_sub(failed.started)
}

fn in_dublin(operations: &[Operation]) -> Permille {
    let before = || operations.iter().filter(|it| it.ended < OUTAGE_AT && it.attempt == 0);
    let there = before().filter(|it| it.sent_to == Region::DUBLIN).count();
    count((there * 1000).checked_div(before().count()).unwrap_or(0))
}
