//! What an option costs beside one Region of the same data layer: integers, from `prices.toml` and the measured shares.

use serde::Deserialize;

/// Every input.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The reference month.
    pub month: Month,
    dynamodb_write_unit: Price,
    dynamodb_replicated_write_unit: Price,
    dynamodb_read_unit: Price,
    dynamodb_gb_month: Price,
    aurora_instance_hour: Price,
    aurora_gb_month: Price,
    aurora_io: Price,
    aurora_replicated_write_io: Price,
    aurora_backup_gb_month: Price,
    s3_put: Price,
    s3_get: Price,
    s3_gb_month: Price,
    dsql_dpu: Price,
    dsql_gb_month: Price,
    transfer_gb: Price,
}

/// The month that the measured workload is scaled to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Month {
    /// Hours of it.
    pub hours: u64,
    /// Writes that clients make.
    pub writes: u64,
    /// Reads.
    pub reads: u64,
    /// Of an item, a row, an object.
    pub bytes_per_write: u64,
    /// Kept all month.
    pub stored_gb: u64,
    /// Aurora instances of a cluster that serves.
    pub instances_of_a_primary: u64,
    /// Aurora instances of one that stands by.
    pub instances_of_a_standby: u64,
    /// Storage I/Os of a write transaction.
    pub ios_per_write: u64,
    /// Copied to the other Region.
    pub snapshots_copied: u64,
    /// Kept there.
    pub snapshots_kept: u64,
    /// DSQL: compute and read of a read.
    pub dsql_milli_dpu_per_read: u64,
    /// DSQL: compute and read of a write.
    pub dsql_milli_dpu_per_write: u64,
    /// DSQL: what a write writes, once for each Region.
    pub dsql_milli_dpu_written_per_write: u64,
}

/// Micro-dollars for so many units.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    micro_usd: u64,
    per: u64,
    source: String,
    as_of: String,
}

impl Price {
    fn of(&self, units: u64) -> u64 {
        let cost = u128::from(units) * u128::from(self.micro_usd) / u128::from(self.per.max(1));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A table in so many Regions that replicates by itself.
    Table {
        /// Regions that hold it.
        replicas: u64,
    },
    /// A table in each of two Regions, written by the application.
    TwoTables,
    /// An Aurora cluster by itself.
    Cluster,
    /// With a secondary of a global database.
    GlobalDatabase,
    /// With a cross-Region read replica fed by the binary log.
    ReadReplica,
    /// With hourly snapshots that are copied to the other Region.
    CopiedSnapshots,
    /// One bucket.
    Bucket,
    /// Two with replication.
    Buckets {
        /// In either direction.
        both_ways: bool,
    },
    /// Aurora DSQL in so many Regions.
    DistributedSql {
        /// Regions that hold the data.
        regions: u64,
    },
}

/// The prices as they are in the file.
#[must_use]
pub fn prices() -> Prices {
    toml::from_str(include_str!("../prices.toml")).expect("prices.toml is in the repository, and a test reads it")
}

impl Prices {
    /// Micro-dollars of the reference month. `in_dublin`: the measured share of writes that Dublin took, in thousandths.
    #[must_use]
    pub fn bill(&self, plan: Plan, in_dublin: u64) -> u64 {
        let month = &self.month;
        let written_gb = gigabytes(month.writes, month.bytes_per_write);
        let ios = month.writes * month.ios_per_write;
        let cluster = |instances: u64| {
            self.aurora_instance_hour.of(instances * month.hours) + self.aurora_gb_month.of(month.stored_gb)
        };
        let primary = || cluster(month.instances_of_a_primary) + self.aurora_io.of(ios + month.reads);
        let standby = || cluster(month.instances_of_a_standby);
        let bucket =
            || self.s3_put.of(month.writes) + self.s3_get.of(month.reads) + self.s3_gb_month.of(month.stored_gb);
        let table = || {
            self.dynamodb_write_unit.of(month.writes)
                + self.dynamodb_read_unit.of(month.reads)
                + self.dynamodb_gb_month.of(month.stored_gb)
        };
        match plan {
            Plan::Table { replicas } => {
                let copies = replicas.saturating_sub(1);
                table()
                    + self.dynamodb_replicated_write_unit.of(month.writes * copies)
                    + self.dynamodb_gb_month.of(month.stored_gb * copies)
                    + self.transfer_gb.of(written_gb * copies)
            }
            Plan::TwoTables => {
                table()
                    + self.dynamodb_write_unit.of(month.writes)
                    + self.dynamodb_gb_month.of(month.stored_gb)
                    + self.transfer_gb.of(written_gb)
            }
            Plan::Cluster => primary(),
            Plan::GlobalDatabase => {
                primary() + standby() + self.aurora_replicated_write_io.of(ios) + self.transfer_gb.of(written_gb)
            }
            // The replica writes what it is sent once more.
            Plan::ReadReplica => primary() + standby() + self.aurora_io.of(ios) + self.transfer_gb.of(written_gb),
            Plan::CopiedSnapshots => {
                primary()
                    + self.aurora_backup_gb_month.of(month.snapshots_kept * month.stored_gb)
                    + self.transfer_gb.of(month.snapshots_copied * month.stored_gb)
            }
            Plan::Bucket => bucket(),
            Plan::Buckets { both_ways } => {
                let share = if both_ways { 1000 } else { in_dublin };
                bucket()
                    + self.s3_put.of(month.writes * share / 1000)
                    + self.s3_gb_month.of(month.stored_gb * share / 1000)
                    + self.transfer_gb.of(written_gb * share / 1000)
            }
            Plan::DistributedSql { regions } => {
                let once = month.reads * month.dsql_milli_dpu_per_read + month.writes * month.dsql_milli_dpu_per_write;
                let written = month.writes * month.dsql_milli_dpu_written_per_write * regions;
                self.dsql_dpu.of((once + written) / 1000) + self.dsql_gb_month.of(month.stored_gb * regions)
            }
        }
    }

    /// The bill beside that of one Region of the same data layer, in tenths, rounded.
    #[must_use]
    pub fn multiplier_tenths(&self, plan: Plan, in_dublin: u64) -> u64 {
        let one = self.bill(plan.in_one_region(), in_dublin).max(1);
        (self.bill(plan, in_dublin) * 20 / one).div_ceil(2)
    }

    /// Names, sources and dates of every price, for tests and readers.
    #[must_use]
    pub fn sources(&self) -> Vec<(&'static str, &str, &str)> {
        [
            ("dynamodb_write_unit", &self.dynamodb_write_unit),
            ("dynamodb_replicated_write_unit", &self.dynamodb_replicated_write_unit),
            ("dynamodb_read_unit", &self.dynamodb_read_unit),
            ("dynamodb_gb_month", &self.dynamodb_gb_month),
            ("aurora_instance_hour", &self.aurora_instance_hour),
            ("aurora_gb_month", &self.aurora_gb_month),
            ("aurora_io", &self.aurora_io),
            ("aurora_replicated_write_io", &self.aurora_replicated_write_io),
            ("aurora_backup_gb_month", &self.aurora_backup_gb_month),
            ("s3_put", &self.s3_put),
            ("s3_get", &self.s3_get),
            ("s3_gb_month", &self.s3_gb_month),
            ("dsql_dpu", &self.dsql_dpu),
            ("dsql_gb_month", &self.dsql_gb_month),
            ("transfer_gb", &self.transfer_gb),
        ]
        .into_iter()
        .map(|(name, price)| (name, price.source.as_str(), price.as_of.as_str()))
        .collect()
    }
}

impl Plan {
    /// The same data layer in one Region.
    #[must_use]
    pub fn in_one_region(self) -> Self {
        match self {
            Self::Table { .. } | Self::TwoTables => Self::Table { replicas: 1 },
            Self::Cluster | Self::GlobalDatabase | Self::ReadReplica | Self::CopiedSnapshots => Self::Cluster,
            Self::Bucket | Self::Buckets { .. } => Self::Bucket,
            Self::DistributedSql { .. } => Self::DistributedSql { regions: 1 },
        }
    }
}

fn gigabytes(writes: u64, bytes: u64) -> u64 {
    u64::try_from(u128::from(writes) * u128::from(bytes) / 1_000_000_000).unwrap_or(u64::MAX)
}
