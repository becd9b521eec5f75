//! The one configuration that every function reads at start-up: topology and policy, as JSON.

use serde::{Deserialize, Serialize};

use crate::paging::Paging;
use crate::policy::Policy;
use crate::readiness::ReadinessPolicy;
use crate::region::{excerpt, one_line};
use crate::topology::Topology;
use crate::traffic::Traffic;

/// Topology and policy together: what `HOLDFAST_CONFIG` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is.
    pub topology: Topology,
    /// What the owners allow.
    pub policy: Policy,
    /// How people are reached besides SNS.
    #[serde(default)]
    pub paging: Paging,
    /// How traffic is seen and moved; absent: shift-traffic is of no use, and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What check-readiness compares besides, how much capacity is enough, and what has been accepted.
    #[serde(default)]
    pub readiness: ReadinessPolicy,
}

/// The configuration cannot be used. The message names the field and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: `{field}` {problem}; {fix}")]
pub struct ConfigError {
    field: String,
    problem: String,
    fix: String,
}

impl ConfigError {
    pub(crate) fn new(field: &str, problem: impl Into<String>, fix: &str) -> Self {
        Self { field: field.to_owned(), problem: problem.into(), fix: fix.to_owned() }
    }
}

impl Config {
    /// Reads and checks a configuration.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(json).map_err(|problem| {
            let line = json.lines().nth(problem.line().saturating_sub(1)).unwrap_or_default().trim();
            ConfigError::new(
                "HOLDFAST_CONFIG",
                format!("cannot be read: {}", one_line(&problem.to_string(), 120, 460)),
                &format!("mend the text near `{}`; events/config.example.json has every field", excerpt(line)),
            )
        })?;
        config.topology.validate()?;
        config.policy.validate()?;
        config.paging.validate()?;
        if let Some(traffic) = &config.traffic {
            traffic.validate(&config.topology)?;
        }
        config.readiness.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../events/config.example.json");

    #[track_caller]
    fn check(change: impl FnOnce(&mut serde_json::Value), expected: &[&str]) {
        let mut json: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
        change(&mut json);
        let problem = Config::parse(&json.to_string()).unwrap_err().to_string();
        for part in expected {
            assert!(problem.contains(part), "`{part}` is not in: {problem}");
        }
    }

    #[test]
    fn the_example_is_valid_and_survives_a_round_trip() {
        let config = Config::parse(EXAMPLE).unwrap();
        let again = Config::parse(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
    }
    #[test]
    fn an_unknown_field_is_named() {
        check(|json| json["policy"]["mod"] = "auto".into(), &["`mod`", "HOLDFAST_CONFIG"]);
    }
    #[test]
    fn a_missing_field_is_named() {
        check(|json| drop(json["topology"].as_object_mut().unwrap().remove("witness")), &["witness"]);
    }
    #[test]
    fn the_witness_is_a_third_region() {
        check(
            |json| json["topology"]["witness"]["region"] = "eu-west-2".into(),
            &["topology.witness.region", "third Region"],
        );
    }
    #[test]
    fn a_cluster_lives_in_its_region() {
        check(
            |json| json["topology"]["data_regions"][0]["region"] = "eu-west-3".into(),
            &["topology.data_regions[0].cluster_arn", "eu-west-3"],
        );
    }
    #[test]
    fn a_bare_cluster_identifier_is_refused() {
        check(
            |json| json["topology"]["data_regions"][1]["cluster_arn"] = "payments-eu-west-2".into(),
            &["payments-eu-west-2", "arn:aws:rds:"],
        );
    }
    #[test]
    fn three_data_regions_are_one_too_many() {
        check(
            |json| {
                let first = json["topology"]["data_regions"][0].clone();
                json["topology"]["data_regions"].as_array_mut().unwrap().push(first);
            },
            &["topology.data_regions", "3 entries", "exactly two"],
        );
    }
    #[test]
    fn auto_mode_needs_a_signed_acceptance() {
        check(
            |json| {
                json["policy"]["mode"] = "auto".into();
                json["policy"].as_object_mut().unwrap().remove("standing_acceptance");
            },
            &["policy.standing_acceptance", "accepted_by"],
        );
    }
    #[test]
    fn liveness_and_write_readiness_are_two_signals() {
        check(
            |json| {
                let url = json["topology"]["data_regions"][0]["liveness_url"].clone();
                json["topology"]["data_regions"][0]["write_readiness_url"] = url;
            },
            &["write_readiness_url", "keep the two apart"],
        );
    }
    #[test]
    fn an_empty_configuration_says_so() {
        let problem = Config::parse("").unwrap_err().to_string();
        assert!(problem.contains("HOLDFAST_CONFIG") && problem.contains("config.example.json"), "{problem}");
    }
    #[test]
    fn a_page_topic_of_another_region_is_refused() {
        check(
            |json| json["topology"]["witness"]["page_topic_arn"] = "arn:aws:sns:us-east-1:123456789012:x".into(),
            &["topology.witness.page_topic_arn", "of this Region"],
        );
    }

    /// Found by fuzzing: what was wrong was quoted whole, with its line breaks.
    #[test]
    fn a_refusal_is_one_line_however_long_the_mistake() {
        let long = format!("a\n{}", "x".repeat(10_000));
        let changes: [fn(&mut serde_json::Value) -> &mut serde_json::Value; 4] = [
            |json| &mut json["policy"]["mode"],
            |json| &mut json["topology"]["witness"]["page_topic_arn"],
            |json| &mut json["topology"]["data_regions"][0]["liveness_url"],
            |json| &mut json["topology"]["data_regions"][0]["cluster_arn"],
        ];
        for change in changes {
            let mut json: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
            *change(&mut json) = long.as_str().into();
            let problem = Config::parse(&json.to_string()).unwrap_err().to_string();
            assert!(!problem.contains('\n') && problem.chars().count() < 800, "{problem}");
        }
    }
}
