//! What was downloaded or exported, kept to be read several times: in memory while it is small, in `/tmp` beyond.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What is larger goes to `/tmp`.
const MEMORY_MAX: usize = 32 << 20;

/// Bytes that are written once and read often.
#[derive(Debug)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    memory_max: usize,
    file: Option<(PathBuf, File)>,
    bytes: u64,
}

impl Spool {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::with_memory(MEMORY_MAX)
    }

    fn with_memory(memory_max: usize) -> Self {
        Self { memory: Vec::new(), memory_max, file: None, bytes: 0 }
    }

    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where they are, when they are not in memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// The bytes, when they are in memory.
    pub(crate) fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// Begins at the first byte.
    pub(crate) fn read(&self) -> io::Result<SpoolReader<'_>> {
        Ok(match &self.file {
            None => SpoolReader::Memory(Cursor::new(&self.memory)),
            Some((path, _)) => SpoolReader::File(BufReader::with_capacity(1 << 14, File::open(path)?)),
        })
    }

    /// Moves everything to a file of its own, which nobody else may read.
    fn spill(&mut self) -> io::Result<()> {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("holdfast-spool-{}-{number}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&self.memory)?;
        self.memory = Vec::new();
        self.file = Some((path, file));
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + piece.len() > self.memory_max {
            self.spill()?;
        }
        match &mut self.file {
            Some((_, file)) => file.write_all(piece)?,
            None => self.memory.extend_from_slice(piece),
        }
        self.bytes += u64::try_from(piece.len()).unwrap_or(0);
        Ok(piece.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(_, file)| file.flush())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.file {
            // A sandbox that is kept would fill up; one that is not takes the file with it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A reading of a spool.
pub(crate) enum SpoolReader<'a> {
    Memory(Cursor<&'a Vec<u8>>),
    File(BufReader<File>),
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(into),
            Self::File(file) => file.read(into),
        }
    }
}

impl BufRead for SpoolReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Memory(bytes) => bytes.fill_buf(),
            Self::File(file) => file.fill_buf(),
        }
    }
    fn consume(&mut self, count: usize) {
        match self {
            Self::Memory(bytes) => bytes.consume(count),
            Self::File(file) => file.consume(count),
        }
    }
}

impl Seek for SpoolReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(to),
            Self::File(file) => file.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(memory_max: usize, in_file: bool) {
        let mut spool = Spool::with_memory(memory_max);
        for piece in ["first,", "second,", "third"] {
            spool.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!((spool.bytes(), spool.path().is_some()), (18, in_file));
        let path = spool.path().map(Path::to_path_buf);
        for _ in 0..2 {
            let mut text = String::new();
            spool.read().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "first,second,third");
        }
        let mut at = spool.read().unwrap();
        at.seek(SeekFrom::Start(6)).unwrap();
        let mut word = Vec::new();
        at.read_until(b',', &mut word).unwrap();
        assert_eq!(word, b"second,");
        drop(at);
        drop(spool);
        assert!(path.is_none_or(|path| !path.exists()), "the file was left behind");
    }

    #[test]
    fn what_is_small_stays_in_memory_and_what_is_not_is_read_the_same_from_a_file() {
        check(100, false);
        check(10, true);
        check(0, true);
    }
}
