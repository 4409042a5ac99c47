//! taffrail: an event-sourced engine for orchestration runs.

pub mod storage;
