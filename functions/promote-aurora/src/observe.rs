//! The facts of an incident, gathered at once. What could not be learned is in there as unknown, with the reason.

use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use holdfast_aws::Failure;
use holdfast_aws::failure::causes;
use holdfast_domain::arn::ClusterArn;
use holdfast_domain::incident::{ClusterState, Incident, Phase, Verb};
use holdfast_domain::lag::Lag;
use holdfast_domain::price::Price;
use holdfast_domain::promotion::{Facts, Observed, Standby, evidence_is_old};
use holdfast_domain::quorum::{Quorum, verdict};
use holdfast_domain::replication::ReplicationRecord;
use holdfast_domain::topology::LedgerStrategy;
use holdfast_domain::{Region, Timestamp, age, distance};

use crate::Run;
use crate::rds::Rds;
use crate::standby::{age_of_backup, standby};

/// How often votes are read again to see whether they advance, a second apart: one observer round and a little.
const VOTE_LOOKS_MAX: usize = 7;
/// How far back the lag metric is looked for. It has one point a minute.
const LAG_WINDOW: Duration = Duration::from_secs(900);
/// A price that is younger than this need not be counted again before RDS is asked.
const PRICE_FRESH: Duration = Duration::from_secs(10);
/// A blocked incident is looked at whenever anything is heard; its price is counted with its first guards, and again later.
const PRICE_OF_A_BLOCKED: Duration = Duration::from_secs(30);

impl Run<'_> {
    /// Everything that the incident's phase makes worth knowing.
    pub(crate) async fn facts(&self, state: &ClusterState, incident: &Incident) -> Result<Facts, Failure> {
        let topology = &self.startup.config.topology;
        let cluster_of = |region: &Region| topology.data_region(region).map(|data| data.cluster_arn.clone());
        let (Some(source), Some(target)) = (cluster_of(&incident.from), cluster_of(&incident.to)) else {
            let why = format!("{incident}: the topology does not know its Regions; was the configuration changed?");
            return Err(Failure::NothingChanged(why));
        };
        let unneeded = || "not looked at in this phase".to_owned();
        let mut facts = Facts {
            incident: incident.clone(),
            quorum: Quorum::Unknown { why: unneeded(), evidence_age: None },
            global_cluster: Observed::Unseen { why: unneeded() },
            target_cluster: Observed::Unseen { why: unneeded() },
            lag: Lag::Unknown { why: unneeded() },
            price: Price::Unknown { why: unneeded() },
            replication: Observed::Unseen { why: unneeded() },
            promoted_at: state.promoted_at.get(&incident.to).copied(),
            freeze: state.freeze.clone(),
            source,
            target,
            standby: Standby::GlobalDatabase,
        };
        let rds = Rds::in_region(&self.startup.sdk, &self.startup.region);
        if topology.ledger_strategy != LedgerStrategy::GlobalDatabase {
            return Ok(self.facts_of_a_standby(facts, &rds).await);
        }
        match incident.phase {
            Phase::Suspected | Phase::Confirmed | Phase::AwaitingApproval | Phase::Blocked => {
                let (quorum, global_cluster, target_cluster, lag, price, replication) = tokio::join!(
                    self.quorum(&incident.from),
                    rds.global_cluster(&topology.global_cluster),
                    rds.target_cluster(&facts.target),
                    self.lag(&facts.target, &incident.from),
                    self.fresh_price(incident),
                    self.replication(incident)
                );
                facts = Facts { quorum, global_cluster, target_cluster, lag, price, replication, ..facts };
            }
            Phase::Promoting => {
                // A planned move needs its primary to the end; an unplanned one never waits for it.
                if incident.verb == Verb::Switchover {
                    facts.quorum = self.quorum(&incident.from).await;
                }
                facts.global_cluster = rds.global_cluster(&topology.global_cluster).await;
                if facts.target_is_sole_writer() {
                    facts.target_cluster = rds.target_cluster(&facts.target).await;
                } else if incident.verb == Verb::Failover && facts.is_idle() {
                    // RDS may have to be asked again: only of a Region that is still dark.
                    facts.quorum = self.quorum(&incident.from).await;
                }
            }
            Phase::Restored => {
                let counted = incident.loss.as_ref().is_some_and(Price::is_settled);
                if incident.verb == Verb::Failover && !counted {
                    facts.price = self.loss(incident).await;
                }
                facts.quorum = self.quorum(&incident.from).await;
            }
            Phase::Reconciling => facts.quorum = self.quorum(&incident.from).await,
            Phase::Fencing if evidence_is_old(incident, &self.startup.config.policy, self.startup.now()) => {
                facts.quorum = self.quorum(&incident.from).await;
            }
            Phase::Fencing | Phase::Proving | Phase::Dismissed | Phase::Failed | Phase::Closed => {}
        }
        Ok(facts)
    }

    /// The same where the standby is no member of a global database.
    async fn facts_of_a_standby(&self, facts: Facts, rds: &Rds) -> Facts {
        let strategy = self.startup.config.topology.ledger_strategy;
        let incident = facts.incident.clone();
        let (source, target) = (facts.source.clone(), facts.target.clone());
        let no_cluster = || Observed::Unseen { why: "the snapshots are all there is".into() };
        let described = async {
            match strategy {
                LedgerStrategy::GlobalDatabase | LedgerStrategy::ReadReplica => rds.target_cluster(&target).await,
                LedgerStrategy::RestoreFromSnapshot => no_cluster(),
            }
        };
        let stands_by = standby(rds, strategy, &source, &target);
        match incident.phase {
            Phase::Suspected | Phase::Confirmed | Phase::AwaitingApproval | Phase::Blocked => {
                let (quorum, standby, target_cluster, price) =
                    tokio::join!(self.quorum(&incident.from), stands_by, described, self.fresh_price(&incident));
                let lag = match (strategy, age_of_backup(&standby, self.startup.now())) {
                    (_, Ok(Some(lag))) => Lag::Known { lag, age: Duration::ZERO },
                    (_, Err(why)) => Lag::Unknown { why },
                    (_, Ok(None)) => self.lag_of_replica(&target).await,
                };
                Facts { quorum, standby, target_cluster, price, lag, ..facts }
            }
            Phase::Promoting => {
                // It may take a quarter of an hour: whether the old Region is still dark is looked at all the time.
                let (quorum, standby, target_cluster) = tokio::join!(self.quorum(&incident.from), stands_by, described);
                Facts { quorum, standby, target_cluster, ..facts }
            }
            Phase::Restored => {
                let counted = incident.loss.as_ref().is_some_and(Price::is_settled);
                let price = if counted { facts.price.clone() } else { self.loss(&incident).await };
                Facts { quorum: self.quorum(&incident.from).await, standby: stands_by.await, price, ..facts }
            }
            Phase::Fencing if evidence_is_old(&incident, &self.startup.config.policy, self.startup.now()) => {
                Facts { quorum: self.quorum(&incident.from).await, standby: stands_by.await, ..facts }
            }
            Phase::Fencing | Phase::Proving | Phase::Reconciling | Phase::Dismissed | Phase::Failed | Phase::Closed => {
                Facts { standby: stands_by.await, ..facts }
            }
        }
    }

    /// What verify-replication found last: a planned move waits for it, an outage does not.
    async fn replication(&self, incident: &Incident) -> Observed<Option<ReplicationRecord>> {
        match incident.verb {
            Verb::Failover => Observed::Unseen { why: "a failover does not wait for replication".into() },
            Verb::Switchover => match self.startup.coordination().replication().await {
                Ok(record) => Observed::Seen(record),
                Err(error) => Observed::Unseen { why: error.to_string() },
            },
        }
    }

    /// The price; one that is young enough, or that nobody can act on yet, is not counted again.
    async fn fresh_price(&self, incident: &Incident) -> Price {
        let now = self.startup.now();
        let asked = incident.phase == Phase::AwaitingApproval
            && incident.approval.is_none()
            && incident.veto_until.is_none_or(|deadline| now < deadline);
        let waits_for_a_person = asked || incident.standing_veto(&self.startup.config.policy, now).is_some();
        let enough = match incident.phase {
            Phase::Blocked if incident.approval.is_none() => PRICE_OF_A_BLOCKED,
            Phase::Confirmed => PRICE_FRESH,
            Phase::Suspected
            | Phase::AwaitingApproval
            | Phase::Blocked
            | Phase::Fencing
            | Phase::Promoting
            | Phase::Proving
            | Phase::Restored
            | Phase::Reconciling
            | Phase::Dismissed
            | Phase::Failed
            | Phase::Closed => Duration::ZERO,
        };
        match (&incident.price, incident.verb) {
            (_, Verb::Switchover) => Price::Unknown { why: "a planned move loses nothing".into() },
            (Some(price), Verb::Failover) if waits_for_a_person || age(incident.phase_since(), now) < enough => {
                price.clone()
            }
            (Some(_) | None, Verb::Failover) => self.price(incident).await,
        }
    }

    /// What the votes say about a Region. Votes that look stale are watched for a round: the clocks may differ.
    pub(crate) async fn quorum(&self, subject: &Region) -> Quorum {
        let policy = &self.startup.config.policy;
        let topology = &self.startup.config.topology;
        let coordination = self.startup.coordination();
        let mut look = 0;
        loop {
            look += 1;
            let votes = match coordination.votes().await {
                Ok(votes) => votes,
                Err(error) => return Quorum::Unknown { why: error.to_string(), evidence_age: None },
            };
            let now = self.startup.now();
            let received = {
                let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
                watch.receive(votes, policy.vote_age_max(), now)
            };
            let quorum = verdict(subject, topology.observers(), &received, policy, now);
            let stale = received.iter().any(|received| {
                let counts = received.vote.observer != *subject;
                counts && !received.seen_to_advance && distance(received.vote.at, now) > policy.vote_age_max()
            });
            let may_change = matches!(quorum, Quorum::Unknown { .. }) && stale;
            if !may_change || look >= VOTE_LOOKS_MAX || self.time_left().is_zero() {
                return quorum;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The lag as CloudWatch last had it in this Region: only the secondary has the metric, and it outlives the primary.
    async fn lag(&self, target: &ClusterArn, from: &Region) -> Lag {
        let dimensions = [("DBClusterIdentifier", target.identifier()), ("SourceRegion", from.as_str())];
        self.lag_by("AuroraGlobalDBRPOLag", &dimensions, Duration::from_millis(1)).await
    }

    /// The same of a replica that is fed by a binary log, in whole seconds; -1 is one that is fed by nothing.
    async fn lag_of_replica(&self, target: &ClusterArn) -> Lag {
        let dimensions = [("DBClusterIdentifier", target.identifier())];
        self.lag_by("AuroraBinlogReplicaLag", &dimensions, Duration::from_secs(1)).await
    }

    async fn lag_by(&self, metric: &str, dimensions: &[(&str, &str)], unit: Duration) -> Lag {
        let now = self.startup.now();
        match self.newest_lag(metric, dimensions, now).await {
            Ok(Some((units, at))) => {
                let lag = unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
                Lag::Known { lag, age: age(at, now) }
            }
            Ok(None) => {
                Lag::Unknown { why: format!("{metric} has no point in the last {} minutes", LAG_WINDOW.as_secs() / 60) }
            }
            Err(why) => Lag::Unknown { why },
        }
    }

    async fn newest_lag(
        &self,
        metric: &str,
        dimensions: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Option<(u64, Timestamp)>, String> {
        let dimension = |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
        let metric = Metric::builder()
            .namespace("AWS/RDS")
            .metric_name(metric)
            .set_dimensions(Some(dimensions.iter().map(dimension).collect()))
            .build();
        let query = MetricDataQuery::builder()
            .id("rpo_lag")
            .metric_stat(MetricStat::builder().metric(metric).period(60).stat("Maximum").build())
            .build();
        let seconds = |at: Timestamp| aws_smithy_types::DateTime::from_secs(at.as_second());
        let answer = aws_sdk_cloudwatch::Client::new(&self.startup.sdk)
            .get_metric_data()
            .metric_data_queries(query)
            .start_time(seconds(now.checked_sub(LAG_WINDOW).unwrap_or(now)))
            .end_time(seconds(now.checked_add(Duration::from_secs(60)).unwrap_or(now)))
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await
            .map_err(|error| format!("GetMetricData failed: {}", causes(&error)))?;
        let Some(result) = answer.metric_data_results().first() else { return Ok(None) };
        let newest = result.timestamps().iter().zip(result.values()).max_by_key(|(at, _)| at.secs());
        let Some((at, value)) = newest else { return Ok(None) };
        // Round up: a lag of half a millisecond is not none.
        let lag_ms = format!("{:.0}", value.ceil()).parse().map_err(|_| format!("the metric's value is {value}"))?;
        let at = Timestamp::from_second(at.secs()).map_err(|error| error.to_string())?;
        Ok(Some((lag_ms, at)))
    }
}
