//! Listings of versions: pages by key and version marker, prefixes by delimiter, keys URL-encoded when asked.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::front::Asked;
use super::{Fault, Version, fault, xml};
use crate::service::respond;

/// The most that S3 lists at once.
const PAGE_MAX: usize = 1000;

/// `GET /?versions`.
pub(super) fn versions(asked: &Asked<'_>) -> Result<http::Response<Bytes>, Fault> {
    let parameter = |name: &str| asked.query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let (prefix, delimiter) = (parameter("prefix").unwrap_or_default(), parameter("delimiter"));
    let (key_marker, version_marker) = (parameter("key-marker"), parameter("version-id-marker"));
    if version_marker.is_some() && key_marker.is_none() {
        let why = "A version-id marker cannot be specified without a key marker.";
        return Err(fault(400, "InvalidArgument", why));
    }
    let size = parameter("max-keys").and_then(|text| text.parse().ok()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let mut page = xml::Page {
        bucket: &asked.bucket,
        prefix,
        url_encoded: parameter("encoding-type") == Some("url"),
        listed: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    let mut state = asked.world.state();
    let objects = &state.s3.bucket(&asked.bucket)?.objects;
    fill(&mut page, objects, delimiter, (key_marker, version_marker), size);
    Ok(respond(200, "application/xml", xml::versions(&page)))
}

fn fill(
    page: &mut xml::Page<'_>,
    objects: &BTreeMap<String, Vec<Version>>,
    delimiter: Option<&str>,
    (key_marker, version_marker): (Option<&str>, Option<&str>),
    size: usize,
) {
    let mut last = None;
    for (key, versions) in objects.iter().filter(|(key, _)| key.starts_with(page.prefix)) {
        let behind = key_marker.is_some_and(|marker| match version_marker {
            // The rest of the versions of the marker's own key come first.
            Some(_) => key.as_str() < marker,
            None => key.as_str() <= marker,
        });
        if behind {
            continue;
        }
        let rest = key.get(page.prefix.len()..).unwrap_or_default();
        if let Some((folder, _)) = delimiter.and_then(|delimiter| rest.split_once(delimiter)) {
            let folder = format!("{}{folder}{}", page.prefix, delimiter.unwrap_or_default());
            let known = page.prefixes.last() == Some(&folder) || key_marker.is_some_and(|marker| marker >= &*folder);
            if known {
                continue;
            }
            if page.listed.len() + page.prefixes.len() >= size {
                page.next = last;
                return;
            }
            last = Some((folder.clone(), None));
            page.prefixes.push(folder);
            continue;
        }
        // S3 lists the newest version first.
        let mut resumed = key_marker != Some(key.as_str());
        for (place, it) in versions.iter().rev().enumerate() {
            if !resumed {
                resumed = version_marker == Some(it.id.as_str());
                continue;
            }
            if page.listed.len() + page.prefixes.len() >= size {
                page.next = last;
                return;
            }
            last = Some((key.clone(), Some(it.id.clone())));
            page.listed.push(xml::Listed {
                key: key.clone(),
                version: it.id.clone(),
                is_latest: place == 0,
                modified: it.created,
                etag: it.etag(),
                size: it.body.as_ref().map(Bytes::len),
                checksum: it.about.checksum,
            });
        }
    }
}
