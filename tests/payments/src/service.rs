//! The payments API of one Region.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use holdfast_world::aurora::{LedgerRow, Reply, Statement, through_writer_endpoint, writer_endpoint_region};
use holdfast_world::dynamodb::{self, DynamoError, Item};
use holdfast_world::{Region, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::card_network::CardNetwork;
use crate::lease::{WriterLease, item};

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
}

/// What scenarios break.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// The Region answers, but its database connections fail.
    writes_broken: bool,
    /// Nothing gets through the load balancer; all behind it works.
    front_door_closed: bool,
}

/// Why a payment was not made.
#[derive(Debug)]
enum Refusal {
    /// The request is no payment.
    BadRequest(String),
    /// The same key is being worked on, or its outcome is not known.
    InDoubt,
    /// Not now.
    Unavailable(&'static str),
}

impl PaymentsService {
    /// Starts the service of a Region and puts it behind `https://<region>.payments.example.com`.
    #[must_use]
    pub fn start(world: &World, region: Region, lease: WriterLease, network: CardNetwork) -> Self {
        let service =
            Self { world: world.clone(), region, lease, network, receipts: Arc::default(), trouble: Arc::default() };
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
                Err(Refusal::InDoubt) => respond(409, &json!({"error": "in doubt, retry later"})),
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

    /// The Region whose database this one may write to now.
    fn database(&self) -> Result<Region, &'static str> {
        if self.trouble().writes_broken {
            return Err("database connections fail");
        }
        let database = writer_endpoint_region(&self.world).ok_or("the writer endpoint does not resolve")?;
        if self.lease.may_write_to(database) { Ok(database) } else { Err("the writer lease has run out") }
    }

    async fn pay(&self, body: &Bytes) -> Result<String, Refusal> {
        let payment: PaymentRequest =
            serde_json::from_slice(body).map_err(|problem| Refusal::BadRequest(problem.to_string()))?;
        if payment.amount_minor <= 0 || payment.key.is_empty() {
            return Err(Refusal::BadRequest("a payment has a key and a positive amount".into()));
        }
        self.database().map_err(Refusal::Unavailable)?;
        let reference = match self.intend(&payment).await? {
            Some(reference) => reference,
            None => self.charge(&payment).await?,
        };
        self.book(&payment, &reference).await?;
        let receipt = Receipt { region: self.region.to_string(), key: payment.key };
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
        Ok(reference)
    }

    /// Writes the intent before anything is charged. `Some`: an earlier try was charged, under this reference.
    async fn intend(&self, payment: &PaymentRequest) -> Result<Option<String>, Refusal> {
        let intent = item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "intent"}, "amount_minor": {"N": payment.amount_minor.to_string()},
            "currency": {"S": payment.currency}, "region": {"S": self.region.as_str()},
            "at": {"N": self.world.now().as_millisecond().to_string()},
        }));
        match self.put(intent, Some("attribute_not_exists(pk)")).await? {
            Ok(()) => Ok(None),
            Err(error) if error.code == "ConditionalCheckFailedException" => {
                let key = item(json!({"pk": {"S": payment.key}, "sk": {"S": "outcome"}}));
                let outcome = self.table(|world| dynamodb::get(world, self.region, ATTEMPTS_TABLE, &key)).await?;
                match outcome {
                    Ok(Some(outcome)) => Ok(outcome.get("network_reference").and_then(text).map(str::to_owned)),
                    Ok(None) => Err(Refusal::InDoubt),
                    Err(_) => Err(Refusal::Unavailable("the attempts table cannot be read")),
                }
            }
            Err(_) => Err(Refusal::Unavailable("the attempts table takes no writes")),
        }
    }

    async fn charge(&self, payment: &PaymentRequest) -> Result<String, Refusal> {
        let charged = self.world.round_trip(self.region, Region::INTERNET, |world| {
            self.network.charge(&payment.key, payment.amount_minor, &payment.currency, world.now())
        });
        let reference = self.step(charged).await.map_err(Refusal::Unavailable)?;
        let outcome = item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "outcome"}, "network_reference": {"S": reference},
        }));
        match self.put(outcome, None).await? {
            Ok(()) => Ok(reference),
            Err(_) => Err(Refusal::Unavailable("the outcome could not be stored")),
        }
    }

    /// Books the payment where the epoch says, and only while this Region may: the check is made last.
    async fn book(&self, payment: &PaymentRequest, reference: &str) -> Result<(), Refusal> {
        self.database().map_err(Refusal::Unavailable)?;
        let row = LedgerRow {
            attempt_key: payment.key.clone(),
            network_reference: reference.to_owned(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
        };
        let booked = through_writer_endpoint(&self.world, self.region, Statement::Book(row));
        match self.step(booked).await.map_err(Refusal::Unavailable)? {
            Ok(Reply::Done | Reply::Is(_)) => Ok(()),
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
