#![doc = include_str!("../README.md")]

pub mod currencies;
pub mod decimal;
pub mod format;
pub mod pan;
pub mod record;
