//! Whole runs over small worlds and large ones.

mod breaks;
mod carried;
mod common;
mod golden;
mod oracle;
mod run;
mod shards;
mod told;
mod worlds;
