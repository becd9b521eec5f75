//! Publishing Holdfast events.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::Config;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_types::SdkConfig;
use holdfast_domain::Region;
use holdfast_domain::event::{Event, SOURCE};

use crate::clients::{in_region, never_retried};
use crate::failure::causes;

/// The event buses of the installation, one of the same name in each Region.
#[derive(Clone, Debug)]
pub struct Bus {
    sdk: SdkConfig,
    name: String,
}

/// No bus took the event.
#[derive(Debug, thiserror::Error)]
#[error("publishing {detail_type} failed: {attempts}")]
pub struct PublishError {
    detail_type: &'static str,
    attempts: String,
}

impl Bus {
    /// A bus reached with this configuration.
    #[must_use]
    pub fn new(sdk: &SdkConfig, name: &str) -> Self {
        Self { sdk: sdk.clone(), name: name.to_owned() }
    }

    /// Puts the event on the first bus that takes it and returns that Region. An event may arrive twice; receivers expect it.
    pub async fn publish<'a>(
        &self,
        event: &Event,
        regions: impl IntoIterator<Item = &'a Region>,
    ) -> Result<Region, PublishError> {
        let mut attempts = Vec::new();
        for region in regions {
            match self.put(event, region).await {
                Ok(()) => return Ok(region.clone()),
                Err(why) => attempts.push(format!("{region}: {why}")),
            }
        }
        Err(PublishError { detail_type: event.detail_type(), attempts: attempts.join("; ") })
    }

    async fn put(&self, event: &Event, region: &Region) -> Result<(), String> {
        let detail = serde_json::to_string(event).map_err(|error| error.to_string())?;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(event.detail_type())
            .detail(detail)
            .build();
        let answer = Client::new(&in_region(&self.sdk, region))
            .put_events()
            .entries(entry)
            .customize()
            .config_override(Config::builder().retry_config(never_retried()))
            .send()
            .await
            .map_err(|error| causes(&error))?;
        match answer.entries().iter().find_map(|entry| entry.error_code()) {
            None => Ok(()),
            Some(code) => Err(format!("EventBridge refused it: {code}")),
        }
    }
}
