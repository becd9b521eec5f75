//! The old primary comes back as what it was: it must find nobody to write for it, its tail is kept, and it is rebuilt.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use holdfast_payments::history::{Operation, Told};
use holdfast_payments::service::{PaymentRequest, host};
use holdfast_world::rds::{rebuilt, secured};
use holdfast_world::{Caller, Limits, Region, World, send};
use http::Request;
use serde_json::Value;

use crate::ledger;
use crate::parts::{STREAM_BACK, blocking};
use crate::run::LiveError;
use crate::story::Stage;

/// Payments that somebody sends to the old writer's front door while its resolvers still answer with its own database.
const TRIES: u32 = 20;
/// Between two of them.
const TRY: Duration = Duration::from_millis(250);
/// Until the payments API has found the database behind the stale name.
const FOUND: Duration = Duration::from_secs(10);
/// A standby that has not caught up by then does not.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// A client that waits longer has given up.
const PATIENCE: Limits = Limits { connect: Some(Duration::from_secs(1)), read: Some(Duration::from_secs(2)) };

/// The old primary's processes are started again, as a machine does that has power again, and its writer is put to the test.
pub(crate) async fn switch_on(stage: &mut Stage) -> Result<(), LiveError> {
    stage.until_dublin_is_back().await;
    let world = stage.world.clone();
    let database = stage.parts.database(Region::DUBLIN)?;
    blocking(move || database.up()).await?;
    let socket = stage.parts.socket(Region::DUBLIN);
    let back_at_ms = world.now().as_millisecond();
    let is_standby = ledger::in_recovery(&ledger::connect(&socket).await?).await?;
    stage.holds(!is_standby, "the old primary did not come up as a primary: nothing was tested");
    stage.say("PostgreSQL in eu-west-1 is up again, as a primary that takes writes");
    stage.parts.switches.stale_name.store(true, Ordering::Relaxed);
    stage.parts.start_api(&world, Region::DUBLIN)?;
    world.come_back(Region::DUBLIN);

    let why = lease_refuses(&world).await;
    stage.holds(why.contains("lease"), format!("the payments API of eu-west-1 is not stopped by its lease: {why}"));
    let mut acknowledged = Vec::new();
    for number in 0..TRIES {
        let payment = PaymentRequest {
            key: format!("returned-{number:03}"),
            amount_minor: i64::from(100 + number),
            currency: "EUR".into(),
        };
        let started = world.elapsed();
        let told = post(&world, &payment).await;
        if matches!(told, Told::Acknowledged { .. }) {
            acknowledged.push(payment.key.clone());
        }
        stage.history.record(Operation {
            key: payment.key,
            amount_minor: payment.amount_minor,
            currency: payment.currency,
            client: Region::DUBLIN.to_string(),
            sent_to: Region::DUBLIN.to_string(),
            started,
            ended: world.elapsed(),
            told,
        });
        tokio::time::sleep(TRY).await;
    }
    let written = ledger::booked_since(&socket, back_at_ms).await?;
    stage.say(format!(
        "fence check: the database of eu-west-1 takes writes; {} of {TRIES} payments to it were acknowledged, {} rows written",
        acknowledged.len(),
        written.len()
    ));
    stage.holds(acknowledged.is_empty(), format!("acknowledged by the old writer after the fence: {acknowledged:?}"));
    stage.holds(written.is_empty(), format!("written by applications behind the fence: {:?}", written.keys()));
    Ok(())
}

/// Why the old Region's payments API does not write, once it is connected to its old database.
async fn lease_refuses(world: &World) -> String {
    let end = world.elapsed() + FOUND;
    loop {
        let request = Request::get(format!("https://{}/writez", host(Region::DUBLIN))).body(Bytes::new());
        let said = match request {
            Ok(request) => match send(world, &client(), request, PATIENCE).await {
                Ok(response) => String::from_utf8_lossy(response.body()).into_owned(),
                Err(lost) => format!("{lost:?}"),
            },
            Err(error) => error.to_string(),
        };
        if said.contains("lease") || world.elapsed() > end {
            return said;
        }
        tokio::time::sleep(TRY).await;
    }
}

fn client() -> Caller {
    Caller { name: "client".into(), region: Region::INTERNET, invocation: None }
}

async fn post(world: &World, payment: &PaymentRequest) -> Told {
    let body = serde_json::to_vec(payment).unwrap_or_default();
    let request = Request::post(format!("https://{}/payments", host(Region::DUBLIN))).body(Bytes::from(body));
    let Ok(request) = request else { return Told::Nothing };
    match send(world, &client(), request, PATIENCE).await {
        Ok(response) if response.status().is_success() => {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            Told::Acknowledged { network_reference: body["network_reference"].as_str().unwrap_or_default().to_owned() }
        }
        Ok(response) => Told::Refused { status: response.status().as_u16() },
        Err(_) => Told::Nothing,
    }
}

/// Keeps what only the old primary has, lays it beside the new ledger, and makes it a standby of the new primary.
pub(crate) async fn secure_and_rebuild(stage: &mut Stage) -> Result<(), LiveError> {
    let world = stage.world.clone();
    let old = stage.parts.database(Region::DUBLIN)?;
    let stopped = old.clone();
    blocking(move || stopped.stop()).await?;
    stage.parts.switches.stale_name.store(false, Ordering::Relaxed);
    let copied = old.clone();
    let snapshot = blocking(move || copied.restored()).await?;
    secured(&world, Region::DUBLIN);

    let kept = ledger::bookings(std::path::Path::new(&snapshot.socket())).await?;
    let london = stage.parts.socket(Region::LONDON);
    let rows = ledger::bookings(&london).await?;
    let salvaged: BTreeSet<String> = kept.keys().filter(|key| !rows.contains_key(*key)).cloned().collect();
    let differing: Vec<&String> =
        kept.iter().filter(|(key, row)| rows.get(*key).is_some_and(|new| new != *row)).map(|(key, _)| key).collect();
    stage.say(format!("salvage: {} of {} payments in the snapshot are in it alone", salvaged.len(), kept.len()));
    stage.holds(differing.is_empty(), format!("in both ledgers with other values: {differing:?}"));
    stage.salvaged = Some(salvaged);
    let snapshot = blocking(move || snapshot.stop().map(|()| snapshot)).await?;
    stage.parts.snapshot = Some(snapshot);

    // pg_rewind reads the new history from the last checkpoint of the new primary.
    ledger::connect(&london).await?.batch_execute("CHECKPOINT").await?;
    let way = stage.parts.home.join(STREAM_BACK);
    let rewound = old.clone();
    blocking(move || rewound.rewind(&way)).await?;
    blocking(move || old.up()).await?;
    caught_up(&london, &stage.parts.socket(Region::DUBLIN)).await?;
    stage.say("pg_rewind has made eu-west-1 a standby of eu-west-2, and it has caught up");
    rebuilt(&world, Region::DUBLIN);
    Ok(())
}

/// Waits until a standby has replayed what its primary has written by now.
pub(crate) async fn caught_up(primary: &std::path::Path, standby: &std::path::Path) -> Result<(), LiveError> {
    let (primary, standby) = (ledger::connect(primary).await?, ledger::connect(standby).await?);
    let position: String = primary.query_one("SELECT pg_current_wal_lsn()::text", &[]).await?.try_get(0)?;
    let end = tokio::time::Instant::now() + CAUGHT_UP;
    while !ledger::has_replayed(&standby, &position).await? {
        if tokio::time::Instant::now() > end {
            return Err(LiveError::Missing(format!("the standby has not reached {position} in time")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
