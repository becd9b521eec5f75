//! Clusters without a global database: a cross-Region read replica that is promoted (AUG
//! AuroraMySQL.Replication.CrossRegion.Promote), and a cluster that is restored from a copied snapshot
//! (RestoreDBClusterFromSnapshot; instances can be created only once the cluster is available).

use std::time::Duration;

use super::snapshots::Snapshot;
use super::{Fault, Form, Global, field, xml};
use crate::aurora::LedgerRow;
use crate::region::Region;
use crate::world::World;

/// What the two clusters are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Members of a global database.
    GlobalDatabase,
    /// The secondary replicates the primary's binary log, until it is promoted: that takes so long.
    ReadReplica {
        /// How long AWS takes.
        promotion: Duration,
    },
    /// The primary is alone; there are snapshots.
    Apart {
        /// How long AWS takes to restore a cluster.
        restore: Duration,
        /// How long AWS takes to create an instance.
        instance: Duration,
    },
}

impl Global {
    /// A global cluster of this name is known there at all.
    pub(super) fn is_known_in(&self, at: Region) -> bool {
        self.pairing == Pairing::GlobalDatabase && self.member(at).is_some()
    }

    /// `ReplicationSourceIdentifier` of a Region's cluster.
    pub(super) fn source_of(&self, at: Region) -> Option<String> {
        match self.pairing {
            Pairing::ReadReplica { .. } if self.member(at).is_some_and(|member| !member.is_writer) => {
                self.other(at).and_then(|source| self.member(source)).map(super::Member::arn)
            }
            Pairing::GlobalDatabase | Pairing::ReadReplica { .. } | Pairing::Apart { .. } => None,
        }
    }
}

/// Takes the global database apart: the secondary is a read replica, or does not exist. Applications and functions that
/// are given one writer endpoint are given the secondary's own.
pub fn pair(world: &World, pairing: Pairing) {
    let mut state = world.state();
    let Some(global) = state.rds.global.as_mut() else { return };
    global.pairing = pairing;
    let Some(secondary) = global.writer().and_then(|writer| global.other(writer)) else { return };
    global.endpoint_at = secondary;
    if let (Pairing::Apart { .. }, Some(member)) = (pairing, global.member_mut(secondary)) {
        member.status = None;
        member.instances.clear();
        member.connected = false;
    }
}

/// Puts rows into the ledger as of when they were committed, since the start: what the time before the run left.
pub fn book_history(world: &World, rows: Vec<(Duration, LedgerRow)>) {
    let mut state = world.state();
    let Some(global) = state.rds.global.as_mut() else { return };
    for member in global.members.iter_mut().filter(|it| it.status.is_some()) {
        member.volume.append(rows.iter().cloned());
    }
}

/// Puts a copy of a snapshot of the primary, taken then, into the other Region.
pub fn copy_to_other_region(world: &World, id: &str, taken_at: Duration) {
    let mut state = world.state();
    let Some(global) = state.rds.global.as_mut() else { return };
    let Some(writer) = global.writer() else { return };
    let (Some(region), Some(source)) = (global.other(writer), global.member(writer)) else { return };
    let cluster = source.identifier.clone();
    global.snapshots.push(Snapshot { region, id: id.to_owned(), cluster, status: "available", taken_at });
}

pub(super) fn promote_read_replica(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let id = field(form, "DBClusterIdentifier").to_owned();
    let (body, promotion) = {
        let mut state = world.state();
        let not_found = || Fault("DBClusterNotFoundFault", format!("DBCluster {id} not found."));
        let global = state.rds.global.as_mut().ok_or_else(not_found)?;
        let Pairing::ReadReplica { promotion } = global.pairing else {
            return Err(Fault("InvalidDBClusterStateFault", format!("{id} is no read replica")));
        };
        let source = global.source_of(at);
        let member = global.member_mut(at).filter(|it| it.identifier == id).ok_or_else(not_found)?;
        if source.is_none() || member.status != Some("available") {
            return Err(Fault("InvalidDBClusterStateFault", format!("{id} is no read replica, or is being promoted")));
        }
        member.status = Some("promoting");
        // From here on nothing is replicated any more.
        member.connected = false;
        (xml::cluster(member, source, ""), promotion)
    };
    world.record("rds", format!("in {at} begins to promote the read replica {id}"));
    world.after(promotion, move |world| {
        if let Some(member) = world.state().rds.global.as_mut().and_then(|global| global.member_mut(at)) {
            member.status = Some("available");
            member.is_writer = true;
        }
        world.record("rds", format!("has promoted {at}"));
    });
    Ok(body)
}

pub(super) fn restore(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let (id, snapshot) = (field(form, "DBClusterIdentifier").to_owned(), field(form, "SnapshotIdentifier").to_owned());
    let (body, takes) = {
        let mut state = world.state();
        let no_snapshot = || Fault("DBClusterSnapshotNotFoundFault", format!("{snapshot} not found"));
        let global = state.rds.global.as_mut().ok_or_else(no_snapshot)?;
        let found = global.snapshots.iter().find(|it| it.region == at && it.id == snapshot && it.status == "available");
        let taken_at = found.ok_or_else(no_snapshot)?.taken_at;
        let Pairing::Apart { restore, .. } = global.pairing else {
            return Err(Fault("DBClusterAlreadyExistsFault", format!("{id} exists")));
        };
        let source = global.other(at).and_then(|other| global.member(other));
        let rows = source.map(|source| source.volume.rows_after(0, taken_at)).unwrap_or_default();
        let member = global.member_mut(at).ok_or_else(no_snapshot)?;
        if member.status.is_some() {
            return Err(Fault("DBClusterAlreadyExistsFault", format!("{id} exists")));
        }
        member.identifier.clone_from(&id);
        member.status = Some("creating");
        member.volume.append(rows);
        (xml::cluster(member, None, ""), restore)
    };
    world.record("rds", format!("in {at} begins to restore {id} from {snapshot}"));
    world.after(takes, move |world| {
        if let Some(member) = world.state().rds.global.as_mut().and_then(|global| global.member_mut(at)) {
            member.status = Some("available");
        }
        world.record("rds", format!("has restored a cluster in {at}"));
    });
    Ok(body)
}

pub(super) fn create_instance(world: &World, at: Region, form: &Form) -> Result<String, Fault> {
    let (id, cluster) = (field(form, "DBInstanceIdentifier").to_owned(), field(form, "DBClusterIdentifier").to_owned());
    let (body, takes) = {
        let mut state = world.state();
        let not_found = || Fault("DBClusterNotFoundFault", format!("DBCluster {cluster} not found."));
        let global = state.rds.global.as_mut().ok_or_else(not_found)?;
        let takes = match global.pairing {
            Pairing::Apart { instance, .. } => instance,
            Pairing::GlobalDatabase | Pairing::ReadReplica { .. } => Duration::from_secs(480),
        };
        let member = global.member_mut(at).filter(|it| it.identifier == cluster && it.status.is_some());
        let member = member.ok_or_else(not_found)?;
        if member.status != Some("available") {
            return Err(Fault("InvalidDBClusterStateFault", format!("{cluster} is not available")));
        }
        if member.instances.iter().any(|(known, _)| *known == id) {
            return Err(Fault("DBInstanceAlreadyExists", format!("{id} already exists")));
        }
        member.instances.push((id.clone(), "creating"));
        (xml::instances(member, ""), takes)
    };
    world.record("rds", format!("in {at} begins to create the instance {id}"));
    world.after(takes, move |world| {
        let mut state = world.state();
        let Some(global) = state.rds.global.as_mut() else { return };
        let alone = matches!(global.pairing, Pairing::Apart { .. });
        let Some(member) = global.member_mut(at) else { return };
        // The first instance of a cluster that stands alone is its writer.
        member.is_writer |= alone;
        for (known, status) in &mut member.instances {
            if *known == id {
                *status = "available";
            }
        }
        drop(state);
        world.record("rds", format!("has created the instance {id}"));
    });
    Ok(body)
}
