//! S3: the bucket of receipts with its rules, and the bucket of the switch.

use holdfast_domain::readiness::{Seen, Setting, Value as Shown};
use serde_json::Value;

use crate::properties::{existing, properties, seen, sorted};
use crate::side::{Reads, Side, observed};

/// By what findings name the bucket: it has another name in each Region.
const RECEIPTS: &str = "receipts";
/// What is smaller is never moved into Glacier by default (S3 lifecycle-transition-general-considerations).
const SMALL_BYTES: u64 = 131_072;

pub(crate) async fn receipts(side: &Side) -> Reads {
    let switch = side.switch_of(&side.data);
    let (bucket, switch) = tokio::join!(
        existing(&side.sdk, "AWS::S3::Bucket", &side.data.receipts_bucket),
        properties(&side.sdk, "AWS::S3::Bucket", &switch),
    );
    let bucket = bucket.map(|bucket| described(side, &bucket));
    let switch = switch.map(|it| vec![seen(Setting::SwitchBucket, "switch", Shown::Flag(it.is_some()))]);
    Reads::from([("the bucket of receipts".to_owned(), observed(bucket)), ("the switch".to_owned(), observed(switch))])
}

fn described(side: &Side, bucket: &Value) -> Vec<Seen> {
    let enabled = |value: &Value| Shown::Flag(value["Status"] == "Enabled");
    let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    let algorithm = encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"].as_str().unwrap_or("none");
    let lifecycle = &bucket["LifecycleConfiguration"];
    let mut found = vec![
        seen(Setting::BucketVersions, RECEIPTS, enabled(&bucket["VersioningConfiguration"])),
        seen(Setting::BucketEncryption, RECEIPTS, Shown::Text(algorithm.to_owned())),
        seen(Setting::BucketLifecycle, RECEIPTS, sorted(list(&lifecycle["Rules"]).map(without_name))),
        seen(Setting::BucketSmall, RECEIPTS, Shown::Flag(moves_small(lifecycle))),
    ];
    let destination = format!("arn:aws:s3:::{}", side.peer.receipts_bucket);
    let rule = list(&bucket["ReplicationConfiguration"]["Rules"]).find(|rule| {
        rule["Status"] == "Enabled" && rule["Destination"]["Bucket"] == destination.as_str() && is_for_everything(rule)
    });
    found.push(seen(Setting::BucketRule, RECEIPTS, Shown::Flag(rule.is_some())));
    // Without a rule there is one thing wrong, and not four.
    if let Some(rule) = rule {
        let selection = &rule["SourceSelectionCriteria"];
        found.push(seen(Setting::BucketDeletes, RECEIPTS, enabled(&rule["DeleteMarkerReplication"])));
        found.push(seen(Setting::BucketKms, RECEIPTS, enabled(&selection["SseKmsEncryptedObjects"])));
        found.push(seen(Setting::BucketChanges, RECEIPTS, enabled(&selection["ReplicaModifications"])));
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_for_everything(rule: &Value) -> bool {
    let no_text = |value: &Value| value.as_str().is_none_or(str::is_empty);
    let filter = &rule["Filter"];
    no_text(&rule["Prefix"]) && no_text(&filter["Prefix"]) && filter["TagFilter"].is_null() && filter["And"].is_null()
}

/// A rule says the same under another name.
fn without_name(rule: &Value) -> String {
    let mut rule = rule.clone();
    if let Some(fields) = rule.as_object_mut() {
        fields.remove("Id");
    }
    rule.to_string()
}

/// A rule moves small objects into Glacier: by its own filter, or because S3 was told not to keep them back.
fn moves_small(lifecycle: &Value) -> bool {
    let kept_back = lifecycle["TransitionDefaultMinimumObjectSize"] != "varies_by_storage_class";
    list(&lifecycle["Rules"]).filter(|rule| rule["Status"] == "Enabled").any(|rule| {
        let glacier = list(&rule["Transitions"])
            .chain(std::iter::once(&rule["Transition"]))
            .any(|it| it["StorageClass"].as_str().is_some_and(|class| class.starts_with("GLACIER")));
        let size = &rule["ObjectSizeGreaterThan"];
        let size = size.as_u64().or_else(|| size.as_str().and_then(|text| text.parse().ok()));
        glacier && size.map_or(!kept_back, |size| size < SMALL_BYTES)
    })
}
