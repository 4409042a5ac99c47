//! Compaction: taking events out of a log that nobody needs any more, and keeping what they did.
//!
//! Two ways to choose them. *By prefix*: of each run, the events before a snapshot of every fold that reads it; the
//! snapshots are proven by folding again. *By run*: runs that have ended, all but the event that opened them and their last
//! one. The originals go to an archive in the store, laid out like a store, unless they are to be dropped.
//!
//! What is left is folded, and compared with what was there, before anything is put in place.

mod apply;
mod choice;
mod chooser;
mod folds;
mod plan;
mod sums;
mod survey;
#[cfg(test)]
mod tests;

pub use crate::log::compact::forget::{ForgetPlan, Forgotten, ForgottenRun};
pub use crate::log::compact::work::finish_interrupted;
pub use choice::{Choice, Retention};
pub use folds::Folds;
pub use plan::{CompactionPlan, Originals, RunCompaction, RunStays, SegmentCompaction, StoreStays};
