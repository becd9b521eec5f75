//! Where traffic is seen and moved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::region::{Region, excerpt};
use crate::topology::Topology;

/// How shift-traffic sees traffic, and what it may move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// The name that customers resolve.
    pub service_domain: String,
    /// How Route 53 chooses a Region for it.
    pub routing: Routing,
    /// What each data Region has of its own.
    pub regions: BTreeMap<Region, Doors>,
    /// DNS over HTTPS with answers in JSON: what customers' resolvers would say. Each is asked.
    #[serde(default = "resolvers")]
    pub resolvers: Vec<String>,
    /// How much of a Region's traffic is away after each stage, in percent; the last is 100. Weighted records only.
    #[serde(default = "stages")]
    pub stages_percent: Vec<u8>,
    /// When a stage is not seen to have moved for so long, a person is told. An alias is kept for 60 s, and the load
    /// balancers' counts come two minutes late.
    #[serde(default = "ten_minutes")]
    pub confirm_within_seconds: u64,
    /// A judgement of a Region's readiness that is older says nothing about now. It is made every hour.
    #[serde(default = "two_hours")]
    pub readiness_age_max_seconds: u64,
}

/// What a data Region has of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doors {
    /// The bucket in this Region whose objects evacuate the *other* one.
    pub switch_bucket: String,
    /// The load balancer as CloudWatch names it, such as `app/payments/50dc6c495c0c9188`.
    pub load_balancer: String,
    /// The Region's own name in DNS, without a health check.
    pub domain: String,
    /// A network near the Region, in CIDR notation: resolvers that honour it answer as if asked from there.
    #[serde(default)]
    pub client_subnet: Option<String>,
    /// What Route 53's checkers and our observers ask of the load balancer in a minute: they are no customers. Sixteen
    /// checkers every ten seconds, and three observers with two questions every five, are about 170.
    #[serde(default)]
    pub probes_per_minute: u64,
}

/// How Route 53 chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Routing {
    /// The nearer Region that is healthy: all of its traffic or none.
    Latency,
    /// By weight: any share. Weights are changed in us-east-1, so never for an outage.
    Weighted {
        /// The hosted zone of the records.
        hosted_zone_id: String,
        /// The weights of a normal day, by the Region that is each record's set identifier.
        weights: BTreeMap<Region, u64>,
    },
}

fn resolvers() -> Vec<String> {
    vec!["https://dns.google/resolve".into(), "https://cloudflare-dns.com/dns-query".into()]
}
fn stages() -> Vec<u8> {
    vec![10, 50, 100]
}
fn ten_minutes() -> u64 {
    600
}
fn two_hours() -> u64 {
    7200
}

/// Before an answer of DNS can have changed everywhere: an alias record is kept for 60 s, and that cannot be set.
pub(super) const ALIAS_KEPT_FOR: Duration = Duration::from_secs(60);

impl Traffic {
    /// How long a stage may take to be seen.
    #[must_use]
    pub fn confirm_within(&self) -> Duration {
        Duration::from_secs(self.confirm_within_seconds)
    }

    /// How long a judgement of readiness counts.
    #[must_use]
    pub fn readiness_age_max(&self) -> Duration {
        Duration::from_secs(self.readiness_age_max_seconds)
    }

    /// Shares that are away after each stage of an evacuation.
    #[must_use]
    pub fn stages_away(&self) -> Vec<u8> {
        match self.routing {
            Routing::Latency => vec![100],
            Routing::Weighted { .. } => self.stages_percent.clone(),
        }
    }

    /// The same for the way back: the stages in reverse, and nothing away at the end.
    #[must_use]
    pub fn stages_back(&self) -> Vec<u8> {
        let mut stages: Vec<u8> = self.stages_away().into_iter().rev().skip(1).collect();
        stages.push(0);
        stages
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self, topology: &Topology) -> Result<(), ConfigError> {
        let regions: Vec<&Region> = topology.data_regions.iter().map(|data| &data.region).collect();
        if !regions.iter().all(|region| self.regions.contains_key(*region)) || self.regions.len() != regions.len() {
            let named: Vec<&str> = self.regions.keys().map(Region::as_str).collect();
            return Err(ConfigError::new(
                "traffic.regions",
                format!("names [{}]", excerpt(&named.join(", "))),
                "name each data Region of the topology, and no other",
            ));
        }
        let rising = self.stages_percent.windows(2).all(|pair| pair.first() < pair.last());
        if !rising || self.stages_percent.first() == Some(&0) || self.stages_percent.last() != Some(&100) {
            return Err(ConfigError::new(
                "traffic.stages_percent",
                format!("is {:?}", self.stages_percent),
                "give rising shares in percent, from above 0 up to 100, such as [10, 50, 100]",
            ));
        }
        if let Routing::Weighted { weights, .. } = &self.routing {
            let fits = weights.values().all(|weight| *weight <= 255) && weights.values().any(|weight| *weight > 0);
            if !fits || !weights.keys().eq(self.regions.keys()) {
                return Err(ConfigError::new(
                    "traffic.routing.weighted.weights",
                    "does not fit the records",
                    "give each data Region a weight from 0 to 255, and one of them more than 0",
                ));
            }
        }
        for resolver in &self.resolvers {
            if !resolver.starts_with("https://") {
                return Err(ConfigError::new(
                    "traffic.resolvers",
                    format!("has `{}`", excerpt(resolver)),
                    "give the https address of a resolver that answers in JSON, such as https://dns.google/resolve",
                ));
            }
        }
        if self.resolvers.is_empty() {
            return Err(ConfigError::new(
                "traffic.resolvers",
                "is empty",
                "name at least one: a shift is believed only when DNS says so",
            ));
        }
        for (field, value) in [
            ("traffic.confirm_within_seconds", self.confirm_within_seconds),
            ("traffic.readiness_age_max_seconds", self.readiness_age_max_seconds),
        ] {
            if value == 0 || value > 86_400 {
                return Err(ConfigError::new(field, format!("is {value}"), "give a number from 1 to 86400"));
            }
        }
        Ok(())
    }
}
