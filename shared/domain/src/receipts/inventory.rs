//! S3 Inventory: a list of all versions of a bucket, as old as its creation, in files whose rows are in no documented order.
//!
//! Source: AmazonS3/latest/userguide/storage-inventory.html and storage-inventory-location.html. It is a rolling snapshot that
//! is eventually consistent: what it says is a reason to look, and never a permission to write.

use serde::{Deserialize, Serialize};

use super::{Content, Facts, Looked, ReceiptsPolicy, Side, Verdict, Version};
use crate::{Timestamp, age};

/// The columns without which nothing can be decided.
const COLUMNS: [&str; 8] =
    ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag"];

/// A list cannot be used. Nothing was concluded from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// Not the JSON that S3 writes.
    #[error("the manifest is not that of an S3 inventory: {0}")]
    NotAManifest(String),
    /// Columns in another format than text.
    #[error(
        "the inventory is in {0}, and this function reads CSV only (a reader of {0} would double its size): set the inventory's format to CSV"
    )]
    NotCsv(String),
    /// A column is missing.
    #[error("the inventory has no column `{0}`: let it list all versions with Size, LastModifiedDate and ETag")]
    NoColumn(&'static str),
    /// The list of another bucket.
    #[error("the inventory lists {found} and not {expected}")]
    OtherBucket {
        /// Whose it is.
        found: String,
        /// Whose was wanted.
        expected: String,
    },
    /// It names no files.
    #[error("the inventory names no files: an absent list is not an empty bucket")]
    NoFiles,
    /// It has not that many columns.
    #[error("a row has {found} columns and not {expected}")]
    Ragged {
        /// Columns of the row.
        found: usize,
        /// Columns of the schema.
        expected: usize,
    },
    /// A field is not what its column holds.
    #[error("`{value}` is no {column}")]
    BadField {
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

/// One file of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryFile {
    /// Its key, in the bucket that the inventory is delivered to.
    pub key: String,
    /// Its length, compressed.
    #[serde(rename = "size")]
    pub bytes: u64,
}

/// `manifest.json`, as far as it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// When the list was begun: what happened after it may be missing from it.
    pub created: Timestamp,
    /// Its files.
    pub files: Vec<InventoryFile>,
    /// What stands in which column.
    pub schema: Schema,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    source_bucket: String,
    creation_timestamp: String,
    file_format: String,
    #[serde(default)]
    file_schema: String,
    #[serde(default)]
    files: Vec<InventoryFile>,
}

impl Manifest {
    /// Reads the manifest of a bucket's list.
    pub fn parse(json: &[u8], bucket: &str) -> Result<Self, InventoryError> {
        let written: Written =
            serde_json::from_slice(json).map_err(|error| InventoryError::NotAManifest(error.to_string()))?;
        if written.source_bucket != bucket {
            return Err(InventoryError::OtherBucket { found: written.source_bucket, expected: bucket.to_owned() });
        }
        if !written.file_format.eq_ignore_ascii_case("CSV") {
            return Err(InventoryError::NotCsv(written.file_format));
        }
        let milliseconds = written.creation_timestamp.parse().ok();
        let created = milliseconds.and_then(|it| Timestamp::from_millisecond(it).ok());
        let created = created.ok_or_else(|| InventoryError::NotAManifest("creationTimestamp is no time".into()))?;
        let schema = Schema::named(&written.file_schema)?;
        if written.files.is_empty() {
            return Err(InventoryError::NoFiles);
        }
        Ok(Self { created, files: written.files, schema })
    }
}

/// Which column is where: by name, because owners choose the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    places: [usize; 8],
    columns: usize,
}

impl Schema {
    fn named(schema: &str) -> Result<Self, InventoryError> {
        let names: Vec<&str> = schema.split(',').map(str::trim).collect();
        let mut places = [0; 8];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            let found = names.iter().position(|name| *name == column);
            *place = found.ok_or(InventoryError::NoColumn(column))?;
        }
        Ok(Self { places, columns: names.len() })
    }

    /// Reads a row.
    pub fn row(&self, fields: &[&str]) -> Result<Row, InventoryError> {
        if fields.len() != self.columns {
            return Err(InventoryError::Ragged { found: fields.len(), expected: self.columns });
        }
        let [_, key, id, is_latest, is_marker, size, modified, etag] =
            self.places.map(|place| fields.get(place).copied().unwrap_or_default());
        let bad = |column, value: &str| InventoryError::BadField { column, value: crate::region::excerpt(value) };
        let flag = |column, value: &str| match value {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            other => Err(bad(column, other)),
        };
        let is_marker = flag("IsDeleteMarker", is_marker)?;
        let content = if is_marker {
            None
        } else {
            let size = size.parse().map_err(|_| bad("Size", size))?;
            Some(Content { size, etag: etag.trim_matches('"').to_owned() })
        };
        let modified = modified.parse().map_err(|_| bad("LastModifiedDate", modified))?;
        let version = Version { id: id.to_owned(), modified, content, looked: Looked::No };
        Ok(Row { key: decoded(key), is_latest: flag("IsLatest", is_latest)?, version })
    }
}

/// One version in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, decoded.
    pub key: String,
    /// It was current when the list was made.
    pub is_latest: bool,
    /// The version.
    pub version: Version,
}

/// Puts the rows of one key into the order of a listing: the newest first.
#[must_use]
pub fn newest_first(mut rows: Vec<Row>) -> Vec<Version> {
    rows.sort_by(|one, other| {
        let newer = other.version.modified.cmp(&one.version.modified);
        other.is_latest.cmp(&one.is_latest).then(newer)
    });
    rows.into_iter().map(|row| row.version).collect()
}

/// What is too young for the lists to say anything about it: they are not of one moment, and may lack what was written
/// shortly before. `as_of` is the older list's beginning.
#[must_use]
pub fn younger_than_the_lists(facts: &Facts, policy: &ReceiptsPolicy, as_of: Timestamp) -> Option<Verdict> {
    let heads = Side::BOTH.into_iter().filter_map(|side| Some((side, facts.on(side).first()?)));
    let (from, newest) = heads.max_by_key(|(_, version)| version.modified)?;
    if age(newest.modified, as_of) > policy.pending_age_max() {
        return None;
    }
    let bytes = newest.content.as_ref().map_or(0, |content| content.size);
    let age_seconds = age(newest.modified, as_of).as_secs();
    Some(Verdict::Pending { from, version: newest.id.clone(), age_seconds, bytes })
}

/// S3 writes keys URL-encoded into lists; a plus sign stands for a space.
fn decoded(text: &str) -> String {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |place: usize| bytes.get(place).and_then(|digit| char::from(*digit).to_digit(16));
        let (plain, used) = match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(b'?'), 3),
            (b'+', _, _) => (b' ', 1),
            (other, _, _) => (other, 1),
        };
        decoded.push(plain);
        at += used;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str =
        "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, ReplicationStatus";

    fn manifest(format: &str, schema: &str, files: &str) -> String {
        format!(
            r#"{{"sourceBucket":"b","destinationBucket":"arn:aws:s3:::d","version":"2016-11-30","creationTimestamp":"1795500000000","fileFormat":"{format}","fileSchema":"{schema}","files":[{files}]}}"#
        )
    }

    #[track_caller]
    fn refuses(json: &str, expected: &str) {
        let error = Manifest::parse(json.as_bytes(), "b").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    const FILE: &str = r#"{"key":"inventory/b/data/1.csv.gz","size":100,"MD5checksum":"00"}"#;

    #[test]
    fn a_manifest_is_read_by_the_names_of_its_columns() {
        let read = Manifest::parse(manifest("CSV", SCHEMA, FILE).as_bytes(), "b").unwrap();
        assert_eq!(read.created.as_second(), 1_795_500_000);
        assert_eq!(read.files[0].bytes, 100);
        let shuffled = "ETag, Size, Key, Bucket, LastModifiedDate, IsDeleteMarker, IsLatest, VersionId";
        let schema = Schema::named(shuffled).unwrap();
        let row = ["abc", "5", "a%2Bb+c", "b", "2026-11-24T14:07:05.000Z", "false", "true", "v1"];
        let row = schema.row(&row).unwrap();
        assert_eq!((row.key.as_str(), row.is_latest, row.version.id.as_str()), ("a+b c", true, "v1"));
        assert_eq!(row.version.content, Some(Content { size: 5, etag: "abc".into() }));
    }
    #[test]
    fn what_is_not_a_list_of_all_versions_in_csv_is_refused_by_name() {
        refuses("{}", "is not that of an S3 inventory");
        refuses(&manifest("Parquet", "message s3.inventory", FILE), "set the inventory's format to CSV");
        refuses(&manifest("ORC", "struct<>", FILE), "in ORC");
        refuses(&manifest("CSV", "Bucket, Key, Size", FILE), "no column `VersionId`");
        refuses(&manifest("CSV", SCHEMA, ""), "an absent list is not an empty bucket");
        let error = Manifest::parse(manifest("CSV", SCHEMA, FILE).as_bytes(), "c").unwrap_err();
        assert_eq!(error.to_string(), "the inventory lists b and not c");
    }
    #[test]
    fn a_row_that_is_broken_is_an_error_and_not_a_version() {
        let schema = Schema::named(SCHEMA).unwrap();
        let good = ["b", "k", "v", "true", "false", "1", "2026-11-24T14:07:05.000Z", "e", ""];
        assert!(schema.row(&good).is_ok());
        for (place, value) in [(3, "yes"), (4, ""), (5, "x"), (6, "yesterday")] {
            let mut bad = good;
            bad[place] = value;
            assert!(schema.row(&bad).is_err(), "{value} at {place}");
        }
        assert_eq!(schema.row(&good[..8]), Err(InventoryError::Ragged { found: 8, expected: 9 }));
        let marker = ["b", "k", "v", "true", "true", "", "2026-11-24T14:07:05.000Z", "", ""];
        assert_eq!(schema.row(&marker).unwrap().version.content, None);
    }

    fn row(id: &str, second: i64, is_latest: bool) -> Row {
        let modified = Timestamp::from_second(second).unwrap();
        let version = Version { id: id.into(), modified, content: None, looked: Looked::No };
        Row { key: "k".into(), is_latest, version }
    }

    #[test]
    fn the_rows_of_a_key_are_put_into_order_whatever_theirs_is() {
        let rows = vec![row("old", 1, false), row("current", 7, true), row("newer", 8, false)];
        let order: Vec<String> = newest_first(rows).into_iter().map(|version| version.id).collect();
        assert_eq!(order, ["current", "newer", "old"]);
    }
    #[test]
    fn nothing_is_concluded_about_what_is_younger_than_the_lists() {
        let policy = ReceiptsPolicy::default();
        let as_of = Timestamp::from_second(10_000).unwrap();
        let facts = |second| Facts { dublin: newest_first(vec![row("v", second, true)]), london: Vec::new() };
        assert!(younger_than_the_lists(&facts(20_000), &policy, as_of).is_some());
        assert!(younger_than_the_lists(&facts(9_500), &policy, as_of).is_some());
        assert_eq!(younger_than_the_lists(&facts(5_000), &policy, as_of), None);
    }
}
