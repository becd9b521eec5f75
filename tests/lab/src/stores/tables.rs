//! DynamoDB through the real SDK: a global table of either consistency, or a table of one Region.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_aws::clients::{hardened, in_region, never_retried};
use holdfast_world::dynamodb::{Mode, create_table, items_in};
use holdfast_world::{Caller, Region, World};

use super::{Contents, Created, DATA_REGIONS, Store, StoreFuture};

/// A collision with another Region is tried again so often; DynamoDB calls it retryable.
const COLLISIONS_MAX: u32 = 5;

/// One table, and the service's clients of it.
#[derive(Debug)]
pub struct Table {
    world: World,
    name: &'static str,
    /// The Region whose endpoint is asked, where it is always the same one.
    home: Option<Region>,
    clients: BTreeMap<(Region, Region), Client>,
}

impl Table {
    /// Creates the table.
    #[must_use]
    pub fn new(world: &World, name: &'static str, mode: Mode) -> Self {
        let home = match mode {
            Mode::Regional(home) => Some(home),
            Mode::Mrec(_) | Mode::Mrsc(_) => None,
        };
        create_table(world, name, mode, "pk", None);
        let mut clients = BTreeMap::new();
        for from in DATA_REGIONS {
            let sdk = hardened(&world.sdk(Caller { name: "lab-service".into(), region: from, invocation: None }));
            let to = home.unwrap_or(from);
            let there = holdfast_domain::Region::new(to.as_str());
            if let Ok(there) = there {
                clients.insert((from, to), Client::new(&in_region(&sdk, &there)));
            }
        }
        Self { world: world.clone(), name, home, clients }
    }

    fn client(&self, from: Region) -> Option<&Client> {
        self.clients.get(&(from, self.home.unwrap_or(from)))
    }

    /// Creates the key, or says what is there.
    pub(super) async fn put(&self, from: Region, key: &str, value: &str) -> Created {
        let Some(client) = self.client(from) else { return Created::Unavailable };
        for _ in 0..COLLISIONS_MAX {
            let put = client
                .put_item()
                .table_name(self.name)
                .item("pk", AttributeValue::S(key.to_owned()))
                .item("value", AttributeValue::S(value.to_owned()))
                .condition_expression("attribute_not_exists(pk)")
                .customize()
                .config_override(Config::builder().retry_config(never_retried()))
                .send()
                .await;
            let code = match &put {
                Ok(_) => return Created::Accepted,
                Err(error) => error.code().unwrap_or_default(),
            };
            match code {
                "ConditionalCheckFailedException" => return self.compare(client, key, value).await,
                "ReplicatedWriteConflictException" => tokio::time::sleep(COLLISION_PAUSE).await,
                _ => return Created::Unavailable,
            }
        }
        Created::Unavailable
    }

    async fn compare(&self, client: &Client, key: &str, value: &str) -> Created {
        match self.get(client, key).await {
            Some(Some(there)) if there == value => Created::Accepted,
            Some(Some(_)) => Created::Taken,
            Some(None) | None => Created::Unavailable,
        }
    }

    /// `None`: no answer.
    async fn get(&self, client: &Client, key: &str) -> Option<Option<String>> {
        let request = client.get_item().table_name(self.name).consistent_read(true);
        let found = request.key("pk", AttributeValue::S(key.to_owned())).send().await.ok()?;
        Some(found.item().and_then(|item| item.get("value")?.as_s().ok().cloned()))
    }

    /// What a Region's copy holds.
    pub(super) fn held(&self, region: Region) -> Contents {
        let text = |item: &holdfast_world::dynamodb::Item, name: &str| item.get(name)?["S"].as_str().map(str::to_owned);
        let items = items_in(&self.world, self.name, region);
        items.iter().filter_map(|item| Some((text(item, "pk")?, vec![text(item, "value")?]))).collect()
    }
}

/// Before a write that collided is tried again: a round trip between the Regions.
const COLLISION_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

impl Store for Table {
    fn create<'a>(&'a self, at: Region, key: &'a str, value: &'a str) -> StoreFuture<'a, Created> {
        Box::pin(self.put(at, key, value))
    }

    fn read<'a>(&'a self, at: Region, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let Some(client) = self.client(at) else { return false };
            let request = client.get_item().table_name(self.name).key("pk", AttributeValue::S(key.to_owned()));
            request.send().await.is_ok()
        })
    }

    fn contents(&self, region: Region) -> Contents {
        match self.home {
            Some(home) if home != region => Contents::new(),
            Some(_) | None => self.held(region),
        }
    }
}
