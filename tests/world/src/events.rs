//! EventBridge: buses, rules and schedules.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::region::Region;
use crate::service::{json_error, respond};
use crate::world::{ACCOUNT, World};

/// A rule: which events go to which function of the same Region.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The Region of the bus.
    pub region: Region,
    /// The bus; `default` for AWS's own events.
    pub bus: &'static str,
    /// The `source` to match.
    pub source: &'static str,
    /// The detail-types to match; empty for all.
    pub detail_types: Vec<&'static str>,
    /// The function.
    pub target: &'static str,
}

/// How unreliable delivery is, in thousandths of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryChaos {
    /// Delivered twice.
    pub duplicated_permille: u64,
    /// Delivered up to this much later.
    pub late_permille: u64,
    /// How late at most.
    pub late_max: Duration,
    /// Never delivered.
    pub lost_permille: u64,
}

#[derive(Default)]
pub(crate) struct EventBridge {
    rules: Vec<Rule>,
    schedules: Vec<(Region, &'static str, Duration)>,
    pub(crate) chaos: DeliveryChaos,
    published: Vec<(Duration, Region, Value)>,
    on_published: Option<fn(&World, Region, &Value)>,
}

impl World {
    /// Adds a rule.
    pub fn put_rule(&self, rule: Rule) {
        self.state().events.rules.push(rule);
    }

    /// Every rule that was added.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.state().events.rules.clone()
    }

    /// Every schedule: where, what, how often.
    #[must_use]
    pub fn schedules(&self) -> Vec<(Region, &'static str, Duration)> {
        self.state().events.schedules.clone()
    }

    /// Sets how unreliable delivery is.
    pub fn set_delivery_chaos(&self, chaos: DeliveryChaos) {
        self.state().events.chaos = chaos;
    }

    /// Every event that was put on any bus.
    #[must_use]
    pub fn published(&self) -> Vec<(Duration, Region, Value)> {
        self.state().events.published.clone()
    }

    /// Shows each event as it is put on a bus.
    pub fn on_published(&self, show: fn(&Self, Region, &Value)) {
        self.state().events.on_published = Some(show);
    }

    /// Starts a function again and again, the first time after `offset`. A dark Region's schedule does nothing.
    pub fn schedule(&self, region: Region, function: &'static str, every: Duration, offset: Duration) {
        self.state().events.schedules.push((region, function, every));
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(offset).await;
            loop {
                if !world.state().network.is_dark(region) {
                    let rule = format!("arn:aws:events:{region}:{ACCOUNT}:rule/{function}");
                    let event = world.envelope(region, "aws.events", "Scheduled Event", vec![rule], json!({}));
                    world.invoke_async(region, function, event.to_string().into());
                }
                tokio::time::sleep(every).await;
            }
        });
    }

    /// Puts an event of AWS's own on a Region's default bus, as late as given.
    pub(crate) fn put_service_event(
        &self,
        region: Region,
        source: &'static str,
        detail_type: &str,
        detail: Value,
        late: Duration,
    ) {
        let event = self.envelope(region, source, detail_type, Vec::new(), detail);
        self.after(late, move |world| {
            if !world.state().network.is_dark(region) {
                world.deliver(region, "default", event);
            }
        });
    }

    fn envelope(
        &self,
        region: Region,
        source: &str,
        detail_type: &str,
        resources: Vec<String>,
        detail: Value,
    ) -> Value {
        let id = format!("{:08x}-0000-4000-8000-{:012x}", self.draw(1 << 32), self.draw(1 << 48));
        json!({
            "version": "0", "id": id, "detail-type": detail_type, "source": source, "account": ACCOUNT,
            "time": format!("{:.0}", self.now()), "region": region.as_str(), "resources": resources, "detail": detail,
        })
    }

    fn deliver(&self, region: Region, bus: &str, event: Value) {
        let (targets, chaos) = {
            let mut state = self.state();
            state.events.published.push((self.elapsed(), region, event.clone()));
            let matching = state.events.rules.iter().filter(|rule| {
                rule.region == region
                    && rule.bus == bus
                    && event["source"] == rule.source
                    && (rule.detail_types.is_empty() || rule.detail_types.iter().any(|it| event["detail-type"] == *it))
            });
            (matching.map(|rule| rule.target).collect::<Vec<_>>(), state.events.chaos)
        };
        let show = self.state().events.on_published;
        if let Some(show) = show {
            show(self, region, &event);
        }
        let payload = Bytes::from(event.to_string());
        for target in targets {
            if self.draw(1000) < chaos.lost_permille {
                continue;
            }
            let copies = if self.draw(1000) < chaos.duplicated_permille { 2 } else { 1 };
            for _ in 0..copies {
                let late = self.draw(1000) < chaos.late_permille;
                let extra = if late { self.draw(u64::try_from(chaos.late_max.as_millis()).unwrap_or(0)) } else { 0 };
                let delay = Duration::from_millis(150 + self.draw(250) + extra);
                let payload = payload.clone();
                self.after(delay, move |world| world.invoke_async(region, target, payload));
            }
        }
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if target != "AWSEvents.PutEvents" {
        return json_error(400, "UnknownOperationException", "this world's EventBridge speaks PutEvents");
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
        return json_error(400, "SerializationException", "the body is not JSON");
    };
    let mut results = Vec::new();
    for entry in body["Entries"].as_array().unwrap_or(&Vec::new()) {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        match serde_json::from_str::<Value>(text("Detail")) {
            Ok(detail) => {
                let event = world.envelope(at, text("Source"), text("DetailType"), Vec::new(), detail);
                results.push(json!({"EventId": event["id"]}));
                let bus = text("EventBusName");
                world.deliver(at, if bus.is_empty() { "default" } else { bus }, event);
            }
            Err(_) => results.push(json!({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."})),
        }
    }
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
    respond(200, "application/x-amz-json-1.1", json!({"FailedEntryCount": failed, "Entries": results}).to_string())
}
