//! Why a text is not a position.

use thiserror::Error;

/// A text that is not a position or a range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a position: expected {}, for example `{}`", kind.expected(), kind.example())]
pub struct PositionError {
    /// What was written.
    pub text: String,
    /// What was expected instead.
    pub kind: PositionErrorKind,
}

/// What a text, judged by its beginning, should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PositionErrorKind {
    /// It begins like no position.
    Unknown,
    /// A seq.
    Seq,
    /// `head` or `head~N`.
    Head,
    /// A time after `@`.
    Time,
    /// A length of time after `@-`.
    Ago,
    /// `snap:latest` or `snap:N`.
    Snapshot,
    /// `seg:N+OFFSET`.
    Offset,
    /// A name after `mark:`, `run:`, `before:` or `after:`.
    Name,
    /// A range.
    Range,
}

impl PositionErrorKind {
    /// What was expected.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::Unknown => "a seq, head, @TIME, snap:, mark:, seg:, run:, before: or after:",
            Self::Seq => "a seq from 1 to 18446744073709551615",
            Self::Head => "`head`, or `head~` and a number of events",
            Self::Time => "a date and time up to the year 9999, a time of day, or `-` and a length of time",
            Self::Ago => "a whole number and one of s, m, h, d",
            Self::Snapshot => "`latest` or the seq of a snapshot",
            Self::Offset => "a segment number, `+` and a byte offset",
            Self::Name => "a name of 1 to 256 bytes without blanks, control characters, `..` or a `.` at its end",
            Self::Range => "two positions around `..` (the second one not included) or `..=` (included)",
        }
    }

    /// A text that would have been right.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Unknown | Self::Seq => "1234",
            Self::Head => "head~10",
            Self::Time => "@2026-08-20T12:00Z",
            Self::Ago => "@-15m",
            Self::Snapshot => "snap:latest",
            Self::Offset => "seg:3+0x1f40",
            Self::Name => "mark:deployed",
            Self::Range => "60..head",
        }
    }
}
