//! A run in shards: settlement date by slice of merchants' keys, each read by an invocation of its own.
//!
//! Shards are no runs of their own: what belongs together may lie on two dates, or bear another key on each side. Each shard
//! adds its rows up into a sketch; sums commute, so that all shards together say which rows of the whole do not cancel. Those
//! are picked out of every shard, and one run over them comes to what the run over everything comes to.

mod stored;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_domain::attempt::{Attempt, Stage};
use holdfast_domain::{Region, Timestamp};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use self::stored::Unreadable;
use crate::engine::marks::{Hashes, Marks};
use crate::engine::row::{Fingerprinter, Row, key_hash};
use crate::engine::sketch::{Dirty, Sketch};
use crate::format::{Finding, FormatError, Rows};
use crate::policy::{Policy, Scope};
use crate::record::{Position, Record, Side, Status};
use crate::report::{Report, SourceSummary, Tally, conserve};
use crate::run::{Go, Limits, OfShards, Progress, Reconciliation, RunError, Source, Streamed};

/// Rows between two questions whether to go on.
const STEP: u64 = 1 << 16;

/// How the rows of a run are spread over shards. Every row belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicing {
    /// The first settlement date (UTC); what is earlier, or says no time, belongs to it.
    pub first: Date,
    /// How many dates; what is later belongs to the last.
    pub days: u32,
    /// Slices of merchants' keys on each date.
    pub slices: u32,
}

impl Slicing {
    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.days.max(1).saturating_mul(self.slices.max(1))
    }

    /// The shard of a record.
    #[must_use]
    pub fn shard_of(&self, record: &Record) -> u32 {
        let day = record.time().map_or(0, |at| self.day_of(at));
        let slice = xxh3_64(record.merchant_ref.as_bytes()) % u64::from(self.slices.max(1));
        day * self.slices.max(1) + u32::try_from(slice).unwrap_or(0)
    }

    /// The dates that a shard reads: the first and the last one also read what lies beyond them.
    #[must_use]
    pub fn date_of(&self, shard: u32) -> Date {
        let days = i64::from(shard / self.slices.max(1));
        self.first.checked_add(jiff::Span::new().days(days)).unwrap_or(self.first)
    }

    fn day_of(&self, at: Timestamp) -> u32 {
        let date = jiff::tz::Offset::UTC.to_datetime(at).date();
        let days = date.since(self.first).map_or(0, |span| span.get_days());
        u32::try_from(days).unwrap_or(0).min(self.days.max(1) - 1)
    }
}

/// One shard of a run: every source is given whole, or at least with all rows of this shard.
pub struct Part<'a> {
    /// How the run is cut.
    pub slicing: Slicing,
    /// Which shard this is.
    pub shard: u32,
    /// What is compared.
    pub scope: Scope,
    /// All sources, in the order of the run.
    pub sources: Vec<(Side, Box<dyn Source + 'a>)>,
    /// Folded attempts; those of other shards are passed over.
    pub attempts: Vec<Record>,
}

/// What one shard adds up to.
#[derive(Debug)]
pub struct Sums {
    pub(crate) sketch: Sketch,
    pub(crate) told: Told,
}

/// What a shard says beside its sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    tally: Tally,
    /// Rows of each source.
    rows: Vec<u64>,
    findings: Vec<Finding>,
    attempts: u64,
    /// Hashes of every attempt's reference and key: which of them are beside what does not cancel only the whole knows, and a
    /// key that several shards have was tried on several days.
    marks: Vec<(u64, u32)>,
    /// Hashes of the references and keys of attempts that this shard's ledger does not have.
    unseen_events: Vec<u64>,
    unseen_keys: Vec<u32>,
}

/// What all shards add up to: which rows must be looked at.
#[derive(Debug)]
pub struct Narrowed {
    pub(crate) dirty: Dirty,
    pub(crate) wanted: Wanted,
}

/// What is asked for beside what did not cancel, and the sums of the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    events: Vec<u64>,
    keys: Vec<u32>,
    repeated: Vec<u32>,
    total: Told,
}

/// What was picked out of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    rows: Vec<Record>,
    attempts: Vec<Record>,
}

/// A step that was stopped, or what it came to.
#[derive(Debug)]
pub enum Step<T> {
    /// The time was up: nothing of it may be used.
    Stopped(String),
    /// Everything was read.
    Done(T),
}

impl Picked {
    /// How many records were picked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Moves the places of a side's records where no other shard's are: each shard has read a source of its own.
    pub fn place_apart(&mut self, side: Side, shard: u32) {
        for row in self.rows.iter_mut().filter(|row| row.side == side) {
            row.position.byte += u64::from(shard) << 36;
        }
    }

    /// The attempts that are open, as marks.
    pub fn marks(&self) -> impl Iterator<Item = Attempt> + '_ {
        self.attempts.iter().filter_map(|record| {
            let stage = match record.status {
                Status::InDoubt => Stage::Begun,
                Status::Final | Status::Pending => Stage::Acknowledged { network_reference: record.event_ref.clone() },
            };
            Some(Attempt {
                key: record.merchant_ref.clone(),
                stage,
                region: Region::new(&record.batch).ok()?,
                amount_minor: record.amount_minor,
                currency: record.currency,
                at: record.at?,
            })
        })
    }
}

impl Part<'_> {
    fn marks(&self) -> Marks {
        let mut ours = self.attempts.clone();
        ours.retain(|attempt| self.slicing.shard_of(attempt) == self.shard);
        Marks::new(ours)
    }

    /// Reads every row of the shard. Whether it was read to the end, and what the files say about themselves.
    fn read(
        &self,
        pass: u8,
        progress: &mut dyn FnMut(Progress<'_>) -> Go,
        take: &mut dyn FnMut(usize, &Record) -> Result<(), RunError>,
    ) -> Result<Step<Vec<Finding>>, RunError> {
        let mut findings = Vec::new();
        let mut record = Record::blank(Side::Network);
        let (mut rows_done, mut before) = (0_u64, 0);
        let all: Option<u64> = self.sources.iter().map(|(_, source)| source.bytes()).sum();
        for (number, (side, source)) in self.sources.iter().enumerate() {
            let mut rows = source.open()?;
            record.position = Position { source: u16::try_from(number).unwrap_or(u16::MAX), byte: 0, line: 0 };
            loop {
                let bytes = all.map(|all| (before + record.position.byte, all));
                if rows_done.is_multiple_of(STEP)
                    && let Go::Stop(why) = progress(Progress { source: source.name(), rows_done, pass, bytes })
                {
                    return Ok(Step::Stopped(why));
                }
                if !rows.read(&mut record)? {
                    break;
                }
                rows_done += 1;
                record.side = *side;
                if self.slicing.shard_of(&record) == self.shard {
                    take(number, &record)?;
                }
            }
            findings.extend(rows.findings());
            before += source.bytes().unwrap_or(0);
        }
        Ok(Step::Done(findings))
    }

    /// The first look: adds the shard up. `bits` is the sketch's size as a power of two, the same for every shard.
    pub fn sums(&self, bits: u32, progress: &mut dyn FnMut(Progress<'_>) -> Go) -> Result<Step<Sums>, RunError> {
        let mut marks = self.marks();
        let mut sketch = Sketch::new(bits);
        let mut told = Told { rows: vec![0; self.sources.len()], ..Told::default() };
        let mut prints = Fingerprinter::default();
        let read = self.read(1, progress, &mut |number, record| {
            told.tally.add(record, self.scope);
            if let Some(rows) = told.rows.get_mut(number) {
                *rows += 1;
            }
            if !self.scope.covers(record.kind) {
                return Ok(());
            }
            let row = prints.row(record);
            match record.side {
                Side::Network => sketch.subtract(&row),
                Side::Ledger | Side::Attempts => {
                    marks.see(&row);
                    sketch.add(&row);
                }
            }
            Ok(())
        })?;
        let findings = match read {
            Step::Stopped(why) => return Ok(Step::Stopped(why)),
            Step::Done(findings) => findings,
        };
        // Every shard reads every file whole, and is told the same.
        told.findings = if self.shard == 0 { findings } else { Vec::new() };
        let unseen = marks.open(|_| false);
        let (events, _) = marks.hashes(&unseen);
        let keys = marks.attempts.iter().zip(&unseen).filter(|(_, unseen)| **unseen);
        told.unseen_events = events;
        told.unseen_keys = keys.map(|(attempt, _)| key_hash(&attempt.merchant_ref)).collect();
        told.attempts = marks.attempts.len() as u64;
        let mark = |attempt: &Record| {
            let row = prints.row(attempt);
            (row.event, key_hash(&attempt.merchant_ref))
        };
        told.marks = marks.attempts.iter().map(mark).collect();
        Ok(Step::Done(Sums { sketch, told }))
    }

    /// The second look: picks out what did not cancel in the whole, and what stands beside the attempts that are open.
    pub fn picked(
        &self,
        narrowed: &Narrowed,
        rows_max: usize,
        progress: &mut dyn FnMut(Progress<'_>) -> Go,
    ) -> Result<Step<Picked>, RunError> {
        let Narrowed { dirty, wanted } = narrowed;
        let events = Hashes::of(wanted.events.clone());
        let keys = Hashes::of(wanted.keys.iter().chain(&wanted.repeated).map(|key| u64::from(*key)).collect());
        let mut marks = self.marks();
        let mut prints = Fingerprinter::default();
        let mut picked = Picked::default();
        let read = self.read(2, progress, &mut |_, record| {
            if !self.scope.covers(record.kind) {
                return Ok(());
            }
            let row = prints.row(record);
            if record.side == Side::Ledger {
                marks.see(&row);
            }
            if dirty.has_event(&row) || dirty.has_key(&row) || events.has(row.event) || keys.has(row.key.into()) {
                if picked.rows.len() >= rows_max {
                    return Err(RunError::HardlyAnythingMatches { allowed: rows_max });
                }
                picked.rows.push(record.clone());
            }
            Ok(())
        })?;
        if let Step::Stopped(why) = read {
            return Ok(Step::Stopped(why));
        }
        let repeated = |attempt: &Record| wanted.repeated.binary_search(&key_hash(&attempt.merchant_ref)).is_ok();
        let open = marks.open(|row| dirty.has_event(row) || dirty.has_key(row));
        let chosen = marks.attempts.iter().zip(open).filter(|(attempt, open)| *open || repeated(attempt));
        picked.attempts = chosen.map(|(attempt, _)| attempt.clone()).collect();
        Ok(Step::Done(picked))
    }
}

impl Narrowed {
    /// Adds all shards up; `None` where there are none, or their sketches are not of one size.
    pub fn of(shards: impl IntoIterator<Item = Sums>) -> Option<Self> {
        let mut all: Option<Sketch> = None;
        let mut wanted = Wanted::default();
        let mut shards_of_key: BTreeMap<u32, u32> = BTreeMap::new();
        let mut marks: Vec<(u64, u32)> = Vec::new();
        for Sums { sketch, told } in shards {
            match &mut all {
                None => all = Some(sketch),
                Some(all) => {
                    if !all.merge(sketch) {
                        return None;
                    }
                }
            }
            let keys: BTreeSet<u32> = told.marks.iter().map(|(_, key)| *key).collect();
            for key in keys {
                *shards_of_key.entry(key).or_default() += 1;
            }
            marks.extend(&told.marks);
            wanted.events.extend(&told.unseen_events);
            wanted.keys.extend(&told.unseen_keys);
            wanted.total.add(&told);
        }
        wanted.repeated = shards_of_key.into_iter().filter(|(_, shards)| *shards > 1).map(|(key, _)| key).collect();
        let dirty = all?.finish();
        for (event, key) in marks {
            let mut row = Row::default();
            (row.event, row.key) = (event, key);
            let is_repeated = wanted.repeated.binary_search(&key).is_ok();
            if is_repeated || (event != 0 && dirty.has_event(&row)) || dirty.has_key(&row) {
                wanted.events.push(event);
                wanted.keys.push(key);
            }
        }
        wanted.events.retain(|event| *event != 0);
        Some(Self { dirty, wanted })
    }
}

impl Told {
    fn add(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.rows.resize(self.rows.len().max(other.rows.len()), 0);
        self.rows.iter_mut().zip(&other.rows).for_each(|(sum, rows)| *sum += rows);
        self.findings.extend(other.findings.iter().cloned());
        self.attempts += other.attempts;
    }
}

/// What all shards come to: what the run over everything comes to, but for the digests of sources.
///
/// `sources` are those of the run, in its order; `others` are rows of the ledger that no shard has read, such as bookings of
/// other days.
pub fn merged(
    policy: &Policy,
    limits: &Limits,
    sources: &[(Side, &str)],
    narrowed: &Narrowed,
    picked: &[Picked],
    others: Vec<Box<dyn Source + '_>>,
) -> Result<Report, RunError> {
    let total = &narrowed.wanted.total;
    let mut run = Reconciliation::new(policy.clone()).limits(limits.clone());
    let mut network_rows = 0_u64;
    for (number, (side, name)) in sources.iter().enumerate() {
        let of_source = |row: &&Record| usize::from(row.position.source) == number;
        let mut rows: Vec<Record> = picked.iter().flat_map(|it| &it.rows).filter(of_source).cloned().collect();
        rows.sort_by_key(|row| row.position);
        if *side == Side::Network {
            network_rows += rows.len() as u64;
        }
        let source =
            Streamed::new(name, move || Ok(Box::new(Again { rows: rows.clone().into_iter() }) as Box<dyn Rows>));
        run = if *side == Side::Network { run.network(source) } else { run.ledger(source) };
    }
    let mut tally = total.tally.clone();
    for source in others {
        let (mut rows, mut record) = (source.open()?, Record::blank(Side::Ledger));
        while rows.read(&mut record)? {
            record.side = Side::Ledger;
            tally.add(&record, policy.scope);
        }
        drop(rows);
        run = run.ledger(Boxed(source));
    }
    let attempts: Vec<Record> = picked.iter().flat_map(|it| &it.attempts).cloned().collect();
    let clean_attempts = total.attempts.saturating_sub(attempts.len() as u64);
    let attempts = settled_by_others(attempts);
    let clean_pairs = total.tally.network_rows().saturating_sub(network_rows);
    let of_shards = OfShards { dirty: &narrowed.dirty, sources: sources.len(), clean_pairs, clean_attempts };
    let mut report = run.folded_attempts(attempts).of_shards(of_shards).run(&mut |_| Go::On)?;
    if let Report::Complete(settlement) = &mut report {
        let tally = tally.without(&settlement.set_aside);
        settlement.conservation = conserve(&tally, &settlement.breaks, true);
        settlement.findings.clone_from(&total.findings);
        let named = sources.iter().zip(&total.rows);
        let mut summaries: Vec<SourceSummary> = named
            .map(|((side, name), rows)| SourceSummary { name: (*name).to_owned(), side: *side, rows: *rows, digest: 0 })
            .collect();
        summaries.extend(settlement.sources.drain(..).skip(sources.len()));
        settlement.sources = summaries;
    }
    Ok(report)
}

/// An attempt that was begun on one date and acknowledged on the next is two records of two shards, and one attempt.
fn settled_by_others(mut attempts: Vec<Record>) -> Vec<Record> {
    let acknowledged: BTreeSet<String> = attempts
        .iter()
        .filter(|attempt| attempt.status != Status::InDoubt)
        .map(|attempt| attempt.merchant_ref.clone())
        .collect();
    attempts.retain(|it| it.status != Status::InDoubt || !acknowledged.contains(&it.merchant_ref));
    attempts.sort_by(|a, b| (&a.merchant_ref, &a.event_ref, a.at).cmp(&(&b.merchant_ref, &b.event_ref, b.at)));
    attempts
        .dedup_by(|later, first| (&later.merchant_ref, &later.event_ref) == (&first.merchant_ref, &first.event_ref));
    attempts
}

struct Boxed<'a>(Box<dyn Source + 'a>);

impl Source for Boxed<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn bytes(&self) -> Option<u64> {
        self.0.bytes()
    }
    fn open(&self) -> Result<Box<dyn Rows + '_>, FormatError> {
        self.0.open()
    }
    fn fetch(&self, places: &[Position], take: &mut dyn FnMut(&Record)) -> Result<(), FormatError> {
        self.0.fetch(places, take)
    }
}

/// Records in the places that they were picked from.
struct Again {
    rows: std::vec::IntoIter<Record>,
}

impl Rows for Again {
    fn read(&mut self, into: &mut Record) -> Result<bool, FormatError> {
        let Some(row) = self.rows.next() else { return Ok(false) };
        let source = into.position.source;
        *into = row;
        into.position.source = source;
        Ok(true)
    }
}
