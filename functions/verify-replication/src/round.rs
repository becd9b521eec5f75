//! One round: look at every store both ways at once, judge, remember, and tell what has changed.

use std::time::Duration;

use holdfast_aws::coordination::{Coordination, CoordinationError};
use holdfast_aws::{Failure, Startup};
use holdfast_domain::attempt::Consistency;
use holdfast_domain::event::Event;
use holdfast_domain::promotion::Observed;
use holdfast_domain::replication::{
    Change, Kind, LedgerEvidence, Link, ObjectEvidence, ReplicationRecord, Store, TableEvidence, Verdict, ledger,
    objects, reasons_not_to_move, table,
};
use holdfast_domain::{Region, Timestamp, distance};
use serde_json::{Value, json};

use crate::ledger::GlobalCluster;
use crate::peer::{Side, quick, sides};
use crate::{doubles, ledger as aurora, objects as s3, tables};

/// The primary looks only when nothing was noted for so long: the standby's round is due once a minute.
const SILENCE: Duration = Duration::from_secs(90);
/// How often a round is remembered again when another one has written meanwhile.
const COLLISIONS_MAX: u32 = 3;

/// What one round found.
struct Found {
    verdicts: Vec<(Link, Verdict)>,
    record: ReplicationRecord,
    consistency: Consistency,
    writer: Option<Region>,
    peer_is_dark: bool,
}

/// Once a minute: the Region with the standby looks, and the other steps in when it is silent.
pub(crate) async fn scheduled(startup: &Startup) -> Result<Value, Failure> {
    let cluster = aurora::global_cluster(&quick(startup), &startup.config.topology.global_cluster).await;
    if let Observed::Seen(cluster) = &cluster
        && cluster.writer == startup.region
    {
        let record = startup.coordination().replication().await.map_err(unread)?.unwrap_or_default();
        let newest = record.links.iter().map(|link| link.checked_at).max();
        if newest.is_some_and(|newest| distance(newest, startup.now()) < SILENCE) {
            return Ok(json!({"done": "nothing", "why": "the standby's Region looks"}));
        }
    }
    look(startup, cluster).await
}

/// Now, whoever has looked last.
pub(crate) async fn by_hand(startup: &Startup) -> Result<Value, Failure> {
    let cluster = aurora::global_cluster(&quick(startup), &startup.config.topology.global_cluster).await;
    look(startup, cluster).await
}

/// Now, and what speaks against moving the writer to the other Region.
pub(crate) async fn gate(startup: &Startup) -> Result<Value, Failure> {
    let cluster = aurora::global_cluster(&quick(startup), &startup.config.topology.global_cluster).await;
    let writer = match &cluster {
        Observed::Seen(cluster) => Some(cluster.writer.clone()),
        Observed::Unseen { .. } => None,
    };
    let report = look(startup, cluster).await?;
    let record = match startup.coordination().replication().await {
        Ok(record) => Observed::Seen(record),
        Err(error) => Observed::Unseen { why: error.to_string() },
    };
    let topology = &startup.config.topology;
    let to = writer.as_ref().and_then(|writer| topology.peer_of(writer)).map(|peer| peer.region.clone());
    let (Some(from), Some(to)) = (writer, to) else {
        return Ok(json!({"gate": "closed", "why": "the writer's Region is unknown", "round": report}));
    };
    let way_past = format!(r#"{{"action":"switchover","to":"{to}","by":"<you>","override":["replication"]}}"#);
    let blocked = reasons_not_to_move(&from, &to, &record, &way_past, startup.now());
    let gate = if blocked.is_empty() { "open" } else { "closed" };
    Ok(json!({"gate": gate, "from": from, "to": to, "blocked": blocked, "round": report}))
}

/// What was found last.
pub(crate) async fn status(startup: &Startup) -> Result<Value, Failure> {
    let record = startup.coordination().replication().await.map_err(unread)?.unwrap_or_default();
    let now = startup.now();
    let links: Vec<Value> = record
        .links
        .iter()
        .map(|known| {
            json!({
                "link": known.link.to_string(), "state": known.verdict.state.to_string(), "since": known.since,
                "age_s": holdfast_domain::age(known.checked_at, now).as_secs(), "findings": known.verdict.findings,
                "cliff": known.verdict.cliff.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    Ok(json!({"region": startup.region, "links": links, "accepted_twice": record.doubles}))
}

async fn look(startup: &Startup, cluster: Observed<GlobalCluster>) -> Result<Value, Failure> {
    let coordination = startup.coordination();
    let started = startup.now();
    let (votes, record) = tokio::join!(coordination.votes(), coordination.replication());
    let record = record.map_err(unread)?.unwrap_or_default();
    let Some((here, there)) = sides(startup, &votes) else {
        return Ok(json!({"done": "nothing", "why": "this Region has no peer"}));
    };
    let found = gather(startup, &coordination, cluster, record, &here, &there, started).await;
    remember(startup, &coordination, found, started).await
}

/// Everything at once; what could not be learned is in there as unknown.
async fn gather(
    startup: &Startup,
    coordination: &Coordination,
    cluster: Observed<GlobalCluster>,
    mut record: ReplicationRecord,
    here: &Side,
    there: &Side,
    now: Timestamp,
) -> Found {
    let attempts_table = &startup.config.topology.attempts.table;
    let link = |store, from: &Side, to: &Side| Link::new(store, &from.data.region, &to.data.region);
    let (out, back) = (link(Store::Attempts, here, there), link(Store::Attempts, there, here));
    let (out_objects, back_objects) = (link(Store::Receipts, here, there), link(Store::Receipts, there, here));
    let mut send = |link: &Link| record.canary(link).send(now);
    let (sent_out, sent_back, object_out, object_back) =
        (send(&out), send(&back), send(&out_objects), send(&back_objects));
    let notes = ledger_notes(coordination, &cluster, here, there);
    let (
        canary_out,
        canary_back,
        described_here,
        described_there,
        metrics_here,
        metrics_there,
        objects_out,
        objects_back,
        rules_here,
        rules_there,
        (beacons, waypoints),
    ) = tokio::join!(
        tables::canary(attempts_table, here, there, sent_out),
        tables::canary(attempts_table, there, here, sent_back),
        tables::describe(attempts_table, here),
        tables::describe(attempts_table, there),
        aurora::metrics(here, &there.data.region, attempts_table, now),
        aurora::metrics(there, &here.data.region, attempts_table, now),
        s3::canary(here, there, object_out),
        s3::canary(there, here, object_back),
        s3::rules(here),
        s3::rules(there),
        notes
    );
    let done = startup.now();
    let consistency = match &described_here {
        Observed::Seen(table) => table.consistency.clone(),
        Observed::Unseen { why } => Consistency::Unknown { why: why.clone() },
    };
    let mut verdicts = Vec::new();
    for (link, canary, there_side, here_side, metrics) in [
        (&out, canary_out, &described_here, &described_there, &metrics_here),
        (&back, canary_back, &described_there, &described_here, &metrics_there),
    ] {
        let evidence = TableEvidence {
            described_there: there_side.clone(),
            described_here: here_side.clone(),
            canary,
            latency: metrics.table_latency.clone(),
        };
        let known = record.link(link).and_then(|known| known.verdict.cliff.clone());
        verdicts.push((link.clone(), table(link, &evidence, record.canary(link), known.as_ref(), done)));
    }
    for (link, object, rules, destination, metrics) in [
        (&out_objects, objects_out, rules_here, &there.data.receipts_bucket, &metrics_here),
        (&back_objects, objects_back, rules_there.clone(), &here.data.receipts_bucket, &metrics_there),
    ] {
        let evidence = ObjectEvidence {
            destination: destination.clone(),
            rules,
            canary: object.reading,
            status: object.status,
            failed: metrics.failed_objects.clone(),
        };
        verdicts.push((link.clone(), objects(link, &evidence, record.canary(link), done)));
    }
    let (from, to, metric) = match &cluster {
        Observed::Seen(cluster) if cluster.writer == here.data.region => (here, there, metrics_there.ledger_lag),
        Observed::Seen(_) | Observed::Unseen { .. } => (there, here, metrics_here.ledger_lag),
    };
    // What the table still has of a primary that has just gone silent looks well for half a minute.
    let silent = matches!((&described_there, &rules_there), (Observed::Unseen { .. }, Observed::Unseen { .. }));
    let connected = match &cluster {
        Observed::Seen(_) if silent => {
            Observed::Unseen { why: format!("{} has answered nothing in this round", there.data.region) }
        }
        Observed::Seen(cluster) => Observed::Seen(cluster.standby_connected),
        Observed::Unseen { why } => Observed::Unseen { why: why.clone() },
    };
    let link = link(Store::Ledger, from, to);
    let evidence = LedgerEvidence { lag_metric: metric, connected, beacons, waypoints };
    verdicts.push((link.clone(), ledger(&link, &evidence, done)));
    let writer = match cluster {
        Observed::Seen(cluster) => Some(cluster.writer),
        Observed::Unseen { .. } => None,
    };
    Found { verdicts, record, consistency, writer, peer_is_dark: there.sdk.is_err() }
}

type Notes<T> = Observed<Option<holdfast_domain::beacon::Trail<T>>>;

/// The primary's beacons and the standby's waypoints, from the coordination table.
async fn ledger_notes(
    coordination: &Coordination,
    cluster: &Observed<GlobalCluster>,
    here: &Side,
    there: &Side,
) -> (Notes<holdfast_domain::beacon::Beacon>, Notes<holdfast_domain::beacon::Waypoint>) {
    let (primary, standby) = match cluster {
        Observed::Seen(cluster) if cluster.writer == here.data.region => (here, there),
        Observed::Seen(_) => (there, here),
        Observed::Unseen { why } => {
            return (Observed::Unseen { why: why.clone() }, Observed::Unseen { why: why.clone() });
        }
    };
    let (beacons, waypoints) =
        tokio::join!(coordination.beacons(&primary.data.region), coordination.waypoints(&standby.data.region));
    (observed(beacons), observed(waypoints))
}

fn observed<T>(read: Result<T, CoordinationError>) -> Observed<T> {
    match read {
        Ok(read) => Observed::Seen(read),
        Err(error) => Observed::Unseen { why: error.to_string() },
    }
}

/// Tells what has changed, then remembers: whoever dies in between tells it twice, and not never.
async fn remember(
    startup: &Startup,
    coordination: &Coordination,
    found: Found,
    started: Timestamp,
) -> Result<Value, Failure> {
    let Found { verdicts, mut record, consistency, writer, peer_is_dark } = found;
    let now = startup.now();
    let troubled_since =
        record.links.iter().filter(|link| link.verdict.state.kind() != Kind::InSync).map(|link| link.since).min();
    let mut changes: Vec<Change> = Vec::new();
    for (link, verdict) in &verdicts {
        tracing::info!(region = %startup.region, %link, "{link} is {}", verdict.state);
        changes.extend(if peer_is_dark {
            record.note_in_the_dark(link, verdict.clone(), now)
        } else {
            record.note(link, verdict.clone(), now)
        });
    }
    let mut doubled = Vec::new();
    if consistency == Consistency::Eventual {
        match doubles::find(startup, troubled_since, now).await {
            Ok(found) => doubled = record.note_doubles(found),
            Err(why) => tracing::warn!(region = %startup.region, "keys accepted twice were not looked for: {why}"),
        }
    }
    for change in &changes {
        tell(startup, &Event::ReplicationChanged { change: change.clone() }).await?;
    }
    if !doubled.is_empty() {
        tell(startup, &Event::KeysAcceptedTwice { doubled: doubled.clone() }).await?;
    }
    for (link, verdict) in &verdicts {
        emit(startup, link, verdict, now);
    }
    save(coordination, &mut record).await?;
    let took_ms = distance(started, startup.now()).as_millis();
    Ok(json!({
        "region": startup.region, "writer": writer, "took_ms": u64::try_from(took_ms).unwrap_or(u64::MAX),
        "links": verdicts.iter().map(|(link, verdict)| json!({
            "link": link.to_string(), "state": verdict.state.to_string(), "kind": verdict.state.kind(),
            "findings": verdict.findings, "cliff": verdict.cliff.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "changed": changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "accepted_twice": record.doubles,
    }))
}

/// Another round may have written meanwhile: its canaries are newer, and its verdicts as good as these.
async fn save(coordination: &Coordination, record: &mut ReplicationRecord) -> Result<(), Failure> {
    for _ in 0..COLLISIONS_MAX {
        record.version = record.version.saturating_add(1);
        match coordination.save_replication(record).await {
            Ok(()) => return Ok(()),
            Err(CoordinationError::Conflict { .. }) => {
                let stored = coordination.replication().await.map_err(unread)?.unwrap_or_default();
                record.yield_to(stored);
            }
            Err(error) => return Err(Failure::LookBeforeRetry(error.to_string())),
        }
    }
    Err(Failure::LookBeforeRetry("other rounds go on at the same time; the next one looks again".into()))
}

async fn tell(startup: &Startup, event: &Event) -> Result<(), Failure> {
    let published = startup.bus().publish(event, startup.buses()).await;
    published.map(drop).map_err(|error| Failure::LookBeforeRetry(error.to_string()))
}

fn emit(startup: &Startup, link: &Link, verdict: &Verdict, now: Timestamp) {
    let store = link.store.to_string();
    let dimensions = [("Store", store.as_str()), ("From", link.from.as_str()), ("To", link.to.as_str())];
    let is = |kind: Kind| u64::from(verdict.state.kind() == kind);
    let mut metrics = vec![
        ("InSync", "Count", is(Kind::InSync)),
        ("Lagging", "Count", is(Kind::Lagging)),
        ("Stalled", "Count", is(Kind::Stalled)),
        ("ReplicationUnknown", "Count", is(Kind::Unknown)),
        ("Findings", "Count", u64::try_from(verdict.findings.len()).unwrap_or(u64::MAX)),
    ];
    // What is not known is absent, and not zero.
    if let Some(lag) = verdict.state.lag() {
        metrics.push(("ReplicationLag", "Milliseconds", u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)));
    }
    if let Some(cliff) = &verdict.cliff {
        metrics.push(("SecondsUntilReplicaIsRemoved", "Seconds", cliff.left(now).as_secs()));
    }
    startup.metrics.emit(now, &dimensions, &metrics);
}

fn unread(error: CoordinationError) -> Failure {
    Failure::NothingChanged(error.to_string())
}
