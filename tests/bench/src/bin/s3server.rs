//! An S3 server of two buckets that are worked out and not stored, for benchmarks: listings of versions and of objects,
//! HEAD, conditional copies and deletes, and small objects under `holdfast/`. Latency is added where it is asked for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bench::keys::{Population, SIZE, Version, versions};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 9600)]
    port: u16,
    /// Numbers to make keys of.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// No folders.
    #[arg(long)]
    flat: bool,
    /// Added to each listing.
    #[arg(long, default_value_t = 0)]
    list_ms: u64,
    /// Added to every other call.
    #[arg(long, default_value_t = 0)]
    other_ms: u64,
}

struct Server {
    arguments: Arguments,
    population: Population,
    now: u64,
    /// What was written, newest first, over what is worked out: `(second bucket, key)`.
    written: Mutex<BTreeMap<(bool, String), Vec<Written>>>,
    /// Small objects under `holdfast/`.
    own: Mutex<BTreeMap<String, Bytes>>,
    ids: AtomicU64,
    calls: Mutex<BTreeMap<String, u64>>,
}

/// A version with its metadata.
type Written = (Version, BTreeMap<String, String>);
type Query = BTreeMap<String, String>;
type Answer = http::Response<Full<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    let server = Arc::new(Server {
        population: Population { keys: arguments.keys, flat: arguments.flat },
        now: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0),
        arguments,
        written: Mutex::default(),
        own: Mutex::default(),
        ids: AtomicU64::new(0),
        calls: Mutex::default(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let serve = service_fn(|request| answer(&server, request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

async fn answer(server: &Server, request: http::Request<Incoming>) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = decoded(parts.uri.path().trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let second = bucket.ends_with('b');
    let query: Query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let method = parts.method.as_str();
    let (name, wait) = match (method, key.is_empty()) {
        ("GET", true) if query.contains_key("versions") => ("ListObjectVersions", server.arguments.list_ms),
        ("GET", true) if query.contains_key("calls") => ("", 0),
        ("GET", true) => ("ListObjects", server.arguments.list_ms),
        ("PUT", false) if parts.headers.contains_key("x-amz-copy-source") => ("CopyObject", server.arguments.other_ms),
        ("PUT", false) => ("PutObject", server.arguments.other_ms),
        ("GET", false) => ("GetObject", server.arguments.other_ms),
        ("HEAD", false) => ("HeadObject", server.arguments.other_ms),
        ("DELETE", false) => ("DeleteObject", server.arguments.other_ms),
        (_, _) => ("other", 0),
    };
    if !name.is_empty() {
        *lock(&server.calls).entry(name.to_owned()).or_default() += 1;
    }
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Ok(match name {
        "" => {
            let mut calls = lock(&server.calls);
            let listed: Vec<String> = calls.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
            calls.clear();
            respond(200, &[], format!("{{{}}}", listed.join(",")))
        }
        "ListObjectVersions" => list_versions(server, second, &query),
        "ListObjects" => list_objects(server, second, &query),
        "HeadObject" => head(server, second, key, query.get("versionId").map(String::as_str)),
        "GetObject" => match lock(&server.own).get(key) {
            Some(bytes) => respond(200, &[("etag", "\"own\"".into())], bytes.clone()),
            None => error(404, "NoSuchKey"),
        },
        "PutObject" => {
            lock(&server.own).insert(key.to_owned(), body);
            respond(200, &[("etag", "\"own\"".into())], "")
        }
        "CopyObject" => copy(server, second, key, &header, &parts.headers),
        "DeleteObject" => delete(server, second, key, header("if-match")),
        _ => respond(200, &[], ""),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decoded(text: &str) -> String {
    // Percent-encoding of ASCII is all that these keys need, beside the markers of discovery.
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn respond(status: u16, headers: &[(&str, String)], body: impl Into<Bytes>) -> Answer {
    let mut builder = http::Response::builder().status(status).header("content-type", "application/xml");
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Full::new(body.into())).unwrap_or_default()
}

fn error(status: u16, code: &str) -> Answer {
    respond(status, &[], format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

impl Server {
    /// The versions of a key, newest first.
    fn versions_of(&self, second: bool, number: u64, key: &str, found: &mut Vec<Version>) {
        versions(number, second, self.now, found);
        if let Some(written) = lock(&self.written).get(&(second, key.to_owned())) {
            found.splice(0..0, written.iter().map(|(version, _)| version.clone()));
        }
    }

    fn next_id(&self) -> String {
        format!("w{:031x}", self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

fn date(seconds: u64) -> String {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

const OWNER: &str = "<Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID></Owner>";

/// What a page is filled with.
struct Page {
    entries: String,
    prefixes: String,
    count: usize,
    last: String,
    last_version: String,
    is_truncated: bool,
}

/// Walks the keys after a marker, folding them at the delimiter.
fn walk(
    server: &Server,
    (prefix, delimiter, marker): (&str, Option<&str>, &str),
    keys_max: usize,
    mut entry: impl FnMut(&mut Page, u64, &str) -> bool,
) -> Page {
    let population = &server.population;
    let mut page = Page {
        entries: String::with_capacity(keys_max.min(1000) * 420),
        prefixes: String::new(),
        count: 0,
        last: String::new(),
        last_version: String::new(),
        is_truncated: false,
    };
    let mut number =
        population.seek(prefix, false).max(if marker.is_empty() { 0 } else { population.seek(marker, true) });
    let mut key = String::new();
    while number < population.keys {
        population.write_key(number, &mut key);
        let Some(rest) = key.strip_prefix(prefix) else { break };
        if let Some(folder) = delimiter.and_then(|delimiter| rest.split_once(delimiter)).map(|(folder, _)| folder) {
            let folder = format!("{prefix}{folder}/");
            if marker < folder.as_str() {
                if page.count >= keys_max {
                    page.is_truncated = true;
                    break;
                }
                let _ = write!(page.prefixes, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
                page.count += 1;
                page.last.clone_from(&folder);
                page.last_version.clear();
            }
            number = population.seek(&format!("{folder}\u{10ffff}"), true);
            continue;
        }
        if !entry(&mut page, number, &key) {
            page.is_truncated = true;
            break;
        }
        number += 1;
    }
    page
}

fn parameters(query: &Query) -> (&str, Option<&str>, usize) {
    let text = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let keys_max = text("max-keys").and_then(|max| max.parse().ok()).unwrap_or(1000).min(1000);
    (text("prefix").unwrap_or_default(), text("delimiter"), keys_max)
}

fn list_versions(server: &Server, second: bool, query: &Query) -> Answer {
    let (prefix, delimiter, keys_max) = parameters(query);
    let marker = query.get("key-marker").map(String::as_str).unwrap_or_default();
    let version_marker = query.get("version-id-marker").map(String::as_str).unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = String::new();
    // The rest of a key whose versions did not fit on the page before.
    if let Some(number) = server.population.number(marker).filter(|_| !version_marker.is_empty()) {
        server.versions_of(second, number, marker, &mut found);
        let after = found.iter().position(|version| version.id == version_marker).map_or(0, |at| at + 1);
        for version in found.iter().skip(after) {
            write_version(&mut rest, marker, version, false);
        }
    }
    let mut page = walk(server, (prefix, delimiter, marker), keys_max, |page, number, key| {
        server.versions_of(second, number, key, &mut found);
        for (place, version) in found.iter().enumerate() {
            if page.count >= keys_max {
                return false;
            }
            write_version(&mut page.entries, key, version, place == 0);
            page.count += 1;
            page.last.clear();
            page.last.push_str(key);
            page.last_version.clone_from(&version.id);
        }
        true
    });
    page.entries.insert_str(0, &rest);
    let next = if page.is_truncated {
        format!(
            "<NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{}</NextVersionIdMarker>",
            page.last, page.last_version
        )
    } else {
        String::new()
    };
    respond(
        200,
        &[],
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>x</Name><Prefix>{prefix}</Prefix><MaxKeys>{keys_max}</MaxKeys><IsTruncated>{}</IsTruncated>{next}{}{}</ListVersionsResult>",
            page.is_truncated, page.entries, page.prefixes
        ),
    )
}

fn write_version(text: &mut String, key: &str, version: &Version, latest: bool) {
    let (element, content) = match &version.etag {
        Some(etag) => (
            "Version",
            format!(
                "<ETag>&quot;{etag}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>{SIZE}</Size><StorageClass>STANDARD</StorageClass>"
            ),
        ),
        None => ("DeleteMarker", String::new()),
    };
    let _ = write!(
        text,
        "<{element}><Key>{key}</Key><VersionId>{}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{}</LastModified>{content}{OWNER}</{element}>",
        version.id,
        date(version.modified)
    );
}

/// `ListObjects` and `ListObjectsV2`: what peers use.
fn list_objects(server: &Server, second: bool, query: &Query) -> Answer {
    let (prefix, delimiter, keys_max) = parameters(query);
    let marker = ["continuation-token", "start-after", "marker"].iter().find_map(|name| query.get(*name));
    let marker = marker.map(String::as_str).unwrap_or_default();
    let mut found = Vec::new();
    let page = walk(server, (prefix, delimiter, marker), keys_max, |page, number, key| {
        server.versions_of(second, number, key, &mut found);
        let Some((version, etag)) = found.first().and_then(|version| Some((version, version.etag.as_ref()?))) else {
            return true;
        };
        if page.count >= keys_max {
            return false;
        }
        let _ = write!(
            page.entries,
            "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>{SIZE}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            date(version.modified)
        );
        page.count += 1;
        page.last.clear();
        page.last.push_str(key);
        true
    });
    let next = if page.is_truncated {
        format!("<NextMarker>{0}</NextMarker><NextContinuationToken>{0}</NextContinuationToken>", page.last)
    } else {
        String::new()
    };
    respond(
        200,
        &[],
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>x</Name><Prefix>{prefix}</Prefix><MaxKeys>{keys_max}</MaxKeys><KeyCount>{}</KeyCount><IsTruncated>{}</IsTruncated>{next}{}{}</ListBucketResult>",
            page.count, page.is_truncated, page.entries, page.prefixes
        ),
    )
}

fn head(server: &Server, second: bool, key: &str, version: Option<&str>) -> Answer {
    let Some(number) = server.population.number(key) else { return error(404, "NoSuchKey") };
    let mut found = Vec::new();
    server.versions_of(second, number, key, &mut found);
    let wanted = match version {
        Some(id) => found.iter().find(|it| it.id == id),
        None => found.first(),
    };
    let Some(it) = wanted else { return error(404, "NoSuchKey") };
    let mut headers = vec![("x-amz-version-id", it.id.clone())];
    let Some(etag) = &it.etag else {
        headers.push(("x-amz-delete-marker", "true".into()));
        return respond(404, &headers, "");
    };
    headers.push(("etag", format!("\"{etag}\"")));
    headers.push(("content-length", SIZE.to_string()));
    headers.extend(it.status.map(|status| ("x-amz-replication-status", status.to_owned())));
    let written = lock(&server.written);
    let metadata =
        written.get(&(second, key.to_owned())).into_iter().flatten().find(|(version, _)| version.id == it.id);
    for (name, value) in metadata.into_iter().flat_map(|(_, metadata)| metadata) {
        headers.push((name.as_str(), value.clone()));
    }
    respond(200, &headers, "")
}

fn copy<'a>(
    server: &Server,
    second: bool,
    key: &str,
    header: &dyn Fn(&str) -> Option<&'a str>,
    headers: &http::HeaderMap,
) -> Answer {
    let Some(number) = server.population.number(key) else { return error(404, "NoSuchKey") };
    let mut found = Vec::new();
    server.versions_of(second, number, key, &mut found);
    let current = found.first().and_then(|version| version.etag.clone());
    let unmet = (header("if-none-match").is_some() && current.is_some())
        || header("if-match").is_some_and(|wanted| Some(wanted.trim_matches('"')) != current.as_deref());
    if unmet {
        return error(412, "PreconditionFailed");
    }
    let source = header("x-amz-copy-source").and_then(|source| source.rsplit_once("versionId="));
    server.versions_of(!second, number, key, &mut found);
    let source = source.and_then(|(_, id)| found.iter().find(|version| version.id == id)).cloned();
    let Some(source) = source else { return error(404, "NoSuchVersion") };
    let version = Version { id: server.next_id(), modified: server.now, status: None, ..source };
    let metadata = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"));
    let metadata =
        metadata.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let answer = respond(
        200,
        &[("x-amz-version-id", version.id.clone())],
        "<CopyObjectResult><ETag>&quot;x&quot;</ETag><LastModified>2026-11-24T00:00:00.000Z</LastModified></CopyObjectResult>",
    );
    let metadata = metadata.collect();
    lock(&server.written).entry((second, key.to_owned())).or_default().insert(0, (version, metadata));
    answer
}

fn delete(server: &Server, second: bool, key: &str, if_match: Option<&str>) -> Answer {
    let Some(number) = server.population.number(key) else { return error(404, "NoSuchKey") };
    let mut found = Vec::new();
    server.versions_of(second, number, key, &mut found);
    let current = found.first().and_then(|version| version.etag.clone());
    if if_match.is_some_and(|wanted| Some(wanted.trim_matches('"')) != current.as_deref()) {
        return error(412, "PreconditionFailed");
    }
    let marker = Version { id: server.next_id(), etag: None, modified: server.now, status: None };
    let headers = [("x-amz-version-id", marker.id.clone()), ("x-amz-delete-marker", "true".into())];
    lock(&server.written).entry((second, key.to_owned())).or_default().insert(0, (marker, BTreeMap::new()));
    respond(204, &headers, "")
}
