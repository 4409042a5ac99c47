//! Taking over what other programs recorded.
//!
//! The reading side of an importer is pure: it lists and reads files through [`crate::storage::Storage`], writes nothing,
//! and turns every trouble that it meets into data. The writing side appends what was read, with events of its own
//! (`taffrail.import`) that tell where each event came from: by them a second import adds nothing, and an interrupted one
//! goes on where it stopped.

pub mod babysitter;
pub mod jsonl;
pub(crate) mod record;
pub(crate) mod redact_file;
mod report;

/// What a restore has to say where the settings name secrets.
pub(crate) const RESTORED_UNREDACTED: &str = "a restore brings the log back as it was: what [redaction] names was not taken \
                                              out of it, and `taffrail log redact` takes it out";

/// What ends an import that somebody has stopped.
fn stopped() -> crate::Error {
    crate::Error::io("the import was stopped", std::io::ErrorKind::Interrupted.into())
}

pub use report::{ImportFailure, ImportProgress, ImportReport, OddityLine, OddityReport, RunLine};
