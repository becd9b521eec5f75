//! The rows of a CSV file, one after the other (RFC 4180).
//!
//! Almost no row of a settlement file has a quote in it, and such a row is split eight bytes at a time; every other one
//! is read by `csv-core`, whose rules are those of the `csv` crate.

use std::io::{self, BufRead, Seek, SeekFrom};
use std::ops::Range;

use csv_core::{ReadRecordResult, ReaderBuilder};
use memchr::{memchr, memchr2};

use crate::record::Position;

/// A file between two of its rows.
pub(super) struct Rows<R> {
    from: R,
    delimiter: u8,
    /// How many fields each row must have; absent: any number, or that of the first one, which is still to come.
    fields_expected: Option<usize>,
    is_flexible: bool,
    quoted: csv_core::Reader,
    /// The present row's text: as it stands in the file, or unquoted.
    text: String,
    /// Where its fields are in it.
    fields: Vec<Range<u32>>,
    /// Where the present row begins.
    row: Position,
    /// Where the next one does.
    next: Position,
    /// What was read and belongs to later rows.
    ahead: Vec<u8>,
    /// Room for a row that is unquoted, and for the ends of its fields.
    output: Vec<u8>,
    ends: Vec<usize>,
}

/// Why there is no row.
#[derive(Debug)]
pub(super) enum RowError {
    /// The file cannot be read.
    Io(io::Error),
    /// A field is not UTF-8: which one, counted from 0.
    NotUtf8(usize),
    /// The row has another number of fields than the first one.
    FieldCount { found: u64, expected: u64 },
    /// A row has more than four gigabytes.
    TooLong,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(from: R, delimiter: u8, is_flexible: bool) -> Self {
        Self {
            from,
            delimiter,
            fields_expected: None,
            is_flexible,
            quoted: ReaderBuilder::new().delimiter(delimiter).build(),
            text: String::new(),
            fields: Vec::new(),
            row: Position { source: 0, byte: 0, line: 1 },
            next: Position { source: 0, byte: 0, line: 1 },
            ahead: Vec::new(),
            output: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Steps to the next row that is not blank; `false` at the end.
    #[inline]
    pub(super) fn step(&mut self) -> Result<bool, RowError> {
        self.fields.clear();
        let mut line = std::mem::take(&mut self.text).into_bytes();
        loop {
            line.clear();
            self.row = self.next;
            let is_new = self.ahead.is_empty();
            if is_new {
                read_line(&mut self.from, &mut line).map_err(RowError::Io)?;
            } else {
                std::mem::swap(&mut line, &mut self.ahead);
            }
            if line.is_empty() {
                return Ok(false);
            }
            let row = line.strip_suffix(b"\n").unwrap_or(&line);
            let row = row.strip_suffix(b"\r").unwrap_or(row);
            if row.is_empty() {
                self.pass(&line);
                continue;
            }
            let length = row.len();
            // Offsets of fields have 32 bits; a row is read whole.
            if u32::try_from(line.len()).is_err() {
                return Err(RowError::TooLong);
            }
            if !is_new || memchr2(b'"', b'\r', row).is_some() {
                return self.unquote(line);
            }
            split(row, self.delimiter, &mut self.fields);
            self.next.byte += line.len() as u64;
            self.next.line += u64::from(line.len() > length);
            line.truncate(length);
            self.text = String::from_utf8(line).map_err(|error| self.not_utf8(error.as_bytes()))?;
            return self.counted();
        }
    }

    /// A row with a quote, or with a line end that is none of Unix and none of Windows.
    #[cold]
    fn unquote(&mut self, mut input: Vec<u8>) -> Result<bool, RowError> {
        self.fields.clear();
        self.quoted.reset();
        let (mut output, mut ends) = (std::mem::take(&mut self.output), std::mem::take(&mut self.ends));
        output.resize(input.len().max(64), 0);
        ends.resize(64.max(ends.len()), 0);
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            let (result, taken, put, closed) =
                self.quoted.read_record(&input[read..], &mut output[written..], &mut ends[ended..]);
            (read, written, ended) = (read + taken, written + put, ended + closed);
            match result {
                ReadRecordResult::OutputFull => output.resize(output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => {
                    self.pass(&input);
                    return Ok(false);
                }
                // An empty input tells it that the file is at its end.
                ReadRecordResult::InputEmpty => {
                    read_line(&mut self.from, &mut input).map_err(RowError::Io)?;
                }
            }
            if u32::try_from(output.len().max(input.len())).is_err() {
                return Err(RowError::TooLong);
            }
        }
        // The line feed after a carriage return belongs to the row's end.
        if input[read..].first() == Some(&b'\n') && input[..read].last() == Some(&b'\r') {
            read += 1;
        }
        self.pass(&input[..read]);
        self.ahead.clear();
        self.ahead.extend_from_slice(&input[read..]);
        let mut begin = 0;
        for end in &ends[..ended] {
            // Checked above: no output is longer.
            let end = u32::try_from(*end).map_err(|_| RowError::TooLong)?;
            self.fields.push(begin..end);
            begin = end;
        }
        self.ends = ends;
        output.truncate(written);
        // What was read is of no more use: its place is the next output's.
        self.output = input;
        self.text = String::from_utf8(output).map_err(|error| self.not_utf8(error.as_bytes()))?;
        self.counted()
    }

    fn counted(&mut self) -> Result<bool, RowError> {
        let found = self.fields.len();
        match self.fields_expected {
            Some(expected) if expected != found => {
                let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
                Err(RowError::FieldCount { found: number(found), expected: number(expected) })
            }
            Some(_) => Ok(true),
            None => {
                self.fields_expected = Some(found).filter(|_| !self.is_flexible);
                Ok(true)
            }
        }
    }

    /// The first field that is not UTF-8.
    #[cold]
    fn not_utf8(&self, text: &[u8]) -> RowError {
        let broken = |field: &Range<u32>| std::str::from_utf8(text.get(span(field)).unwrap_or_default()).is_err();
        RowError::NotUtf8(self.fields.iter().position(broken).unwrap_or(0))
    }

    /// Counts what was read.
    fn pass(&mut self, read: &[u8]) {
        self.next.byte += read.len() as u64;
        self.next.line += read.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// The field at a place of the present row.
    #[inline]
    pub(super) fn field(&self, at: usize) -> Option<&str> {
        self.text.get(span(self.fields.get(at)?))
    }

    /// The present row's fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.fields.len()).filter_map(|at| self.field(at))
    }

    /// Where the present row begins.
    #[inline]
    pub(super) fn place(&self) -> Position {
        self.row
    }
}

impl<R: BufRead + Seek> Rows<R> {
    /// Goes on with the row that begins at `place`.
    pub(super) fn seek(&mut self, place: Position) -> io::Result<()> {
        self.from.seek(SeekFrom::Start(place.byte))?;
        self.next = Position { source: 0, ..place };
        self.ahead.clear();
        Ok(())
    }
}

#[inline]
fn span(field: &Range<u32>) -> Range<usize> {
    // A usize has at least 32 bits wherever this runs.
    field.start as usize..field.end as usize
}

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The high bit of each byte that is zero, and no other bit.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

/// Splits a row that has neither quotes nor carriage returns in it.
#[inline]
fn split(row: &[u8], delimiter: u8, fields: &mut Vec<Range<u32>>) {
    let delimiters = u64::from_le_bytes([delimiter; 8]);
    let (mut begin, mut base) = (0_u32, 0_u32);
    let (words, rest) = row.as_chunks::<8>();
    for word in words {
        let mut found = zero_bytes(u64::from_le_bytes(*word) ^ delimiters);
        while found != 0 {
            let at = base + found.trailing_zeros() / 8;
            fields.push(begin..at);
            begin = at + 1;
            found &= found - 1;
        }
        base += 8;
    }
    for byte in rest {
        if *byte == delimiter {
            fields.push(begin..base);
            begin = base + 1;
        }
        base += 1;
    }
    fields.push(begin..base);
}

/// Appends what comes up to the next line feed, and that.
#[inline]
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let ahead = match from.fill_buf() {
            Ok(ahead) => ahead,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (taken, is_whole) = match memchr(b'\n', ahead) {
            Some(at) => (at + 1, true),
            None => (ahead.len(), ahead.is_empty()),
        };
        line.extend_from_slice(&ahead[..taken]);
        from.consume(taken);
        if is_whole {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
