//! From events to state: typed events, folds, replay, snapshots, and the checks that replay is deterministic.
//!
//! Pure: no clock, no randomness, no files (but for [`Snapshots`], through the storage seam), nothing whose order differs
//! from process to process.

mod ancestry;
pub(crate) mod bases;
mod budget;
mod check;
mod checkpoint;
mod codec;
mod decoder;
mod dynamic;
mod event;
#[allow(clippy::module_inception, reason = "the noun of this file is the fold")]
mod fold;
mod folding;
mod held;
mod history;
mod key_text;
mod load;
mod locate;
mod pass;
mod probe;
mod reading;
mod registry;
mod replay;
mod report;
mod run_api;
mod schema;
mod schema_difference;
mod select;
mod slot;
mod slots;
pub(crate) mod snapshot;
mod snapshot_drop;
pub(crate) mod snapshot_list;
pub(crate) mod snapshot_name;
mod snapshots;
mod state;
mod state_difference;
mod states;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod trace;
mod unread;
mod upcast;
mod voucher;
mod walk;
mod watch;

pub(crate) use ancestry::parent_of;
pub use check::{CheckOptions, check, check_with};
pub use checkpoint::{BUILD, CHECKPOINT_EVERY_EVENTS, RecordedCheckpoint};
pub(crate) use codec::decode_event;
#[cfg(test)]
pub(crate) use codec::decode_state as decode_canonical;
pub use dynamic::Schemas;
pub use event::{Event, Recorded};
pub use fold::{Decide, Fold, Inherited, Rejection, Scope};
pub use folding::Folding;
pub use held::Held;
pub use history::{Bisection, CauseEvent, CausedChange, History, Judgement};
pub use load::{FromSnapshot, Loaded, Start};
pub use pass::{Losses, Pass};
pub use registry::schema;
pub use replay::Replay;
pub use report::{Cause, CheckReport, Divergence, Evidence, Place, RunCheck};
pub use schema::{Content, Field, Format, Schema, Shape, Variant};
pub use schema_difference::schema_differences;
pub(crate) use snapshot::MAX_FILE_LEN_BYTES as MAX_SNAPSHOT_LEN_BYTES;
pub use snapshot::SnapshotHead;
pub(crate) use snapshot_drop::needed;
pub use snapshot_drop::{DropPlan, DroppedFile};
pub use snapshots::{Snapshot, SnapshotFinding, SnapshotList, Snapshots};
pub(crate) use state::doubt_text;
#[cfg(test)]
pub(crate) use state::hex;
pub use state::{Missing, Standing, StateDigest, canonical_bytes, state_json};
pub use state_difference::{FieldChange, state_differences, value_at};
pub use states::{StateLine, States, each_state};
pub use unread::unread;
pub use upcast::{Foreign, Upcasts};
pub(crate) use voucher::is_vouched_for;
