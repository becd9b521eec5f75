//! The two sides of a round, and whether the other one may be asked at all.

use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use holdfast_aws::Startup;
use holdfast_aws::clients::{in_region, never_retried};
use holdfast_aws::coordination::CoordinationError;
use holdfast_domain::topology::DataRegion;
use holdfast_domain::vote::{Appearance, Vote};
use holdfast_domain::{Timestamp, distance};

/// One call to either side. A retry would cost more than the answer is worth: the next round is the retry.
const CALL_MAX: Duration = Duration::from_millis(1500);

/// One side of the links: where it is and how it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) data: DataRegion,
    /// Absent: it is not asked, for this reason.
    pub(crate) sdk: Result<SdkConfig, String>,
}

/// Short time-outs and no retries.
pub(crate) fn quick(startup: &Startup) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(CALL_MAX)
        .operation_timeout(CALL_MAX)
        .build();
    startup.sdk.to_builder().timeout_config(timeouts).retry_config(never_retried()).build()
}

/// This Region and the other.
pub(crate) fn sides(startup: &Startup, votes: &Result<Vec<Vote>, CoordinationError>) -> Option<(Side, Side)> {
    let topology = &startup.config.topology;
    let here = topology.data_region(&startup.region)?.clone();
    let there = topology.peer_of(&startup.region)?.clone();
    let quick = quick(startup);
    let peer = match dark(startup, votes, &there, startup.now()) {
        Some(why) => Err(why),
        None => Ok(in_region(&quick, &there.region)),
    };
    Some((Side { data: here, sdk: Ok(quick) }, Side { data: there, sdk: peer }))
}

/// Why the other Region is not to be asked: this Region's own observer does not reach it; where that one has died, the
/// witness's counts. Where nobody has looked lately, it may be dark: nothing leans on it (law 3), and nothing is known.
fn dark(
    startup: &Startup,
    votes: &Result<Vec<Vote>, CoordinationError>,
    there: &DataRegion,
    now: Timestamp,
) -> Option<String> {
    let policy = &startup.config.policy;
    let unseen = || format!("nobody has looked at {} lately, and it is not asked", there.region);
    let Ok(votes) = votes else { return Some(unseen()) };
    let fresh = |vote: &&Vote| vote.observer != there.region && distance(vote.at, now) <= policy.vote_age_max();
    let own = votes.iter().filter(fresh).find(|vote| vote.observer == startup.region);
    let Some(vote) = own.or_else(|| votes.iter().find(fresh)) else { return Some(unseen()) };
    let Some(sighting) = vote.subjects.get(&there.region) else { return Some(unseen()) };
    let unreachable = sighting.liveness.failures > 0;
    let dark = match sighting.appearance(policy.failed_probes) {
        Appearance::Dark => true,
        Appearance::Alive | Appearance::Wavering | Appearance::Grey => unreachable,
    };
    dark.then(|| format!("{} does not answer the observer in {}, and is not asked", there.region, vote.observer))
}
