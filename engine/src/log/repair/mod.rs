//! Taking damage out of a log: a plan that is made by reading only, and carrying it out.
//!
//! Good frames are kept byte for byte; what can not be read goes to quarantine with the whole original file, and a `Gaps`
//! frame records what is absent. An operator event tells of it, and the original can be put back.

mod apply;
mod plan;
mod redact;
mod rename;
mod reseal;
mod rewrite;
mod survey;
mod undo;
mod untold;

pub use plan::{Removed, RepairAction, RepairMode, RepairPlan, SegmentRepair};
pub(crate) use redact::redact_segment;
pub use undo::{MissingAgain, Restored, UndoPlan};
pub(crate) use untold::{UntoldRepair, untold};
