#![doc = include_str!("../README.md")]

pub mod card_network;
pub mod clients;
pub mod history;
pub mod lease;
pub mod marks;
pub mod service;
