//! Sorted runs: rows are gathered in memory up to a limit, sorted, spilled where they do not fit, and merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::row::{ROW_BYTES, Row};

/// Rows of the smallest buffer: less would spill for every page of a file.
const ROWS_MIN: usize = 1024;

/// Rows that are gathered to be read in order. Its files are removed with it.
pub(crate) struct Runs {
    rows: Vec<Row>,
    rows_max: usize,
    directory: Option<PathBuf>,
    spilled: Vec<PathBuf>,
    sorted: bool,
}

impl Runs {
    /// Holds as many rows as fit `memory_bytes`; more go to `directory`, and are an error where there is none.
    ///
    /// The memory is reserved at once and touched only as rows come.
    pub(crate) fn new(memory_bytes: usize, directory: Option<&Path>) -> Self {
        let rows_max = (memory_bytes / ROW_BYTES).max(ROWS_MIN);
        let directory = directory.map(Path::to_path_buf);
        Self { rows: Vec::with_capacity(rows_max), rows_max, directory, spilled: Vec::new(), sorted: false }
    }

    /// Adds a row.
    #[inline]
    pub(crate) fn push(&mut self, row: Row) -> io::Result<()> {
        if self.rows.len() == self.rows_max {
            self.spill()?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// How many runs were written.
    #[cfg(test)]
    pub(crate) fn spilled(&self) -> usize {
        self.spilled.len()
    }

    fn spill(&mut self) -> io::Result<()> {
        let Some(directory) = &self.directory else {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the rows do not fit the memory allowed and there is no directory to spill to; give one, or more memory",
            ));
        };
        sort(&mut self.rows);
        let (path, file) = new_file(directory)?;
        self.spilled.push(path);
        let mut to = BufWriter::with_capacity(1 << 18, file);
        for row in self.rows.drain(..) {
            to.write_all(&row.to_bytes())?;
        }
        to.flush()
    }

    /// Every row in order.
    pub(crate) fn for_each_sorted(&mut self, mut take: impl FnMut(&Row)) -> io::Result<()> {
        if self.spilled.is_empty() {
            if !self.sorted {
                sort(&mut self.rows);
                self.sorted = true;
            }
            self.rows.iter().for_each(take);
            return Ok(());
        }
        if !self.rows.is_empty() {
            self.spill()?;
            self.rows = Vec::new();
        }
        let mut readers = self.readers()?;
        let mut heads = BinaryHeap::new();
        for (place, reader) in readers.iter_mut().enumerate() {
            if let Some(row) = next(reader)? {
                heads.push(Reverse((row.event, row.facts, place, row.to_bytes())));
            }
        }
        while let Some(Reverse((_, _, place, bytes))) = heads.pop() {
            take(&Row::from_bytes(&bytes));
            if let Some(row) = readers.get_mut(place).map_or(Ok(None), next)? {
                heads.push(Reverse((row.event, row.facts, place, row.to_bytes())));
            }
        }
        Ok(())
    }

    /// Every row in any order.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&Row)) -> io::Result<()> {
        for reader in &mut self.readers()? {
            while let Some(row) = next(reader)? {
                take(&row);
            }
        }
        self.rows.iter().for_each(take);
        Ok(())
    }

    fn readers(&self) -> io::Result<Vec<BufReader<File>>> {
        self.spilled.iter().map(|path| Ok(BufReader::with_capacity(1 << 16, File::open(path)?))).collect()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        for path in &self.spilled {
            // Nobody is left to be told; the directory is the caller's, and temporary.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Names tried before a directory is given up: files of a run that was killed are never taken over, and must not be in the way.
const NAMES_MAX: u64 = 100_000;

/// A file of our own, whoever else spills to the same directory.
fn new_file(directory: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..NAMES_MAX {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("run-{}-{number}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "the spill directory is full of old runs; empty it"))
}

fn next(reader: &mut BufReader<File>) -> io::Result<Option<Row>> {
    let mut bytes = [0; ROW_BYTES];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(Row::from_bytes(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parts that rows are dealt into first, as a power of two: as many places as a processor keeps the addresses of.
const PARTS_BITS: u32 = 8;

/// Parts that each of those is dealt into, as a power of two, at most: it lies in the processor's cache by then.
const PARTS_WITHIN_BITS: u32 = 11;

/// Fewer rows than this are sorted at once.
const DEAL_MIN: usize = 1 << 16;

/// Rows of the parts that are sorted by comparing them.
const PART_ROWS: usize = 16;

/// Sorts in place: hashes are spread evenly, so that their upper bits deal the rows into parts of one size, twice.
fn sort(rows: &mut [Row]) {
    if rows.len() < DEAL_MIN {
        rows.sort_unstable_by_key(Row::print);
        return;
    }
    let (mut parts, mut within) = (Parts::default(), Parts::default());
    parts.deal(rows, 0, PARTS_BITS);
    parts.each(rows, |part| {
        let bits = (part.len() / PART_ROWS).checked_ilog2().unwrap_or(0).min(PARTS_WITHIN_BITS);
        within.deal(part, PARTS_BITS, bits);
        within.each(part, |few| few.sort_unstable_by_key(Row::print));
    });
}

/// Where the parts of rows end that were dealt.
#[derive(Default)]
struct Parts {
    ends: Vec<usize>,
    next: Vec<usize>,
}

impl Parts {
    /// Deals rows into 2^`bits` parts, by those bits of their reference's hash that come after the first `above`.
    fn deal(&mut self, rows: &mut [Row], above: u32, bits: u32) {
        let count = 1_usize << bits;
        let part = |row: &Row| (row.event << above).checked_shr(u64::BITS - bits).unwrap_or(0) as usize;
        let Self { ends, next } = self;
        ends.clear();
        ends.resize(count, 0);
        rows.iter().for_each(|row| ends[part(row)] += 1);
        next.clear();
        let mut sum = 0;
        for end in ends.iter_mut() {
            next.push(sum);
            sum += *end;
            *end = sum;
        }
        for own in 0..count {
            while next[own] < ends[own] {
                let place = next[own];
                // Rows go home one after the other until one belongs here.
                let mut row = rows[place];
                let mut home = part(&row);
                while home != own {
                    std::mem::swap(&mut row, &mut rows[next[home]]);
                    next[home] += 1;
                    home = part(&row);
                }
                rows[place] = row;
                next[own] += 1;
            }
        }
    }

    fn each(&self, rows: &mut [Row], mut take: impl FnMut(&mut [Row])) {
        let mut begin = 0;
        for end in &self.ends {
            take(&mut rows[begin..*end]);
            begin = *end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::row::Fingerprinter;
    use crate::record::{Record, Side};

    fn rows(count: u64) -> Vec<Row> {
        let mut prints = Fingerprinter::default();
        let one = |n: u64| {
            let mut record = Record::blank(Side::Ledger);
            record.event_ref = format!("event-{}", n % 700);
            record.position.byte = n;
            prints.row(&record)
        };
        (0..count).map(one).collect()
    }

    fn sorted(memory: usize, directory: Option<&Path>) -> io::Result<(Vec<Row>, usize)> {
        let mut runs = Runs::new(memory, directory);
        for row in rows(5000) {
            runs.push(row)?;
        }
        let mut found = Vec::new();
        runs.for_each_sorted(|row| found.push(*row))?;
        let mut again = 0;
        runs.for_each(|_| again += 1)?;
        assert_eq!((found.len(), again), (5000, 5000));
        assert!(found.is_sorted_by_key(Row::print));
        found.sort_by_key(|row| (row.event, row.position().byte));
        Ok((found, runs.spilled()))
    }

    #[test]
    fn what_spills_is_in_the_same_order_as_what_does_not() {
        let directory = Path::new("/tmp").join(format!("holdfast-runs-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (in_memory, none) = sorted(1 << 20, None).unwrap();
        let (spilled, several) = sorted(1, Some(&directory)).unwrap();
        assert_eq!((none, several), (0, 5));
        assert_eq!(in_memory, spilled);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "runs are removed");
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn rows_that_are_dealt_are_in_the_same_order_as_rows_that_are_not() {
        let mut prints = Fingerprinter::default();
        let mut rows: Vec<Row> = (0..100_000_u64)
            .map(|n| {
                let mut record = Record::blank(Side::Ledger);
                record.event_ref = format!("e{}", n % 70_000);
                record.amount_minor = (n % 3) as i64;
                prints.row(&record)
            })
            .collect();
        let mut expected = rows.clone();
        expected.sort_unstable_by_key(Row::print);
        sort(&mut rows);
        assert!(rows.len() >= DEAL_MIN && rows == expected);
    }

    #[test]
    fn without_a_directory_what_does_not_fit_is_an_error() {
        assert!(sorted(1, None).is_err());
    }
}
