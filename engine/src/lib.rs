//! taffrail: an event-sourced engine for orchestration runs.

pub mod import;
pub mod storage;
