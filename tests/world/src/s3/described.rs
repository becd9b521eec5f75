//! A bucket as CloudFormation's type describes it.

use serde_json::{Value, json};

use crate::region::Region;
use crate::world::World;

/// The bucket's document: its replication as it is, and the rest as `World::show` has it or as a sound bucket would.
/// A bucket that exists only for this is one that is shown.
pub(crate) fn described(world: &World, at: Region, name: &str, shown: Option<Value>) -> Option<Value> {
    let rule = {
        let mut state = world.state();
        match state.s3.bucket(name) {
            Ok(bucket) if bucket.region == at => Some(bucket.rule.clone()),
            Ok(_) | Err(_) => None,
        }
    };
    let Some(rule) = rule else { return shown };
    let on = |enabled: bool| if enabled { "Enabled" } else { "Disabled" };
    let mut document = json!({
        "BucketName": name,
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [
            {"BucketKeyEnabled": true, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": format!("arn:aws:kms:{at}:123456789012:key/at-rest")}},
        ]},
        "LifecycleConfiguration": {"TransitionDefaultMinimumObjectSize": "all_storage_classes_128K", "Rules": [
            {"Id": "large-receipts", "Status": "Enabled", "ObjectSizeGreaterThan": "131072", "Transitions": [{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]},
            {"Id": "unfinished-uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
        ]},
    });
    if let Some(rule) = rule {
        document["ReplicationConfiguration"] = json!({"Role": "arn:aws:iam::123456789012:role/replication", "Rules": [{
            "Id": "everything", "Status": "Enabled", "Priority": 1, "Filter": {},
            "DeleteMarkerReplication": {"Status": on(rule.delete_markers)},
            "SourceSelectionCriteria": {
                "ReplicaModifications": {"Status": on(rule.replica_modifications)},
                "SseKmsEncryptedObjects": {"Status": on(rule.kms_objects)},
            },
            "Destination": {"Bucket": format!("arn:aws:s3:::{}", rule.destination), "StorageClass": "STANDARD"},
        }]});
    }
    for (field, value) in shown.iter().filter_map(Value::as_object).flatten() {
        document[field] = value.clone();
    }
    Some(document)
}
