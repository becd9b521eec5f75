//! Hosts, health checks and DNS answers. Checkers and resolvers are a global data plane: no Region takes them down.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::connector::{Limits, send};
use crate::region::Region;
use crate::trace::Caller;
use crate::world::World;

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
    /// The Region whose weighted record has all the weight; latency records where there is none.
    weighted_to: Option<Region>,
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
        self.state().route53.weighted_to = Some(region);
        self.record("route53", format!("gives {region} all the weight"));
    }

    /// The answer for somebody near a Region: of latency records the nearest healthy one, of weighted ones the one with the
    /// weight while it is healthy; when none is healthy, all count as healthy.
    #[must_use]
    pub fn resolve(&self, near: Region) -> Option<Resolution> {
        let state = self.state();
        let any_healthy = state.route53.checks.iter().any(|(_, healthy)| *healthy);
        let candidates = state.route53.checks.iter().filter(|(_, healthy)| *healthy || !any_healthy);
        let weighted_to = state.route53.weighted_to;
        let nearest = candidates.map(|(check, _)| check.region).min_by_key(|region| match weighted_to {
            Some(to) => Duration::from_millis(u64::from(*region != to)),
            None => state.network.one_way(near, *region),
        });
        nearest.map(|region| Resolution { region, ttl: ALIAS_TTL })
    }
}
