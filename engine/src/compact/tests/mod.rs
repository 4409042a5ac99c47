//! Tests of compaction.

mod basics;
mod crashes;
mod histories;
mod kit;
mod stays;
mod together;
