//! The log: appending, recovery, reading.
//!
//! Nothing here knows what an event means: a payload is bytes.

mod batch;
mod create;
mod cursor;
mod events;
mod follow;
mod group;
mod head;
mod journal;
mod listing;
mod lock;
mod open_segment;
mod options;
mod paths;
mod position;
mod quarantine;
mod query;
mod reader;
mod record;
mod recovery;
mod resolve;
mod run_index;
mod run_index_file;
mod segment;
mod settle;
#[cfg(test)]
mod tests;
mod watermark;
mod writer;

pub use batch::{AppendError, Appended, Batch, BatchRun, Expect};
pub use events::Events;
pub use follow::Follow;
pub use group::Ticket;
pub use journal::{Journal, Run};
pub use listing::Listing;
pub use lock::LockState;
pub use options::{Options, SyncPolicy};
pub use query::Query;
pub use reader::{Reader, RunSummary};
pub use record::Record;
pub use recovery::RecoveryPlan;
pub use segment::Segment;
