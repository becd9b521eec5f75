//! Snapshots of clusters: described and copied.

use std::time::Duration;

use super::{Fault, Form, field, xml};
use crate::region::Region;
use crate::world::World;

/// A snapshot in a Region.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) region: Region,
    pub(super) id: String,
    /// Of which cluster it is; a copy keeps that.
    pub(super) cluster: String,
    pub(super) status: &'static str,
    /// Since the start: what was committed later is not in it.
    pub(super) taken_at: Duration,
}

impl Snapshot {
    fn xml(&self, world: &World) -> String {
        let taken_at = world.start().checked_add(self.taken_at).unwrap_or_default();
        xml::snapshot(&self.id, &self.cluster, self.status, &format!("{taken_at:.3}"))
    }
}

pub(super) fn describe(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let state = world.state();
    let cluster = field(form, "DBClusterIdentifier");
    let snapshots = state.rds.global.as_ref().map(|global| global.snapshots.as_slice()).unwrap_or_default();
    let here = snapshots
        .iter()
        .filter(|snapshot| snapshot.region == at && (cluster.is_empty() || snapshot.cluster == cluster));
    let body: String = here.map(|it| it.xml(world)).collect();
    Ok(format!("<DBClusterSnapshots>{body}</DBClusterSnapshots>"))
}

pub(super) fn copy(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let (source, target) = (
        field(form, "SourceDBClusterSnapshotIdentifier").to_owned(),
        field(form, "TargetDBClusterSnapshotIdentifier").to_owned(),
    );
    let (body, copying) = {
        let mut state = world.state();
        let none = || Fault("DBClusterSnapshotNotFoundFault", format!("{source} not found"));
        let global = state.rds.global.as_mut().ok_or_else(none)?;
        if global.snapshots.iter().any(|snapshot| snapshot.region == at && snapshot.id == target) {
            return Err(Fault("DBClusterSnapshotAlreadyExistsFault", format!("{target} already exists")));
        }
        let original = global.snapshots.iter().find(|snapshot| snapshot.region == at && snapshot.id == source);
        let copy = Snapshot { id: target.clone(), status: "copying", ..original.ok_or_else(none)?.clone() };
        let body = copy.xml(world);
        global.snapshots.push(copy);
        (body, global.copying)
    };
    world.record("rds", format!("in {at} copies {source} to {target}"));
    world.after(copying, move |world| {
        if let Some(global) = world.state().rds.global.as_mut() {
            for snapshot in global.snapshots.iter_mut().filter(|snapshot| snapshot.id == target) {
                snapshot.status = "available";
            }
        }
    });
    Ok(body)
}
