//! Hosts, health checks and DNS answers. Checkers and resolvers are a global data plane: no Region takes them down.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::connector::{Limits, send};
use crate::region::Region;
use crate::trace::Caller;
use crate::world::World;

mod resolver;
mod switch;

pub use resolver::{SUBNETS, address};
pub use switch::Switch;

/// A simulated HTTP server.
pub type HostHandler = Arc<dyn Fn(http::Request<Bytes>) -> HostFuture + Send + Sync>;
/// A pending answer.
pub type HostFuture = Pin<Box<dyn Future<Output = http::Response<Bytes>> + Send>>;

/// Time to live of an alias record to a load balancer: fixed by AWS (Elastic Load Balancing, how it works).
pub const ALIAS_TTL: Duration = Duration::from_secs(60);

/// A health check and the record that it guards.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// Its id, the metric's dimension.
    pub id: &'static str,
    /// What is asked.
    pub url: String,
    /// Where that is.
    pub region: Region,
    /// 10 or 30 s.
    pub interval: Duration,
    /// Failures in a row that make it unhealthy.
    pub failure_threshold: u32,
}

#[derive(Default)]
pub(crate) struct Route53 {
    hosts: BTreeMap<String, (Region, HostHandler)>,
    checks: Vec<(HealthCheck, bool)>,
    /// Regions whose switch is thrown.
    thrown: BTreeSet<Region>,
    /// The weight of each Region's record; latency records where there is none.
    pub(crate) weights: BTreeMap<Region, u64>,
}

impl Route53 {
    /// Every server, taken out.
    pub(crate) fn take_hosts(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.hosts)
    }
}

/// What a resolver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The Region whose address it is.
    pub region: Region,
    /// How long it may be kept.
    pub ttl: Duration,
}

/// One checker's answer is awaited so long: 4 s to connect and 2 s to answer.
const CHECK_LIMITS: Limits = Limits { connect: Some(Duration::from_secs(4)), read: Some(Duration::from_secs(6)) };
/// The metric appears in us-east-1 only, and late (R53 monitoring-health-checks).
const METRIC_LATE: Duration = Duration::from_secs(90);

impl World {
    /// Puts a server behind a name.
    pub fn serve_host(&self, host: &str, region: Region, handler: HostHandler) {
        self.state().route53.hosts.insert(host.to_owned(), (region, handler));
    }

    pub(crate) fn host(&self, host: &str) -> Option<(Region, HostHandler)> {
        self.state().route53.hosts.get(host).cloned()
    }

    /// Starts a health check; the record of its Region is answered while it is healthy.
    pub fn create_health_check(&self, check: HealthCheck) {
        self.state().route53.checks.push((check.clone(), true));
        let world = self.clone();
        tokio::spawn(async move {
            let caller = Caller { name: "route53".into(), region: Region::INTERNET, invocation: None };
            let (mut failures, mut successes, mut rounds) = (0u32, 0u32, 0u32);
            loop {
                let request = http::Request::builder().uri(&check.url).body(Bytes::new()).unwrap_or_default();
                let started = tokio::time::Instant::now();
                let healthy = match send(&world, &caller, request, CHECK_LIMITS).await {
                    Ok(response) => response.status().is_success(),
                    Err(_) => false,
                };
                (failures, successes) = if healthy { (0, successes + 1) } else { (failures + 1, 0) };
                if failures >= check.failure_threshold {
                    world.set_health(check.id, false);
                } else if successes >= check.failure_threshold {
                    world.set_health(check.id, true);
                }
                let per_minute = u32::try_from(60 / check.interval.as_secs().max(1)).unwrap_or(1);
                if rounds.is_multiple_of(per_minute) {
                    world.health_metric(check.id);
                }
                rounds += 1;
                tokio::time::sleep_until(started + check.interval).await;
            }
        });
    }

    fn set_health(&self, id: &str, healthy: bool) {
        let mut changed = None;
        for (check, state) in &mut self.state().route53.checks {
            if check.id == id && *state != healthy {
                *state = healthy;
                changed = Some(check.region);
            }
        }
        if let Some(region) = changed {
            let verdict = if healthy { "healthy: DNS answers it again" } else { "unhealthy: DNS no longer answers it" };
            self.record("route53", format!("holds {region} {verdict}"));
        }
    }

    fn health_metric(&self, id: &'static str) {
        let healthy = self.state().route53.checks.iter().any(|(check, healthy)| check.id == id && *healthy);
        self.after(METRIC_LATE, move |world| {
            let value = if healthy { 1.0 } else { 0.0 };
            world.put_metric(Region::N_VIRGINIA, "AWS/Route53", "HealthCheckStatus", &[("HealthCheckId", id)], value);
        });
    }

    /// Makes the records weighted ones, with all the weight on one Region: those of weight zero are answered only while no
    /// other is healthy (R53 health-checks-how-route-53-chooses-records). Setting it anew is the override by hand.
    pub fn weigh_all_to(&self, region: Region) {
        let others = self.state().route53.checks.iter().map(|(check, _)| (check.region, 0)).collect();
        let weights: BTreeMap<Region, u64> = others;
        self.weigh(weights.into_iter().chain([(region, 1)]).collect());
        self.record("route53", format!("gives {region} all the weight"));
    }

    /// Makes the records weighted ones.
    pub fn weigh(&self, weights: BTreeMap<Region, u64>) {
        self.state().route53.weights = weights;
    }

    /// The weights of the records; empty where they go by latency.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<Region, u64> {
        self.state().route53.weights.clone()
    }

    /// The answer for somebody near a Region, of the records that are healthy and whose switch is off: of latency records the
    /// nearest one, of weighted ones a draw; when there is none, all count as healthy.
    #[must_use]
    pub fn resolve(&self, near: Region) -> Option<Resolution> {
        let mut state = self.state();
        let serves =
            |(check, healthy): &&(HealthCheck, bool)| *healthy && !state.route53.thrown.contains(&check.region);
        let any_serves = state.route53.checks.iter().any(|it| serves(&it));
        let candidates = state.route53.checks.iter().filter(|it| serves(it) || !any_serves);
        let candidates: Vec<Region> = candidates.map(|(check, _)| check.region).collect();
        let weighed = |region: &Region| state.route53.weights.get(region).copied().unwrap_or(0);
        let drawn_from: Vec<(Region, u64)> =
            candidates.iter().map(|region| (*region, weighed(region))).filter(|(_, weight)| *weight > 0).collect();
        let region = match drawn_from.as_slice() {
            // With no weight anywhere: by latency, or among the records of weight zero.
            [] => candidates.into_iter().min_by_key(|region| state.network.one_way(near, *region)),
            [(only, _)] => Some(*only),
            several => {
                let all = several.iter().map(|(_, weight)| weight).sum();
                let mut left = state.random.u64(0..all);
                several.iter().find_map(|(region, weight)| {
                    let found = left < *weight;
                    left = left.saturating_sub(*weight);
                    found.then_some(*region)
                })
            }
        };
        region.map(|region| Resolution { region, ttl: ALIAS_TTL })
    }
}
