//! Tests of compaction.

mod basics;
mod crashes;
mod forks;
mod histories;
mod kit;
mod passes;
mod redacted;
mod reports;
mod stays;
mod together;
