//! taffrail: an event-sourced engine for orchestration runs.

pub mod config;
pub mod expr;
pub mod nearest;
pub mod position;
pub mod storage;
