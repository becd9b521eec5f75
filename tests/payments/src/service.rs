//! The payments API of one Region.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use holdfast_world::aurora::{LedgerRow, Reply, Statement, through_writer_endpoint, writer_endpoint_region};
use holdfast_world::dynamodb::{self, DynamoError, Item};
use holdfast_world::{Region, World, s3};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::card_network::CardNetwork;
use crate::lease::{WriterLease, item};
use crate::marks;

/// The payments team's table of idempotency keys, with intents and outcomes as separate items.
pub const ATTEMPTS_TABLE: &str = "payment-attempts";
/// A step that takes longer has failed.
const STEP_MAX: Duration = Duration::from_millis(1500);

/// What a client posts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    /// The idempotency key.
    pub key: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// A stored receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The Region whose bucket holds it.
    pub region: String,
    /// The attempt key.
    pub key: String,
}

/// The service of one Region.
#[derive(Clone, Debug)]
pub struct PaymentsService {
    world: World,
    region: Region,
    lease: WriterLease,
    network: CardNetwork,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    trouble: Arc<Mutex<Trouble>>,
    short_cut: Option<ShortCut>,
    first_address: Arc<Mutex<Option<Region>>>,
    /// Coordination table and global cluster; absent where nobody lists attempts in doubt.
    in_doubt_list: Option<(&'static str, &'static str)>,
}

/// What scenarios break.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// The Region answers, but its database connections fail.
    writes_broken: bool,
    /// Nothing gets through the load balancer; all behind it works.
    front_door_closed: bool,
}

/// What the reference must not do, for tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortCut {
    /// What the card network said is not stored, and acknowledgements are not marked.
    NothingStored,
    /// A second try is charged without a look at the first.
    ChargedAgain,
    /// Writing goes on although the lease has run out.
    LeaseIgnored,
    /// The writer's address is looked up once and for ever.
    AddressKept,
}

/// What the card network said of an attempt, and where its acknowledgement would be marked.
#[derive(Debug)]
struct ChargeOutcome {
    reference: String,
    buckets: Vec<String>,
}

/// Why a payment was not made.
#[derive(Debug)]
enum Refusal {
    /// The request is no payment.
    BadRequest(String),
    /// The same key is being worked on, or its outcome is not known.
    InDoubt {
        /// When it is worth asking again, where the list of attempts in doubt says so.
        retry_after: Option<String>,
    },
    /// Not now.
    Unavailable(&'static str),
}

impl PaymentsService {
    /// Starts the service of a Region and puts it behind `https://<region>.payments.example.com`.
    ///
    /// `in_doubt_list` is the coordination table and the global cluster, where reconcile-ledger lists attempts in doubt.
    #[must_use]
    pub fn start(
        world: &World,
        region: Region,
        lease: WriterLease,
        network: CardNetwork,
        short_cut: Option<ShortCut>,
        in_doubt_list: Option<(&'static str, &'static str)>,
    ) -> Self {
        let service = Self {
            world: world.clone(),
            region,
            lease,
            network,
            receipts: Arc::default(),
            trouble: Arc::default(),
            short_cut,
            first_address: Arc::default(),
            in_doubt_list,
        };
        let handler = service.clone();
        world.serve_host(
            &host(region),
            region,
            Arc::new(move |request| {
                let service = handler.clone();
                Box::pin(async move { service.answer(request).await })
            }),
        );
        service
    }

    /// Makes writes fail although the Region answers: a grey failure.
    pub fn break_writes(&self, broken: bool) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).writes_broken = broken;
    }

    /// Makes the load balancer answer nothing but 503, although everything behind it works.
    pub fn close_front_door(&self, closed: bool) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).front_door_closed = closed;
    }

    fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receipts that this Region's bucket holds.
    #[must_use]
    pub fn receipts(&self) -> Vec<Receipt> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        if self.trouble().front_door_closed {
            return respond(503, &json!({"error": "no healthy target"}));
        }
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/healthz") => respond(200, &json!({"region": self.region.as_str()})),
            ("GET", "/writez") => match self.write_ready().await {
                Ok(()) => respond(200, &json!({"writes": true})),
                Err(why) => respond(503, &json!({"writes": false, "why": why})),
            },
            ("POST", "/payments") => match self.pay(request.body()).await {
                Ok(reference) => respond(201, &json!({"network_reference": reference})),
                Err(Refusal::BadRequest(why)) => respond(400, &json!({"error": why})),
                Err(Refusal::InDoubt { retry_after }) => {
                    respond(409, &json!({"error": "in doubt, retry later", "retry_after": retry_after}))
                }
                Err(Refusal::Unavailable(why)) => respond(503, &json!({"error": why})),
            },
            _ => respond(404, &json!({"error": "POST /payments, GET /healthz, GET /writez"})),
        }
    }

    /// Whether a payment could be written through this Region: lease, endpoint, database.
    async fn write_ready(&self) -> Result<(), &'static str> {
        self.database()?;
        match self.step(through_writer_endpoint(&self.world, self.region, Statement::IsWritable)).await? {
            Ok(Reply::Is(true)) => Ok(()),
            Ok(Reply::Is(false) | Reply::Done) | Err(_) => Err("the database takes no writes"),
        }
    }

    /// The epoch under which this Region may write now.
    fn database(&self) -> Result<u64, &'static str> {
        if self.trouble().writes_broken {
            return Err("database connections fail");
        }
        let database = writer_endpoint_region(&self.world).ok_or("the writer endpoint does not resolve")?;
        let first = *self.first_address.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(database);
        if self.short_cut == Some(ShortCut::AddressKept) && first != database {
            return Err("nobody answers where the writer was");
        }
        if self.short_cut == Some(ShortCut::LeaseIgnored) {
            return Ok(0);
        }
        self.lease.grant(database).ok_or("the writer lease has run out")
    }

    /// Whether what was granted then is still so.
    fn still(&self, granted: u64) -> Result<(), &'static str> {
        let holds = self.short_cut == Some(ShortCut::LeaseIgnored) || self.lease.still(granted);
        if holds { Ok(()) } else { Err("the writer lease ran out on the way") }
    }

    async fn pay(&self, body: &Bytes) -> Result<String, Refusal> {
        let payment: PaymentRequest =
            serde_json::from_slice(body).map_err(|problem| Refusal::BadRequest(problem.to_string()))?;
        if payment.amount_minor <= 0 || payment.key.is_empty() {
            return Err(Refusal::BadRequest("a payment has a key and a positive amount".into()));
        }
        if let Err(why) = self.database() {
            // What is acknowledged stays so, whatever the database does; a new payment has to wait.
            let outcome = self.outcome(&payment).await?.ok_or(Refusal::Unavailable(why))?;
            let acknowledged = self.is_acknowledged(&payment, &outcome).await?;
            return if acknowledged { Ok(outcome.reference) } else { Err(Refusal::Unavailable(why)) };
        }
        let outcome = match self.intend(&payment).await? {
            Some(outcome) if self.is_acknowledged(&payment, &outcome).await? => return Ok(outcome.reference),
            Some(outcome) => self.store(&payment, outcome).await?,
            None => self.charge(&payment).await?,
        };
        let reference = outcome.reference.clone();
        let epoch = self.book(&payment, &reference).await?;
        // What took longer than the lease has been committed into a ledger that nobody reads any more.
        self.still(epoch).map_err(Refusal::Unavailable)?;
        self.acknowledge(&payment, &outcome).await?;
        self.store_receipt(&payment, &reference).await;
        let receipt = Receipt { region: self.region.to_string(), key: payment.key };
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
        Ok(reference)
    }

    /// Writes the intent before anything is charged. `Some`: an earlier try was charged.
    async fn intend(&self, payment: &PaymentRequest) -> Result<Option<ChargeOutcome>, Refusal> {
        let now = self.world.clock(self.region);
        let begun = marks::begun(payment, self.region, now);
        if self.put(begun, None).await?.is_err() {
            return Err(Refusal::Unavailable("the attempts table takes no writes"));
        }
        let intent = item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "intent"}, "amount_minor": {"N": payment.amount_minor.to_string()},
            "currency": {"S": payment.currency}, "region": {"S": self.region.as_str()},
            "at": {"N": now.as_millisecond().to_string()},
        }));
        match self.put(intent, Some("attribute_not_exists(pk)")).await? {
            Ok(()) => Ok(None),
            Err(_) if self.short_cut == Some(ShortCut::ChargedAgain) => Ok(None),
            Err(error) if error.code == "ConditionalCheckFailedException" => match self.outcome(payment).await? {
                Some(outcome) => Ok(Some(outcome)),
                None => self.in_doubt(payment).await,
            },
            Err(_) => Err(Refusal::Unavailable("the attempts table takes no writes")),
        }
    }

    /// Begun before, and nobody here knows how it ended: what the list of attempts in doubt says. It is charged again only
    /// where the card network's file has shown that it never was.
    async fn in_doubt(&self, payment: &PaymentRequest) -> Result<Option<ChargeOutcome>, Refusal> {
        let Some((table, cluster)) = self.in_doubt_list else { return Err(Refusal::InDoubt { retry_after: None }) };
        let key = item(json!({"pk": {"S": format!("in-doubt#{cluster}")}, "sk": {"S": payment.key}}));
        let Ok(found) = self.table(|world| dynamodb::get(world, self.region, table, &key)).await? else {
            return Err(Refusal::Unavailable("the list of attempts in doubt cannot be read"));
        };
        let body = found.as_ref().and_then(|entry| entry.get("body")).and_then(text).unwrap_or_default();
        let entry: Value = serde_json::from_str(body).unwrap_or_default();
        if entry["settled"] == "never_charged" {
            return Ok(None);
        }
        Err(Refusal::InDoubt { retry_after: entry["retry_after"].as_str().map(str::to_owned) })
    }

    /// What the card network said of an earlier try.
    async fn outcome(&self, payment: &PaymentRequest) -> Result<Option<ChargeOutcome>, Refusal> {
        let key = item(json!({"pk": {"S": payment.key}, "sk": {"S": "outcome"}}));
        match self.table(|world| dynamodb::get(world, self.region, ATTEMPTS_TABLE, &key)).await? {
            Ok(found) => Ok(found.as_ref().and_then(|outcome| {
                let of = |name: &str| outcome.get(name).and_then(text);
                let buckets = of("buckets").unwrap_or_default().split(',').map(str::to_owned).collect();
                Some(ChargeOutcome { reference: of("network_reference")?.to_owned(), buckets })
            })),
            Err(_) => Err(Refusal::Unavailable("the attempts table cannot be read")),
        }
    }

    /// Whether an earlier try got so far that it may have told its client: only its mark says so.
    async fn is_acknowledged(&self, payment: &PaymentRequest, outcome: &ChargeOutcome) -> Result<bool, Refusal> {
        for bucket in &outcome.buckets {
            for region in [Region::DUBLIN, Region::LONDON] {
                let key = marks::acknowledgement_key(bucket, &payment.key, region);
                match self.table(|world| dynamodb::get(world, self.region, ATTEMPTS_TABLE, &key)).await? {
                    Ok(Some(_)) => return Ok(true),
                    Ok(None) => {}
                    Err(_) => return Err(Refusal::Unavailable("the attempts table cannot be read")),
                }
            }
        }
        Ok(false)
    }

    async fn charge(&self, payment: &PaymentRequest) -> Result<ChargeOutcome, Refusal> {
        let charged = self.world.round_trip(self.region, Region::INTERNET, |world| {
            self.network.charge(&payment.key, payment.amount_minor, &payment.currency, world.now())
        });
        let reference = self.step(charged).await.map_err(Refusal::Unavailable)?;
        self.store(payment, ChargeOutcome { reference, buckets: Vec::new() }).await
    }

    /// Stores what the card network said, and in which buckets an acknowledgement is to be looked for. Those of earlier
    /// tries stay: one of them may still be on its way.
    async fn store(&self, payment: &PaymentRequest, mut outcome: ChargeOutcome) -> Result<ChargeOutcome, Refusal> {
        if self.short_cut == Some(ShortCut::NothingStored) {
            return Ok(outcome);
        }
        let bucket = marks::bucket(self.world.clock(self.region), &payment.key);
        if outcome.buckets.last() != Some(&bucket) {
            outcome.buckets.push(bucket);
        }
        let stored = item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "outcome"}, "network_reference": {"S": outcome.reference},
            "buckets": {"S": outcome.buckets.join(",")},
        }));
        match self.put(stored, None).await? {
            Ok(()) => Ok(outcome),
            Err(_) => Err(Refusal::Unavailable("the outcome could not be stored")),
        }
    }

    /// Puts the receipt into this Region's bucket. A payment does not fail for want of it.
    async fn store_receipt(&self, payment: &PaymentRequest, reference: &str) {
        let (bucket, key) = (bucket(self.region), format!("receipts/{}/{}", self.region, payment.key));
        let body = json!({"key": payment.key, "network_reference": reference}).to_string();
        let put = self.world.round_trip(self.region, self.region, |world| {
            // An installation without buckets has no receipts.
            let _ = s3::put_object(world, bucket, &key, Bytes::from(body));
        });
        let _ = self.step(put).await;
    }

    /// Marks the payment as acknowledged: from here on whoever asks is told so.
    async fn acknowledge(&self, payment: &PaymentRequest, outcome: &ChargeOutcome) -> Result<(), Refusal> {
        let Some(bucket) = outcome.buckets.last() else { return Ok(()) };
        let now = self.world.clock(self.region);
        let mark = marks::acknowledged(bucket, payment, &outcome.reference, self.region, now);
        match self.put(mark, None).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(Refusal::Unavailable("the acknowledgement could not be marked")),
        }
    }

    /// Books the payment where the epoch says, and only while this Region may: the check is made last. Under which epoch it was.
    async fn book(&self, payment: &PaymentRequest, reference: &str) -> Result<u64, Refusal> {
        let epoch = self.database().map_err(Refusal::Unavailable)?;
        let row = LedgerRow {
            attempt_key: payment.key.clone(),
            network_reference: reference.to_owned(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
        };
        let booked = through_writer_endpoint(&self.world, self.region, Statement::Book(row));
        match self.step(booked).await.map_err(Refusal::Unavailable)? {
            Ok(Reply::Done | Reply::Is(_)) => Ok(epoch),
            Err(_) => Err(Refusal::Unavailable("the ledger takes no writes")),
        }
    }

    async fn put(&self, item: Item, condition: Option<&str>) -> Result<Result<(), DynamoError>, Refusal> {
        self.table(|world| dynamodb::put(world, self.region, ATTEMPTS_TABLE, item, condition, &Value::Null)).await
    }

    async fn table<T>(&self, act: impl FnOnce(&World) -> T) -> Result<T, Refusal> {
        self.step(self.world.round_trip(self.region, self.region, act)).await.map_err(Refusal::Unavailable)
    }

    async fn step<T>(&self, work: impl Future<Output = T>) -> Result<T, &'static str> {
        self.world.within(STEP_MAX, work).await.ok_or("a dependency does not answer")
    }
}

/// The bucket of a Region's receipts.
#[must_use]
pub fn bucket(region: Region) -> &'static str {
    if region == Region::DUBLIN { "payments-receipts-eu-west-1" } else { "payments-receipts-eu-west-2" }
}

/// The host name of a Region's service.
#[must_use]
pub fn host(region: Region) -> String {
    format!("{region}.payments.example.com")
}

fn text(value: &Value) -> Option<&str> {
    value.get("S").and_then(Value::as_str)
}

fn respond(status: u16, body: &Value) -> http::Response<Bytes> {
    let response = http::Response::builder().status(status).header("content-type", "application/json");
    response.body(Bytes::from(body.to_string())).unwrap_or_default()
}
