#![doc = include_str!("../README.md")]

pub mod pattern;
pub mod plan;
pub mod terraform;
