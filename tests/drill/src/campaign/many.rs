//! Many seeds at once, over the cores of the machine.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::bugs::Bug;
use super::plan::Plan;
use super::{Run, run};

/// Runs every seed of the range and hands each run over as it ends, in no order. Stops early when `keep` says no.
///
/// Each run has a runtime, a world and a thread's generator of its own, so that it is the same wherever it runs.
pub fn run_all(
    seeds: Range<u64>,
    threads: usize,
    bug: Option<&Bug>,
    keep: impl FnMut(Run) -> bool + Send,
) -> std::io::Result<()> {
    let next = AtomicU64::new(seeds.start);
    let keep = Mutex::new(keep);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match run(&Plan::draw(seed), bug, |_| {}) {
                        Ok(done) => {
                            if !keep.lock().unwrap_or_else(PoisonError::into_inner)(done) {
                                next.store(seeds.end, Ordering::Relaxed);
                            }
                        }
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
