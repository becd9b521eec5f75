//! S3: versioned buckets, replication by rule with lag, delete markers and per-object status (S3 replication.html and
//! replication-status.html), in REST-XML. Path-style and virtual-hosted requests both work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::region::Region;
use crate::service::respond;
use crate::world::World;

mod xml;

/// Every bucket.
#[derive(Default)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
    paused: BTreeSet<(String, String)>,
    versions: u64,
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
    metadata: BTreeMap<String, String>,
    created: Timestamp,
    status: Option<&'static str>,
    kms: bool,
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
    let newest = objects.into_iter().flatten().filter_map(|(key, versions)| Some((key, versions.last()?)));
    newest
        .map(|(key, it)| Seen {
            key: key.clone(),
            version: it.id.clone(),
            deleted: it.body.is_none(),
            status: it.status,
        })
        .collect()
}

/// Puts an object as a program in the bucket's Region does, and sends it on its way to the other bucket.
pub fn put_object(world: &World, bucket: &str, key: &str, body: Bytes) -> Result<(), Fault> {
    put(world, bucket, key, Some(body), BTreeMap::new(), false).map(drop)
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
}

/// Adds a version; `None` for a delete marker. Returns its id.
fn put(
    world: &World,
    bucket: &str,
    key: &str,
    body: Option<Bytes>,
    metadata: BTreeMap<String, String>,
    kms: bool,
) -> Result<String, Fault> {
    let now = world.now();
    let (id, replicates, lag) = {
        let mut state = world.state();
        state.s3.versions += 1;
        let id = format!("v{:08}", state.s3.versions);
        let lag = Duration::from_millis(LAG_MIN_MS + state.random.u64(0..LAG_SPREAD_MS));
        let place = state.s3.bucket(bucket)?;
        let selected = |rule: &Rule| (body.is_some() || rule.delete_markers) && (!kms || rule.kms_objects);
        let replicates = place.rule.as_ref().is_some_and(selected);
        let status = (replicates && body.is_some()).then_some("PENDING");
        let version = Version { id: id.clone(), body, metadata, created: now, status, kms };
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
            if let (Some(found), false, Ok(destination)) = (found, rule.broken, state.s3.bucket(rule.destination)) {
                let replica = Version { status: found.body.as_ref().map(|_| "REPLICA"), ..found };
                let versions = destination.objects.entry(key.clone()).or_default();
                // Which of two Regions' versions is current is not documented; by creation time is this world's guess.
                let place = versions.partition_point(|known| known.created <= replica.created);
                versions.insert(place, replica);
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

/// The bucket and the key of a request, however it is addressed.
fn place(request: &http::Request<Bytes>) -> (String, String) {
    let host = request.uri().host().unwrap_or_default();
    let path = request.uri().path().trim_start_matches('/');
    let decoded = |text: &str| text.replace("%2F", "/").replace("%20", " ");
    match host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), decoded(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (bucket.to_owned(), decoded(key))
        }
    }
}

fn asks(request: &http::Request<Bytes>, name: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|part| part == name || part.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

/// An injected error in S3's shape.
pub(crate) fn error_body(code: &str, message: &str) -> String {
    xml::error(code, message)
}

/// The operation's name, from method, path and query.
pub(crate) fn operation(request: &http::Request<Bytes>) -> &'static str {
    let (_, key) = place(request);
    match (request.method().as_str(), key.is_empty()) {
        ("PUT", false) => "PutObject",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        ("DELETE", false) => "DeleteObject",
        ("GET", true) if asks(request, "replication") => "GetBucketReplication",
        ("GET", true) if asks(request, "versioning") => "GetBucketVersioning",
        ("GET", true) if asks(request, "versions") => "ListObjectVersions",
        (_, _) => "?",
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let (name, key) = place(request);
    match answer(world, at, &name, &key, request) {
        Ok(response) => response,
        Err(Fault { status, code, message }) => {
            let head = request.method() == http::Method::HEAD;
            let body = if head { String::new() } else { xml::error(code, &message) };
            respond(status, "application/xml", body)
        }
    }
}

fn answer(
    world: &World,
    at: Region,
    name: &str,
    key: &str,
    request: &http::Request<Bytes>,
) -> Result<http::Response<Bytes>, Fault> {
    if world.state().s3.bucket(name)?.region != at {
        return Err(fault(301, "PermanentRedirect", format!("{name} is in another Region")));
    }
    match operation(request) {
        "PutObject" => {
            let metadata = request.headers().iter().filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-amz-meta-")?;
                Some((name.to_owned(), value.to_str().ok()?.to_owned()))
            });
            let kms = request.headers().get("x-amz-server-side-encryption").is_some_and(|it| it == "aws:kms");
            let body = Some(request.body().clone());
            let version = put(world, name, key, body, metadata.collect(), kms)?;
            with_headers(respond(200, "application/xml", ""), &[("x-amz-version-id", &version), ("etag", "\"0\"")])
        }
        "DeleteObject" => {
            let marker = put(world, name, key, None, BTreeMap::new(), false)?;
            with_headers(
                respond(204, "application/xml", ""),
                &[("x-amz-version-id", &marker), ("x-amz-delete-marker", "true")],
            )
        }
        "GetObject" | "HeadObject" => {
            let found = {
                let mut state = world.state();
                state.s3.bucket(name)?.objects.get(key).and_then(|versions| versions.last()).cloned()
            };
            let Some(Version { id, body: Some(body), metadata, created, status, kms }) = found else {
                return Err(fault(404, "NoSuchKey", format!("The specified key does not exist: {key}")));
            };
            let modified = created.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let length = body.len().to_string();
            let sent = if request.method() == http::Method::HEAD { Bytes::new() } else { body };
            let mut headers = vec![
                ("x-amz-version-id".to_owned(), id),
                ("last-modified".to_owned(), modified),
                ("etag".to_owned(), "\"0\"".to_owned()),
                ("content-length".to_owned(), length),
            ];
            headers.extend(status.map(|status| ("x-amz-replication-status".to_owned(), status.to_owned())));
            headers.extend(kms.then(|| ("x-amz-server-side-encryption".to_owned(), "aws:kms".to_owned())));
            headers.extend(metadata.into_iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value)));
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            with_headers(respond(200, "binary/octet-stream", sent), &headers)
        }
        "GetBucketReplication" => {
            let rule = world.state().s3.bucket(name)?.rule.clone();
            let none =
                || fault(404, "ReplicationConfigurationNotFoundError", "The replication configuration was not found");
            Ok(respond(200, "application/xml", xml::replication(&rule.ok_or_else(none)?)))
        }
        "GetBucketVersioning" => Ok(respond(200, "application/xml", xml::versioning())),
        "ListObjectVersions" => {
            let mut state = world.state();
            let listed: Vec<xml::Listed> = state
                .s3
                .bucket(name)?
                .objects
                .iter()
                .flat_map(|(key, versions)| {
                    let newest = versions.len();
                    // S3 lists the newest version first.
                    (1..)
                        .zip(versions)
                        .map(move |(number, it)| (key, number == newest, it))
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                })
                .map(|(key, is_latest, it)| xml::Listed {
                    key: key.clone(),
                    version: it.id.clone(),
                    is_latest,
                    modified: it.created,
                    size: it.body.as_ref().map(Bytes::len),
                })
                .collect();
            Ok(respond(200, "application/xml", xml::versions(name, &listed)))
        }
        _ => Err(fault(
            501,
            "NotImplemented",
            "this world's S3 speaks PutObject, GetObject, HeadObject, DeleteObject, GetBucketReplication, GetBucketVersioning and ListObjectVersions",
        )),
    }
}

fn with_headers(mut response: http::Response<Bytes>, headers: &[(&str, &str)]) -> Result<http::Response<Bytes>, Fault> {
    for (name, value) in headers {
        let unusable = || fault(500, "InternalError", format!("the header {name} cannot be sent"));
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        response.headers_mut().insert(name, http::HeaderValue::from_str(value).map_err(|_| unusable())?);
    }
    Ok(response)
}
