//! The options: those of the table that people argue over, with what it claims, and the modern ones beside them.

use std::sync::Arc;

use holdfast_world::dynamodb::Mode;
use holdfast_world::{Region, World};

use crate::cost::Plan;
use crate::run::{Options, Routing};
use crate::stores::Store;
use crate::stores::aurora::Standby;
use crate::stores::distributed_sql::DistributedSql;
use crate::stores::dual_write::DualWrite;
use crate::stores::objects::Buckets;
use crate::stores::tables::Table;
use crate::timing::{BEGIN, OUTAGE_AT, RETURN_AT};

mod installation;

/// What the table claims of an option.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The option, as the table names it.
    pub option: &'static str,
    /// How much is lost.
    pub rpo: &'static str,
    /// How long it takes.
    pub rto: &'static str,
    /// Whether writes succeed meanwhile.
    pub availability: &'static str,
    /// What becomes of two writes of one key.
    pub conflicts: &'static str,
    /// Beside one Region.
    pub cost: &'static str,
}

/// One option.
#[derive(Debug)]
pub struct Row {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is called by people.
    pub title: &'static str,
    /// What the table claims; none of what it does not have.
    pub claim: Option<&'static Claim>,
    /// Where the row is about routing.
    pub routing: Option<Routing>,
    /// Its installation has health checks already.
    pub brings_health_checks: bool,
    /// What is paid for.
    pub plan: Plan,
    /// Makes its stores.
    pub build: fn(&World, &Options) -> Arc<dyn Store>,
}

const GLOBAL_TABLES: Claim = Claim {
    option: "DynamoDB Global Tables",
    rpo: "Sub-second",
    rto: "~0",
    availability: "Writes continue",
    conflicts: "Last-writer-wins",
    cost: "~2×",
};
const GLOBAL_DATABASE: Claim = Claim {
    option: "Aurora Global Database",
    rpo: "Up to 1s",
    rto: "~60s (unplanned)",
    availability: "Blocks until promotion",
    conflicts: "Single writer",
    cost: "~1.3–1.8×",
};
const READ_REPLICA: Claim = Claim {
    option: "Aurora cross-Region RR",
    rpo: "Seconds-minutes",
    rto: "Minutes",
    availability: "Blocks until promotion",
    conflicts: "Single writer",
    cost: "~1.3×",
};
const CROSS_REGION_REPLICATION: Claim = Claim {
    option: "S3 CRR",
    rpo: "Seconds",
    rto: "~0",
    availability: "Writes continue",
    conflicts: "Per-bucket (no shared key)",
    cost: "~2× storage + transfer",
};
const DUAL_WRITE: Claim = Claim {
    option: "App-layer dual-write",
    rpo: "~0",
    rto: "~0",
    availability: "Degraded",
    conflicts: "Application-defined",
    cost: "~2× + complexity",
};
const BACKUP: Claim = Claim {
    option: "Single-Region + backup",
    rpo: "Minutes-hours",
    rto: "Tens of minutes",
    availability: "Blocks",
    conflicts: "N/A",
    cost: "~1.1×",
};

/// Every line of the table.
pub const CLAIMS: [&Claim; 6] =
    [&GLOBAL_TABLES, &GLOBAL_DATABASE, &READ_REPLICA, &CROSS_REGION_REPLICATION, &DUAL_WRITE, &BACKUP];

/// One Region and nothing else: what latencies are compared with.
pub const BASELINE: Row = Row {
    name: "one-region",
    title: "One Region alone (baseline)",
    claim: None,
    // There is nowhere else to go.
    routing: Some(Routing::Weighted),
    brings_health_checks: false,
    plan: Plan::Table { replicas: 1 },
    build: |world, _| Arc::new(Table::new(world, TABLE, Mode::Regional(Region::DUBLIN))),
};

/// The table of the rows that are made of one.
const TABLE: &str = "lab-payments";

/// Every option, in the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "global-table-mrec",
        title: "DynamoDB global table, eventual (MREC)",
        claim: Some(&GLOBAL_TABLES),
        routing: None,
        brings_health_checks: false,
        plan: Plan::Table { replicas: 2 },
        build: |world, _| Arc::new(Table::new(world, TABLE, Mode::Mrec(vec![Region::DUBLIN, Region::LONDON]))),
    },
    Row {
        name: "global-table-mrsc",
        title: "DynamoDB global table, strong (MRSC)",
        claim: Some(&GLOBAL_TABLES),
        routing: None,
        brings_health_checks: false,
        plan: Plan::Table { replicas: 3 },
        build: |world, _| {
            let replicas = [Region::DUBLIN, Region::LONDON, Region::FRANKFURT];
            Arc::new(Table::new(world, TABLE, Mode::Mrsc(replicas)))
        },
    },
    Row {
        name: "aurora-global-latency",
        title: "Aurora Global Database, latency routing",
        claim: Some(&GLOBAL_DATABASE),
        routing: Some(Routing::Latency),
        brings_health_checks: true,
        plan: Plan::GlobalDatabase,
        build: |world, options| installation::aurora(world, options, Standby::GlobalDatabase),
    },
    Row {
        name: "aurora-global-weighted",
        title: "Aurora Global Database, weighted routing with override",
        claim: Some(&GLOBAL_DATABASE),
        routing: Some(Routing::Weighted),
        brings_health_checks: true,
        plan: Plan::GlobalDatabase,
        build: |world, options| installation::aurora(world, options, Standby::GlobalDatabase),
    },
    Row {
        name: "aurora-read-replica",
        title: "Aurora cross-Region read replica (legacy)",
        claim: Some(&READ_REPLICA),
        routing: None,
        brings_health_checks: true,
        plan: Plan::ReadReplica,
        build: |world, options| installation::aurora(world, options, Standby::ReadReplica),
    },
    Row {
        name: "s3-one-way",
        title: "S3 CRR, Dublin to London",
        claim: Some(&CROSS_REGION_REPLICATION),
        routing: None,
        brings_health_checks: false,
        plan: Plan::Buckets { both_ways: false },
        build: |world, _| Arc::new(Buckets::new(world, false)),
    },
    Row {
        name: "s3-two-way",
        title: "S3 CRR, both ways",
        claim: Some(&CROSS_REGION_REPLICATION),
        routing: None,
        brings_health_checks: false,
        plan: Plan::Buckets { both_ways: true },
        build: |world, _| Arc::new(Buckets::new(world, true)),
    },
    Row {
        name: "dual-write",
        title: "Dual-write by the application",
        claim: Some(&DUAL_WRITE),
        routing: None,
        brings_health_checks: false,
        plan: Plan::TwoTables,
        build: |world, _| {
            let stores = DualWrite::new(world);
            stores.people_act(OUTAGE_AT - BEGIN, RETURN_AT - BEGIN);
            Arc::new(stores)
        },
    },
    Row {
        name: "backup",
        title: "One Region and copied snapshots",
        claim: Some(&BACKUP),
        routing: None,
        brings_health_checks: true,
        plan: Plan::CopiedSnapshots,
        build: |world, options| installation::aurora(world, options, Standby::Snapshots),
    },
    Row {
        name: "dsql",
        title: "Aurora DSQL, two Regions and a witness (model)",
        claim: None,
        routing: None,
        brings_health_checks: false,
        plan: Plan::DistributedSql { regions: 2 },
        build: |world, _| Arc::new(DistributedSql::new(world)),
    },
];

/// The row of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}
