//! CloudWatch: metrics per Region, `GetMetricData` in RPC v2 CBOR, and alarms. What was not measured is absent, never zero.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_cbor::data::Type;
use aws_smithy_cbor::decode::DeserializeError;
use aws_smithy_cbor::{Decoder, Encoder};
use aws_smithy_types::DateTime;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::region::Region;
use crate::service::{json_error, respond};
use crate::world::{ACCOUNT, World};

type Series = (Region, String, String, Vec<(String, String)>);

#[derive(Default)]
pub(crate) struct CloudWatch {
    metrics: BTreeMap<Series, Vec<(Timestamp, f64)>>,
    alarms: BTreeMap<(Region, &'static str), (Alarm, &'static str)>,
}

/// An alarm that is in ALARM while its metric is below a threshold.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// Its Region.
    pub region: Region,
    /// Its name.
    pub name: &'static str,
    /// The metric's namespace.
    pub namespace: &'static str,
    /// The metric.
    pub metric: &'static str,
    /// The metric's one dimension.
    pub dimension: (&'static str, &'static str),
    /// In ALARM when the metric is below this in each of the periods.
    pub below: f64,
    /// How many periods of a minute.
    pub periods: u32,
    /// The SNS topic to tell.
    pub topic: String,
}

const MINUTE: Duration = Duration::from_secs(60);

fn series(region: Region, namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Series {
    let mut dimensions: Vec<(String, String)> =
        dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    dimensions.sort();
    (region, namespace.to_owned(), name.to_owned(), dimensions)
}

impl World {
    /// Puts a value, stamped now by the true clock.
    pub fn put_metric(&self, region: Region, namespace: &str, name: &str, dimensions: &[(&str, &str)], value: f64) {
        let now = self.now();
        let mut state = self.state();
        state.cloudwatch.metrics.entry(series(region, namespace, name, dimensions)).or_default().push((now, value));
    }

    /// Creates an alarm; it is looked at once a minute.
    pub fn put_alarm(&self, alarm: Alarm) {
        let (region, name) = (alarm.region, alarm.name);
        self.state().cloudwatch.alarms.insert((region, name), (alarm, "INSUFFICIENT_DATA"));
        let world = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(MINUTE).await;
                if let Some(state) = world.evaluate(region, name) {
                    world.set_alarm_state(region, name, state, "Threshold Crossed");
                }
            }
        });
    }

    fn evaluate(&self, region: Region, name: &'static str) -> Option<&'static str> {
        let now = self.now();
        let state = self.state();
        let (alarm, before) = state.cloudwatch.alarms.get(&(region, name))?;
        let key = series(region, alarm.namespace, alarm.metric, &[alarm.dimension]);
        let since = now.checked_sub(MINUTE * alarm.periods).ok()?;
        let points = state.cloudwatch.metrics.get(&key).map(Vec::as_slice).unwrap_or_default();
        let recent: Vec<f64> = points.iter().filter(|(at, _)| *at > since).map(|(_, value)| *value).collect();
        let after = match () {
            () if recent.is_empty() => "INSUFFICIENT_DATA",
            () if recent.iter().all(|value| *value < alarm.below) => "ALARM",
            () => "OK",
        };
        (after != *before).then_some(after)
    }

    /// Puts an alarm into a state and tells its topic, as the API of that name does.
    pub fn set_alarm_state(&self, region: Region, name: &'static str, value: &'static str, reason: &str) {
        let told = {
            let mut state = self.state();
            let Some((alarm, before)) = state.cloudwatch.alarms.get_mut(&(region, name)) else { return };
            let message = json!({
                "AlarmName": name, "AlarmDescription": null, "AWSAccountId": ACCOUNT,
                "AlarmConfigurationUpdatedTimestamp": "2026-11-01T00:00:00.000+0000",
                "NewStateValue": value, "NewStateReason": reason, "StateChangeTime": "2026-11-24T14:09:00.000+0000",
                "Region": "US East (N. Virginia)", "AlarmArn": format!("arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{name}"),
                "OldStateValue": *before, "OKActions": [], "AlarmActions": [], "InsufficientDataActions": [],
                "Trigger": {"MetricName": alarm.metric, "Namespace": alarm.namespace, "StatisticType": "Statistic",
                    "Statistic": "MINIMUM", "Unit": null, "Period": 60, "EvaluationPeriods": alarm.periods,
                    "ComparisonOperator": "LessThanThreshold", "Threshold": alarm.below,
                    "TreatMissingData": "missing", "EvaluateLowSampleCountPercentile": ""}
            });
            *before = value;
            (alarm.topic.clone(), message.to_string())
        };
        self.record("cloudwatch", format!("alarm {name} is {value}"));
        self.publish(region, &told.0, &format!("{value}: {name}"), &told.1, BTreeMap::new());
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    if !request.uri().path().ends_with("/operation/GetMetricData") {
        return json_error(
            400,
            "UnknownOperationException",
            "this world's CloudWatch speaks GetMetricData (RPC v2 CBOR)",
        );
    }
    let mut decoder = Decoder::new(request.body());
    let Ok(input) = value(&mut decoder) else {
        return json_error(400, "SerializationException", "the body is not CBOR");
    };
    let second = |field: &str| input[field].as_i64().and_then(|second| Timestamp::from_second(second).ok());
    let (start, end) = (second("StartTime"), second("EndTime"));
    let descending = input["ScanBy"] != "TimestampAscending";
    let mut encoder = Encoder::new(Vec::new());
    let queries: Vec<Value> = input["MetricDataQueries"].as_array().cloned().unwrap_or_default();
    let queries: Vec<Value> = queries.into_iter().flat_map(|query| searched(world, at, query)).collect();
    encoder.map(1).str("MetricDataResults").array(queries.len());
    for query in &queries {
        let metric = &query["MetricStat"]["Metric"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let dimensions: Vec<(String, String)> = metric["Dimensions"]
            .as_array()
            .map(|list| list.iter().map(|it| (text(&it["Name"]), text(&it["Value"]))).collect())
            .unwrap_or_default();
        let borrowed: Vec<(&str, &str)> =
            dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let key = series(at, &text(&metric["Namespace"]), &text(&metric["MetricName"]), &borrowed);
        let mut minutes: BTreeMap<i64, f64> = BTreeMap::new();
        for (at, value) in world.state().cloudwatch.metrics.get(&key).map(Vec::as_slice).unwrap_or_default() {
            if start.is_none_or(|start| *at >= start) && end.is_none_or(|end| *at < end) {
                let minute = minutes.entry(at.as_second() - at.as_second().rem_euclid(60)).or_insert(*value);
                *minute = minute.max(*value);
            }
        }
        let mut points: Vec<(i64, f64)> = minutes.into_iter().collect();
        if descending {
            points.reverse();
        }
        encoder.map(4).str("Id").str(&text(&query["Id"])).str("StatusCode").str("Complete");
        encoder.str("Timestamps").array(points.len());
        for (at, _) in &points {
            encoder.timestamp(&DateTime::from_secs(*at));
        }
        encoder.str("Values").array(points.len());
        for (_, value) in &points {
            encoder.double(*value);
        }
    }
    let mut response = respond(200, "application/cbor", encoder.into_writer());
    response.headers_mut().insert("smithy-protocol", http::HeaderValue::from_static("rpc-v2-cbor"));
    response
}

/// A query by SEARCH becomes one for each metric that it finds; another one stays as it is.
fn searched(world: &World, at: Region, query: Value) -> Vec<Value> {
    let Some(expression) = query["Expression"].as_str() else { return vec![query] };
    let wanted = |name: &str| expression.split_once(&format!("{name}=\""))?.1.split('"').next();
    let (name, bucket) = (wanted("MetricName").unwrap_or_default(), wanted("SourceBucket").unwrap_or_default());
    let state = world.state();
    let found = state.cloudwatch.metrics.keys().filter(|(region, _, metric, dimensions)| {
        let of_bucket = dimensions.iter().any(|(name, value)| name == "SourceBucket" && value == bucket);
        *region == at && metric == name && of_bucket
    });
    found
        .map(|(_, namespace, name, dimensions)| {
            let dimensions: Vec<Value> =
                dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
            let metric = json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions});
            json!({"Id": query["Id"], "MetricStat": {"Metric": metric}})
        })
        .collect()
}

/// CBOR as JSON; a timestamp is its whole seconds.
fn value(decoder: &mut Decoder<'_>) -> Result<Value, DeserializeError> {
    match decoder.datatype()? {
        Type::Map | Type::MapIndef => {
            let mut object = Map::new();
            let mut left = decoder.map()?;
            while more(decoder, &mut left)? {
                let key = decoder.str()?.into_owned();
                object.insert(key, value(decoder)?);
            }
            Ok(Value::Object(object))
        }
        Type::Array | Type::ArrayIndef => {
            let mut list = Vec::new();
            let mut left = decoder.list()?;
            while more(decoder, &mut left)? {
                list.push(value(decoder)?);
            }
            Ok(Value::Array(list))
        }
        Type::String | Type::StringIndef => Ok(Value::String(decoder.str()?.into_owned())),
        Type::Tag => Ok(json!(decoder.timestamp()?.secs())),
        Type::Bool => Ok(Value::Bool(decoder.boolean()?)),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            Ok(json!(decoder.long()?))
        }
        Type::F16 | Type::F32 | Type::F64 => Ok(json!(decoder.double()?)),
        Type::Null
        | Type::Undefined
        | Type::Int
        | Type::Simple
        | Type::Bytes
        | Type::BytesIndef
        | Type::Break
        | Type::Unknown(_) => {
            decoder.skip()?;
            Ok(Value::Null)
        }
    }
}

/// Whether a list or map goes on; `left` is `None` for one of indefinite length.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DeserializeError> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}
