//! What a run's directory holds, item by item.

use super::Oddity;
use std::io;

/// One item of a run, in the order of [`super::RunReader`].
#[derive(Clone, Debug, PartialEq)]
pub enum SourceItem {
    /// A file of `journal/` that is an event, readable or not.
    Event(SourceEvent),
    /// Any other file.
    File(SourceFile),
    /// A trouble; it follows the item that it is about.
    Oddity(Oddity),
}

/// One event file, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceEvent {
    /// The file's name, relative to the storage's root.
    pub file: String,
    /// The number in the file's name, from 1; `None` where the name has none.
    pub seq: Option<u64>,
    /// What the name has in the ULID's place, ULID or not.
    pub ulid: Option<String>,
    /// The event's `type`; `None` where it could not be read.
    pub type_name: Option<String>,
    /// The event's `recordedAt`, in nanoseconds since 1970-01-01T00:00:00Z; `None` where it could not be read.
    pub recorded_at_ns: Option<i64>,
    /// The file's bytes, all of them and unchanged.
    pub raw: Vec<u8>,
    /// What its checksum says.
    pub checksum: Checksum,
}

impl SourceEvent {
    /// The type, or `unreadable` for an event that has none.
    #[must_use]
    pub fn type_or_unreadable(&self) -> &str {
        self.type_name.as_deref().unwrap_or("unreadable")
    }
}

/// What an event's checksum says: SHA-256, as 64 lower-case hexadecimal digits, of `JSON.stringify(event without
/// checksum, null, 2)` and a newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Stored and computed are equal.
    Valid,
    /// They differ. A differing checksum may also mean that an editor touched the file, or that it was sanitised.
    Invalid {
        /// What the event says (its first 128 characters); JSON text where it is no string.
        stored: String,
        /// What it should say.
        computed: String,
    },
    /// The event has none.
    Missing,
    /// The event could not be read as JSON in UTF-8.
    Unreadable,
}

/// A file that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, relative to the storage's root.
    pub name: String,
    /// What it is, by its place.
    pub kind: FileKind,
    /// Its length when it was listed.
    pub len_bytes: u64,
}

/// What a file is, by its place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `run.json`
    RunJson,
    /// `inputs.json`
    Inputs,
    /// `state/` except its output: a cache of the orchestrator, rebuilt from the journal.
    State,
    /// `state/output.json`, or `output.json`
    Output,
    /// `tasks/<effect>/task.json`
    Task,
    /// `tasks/<effect>/result.json`
    Result,
    /// `tasks/<effect>/stdout.log`
    Stdout,
    /// `tasks/<effect>/stderr.log`
    Stderr,
    /// `blobs/`
    Blob,
    /// `artifacts/`
    Artifact,
    /// `run.lock`
    Lock,
    /// Any file of a `journal.*` directory, its events included.
    JournalBackup,
    /// An event file above [`super::Limits::event_len_bytes`].
    OversizeEvent,
    /// Anything else.
    Other,
}

impl FileKind {
    /// The kind of a path relative to the run's directory.
    pub(super) fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["run.json"] => Self::RunJson,
            ["inputs.json"] => Self::Inputs,
            ["run.lock"] => Self::Lock,
            ["state", "output.json"] | ["output.json"] => Self::Output,
            ["state", ..] => Self::State,
            ["tasks", _, "task.json"] => Self::Task,
            ["tasks", _, "result.json"] => Self::Result,
            ["tasks", _, "stdout.log"] => Self::Stdout,
            ["tasks", _, "stderr.log"] => Self::Stderr,
            ["blobs", _, ..] => Self::Blob,
            ["artifacts", _, ..] => Self::Artifact,
            [backup, _, ..] if backup.starts_with("journal.") => Self::JournalBackup,
            _ => Self::Other,
        }
    }

    /// Whether the orchestrator reads the file as one JSON document.
    pub(super) fn is_json(self) -> bool {
        matches!(self, Self::RunJson | Self::Inputs | Self::Output | Self::Task | Self::Result)
    }
}

/// An operation of the machine that failed, with the file. Reading can go on with the next item.
#[derive(Debug, thiserror::Error)]
#[error("{file:?}: {source}")]
pub struct SourceError {
    /// The file or directory, relative to the storage's root.
    pub file: String,
    /// What the machine said.
    pub source: io::Error,
}

impl SourceError {
    pub(super) fn new(file: &str, source: io::Error) -> Self {
        Self { file: file.to_owned(), source }
    }
}
