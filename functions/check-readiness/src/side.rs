//! One of the two data Regions, and how it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_aws::Startup;
use holdfast_aws::clients::in_region;
use holdfast_domain::promotion::Observed;
use holdfast_domain::readiness::{Read, ReadinessPolicy, Seen};
use holdfast_domain::topology::{DataRegion, Topology};

/// A Region that does not take a connection in a second is dark or out of reach.
const CONNECT: Duration = Duration::from_secs(1);
/// Cloud Control asks another service first, and answers within a few seconds.
const ATTEMPT: Duration = Duration::from_secs(8);
/// A read with its one retry: nobody waits for this function, and a throttled read would be unknown.
const OPERATION: Duration = Duration::from_secs(18);

/// What came of the reads, by their names.
pub(crate) type Reads = BTreeMap<Read, Observed<Vec<Seen>>>;

/// One data Region.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) data: DataRegion,
    pub(crate) peer: DataRegion,
    pub(crate) topology: Topology,
    pub(crate) policy: ReadinessPolicy,
    pub(crate) sdk: SdkConfig,
    /// Makes hashes of this run comparable with each other and with nothing else.
    pub(crate) salt: String,
}

/// Configuration for reads that may take their time.
pub(crate) fn patient(startup: &Startup) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let retries = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(300));
    startup.sdk.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

/// Both data Regions, in the order of the topology.
pub(crate) fn sides(startup: &Startup) -> Option<[Side; 2]> {
    let topology = &startup.config.topology;
    let sdk = patient(startup);
    let salt = startup.now().as_nanosecond().to_string();
    let side = |data: &DataRegion, peer: &DataRegion| Side {
        data: data.clone(),
        peer: peer.clone(),
        topology: topology.clone(),
        policy: startup.config.readiness.clone(),
        sdk: in_region(&sdk, &data.region),
        salt: salt.clone(),
    };
    match topology.data_regions.as_slice() {
        [one, other] => Some([side(one, other), side(other, one)]),
        _ => None,
    }
}

impl Side {
    /// The account, as the cluster's ARN has it.
    pub(crate) fn account(&self) -> String {
        self.data.cluster_arn.to_string().split(':').nth(4).unwrap_or_default().to_owned()
    }

    /// The path that says whether the Region lives, such as `/healthz`.
    pub(crate) fn liveness_path(&self) -> String {
        let after = self.data.liveness_url.split_once("://").map_or("", |(_, rest)| rest);
        after.split_once('/').map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}"))
    }

    /// The bucket whose objects take the other Region out of DNS.
    pub(crate) fn switch_of(&self, data: &DataRegion) -> String {
        format!("{}-switch-{}", self.topology.global_cluster, data.region)
    }
}

/// What was read, or why it was not.
pub(crate) fn observed(read: Result<Vec<Seen>, String>) -> Observed<Vec<Seen>> {
    match read {
        Ok(seen) => Observed::Seen(seen),
        Err(why) => Observed::Unseen { why },
    }
}
