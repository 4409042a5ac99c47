//! Keeping secrets out of a log, and taking them out of one.
//!
//! At append, a [`Redactor`] replaces what the store's settings name before a byte is written ([`crate::Options::redact`]).
//! Afterwards, a [`RedactPlan`] lists every event and field that holds what a [`Selector`] names, and every other file of the
//! store where the bytes live; carrying it out rewrites segments and forgets those files. An event keeps its header: seq, run,
//! revision, time, type; its frame says that its payload was replaced, and an operator event has the digest of what it was.
//! There is no way back: nothing is kept, in quarantine or elsewhere.

mod apply;
mod identify;
mod json;
mod needles;
mod own;
mod places;
mod plan;
mod rules;
mod search;
mod selector;
mod stays;
#[cfg(test)]
mod tests;
mod unfinished;

pub use apply::Redacted;
pub use needles::Cause;
pub use own::StaysIn;
pub use places::{Place, PlaceAction};
pub use plan::{RedactPlan, Redaction};
pub use rules::{FieldPath, Redactor, pattern};
pub use selector::Selector;
pub use stays::Stays;
pub use unfinished::{Unfinished, unfinished};

use std::ops::ControlFlow;

/// How far some work is: what is done (`"searching events"`, `"rewriting"`), how much of it, and of how much. Breaking ends the
/// work.
pub type Progress<'a> = &'a mut dyn FnMut(&'static str, u64, u64) -> ControlFlow<()>;

/// What ends work that somebody has stopped.
fn stopped() -> crate::Error {
    crate::Error::io("the redaction was stopped", std::io::ErrorKind::Interrupted.into())
}
