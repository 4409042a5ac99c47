//! Tests of compaction.

mod basics;
mod crashes;
mod histories;
mod kit;
mod passes;
mod redacted;
mod stays;
mod together;
