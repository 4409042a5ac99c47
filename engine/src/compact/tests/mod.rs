//! Tests of compaction.

mod basics;
mod kit;
