//! The card network's file, as it lands in S3.

use std::time::Duration;

use holdfast_payments::service::bucket;
use holdfast_world::{Region, World, s3};
use serde_json::json;

use crate::deployment::Deployment;

/// Where the file lands.
const KEY: &str = "holdfast/clearing/stripe/2026-11-24.csv";
/// Where the next one lands.
const LATER_KEY: &str = "holdfast/clearing/stripe/2026-11-24-2.csv";

/// The network's file of everything that was charged so far lands in London's bucket, and S3 says so.
pub(super) fn the_clearing_file_lands(deployment: &Deployment, when: Duration) {
    let network = deployment.network.clone();
    deployment.world.after(when, move |world| land(world, KEY, network.settlement_file()));
}

/// The network's next file, of everything that was charged by then.
pub(super) fn a_later_file_lands(deployment: &Deployment, when: Duration) {
    let network = deployment.network.clone();
    deployment.world.after(when, move |world| land(world, LATER_KEY, network.settlement_file()));
}

/// A file lands in London's bucket, and EventBridge starts reconcile-ledger.
pub(crate) fn land(world: &World, key: &str, file: String) {
    let bucket = bucket(Region::LONDON);
    world.record("card network", format!("puts s3://{bucket}/{key}"));
    if let Err(fault) = s3::put_object(world, bucket, key, file.into()) {
        world.record("card network", format!("is refused: {}", fault.message));
        return;
    }
    let event = json!({
        "source": "aws.s3", "detail-type": "Object Created", "region": "eu-west-2", "resources": [],
        "detail": {"bucket": {"name": bucket}, "object": {"key": key}},
    });
    world.invoke_async(Region::LONDON, reconcile_ledger::FUNCTION, event.to_string().into());
}
