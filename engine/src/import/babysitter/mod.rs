//! Run journals of babysitter, an orchestrator that keeps one JSON file per event.
//!
//! The reading side of an import: it finds runs below a directory and turns each into an ordered sequence of
//! [`SourceItem`]s, one at a time. It never writes, follows no link, and drops nothing silently: what is wrong with a
//! file is an [`Oddity`], and the file's own bytes are handed over all the same.
//!
//! # Layout of a run
//! `run.json`, `inputs.json`, `run.lock`, `journal/%06d.<ULID>.json`, `journal.bak.<time>/`,
//! `journal.process-error.bak.<time>/`, `tasks/<effect>/{task.json,result.json,stdout.log,stderr.log}`, `state/`, `blobs/`,
//! `artifacts/`. An event is `{type, recordedAt, data, sdkVersion?, checksum}`; its number and ULID stand only in its name.
//!
//! # Use
//! [`discover`] lists the runs, [`RunReader::open`] reads one: first the events, by number, then ULID, then name, each
//! oddity directly after what it is about; then every other file, by path; last, what changed in the meantime.
//! [`import`] puts all of that into a journal.
//!
//! # In the log
//! A run of the source is a run of the log, named by the source's id (see `naming.rs` for ids that are not unique). Each
//! event is one frame of type `babysitter`, variant its own type, with the file's bytes as they are, at its `recordedAt`.
//! Events of type `taffrail.import` tell where they came from: `RunImported`, then for each batch `Events` (file, number,
//! ULID, checksum, digest), `Files` (other files, kept as blobs) and `Oddities`.

mod content;
mod discover;
mod event;
mod event_name;
pub mod javascript_json;
mod kinds;
mod known;
mod naming;
mod oddity;
mod order;
mod pending;
mod run;
mod run_import;
pub mod shape;
mod source;
mod store;
mod time;
mod walk;

pub(crate) use kinds::TYPE;

pub use content::Copied;
pub use discover::{Discovery, RunLocation, discover};
pub use oddity::{Oddity, OddityCode, Place};
pub use run::{RunHeader, RunReader};
pub use source::{Checksum, FileKind, SourceError, SourceEvent, SourceFile, SourceItem};
pub use store::{Source, Target, import};

/// Bounds of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many directories below the root a run may lie, and how many below a run a file may lie.
    pub depth_directories: usize,
    /// An event file longer than this is handed over as a file, in chunks, not as an event; in bytes.
    pub event_len_bytes: u64,
    /// How many directories [`discover`] looks into.
    pub directories: usize,
}

impl Default for Limits {
    /// 8 directories deep, 64 MiB an event, 100,000 directories.
    fn default() -> Self {
        Self { depth_directories: 8, event_len_bytes: 64 << 20, directories: 100_000 }
    }
}

#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod demo_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_support;
