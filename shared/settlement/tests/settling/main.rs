//! Whole runs over small worlds and large ones.

mod breaks;
mod common;
mod golden;
mod oracle;
mod run;
mod told;
mod worlds;
