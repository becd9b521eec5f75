//! What RDS shows of clusters and instances, and of their settings. `World::show` changes them under `rds`: `DeletionProtection`, `Parameters`, …

use std::fmt::Write as _;

use quick_xml::escape::escape;
use serde_json::{Value, json};

use super::{Fault, Form, field, xml};
use crate::region::Region;
use crate::world::{State, World};

/// A setting of this Region's cluster.
fn setting(state: &State, at: Region, name: &str, sound: Value) -> Value {
    state.shown(at, "rds").map(|shown| shown[name].clone()).filter(|shown| !shown.is_null()).unwrap_or(sound)
}

fn of_cluster(state: &State, at: Region) -> String {
    format!(
        "<DBClusterParameterGroup>holdfast-ledger</DBClusterParameterGroup><DeletionProtection>{}</DeletionProtection><BackupRetentionPeriod>{}</BackupRetentionPeriod><IAMDatabaseAuthenticationEnabled>{}</IAMDatabaseAuthenticationEnabled>",
        setting(state, at, "DeletionProtection", json!(true)),
        setting(state, at, "BackupRetentionPeriod", json!(14)),
        setting(state, at, "IAMDatabaseAuthenticationEnabled", json!(true)),
    )
}

fn of_instance(state: &State, at: Region) -> String {
    format!(
        "<DBInstanceClass>{}</DBInstanceClass><AutoMinorVersionUpgrade>{}</AutoMinorVersionUpgrade>",
        setting(state, at, "DBInstanceClass", json!("db.r7g.xlarge")).as_str().unwrap_or_default(),
        setting(state, at, "AutoMinorVersionUpgrade", json!(false)),
    )
}

pub(super) fn describe_clusters(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let state = world.state();
    let id = field(form, "DBClusterIdentifier");
    let member = state.rds.global.as_ref().and_then(|global| global.member(at));
    let member = member.filter(|member| id.is_empty() || member.identifier == id || member.arn() == id);
    match (member.filter(|member| member.status.is_some()), state.rds.global.as_ref()) {
        (Some(member), Some(global)) => {
            let shown = xml::cluster(member, global.source_of(at), &of_cluster(&state, at));
            Ok(format!("<DBClusters>{shown}</DBClusters>"))
        }
        (_, _) => Err(Fault("DBClusterNotFoundFault", format!("DBCluster {id} not found."))),
    }
}

pub(super) fn describe_instances(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let state = world.state();
    let wanted = field(form, "Filters.Filter.1.Values.Value.1");
    let member = state.rds.global.as_ref().and_then(|global| global.member(at));
    let instances = member.filter(|member| wanted.is_empty() || member.identifier == wanted || member.arn() == wanted);
    let settings = of_instance(&state, at);
    let instances = instances.map(|member| xml::instances(member, &settings)).unwrap_or_default();
    Ok(format!("<DBInstances>{instances}</DBInstances>"))
}

/// `DescribeDBClusterParameters` with `Source=user`: what somebody has set.
pub(super) fn describe(world: &World, at: Region) -> String {
    let state = world.state();
    let set = setting(&state, at, "Parameters", json!({"rds.force_ssl": "1", "log_statement": "ddl"}));
    let mut parameters = String::new();
    for (name, value) in set.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let _ = write!(
            parameters,
            "<Parameter><ParameterName>{}</ParameterName><ParameterValue>{}</ParameterValue><Source>user</Source></Parameter>",
            escape(name),
            escape(value),
        );
    }
    format!("<Parameters>{parameters}</Parameters>")
}

/// The cluster of a Region runs another engine.
pub fn set_engine_version(world: &World, region: Region, version: &'static str) {
    if let Some(member) = world.state().rds.global.as_mut().and_then(|global| global.member_mut(region)) {
        member.engine_version = version;
    }
}

/// The cluster of a Region has no instances any more.
pub fn remove_instances(world: &World, region: Region) {
    if let Some(member) = world.state().rds.global.as_mut().and_then(|global| global.member_mut(region)) {
        member.instances.clear();
    }
}
