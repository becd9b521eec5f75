//! Metrics in CloudWatch's embedded metric format: one JSON line on standard output, no API call on the path of an outage.

use std::io::Write as _;

use holdfast_domain::Timestamp;
use serde_json::{Value, json};

/// The CloudWatch namespace of all of Holdfast's metrics.
const NAMESPACE: &str = "Holdfast";

/// Where metric lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Lambda's log, where CloudWatch picks them up.
    Stdout,
    /// Nowhere: simulations count for themselves.
    Silent,
}

impl Metrics {
    /// Writes one line with the given metrics (CloudWatch unit, value) under the given dimensions.
    pub fn emit(self, now: Timestamp, dimensions: &[(&str, &str)], metrics: &[(&str, &str, u64)]) {
        match self {
            Self::Silent => {}
            Self::Stdout => {
                let line = line(now, dimensions, metrics);
                // A metric that cannot be written must not stop a failover.
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }
        }
    }
}

fn line(now: Timestamp, dimensions: &[(&str, &str)], metrics: &[(&str, &str, u64)]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let definitions: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions}]
        }
    });
    for (name, value) in dimensions {
        line[*name] = json!(value);
    }
    for (name, _, value) in metrics {
        line[*name] = json!(value);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_embedded_metric_format() {
        let line = line(Timestamp::UNIX_EPOCH, &[("Region", "eu-west-2")], &[("ProbeFailures", "Count", 2)]);
        assert_eq!(
            line,
            json!({
                "_aws": {"Timestamp": 0, "CloudWatchMetrics": [{
                    "Namespace": "Holdfast",
                    "Dimensions": [["Region"]],
                    "Metrics": [{"Name": "ProbeFailures", "Unit": "Count"}]
                }]},
                "Region": "eu-west-2",
                "ProbeFailures": 2
            })
        );
    }
}
