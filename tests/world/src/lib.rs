#![doc = include_str!("../README.md")]

pub mod aurora;
mod cloud_control;
pub mod cloudwatch;
mod connector;
pub mod dynamodb;
pub mod events;
pub mod fault;
pub mod lambda;
mod lambda_api;
mod load_balancer;
pub mod network;
pub mod providers;
mod quotas;
pub mod rds;
pub mod region;
pub mod route53;
mod route53_api;
pub mod s3;
mod secrets;
pub mod server;
mod service;
mod shown;
pub mod sns;
pub mod tamper;
pub mod trace;
pub mod world;

pub use connector::{Limits, Lost, send};
pub use region::Region;
pub use trace::{Caller, Outcome, RecordedRequest};
pub use world::{ACCOUNT, World, WorldConfig};
