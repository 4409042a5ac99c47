//! The log: appending, recovery, reading.
//!
//! Nothing here knows what an event means: a payload is bytes.

mod ahead;
mod appender;
pub(crate) mod archived;
mod batch;
mod blob_check;
pub(crate) mod compact;
pub(crate) mod create;
mod cursor;
mod damage;
mod events;
mod evidence;
mod follow;
pub(crate) mod forgotten;
mod group;
mod head;
mod info;
mod inspector;
mod journal;
pub(crate) mod listing;
pub(crate) mod lock;
mod lookup;
mod loss;
mod open_segment;
mod options;
pub(crate) mod paths;
mod piece;
mod position;
pub(crate) mod quarantine;
mod query;
mod reader;
mod record;
mod recovery;
pub mod repair;
mod resolve;
mod restore;
mod run_check;
mod run_index;
mod run_index_file;
mod sealed_file;
mod segment;
mod segment_check;
mod settle;
pub(crate) mod snapshot_check;
mod stat;
mod survey;
#[cfg(test)]
mod tests;
mod verify;
mod verify_report;
mod walk;
mod walk_damage;
pub(crate) mod watermark;
mod writer;

pub(crate) use cursor::Cursor;
pub(crate) use position::Position;
pub(crate) use recovery::distrust_cache;
pub(crate) use run_index_file::frame_is_there;

pub use appender::Appender;
pub use batch::{AppendError, Appended, Batch, BatchRun, Expect};
pub use events::Events;
pub use follow::Follow;
pub use group::Ticket;
pub use info::{Opening, Owner, StoreInfo};
pub use inspector::{Inspected, Inspector};
pub use journal::{Journal, Run};
pub use listing::Listing;
pub use lock::{LastKnown, LockState};
pub use loss::{EventOrLoss, Loss};
pub use options::{Options, SyncPolicy};
pub use piece::{Damage, FindingKind, LikelyFlip, Piece, SeqRange, Severity, Tail, TailVerdict};
pub use query::Query;
pub use reader::{Reader, RunSummary};
pub use record::Record;
pub use recovery::RecoveryPlan;
pub(crate) use restore::{Exact, ExactKind, Restore, not_empty};
pub use segment::Segment;
pub use stat::{Counts, RunStat, SegmentStat, StatReport, TypeStat, stat, stat_lone};
pub use verify::{VerifyOptions, verify, verify_lone};
pub use verify_report::{
    AffectedRun, Depth, Finding, LostEvent, PossiblyAffectedRun, SegmentReport, SegmentVerdict, Totals, VerifyReport,
};
