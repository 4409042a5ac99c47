//! What is wrong with a source, as data.

use std::fmt;

/// One trouble met while reading. Never fatal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// The file or directory, relative to the storage's root, as listed (it may hold control characters).
    pub file: String,
    /// Its class.
    pub code: OddityCode,
    /// The particulars, in words; at most 300 bytes or so, control characters escaped.
    pub reason: String,
    /// Where in the file, or in the run.
    pub at: Place,
}

/// What an [`Oddity`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file or directory as a whole.
    File,
    /// An event, by the number in its file name.
    Seq(u64),
    /// Numbers of the run, both included.
    Seqs {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A byte of the file, from 0.
    Byte(u64),
}

impl Oddity {
    pub(super) fn new(file: &str, code: OddityCode, at: Place, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref();
        let cut = (0..=300.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        let escape = |character: char| {
            if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
        };
        Self { file: file.to_owned(), code, reason: reason[..cut].chars().map(escape).collect(), at }
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}: {}", self.file, self.code.as_str(), self.reason)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The class of an [`Oddity`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum OddityCode { $($(#[doc = $doc])+ $variant,)+ }

        impl OddityCode {
            /// Every class, in the order of the declaration.
            pub const ALL: &'static [OddityCode] = &[$(OddityCode::$variant),+];

            /// Its stable name, for reports and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(OddityCode::$variant => $name),+ }
            }
        }
    };
}

codes! {
    /// Two event files bear the same number: two writers raced. Both are kept, in the order of their ULIDs.
    DuplicateSeq => "duplicate-seq",
    /// Numbers are missing before this event.
    MissingSeqs => "missing-seqs",
    /// The file is no JSON that JavaScript would read.
    UnparsableJson => "unparsable-json",
    /// Nested deeper than 128, or more than a million values: not looked into.
    JsonTooDeep => "json-too-deep",
    /// A file that should hold JSON holds nothing.
    EmptyFile => "empty-file",
    /// The stored checksum is not the event's.
    WrongChecksum => "wrong-checksum",
    /// The event has no checksum.
    MissingChecksum => "missing-checksum",
    /// The ULID is not above the one before it.
    UlidStepsBack => "ulid-steps-back",
    /// The second part of the event's name is no ULID.
    MalformedUlid => "malformed-ulid",
    /// `recordedAt` is before the previous event's.
    RecordedAtStepsBack => "recorded-at-steps-back",
    /// `recordedAt` is no time.
    MalformedRecordedAt => "malformed-recorded-at",
    /// The name of an event file is not `%06d.<ULID>.json`.
    BadEventName => "bad-event-name",
    /// A file or directory in a journal that is no event.
    StrayFile => "stray-file",
    /// `run.lock` is empty, zeros or half an object: its writer died while it took the lock.
    TornLock => "torn-lock",
    /// A `journal.*` directory beside the journal: somebody repaired the run.
    BackupBesideJournal => "backup-beside-journal",
    /// An event type that no known version wrote.
    UnknownEventType => "unknown-event-type",
    /// An event without `type`, `recordedAt` or `data` of the right kind, or an event that is no object.
    MissingField => "missing-field",
    /// A symbolic link, FIFO, socket or device. Never opened.
    NotARegularFile => "not-a-regular-file",
    /// A name that is no UTF-8. Never opened.
    NameNotUtf8 => "name-not-utf8",
    /// A name that leaves its directory, or that can not be a plain component. Never opened.
    NameRefused => "name-refused",
    /// A control character in a name.
    ControlCharacterInName => "control-character-in-name",
    /// A reference inside an event that leaves the run's directory, or holds a control character.
    ReferenceRefused => "reference-refused",
    /// The content is no UTF-8; read as the orchestrator reads it, with U+FFFD in place of the invalid bytes.
    ContentNotUtf8 => "content-not-utf8",
    /// An event file above the limit: handed over as a file.
    FileTooLarge => "file-too-large",
    /// The file's length or content differed between two readings.
    ChangedWhileRead => "changed-while-read",
    /// The file was not there when the directory was first listed.
    Appeared => "appeared",
    /// The file was listed, and gone later.
    Vanished => "vanished",
    /// There is no `journal/`.
    JournalMissing => "journal-missing",
    /// There is no `run.json`.
    RunJsonMissing => "run-json-missing",
    /// The directory's name, `run.json` and the first event do not agree on the run's id.
    RunIdDiffers => "run-id-differs",
    /// Directories below the limit were not looked into.
    DepthLimit => "depth-limit",
}
