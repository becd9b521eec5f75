//! What is compared besides what the topology names, how much capacity is enough, and what has been accepted.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::config::ConfigError;
use crate::region::excerpt;

/// What check-readiness compares, and by which bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadinessPolicy {
    /// The payments service, as `<ECS cluster>/<ECS service>`, the same in both Regions. Absent: no service is compared.
    #[serde(default)]
    pub service: Option<String>,
    /// The record that clients resolve. Absent: no DNS is looked at.
    #[serde(default)]
    pub record: Option<DnsRecord>,
    /// Secrets to compare besides the pager's; only hashes of them are compared.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Parameters of Systems Manager to compare; only hashes of them are compared.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// How far back the peak is looked for. Two weeks have two of each weekday in them.
    #[serde(default = "fortnight")]
    pub peak_days: u32,
    /// How much the survivor must be able to carry, in percent of the CPU that both used at their peaks. Twice: scaling aims
    /// at half-busy tasks, and clients of the dark Region try again.
    #[serde(default = "twice")]
    pub margin_percent: u32,
    /// In what time reads and writes must work again. Absent: the budget is told and compared with nothing.
    #[serde(default)]
    pub objective: Option<Objective>,
    /// Findings that somebody has accepted.
    #[serde(default)]
    pub accepted: Vec<Acceptance>,
}

/// A record of Route 53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsRecord {
    /// The hosted zone's id, such as `Z0123456789ABCDEFGHIJ`.
    pub zone: String,
    /// The record's name, such as `payments.example.com`.
    pub name: String,
}

/// The recovery time objective. There is none for data: what is lost is measured, and not promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Seconds without reads, for a client that knows no other way than DNS.
    pub reads_seconds: u64,
    /// Seconds without writes.
    pub writes_seconds: u64,
}

/// A finding that somebody has accepted, until a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The finding's id.
    pub id: String,
    /// The finding's subject.
    pub subject: String,
    /// Who accepts it.
    pub owner: String,
    /// The last day on which it is accepted (UTC).
    pub until: Date,
}

impl Default for ReadinessPolicy {
    fn default() -> Self {
        Self {
            service: None,
            record: None,
            secrets: Vec::new(),
            parameters: Vec::new(),
            peak_days: fortnight(),
            margin_percent: twice(),
            objective: None,
            accepted: Vec::new(),
        }
    }
}

fn fortnight() -> u32 {
    14
}
fn twice() -> u32 {
    200
}

impl Acceptance {
    /// It still stands.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        now.to_zoned_datetime(TimeZone::UTC).date() <= self.until
    }
}

impl ReadinessPolicy {
    /// The ECS cluster and the service in it.
    #[must_use]
    pub fn service_names(&self) -> Option<(&str, &str)> {
        self.service.as_deref().and_then(|service| service.split_once('/'))
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if let Some(service) = &self.service
            && !service
                .split_once('/')
                .is_some_and(|(cluster, name)| !cluster.is_empty() && !name.is_empty() && !name.contains('/'))
        {
            return Err(ConfigError::new(
                "readiness.service",
                format!("is `{}`", excerpt(service)),
                "name the ECS cluster and its service, like holdfast-service/service",
            ));
        }
        // CloudWatch keeps one-minute points for 15 days.
        if !(1..=15).contains(&self.peak_days) {
            let found = format!("is {}", self.peak_days);
            return Err(ConfigError::new("readiness.peak_days", found, "give a number of days from 1 to 15"));
        }
        if !(100..=1000).contains(&self.margin_percent) {
            let found = format!("is {}", self.margin_percent);
            let fix = "give percent of both Regions' peaks, from 100 to 1000";
            return Err(ConfigError::new("readiness.margin_percent", found, fix));
        }
        for (index, acceptance) in self.accepted.iter().enumerate() {
            if acceptance.owner.trim().is_empty() {
                let field = format!("readiness.accepted[{index}].owner");
                return Err(ConfigError::new(&field, "is empty", "name who accepts it"));
            }
        }
        Ok(())
    }
}
