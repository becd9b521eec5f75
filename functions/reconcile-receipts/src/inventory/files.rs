//! The files of one inventory, merged by key. A file is read in pieces, and only while its stretch of keys is passed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::time::Duration;

use aws_sdk_s3::Client;
use flate2::write::MultiGzDecoder;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use holdfast_aws::failure::causes;
use holdfast_domain::receipts::{InventoryFile, Manifest, Row, Schema, newest_first};

use super::{Group, ListError};
use crate::wire::Bucket;

/// Files that are read side by side. Each has a piece and its rows in memory, some 4 MB.
const OPEN_MAX: usize = 32;
/// Files whose first key is asked for at once.
const PEEKS_AT_ONCE: usize = 16;
/// What is fetched of a file to see its first key.
const PEEK_BYTES: u64 = 64 << 10;
/// What is fetched of a file at once.
const PIECE_BYTES: u64 = 2 << 20;
/// What is unpacked at once: an inventory unpacks to ten times its size.
const UNPACK_BYTES: usize = 32 << 10;
/// More versions of one key than these are not taken into account: nobody writes a receipt a thousand times.
const VERSIONS_MAX: usize = 1000;
/// Reads are safe to repeat.
const ATTEMPTS_MAX: u32 = 3;

/// One inventory.
pub(crate) struct List<'a> {
    from: From<'a>,
    files: Vec<InventoryFile>,
    schema: Schema,
    open: BTreeMap<usize, FileRows>,
    /// The next key of each file that is not used up.
    next: BTreeSet<(String, usize)>,
    used_up: BTreeSet<usize>,
    /// Files that the last group has used up: they are needed again until that group is decided.
    last: Vec<usize>,
}

#[derive(Clone, Copy)]
struct From<'a> {
    bucket: &'a Bucket,
    client: &'a Client,
}

impl<'a> List<'a> {
    /// Looks at the first key of every file that is not used up.
    pub(crate) async fn open(
        bucket: &'a Bucket,
        client: &'a Client,
        manifest: Manifest,
        used_up: &[u32],
    ) -> Result<Self, ListError> {
        let Manifest { files, schema, .. } = manifest;
        let from = From { bucket, client };
        let used_up: BTreeSet<usize> = used_up.iter().filter_map(|file| usize::try_from(*file).ok()).collect();
        let waiting = files.iter().enumerate().filter(|(number, _)| !used_up.contains(number));
        let peeks = waiting.map(|(number, file)| {
            let schema = &schema;
            async move {
                let mut rows = FileRows::new(file);
                rows.piece_bytes = PEEK_BYTES;
                rows.fill(from, schema).await?;
                Ok::<_, ListError>(rows.rows.front().map(|row| (row.key.clone(), number)))
            }
        });
        let peeks: Vec<_> = peeks.collect();
        let next: Vec<Option<(String, usize)>> = iter(peeks).buffered(PEEKS_AT_ONCE).try_collect().await?;
        let next = next.into_iter().flatten().collect();
        Ok(Self { from, files, schema, open: BTreeMap::new(), next, used_up, last: Vec::new() })
    }

    /// Files of which nothing is needed any more.
    pub(crate) fn used_up(&self) -> Vec<u32> {
        self.used_up.iter().filter_map(|file| u32::try_from(*file).ok()).collect()
    }

    /// The next key with all of its versions, whichever files they are in. The key before it is decided.
    pub(crate) async fn next(&mut self) -> Result<Option<Group>, ListError> {
        self.used_up.extend(self.last.drain(..));
        let Some((key, _)) = self.next.first().cloned() else { return Ok(None) };
        let mut rows: Vec<Row> = Vec::new();
        while self.next.first().is_some_and(|(next, _)| *next == key) {
            let Some((_, number)) = self.next.pop_first() else { break };
            self.take_of_file(number, &key, &mut rows).await?;
        }
        Ok(Some((key, newest_first(rows))))
    }

    async fn take_of_file(&mut self, number: usize, key: &str, rows: &mut Vec<Row>) -> Result<(), ListError> {
        let Some(file) = self.files.get(number) else { return Ok(()) };
        if !self.open.contains_key(&number) && self.open.len() >= OPEN_MAX {
            return Err(ListError::TooEntangled { bucket: self.from.bucket.name.clone(), max: OPEN_MAX });
        }
        let open = self.open.entry(number).or_insert_with(|| FileRows::new(file));
        loop {
            open.fill(self.from, &self.schema).await?;
            match open.rows.front() {
                Some(row) if row.key == key => {
                    let row = open.pop();
                    if rows.len() < VERSIONS_MAX {
                        rows.extend(row);
                    }
                }
                Some(row) if row.key.as_str() < key => {
                    let (bucket, key) = (self.from.bucket.name.clone(), file.key.clone());
                    return Err(ListError::Unordered { bucket, key, row: open.row + 1 });
                }
                Some(row) => {
                    self.next.insert((row.key.clone(), number));
                    return Ok(());
                }
                None => {
                    self.open.remove(&number);
                    self.last.push(number);
                    return Ok(());
                }
            }
        }
    }
}

/// One file's rows, as far as they are unpacked.
struct FileRows {
    file: InventoryFile,
    piece_bytes: u64,
    fetched: u64,
    /// Fetched and not unpacked yet.
    piece: VecDeque<u8>,
    unpacker: MultiGzDecoder<Vec<u8>>,
    rows: VecDeque<Row>,
    /// Rows that were given away.
    row: u64,
    ended: bool,
}

impl FileRows {
    fn new(file: &InventoryFile) -> Self {
        Self {
            file: file.clone(),
            piece_bytes: PIECE_BYTES,
            fetched: 0,
            piece: VecDeque::new(),
            unpacker: MultiGzDecoder::new(Vec::new()),
            rows: VecDeque::new(),
            row: 0,
            ended: false,
        }
    }

    fn pop(&mut self) -> Option<Row> {
        self.row += 1;
        self.rows.pop_front()
    }

    fn broken(&self, from: From<'_>, why: impl ToString) -> ListError {
        let (bucket, key) = (from.bucket.name.clone(), self.file.key.clone());
        let row = self.row + u64::try_from(self.rows.len()).unwrap_or(0) + 1;
        ListError::Broken { bucket, key, row, why: why.to_string() }
    }

    /// Reads on until there is a row or the file has ended.
    async fn fill(&mut self, from: From<'_>, schema: &Schema) -> Result<(), ListError> {
        while self.rows.is_empty() && !self.ended {
            if self.piece.is_empty() && self.fetched < self.file.bytes {
                let last = self.fetched.saturating_add(self.piece_bytes).min(self.file.bytes) - 1;
                let piece = fetch(from, &self.file.key, self.fetched, last).await?;
                self.fetched += u64::try_from(piece.len()).unwrap_or(0);
                self.piece = piece.into();
            }
            if self.piece.is_empty() {
                // The checksum of the last member: a file that was cut off is not a short one.
                let ended = self.unpacker.try_finish();
                ended.map_err(|error| self.broken(from, error))?;
                self.ended = true;
                let rest = std::mem::take(self.unpacker.get_mut());
                self.parse(from, schema, &rest)?;
            } else {
                let packed: Vec<u8> = self.piece.drain(..UNPACK_BYTES.min(self.piece.len())).collect();
                let unpacked = self.unpacker.write_all(&packed).and_then(|()| self.unpacker.flush());
                unpacked.map_err(|error| self.broken(from, error))?;
                let text = self.unpacker.get_mut();
                // Keys are URL-encoded: no line break is inside a field.
                if let Some(end) = text.iter().rposition(|byte| *byte == b'\n') {
                    let rest = text.split_off(end + 1);
                    let lines = std::mem::replace(text, rest);
                    self.parse(from, schema, &lines)?;
                }
            }
        }
        Ok(())
    }

    fn parse(&mut self, from: From<'_>, schema: &Schema, lines: &[u8]) -> Result<(), ListError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(error) => return Err(self.broken(from, error)),
            }
            let fields: Vec<&str> = record.iter().collect();
            let row = schema.row(&fields).map_err(|error| self.broken(from, error))?;
            self.rows.push_back(row);
        }
    }
}

async fn fetch(from: From<'_>, key: &str, first: u64, last: u64) -> Result<Vec<u8>, ListError> {
    let unreadable = |why: String| ListError::Unreadable { bucket: from.bucket.name.clone(), key: key.to_owned(), why };
    let wanted = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    let mut attempt = 1;
    loop {
        let range = format!("bytes={first}-{last}");
        let answer = from.client.get_object().bucket(&from.bucket.name).key(key).range(range).send().await;
        let read = match answer {
            Ok(answer) => answer.body.collect().await.map_err(|error| error.to_string()),
            Err(error) => Err(causes(&error)),
        };
        match read {
            Ok(bytes) => {
                let bytes = bytes.into_bytes().to_vec();
                if bytes.len() == wanted {
                    return Ok(bytes);
                }
                return Err(unreadable(format!("{} bytes came in place of {wanted}", bytes.len())));
            }
            Err(why) if attempt == ATTEMPTS_MAX => return Err(unreadable(why)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,
        }
        attempt += 1;
    }
}
