//! The payments API of one Region as a process of its own: intent, charge, outcome, ledger, mark, receipt, and only then an answer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use holdfast_payments::marks;
use holdfast_payments::service::{ATTEMPTS_TABLE, PaymentRequest, bucket};
use holdfast_world::Region;
use http::{Request, Response};
use jiff::Timestamp;
use live_drill::aws::{Aws, AwsError, Item, STEP_MAX};
use live_drill::ledger::{Link, Writer};
use live_drill::wire::{self, Client, json as answer};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The payments API of one Region.
#[derive(Debug, Parser)]
struct Arguments {
    /// The Region.
    #[arg(long)]
    region: String,
    /// Where AWS's API of this Region is.
    #[arg(long)]
    aws: String,
    /// The directory of the writer endpoint's socket.
    #[arg(long)]
    writer: PathBuf,
    /// Where the card network is.
    #[arg(long)]
    network: String,
    /// The Region that writes until an epoch is raised for the first time.
    #[arg(long)]
    first_writer: String,
    /// Which server is in which Region: `eu-west-1=/its/data`.
    #[arg(long)]
    server: Vec<String>,
    /// A Region that has not read the epoch for so many seconds stops writing by itself.
    #[arg(long)]
    lease: u64,
}

/// Between two readings of the epoch. The lease of a new writer begins with the reading that
/// shows it, so that a long pause here would be paid by everybody who waits for writes.
const RENEW: Duration = Duration::from_millis(500);
/// How long a reading may take.
const RENEW_MAX: Duration = Duration::from_secs(2);

struct Service {
    region: Region,
    aws: Aws,
    writer: Writer,
    client: Client,
    network: String,
    servers: BTreeMap<String, String>,
    lease: Arc<Mutex<Lease>>,
}

/// The right to write, as it was read last.
#[derive(Debug)]
struct Lease {
    length: Duration,
    epoch: u64,
    writer: String,
    read_at: Option<Instant>,
    writable_from: Option<Instant>,
}

enum Refusal {
    BadRequest(String),
    InDoubt,
    Unavailable(&'static str),
}

/// The right to write to one server, under one epoch.
struct Grant {
    link: Link,
    epoch: u64,
}

/// What the card network said, and where an acknowledgement is to be looked for.
struct Charged {
    reference: String,
    buckets: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let region = Region::named(&arguments.region).ok_or("the Region is not one of this world")?;
    let aws = Aws::new(&arguments.aws, &arguments.region);
    let pairs = arguments.server.iter().filter_map(|pair| pair.split_once('='));
    let servers = pairs.map(|(region, data)| (data.to_owned(), region.to_owned())).collect();
    let length = Duration::from_secs(arguments.lease);
    let lease = Lease { length, epoch: 0, writer: arguments.first_writer, read_at: None, writable_from: None };
    let lease = Arc::new(Mutex::new(lease));
    tokio::spawn(renew(aws.clone(), lease.clone()));
    let service = Arc::new(Service {
        region,
        aws,
        writer: Writer::keep(&arguments.writer),
        client: Client::default(),
        network: arguments.network,
        servers,
        lease,
    });
    let (listener, address) = wire::listen().await?;
    writeln!(std::io::stdout(), "{address}")?;
    std::io::stdout().flush()?;
    wire::serve(listener, move |request| {
        let service = service.clone();
        // What has begun goes on to its end, whether or not its client still waits, as in most servers.
        async move {
            let answered = tokio::spawn(async move { service.answer(request).await }).await;
            answered.unwrap_or_else(|error| answer(500, &json!({"error": error.to_string()})))
        }
    })
    .await;
    Ok(())
}

/// Reads the epoch again and again. The lease counts from before the question.
async fn renew(aws: Aws, lease: Arc<Mutex<Lease>>) {
    let key = item(json!({"pk": {"S": "writer#payments-global"}, "sk": {"S": "epoch"}}));
    loop {
        let asked = Instant::now();
        if let Ok(Ok(found)) = tokio::time::timeout(RENEW_MAX, aws.get("holdfast", key.clone())).await {
            let of = |name: &str, kind: &str| found.as_ref()?.get(name)?.get(kind)?.as_str().map(str::to_owned);
            let mut held = lease.lock().unwrap_or_else(PoisonError::into_inner);
            let epoch = of("number", "N").and_then(|number| number.parse().ok()).unwrap_or(0);
            let writer = of("writer_region", "S").unwrap_or_else(|| held.writer.clone());
            if held.read_at.is_some() && epoch > held.epoch && held.writer != writer {
                // The old writer's lease may still run; it is over after this.
                held.writable_from = Some(asked + held.length);
            }
            *held = Lease { epoch, writer, read_at: Some(asked), ..*held };
        }
        tokio::time::sleep(RENEW).await;
    }
}

impl Service {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/healthz") => answer(200, &json!({"region": self.region.as_str()})),
            ("GET", "/writez") => match self.database() {
                Ok(_) => answer(200, &json!({"writes": true})),
                Err(why) => answer(503, &json!({"writes": false, "why": why})),
            },
            ("POST", "/payments") => match self.pay(request.body()).await {
                Ok(reference) => answer(201, &json!({"network_reference": reference})),
                Err(Refusal::BadRequest(why)) => answer(400, &json!({"error": why})),
                Err(Refusal::InDoubt) => answer(409, &json!({"error": "in doubt, retry later"})),
                Err(Refusal::Unavailable(why)) => answer(503, &json!({"error": why})),
            },
            _ => answer(404, &json!({"error": "POST /payments, GET /healthz, GET /writez"})),
        }
    }

    /// The database that this Region may write to now: connected, taking writes, and the one that the epoch names.
    fn database(&self) -> Result<Grant, &'static str> {
        let link = self.writer.link().ok_or("no database takes writes")?;
        let held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = held.read_at.is_some_and(|read| now < read + held.length);
        let named = self.servers.get(&link.server) == Some(&held.writer);
        match (fresh && named, held.writable_from.is_none_or(|from| now >= from)) {
            (true, true) => Ok(Grant { link, epoch: held.epoch }),
            (true, false) => Err("the old writer's lease may still run"),
            (false, _) => Err("the writer lease has run out"),
        }
    }

    /// Whether what was granted then is still so: the lease has not run out since, and the writer has not moved.
    fn still(&self, granted: u64) -> Result<(), &'static str> {
        let held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = held.read_at.is_some_and(|read| Instant::now() < read + held.length);
        if fresh && held.epoch == granted { Ok(()) } else { Err("the writer lease ran out on the way") }
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
        let epoch = self.book(&payment, &outcome.reference).await?;
        // A process that stood still meanwhile has committed into a ledger that nobody reads any more.
        self.still(epoch).map_err(Refusal::Unavailable)?;
        self.acknowledge(&payment, &outcome).await?;
        self.store_receipt(&payment, &outcome.reference).await;
        Ok(outcome.reference)
    }

    /// Writes the intent before anything is charged. `Some`: an earlier try was charged.
    async fn intend(&self, payment: &PaymentRequest) -> Result<Option<Charged>, Refusal> {
        let now = Timestamp::now();
        self.put(marks::begun(payment, self.region, now).into_iter().collect()).await?;
        let intent = item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "intent"}, "amount_minor": {"N": payment.amount_minor.to_string()},
            "currency": {"S": payment.currency}, "region": {"S": self.region.as_str()},
            "at": {"N": now.as_millisecond().to_string()},
        }));
        match self.aws.put(ATTEMPTS_TABLE, intent, Some("attribute_not_exists(pk)")).await {
            Ok(()) => Ok(None),
            Err(AwsError::ConditionFailed) => self.outcome(payment).await?.map(Some).ok_or(Refusal::InDoubt),
            Err(_) => Err(Refusal::Unavailable("the attempts table takes no writes")),
        }
    }

    /// What the card network said of an earlier try.
    async fn outcome(&self, payment: &PaymentRequest) -> Result<Option<Charged>, Refusal> {
        let key = item(json!({"pk": {"S": payment.key}, "sk": {"S": "outcome"}}));
        let found = self.get(key).await?;
        Ok(found.as_ref().and_then(|outcome| {
            let of = |name: &str| outcome.get(name)?.get("S")?.as_str();
            let buckets = of("buckets").unwrap_or_default().split(',').map(str::to_owned).collect();
            Some(Charged { reference: of("network_reference")?.to_owned(), buckets })
        }))
    }

    /// Whether an earlier try got so far that it may have told its client: only its mark says so.
    async fn is_acknowledged(&self, payment: &PaymentRequest, outcome: &Charged) -> Result<bool, Refusal> {
        for bucket in &outcome.buckets {
            for region in [Region::DUBLIN, Region::LONDON] {
                let key = marks::acknowledgement_key(bucket, &payment.key, region);
                if self.get(key.into_iter().collect()).await?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn charge(&self, payment: &PaymentRequest) -> Result<Charged, Refusal> {
        let body = serde_json::to_vec(payment).unwrap_or_default();
        let request = Request::post(format!("{}/charges", self.network)).body(Bytes::from(body));
        let request = request.map_err(|_| Refusal::Unavailable("the card network has no address"))?;
        let charged = self.client.send(request, STEP_MAX).await;
        let response = charged.map_err(|_| Refusal::Unavailable("the card network does not answer"))?;
        let said: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let reference = said["network_reference"].as_str().ok_or(Refusal::Unavailable("the card network refuses"))?;
        self.store(payment, Charged { reference: reference.to_owned(), buckets: Vec::new() }).await
    }

    /// Stores what the card network said, and in which buckets an acknowledgement is to be looked for.
    async fn store(&self, payment: &PaymentRequest, mut outcome: Charged) -> Result<Charged, Refusal> {
        let bucket = marks::bucket(Timestamp::now(), &payment.key);
        if outcome.buckets.last() != Some(&bucket) {
            outcome.buckets.push(bucket);
        }
        self.put(item(json!({
            "pk": {"S": payment.key}, "sk": {"S": "outcome"}, "network_reference": {"S": outcome.reference},
            "buckets": {"S": outcome.buckets.join(",")},
        })))
        .await?;
        Ok(outcome)
    }

    /// Books the payment where the epoch says, and only while this Region may: the check is made last. Under which epoch it was.
    async fn book(&self, payment: &PaymentRequest, reference: &str) -> Result<u64, Refusal> {
        let Grant { link, epoch } = self.database().map_err(Refusal::Unavailable)?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&payment.key, &reference, &payment.amount_minor, &payment.currency];
        match tokio::time::timeout(STEP_MAX, link.client.execute(&link.book, &values)).await {
            Ok(Ok(_)) => Ok(epoch),
            Ok(Err(_)) => Err(Refusal::Unavailable("the ledger takes no writes")),
            Err(_) => {
                self.writer.give_up();
                Err(Refusal::Unavailable("the ledger does not answer"))
            }
        }
    }

    /// Marks the payment as acknowledged: from here on whoever asks is told so.
    async fn acknowledge(&self, payment: &PaymentRequest, outcome: &Charged) -> Result<(), Refusal> {
        let Some(bucket) = outcome.buckets.last() else { return Ok(()) };
        let mark = marks::acknowledged(bucket, payment, &outcome.reference, self.region, Timestamp::now());
        self.put(mark.into_iter().collect()).await
    }

    /// Puts the receipt into this Region's bucket. A payment does not fail for want of it.
    async fn store_receipt(&self, payment: &PaymentRequest, reference: &str) {
        let key = format!("receipts/{}/{}", self.region, payment.key);
        let body = json!({"key": payment.key, "network_reference": reference}).to_string();
        let _ = self.aws.put_object(bucket(self.region), &key, body).await;
    }

    async fn get(&self, key: Item) -> Result<Option<Item>, Refusal> {
        let found = tokio::time::timeout(STEP_MAX, self.aws.get(ATTEMPTS_TABLE, key)).await;
        let unread = || Refusal::Unavailable("the attempts table cannot be read");
        found.map_err(|_| unread())?.map_err(|_| unread())
    }

    async fn put(&self, item: Item) -> Result<(), Refusal> {
        let put = self.aws.put(ATTEMPTS_TABLE, item, None).await;
        put.map_err(|_| Refusal::Unavailable("the attempts table takes no writes"))
    }
}

fn item(value: Value) -> Item {
    match value {
        Value::Object(item) => item,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Item::new(),
    }
}
