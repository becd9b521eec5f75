//! Reads the sources, lets what is the same on both sides go, and fetches the rest.

use std::collections::BTreeSet;

use super::{All, Go, Method, OfShards, Progress, Reconciliation, RunError, resume};
use crate::engine::marks::{Hashes, Marks};
use crate::engine::row::{Fingerprinter, Row};
use crate::engine::runs::Runs;
use crate::engine::sketch::{Dirty, Sketch};
use crate::format::Finding;
use crate::matching::Open;
use crate::record::{Position, Record, Side};
use crate::report::{Resume, SourceSummary, Tally};

/// Rows between two questions whether to go on.
const STEP: u64 = 1 << 16;

/// What reading came to.
pub(super) enum Gathered {
    /// It was stopped.
    Stopped { why: String, resume: Resume },
    /// Everything.
    All(All),
}

/// What stops a reading: somebody, or an error.
enum Halt {
    Stopped { why: String, resume: Resume },
    Error(RunError),
}

impl<E: Into<RunError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Gathers what must be matched slowly.
pub(super) fn gather(
    run: &Reconciliation<'_>,
    marks: Marks,
    progress: &mut dyn FnMut(Progress<'_>) -> Go,
) -> Result<Gathered, RunError> {
    let mut reader = Reader {
        run,
        marks,
        progress,
        rows_done: 0,
        pass: 0,
        tally: Tally::default(),
        sources: Vec::new(),
        findings: Vec::new(),
    };
    match reader.all() {
        Ok(all) => Ok(Gathered::All(all)),
        Err(Halt::Stopped { why, resume }) => Ok(Gathered::Stopped { why, resume }),
        Err(Halt::Error(error)) => Err(error),
    }
}

struct Reader<'r, 'a, 'p> {
    run: &'r Reconciliation<'a>,
    marks: Marks,
    progress: &'p mut dyn FnMut(Progress<'_>) -> Go,
    rows_done: u64,
    pass: u8,
    tally: Tally,
    sources: Vec<SourceSummary>,
    findings: Vec<Finding>,
}

/// Rows that have no exact partner, and those that stand beside them.
struct Chosen {
    residue: Vec<Row>,
    matched: Vec<Row>,
    attempts: Vec<bool>,
}

impl Reader<'_, '_, '_> {
    fn all(&mut self) -> Result<All, Halt> {
        if let Some(OfShards { dirty, sources, .. }) = self.run.narrowed {
            let chosen = self.narrowed(dirty, sources)?;
            return self.resolve(chosen);
        }
        let chosen = match (self.run.policy.network_complete_until, self.run.method) {
            (None, _) => self.ledger_only()?,
            (Some(_), Method::Sort) => self.sorted()?,
            (Some(_), Method::Sketch { bucket_bits, dirty_percent_max }) => {
                match self.sketched(bucket_bits, dirty_percent_max)? {
                    Some(chosen) => chosen,
                    None => self.sorted()?,
                }
            }
        };
        self.resolve(chosen)
    }

    /// Reads every source once. The first pass counts and looks at the marks; later ones only look at rows.
    fn pass(&mut self, sides: &[Side], mut take: impl FnMut(&Row, Side) -> Result<(), RunError>) -> Result<(), Halt> {
        self.pass += 1;
        let mut prints = Fingerprinter::default();
        let mut record = Record::blank(Side::Network);
        let ours = |side: &Side| sides.contains(side);
        let all: Option<u64> = self.run.sources.iter().filter(|(side, _)| ours(side)).map(|(_, it)| it.bytes()).sum();
        let mut before = 0;
        for (number, (side, source)) in self.run.sources.iter().enumerate().filter(|(_, (side, _))| ours(side)) {
            let name = source.name();
            let mut rows = source.open()?;
            if self.pass > 1 {
                rows.facts_only();
            }
            let (mut count, mut digest) = (0_u64, 0_u128);
            record.position = Position { source: u16::try_from(number).unwrap_or(u16::MAX), byte: 0, line: 0 };
            loop {
                let bytes = all.map(|all| (before + record.position.byte, all));
                if count % STEP == 0
                    && let Go::Stop(why) =
                        (self.progress)(Progress { source: name, rows_done: self.rows_done, pass: self.pass, bytes })
                {
                    return Err(Halt::Stopped { why, resume: resume(name, record.position, self.rows_done) });
                }
                if !rows.read(&mut record)? {
                    break;
                }
                count += 1;
                self.rows_done += 1;
                record.side = *side;
                if self.pass == 1 {
                    self.tally.add(&record, self.run.policy.scope);
                }
                if !self.run.policy.scope.covers(record.kind) {
                    continue;
                }
                let row = prints.row(&record);
                if self.pass == 1 {
                    digest = mix(digest, &row);
                    if *side == Side::Ledger {
                        self.marks.see(&row);
                    }
                }
                take(&row, *side)?;
            }
            before += source.bytes().unwrap_or(0);
            if self.pass == 1 {
                self.close(name, *side, count, digest, rows.findings())?;
            }
        }
        Ok(())
    }

    /// Keeps what a source says about itself, and refuses one that was there before.
    fn close(
        &mut self,
        name: &str,
        side: Side,
        rows: u64,
        digest: u128,
        findings: Vec<Finding>,
    ) -> Result<(), RunError> {
        if side == Side::Network && rows > 0 {
            if let Some(first) =
                self.sources.iter().find(|of| of.side == side && (of.rows, of.digest) == (rows, digest))
            {
                return Err(RunError::SameFileTwice { first: first.name.clone(), second: name.to_owned(), rows });
            }
            if let Some((_, earlier)) = self.run.settled_before.iter().find(|(before, _)| *before == digest) {
                return Err(RunError::SettledBefore { name: name.to_owned(), earlier: earlier.clone() });
            }
        }
        self.findings.extend(findings);
        self.sources.push(SourceSummary { name: name.to_owned(), side, rows, digest });
        Ok(())
    }

    /// Without a network's file, only what the attempts ask about is looked at.
    fn ledger_only(&mut self) -> Result<Chosen, Halt> {
        let everyone = vec![true; self.marks.attempts.len()];
        let (events, keys) = self.marks.hashes(&everyone);
        let (events, keys) = (Hashes::of(events), Hashes::of(keys));
        let mut matched = Vec::new();
        self.pass(&[Side::Ledger], |row, _| {
            if events.has(row.event) || keys.has(row.key.into()) {
                matched.push(*row);
            }
            Ok(())
        })?;
        Ok(Chosen { residue: Vec::new(), matched, attempts: self.marks.open(|_| false) })
    }

    fn sorted(&mut self) -> Result<Chosen, Halt> {
        let limits = &self.run.limits;
        let mut runs = Runs::new(limits.memory_bytes, limits.spill_directory.as_deref());
        self.pass(&[Side::Ledger, Side::Network], |row, _| runs.push(*row).map_err(RunError::Spill))?;
        let mut groups = Groups::new(self.run, limits.residue_rows_max);
        runs.for_each_sorted(|row| groups.push(row, true)).map_err(RunError::Spill)?;
        let residue = groups.finish()?;
        let beside = self.beside(&residue);
        let mut matched = Vec::new();
        runs.for_each(|row| {
            if beside.wants(row) {
                matched.push(*row);
            }
        })
        .map_err(RunError::Spill)?;
        Ok(Chosen { residue, matched, attempts: beside.attempts })
    }

    /// `None` where the sides differ too much for a sketch.
    fn sketched(&mut self, bits: u32, dirty_percent_max: u64) -> Result<Option<Chosen>, Halt> {
        let mut sketch = Sketch::new(bits);
        self.pass(&[Side::Ledger, Side::Network], |row, side| {
            match side {
                Side::Network => sketch.subtract(row),
                Side::Ledger | Side::Attempts => sketch.add(row),
            }
            Ok(())
        })?;
        let dirty = sketch.finish();
        if dirty.percent() > dirty_percent_max {
            return Ok(None);
        }
        let open = self.marks.open(|row| dirty.has_event(row) || dirty.has_key(row));
        let (events, keys) = self.marks.hashes(&open);
        let (events, keys) = (Hashes::of(events), Hashes::of(keys));
        let rows_max = self.run.limits.memory_bytes / super::super::engine::row::ROW_BYTES;
        let mut kept: Vec<Row> = Vec::new();
        let mut too_many = false;
        self.pass(&[Side::Ledger, Side::Network], |row, _| {
            let asked = events.has(row.event) || keys.has(row.key.into());
            if asked || dirty.has_event(row) || dirty.has_key(row) {
                too_many |= kept.len() >= rows_max;
                if !too_many {
                    kept.push(*row);
                }
            }
            Ok(())
        })?;
        if too_many {
            return Ok(None);
        }
        kept.sort_unstable_by_key(Row::print);
        let mut groups = Groups::new(self.run, self.run.limits.residue_rows_max);
        kept.iter().for_each(|row| groups.push(row, dirty.has_event(row)));
        let residue = groups.finish()?;
        let beside = self.beside(&residue);
        kept.retain(|row| beside.wants(row));
        Ok(Some(Chosen { residue, matched: kept, attempts: beside.attempts }))
    }

    /// What shards have picked out: a reference whose bucket cancelled may have partners that were not picked.
    fn narrowed(&mut self, dirty: &Dirty, sources: usize) -> Result<Chosen, Halt> {
        let mut kept: Vec<Row> = Vec::new();
        self.pass(&[Side::Ledger, Side::Network], |row, _| {
            kept.push(*row);
            Ok(())
        })?;
        kept.sort_unstable_by_key(Row::print);
        let mut groups = Groups::new(self.run, self.run.limits.residue_rows_max);
        let is_whole = |row: &Row| dirty.has_event(row) || usize::from(row.source()) >= sources;
        kept.iter().for_each(|row| groups.push(row, is_whole(row)));
        let residue = groups.finish()?;
        let beside = self.beside(&residue);
        kept.retain(|row| beside.wants(row));
        Ok(Chosen { residue, matched: kept, attempts: beside.attempts })
    }

    /// What stands beside the residue and the attempts that are open.
    fn beside(&self, residue: &[Row]) -> Beside {
        let mut keys = self.unbalanced_keys(residue);
        let dirty = Hashes::of(residue.iter().filter(|row| !row.is_nameless()).map(|row| row.event).collect());
        let of_residue = Hashes::of(keys.clone());
        let attempts = self.marks.open(|row| dirty.has(row.event) || of_residue.has(row.key.into()));
        let (events, of_attempts) = self.marks.hashes(&attempts);
        keys.extend(of_attempts);
        Beside { events: Hashes::of(events), keys: Hashes::of(keys), dirty, attempts }
    }

    /// Keys of rows that nothing on the other side equals. The others of the residue are there for their reference only: a key
    /// that balances is not asked about, and a sketch does not see it.
    fn unbalanced_keys(&self, residue: &[Row]) -> Vec<u64> {
        let whole = |row: &Row| (row.key, row.event, row.facts);
        let mut rows: Vec<&Row> = residue.iter().filter(|row| row.key != 0).collect();
        rows.sort_unstable_by_key(|row| whole(row));
        let sign = |row: &&Row| if self.side_of(row) == Side::Network { -1_i64 } else { 1 };
        let odd = |same: &&[&Row]| same[0].is_nameless() || same.iter().map(sign).sum::<i64>() != 0;
        rows.chunk_by(|a, b| whole(a) == whole(b)).filter(odd).map(|same| same[0].key.into()).collect()
    }

    /// Fetches the records of the rows that were chosen, and the attempts that belong to them.
    fn resolve(&mut self, chosen: Chosen) -> Result<All, Halt> {
        let is_network = |row: &&Row| self.side_of(row) == Side::Network;
        let in_residue = chosen.residue.iter().filter(is_network).count() as u64;
        let residue = self.fetch(&chosen.residue)?;
        let mut matched = self.fetch(&chosen.matched)?;
        let keys: BTreeSet<&str> = residue.iter().map(|row| row.merchant_ref.as_str()).collect();
        let chosen_attempts = self.marks.attempts.iter().zip(&chosen.attempts).filter(|(_, chosen)| **chosen);
        let attempts: Vec<Record> = chosen_attempts.map(|(attempt, _)| attempt.clone()).collect();
        let clean_attempts = (self.marks.attempts.len() - attempts.len()) as u64;
        // A hash may be another text's: only what really stands beside is kept.
        let of_attempts = |of: fn(&Record) -> &str| -> BTreeSet<&str> { attempts.iter().map(of).collect() };
        let (asked_events, asked_keys) = (of_attempts(|row| &row.event_ref), of_attempts(|row| &row.merchant_ref));
        matched.retain(|row| {
            let (event, key) = (row.event_ref.as_str(), row.merchant_ref.as_str());
            let asked = !event.is_empty() && asked_events.contains(event);
            asked || (!key.is_empty() && (keys.contains(key) || asked_keys.contains(key)))
        });
        let network_rows = self.covered_network_rows();
        Ok(All {
            open: Open { residue, matched, attempts },
            tally: std::mem::take(&mut self.tally),
            sources: std::mem::take(&mut self.sources),
            findings: std::mem::take(&mut self.findings),
            clean_pairs: network_rows.saturating_sub(in_residue),
            clean_attempts,
        })
    }

    fn covered_network_rows(&self) -> u64 {
        self.tally.network_rows()
    }

    fn side_of(&self, row: &Row) -> Side {
        self.run.sources.get(usize::from(row.source())).map_or(Side::Network, |(side, _)| *side)
    }

    fn fetch(&self, rows: &[Row]) -> Result<Vec<Record>, RunError> {
        let mut places: Vec<Position> = rows.iter().map(Row::position).collect();
        places.sort_unstable();
        let mut found = Vec::with_capacity(places.len());
        for of_source in places.chunk_by(|a, b| a.source == b.source) {
            let number = of_source.first().map_or(0, |place| place.source);
            let Some((side, source)) = self.run.sources.get(usize::from(number)) else { continue };
            source.fetch(of_source, &mut |record| {
                let mut record = record.clone();
                record.side = *side;
                record.position.source = number;
                found.push(record);
            })?;
        }
        Ok(found)
    }
}

/// Rows of one reference after the other, and which of them do not balance.
struct Groups<'a> {
    run: &'a Reconciliation<'a>,
    rows_max: usize,
    group: Vec<Row>,
    whole: bool,
    residue: Vec<Row>,
}

impl<'a> Groups<'a> {
    fn new(run: &'a Reconciliation<'a>, rows_max: usize) -> Self {
        Self { run, rows_max, group: Vec::new(), whole: true, residue: Vec::new() }
    }

    /// Takes the next row in order. `whole` says whether all rows of its reference come.
    #[inline]
    fn push(&mut self, row: &Row, whole: bool) {
        if self.group.first().is_some_and(|first| first.event != row.event || row.is_nameless() || first.is_nameless())
        {
            self.close();
        }
        self.group.push(*row);
        self.whole = whole;
    }

    fn close(&mut self) {
        if self.whole && !self.balances() && self.residue.len() <= self.rows_max {
            self.residue.extend_from_slice(&self.group);
        }
        self.group.clear();
    }

    /// Whether both sides have every fact of the reference equally often.
    fn balances(&self) -> bool {
        let sign = |row: &Row| match self.run.sources.get(usize::from(row.source())) {
            Some((Side::Network, _)) => -1_i64,
            Some((Side::Ledger | Side::Attempts, _)) | None => 1,
        };
        if let [one, other] = self.group.as_slice() {
            return one.facts == other.facts && sign(one) + sign(other) == 0;
        }
        let same = |facts: &[Row]| facts.iter().map(sign).sum::<i64>() == 0;
        self.group.chunk_by(|a, b| a.facts == b.facts).all(same)
    }

    fn finish(mut self) -> Result<Vec<Row>, RunError> {
        self.close();
        if self.residue.len() > self.rows_max {
            return Err(RunError::HardlyAnythingMatches { allowed: self.rows_max });
        }
        Ok(self.residue)
    }
}

/// What makes a row with an exact partner worth looking at.
struct Beside {
    events: Hashes,
    keys: Hashes,
    dirty: Hashes,
    attempts: Vec<bool>,
}

impl Beside {
    #[inline]
    fn wants(&self, row: &Row) -> bool {
        let asked = self.keys.has(row.key.into()) || self.events.has(row.event);
        asked && !row.is_nameless() && !self.dirty.has(row.event)
    }
}

/// Adds a row to a source's digest: the same records in the same order, and nothing else, have the same.
#[inline]
fn mix(digest: u128, row: &Row) -> u128 {
    let row = (u128::from(row.event) << 64 | u128::from(row.facts)) ^ u128::from(row.key);
    (digest.rotate_left(5) ^ row).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}
