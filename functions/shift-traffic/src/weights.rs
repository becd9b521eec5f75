//! Weighted records. They are changed in us-east-1, by Route 53's control plane: for planned moves, never for an outage.

use std::collections::BTreeMap;

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
use holdfast_aws::Failure;
use holdfast_aws::clients::never_retried;
use holdfast_aws::failure::causes;
use holdfast_domain::Region;
use holdfast_domain::promotion::Observed;
use holdfast_domain::traffic::Routing;

use crate::Run;

impl Run<'_> {
    fn route53(&self) -> Client {
        Client::new(&self.quick(&self.startup.region))
    }

    /// The service's records, by the Region that is each one's set identifier.
    async fn records(&self, hosted_zone_id: &str) -> Result<BTreeMap<Region, ResourceRecordSet>, String> {
        let name = format!("{}.", self.traffic.service_domain);
        let listed = self
            .route53()
            .list_resource_record_sets()
            .hosted_zone_id(hosted_zone_id)
            .start_record_name(&name)
            .start_record_type(RrType::A)
            .send()
            .await
            .map_err(|error| format!("ListResourceRecordSets failed: {}", causes(&error)))?;
        let records =
            listed.resource_record_sets().iter().filter(|set| set.name() == name && *set.r#type() == RrType::A);
        let by_region = records.filter_map(|set| Some((Region::new(set.set_identifier()?).ok()?, set.clone())));
        Ok(by_region.collect())
    }

    pub(crate) async fn weights(&self, hosted_zone_id: &str) -> Observed<BTreeMap<Region, u64>> {
        match self.records(hosted_zone_id).await {
            Err(why) => Observed::Unseen { why },
            Ok(records) => {
                let weights =
                    records.into_iter().filter_map(|(region, set)| Some((region, u64::try_from(set.weight()?).ok()?)));
                Observed::Seen(weights.collect())
            }
        }
    }

    /// Both weights in one batch: never one without the other.
    pub(crate) async fn set_weights(&self, wanted: &BTreeMap<Region, u64>) -> Result<(), Failure> {
        let Routing::Weighted { hosted_zone_id, .. } = &self.traffic.routing else { return Ok(()) };
        let mut records = self.records(hosted_zone_id).await.map_err(Failure::NothingChanged)?;
        let mut batch = ChangeBatch::builder();
        for (region, weight) in wanted {
            let Some(mut set) = records.remove(region) else {
                let why = format!("{} has no record with the set identifier {region}", self.traffic.service_domain);
                return Err(Failure::NothingChanged(why));
            };
            set.weight = i64::try_from(*weight).ok();
            let change = Change::builder().action(ChangeAction::Upsert).resource_record_set(set).build();
            batch = batch.changes(change.map_err(|error| Failure::NothingChanged(error.to_string()))?);
        }
        let batch = batch.build().map_err(|error| Failure::NothingChanged(error.to_string()))?;
        let change = self.route53().change_resource_record_sets().hosted_zone_id(hosted_zone_id).change_batch(batch);
        let once = aws_sdk_route53::config::Builder::new().retry_config(never_retried());
        let changed = change.customize().config_override(once).send().await;
        changed.map(drop).map_err(|error| {
            Failure::LookBeforeRetry(format!(
                "ChangeResourceRecordSets failed: {}; it is looked at again in a minute",
                causes(&error)
            ))
        })
    }
}
