//! What a shift rests on, looked at together. What could not be learned is in there as unknown, with the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use futures_util::future::join_all;
use holdfast_aws::Failure;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::promotion::Observed;
use holdfast_domain::quorum::{Quorum, Watch};
use holdfast_domain::readiness::ReadinessRecord;
use holdfast_domain::traffic::{Requests, Routing, Shift, TrafficFacts, carrier_as_seen};
use holdfast_domain::vote::Vote;

use crate::Run;
use crate::counts::requests;

/// One call. The next minute's run is the retry.
const CALL_MAX: Duration = Duration::from_millis(2500);

impl Run<'_> {
    /// Everything that the next step may rest on.
    pub(crate) async fn facts(&self, shift: Shift) -> TrafficFacts {
        let votes = self.votes().await;
        let quorum: BTreeMap<Region, Quorum> = self
            .traffic
            .regions
            .keys()
            .map(|region| (region.clone(), self.carrier(region, &shift.region, &votes)))
            .collect();
        let (switch_thrown, weights, answers, requests) = tokio::join!(
            self.switch_thrown(&shift.region),
            self.weights_where_any(),
            self.answers(),
            self.requests(&votes)
        );
        TrafficFacts { shift, switch_thrown, weights, quorum, answers, requests }
    }

    /// Short time-outs and no retries, in a Region.
    pub(crate) fn quick(&self, region: &Region) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(CALL_MAX)
            .operation_timeout(CALL_MAX)
            .build();
        let sdk = self.startup.sdk.to_builder().timeout_config(timeouts).retry_config(never_retried()).build();
        holdfast_aws::clients::in_region(&sdk, region)
    }

    pub(crate) async fn votes(&self) -> Result<Vec<Vote>, String> {
        self.startup.coordination().votes().await.map_err(|error| error.to_string())
    }

    /// What two observers outside a Region make of it.
    pub(crate) fn quorum(&self, region: &Region, votes: &Result<Vec<Vote>, String>) -> Quorum {
        self.carrier(region, region, votes)
    }

    /// The same of the Region that is to carry another one's traffic.
    pub(crate) fn carrier(&self, carrier: &Region, moved: &Region, votes: &Result<Vec<Vote>, String>) -> Quorum {
        let policy = &self.startup.config.policy;
        let now = self.startup.now();
        match votes {
            Err(why) => Quorum::Unknown { why: why.clone(), evidence_age: None },
            Ok(votes) => {
                let received = Watch::default().receive(votes.clone(), policy.vote_age_max(), now);
                let observers: Vec<&Region> = self.startup.config.topology.observers().collect();
                carrier_as_seen(carrier, moved, observers, &received, policy, now)
            }
        }
    }

    /// Whether a Region is seen to be well: only then is there time for stages.
    pub(crate) fn is_well(&self, region: &Region, votes: &Result<Vec<Vote>, String>) -> bool {
        self.quorum(region, votes) == Quorum::Alive
    }

    pub(crate) async fn readiness(&self, region: &Region) -> Observed<Option<ReadinessRecord>> {
        match self.startup.coordination().readiness(region).await {
            Ok(record) => Observed::Seen(record),
            Err(error) => Observed::Unseen { why: error.to_string() },
        }
    }

    async fn weights_where_any(&self) -> Option<Observed<BTreeMap<Region, u64>>> {
        match &self.traffic.routing {
            Routing::Latency => None,
            Routing::Weighted { hosted_zone_id, .. } => Some(self.weights(hosted_zone_id).await),
        }
    }

    /// What both load balancers have counted. A Region that nobody reaches is not asked (law 3).
    async fn requests(&self, votes: &Result<Vec<Vote>, String>) -> BTreeMap<Region, Observed<Requests>> {
        let asked = self.traffic.regions.iter().map(|(region, doors)| async move {
            let seen = match self.quorum(region, votes).why_not_asked() {
                Some(why) => Observed::Unseen { why },
                None => requests(&self.quick(region), doors, self.startup.now()).await,
            };
            (region.clone(), seen)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The object that takes a Region out of DNS, in this Region's bucket.
    fn switch(&self, region: &Region) -> Option<(&str, String)> {
        let doors = self.traffic.regions.get(&self.startup.region)?;
        Some((&doors.switch_bucket, format!("evacuate/{region}")))
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.quick(&self.startup.region))
            .force_path_style(self.startup.config.topology.s3_path_style);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    async fn switch_thrown(&self, region: &Region) -> Observed<bool> {
        let Some((bucket, key)) = self.switch(region) else {
            return Observed::Unseen { why: "this Region has no switch bucket".into() };
        };
        match self.s3().head_object().bucket(bucket).key(&key).send().await {
            Ok(_) => Observed::Seen(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Observed::Seen(false),
            Err(error) => {
                Observed::Unseen { why: format!("HeadObject of s3://{bucket}/{key} failed: {}", causes(&error)) }
            }
        }
    }

    /// States what is wanted of the switch; safe to repeat. Believed only when DNS shows it.
    pub(crate) async fn set_switch(&self, region: &Region, thrown: bool, shift: &Shift) -> Result<(), Failure> {
        let Some((bucket, key)) = self.switch(region) else {
            return Err(Failure::NothingChanged("this Region has no switch bucket".into()));
        };
        let failed = |operation: &str, why: String| {
            Failure::LookBeforeRetry(format!(
                "{operation} of s3://{bucket}/{key} failed: {why}; it is set again in a minute"
            ))
        };
        let once = || aws_sdk_s3::config::Builder::new().retry_config(never_retried());
        if thrown {
            let put = self.s3().put_object().bucket(bucket).key(&key).metadata("order", shift.name());
            let put = put.customize().config_override(once()).send().await;
            put.map(drop).map_err(|error| failed("PutObject", causes(&error)))
        } else {
            let delete = self.s3().delete_object().bucket(bucket).key(&key);
            let delete = delete.customize().config_override(once()).send().await;
            delete.map(drop).map_err(|error| failed("DeleteObject", causes(&error)))
        }
    }
}
