//! S3: versioned buckets, replication by rule with lag, delete markers, per-object status (S3 replication.html and
//! replication-status.html), conditional writes, copies and multipart uploads, in REST-XML. Path-style and
//! virtual-hosted requests both work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest as _, Md5};

use crate::region::Region;
use crate::world::World;

pub mod batch;
mod described;
mod front;
pub mod inventory;
mod list;
mod upload;
mod xml;

pub(crate) use described::described;
pub(crate) use front::{error_body, handle, operation};

/// Every bucket.
#[derive(Default)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
    paused: BTreeSet<(String, String)>,
    versions: u64,
    uploads: BTreeMap<String, upload::Upload>,
    batch: batch::Jobs,
    /// Bucket, key and version of what was deleted for good: Batch Replication does not bring it back.
    erased: BTreeSet<(String, String, String)>,
}

struct Bucket {
    region: Region,
    rule: Option<Rule>,
    /// Newest last.
    objects: BTreeMap<String, Vec<Version>>,
}

/// The one rule of a bucket, for all of its objects.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The bucket to replicate to.
    pub destination: &'static str,
    /// Delete markers that people write are replicated.
    pub delete_markers: bool,
    /// Changes of replicas' metadata are replicated back.
    pub replica_modifications: bool,
    /// Objects under SSE-KMS are selected.
    pub kms_objects: bool,
    /// Permissions or keys are wrong: what S3 tries to replicate fails for good.
    pub broken: bool,
}

#[derive(Clone, Debug)]
struct Version {
    id: String,
    /// Absent: a delete marker.
    body: Option<Bytes>,
    about: About,
    created: Timestamp,
    status: Option<&'static str>,
}

/// What is kept with an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Headers that are given back as they came: `content-type`, `x-amz-meta-…`, `x-amz-storage-class` and their like.
    pub headers: BTreeMap<String, String>,
    /// Tags, as a query string.
    pub tags: String,
    /// The key of SSE-KMS.
    pub kms: Option<String>,
    /// Put in so many parts: its ETag is no content hash.
    pub parts: Option<usize>,
    /// `CRC64NVME` is kept with it. What was written before S3 did so has none.
    pub checksum: bool,
}

/// What a checker sees of an object's newest version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The key.
    pub key: String,
    /// The version.
    pub version: String,
    /// The newest version is a delete marker.
    pub deleted: bool,
    /// `x-amz-replication-status`.
    pub status: Option<&'static str>,
    /// Its bytes; none for a delete marker.
    pub body: Option<Bytes>,
    /// What is kept with it.
    pub about: About,
    /// How many versions the key has.
    pub versions: usize,
}

/// "Most objects in seconds" (S3 replication-time-control).
const LAG_MIN_MS: u64 = 600;
const LAG_SPREAD_MS: u64 = 600;
/// What could not be replicated is tried again so often.
const RETRY: Duration = Duration::from_secs(1);

/// Creates a versioned bucket.
pub fn create_bucket(world: &World, name: &'static str, region: Region) {
    let bucket = Bucket { region, rule: None, objects: BTreeMap::new() };
    world.state().s3.buckets.insert(name.to_owned(), bucket);
}

/// Sets or takes away the one rule of a bucket.
pub fn set_rule(world: &World, bucket: &str, rule: Option<Rule>) {
    if let Some(bucket) = world.state().s3.buckets.get_mut(bucket) {
        bucket.rule = rule;
    }
}

/// Holds replication between two buckets back, or lets it go on.
pub fn pause_replication(world: &World, from: &str, to: &str, paused: bool) {
    let pair = (from.to_owned(), to.to_owned());
    let mut state = world.state();
    if paused {
        state.s3.paused.insert(pair);
    } else {
        state.s3.paused.remove(&pair);
    }
}

/// The newest version of every key in a bucket, whatever the network: for checkers after the run.
#[must_use]
pub fn all_objects(world: &World, bucket: &str) -> Vec<Seen> {
    let state = world.state();
    let objects = state.s3.buckets.get(bucket).map(|bucket| &bucket.objects);
    let newest = objects.into_iter().flatten().filter_map(|(key, versions)| Some((key, versions, versions.last()?)));
    newest
        .map(|(key, versions, it)| Seen {
            key: key.clone(),
            version: it.id.clone(),
            deleted: it.body.is_none(),
            status: it.status,
            body: it.body.clone(),
            about: it.about.clone(),
            versions: versions.len(),
        })
        .collect()
}

/// Whether the newest version of a key is an object.
#[must_use]
pub fn exists(world: &World, bucket: &str, key: &str) -> bool {
    let state = world.state();
    let newest = state.s3.buckets.get(bucket).and_then(|bucket| bucket.objects.get(key)?.last());
    newest.is_some_and(|newest| newest.body.is_some())
}

/// The bodies of every version of every key in a bucket as text, the newest last, whatever the network: for checkers.
#[must_use]
pub fn all_versions(world: &World, bucket: &str) -> BTreeMap<String, Vec<String>> {
    let state = world.state();
    let objects = state.s3.buckets.get(bucket).map(|bucket| &bucket.objects);
    let text = |version: &Version| Some(String::from_utf8_lossy(version.body.as_ref()?).into_owned());
    let all = objects.into_iter().flatten();
    all.map(|(key, versions)| (key.clone(), versions.iter().filter_map(text).collect())).collect()
}

/// Puts an object as a program in the bucket's Region does, and sends it on its way to the other bucket.
pub fn put_object(world: &World, bucket: &str, key: &str, body: Bytes) -> Result<(), Fault> {
    put_with(world, bucket, key, body, About { checksum: true, ..About::default() }).map(drop)
}

/// Puts an object with all that is kept with it. Returns its version id.
pub fn put_with(world: &World, bucket: &str, key: &str, body: Bytes, about: About) -> Result<String, Fault> {
    put(world, bucket, key, Some(body), about)
}

/// Deletes an object as a program in the bucket's Region does. Returns the delete marker's version id.
pub fn delete_object(world: &World, bucket: &str, key: &str) -> Result<String, Fault> {
    put(world, bucket, key, None, About::default())
}

/// Deletes one version for good: it is never replicated, and leaves no marker. Whether there was one.
pub fn erase_version(world: &World, name: &str, key: &str, version: &str) -> bool {
    let mut state = world.state();
    let Ok(bucket) = state.s3.bucket(name) else { return false };
    let Some(versions) = bucket.objects.get_mut(key) else { return false };
    let before = versions.len();
    versions.retain(|it| it.id != version);
    let erased = versions.len() < before;
    if versions.is_empty() {
        bucket.objects.remove(key);
    }
    if erased {
        state.s3.erased.insert((name.to_owned(), key.to_owned(), version.to_owned()));
    }
    erased
}

/// An error as S3 gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// Such as `NoSuchBucket`.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

fn fault(status: u16, code: &'static str, message: impl Into<String>) -> Fault {
    Fault { status, code, message: message.into() }
}

fn no_such_bucket(name: &str) -> Fault {
    fault(404, "NoSuchBucket", format!("The specified bucket does not exist: {name}"))
}

impl S3 {
    fn bucket(&mut self, name: &str) -> Result<&mut Bucket, Fault> {
        self.buckets.get_mut(name).ok_or_else(|| no_such_bucket(name))
    }

    /// A replica takes its place among the versions of its key; one that is there already is there once.
    fn arrive(&mut self, bucket: &str, key: &str, replica: Version) {
        let Ok(destination) = self.bucket(bucket) else { return };
        let versions = destination.objects.entry(key.to_owned()).or_default();
        if versions.iter().any(|known| known.id == replica.id) {
            return;
        }
        // Which of two Regions' versions is current is not documented; by creation time is this world's guess.
        let place = versions.partition_point(|known| known.created <= replica.created);
        versions.insert(place, replica);
    }
}

impl Version {
    /// In S3's quotation marks. MD5 of the content, but not of what was put in parts or encrypted under KMS.
    fn etag(&self) -> String {
        let Some(body) = &self.body else { return String::new() };
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let plain = hex(&Md5::digest(body));
        match (&self.about.kms, self.about.parts) {
            (_, Some(parts)) => format!("\"{}-{parts}\"", hex(&Md5::digest(plain.as_bytes()))),
            // Under KMS it depends on the encryption, which is another one for each version.
            (Some(key), None) => format!("\"{}\"", hex(&Md5::digest(format!("{plain}{key}{}", self.id).as_bytes()))),
            (None, None) => format!("\"{plain}\""),
        }
    }

    fn checksum(&self) -> Option<String> {
        let body = self.body.as_ref().filter(|_| self.about.checksum)?;
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, body);
        Some(aws_smithy_types::base64::encode(sum.to_be_bytes()))
    }
}

/// Adds a version; no body for a delete marker. Returns its id.
fn put(world: &World, bucket: &str, key: &str, body: Option<Bytes>, about: About) -> Result<String, Fault> {
    let now = world.now();
    let (id, replicates, lag) = {
        let mut state = world.state();
        state.s3.versions += 1;
        let id = format!("v{:08}", state.s3.versions);
        let lag = Duration::from_millis(LAG_MIN_MS + state.random.u64(0..LAG_SPREAD_MS));
        let place = state.s3.bucket(bucket)?;
        let selected =
            |rule: &Rule| (body.is_some() || rule.delete_markers) && (about.kms.is_none() || rule.kms_objects);
        let replicates = place.rule.as_ref().is_some_and(selected);
        let status = (replicates && body.is_some()).then_some("PENDING");
        let version = Version { id: id.clone(), body, about, created: now, status };
        place.objects.entry(key.to_owned()).or_default().push(version);
        (id, replicates, lag)
    };
    if replicates {
        let (bucket, key, version) = (bucket.to_owned(), key.to_owned(), id.clone());
        world.after(lag, move |world| replicate(world, bucket, key, version));
    }
    Ok(id)
}

/// Carries a version over: replicas keep their key, version and time, and are not replicated again.
fn replicate(world: &World, bucket: String, key: String, version: String) {
    let mut failed = false;
    let waits = {
        let mut state = world.state();
        let Ok(source) = state.s3.bucket(&bucket) else { return };
        let Some(rule) = source.rule.clone() else { return };
        let from = source.region;
        let Some(to) = state.s3.buckets.get(rule.destination).map(|destination| destination.region) else { return };
        let held = state.s3.paused.contains(&(bucket.clone(), rule.destination.to_owned()));
        if held || !state.network.path_up(from, to) {
            true
        } else {
            let found = state.s3.bucket(&bucket).ok().and_then(|source| {
                let found = source.objects.get_mut(&key)?.iter_mut().find(|it| it.id == version)?;
                if found.body.is_some() {
                    found.status = Some(if rule.broken { "FAILED" } else { "COMPLETED" });
                }
                Some(found.clone())
            });
            failed = rule.broken;
            if let (Some(found), false) = (found, rule.broken) {
                let replica = Version { status: found.body.as_ref().map(|_| "REPLICA"), ..found };
                state.s3.arrive(rule.destination, &key, replica);
            }
            false
        }
    };
    if failed {
        count_failure(world, &bucket);
    }
    if waits {
        world.after(RETRY, move |world| replicate(world, bucket, key, version));
    }
}

/// One more point of `OperationsFailedReplication`, in the Region of the source.
fn count_failure(world: &World, bucket: &str) {
    let (region, destination) = {
        let mut state = world.state();
        let Ok(source) = state.s3.bucket(bucket) else { return };
        (source.region, source.rule.as_ref().map_or("", |rule| rule.destination))
    };
    let dimensions = [("SourceBucket", bucket), ("DestinationBucket", destination), ("RuleId", "all")];
    world.put_metric(region, "AWS/S3", "OperationsFailedReplication", &dimensions, 1.0);
}
