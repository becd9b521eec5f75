//! SDK configuration fit for an outage. The SDK's own defaults wait for minutes on a dark Region.

use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_domain::Region;

/// A healthy Region in Europe answers a TCP hand-shake in 30 ms; one that takes longer than this will not.
const CONNECT: Duration = Duration::from_secs(1);
/// The first byte of an answer. RDS control-plane calls take a few hundred milliseconds.
const READ: Duration = Duration::from_secs(2);
/// One attempt with all of its parts.
const ATTEMPT: Duration = Duration::from_secs(3);
/// A call with its retries.
const OPERATION: Duration = Duration::from_secs(5);
/// Reads are safe to repeat once; more would spend the recovery time of a failing dependency.
const READ_ATTEMPTS: u32 = 2;

/// The same configuration with time-outs and retries fit for an outage.
#[must_use]
pub fn hardened(sdk: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(READ_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(500));
    sdk.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

/// The same configuration for another Region.
#[must_use]
pub fn in_region(sdk: &SdkConfig, region: &Region) -> SdkConfig {
    sdk.to_builder().region(aws_types::region::Region::new(region.as_str().to_owned())).build()
}

/// For mutating calls: never sent twice by the SDK. Left alone it sends `FailoverGlobalCluster` three times on a 503.
#[must_use]
pub fn never_retried() -> RetryConfig {
    RetryConfig::disabled()
}
