//! The rows of a CSV file, one after the other (RFC 4180).
//!
//! The file is taken a block at a time: a block is proved to be UTF-8 once, and its rows are split where they lie, 64 bytes at
//! a time. A row whose quotes only stand around whole fields is split likewise; every other row with a quote is read by
//! `csv-core`, whose rules are those of the `csv` crate.

use std::io::{self, BufRead, Seek, SeekFrom};
use std::ops::Range;

use csv_core::{ReadRecordResult, ReaderBuilder};
use memchr::{memchr, memchr2};

use crate::record::Position;

/// Bytes that are asked for at once: as many as a processor's cache holds beside what is done with them.
const BLOCK: usize = 1 << 16;
/// The same after a jump, where one row is wanted.
const BLOCK_AFTER_SEEK: usize = 1 << 12;

/// A file between two of its rows.
pub(super) struct Rows<R> {
    from: R,
    delimiter: u8,
    /// How many fields each row must have; absent: any number, or that of the first one, which is still to come.
    fields_expected: Option<usize>,
    is_flexible: bool,
    quoted: csv_core::Reader,
    /// What was read and is text.
    block: String,
    /// Where in the block the next row begins.
    at: usize,
    /// Where the next quote or carriage return stands, or the block's end; what is not behind `at` is out of date.
    special: usize,
    /// What was read behind the block: a character that is not whole yet, or what is not UTF-8 at all.
    behind: Vec<u8>,
    is_ended: bool,
    /// Bytes that are asked for next, and from then on.
    block_size: usize,
    block_sizes: usize,
    /// The present row's text where it had to be unquoted; its fields are in there and not in the block.
    unquoted: String,
    is_unquoted: bool,
    /// Where the present row's fields are.
    fields: Vec<Range<u32>>,
    /// Where the present row begins.
    row: Position,
    /// Where the next one does.
    next: Position,
    /// Room for the ends of the fields of a row that is unquoted.
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
            block: String::new(),
            at: 0,
            special: 0,
            behind: Vec::new(),
            is_ended: false,
            block_size: BLOCK,
            block_sizes: BLOCK,
            unquoted: String::new(),
            is_unquoted: false,
            fields: Vec::new(),
            row: Position { source: 0, byte: 0, line: 1 },
            next: Position { source: 0, byte: 0, line: 1 },
            ends: Vec::new(),
        }
    }

    /// Steps to the next row that is not blank; `false` at the end.
    #[inline]
    pub(super) fn step(&mut self) -> Result<bool, RowError> {
        self.fields.clear();
        self.is_unquoted = false;
        loop {
            self.row = self.next;
            let rest = &self.block.as_bytes()[self.at..];
            let (length, taken) = match memchr(b'\n', rest) {
                Some(length) => (length, length + 1),
                None if self.more()? => continue,
                None if self.behind.is_empty() => (self.block.len() - self.at, self.block.len() - self.at),
                // It ends in what is no text: which field that is in, the slow way finds.
                None => return self.unquote(),
            };
            if taken == 0 {
                return Ok(false);
            }
            let end = self.at + length;
            if self.special <= self.at {
                let found = memchr2(b'"', b'\r', &self.block.as_bytes()[self.at..]);
                self.special = found.map_or(self.block.len(), |found| self.at + found);
            }
            let bytes = self.block.as_bytes();
            // A carriage return before the line feed belongs to the line's end.
            let row_end = if bytes[self.at..end].last() == Some(&b'\r') { end - 1 } else { end };
            if row_end > self.at {
                let base = offset(self.at)?;
                if self.special >= row_end {
                    split(&bytes[self.at..row_end], base, self.delimiter, &mut self.fields);
                } else if !split_quoted(&bytes[self.at..row_end], base, self.delimiter, &mut self.fields) {
                    return self.unquote();
                }
            }
            self.at += taken;
            self.next.byte += taken as u64;
            self.next.line += u64::from(taken > length);
            if !self.fields.is_empty() {
                return self.counted();
            }
        }
    }

    /// Reads another block behind what is left of this one; `false` at the end, and before what is not UTF-8.
    #[cold]
    fn more(&mut self) -> Result<bool, RowError> {
        if self.is_ended {
            return Ok(false);
        }
        let mut bytes = std::mem::take(&mut self.block).into_bytes();
        bytes.drain(..self.at);
        (self.at, self.special) = (0, 0);
        let known = bytes.len();
        // A row that is longer than a block is read in ever larger ones.
        let wanted = self.block_size.max(known);
        let length = known + self.behind.len() + wanted;
        offset(length)?;
        bytes.append(&mut self.behind);
        let mut filled = bytes.len();
        bytes.resize(length, 0);
        while filled < length {
            match self.from.read(&mut bytes[filled..]) {
                Ok(0) => {
                    self.is_ended = true;
                    break;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(RowError::Io(error)),
            }
        }
        bytes.truncate(filled);
        self.block_size = self.block_sizes;
        self.block = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let (valid, cut) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_none());
                let mut bytes = error.into_bytes();
                self.behind = bytes.split_off(valid);
                // A character that the next block completes is none that is broken.
                self.is_ended |= !cut;
                String::from_utf8(bytes).unwrap_or_default()
            }
        };
        Ok(self.block.len() > known || !self.is_ended)
    }

    /// A row whose quotes stand anywhere, or with a line end that is none of Unix and none of Windows, or that is no text.
    #[cold]
    fn unquote(&mut self) -> Result<bool, RowError> {
        self.fields.clear();
        self.quoted.reset();
        let (mut output, mut ends) = (std::mem::take(&mut self.unquoted).into_bytes(), std::mem::take(&mut self.ends));
        output.resize(output.capacity().max(64), 0);
        ends.resize(64.max(ends.len()), 0);
        let (mut read, mut written, mut ended) = (0, 0, 0);
        let mut is_last = false;
        loop {
            // What is no text is only read to say where it stands.
            let in_block = self.block.len() - self.at;
            let input = if read < in_block || self.behind.is_empty() || !self.is_ended {
                &self.block.as_bytes()[(self.at + read).min(self.block.len())..]
            } else {
                &self.behind[read - in_block..]
            };
            let input = if is_last { &[][..] } else { input };
            let (result, taken, put, closed) =
                self.quoted.read_record(input, &mut output[written..], &mut ends[ended..]);
            (read, written, ended) = (read + taken, written + put, ended + closed);
            match result {
                ReadRecordResult::OutputFull => output.resize(output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => {
                    self.pass(read);
                    return Ok(false);
                }
                // An empty input tells it that the file is at its end.
                ReadRecordResult::InputEmpty => {
                    while !self.is_ended && read == self.unread() {
                        self.more()?;
                    }
                    is_last = read == self.unread();
                }
            }
            offset(output.len())?;
        }
        // The line feed after a carriage return belongs to the row's end.
        if self.byte(read)? == Some(b'\n') && read > 0 && self.byte(read - 1)? == Some(b'\r') {
            read += 1;
        }
        self.pass(read);
        let mut begin = 0;
        for end in &ends[..ended] {
            let end = offset(*end)?;
            self.fields.push(begin..end);
            begin = end;
        }
        self.ends = ends;
        output.truncate(written);
        self.is_unquoted = true;
        self.unquoted = String::from_utf8(output).map_err(|error| self.not_utf8(error.as_bytes()))?;
        self.counted()
    }

    /// Bytes that are here from the present row's begin on; at the end, what is no text too.
    fn unread(&self) -> usize {
        self.block.len() - self.at + if self.is_ended { self.behind.len() } else { 0 }
    }

    /// The byte so far behind the present row's begin.
    fn byte(&mut self, ahead: usize) -> Result<Option<u8>, RowError> {
        if self.at + ahead == self.block.len() {
            self.more()?;
        }
        Ok(self.block.as_bytes().get(self.at + ahead).copied())
    }

    #[inline]
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

    /// Counts what was read of the block, and goes on behind it.
    fn pass(&mut self, read: usize) {
        let end = (self.at + read).min(self.block.len());
        let passed = &self.block.as_bytes()[self.at..end];
        self.next.byte += read as u64;
        self.next.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = end;
    }

    /// What the present row's fields are in.
    #[inline]
    fn text(&self) -> &str {
        if self.is_unquoted { &self.unquoted } else { &self.block }
    }

    /// The field at a place of the present row.
    #[inline]
    pub(super) fn field(&self, at: usize) -> Option<&str> {
        self.text().get(span(self.fields.get(at)?))
    }

    /// Its bytes.
    #[inline]
    pub(super) fn bytes(&self, at: usize) -> Option<&[u8]> {
        self.text().as_bytes().get(span(self.fields.get(at)?))
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
        self.block.clear();
        self.behind.clear();
        (self.at, self.special, self.is_ended, self.block_size) = (0, 0, false, BLOCK_AFTER_SEEK);
        Ok(())
    }
}

/// Offsets have 32 bits.
#[inline]
fn offset(of: usize) -> Result<u32, RowError> {
    u32::try_from(of).map_err(|_| RowError::TooLong)
}

#[inline]
fn span(field: &Range<u32>) -> Range<usize> {
    // A usize has at least 32 bits wherever this runs.
    field.start as usize..field.end as usize
}

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// A bit for each byte that is zero: the lowest for the first.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    let high_bits = !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS);
    (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Splits what has neither quotes nor carriage returns in it. `base` is where it begins in its block.
///
/// The delimiters of 64 bytes are one number first: a branch for each word of eight would be guessed wrong half the time.
#[inline]
fn split(row: &[u8], base: u32, delimiter: u8, fields: &mut Vec<Range<u32>>) {
    let delimiters = u64::from_le_bytes([delimiter; 8]);
    let (mut begin, mut base) = (base, base);
    let mut end_fields = |mut found: u64, base: u32| {
        while found != 0 {
            let at = base + found.trailing_zeros();
            fields.push(begin..at);
            begin = at + 1;
            found &= found - 1;
        }
    };
    let (blocks, rest) = row.as_chunks::<64>();
    for block in blocks {
        let mut found = 0;
        for (place, word) in block.as_chunks::<8>().0.iter().enumerate() {
            found |= zero_bytes(u64::from_le_bytes(*word) ^ delimiters) << (place * 8);
        }
        end_fields(found, base);
        base += 64;
    }
    let (words, rest) = rest.as_chunks::<8>();
    let mut found = 0;
    for (place, word) in words.iter().enumerate() {
        found |= zero_bytes(u64::from_le_bytes(*word) ^ delimiters) << (place * 8);
    }
    for (place, byte) in rest.iter().enumerate() {
        found |= u64::from(*byte == delimiter) << (words.len() * 8 + place);
    }
    end_fields(found, base);
    let length = (words.len() * 8 + rest.len()) as u32;
    fields.push(begin..base + length);
}

/// Splits a row whose quotes stand around whole fields and nowhere else; `false` where they do not, or it has a carriage return.
fn split_quoted(row: &[u8], base: u32, delimiter: u8, fields: &mut Vec<Range<u32>>) -> bool {
    let mut begin = 0;
    // A row's offsets were checked to have 32 bits.
    let place = |at: usize| base + at as u32;
    while let Some(found) = memchr2(b'"', b'\r', &row[begin..]) {
        let opening = begin + found;
        if row[opening] != b'"' || (opening > begin && row[opening - 1] != delimiter) {
            return false;
        }
        if opening > begin {
            split(&row[begin..opening - 1], place(begin), delimiter, fields);
        }
        let Some(length) = memchr2(b'"', b'\r', &row[opening + 1..]) else { return false };
        let closing = opening + 1 + length;
        if row[closing] != b'"' {
            return false;
        }
        fields.push(place(opening + 1)..place(closing));
        match row.get(closing + 1) {
            None => return true,
            Some(next) if *next == delimiter => begin = closing + 2,
            Some(_) => return false,
        }
    }
    split(&row[begin..], place(begin), delimiter, fields);
    true
}

#[cfg(test)]
mod tests;
