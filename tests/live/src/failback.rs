//! The way back: what Holdfast refuses and why, the switchover on the real pair, and whether traffic is back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use drill::deployment::Function;
use holdfast_payments::history::Told;
use holdfast_postgresql::Server as PostgreSql;
use holdfast_world::rds::{Move, writer};
use holdfast_world::{Region, World};
use serde_json::{Value, json};

use crate::ledger;
use crate::parts::blocking;
use crate::proof::{unsettled, write_outage};
use crate::returns::caught_up;
use crate::run::LiveError;
use crate::story::Stage;

/// What speaks against the way back as long as nobody has done anything for it.
const UNTIL_REBUILT: [&str; 5] = ["redundancy", "old_volume", "replication", "alarms_moved", "plan_clean"];
/// What no machine looks at, and what a person says of it.
const ATTESTED: [(&str, &str); 2] = [
    ("alarms_moved", "the drill has no alarms of its own"),
    ("plan_clean", "the drill has no infrastructure of its own"),
];
/// What Holdfast looks at by itself: it speaks against the way back for as long as something is found, and a person may vouch
/// for what is left, because a drill has nobody who settles accounts.
const SETTLED: [&str; 3] = ["ledger_clean", "in_doubt_empty", "receipts_converged"];
/// What is found out is remembered first and told after that.
const TOLD_LATER: Duration = Duration::from_secs(1);
/// Copies of snapshots and looks at replication happen once a minute.
const PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);
/// A planned move may keep writes away for so long, beside AWS's own time.
const WRITES_AWAY_MAX: Duration = Duration::from_secs(20);
/// So long traffic is watched after the move.
const TRAFFIC: Duration = Duration::from_secs(10);
/// Clients keep an address for a minute, and health checks want to see a Region well three times.
const NAMES_KEPT: Duration = Duration::from_secs(60);
/// A standby has the last of the log at once, or not at all.
const LAST_OF_THE_LOG: Duration = Duration::from_secs(10);

/// Holdfast refuses to move back while the old Region is not rebuilt, and says everything that speaks against it.
pub(crate) async fn refused(stage: &mut Stage) -> Result<(), LiveError> {
    let world = stage.world.clone();
    let before = unsettled(&world);
    let ask = json!({"action": "failback", "to": "eu-west-1", "by": "ada"});
    let answer = promote(stage, Region::DUBLIN, ask).await?;
    let guards = guards_of(&answer["blocked"]);
    for guard in UNTIL_REBUILT {
        let named = guards.contains(guard);
        stage.holds(named, format!("the way back was not refused for {guard}: {answer}"));
    }
    // Of these each says exactly what was found last, and reconcilers are at work.
    tokio::time::sleep(TOLD_LATER).await;
    let after = unsettled(&world);
    for guard in SETTLED {
        let named = guards.contains(guard);
        let rightly = named == before.contains(guard) || named == after.contains(guard);
        let otherwise = format!("{guard} is named: {named}; unsettled were {before:?}, then {after:?}: {answer}");
        stage.holds(rightly, otherwise);
    }
    let ask = json!({"action": "switchover", "to": "eu-west-1", "by": "ada"});
    let answer = promote(stage, Region::DUBLIN, ask).await?;
    let open = answer["blocked"]["guard"] == "incident_open";
    stage.holds(open, format!("the way back was not refused while the incident is open: {answer}"));
    // Somebody who is in a hurry vouches for that. It still does not go.
    let ask = json!({
        "action": "switchover", "to": "eu-west-1", "by": "ada", "override": ["incident_open"], "dry_run": true,
    });
    let answer = promote(stage, Region::DUBLIN, ask).await?;
    let would = answer["would"].as_str().unwrap_or_default();
    let not_ready = would.contains("replication") || would.contains("primary_not_healthy");
    stage.holds(not_ready, format!("the way back would go before replication is rebuilt: {answer}"));
    Ok(())
}

/// Moves the writer back, which ends the failover's incident, and looks at who serves whom.
pub(crate) async fn fail_back(stage: &mut Stage) -> Result<(), LiveError> {
    let world = stage.world.clone();
    let secured = wait(stage, Region::LONDON, Function::Promote, json!({"action": "resume"}), |status| {
        !status["state"]["incident"]["secured_snapshot"].is_null()
    });
    let secured = secured.await?;
    stage.holds(secured.is_some(), "the snapshot of the old volume was not secured in time");
    let gate = wait(stage, Region::DUBLIN, Function::Verify, json!({"action": "gate"}), |gate| gate["gate"] == "open");
    let gate = gate.await?;
    stage.holds(gate.is_some(), "the gate for a planned move did not open in time");

    // Two things need somebody's word, and what is left after that somebody who vouches for it: nothing else is left.
    let back = json!({"action": "failback", "to": "eu-west-1", "by": "ada", "dry_run": true});
    let answer = promote(stage, Region::DUBLIN, back.clone()).await?;
    let incident = answer["incident"].as_str().unwrap_or_default().to_owned();
    for (guard, evidence) in ATTESTED {
        let word = json!({"action": "attest", "incident": incident, "guard": guard, "by": "ada", "evidence": evidence});
        let answer = promote(stage, Region::DUBLIN, word).await?;
        stage.holds(answer["done"] == "attested", format!("nobody could attest {guard}: {answer}"));
    }
    let answer = promote(stage, Region::DUBLIN, back).await?;
    let left = guards_of(&answer["blocked"]);
    let settled = left.iter().all(|guard| SETTLED.contains(&guard.as_str()));
    stage.holds(settled, format!("the way back is still refused for more than what a person may vouch for: {answer}"));
    let vouched_for: Vec<&String> = left.iter().filter(|guard| SETTLED.contains(&guard.as_str())).collect();

    let operations = stage.history.operations();
    let booked = ledger::bookings(&stage.parts.socket(Region::LONDON)).await?.into_keys().collect();
    stage.outage = Some((stage.judge)(operations, booked)?);

    let asked_at = world.elapsed();
    let ask = json!({
        "action": "failback", "to": "eu-west-1", "by": "ada", "comment": "Dublin is rebuilt", "override": vouched_for,
    });
    let answer = promote(stage, Region::DUBLIN, ask).await?;
    let end = world.elapsed() + WRITES_AWAY_MAX + stage.aws_promotion;
    while writer(&world) != Some(Region::DUBLIN) && world.elapsed() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let moved = writer(&world) == Some(Region::DUBLIN);
    stage.holds(moved, format!("the writer was not moved back: {answer}"));
    if !moved {
        return Ok(());
    }
    let mut traffic = (0, 0);
    let end = world.elapsed() + NAMES_KEPT;
    while traffic.0 == 0 && world.elapsed() < end {
        let since = world.elapsed();
        tokio::time::sleep(TRAFFIC).await;
        traffic = served_since(stage, since);
    }
    let (dublin, london) = traffic;
    stage.say(format!("traffic is back: of the last payments {dublin} were made in eu-west-1, {london} in eu-west-2"));
    stage.holds(dublin > 0, "no payment is made in eu-west-1 after the way back");

    let away = write_outage(&stage.history.operations(), asked_at, world.elapsed());
    let said = format!("writes were away for {} ms on the way back", away.as_millis());
    stage.say(said.clone());
    stage.holds(away <= WRITES_AWAY_MAX + stage.aws_promotion, said);

    caught_up(&stage.parts.socket(Region::DUBLIN), &stage.parts.socket(Region::LONDON)).await
}

/// How many payments each Region has made since a moment.
fn served_since(stage: &Stage, since: Duration) -> (usize, usize) {
    let operations = stage.history.operations();
    let made = |region: Region| {
        let made = operations.iter().filter(|it| it.started >= since && matches!(it.told, Told::Acknowledged { .. }));
        made.filter(|it| it.sent_to == region.as_str()).count()
    };
    (made(Region::DUBLIN), made(Region::LONDON))
}

/// A switchover of the real pair: the old writer stops, the new one has the last of its log, is promoted, and is followed.
pub(crate) async fn switch_over(
    world: &World,
    how: Move,
    old: Arc<PostgreSql>,
    new: Arc<PostgreSql>,
) -> Result<(), LiveError> {
    let stopping = old.clone();
    blocking(move || stopping.stop()).await?;
    let ended = old.clone();
    let position = blocking(move || ended.end_of_log()).await?;
    let client = ledger::connect(std::path::Path::new(&new.socket())).await?;
    let end = tokio::time::Instant::now() + LAST_OF_THE_LOG;
    // Beyond it: a log that goes on elsewhere before its own end is not followed.
    while !ledger::has_replayed_beyond(&client, &position).await? {
        if tokio::time::Instant::now() > end {
            return Err(LiveError::Missing(format!("the standby lacks the end of the log, {position}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    blocking(move || new.promote()).await?;
    let (from, to, world) = (how.from, how.to, world.clone());
    // Writes do not wait for redundancy.
    tokio::spawn(async move {
        let said = match blocking(move || old.follow().and_then(|()| old.up())).await {
            Ok(()) => format!("PostgreSQL in {from} follows {to}, which has its log up to {position}"),
            Err(problem) => format!("PostgreSQL in {from} does not follow {to}: {problem}"),
        };
        world.record("live-drill", said);
    });
    Ok(())
}

/// Asks again and again until the answer is as hoped; none when it takes too long.
async fn wait(
    stage: &Stage,
    region: Region,
    function: Function,
    request: Value,
    hoped: impl Fn(&Value) -> bool,
) -> Result<Option<Value>, LiveError> {
    let end = stage.world.elapsed() + PATIENCE;
    while stage.world.elapsed() < end {
        let mut answer = ask(stage, region, function, &request).await;
        if function == Function::Promote {
            answer = ask(stage, region, function, &json!({"action": "status"})).await;
        }
        if hoped(&answer) {
            return Ok(Some(answer));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

/// A person asks promote-aurora, and both are noted.
async fn promote(stage: &Stage, region: Region, request: Value) -> Result<Value, LiveError> {
    stage.world.record("a person", format!("asks promote-aurora in {region}: {request}"));
    let answer = ask(stage, region, Function::Promote, &request).await;
    if request["action"] != "status" {
        stage.world.record("promote-aurora", format!("answers the person: {answer}"));
    }
    Ok(answer)
}

async fn ask(stage: &Stage, region: Region, function: Function, request: &Value) -> Value {
    let answer = stage.world.invoke(region, function.name(), request.to_string().into()).await;
    answer.unwrap_or_else(|why| json!({"failed": why}))
}

fn guards_of(blocked: &Value) -> BTreeSet<String> {
    let list = blocked.as_array().into_iter().flatten();
    list.filter_map(|block| block["guard"].as_str().map(str::to_owned)).collect()
}
