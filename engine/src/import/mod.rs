//! Taking over what other programs recorded.
//!
//! The reading side of an importer is pure: it lists and reads files through [`crate::storage::Storage`], writes nothing,
//! and turns every trouble that it meets into data. The writing side appends what was read, with events of its own
//! (`taffrail.import`) that tell where each event came from: by them a second import adds nothing, and an interrupted one
//! goes on where it stopped.

pub mod babysitter;
pub mod jsonl;
pub(crate) mod record;
mod report;

/// What ends an import that somebody has stopped.
fn stopped() -> crate::Error {
    crate::Error::io("the import was stopped", std::io::ErrorKind::Interrupted.into())
}

pub use report::{ImportFailure, ImportProgress, ImportReport, OddityLine, OddityReport, RunLine};
