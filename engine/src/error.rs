use crate::SegmentNumber;
use crate::storage::WrongKind;
use std::fmt;
use std::sync::Arc;

/// What to do about an error. The command line's exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The caller asked for something impossible: correct the call.
    Invalid,
    /// There is no such store, run, event or position.
    NotFound,
    /// Another process holds the lock: try again.
    Locked,
    /// The machine refused: disk full, permission, a failing medium.
    Io,
    /// An earlier write or sync failed: open the journal again.
    Poisoned,
    /// Acknowledged data is damaged: look at `taffrail log verify`.
    Damaged,
    /// A newer build wrote this: use one that knows the format.
    Incompatible,
    /// The events are no longer in the log: look in the archive.
    Compacted,
    /// A replay gave another result than the recorded one.
    Diverged,
    /// A rule of the domain forbids it.
    Rejected,
    /// Somebody else was faster: read again and decide again.
    Conflict,
}

/// Where in the log an error was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The segment.
    pub segment: Option<SegmentNumber>,
    /// Byte offset in the segment (or file).
    pub offset: Option<u64>,
    /// The seq that is concerned.
    pub seq: Option<u64>,
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.segment.map(|segment| format!("segment {segment}")));
        parts.extend(self.offset.map(|offset| format!("byte {offset:#x}")));
        parts.extend(self.seq.map(|seq| format!("seq {seq}")));
        formatter.write_str(&parts.join(", "))
    }
}

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    at: Location,
    hint: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// An error of the engine: what to do about it, what happened, and where.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            at: Location::default(),
            hint: None,
            source: None,
        }))
    }

    /// A failed call to the machine, with a code of its own for a full disk, and for something else in a file's place.
    pub(crate) fn io(what: impl fmt::Display, error: std::io::Error) -> Error {
        if let Some(damage) = crate::bundle::as_damage(&error) {
            return damage;
        }
        let full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
        );
        let code = match WrongKind::of(&error) {
            Some(_) => "T0314",
            None if full => "T0312",
            None => "T0309",
        };
        let mut made = Error::new(ErrorKind::Io, code, format!("{what}: {error}"));
        made.0.source = Some(Arc::new(error));
        if full {
            return made.hint("free space on the file system, then repeat the command: nothing was lost");
        }
        made
    }

    /// Whether the machine said that there is no file of that name.
    pub(crate) fn is_absence(&self) -> bool {
        let source = self.0.source.as_ref().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    pub(crate) fn segment(mut self, segment: SegmentNumber) -> Error {
        self.0.at.segment = Some(segment);
        self
    }

    pub(crate) fn offset(mut self, offset: u64) -> Error {
        self.0.at.offset = Some(offset);
        self
    }

    pub(crate) fn seq(mut self, seq: u64) -> Error {
        self.0.at.seq = Some(seq);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The code that `taffrail explain` knows.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What happened, without place and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where.
    #[must_use]
    pub fn at(&self) -> Location {
        self.0.at
    }

    /// What the user may do now: a sentence or a command.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)?;
        let place = self.0.at.to_string();
        if place.is_empty() { Ok(()) } else { write!(formatter, " ({place})") }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
