//! What RDS answers, in XML.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{Global, Member, Operation};
use crate::aurora::WRITER_ENDPOINT;

/// The cluster under the name that the answer has for it: `GlobalCluster`, or `GlobalClusterMember` in a list.
pub(super) fn global_cluster(global: &Global, element: &str, shown: (&str, Option<&Operation>)) -> String {
    let (status, operation) = shown;
    let mut members = String::new();
    for member in &global.members {
        let readers: String = global
            .members
            .iter()
            .filter(|other| member.is_writer && other.region != member.region)
            .map(|other| format!("<member>{}</member>", escape(other.arn())))
            .collect();
        let _ = write!(
            members,
            "<GlobalClusterMember><DBClusterArn>{}</DBClusterArn><Readers>{readers}</Readers><IsWriter>{}</IsWriter><GlobalWriteForwardingStatus>disabled</GlobalWriteForwardingStatus><SynchronizationStatus>{}</SynchronizationStatus></GlobalClusterMember>",
            escape(member.arn()),
            member.is_writer,
            if member.connected { "connected" } else { "pending-resync" },
        );
    }
    let state = operation.map(|operation| {
        let arn = |region| global.member(region).map(Member::arn).unwrap_or_default();
        format!(
            "<FailoverState><Status>{}</Status><FromDbClusterArn>{}</FromDbClusterArn><ToDbClusterArn>{}</ToDbClusterArn><IsDataLossAllowed>{}</IsDataLossAllowed></FailoverState>",
            operation.status,
            arn(operation.from),
            arn(operation.to),
            operation.data_loss_allowed,
        )
    });
    format!(
        "<{element}><GlobalClusterIdentifier>{}</GlobalClusterIdentifier><Status>{}</Status><Engine>aurora-postgresql</Engine><EngineVersion>16.4</EngineVersion><Endpoint>{WRITER_ENDPOINT}</Endpoint><GlobalClusterMembers>{members}</GlobalClusterMembers>{}</{element}>",
        escape(global.id),
        status,
        state.unwrap_or_default(),
    )
}

pub(super) fn cluster(member: &Member, source: Option<String>, settings: &str) -> String {
    let mut members = String::new();
    for (index, (id, _)) in member.instances.iter().enumerate() {
        // In a secondary cluster every instance is a reader until the promotion.
        let _ = write!(
            members,
            "<DBClusterMember><DBInstanceIdentifier>{id}</DBInstanceIdentifier><IsClusterWriter>{}</IsClusterWriter></DBClusterMember>",
            // A read replica's cluster has a writer of its own: it applies the binary log.
            (member.is_writer || source.is_some()) && index == 0,
        );
    }
    let source =
        source.map(|arn| format!("<ReplicationSourceIdentifier>{}</ReplicationSourceIdentifier>", escape(arn)));
    format!(
        "<DBCluster><DBClusterIdentifier>{}</DBClusterIdentifier><DBClusterArn>{}</DBClusterArn><Status>{}</Status><Engine>aurora-postgresql</Engine><EngineVersion>{}</EngineVersion>{}<DBClusterMembers>{members}</DBClusterMembers>{settings}</DBCluster>",
        escape(&member.identifier),
        escape(member.arn()),
        member.status.unwrap_or("deleting"),
        member.engine_version,
        source.unwrap_or_default(),
    )
}

pub(super) fn instances(member: &Member, settings: &str) -> String {
    let mut instances = String::new();
    for (id, status) in &member.instances {
        let _ = write!(
            instances,
            "<DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><DBInstanceStatus>{status}</DBInstanceStatus><DBClusterIdentifier>{}</DBClusterIdentifier><Engine>aurora-postgresql</Engine>{settings}</DBInstance>",
            escape(&member.identifier),
        );
    }
    instances
}

pub(super) fn snapshot(id: &str, cluster: &str, status: &str, taken_at: &str) -> String {
    format!(
        "<DBClusterSnapshot><DBClusterSnapshotIdentifier>{}</DBClusterSnapshotIdentifier><DBClusterIdentifier>{}</DBClusterIdentifier><SnapshotCreateTime>{taken_at}</SnapshotCreateTime><Status>{status}</Status></DBClusterSnapshot>",
        escape(id),
        escape(cluster),
    )
}
