//! Where everything is: two data Regions that serve, one witness that only watches.

use serde::{Deserialize, Serialize};

use crate::arn::ClusterArn;
use crate::config::ConfigError;
use crate::region::{Region, excerpt};

/// The installation: Regions, clusters, tables and endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Identifier of the Aurora global cluster. With another strategy, the name of the ledger in the coordination table.
    pub global_cluster: String,
    /// How the standby's ledger becomes the writer.
    #[serde(default)]
    pub ledger_strategy: LedgerStrategy,
    /// Host name that the applications write through: the Aurora global writer endpoint, or, where there is no global
    /// database, the own endpoint of the cluster that is to be promoted or restored.
    pub writer_endpoint: String,
    /// The coordination table: a DynamoDB global table with strong consistency (MRSC) in all three Regions.
    pub coordination_table: String,
    /// The EventBridge bus that the functions meet on, of the same name in each Region.
    pub event_bus: String,
    /// How the functions log in to the ledger.
    pub ledger: LedgerAccess,
    /// The payments team's table of attempts.
    pub attempts: AttemptsTable,
    /// The two Regions that hold the service.
    pub data_regions: Vec<DataRegion>,
    /// Buckets are addressed by path and not by host name, as most S3-compatible servers want it.
    #[serde(default)]
    pub s3_path_style: bool,
    /// The third Region: it holds an observer and a replica of the coordination table.
    pub witness: Witness,
}

/// How the functions log in to the ledger. The password is an IAM token unless the environment has `PGPASSWORD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerAccess {
    /// Database name.
    pub database: String,
    /// Database role.
    pub user: String,
    /// TCP port.
    #[serde(default = "postgresql_port")]
    pub port: u16,
    /// PEM file with the certificate authorities to trust, inside the deployment package (the RDS bundle).
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Host name of a cluster that was restored from the old volume's snapshot, while one is compared with the ledger.
    #[serde(default)]
    pub salvage_endpoint: Option<String>,
}

fn postgresql_port() -> u16 {
    5432
}

/// The payments team's table of attempts, with string keys `pk` and `sk`, and a replica in both data Regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptsTable {
    /// Its name, the same in each Region.
    pub table: String,
    /// Into how many partitions the payments tier spreads the marks of a minute.
    pub shards: u32,
}

/// One of the two Regions that hold the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRegion {
    /// The Region.
    pub region: Region,
    /// Its Aurora cluster, a member of the global cluster.
    pub cluster_arn: ClusterArn,
    /// Host name of its cluster's reader endpoint: it answers while the other Region is dark.
    pub reader_endpoint: String,
    /// The versioned bucket that holds this Region's receipts and the copies of the other's.
    pub receipts_bucket: String,
    /// Answers 200 while the Region serves at all. Used for routing; it must not depend on the database.
    pub liveness_url: String,
    /// Answers 200 while a payment can be written through this Region.
    pub write_readiness_url: String,
    /// The SNS topic that reaches people from this Region.
    pub page_topic_arn: String,
    /// What a cluster that is restored here is made of; needed with `ledger_strategy` `restore_from_snapshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_into: Option<RestoreInto>,
}

/// How the standby's ledger becomes the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerStrategy {
    /// A member of a global database is failed over or switched over to.
    #[default]
    GlobalDatabase,
    /// A cross-Region read replica cluster (Aurora MySQL has them) is promoted: always with loss.
    ReadReplica,
    /// A cluster is restored from the newest snapshot in the Region: always with loss. It is given the identifier of the
    /// Region's `cluster_arn`, so that no second one can be created and its endpoint is known beforehand.
    RestoreFromSnapshot,
}

/// What a restored cluster is made of: AWS would take the defaults of the account, in which no application finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreInto {
    /// Such as `db.r6g.large`.
    pub instance_class: String,
    /// The DB subnet group.
    pub subnet_group: String,
    /// The VPC security groups.
    pub security_groups: Vec<String>,
}

/// The Region that only watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// The Region.
    pub region: Region,
    /// The SNS topic that reaches people from this Region.
    pub page_topic_arn: String,
}

impl Topology {
    /// All three Regions, data Regions first.
    pub fn observers(&self) -> impl Iterator<Item = &Region> {
        self.data_regions.iter().map(|data| &data.region).chain([&self.witness.region])
    }

    /// The data Region of that name.
    #[must_use]
    pub fn data_region(&self, region: &Region) -> Option<&DataRegion> {
        self.data_regions.iter().find(|data| data.region == *region)
    }

    /// The data Region that is not this one.
    #[must_use]
    pub fn peer_of(&self, region: &Region) -> Option<&DataRegion> {
        self.data_region(region)?;
        self.data_regions.iter().find(|data| data.region != *region)
    }

    /// The data Region whose cluster this is.
    #[must_use]
    pub fn data_region_of_cluster(&self, arn: &ClusterArn) -> Option<&DataRegion> {
        self.data_regions.iter().find(|data| data.cluster_arn == *arn)
    }

    /// The SNS topics to try when paging from `here`: this Region's, the witness's, then any other, never the one to be avoided.
    #[must_use]
    pub fn page_topics(&self, here: &Region, avoid: Option<&Region>) -> Vec<(Region, String)> {
        let witness = std::iter::once((&self.witness.region, &self.witness.page_topic_arn));
        let all = witness.chain(self.data_regions.iter().map(|data| (&data.region, &data.page_topic_arn)));
        let mut topics: Vec<(Region, String)> = all
            .filter(|(region, _)| Some(*region) != avoid)
            .map(|(region, arn)| (region.clone(), arn.clone()))
            .collect();
        topics.sort_by_key(|(region, _)| region != here);
        topics
    }

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let [one, other] = self.data_regions.as_slice() else {
            return Err(ConfigError::new(
                "topology.data_regions",
                format!("has {} entries", self.data_regions.len()),
                "name exactly two Regions that hold the service; the third is `topology.witness`",
            ));
        };
        if one.region == other.region {
            return Err(ConfigError::new(
                "topology.data_regions",
                format!("names {} twice", one.region),
                "name two different Regions",
            ));
        }
        if self.data_region(&self.witness.region).is_some() {
            return Err(ConfigError::new(
                "topology.witness.region",
                format!("is {}, which is also a data Region", self.witness.region),
                "name a third Region: two cannot tell a dead peer from a dead link",
            ));
        }
        for (index, data) in self.data_regions.iter().enumerate() {
            data.validate(index)?;
            data.validate_restore(index, self.ledger_strategy)?;
        }
        check_topic("topology.witness.page_topic_arn", &self.witness.page_topic_arn, &self.witness.region)?;
        for (field, value) in [
            ("topology.global_cluster", &self.global_cluster),
            ("topology.writer_endpoint", &self.writer_endpoint),
            ("topology.coordination_table", &self.coordination_table),
            ("topology.event_bus", &self.event_bus),
            ("topology.ledger.database", &self.ledger.database),
            ("topology.ledger.user", &self.ledger.user),
            ("topology.attempts.table", &self.attempts.table),
            ("topology.data_regions[0].reader_endpoint", &one.reader_endpoint),
            ("topology.data_regions[1].reader_endpoint", &other.reader_endpoint),
            ("topology.data_regions[0].receipts_bucket", &one.receipts_bucket),
            ("topology.data_regions[1].receipts_bucket", &other.receipts_bucket),
        ] {
            if value.trim().is_empty() {
                return Err(ConfigError::new(field, "is empty", "give its name"));
            }
        }
        // Each shard of each minute is one query while people wait for the price.
        if !(1..=64).contains(&self.attempts.shards) {
            let found = format!("is {}", self.attempts.shards);
            return Err(ConfigError::new("topology.attempts.shards", found, "give a number from 1 to 64"));
        }
        Ok(())
    }
}

impl DataRegion {
    fn validate(&self, index: usize) -> Result<(), ConfigError> {
        let field = |name: &str| format!("topology.data_regions[{index}].{name}");
        if *self.cluster_arn.region() != self.region {
            return Err(ConfigError::new(
                &field("cluster_arn"),
                format!("is in {}, but the Region is {}", self.cluster_arn.region(), self.region),
                "give the ARN of the cluster that lives in this Region",
            ));
        }
        for (name, url) in [("liveness_url", &self.liveness_url), ("write_readiness_url", &self.write_readiness_url)] {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(ConfigError::new(
                    &field(name),
                    format!("is `{}`", excerpt(url)),
                    "give a full https:// URL",
                ));
            }
        }
        if self.liveness_url == self.write_readiness_url {
            return Err(ConfigError::new(
                &field("write_readiness_url"),
                "is the same as liveness_url",
                "keep the two apart: routing must not turn away from a Region while its database is being promoted",
            ));
        }
        check_topic(&field("page_topic_arn"), &self.page_topic_arn, &self.region)
    }

    fn validate_restore(&self, index: usize, strategy: LedgerStrategy) -> Result<(), ConfigError> {
        let field = format!("topology.data_regions[{index}].restore_into");
        let needed = match strategy {
            LedgerStrategy::RestoreFromSnapshot => true,
            LedgerStrategy::GlobalDatabase | LedgerStrategy::ReadReplica => false,
        };
        match &self.restore_into {
            None if needed => Err(ConfigError::new(
                &field,
                "is missing",
                "give instance_class, subnet_group and security_groups: a cluster is restored there",
            )),
            Some(_) if !needed => Err(ConfigError::new(
                &field,
                "is given, and nothing is restored",
                "leave it out, or set topology.ledger_strategy to restore_from_snapshot",
            )),
            Some(into) if into.instance_class.trim().is_empty() || into.subnet_group.trim().is_empty() => {
                Err(ConfigError::new(&field, "has an empty name", "name the instance class and the subnet group"))
            }
            Some(into) if into.security_groups.is_empty() => Err(ConfigError::new(
                &field,
                "names no security group",
                "name those that let the applications in: the default one lets nobody",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn check_topic(field: &str, arn: &str, region: &Region) -> Result<(), ConfigError> {
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sns", there, _, name] if *there == region.as_str() && !name.is_empty() => Ok(()),
        _ => Err(ConfigError::new(
            field,
            format!("is `{}`", excerpt(arn)),
            "give an SNS topic of this Region, like arn:aws:sns:eu-west-2:123456789012:holdfast-pages",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn topology() -> Topology {
        Config::parse(include_str!("../../../events/config.example.json")).unwrap().topology
    }
    fn region(code: &str) -> Region {
        Region::new(code).unwrap()
    }

    #[test]
    fn each_data_region_is_the_others_peer_and_the_witness_has_none() {
        let topology = topology();
        let peer = |code: &str| topology.peer_of(&region(code)).map(|data| data.region.to_string());
        assert_eq!(peer("eu-west-1").as_deref(), Some("eu-west-2"));
        assert_eq!(peer("eu-west-2").as_deref(), Some("eu-west-1"));
        assert_eq!(peer("eu-central-1"), None);
        assert_eq!(topology.data_region(&region("eu-west-2")).unwrap().region, region("eu-west-2"));
        assert_eq!(topology.data_region(&region("eu-central-1")), None);
    }

    #[test]
    fn a_cluster_is_known_by_its_arn() {
        let topology = topology();
        let owner = |arn: &str| topology.data_region_of_cluster(&ClusterArn::parse(arn).unwrap());
        for data in &topology.data_regions {
            assert_eq!(owner(&data.cluster_arn.to_string()), Some(data));
        }
        assert_eq!(owner("arn:aws:rds:eu-west-1:123456789012:cluster:another"), None);
    }

    #[test]
    fn all_three_regions_observe_data_regions_first() {
        let topology = topology();
        let observers: Vec<&str> = topology.observers().map(Region::as_str).collect();
        assert_eq!(observers, ["eu-west-1", "eu-west-2", "eu-central-1"]);
    }

    #[test]
    fn a_page_is_tried_at_home_first_and_never_where_it_must_not_be() {
        let topics = |here: &str, avoid: Option<&str>| -> Vec<String> {
            let avoid = avoid.map(region);
            topology().page_topics(&region(here), avoid.as_ref()).into_iter().map(|(_, topic)| topic).collect()
        };
        let topic = |code: &str| format!("arn:aws:sns:{code}:123456789012:holdfast-pages");
        assert_eq!(topics("eu-west-1", None), ["eu-west-1", "eu-central-1", "eu-west-2"].map(topic));
        assert_eq!(topics("eu-central-1", Some("eu-west-1")), ["eu-central-1", "eu-west-2"].map(topic));
        assert_eq!(topics("eu-west-2", Some("eu-west-2")), ["eu-central-1", "eu-west-1"].map(topic));
    }

    #[test]
    fn a_ledger_without_a_port_listens_where_postgresql_does() {
        let access: LedgerAccess = serde_json::from_str(r#"{"database":"payments","user":"holdfast"}"#).unwrap();
        assert_eq!(access.port, 5432);
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Topology), expected: Option<&str>) {
        let mut topology = topology();
        change(&mut topology);
        let problem = topology.validate().err().map(|problem| problem.to_string());
        match (&problem, expected) {
            (Some(problem), Some(expected)) => assert!(problem.contains(expected), "{problem}"),
            (problem, expected) => assert_eq!(problem.as_deref(), expected),
        }
    }

    #[test]
    fn a_strategy_is_named_or_it_is_the_global_database() {
        assert_eq!(topology().ledger_strategy, LedgerStrategy::GlobalDatabase);
        check(|topology| topology.ledger_strategy = LedgerStrategy::ReadReplica, None);
        let named: LedgerStrategy = serde_json::from_str(r#""restore_from_snapshot""#).unwrap();
        assert_eq!(named, LedgerStrategy::RestoreFromSnapshot);
        assert!(serde_json::from_str::<LedgerStrategy>(r#""hope""#).is_err());
    }

    #[test]
    fn a_restore_says_what_the_cluster_is_made_of_and_nothing_else_does() {
        type Into = fn() -> RestoreInto;
        let whole: Into = || RestoreInto {
            instance_class: "db.r6g.large".into(),
            subnet_group: "ledger".into(),
            security_groups: vec!["sg-1".into()],
        };
        let restoring = |into: Option<RestoreInto>| {
            move |topology: &mut Topology| {
                topology.ledger_strategy = LedgerStrategy::RestoreFromSnapshot;
                topology.data_regions.iter_mut().for_each(|data| data.restore_into.clone_from(&into));
            }
        };
        check(restoring(Some(whole())), None);
        check(restoring(None), Some("`topology.data_regions[0].restore_into` is missing"));
        check(restoring(Some(RestoreInto { subnet_group: " ".into(), ..whole() })), Some("has an empty name"));
        check(restoring(Some(RestoreInto { security_groups: Vec::new(), ..whole() })), Some("names no security group"));
        check(
            |topology| topology.data_regions[1].restore_into = Some(whole()),
            Some("`topology.data_regions[1].restore_into` is given, and nothing is restored"),
        );
    }

    #[test]
    fn one_region_twice_is_not_two() {
        check(
            |topology| topology.data_regions[1] = topology.data_regions[0].clone(),
            Some("`topology.data_regions` names eu-west-1 twice; name two different Regions"),
        );
    }
    #[test]
    fn a_url_is_a_whole_one() {
        for (url, expected) in [
            ("http://eu-west-1.internal/healthz", None),
            ("https://eu-west-1.internal/healthz", None),
            (
                "eu-west-1.internal/healthz",
                Some("`topology.data_regions[0].liveness_url` is `eu-west-1.internal/healthz`"),
            ),
        ] {
            check(|topology| topology.data_regions[0].liveness_url = url.into(), expected);
        }
    }
    #[test]
    fn a_topic_is_an_sns_topic_with_a_name() {
        for topic in ["arn:aws:sns:eu-central-1:123456789012:", "arn:aws:sqs:eu-central-1:123456789012:x", "pages"] {
            let expected = format!("`topology.witness.page_topic_arn` is `{topic}`; give an SNS topic of this Region");
            check(|topology| topology.witness.page_topic_arn = topic.into(), Some(&expected));
        }
    }
    #[test]
    fn nothing_is_nameless() {
        type Text = fn(&mut Topology) -> &mut String;
        let texts: [(&str, Text); 6] = [
            ("global_cluster", |topology| &mut topology.global_cluster),
            ("writer_endpoint", |topology| &mut topology.writer_endpoint),
            ("coordination_table", |topology| &mut topology.coordination_table),
            ("event_bus", |topology| &mut topology.event_bus),
            ("ledger.database", |topology| &mut topology.ledger.database),
            ("ledger.user", |topology| &mut topology.ledger.user),
        ];
        for (field, text) in texts {
            let expected = format!("configuration: `topology.{field}` is empty; give its name");
            check(|topology| *text(topology) = " ".into(), Some(&expected));
        }
        check(|_| {}, None);
    }
}
