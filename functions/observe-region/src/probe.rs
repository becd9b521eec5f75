//! One HTTP probe.

use std::time::Duration;

use aws_types::SdkConfig;
use holdfast_aws::https::{Request, send};

/// A probe that takes longer has failed: a client would have given up.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// Asks one URL once. Anything but a 2xx answer within two seconds is a failure, with its reason.
pub(crate) async fn probe(sdk: &SdkConfig, url: &str) -> Result<(), String> {
    let (headers, body) = (Vec::new(), String::new());
    let request = Request { caller: "probe", method: "GET", url, headers, body, answer_max: PROBE_MAX };
    match send(sdk, request).await? {
        (200..=299, _) => Ok(()),
        (status, _) => Err(format!("HTTP {status}")),
    }
}
