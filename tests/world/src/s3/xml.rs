//! What S3 answers, in XML.

use std::fmt::Write as _;

use jiff::Timestamp;
use quick_xml::escape::escape;

use super::Rule;

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A version in a list.
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) version: String,
    pub(super) is_latest: bool,
    pub(super) modified: Timestamp,
    pub(super) etag: String,
    /// Absent: a delete marker.
    pub(super) size: Option<usize>,
    pub(super) checksum: bool,
}

/// A page of versions.
pub(super) struct Page<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
    pub(super) url_encoded: bool,
    pub(super) listed: Vec<Listed>,
    pub(super) prefixes: Vec<String>,
    /// Where the next page begins: after this key, or after this version of it.
    pub(super) next: Option<(String, Option<String>)>,
}

pub(super) fn error(code: &str, message: &str) -> String {
    let message = escape(message);
    format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>0</RequestId></Error>")
}

pub(super) fn versioning() -> String {
    format!(r#"<VersioningConfiguration xmlns="{NAMESPACE}"><Status>Enabled</Status></VersioningConfiguration>"#)
}

pub(super) fn replication(rule: &Rule) -> String {
    let on = |enabled: bool| if enabled { "Enabled" } else { "Disabled" };
    format!(
        r#"<ReplicationConfiguration xmlns="{NAMESPACE}"><Role>arn:aws:iam::123456789012:role/replication</Role><Rule><ID>all</ID><Priority>1</Priority><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><SourceSelectionCriteria><SseKmsEncryptedObjects><Status>{}</Status></SseKmsEncryptedObjects><ReplicaModifications><Status>{}</Status></ReplicaModifications></SourceSelectionCriteria><Destination><Bucket>arn:aws:s3:::{}</Bucket><Metrics><Status>Enabled</Status></Metrics></Destination><DeleteMarkerReplication><Status>{}</Status></DeleteMarkerReplication></Rule></ReplicationConfiguration>"#,
        on(rule.kms_objects),
        on(rule.replica_modifications),
        rule.destination,
        on(rule.delete_markers),
    )
}

/// A key as S3 writes it into a list: what XML cannot hold is only there when URL-encoded, which leaves slashes alone.
fn written(key: &str, url_encoded: bool) -> String {
    if url_encoded {
        form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
    } else {
        escape(key).into_owned()
    }
}

pub(super) fn versions(page: &Page<'_>) -> String {
    let mut list = String::new();
    let key_of = |key: &str| written(key, page.url_encoded);
    for Listed { key, version, is_latest, modified, etag, size, checksum } in &page.listed {
        let (element, content) = match size {
            Some(size) => {
                let sum = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>";
                let sum = if *checksum { sum } else { "" };
                let etag = escape(etag.as_str());
                ("Version", format!("<ETag>{etag}</ETag>{sum}<Size>{size}</Size><StorageClass>STANDARD</StorageClass>"))
            }
            None => ("DeleteMarker", String::new()),
        };
        // Listings give whole seconds.
        let modified = modified.strftime("%Y-%m-%dT%H:%M:%S.000Z");
        let _ = write!(
            list,
            "<{element}><Key>{}</Key><VersionId>{version}</VersionId><IsLatest>{is_latest}</IsLatest><LastModified>{modified}</LastModified>{content}<Owner><ID>{OWNER}</ID></Owner></{element}>",
            key_of(key),
        );
    }
    for prefix in &page.prefixes {
        let _ = write!(list, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", key_of(prefix));
    }
    let encoding = if page.url_encoded { "<EncodingType>url</EncodingType>" } else { "" };
    let mut next = String::new();
    if let Some((key, version)) = &page.next {
        let _ = write!(next, "<NextKeyMarker>{}</NextKeyMarker>", key_of(key));
        if let Some(version) = version {
            let _ = write!(next, "<NextVersionIdMarker>{version}</NextVersionIdMarker>");
        }
    }
    format!(
        r#"<ListVersionsResult xmlns="{NAMESPACE}"><Name>{}</Name><Prefix>{}</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>{}</IsTruncated>{encoding}{next}{list}</ListVersionsResult>"#,
        page.bucket,
        key_of(page.prefix),
        page.next.is_some(),
    )
}

const OWNER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(super) fn copied(etag: &str, at: Timestamp) -> String {
    let etag = escape(etag);
    format!(
        r#"<CopyObjectResult xmlns="{NAMESPACE}"><LastModified>{at:.3}</LastModified><ETag>{etag}</ETag></CopyObjectResult>"#
    )
}

pub(super) fn copied_part(at: Timestamp) -> String {
    format!(
        r#"<CopyPartResult xmlns="{NAMESPACE}"><LastModified>{at:.3}</LastModified><ETag>&quot;0&quot;</ETag></CopyPartResult>"#
    )
}

pub(super) fn upload(bucket: &str, key: &str, id: &str) -> String {
    let key = escape(key);
    format!(
        r#"<InitiateMultipartUploadResult xmlns="{NAMESPACE}"><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"#
    )
}

pub(super) fn completed(bucket: &str, key: &str, etag: &str) -> String {
    let (key, etag) = (escape(key), escape(etag));
    format!(
        r#"<CompleteMultipartUploadResult xmlns="{NAMESPACE}"><Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>{etag}</ETag></CompleteMultipartUploadResult>"#
    )
}

pub(super) fn tags(query: &str) -> String {
    let mut set = String::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let _ = write!(set, "<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(name), escape(value));
    }
    format!(r#"<Tagging xmlns="{NAMESPACE}"><TagSet>{set}</TagSet></Tagging>"#)
}
