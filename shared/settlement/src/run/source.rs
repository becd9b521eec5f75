//! Where rows come from. A source is opened at least once, and read again for the residue.

use crate::format::{Fetch, FormatError, Rows};
use crate::record::{Position, Record, Side};

/// Rows that can be read more than once, and are the same every time.
pub trait Source {
    /// What reports and errors call it.
    fn name(&self) -> &str;

    /// Its bytes, where places of its records are counted in them and somebody knows how many there are.
    fn bytes(&self) -> Option<u64> {
        None
    }

    /// Begins at the first row.
    fn open(&self) -> Result<Box<dyn Rows + '_>, FormatError>;

    /// Gives the records at certain places, in order. Without a way to seek, everything is read again.
    fn fetch(&self, places: &[Position], take: &mut dyn FnMut(&Record)) -> Result<(), FormatError> {
        let mut rows = self.open()?;
        let mut record = Record::blank(Side::Network);
        let mut wanted = places.iter().peekable();
        while let Some(place) = wanted.peek() {
            if !rows.read(&mut record)? {
                break;
            }
            if (record.position.byte, record.position.line) == (place.byte, place.line) {
                take(&record);
                wanted.next();
            }
        }
        Ok(())
    }
}

/// What begins the rows of a source anew.
type Opener<'a, R> = Box<dyn Fn() -> Result<Box<R>, FormatError> + 'a>;

/// A source that can only be read from its beginning: a query, or a download.
pub struct Streamed<'a> {
    name: String,
    bytes: Option<u64>,
    open: Opener<'a, dyn Rows + 'a>,
}

impl<'a> Streamed<'a> {
    /// `open` begins the rows anew; it is called once or twice for reading, and once for the residue.
    pub fn new(name: &str, open: impl Fn() -> Result<Box<dyn Rows + 'a>, FormatError> + 'a) -> Self {
        Self { name: name.to_owned(), bytes: None, open: Box::new(open) }
    }

    /// With so many bytes, so that somebody who waits is told how far the reading is.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

impl Source for Streamed<'_> {
    fn name(&self) -> &str {
        &self.name
    }
    fn bytes(&self) -> Option<u64> {
        self.bytes
    }
    fn open(&self) -> Result<Box<dyn Rows + '_>, FormatError> {
        (self.open)()
    }
}

/// A source that can be read at any place: a local file, or bytes.
pub struct Seekable<'a> {
    name: String,
    bytes: Option<u64>,
    open: Opener<'a, dyn Fetch + 'a>,
}

impl<'a> Seekable<'a> {
    /// `open` begins the rows anew; it is called once or twice for reading, and once for the residue.
    pub fn new(name: &str, open: impl Fn() -> Result<Box<dyn Fetch + 'a>, FormatError> + 'a) -> Self {
        Self { name: name.to_owned(), bytes: None, open: Box::new(open) }
    }

    /// With so many bytes, so that somebody who waits is told how far the reading is.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

impl Source for Seekable<'_> {
    fn name(&self) -> &str {
        &self.name
    }
    fn bytes(&self) -> Option<u64> {
        self.bytes
    }
    fn open(&self) -> Result<Box<dyn Rows + '_>, FormatError> {
        Ok((self.open)()?)
    }
    fn fetch(&self, places: &[Position], take: &mut dyn FnMut(&Record)) -> Result<(), FormatError> {
        let mut rows = (self.open)()?;
        let mut record = Record::blank(Side::Network);
        for place in places {
            if rows.read_at(*place, &mut record)? {
                take(&record);
            }
        }
        Ok(())
    }
}
