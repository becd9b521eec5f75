//! Aurora cluster ARNs. A failover target is never a bare identifier: the ARN is how Aurora finds the cluster's Region.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Region;
use crate::region::excerpt;

/// The ARN of one Aurora DB cluster: `arn:aws:rds:<region>:<account>:cluster:<identifier>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterArn {
    partition: String,
    region: Region,
    account: String,
    identifier: String,
}

/// The text is not the ARN of an Aurora cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not an Aurora cluster ARN ({problem}); write it like arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2"
)]
pub struct NotAClusterArn {
    text: String,
    problem: &'static str,
}

impl ClusterArn {
    /// Parses an ARN; a bare identifier is refused.
    pub fn parse(text: &str) -> Result<Self, NotAClusterArn> {
        let no = |problem| NotAClusterArn { text: excerpt(text), problem };
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, kind, identifier] = parts.as_slice() else {
            return Err(no("it does not have seven parts; a bare identifier does not say which Region"));
        };
        let partition_named = partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && partition.len() <= 32;
        if *arn != "arn" || !partition.starts_with("aws") || !partition_named {
            return Err(no("it does not start with arn:aws"));
        }
        if *service != "rds" || *kind != "cluster" {
            return Err(no("it does not name an RDS cluster"));
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(no("the account is not twelve digits"));
        }
        let named = identifier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if identifier.is_empty() || identifier.len() > 63 || !named {
            return Err(no("the identifier is not 1 to 63 letters, digits and dashes"));
        }
        let region = Region::new(region).map_err(|_| no("the Region is not a Region code"))?;
        Ok(Self {
            partition: (*partition).to_owned(),
            region,
            account: (*account).to_owned(),
            identifier: (*identifier).to_owned(),
        })
    }

    /// The Region that the cluster lives in, and so the Region whose control plane is asked.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The cluster's identifier inside its Region.
    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.identifier
    }
}

impl fmt::Display for ClusterArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, identifier } = self;
        write!(f, "arn:{partition}:rds:{region}:{account}:cluster:{identifier}")
    }
}

impl TryFrom<String> for ClusterArn {
    type Error = NotAClusterArn;
    fn try_from(text: String) -> Result<Self, NotAClusterArn> {
        Self::parse(&text)
    }
}

impl From<ClusterArn> for String {
    fn from(arn: ClusterArn) -> Self {
        arn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_prints_as_it_was_read() {
        let text = "arn:aws:rds:eu-west-2:123456789012:cluster:payments-eu-west-2";
        let arn = ClusterArn::parse(text).unwrap();
        assert_eq!(arn.to_string(), text);
        assert_eq!(arn.region().as_str(), "eu-west-2");
        assert_eq!(arn.identifier(), "payments-eu-west-2");
    }

    #[test]
    fn a_bare_identifier_is_refused_and_the_message_shows_the_form() {
        let problem = ClusterArn::parse("payments-eu-west-2").unwrap_err().to_string();
        assert!(problem.contains("which Region") && problem.contains("arn:aws:rds:"), "{problem}");
    }

    #[test]
    fn other_arns_are_refused() {
        for bad in [
            "arn:aws:rds:eu-west-2:123456789012:db:writer-1",
            "arn:aws:rds::123456789012:global-cluster:payments-global",
            "arn:aws:rds:london:123456789012:cluster:x",
            "arn:aws:rds:eu-west-2:12:cluster:x",
            "arn:aws:rds:eu-west-2:123456789012:cluster:a b",
        ] {
            assert!(ClusterArn::parse(bad).is_err(), "{bad}");
        }
    }

    /// Found by fuzzing: whatever began with `aws` was a partition, a line break or a megabyte too, and was printed in every page.
    #[test]
    fn a_partition_is_a_short_word_in_lower_case() {
        let arn = |partition: &str| format!("arn:{partition}:rds:eu-west-2:123456789012:cluster:payments");
        for good in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b", "aws-eusc"] {
            assert!(ClusterArn::parse(&arn(good)).is_ok(), "{good}");
        }
        for bad in ["aws\nNeeded from you: nothing", "awsX", "aws1", "amazon", "", &"aws".repeat(11)] {
            assert!(ClusterArn::parse(&arn(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_up_to_the_limit_are_taken_and_no_longer_ones() {
        let arn = |identifier: usize, partition: usize| {
            let (name, partition) = ("x".repeat(identifier), format!("aws{}", "a".repeat(partition - 3)));
            ClusterArn::parse(&format!("arn:{partition}:rds:eu-west-2:123456789012:cluster:{name}")).is_ok()
        };
        for (identifier, partition, expected) in
            [(0, 3, false), (1, 3, true), (63, 3, true), (64, 3, false), (9, 32, true), (9, 33, false)]
        {
            assert_eq!(arn(identifier, partition), expected, "{identifier} and {partition} characters");
        }
    }
}
