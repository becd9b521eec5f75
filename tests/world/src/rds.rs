//! The RDS control plane of an Aurora global database with two clusters (AUG disaster recovery page, to the letter).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::aurora::Volume;
use crate::region::Region;
use crate::service::{query_error, respond};
use crate::world::{ACCOUNT, World};

mod parameters;
mod real;
mod snapshots;
pub mod standby;
mod xml;

pub use parameters::{remove_instances, set_engine_version};
pub use real::{Move, Promoter, Promotion, promote_with, rebuilt, secured};

/// What a global cluster starts from.
#[derive(Clone, Debug)]
pub struct GlobalClusterConfig {
    /// Its identifier.
    pub id: &'static str,
    /// The cluster that writes at the start.
    pub primary: Region,
    /// The other.
    pub secondary: Region,
    /// How long AWS takes to promote.
    pub promotion: Duration,
    /// How far the secondary is behind.
    pub lag: Duration,
    /// Instances of the secondary.
    pub secondary_instances: usize,
}

/// The control plane; it works in each Region that is not dark.
#[derive(Default)]
pub struct Rds {
    pub(crate) global: Option<Global>,
}

/// The global cluster.
#[derive(Debug)]
pub(crate) struct Global {
    pub(crate) id: &'static str,
    pub(crate) status: &'static str,
    pub(crate) operation: Option<Operation>,
    pub(crate) members: [Member; 2],
    /// Where the global writer endpoint points: DNS follows a promotion late.
    pub(crate) endpoint_at: Region,
    pub(crate) promotion: Duration,
    /// What promotes a real database besides.
    pub(crate) promoter: Option<Promoter>,
    pub(crate) lag: Duration,
    /// Since when nothing is carried over at all, while that is so.
    pub(crate) held_since: Option<Duration>,
    /// How long after a call was accepted descriptions still show what was before.
    shows_late: Duration,
    /// How long a snapshot takes to be copied.
    copying: Duration,
    snapshots: Vec<snapshots::Snapshot>,
    accepted: Vec<Accepted>,
    pub(crate) bookings: Vec<(Duration, Region, String)>,
    pub(crate) fences: Vec<(Duration, Region, u64)>,
    pub(crate) measured: Vec<(Duration, Region, u32)>,
    pub(crate) unmeasured: bool,
    promotions: Vec<(Duration, Region)>,
    /// What the two clusters are to each other.
    pub(crate) pairing: standby::Pairing,
}

/// One cluster of it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) region: Region,
    pub(crate) identifier: String,
    pub(crate) is_writer: bool,
    pub(crate) connected: bool,
    /// Aurora has told it to take no more writes.
    pub(crate) writes_blocked: bool,
    pub(crate) instances: Vec<(String, &'static str)>,
    pub(crate) engine_version: &'static str,
    pub(crate) volume: Volume,
    /// `DBCluster.Status`; nothing for a cluster that does not exist.
    pub(crate) status: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) status: &'static str,
    pub(crate) from: Region,
    pub(crate) to: Region,
    pub(crate) data_loss_allowed: bool,
}

/// An operation that RDS took on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Since the start.
    pub at: Duration,
    /// `FailoverGlobalCluster` with data loss allowed; otherwise a switchover.
    pub failover: bool,
    /// The Region to be promoted.
    pub to: Region,
    /// RDS gave it up, and nothing has changed.
    pub cancelled: bool,
}

impl Member {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:rds:{}:{ACCOUNT}:cluster:{}", self.region, self.identifier)
    }
}

impl Global {
    pub(crate) fn member(&self, region: Region) -> Option<&Member> {
        self.members.iter().find(|member| member.region == region)
    }

    pub(crate) fn member_mut(&mut self, region: Region) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.region == region)
    }

    /// How far the secondary is behind.
    pub(crate) fn lag_at(&self, now: Duration) -> Duration {
        self.lag + self.held_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// The status and operation that a description shows.
    fn shown(&self, now: Duration) -> (&'static str, Option<&Operation>) {
        let late = self.accepted.last().is_some_and(|accepted| now < accepted.at + self.shows_late);
        if late { ("available", None) } else { (self.status, self.operation.as_ref()) }
    }

    pub(crate) fn writer(&self) -> Option<Region> {
        self.members.iter().find(|member| member.is_writer).map(|member| member.region)
    }

    pub(crate) fn other(&self, region: Region) -> Option<Region> {
        self.members.iter().find(|member| member.region != region).map(|member| member.region)
    }
}

/// Creates the global cluster `id` with clusters `payments-<region>`.
pub fn create_global_cluster(world: &World, config: &GlobalClusterConfig) {
    let member = |region: Region, is_writer: bool, instances: usize| Member {
        region,
        identifier: format!("payments-{region}"),
        is_writer,
        connected: true,
        writes_blocked: false,
        instances: (1..=instances).map(|n| (format!("payments-{region}-{n}"), "available")).collect(),
        engine_version: "16.4",
        volume: Volume::default(),
        status: Some("available"),
    };
    world.state().rds.global = Some(Global {
        id: config.id,
        status: "available",
        operation: None,
        members: [member(config.primary, true, 2), member(config.secondary, false, config.secondary_instances)],
        endpoint_at: config.primary,
        promotion: config.promotion,
        promoter: None,
        lag: config.lag,
        held_since: None,
        shows_late: Duration::ZERO,
        copying: Duration::from_secs(90),
        snapshots: Vec::new(),
        accepted: Vec::new(),
        bookings: Vec::new(),
        fences: Vec::new(),
        measured: Vec::new(),
        unmeasured: false,
        promotions: Vec::new(),
        pairing: standby::Pairing::GlobalDatabase,
    });
    world.start_replication_metrics();
}

/// Every operation that RDS took on.
#[must_use]
pub fn accepted(world: &World) -> Vec<Accepted> {
    world.state().rds.global.as_ref().map(|global| global.accepted.clone()).unwrap_or_default()
}

/// Every promotion that was carried through, with its time since the start and the new writer's Region.
#[must_use]
pub fn promotions(world: &World) -> Vec<(Duration, Region)> {
    world.state().rds.global.as_ref().map(|global| global.promotions.clone()).unwrap_or_default()
}

/// The Region of the one writer.
#[must_use]
pub fn writer(world: &World) -> Option<Region> {
    world.state().rds.global.as_ref().and_then(Global::writer)
}

/// Has descriptions show what was before a call for so long after it was accepted: control planes are eventually consistent.
pub fn show_effects_late(world: &World, by: Duration) {
    if let Some(global) = world.state().rds.global.as_mut() {
        global.shows_late = by;
    }
}

/// Adds an instance to a cluster: the remedy for a headless one.
pub fn add_instance(world: &World, region: Region) {
    if let Some(member) = world.state().rds.global.as_mut().and_then(|global| global.member_mut(region)) {
        let id = format!("payments-{region}-{}", member.instances.len() + 1);
        member.instances.push((id, "available"));
    }
}

pub(crate) fn handle(world: &World, at: Region, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let form: BTreeMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    let result = match action {
        "DescribeGlobalClusters" => describe_global_clusters(world, at, &form),
        "DescribeDBClusters" => parameters::describe_clusters(world, at, &form),
        "DescribeDBInstances" => parameters::describe_instances(world, at, &form),
        "FailoverGlobalCluster" => failover(world, at, &form),
        "SwitchoverGlobalCluster" => switchover(world, at, &form),
        "DescribeDBClusterSnapshots" => snapshots::describe(world, at, &form),
        "CopyDBClusterSnapshot" => snapshots::copy(world, at, &form),
        "PromoteReadReplicaDBCluster" => standby::promote_read_replica(world, at, &form),
        "RestoreDBClusterFromSnapshot" => standby::restore(world, at, &form),
        "CreateDBInstance" => standby::create_instance(world, at, &form),
        "DescribeDBClusterParameters" => Ok(parameters::describe(world, at)),
        other => Err(Fault(
            "InvalidAction",
            format!(
                "this world's RDS does not speak {other}; it speaks DescribeGlobalClusters, DescribeDBClusters, DescribeDBInstances, FailoverGlobalCluster, SwitchoverGlobalCluster, DescribeDBClusterSnapshots, CopyDBClusterSnapshot, PromoteReadReplicaDBCluster, RestoreDBClusterFromSnapshot and CreateDBInstance"
            ),
        )),
    };
    match result {
        Ok(body) => {
            let body = format!(
                r#"<{action}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{action}Result>{body}</{action}Result><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{action}Response>"#
            );
            respond(200, "text/xml", body)
        }
        Err(Fault(code, message)) => query_error(if code.contains("NotFound") { 404 } else { 400 }, code, &message),
    }
}

struct Fault(&'static str, String);

type Form = BTreeMap<String, String>;

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map(String::as_str).unwrap_or_default()
}

/// The global cluster of that name, which each member Region knows.
fn named<'a>(state: &'a mut crate::world::State, at: Region, id: &str) -> Result<&'a mut Global, Fault> {
    let found = state.rds.global.as_mut().filter(|global| global.id == id && global.is_known_in(at));
    found.ok_or_else(|| Fault("GlobalClusterNotFoundFault", format!("Global cluster {id} not found")))
}

fn describe_global_clusters(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let mut state = world.state();
    let id = field(form, "GlobalClusterIdentifier");
    let now = world.elapsed();
    let body = match state.rds.global.as_ref() {
        Some(global) if global.is_known_in(at) && (id.is_empty() || id == global.id) => {
            xml::global_cluster(global, "GlobalClusterMember", global.shown(now))
        }
        Some(_) | None if id.is_empty() => String::new(),
        Some(_) | None => return named(&mut state, at, id).map(|_| String::new()),
    };
    Ok(format!("<GlobalClusters>{body}</GlobalClusters>"))
}

fn failover(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let yes = |name: &str| field(form, name) == "true";
    if yes("AllowDataLoss") && yes("Switchover") {
        let why = "AllowDataLoss and Switchover can't both be specified".to_owned();
        return Err(Fault("InvalidParameterCombination", why));
    }
    // Without AllowDataLoss this call is a switchover: the trap in many runbooks.
    if yes("AllowDataLoss") { promote(world, at, form, true) } else { promote(world, at, form, false) }
}

fn switchover(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    promote(world, at, form, false)
}

fn promote(world: &World, at: Region, form: &Form, data_loss_allowed: bool) -> Result<String, Fault> {
    let target = field(form, "TargetDbClusterIdentifier");
    let (from, to, body) = {
        let mut state = world.state();
        let linked: Vec<Region> = [Region::DUBLIN, Region::LONDON]
            .into_iter()
            .filter(|other| *other == at || state.network.linked(at, *other))
            .collect();
        let global = named(&mut state, at, field(form, "GlobalClusterIdentifier"))?;
        if global.operation.is_some() || global.status != "available" {
            let why = format!("Global cluster {} is {}", global.id, global.status);
            return Err(Fault("InvalidGlobalClusterStateFault", why));
        }
        // A bare identifier is looked for in the Region that was asked, an ARN says where it is.
        let found = global.members.iter().find(|it| it.arn() == target || (it.identifier == target && it.region == at));
        let to = found.map(|member| member.region);
        let not_found = || Fault("DBClusterNotFoundFault", format!("DBCluster {target} not found."));
        let to = to.ok_or_else(not_found)?;
        let from = global.other(to).ok_or_else(not_found)?;
        if global.writer() == Some(to) {
            return Err(Fault("InvalidDBClusterStateFault", format!("{target} is already the primary")));
        }
        let asked_in = if data_loss_allowed { to } else { from };
        if at != asked_in && !linked.contains(&asked_in) {
            return Err(not_found());
        }
        if data_loss_allowed && at != to {
            return Err(not_found());
        }
        global.status = if data_loss_allowed { "failing-over" } else { "switching-over" };
        global.operation = Some(Operation { status: "pending", from, to, data_loss_allowed });
        let accepted = Accepted { at: world.elapsed(), failover: data_loss_allowed, to, cancelled: false };
        global.accepted.push(accepted);
        (from, to, xml::global_cluster(global, "GlobalCluster", global.shown(Duration::MAX)))
    };
    let verb = if data_loss_allowed { "failover" } else { "switchover" };
    world.record("rds", format!("in {at} accepts a {verb} to {to}"));
    if data_loss_allowed {
        world.begin_failover(from, to);
    } else {
        world.begin_switchover(from, to);
    }
    Ok(body)
}

impl World {
    fn begin_failover(&self, from: Region, to: Region) {
        let (promotion, promoter) = {
            let mut state = self.state();
            let heard = state.network.linked(to, from);
            let Some(global) = state.rds.global.as_mut() else { return };
            if let Some(operation) = &mut global.operation {
                operation.status = "failing-over";
            }
            if let Some(old) = global.member_mut(from) {
                old.writes_blocked = heard;
                old.connected = false;
            }
            let (promotion, promoter) = (global.promotion, global.promoter.clone());
            drop(state);
            // Fencing is best effort: an old primary that cannot be reached goes on writing, if it lives.
            let (id, message) = if heard {
                ("RDS-EVENT-0390", "Blocking writes in the old primary succeeded")
            } else {
                (
                    "RDS-EVENT-0391",
                    "Blocking writes in the old primary timed out; you might need to recover recently written data from the snapshot of the original primary",
                )
            };
            self.rds_event(if heard { from } else { to }, "RDS DB Instance Event", id, message);
            (promotion, promoter)
        };
        match promoter {
            None => self.after(promotion, move |world| world.finish_promotion(from, to, "RDS-EVENT-0238")),
            Some(promoter) => self.promote_really(promoter, promotion, Move { from, to, lossless: false }),
        }
    }

    fn begin_switchover(&self, from: Region, to: Region) {
        self.rds_event(from, "RDS DB Cluster Event", "RDS-EVENT-0181", "Global switchover started");
        self.after(Duration::from_secs(2), move |world| {
            let promotion = {
                let mut state = world.state();
                let linked = state.network.linked(from, to);
                let Some(global) = state.rds.global.as_mut() else { return };
                if !linked {
                    None
                } else {
                    if let Some(operation) = &mut global.operation {
                        operation.status = "switching-over";
                    }
                    if let Some(old) = global.member_mut(from) {
                        old.writes_blocked = true;
                    }
                    Some((global.promotion, global.promoter.clone()))
                }
            };
            match promotion {
                Some((promotion, Some(promoter))) => {
                    world.promote_really(promoter, promotion, Move { from, to, lossless: true });
                }
                // All that was committed is replicated before the roles change.
                Some((promotion, None)) => world.after(promotion, move |world| {
                    world.replicate_everything();
                    if world.is_in_sync(from, to) {
                        world.finish_promotion(from, to, "RDS-EVENT-0185");
                    } else {
                        world.cancel_switchover(from, to);
                    }
                }),
                None => world.cancel_switchover(from, to),
            }
        });
    }

    /// It waits to sync with a primary that is gone, and is given up after minutes.
    fn cancel_switchover(&self, from: Region, to: Region) {
        self.after(Duration::from_secs(300), move |world| {
            if let Some(global) = world.state().rds.global.as_mut() {
                global.operation = None;
                global.status = "available";
                if let Some(given_up) = global.accepted.last_mut() {
                    given_up.cancelled = true;
                }
                if let Some(old) = global.member_mut(from) {
                    old.writes_blocked = false;
                }
            }
            world.rds_event(to, "RDS DB Cluster Event", "RDS-EVENT-0186", "Global switchover was cancelled");
        });
    }

    fn finish_promotion(&self, from: Region, to: Region, event: &'static str) {
        let lossless = event == "RDS-EVENT-0185";
        let headless = {
            let mut state = self.state();
            let Some(global) = state.rds.global.as_mut() else { return };
            for member in &mut global.members {
                member.is_writer = member.region == to;
            }
            if let Some(new) = global.member_mut(to) {
                new.writes_blocked = false;
            }
            if let Some(old) = global.member_mut(from) {
                old.writes_blocked |= lossless;
                old.connected = lossless;
            }
            global.operation = None;
            global.status = "available";
            global.promotions.push((self.elapsed(), to));
            global.member(to).is_some_and(|member| member.instances.is_empty())
        };
        self.record("rds", format!("has promoted {to}"));
        self.rds_event(to, "RDS DB Cluster Event", event, "Global operation to DB cluster completed");
        if headless {
            self.rds_event(to, "RDS DB Cluster Event", "RDS-EVENT-0519", "the DB cluster has no instances");
        }
        self.after(Duration::from_secs(1), move |world| {
            if let Some(global) = world.state().rds.global.as_mut() {
                global.endpoint_at = to;
            }
            world.record("rds", format!("points the global writer endpoint at {to}"));
            world.rds_event(
                to,
                "RDS DB Cluster Event",
                "RDS-EVENT-0397",
                "Aurora finished changing the DNS of the global writer endpoint",
            );
        });
        self.database_region_changed(from);
    }

    /// A Region or a link came or went: replication goes on, and an old primary that is back is rebuilt as a secondary.
    pub(crate) fn database_region_changed(&self, region: Region) {
        self.replicate();
        let (old, cluster) = {
            let state = self.state();
            let Some(global) = state.rds.global.as_ref() else { return };
            if global.operation.is_some() || global.pairing != standby::Pairing::GlobalDatabase {
                return;
            }
            let Some(old) = global.members.iter().find(|member| !member.is_writer && !member.connected) else { return };
            let Some(writer) = global.writer() else { return };
            if old.region != region && writer != region || !state.network.linked(writer, old.region) {
                return;
            }
            (old.region, old.identifier.clone())
        };
        let is_real = self.state().rds.global.as_mut().is_some_and(|global| {
            global.member_mut(old).into_iter().for_each(|member| member.writes_blocked = true);
            global.promoter.is_some()
        });
        if is_real {
            return;
        }
        self.after(Duration::from_secs(60), move |world| {
            if world.state().network.is_dark(old) || !world.has_snapshot(old, cluster) {
                return;
            }
            world.after(Duration::from_secs(180), move |world| world.rejoin(old));
        });
    }

    /// Lists Aurora's own snapshot of an old volume. Whether it is new.
    fn has_snapshot(&self, old: Region, cluster: String) -> bool {
        let id = format!("rds:unplanned-global-failover-{cluster}-2026-11-24-14-40-00");
        let taken_at = self.elapsed();
        let mut state = self.state();
        let Some(global) = state.rds.global.as_mut() else { return false };
        if global.snapshots.iter().any(|snapshot| snapshot.id == id) {
            return false;
        }
        global.snapshots.push(snapshots::Snapshot {
            region: old,
            id: id.clone(),
            cluster,
            status: "available",
            taken_at,
        });
        drop(state);
        self.record("rds", format!("has a snapshot of the old volume: {id}"));
        true
    }

    fn rejoin(&self, old: Region) {
        let mut state = self.state();
        if state.network.is_dark(old) {
            return;
        }
        let Some(global) = state.rds.global.as_mut() else { return };
        let Some(rows) = global.writer().and_then(|writer| global.member(writer)).map(|it| it.volume.clone()) else {
            return;
        };
        if let Some(member) = global.member_mut(old) {
            member.volume = rows;
            member.connected = true;
        }
        drop(state);
        self.record("rds", format!("has rebuilt {old} as a secondary"));
    }

    pub(crate) fn rds_event(&self, region: Region, detail_type: &str, id: &str, message: &str) {
        let detail = json!({
            "EventCategories": ["global-failover"], "SourceType": "CLUSTER",
            "SourceArn": format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:payments-{region}"),
            "Date": format!("{:.3}", self.now()), "Message": message,
            "SourceIdentifier": format!("payments-{region}"), "EventID": id,
        });
        let late = Duration::from_millis(1000 + self.draw(19_000));
        self.put_service_event(region, "aws.rds", detail_type, detail, late);
    }
}
