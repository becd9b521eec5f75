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
    /// Absent: a delete marker.
    pub(super) size: Option<usize>,
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

pub(super) fn versions(bucket: &str, listed: &[Listed]) -> String {
    let mut list = String::new();
    for Listed { key, version, is_latest, modified, size } in listed {
        let (element, size) = match size {
            Some(size) => ("Version", format!("<ETag>&quot;0&quot;</ETag><Size>{size}</Size>")),
            None => ("DeleteMarker", String::new()),
        };
        let _ = write!(
            list,
            "<{element}><Key>{}</Key><VersionId>{version}</VersionId><IsLatest>{is_latest}</IsLatest><LastModified>{modified:.3}</LastModified>{size}</{element}>",
            escape(key),
        );
    }
    format!(
        r#"<ListVersionsResult xmlns="{NAMESPACE}"><Name>{bucket}</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{list}</ListVersionsResult>"#
    )
}
