//! DynamoDB: a strongly consistent global table (MRSC) and single-Region tables. Items are kept in DynamoDB's own JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::region::Region;
use crate::service::{Answer, json_error, respond};
use crate::world::{State, World};

mod expression;
mod mrec;

pub use mrec::pause_replication;

use expression::{Names, compare};

/// An item: attribute names to DynamoDB JSON values such as `{"S": "x"}`.
pub type Item = Map<String, Value>;

/// How a table replicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Multi-Region strong consistency: a write needs one other replica, and conditions see the latest version (DDB V2globaltables_HowItWorks).
    Mrsc([Region; 3]),
    /// Multi-Region eventual consistency: a copy in each Region, conditions on the local one, last writer wins.
    Mrec(Vec<Region>),
    /// One Region.
    Regional(Region),
}

/// Every table.
#[derive(Default)]
pub struct DynamoDb {
    tables: BTreeMap<String, Table>,
}

#[derive(Clone)]
struct Table {
    mode: Mode,
    partition_key: &'static str,
    sort_key: Option<&'static str>,
    items: BTreeMap<(String, String), Item>,
    /// Who wrote an item last, and when it was settled: a second Region within that time collides.
    writers: BTreeMap<(String, String), (Region, Duration)>,
    conflicts_to_inject: u32,
    /// Every version of every item, where it is kept.
    journal: Option<Vec<Change>>,
    /// The copies of a table that replicates late; `items` is empty then.
    copies: mrec::Copies,
    /// What describes a replica's state, when it is not `ACTIVE`.
    statuses: BTreeMap<Region, ReplicaState>,
}

/// A write that took effect.
#[derive(Clone, Debug)]
pub struct Change {
    /// Since the start.
    pub at: Duration,
    /// Through which Region.
    pub by: Region,
    /// The new item; `None` when it was deleted.
    pub item: Option<Item>,
}

/// A replica that is not as it should be.
#[derive(Clone, Debug)]
pub struct ReplicaState {
    /// Such as `INACCESSIBLE_ENCRYPTION_CREDENTIALS`.
    pub status: &'static str,
    /// `ReplicaInaccessibleDateTime`.
    pub inaccessible_since: Option<jiff::Timestamp>,
}

/// An error as DynamoDB gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoError {
    /// HTTP status.
    pub status: u16,
    /// Such as `ConditionalCheckFailedException`.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

fn refused(code: &'static str, message: impl Into<String>) -> DynamoError {
    DynamoError { status: 400, code, message: message.into() }
}

/// A write that is about to be made, in the wire's terms.
struct Write<'a> {
    condition: Option<&'a str>,
    names: Names<'a>,
}

/// Creates a table, in every Region of its mode.
pub fn create_table(
    world: &World,
    name: &str,
    mode: Mode,
    partition_key: &'static str,
    sort_key: Option<&'static str>,
) {
    let replicates_late = matches!(mode, Mode::Mrec(_));
    let table = Table {
        mode,
        partition_key,
        sort_key,
        items: BTreeMap::new(),
        writers: BTreeMap::new(),
        conflicts_to_inject: 0,
        journal: None,
        copies: mrec::Copies::default(),
        statuses: BTreeMap::new(),
    };
    world.state().dynamodb.tables.insert(name.to_owned(), table);
    if replicates_late {
        mrec::start(world, name);
    }
}

/// Puts a replica into a state; one that is inaccessible neither answers nor replicates.
pub fn set_replica_state(world: &World, table: &str, region: Region, state: Option<ReplicaState>) {
    let says = state.as_ref().map_or("ACTIVE", |state| state.status);
    world.record("dynamodb", format!("the replica of {table} in {region} is {says}"));
    if let Some(table) = world.state().dynamodb.tables.get_mut(table) {
        match state {
            Some(state) => table.statuses.insert(region, state),
            None => table.statuses.remove(&region),
        };
    }
}

/// Has the next writes to a table answered with `ReplicatedWriteConflictException`.
pub fn inject_conflicts(world: &World, table: &str, count: u32) {
    if let Some(table) = world.state().dynamodb.tables.get_mut(table) {
        table.conflicts_to_inject = count;
    }
}

/// Keeps every version of a table's items from now on.
pub fn keep_journal(world: &World, table: &str) {
    if let Some(table) = world.state().dynamodb.tables.get_mut(table) {
        table.journal = Some(Vec::new());
    }
}

/// Every write to a table since its journal is kept, in order.
#[must_use]
pub fn journal(world: &World, table: &str) -> Vec<Change> {
    world.state().dynamodb.tables.get(table).and_then(|table| table.journal.clone()).unwrap_or_default()
}

/// Puts an item with a condition in DynamoDB's expression language; what the payments workload calls at arrival.
pub fn put(
    world: &World,
    at: Region,
    table: &str,
    item: Item,
    condition: Option<&str>,
    values: &Value,
) -> Result<(), DynamoError> {
    let write = Write { condition, names: Names { names: &Value::Null, values } };
    put_item(world, at, table, item, &write).map(drop)
}

/// Reads an item with strong consistency, or `None`.
pub fn get(world: &World, at: Region, table: &str, key: &Item) -> Result<Option<Item>, DynamoError> {
    let mut state = world.state();
    let linked = links(&state.network, at);
    let table = state.dynamodb.table(table)?;
    table.reachable(at, true, &linked)?;
    Ok(table.items_at(at).get(&table.key_of(key)?).cloned())
}

/// Every item of a table, whatever the network: for checkers after the run.
#[must_use]
pub fn all_items(world: &World, table: &str) -> Vec<Item> {
    let state = world.state();
    let table = state.dynamodb.tables.get(table);
    table.map(|table| table.items.values().chain(table.copies.all()).cloned().collect()).unwrap_or_default()
}

/// The items of a table as one Region has them, whatever the network: for checkers.
#[must_use]
pub fn items_in(world: &World, table: &str, region: Region) -> Vec<Item> {
    let state = world.state();
    let table = state.dynamodb.tables.get(table);
    table.map(|table| table.items_at(region).values().cloned().collect()).unwrap_or_default()
}

/// Which of the Regions of Europe a Region has a two-way path to.
fn links(network: &crate::network::Network, at: Region) -> Vec<(Region, Duration)> {
    let all = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
    all.into_iter()
        .filter(|other| *other != at && network.linked(at, *other))
        .map(|other| (other, network.one_way(at, other) * 2))
        .collect()
}

impl DynamoDb {
    fn table(&mut self, name: &str) -> Result<&mut Table, DynamoError> {
        self.tables.get_mut(name).ok_or_else(|| refused("ResourceNotFoundException", "Requested resource not found"))
    }
}

impl Table {
    fn key_of(&self, item: &Item) -> Result<(String, String), DynamoError> {
        let part = |name: &str| match item.get(name) {
            Some(value) => Ok(value.to_string()),
            None => {
                Err(refused("ValidationException", format!("One of the required keys was not given a value: {name}")))
            }
        };
        Ok((part(self.partition_key)?, self.sort_key.map(part).transpose()?.unwrap_or_default()))
    }

    /// What a Region has.
    fn items_at(&self, at: Region) -> &BTreeMap<(String, String), Item> {
        match &self.mode {
            Mode::Mrec(_) => self.copies.items(at),
            Mode::Mrsc(_) | Mode::Regional(_) => &self.items,
        }
    }

    fn is_accessible(&self, region: Region) -> bool {
        self.statuses.get(&region).is_none_or(|state| ["ACTIVE", "UPDATING"].contains(&state.status))
    }

    /// The items of one partition, or all of them.
    fn items_of(&self, at: Region, partition: Option<&str>) -> impl Iterator<Item = (&(String, String), &Item)> {
        let first = (partition.unwrap_or_default().to_owned(), String::new());
        let wanted = partition.map(str::to_owned);
        self.items_at(at)
            .range(first..)
            .take_while(move |((of, _), _)| wanted.as_ref().is_none_or(|wanted| of == wanted))
    }

    /// The round trip to the replica that takes part, or why there is none.
    fn reachable(&self, at: Region, strong: bool, linked: &[(Region, Duration)]) -> Result<Duration, DynamoError> {
        if !self.is_accessible(at) {
            return Err(refused("AccessDeniedException", "The replica's encryption key cannot be used"));
        }
        match &self.mode {
            Mode::Regional(home) if *home == at => Ok(Duration::ZERO),
            Mode::Mrec(replicas) if replicas.contains(&at) => Ok(Duration::ZERO),
            Mode::Mrsc(replicas) if replicas.contains(&at) => {
                let takes_part = |other: &Region| replicas.contains(other) && self.is_accessible(*other);
                let nearest = linked.iter().filter(|(other, _)| takes_part(other)).map(|(_, trip)| *trip).min();
                match nearest {
                    Some(trip) => Ok(trip),
                    None if !strong => Ok(Duration::ZERO),
                    None => Err(DynamoError {
                        status: 500,
                        code: "InternalServerError",
                        message: "no other replica can be reached".into(),
                    }),
                }
            }
            Mode::Regional(_) | Mode::Mrsc(_) | Mode::Mrec(_) => {
                Err(refused("ResourceNotFoundException", "Requested resource not found"))
            }
        }
    }
}

/// The old item, if there was one, and how long the write takes.
fn put_item(
    world: &World,
    at: Region,
    table: &str,
    item: Item,
    write: &Write<'_>,
) -> Result<(Option<Item>, Duration), DynamoError> {
    change(world, at, table, &item.clone(), write, move |_| Some(item))
}

fn change(
    world: &World,
    at: Region,
    table: &str,
    key: &Item,
    write: &Write<'_>,
    new: impl FnOnce(Option<&Item>) -> Option<Item>,
) -> Result<(Option<Item>, Duration), DynamoError> {
    let now = world.elapsed();
    let mut state = world.state();
    let linked = links(&state.network, at);
    let name = table;
    let late = matches!(state.dynamodb.table(name)?.mode, Mode::Mrec(_));
    let lag = if late { mrec::draw_lag(&mut state.random) } else { Duration::ZERO };
    let table = state.dynamodb.table(name)?;
    let trip = table.reachable(at, true, &linked)?;
    let key = table.key_of(key)?;
    if table.conflicts_to_inject > 0 {
        table.conflicts_to_inject -= 1;
        return Err(conflict());
    }
    if let Some((writer, settled)) = table.writers.get(&key)
        && *writer != at
        && *settled > now
    {
        return Err(conflict());
    }
    let old = table.items_at(at).get(&key);
    if let Some(condition) = write.condition {
        let empty = Item::new();
        let holds = expression::holds(condition, old.unwrap_or(&empty), &write.names)
            .map_err(|problem| refused("ValidationException", format!("Invalid ConditionExpression: {problem}")))?;
        if !holds {
            return Err(refused("ConditionalCheckFailedException", "The conditional request failed"));
        }
    }
    let old = old.cloned();
    let new = new(old.as_ref());
    if let Some(journal) = &mut table.journal {
        journal.push(Change { at: now, by: at, item: new.clone() });
    }
    if let Mode::Mrec(replicas) = table.mode.clone() {
        table.copies.write(at, &replicas, key, new, now, lag);
        drop(state);
        let name = name.to_owned();
        world.after(lag, move |world| mrec::deliver(world, &name));
        return Ok((old, Duration::ZERO));
    }
    match new {
        Some(item) => table.items.insert(key.clone(), item),
        None => table.items.remove(&key),
    };
    table.writers.insert(key, (at, now + trip));
    Ok((old, trip))
}

fn conflict() -> DynamoError {
    refused("ReplicatedWriteConflictException", "The item is being modified in another Region; try again")
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> Answer {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(input) = serde_json::from_slice::<Value>(request.body()) else {
        return json_error(400, "com.amazonaws.dynamodb.v20120810#SerializationException", "the body is not JSON")
            .into();
    };
    let outcome = match target.rsplit('.').next().unwrap_or_default() {
        "GetItem" => get_item(world, at, &input),
        "PutItem" => put_or_delete(world, at, &input, "Item"),
        "DeleteItem" => put_or_delete(world, at, &input, "Key"),
        "Query" | "Scan" => query(world, at, &input),
        "DescribeContinuousBackups" => describe_backups(world, at, &input),
        "DescribeTable" => describe(world, at, &input),
        "TransactWriteItems" | "TransactGetItems" => {
            Err(refused("ValidationException", "transactions are not supported on a table with strong consistency"))
        }
        other => Err(refused(
            "UnknownOperationException",
            format!(
                "this world's DynamoDB speaks GetItem, PutItem, DeleteItem, Query, Scan, DescribeTable and DescribeContinuousBackups, not {other}"
            ),
        )),
    };
    match outcome {
        Ok((body, delay)) => Answer { response: respond(200, "application/x-amz-json-1.0", body.to_string()), delay },
        Err(DynamoError { status, code, message }) => {
            let delay = if status >= 500 { Duration::from_secs(1) } else { Duration::ZERO };
            let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
            Answer { response: json_error(status, &code, &message), delay }
        }
    }
}

fn name_of(input: &Value) -> &str {
    input["TableName"].as_str().unwrap_or_default()
}

fn get_item(world: &World, at: Region, input: &Value) -> Result<(Value, Duration), DynamoError> {
    let strong = input["ConsistentRead"] == true;
    let mut state = world.state();
    let linked = links(&state.network, at);
    let table = state.dynamodb.table(name_of(input))?;
    let trip = table.reachable(at, strong, &linked)?;
    let key = table.key_of(input["Key"].as_object().unwrap_or(&Item::new()))?;
    let body = table.items_at(at).get(&key).map_or_else(|| json!({}), |item| json!({"Item": item}));
    Ok((body, if strong { trip } else { Duration::ZERO }))
}

fn put_or_delete(world: &World, at: Region, input: &Value, field: &str) -> Result<(Value, Duration), DynamoError> {
    let item = input[field].as_object().cloned().unwrap_or_default();
    let names = Names { names: &input["ExpressionAttributeNames"], values: &input["ExpressionAttributeValues"] };
    let write = Write { condition: input["ConditionExpression"].as_str(), names };
    let (old, delay) = if field == "Item" {
        put_item(world, at, name_of(input), item, &write)?
    } else {
        change(world, at, name_of(input), &item, &write, |_| None)?
    };
    let body = match (input["ReturnValues"].as_str(), old) {
        (Some("ALL_OLD"), Some(old)) => json!({"Attributes": old}),
        _ => json!({}),
    };
    Ok((body, delay))
}

fn query(world: &World, at: Region, input: &Value) -> Result<(Value, Duration), DynamoError> {
    let strong = input["ConsistentRead"] == true;
    let mut state = world.state();
    let linked = links(&state.network, at);
    let table = state.dynamodb.table(name_of(input))?;
    let trip = table.reachable(at, strong, &linked)?;
    let names = Names { names: &input["ExpressionAttributeNames"], values: &input["ExpressionAttributeValues"] };
    let mut found: Vec<&Item> = Vec::new();
    let partition = input["KeyConditionExpression"].as_str().and_then(|it| partition(table.partition_key, it, &names));
    // The partition is all that most key conditions ask for; what is left is looked at item by item.
    let conditions =
        [input["KeyConditionExpression"].as_str().filter(|_| partition.is_none()), input["FilterExpression"].as_str()];
    for (_, item) in table.items_of(at, partition.as_deref()) {
        let mut fits = true;
        for condition in conditions.into_iter().flatten() {
            fits &= expression::holds(condition, item, &names)
                .map_err(|problem| refused("ValidationException", format!("Invalid expression: {problem}")))?;
        }
        if fits {
            found.push(item);
        }
    }
    if let Some(sort_key) = table.sort_key {
        found.sort_by(|one, other| compare(&one[sort_key], &other[sort_key]).unwrap_or(std::cmp::Ordering::Equal));
    }
    if input["ScanIndexForward"] == false {
        found.reverse();
    }
    if let Some(limit) = input["Limit"].as_u64() {
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let count = found.len();
    Ok((json!({"Items": found, "Count": count, "ScannedCount": count}), if strong { trip } else { Duration::ZERO }))
}

/// The partition that a key condition names, when it names nothing else.
fn partition(partition_key: &str, condition: &str, names: &Names<'_>) -> Option<String> {
    let mut words = condition.split_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(name), Some("="), Some(value), None) if name == partition_key => {
            names.values.get(value).map(Value::to_string)
        }
        (_, _, _, _) => None,
    }
}

/// What a table shows of a setting that nothing here acts upon: `World::show` has them under `table <name>`.
fn setting(state: &State, at: Region, table: &str, name: &str, sound: Value) -> Value {
    let shown = state.shown(at, &format!("table {table}")).map(|shown| shown[name].clone());
    shown.filter(|shown| !shown.is_null()).unwrap_or(sound)
}

fn describe_backups(world: &World, at: Region, input: &Value) -> Result<(Value, Duration), DynamoError> {
    let mut state = world.state();
    let name = name_of(input).to_owned();
    state.dynamodb.table(&name)?;
    let status = setting(&state, at, &name, "PointInTimeRecoveryStatus", json!("ENABLED"));
    let recovery = json!({"PointInTimeRecoveryStatus": status});
    let body = json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
    }});
    Ok((body, Duration::ZERO))
}

fn describe(world: &World, at: Region, input: &Value) -> Result<(Value, Duration), DynamoError> {
    let mut state = world.state();
    let name = name_of(input).to_owned();
    let billing = setting(&state, at, &name, "BillingMode", json!("PAY_PER_REQUEST"));
    let provisioned = setting(&state, at, &name, "WriteCapacityUnits", json!(0));
    let protected = setting(&state, at, &name, "DeletionProtectionEnabled", json!(true));
    let table = state.dynamodb.table(&name)?;
    let (replicas, consistency) = match &table.mode {
        Mode::Mrsc(replicas) => (replicas.to_vec(), json!("STRONG")),
        Mode::Mrec(replicas) => (replicas.clone(), json!("EVENTUAL")),
        Mode::Regional(home) => (vec![*home], Value::Null),
    };
    if !replicas.contains(&at) {
        return Err(refused("ResourceNotFoundException", "Requested resource not found"));
    }
    let others = replicas.iter().filter(|replica| **replica != at);
    let described: Vec<Value> = others.map(|replica| table.describe_replica(*replica)).collect();
    let status = table.statuses.get(&at).map_or("ACTIVE", |state| state.status);
    let body = json!({"Table": {
        "TableName": name, "TableStatus": status, "ItemCount": table.items_at(at).len(), "Replicas": described,
        "MultiRegionConsistency": consistency, "GlobalTableVersion": "2019.11.21",
        "BillingModeSummary": {"BillingMode": billing}, "DeletionProtectionEnabled": protected,
        "ProvisionedThroughput": {"ReadCapacityUnits": provisioned, "WriteCapacityUnits": provisioned},
    }});
    Ok((body, Duration::ZERO))
}

impl Table {
    fn describe_replica(&self, region: Region) -> Value {
        match self.statuses.get(&region) {
            None => json!({"RegionName": region.as_str(), "ReplicaStatus": "ACTIVE"}),
            Some(ReplicaState { status, inaccessible_since }) => json!({
                "RegionName": region.as_str(), "ReplicaStatus": status,
                "ReplicaInaccessibleDateTime": inaccessible_since.map(jiff::Timestamp::as_second),
            }),
        }
    }
}
