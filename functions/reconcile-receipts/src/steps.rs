//! The steps of a run in each of its ranges: compare, copy, delete; and the lines between them.

use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt as _, iter};
use holdfast_domain::receipts::{PlanLine, Side, Verdict, Ways, replicated_from};

use crate::apply::{Hands, Outcome};
use crate::inventory::{Chosen, ListComparison, open};
use crate::merge::Comparison;
use crate::run::{Run, RunError};
use crate::shards::Range;
use crate::store::{RunRecord, ShardRecord};

/// Ranges that are compared at once: memory is two pages for each.
const RANGES_AT_ONCE: usize = 8;
/// Actions of one range that are under way at once; the buckets' gates bound them all together.
const ACTIONS_AT_ONCE: usize = 32;
/// Pages between two checkpoints of a range: a kill costs a second of listing, and lines wait in memory no longer.
const PAGES_PER_CHECKPOINT: u64 = 16;
/// Keys of inventories between two checkpoints: a second's worth, or so.
const KEYS_PER_CHECKPOINT: u64 = 100_000;
/// Lines are written down in pieces of this size.
const CHUNK_BYTES: usize = 256 << 10;

impl Run<'_> {
    /// Takes one step in every range. A range that fails leaves the others to their next checkpoint.
    pub(crate) async fn every(&self, run: &RunRecord, shards: &mut [ShardRecord], step: Step) -> Result<(), RunError> {
        let work = shards.iter_mut().zip(&run.ranges).enumerate().map(|(number, (shard, range))| async move {
            match step {
                Step::Plan => self.plan(run, number, range, shard).await,
                Step::Copy | Step::Delete => self.carry_out(run, number, shard, step).await,
            }
        });
        let work: Vec<_> = work.collect();
        let ended: Vec<Result<(), RunError>> = iter(work).buffer_unordered(RANGES_AT_ONCE).collect().await;
        ended.into_iter().collect()
    }

    /// Compares a range and writes down what is not in sync.
    async fn plan(
        &self,
        run: &RunRecord,
        number: usize,
        range: &Range,
        shard: &mut ShardRecord,
    ) -> Result<(), RunError> {
        if shard.planned || self.time_is_up() {
            return Ok(());
        }
        if let Some(chosen) = &run.inventory {
            return self.plan_from_lists(run, chosen, number, shard).await;
        }
        let rest = Range { after: shard.after.clone().or_else(|| range.after.clone()), upto: range.upto.clone() };
        let mut comparison = Comparison::new(&self.pair, self.policy(), run.began, &rest);
        while !shard.planned && !self.time_is_up() {
            let mut chunks = Chunks::default();
            let progress = comparison.advance(PAGES_PER_CHECKPOINT, &mut |line| chunks.add(&line)).await?;
            for lines in chunks.finish() {
                self.store().save_lines(&run.run, number, shard.chunks, lines).await?;
                shard.chunks = shard.chunks.saturating_add(1);
            }
            let keys = progress.tally.all();
            shard.tally.merge(&progress.tally);
            shard.pages = shard.pages.saturating_add(progress.pages);
            shard.planned = progress.finished;
            shard.after = progress.after.or_else(|| shard.after.take());
            self.store().save_shard(&run.run, number, shard).await?;
            let all = self.keys().fetch_add(keys, Ordering::Relaxed).saturating_add(keys);
            if all > self.policy().keys_max {
                return Err(RunError::TooMany { keys_max: self.policy().keys_max });
            }
        }
        Ok(())
    }

    /// The same from inventories, which have one range.
    async fn plan_from_lists(
        &self,
        run: &RunRecord,
        chosen: &Chosen,
        number: usize,
        shard: &mut ShardRecord,
    ) -> Result<(), RunError> {
        let [used_dublin, used_london] = &shard.used_up;
        let (in_dublin, in_london) = (self.client(Side::Dublin), self.client(Side::London));
        let (dublin, london) = futures_util::future::join(
            open(&self.pair.dublin, in_dublin, &chosen.dublin, used_dublin),
            open(&self.pair.london, in_london, &chosen.london, used_london),
        )
        .await;
        let as_of = chosen.lists.as_of();
        let after = shard.after.clone();
        let mut comparison = ListComparison::new(&self.pair, self.policy(), as_of, (dublin?, london?), after);
        while !shard.planned && !self.time_is_up() {
            let mut chunks = Chunks::default();
            let advanced = comparison.advance(KEYS_PER_CHECKPOINT, &mut |line| chunks.add(&line)).await?;
            for lines in chunks.finish() {
                self.store().save_lines(&run.run, number, shard.chunks, lines).await?;
                shard.chunks = shard.chunks.saturating_add(1);
            }
            shard.tally.merge(&advanced.tally);
            shard.planned = advanced.finished;
            shard.after = advanced.after;
            shard.used_up = comparison.used_up();
            self.store().save_shard(&run.run, number, shard).await?;
        }
        Ok(())
    }

    /// Carries the copies or the deletes of a range out, piece by piece.
    async fn carry_out(
        &self,
        run: &RunRecord,
        number: usize,
        shard: &mut ShardRecord,
        step: Step,
    ) -> Result<(), RunError> {
        let hands = self.hands();
        loop {
            let chunk = if step == Step::Copy { shard.copied } else { shard.deleted };
            if chunk >= shard.chunks || self.time_is_up() {
                return Ok(());
            }
            let lines = self.store().lines(&run.run, number, chunk).await?;
            let lines: Vec<PlanLine> = lines.into_iter().filter(|line| step.takes(&line.verdict, run.ways)).collect();
            let idle = lines.is_empty();
            let hands = &hands;
            let actions = iter(lines).map(move |line| act(hands, line));
            let outcomes: Vec<Outcome> = actions.buffer_unordered(ACTIONS_AT_ONCE).collect().await;
            for outcome in outcomes {
                match outcome {
                    Outcome::Done => shard.done = shard.done.saturating_add(1),
                    Outcome::MovedOn => shard.moved_on = shard.moved_on.saturating_add(1),
                    Outcome::Refused(code) => {
                        let number = shard.refused.entry(code).or_default();
                        *number = number.saturating_add(1);
                    }
                }
            }
            match step {
                Step::Copy => shard.copied = chunk.saturating_add(1),
                Step::Plan | Step::Delete => shard.deleted = chunk.saturating_add(1),
            }
            // A piece without actions costs nothing to look at again.
            if !idle {
                self.store().save_shard(&run.run, number, shard).await?;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Plan,
    Copy,
    Delete,
}

impl Step {
    /// What S3 Batch Replication is given is not copied here, too.
    fn takes(self, verdict: &Verdict, ways: Ways) -> bool {
        match verdict {
            Verdict::CopyToDublin(_) | Verdict::CopyToLondon(_) => {
                self == Self::Copy && replicated_from(verdict, ways).is_none()
            }
            Verdict::DeletePropagates(_) => self == Self::Delete,
            Verdict::InSync
            | Verdict::Pending { .. }
            | Verdict::Conflict { .. }
            | Verdict::Uncheckable { .. }
            | Verdict::Erased { .. }
            | Verdict::Failed { .. } => false,
        }
    }
}

/// One action. Boxed, because a range's whole work is too deep a future for the compiler to lay out in one.
fn act<'a>(hands: &'a Hands<'_>, line: PlanLine) -> BoxFuture<'a, Outcome> {
    Box::pin(carry_out_one(hands, line))
}

async fn carry_out_one(hands: &Hands<'_>, line: PlanLine) -> Outcome {
    let outcome = match &line.verdict {
        Verdict::CopyToDublin(copy) => hands.copy(Side::Dublin, &line.key, copy).await,
        Verdict::CopyToLondon(copy) => hands.copy(Side::London, &line.key, copy).await,
        Verdict::DeletePropagates(delete) => hands.delete(&line.key, delete).await,
        Verdict::InSync
        | Verdict::Pending { .. }
        | Verdict::Conflict { .. }
        | Verdict::Uncheckable { .. }
        | Verdict::Erased { .. }
        | Verdict::Failed { .. } => Outcome::MovedOn,
    };
    if let Outcome::Refused(code) = &outcome {
        tracing::warn!(key = line.key, code, "{}", line.verdict);
    }
    outcome
}

/// Lines in pieces.
#[derive(Default)]
struct Chunks {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Chunks {
    fn add(&mut self, line: &PlanLine) {
        // A line is made of strings and numbers: it can always be written.
        if let Ok(mut json) = serde_json::to_vec(line) {
            self.last.append(&mut json);
            self.last.push(b'\n');
        }
        if self.last.len() >= CHUNK_BYTES {
            self.full.push(std::mem::take(&mut self.last));
        }
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.last.is_empty() {
            self.full.push(self.last);
        }
        self.full
    }
}
