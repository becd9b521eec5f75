//! S3's requests and answers.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{About, Fault, Version, batch, erase_version, fault, list, put, upload, xml};
use crate::region::Region;
use crate::service::respond;
use crate::world::World;

/// A request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) request: &'a http::Request<Bytes>,
}

impl Asked<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// What a request says to keep with the object.
    pub(super) fn about(&self) -> About {
        const KEPT: [&str; 8] = [
            "content-type",
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "expires",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        ];
        let headers = self.request.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str();
            let kept =
                KEPT.contains(&name) || name.starts_with("x-amz-meta-") || name.starts_with("x-amz-object-lock-");
            kept.then(|| Some((name.to_owned(), value.to_str().ok()?.to_owned()))).flatten()
        });
        let kms = (self.header("x-amz-server-side-encryption") == Some("aws:kms"))
            .then(|| self.header("x-amz-server-side-encryption-aws-kms-key-id").unwrap_or("alias/aws/s3").to_owned());
        let tags = self.header("x-amz-tagging").unwrap_or_default().to_owned();
        About { headers: headers.collect(), tags, kms, parts: None, checksum: true }
    }

    /// `If-None-Match: *` and `If-Match` against what is current at the key.
    pub(super) fn check_preconditions(&self) -> Result<(), Fault> {
        let unmet =
            || fault(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
        let current = {
            let mut state = self.world.state();
            let versions = state.s3.bucket(&self.bucket)?.objects.get(&self.key);
            versions.and_then(|versions| versions.last()).filter(|it| it.body.is_some()).map(Version::etag)
        };
        if self.header("if-none-match") == Some("*") && current.is_some() {
            return Err(unmet());
        }
        if let Some(wanted) = self.header("if-match") {
            let Some(current) = current else {
                return Err(fault(404, "NoSuchKey", "The specified key does not exist."));
            };
            if wanted.trim_matches('"') != current.trim_matches('"') {
                return Err(unmet());
            }
        }
        Ok(())
    }
}

/// The bucket and the key of a request, however it is addressed.
fn place(request: &http::Request<Bytes>) -> (String, String) {
    let host = request.uri().host().unwrap_or_default();
    let path = request.uri().path().trim_start_matches('/');
    match host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), decoded(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (bucket.to_owned(), decoded(key))
        }
    }
}

/// Percent-decoded; a plus sign in a path is itself.
pub(super) fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().bytes().collect();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(2));
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn query(request: &http::Request<Bytes>) -> BTreeMap<String, String> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// An injected error in S3's shape.
pub(crate) fn error_body(code: &str, message: &str) -> String {
    xml::error(code, message)
}

/// The operation's name, from method, path, query and the copy source.
pub(crate) fn operation(request: &http::Request<Bytes>) -> &'static str {
    if batch::is_control(request) {
        return batch::operation(request);
    }
    let (_, key) = place(request);
    let query = query(request);
    let asks = |name: &str| query.contains_key(name);
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (request.method().as_str(), key.is_empty()) {
        ("PUT", false) if asks("partNumber") && copies => "UploadPartCopy",
        ("PUT", false) if copies => "CopyObject",
        ("PUT", false) => "PutObject",
        ("POST", false) if asks("uploads") => "CreateMultipartUpload",
        ("POST", false) if asks("uploadId") => "CompleteMultipartUpload",
        ("GET", false) if asks("tagging") => "GetObjectTagging",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        ("DELETE", false) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", false) => "DeleteObject",
        ("GET", true) if asks("replication") => "GetBucketReplication",
        ("GET", true) if asks("versioning") => "GetBucketVersioning",
        ("GET", true) if asks("versions") => "ListObjectVersions",
        (_, _) => "?",
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let (bucket, key) = place(request);
    let asked = Asked { world, bucket, key, query: query(request), request };
    if batch::is_control(request) {
        return batch::handle(&asked, at);
    }
    match answer(&asked, at) {
        Ok(response) => response,
        Err(Fault { status, code, message }) => {
            let head = request.method() == http::Method::HEAD;
            let body = if head { String::new() } else { xml::error(code, &message) };
            respond(status, "application/xml", body)
        }
    }
}

fn answer(asked: &Asked<'_>, at: Region) -> Result<http::Response<Bytes>, Fault> {
    let Asked { world, bucket, key, request, .. } = asked;
    if world.state().s3.bucket(bucket)?.region != at {
        return Err(fault(301, "PermanentRedirect", format!("{bucket} is in another Region")));
    }
    match operation(request) {
        "PutObject" => {
            asked.check_preconditions()?;
            let version = put(world, bucket, key, Some(request.body().clone()), asked.about())?;
            written(asked, &version, String::new())
        }
        "CopyObject" => {
            let version = upload::copy(asked)?;
            let etag = find(asked, Some(&version))?.etag();
            written(asked, &version, xml::copied(&etag, world.now()))
        }
        "CreateMultipartUpload" => {
            let id = upload::create(asked)?;
            Ok(respond(200, "application/xml", xml::upload(bucket, key, &id)))
        }
        "UploadPartCopy" => {
            upload::part(asked)?;
            Ok(respond(200, "application/xml", xml::copied_part(world.now())))
        }
        "CompleteMultipartUpload" => {
            let version = upload::complete(asked)?;
            written(asked, &version, xml::completed(bucket, key, &find(asked, Some(&version))?.etag()))
        }
        "AbortMultipartUpload" => {
            upload::abort(asked);
            Ok(respond(204, "application/xml", ""))
        }
        "GetObjectTagging" => {
            let found = find(asked, asked.query.get("versionId").map(String::as_str))?;
            Ok(respond(200, "application/xml", xml::tags(&found.about.tags)))
        }
        "DeleteObject" => delete(asked),
        "GetObject" | "HeadObject" => show(asked),
        "GetBucketReplication" => {
            let rule = world.state().s3.bucket(bucket)?.rule.clone();
            let none =
                || fault(404, "ReplicationConfigurationNotFoundError", "The replication configuration was not found");
            Ok(respond(200, "application/xml", xml::replication(&rule.ok_or_else(none)?)))
        }
        "GetBucketVersioning" => Ok(respond(200, "application/xml", xml::versioning())),
        "ListObjectVersions" => list::versions(asked),
        _ => Err(fault(
            501,
            "NotImplemented",
            "this world's S3 speaks PutObject, CopyObject, multipart copies, GetObject, HeadObject, GetObjectTagging, DeleteObject, GetBucketReplication, GetBucketVersioning and ListObjectVersions",
        )),
    }
}

fn written(asked: &Asked<'_>, version: &str, body: String) -> Result<http::Response<Bytes>, Fault> {
    let etag = find(asked, Some(version))?.etag();
    with_headers(respond(200, "application/xml", body), &[("x-amz-version-id", version), ("etag", &etag)])
}

fn delete(asked: &Asked<'_>) -> Result<http::Response<Bytes>, Fault> {
    let Asked { world, bucket, key, .. } = asked;
    asked.check_preconditions()?;
    if let Some(version) = asked.query.get("versionId") {
        erase_version(world, bucket, key, version);
        return with_headers(respond(204, "application/xml", ""), &[("x-amz-version-id", version)]);
    }
    let marker = put(world, bucket, key, None, About::default())?;
    with_headers(respond(204, "application/xml", ""), &[("x-amz-version-id", &marker), ("x-amz-delete-marker", "true")])
}

/// The version that is asked for, or the newest one. A delete marker is found, too.
fn find(asked: &Asked<'_>, version: Option<&str>) -> Result<Version, Fault> {
    let mut state = asked.world.state();
    let versions = state.s3.bucket(&asked.bucket)?.objects.get(&asked.key);
    let found = versions.and_then(|versions| match version {
        Some(id) => versions.iter().find(|it| it.id == id),
        None => versions.last(),
    });
    let code = if version.is_some() { "NoSuchVersion" } else { "NoSuchKey" };
    found.cloned().ok_or_else(|| fault(404, code, format!("The specified key does not exist: {}", asked.key)))
}

fn show(asked: &Asked<'_>) -> Result<http::Response<Bytes>, Fault> {
    let head = asked.request.method() == http::Method::HEAD;
    let version = asked.query.get("versionId").map(String::as_str);
    let found = find(asked, version)?;
    let (etag, checksum) = (found.etag(), found.checksum());
    let Version { id, body: Some(body), about, created, status } = found else {
        // A marker that is asked for by its id allows nothing; one that is current hides the object.
        let (status, code) = if version.is_some() { (405, "MethodNotAllowed") } else { (404, "NoSuchKey") };
        let text = if head { String::new() } else { xml::error(code, "the newest version is a delete marker") };
        let headers = [("x-amz-delete-marker", "true"), ("x-amz-version-id", found.id.as_str())];
        return with_headers(respond(status, "application/xml", text), &headers);
    };
    let range = asked.header("range").and_then(|range| range.strip_prefix("bytes=")).and_then(|it| it.split_once('-'));
    let range = range.map(|(from, to)| (from.parse::<usize>().ok(), to.parse::<usize>().ok()));
    let (code, body, place) = match range {
        None => (200, body, None),
        Some((Some(from), to)) if from < body.len() => {
            let to = to.unwrap_or(usize::MAX).min(body.len() - 1);
            (206, body.slice(from..=to.max(from)), Some(format!("bytes {from}-{to}/{}", body.len())))
        }
        Some(_) => return Err(fault(416, "InvalidRange", "The requested range is not satisfiable")),
    };
    let length = body.len().to_string();
    let sent = if head { Bytes::new() } else { body };
    let mut headers = vec![
        ("x-amz-version-id".to_owned(), id),
        ("last-modified".to_owned(), created.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("etag".to_owned(), etag),
        ("content-length".to_owned(), length),
    ];
    headers.extend(place.map(|place| ("content-range".to_owned(), place)));
    headers.extend(status.map(|status| ("x-amz-replication-status".to_owned(), status.to_owned())));
    if let Some(key) = about.kms {
        headers.push(("x-amz-server-side-encryption".to_owned(), "aws:kms".to_owned()));
        headers.push(("x-amz-server-side-encryption-aws-kms-key-id".to_owned(), key));
    }
    if let Some(checksum) = checksum.filter(|_| asked.header("x-amz-checksum-mode") == Some("ENABLED")) {
        headers.push(("x-amz-checksum-crc64nvme".to_owned(), checksum));
        headers.push(("x-amz-checksum-type".to_owned(), "FULL_OBJECT".to_owned()));
    }
    if !about.tags.is_empty() {
        headers.push(("x-amz-tagging-count".to_owned(), about.tags.split('&').count().to_string()));
    }
    headers.extend(about.headers);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    with_headers(respond(code, "binary/octet-stream", sent), &headers)
}

fn with_headers(mut response: http::Response<Bytes>, headers: &[(&str, &str)]) -> Result<http::Response<Bytes>, Fault> {
    for (name, value) in headers {
        let unusable = || fault(500, "InternalError", format!("the header {name} cannot be sent"));
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        response.headers_mut().insert(name, http::HeaderValue::from_str(value).map_err(|_| unusable())?);
    }
    Ok(response)
}
