//! Copies, in one go and in parts.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::front::{Asked, decoded};
use super::{About, Fault, Version, fault, put};

/// A multipart upload that is under way.
#[derive(Debug)]
pub(super) struct Upload {
    about: About,
    parts: BTreeMap<u32, Bytes>,
}

/// S3 copies no more than this in one go.
const COPY_MAX: usize = 5 << 30;

fn no_such_upload() -> Fault {
    fault(404, "NoSuchUpload", "The specified upload does not exist.")
}

/// The version that the request's copy source names, in whichever Region; a dark one's cannot be read.
fn source(asked: &Asked<'_>) -> Result<Version, Fault> {
    let text = decoded(asked.header("x-amz-copy-source").unwrap_or_default());
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text.as_str(), None),
    };
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let mut state = asked.world.state();
    let (from, to) = (state.s3.bucket(bucket)?.region, state.s3.bucket(&asked.bucket)?.region);
    if !state.network.path_up(to, from) {
        return Err(fault(503, "ServiceUnavailable", "the source cannot be read"));
    }
    let versions = state.s3.bucket(bucket)?.objects.get(key);
    let found = versions.and_then(|versions| match version {
        Some(id) => versions.iter().find(|it| it.id == id),
        None => versions.last(),
    });
    match found {
        Some(it) if it.body.is_some() => Ok(it.clone()),
        Some(_) => Err(fault(
            400,
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        )),
        None => Err(fault(404, "NoSuchVersion", "The specified version does not exist.")),
    }
}

/// `CopyObject`: a new version with a new id; the storage class and the encryption are those of the request.
pub(super) fn copy(asked: &Asked<'_>) -> Result<String, Fault> {
    let source = source(asked)?;
    asked.check_preconditions()?;
    let body = source.body.unwrap_or_default();
    if body.len() > COPY_MAX {
        return Err(fault(
            400,
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size",
        ));
    }
    let mut about = asked.about();
    if asked.header("x-amz-metadata-directive") != Some("REPLACE") {
        let class = about.headers.remove("x-amz-storage-class");
        about.headers = source.about.headers;
        about.headers.remove("x-amz-storage-class");
        about.headers.extend(class.map(|class| ("x-amz-storage-class".to_owned(), class)));
    }
    if asked.header("x-amz-tagging-directive") != Some("REPLACE") {
        about.tags = source.about.tags;
    }
    put(asked.world, &asked.bucket, &asked.key, Some(body), about)
}

/// `CreateMultipartUpload`.
pub(super) fn create(asked: &Asked<'_>) -> Result<String, Fault> {
    let mut state = asked.world.state();
    state.s3.bucket(&asked.bucket)?;
    state.s3.versions += 1;
    let id = format!("u{:08}", state.s3.versions);
    let upload = Upload { about: asked.about(), parts: BTreeMap::new() };
    state.s3.uploads.insert(id.clone(), upload);
    Ok(id)
}

/// `UploadPartCopy`.
pub(super) fn part(asked: &Asked<'_>) -> Result<(), Fault> {
    let body = source(asked)?.body.unwrap_or_default();
    let range = asked.header("x-amz-copy-source-range").and_then(|range| range.strip_prefix("bytes="));
    let bounds = range.and_then(|range| range.split_once('-')).map(|(from, to)| (from.parse(), to.parse::<usize>()));
    let part = match bounds {
        Some((Ok(from), Ok(to))) if from <= to && to < body.len() => body.slice(from..=to),
        None => body,
        Some(_) => {
            return Err(fault(
                400,
                "InvalidArgument",
                "The x-amz-copy-source-range value must be of the form bytes=first-last",
            ));
        }
    };
    let number = asked.query.get("partNumber").and_then(|number| number.parse().ok());
    let number: u32 = number.ok_or_else(|| fault(400, "InvalidArgument", "Part number must be an integer"))?;
    let mut state = asked.world.state();
    let id = asked.query.get("uploadId").cloned().unwrap_or_default();
    state.s3.uploads.get_mut(&id).ok_or_else(no_such_upload)?.parts.insert(number, part);
    Ok(())
}

/// `CompleteMultipartUpload`.
pub(super) fn complete(asked: &Asked<'_>) -> Result<String, Fault> {
    asked.check_preconditions()?;
    let id = asked.query.get("uploadId").cloned().unwrap_or_default();
    let Upload { mut about, parts } = asked.world.state().s3.uploads.remove(&id).ok_or_else(no_such_upload)?;
    about.parts = Some(parts.len());
    let mut body = BytesMut::new();
    for part in parts.values() {
        body.extend_from_slice(part);
    }
    put(asked.world, &asked.bucket, &asked.key, Some(body.freeze()), about)
}

/// `AbortMultipartUpload`.
pub(super) fn abort(asked: &Asked<'_>) {
    let id = asked.query.get("uploadId").cloned().unwrap_or_default();
    asked.world.state().s3.uploads.remove(&id);
}
