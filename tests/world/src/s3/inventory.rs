//! S3 Inventory: lists of all versions, delivered into the bucket itself as gzipped CSV with a manifest.

use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};

use super::{Fault, put_object};
use crate::world::World;

/// How a list is delivered.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The destination prefix.
    pub prefix: &'a str,
    /// The configuration's id.
    pub id: &'a str,
    /// How many files the rows are spread over; their order in the manifest is not that of the keys.
    pub files: usize,
    /// The rows of a file are not in key order either: nothing documents that they are.
    pub unordered: bool,
    /// `CSV`, or what the function cannot read.
    pub format: &'a str,
}

impl Default for Delivery<'_> {
    fn default() -> Self {
        Self { prefix: "holdfast/inventory", id: "receipts", files: 3, unordered: false, format: "CSV" }
    }
}

/// Delivers a list of the bucket as it is now. Returns the key of its manifest.
pub fn deliver(world: &World, bucket: &str, delivery: &Delivery<'_>) -> Result<String, Fault> {
    let Delivery { prefix, id, files, unordered, format } = delivery;
    let mut rows = rows(world, bucket)?;
    if *unordered {
        rows.reverse();
    }
    let per_file = rows.len().div_ceil((*files).max(1)).max(1);
    let mut listed = Vec::new();
    for (number, part) in rows.chunks(per_file).enumerate() {
        // Two members in one file: what is written by several writers looks so.
        let (first, second) = part.split_at(part.len() / 2);
        let mut packed = gzipped(&first.concat());
        packed.extend(gzipped(&second.concat()));
        let key = format!("{prefix}/{bucket}/{id}/data/{:08x}.csv.gz", number * 7919 % 104_729);
        let sum = hex(&Md5::digest(&packed));
        let bytes = packed.len();
        put_object(world, bucket, &key, Bytes::from(packed))?;
        listed.push(serde_json::json!({"key": key, "size": bytes, "MD5checksum": sum}));
    }
    listed.sort_by_key(|file| file["key"].to_string());
    let now = world.now();
    let manifest = serde_json::json!({
        "sourceBucket": bucket,
        "destinationBucket": format!("arn:aws:s3:::{bucket}"),
        "version": "2016-11-30",
        "creationTimestamp": now.as_millisecond().to_string(),
        "fileFormat": format,
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, ReplicationStatus",
        "files": listed,
    });
    let folder = format!("{prefix}/{bucket}/{id}/{}", now.strftime("%Y-%m-%dT%H-%MZ"));
    let manifest = Bytes::from(manifest.to_string());
    let sum = hex(&Md5::digest(&manifest));
    put_object(world, bucket, &format!("{folder}/manifest.json"), manifest)?;
    // Its arrival says that the list is complete.
    put_object(world, bucket, &format!("{folder}/manifest.checksum"), Bytes::from(sum))?;
    Ok(format!("{folder}/manifest.json"))
}

fn rows(world: &World, bucket: &str) -> Result<Vec<String>, Fault> {
    let mut state = world.state();
    let objects = &state.s3.bucket(bucket)?.objects;
    let mut rows = Vec::new();
    for (key, versions) in objects {
        let key = form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/");
        for (place, version) in versions.iter().rev().enumerate() {
            let mut row = String::new();
            let size = version.body.as_ref().map(|body| body.len().to_string()).unwrap_or_default();
            let _ = writeln!(
                row,
                r#""{bucket}","{key}","{}","{}","{}","{size}","{}","{}","{}""#,
                version.id,
                place == 0,
                version.body.is_none(),
                version.created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                version.etag().trim_matches('"'),
                version.status.unwrap_or_default(),
            );
            rows.push(row);
        }
    }
    Ok(rows)
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail.
    let _ = packed.write_all(text.as_bytes());
    packed.finish().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
