//! The one grammar of places in a log: `--at POSITION`, and ranges `A..B` and `A..=B`.
//!
//! | written | means |
//! |---|---|
//! | `1234` | the event with that seq |
//! | `head`, `head~10` | the last event; the tenth before it |
//! | `@2026-08-20T12:00Z` | the last event at or before an instant |
//! | `@12:31:07` | the same, at the last such time of day (UTC) |
//! | `@-15m` | the same, that long before now: `s`, `m`, `h`, `d` |
//! | `snap:latest`, `snap:18000` | a snapshot |
//! | `mark:NAME` | a mark set by `log mark` |
//! | `seg:3+0x1f40` | the event at a byte offset of a segment; the offset is hexadecimal with `0x`, else decimal |
//! | `run:NAME` | the last event of a run |
//! | `before:STEP`, `after:STEP` | just before a step was asked for; just after it was resolved |
//!
//! A position means the state *after* that event. A range `A..B` ends before B, and either side may be left out: `60..62` is
//! 60 and 61, `60..` goes to the end, `..` is everything. `60..=62`, as output writes ranges, has 62 in it. Times without a zone
//! are UTC; one that lies beyond what a log can record (before 1677 or after 2262) stands for the first or the last that it can.
//!
//! This module only reads and writes the grammar; finding the event needs a log.
//!
//! ```
//! use taffrail::position::{Position, PositionRange};
//! let position: Position = "head~10".parse()?;
//! assert_eq!(position, Position::Head { back: 10 });
//! let range: PositionRange = "60..mark:deployed".parse()?;
//! assert_eq!(range.to_string(), "60..mark:deployed");
//! # Ok::<(), taffrail::position::PositionError>(())
//! ```

mod error;
mod range;
#[cfg(test)]
mod tests;
mod time;

pub use error::{PositionError, PositionErrorKind};
pub use range::PositionRange;
pub use time::TimeOfDay;

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

/// Longest name in a position, in bytes.
pub const POSITION_NAME_LEN_BYTES_MAX: usize = 256;

/// A place in a log, as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// `1234`: a seq.
    Seq(NonZeroU64),
    /// `head~10`: counted back from the last event.
    Head {
        /// Events before the last one; 0 is the last one.
        back: u64,
    },
    /// `@2026-08-20T12:00Z`: an instant.
    Instant {
        /// Nanoseconds since 1970-01-01T00:00:00Z.
        time_ns: i64,
    },
    /// `@12:31:07`: the last such time of day, UTC.
    TimeOfDay(TimeOfDay),
    /// `@-15m`: before now.
    Ago {
        /// How long before now, in seconds.
        seconds: u64,
    },
    /// `snap:latest`
    LatestSnapshot,
    /// `snap:18000`: the snapshot at a seq.
    Snapshot(NonZeroU64),
    /// `mark:NAME`
    Mark(String),
    /// `seg:3+0x1f40`
    Offset {
        /// The segment's number.
        segment: NonZeroU32,
        /// Bytes from the segment's start.
        offset_bytes: u64,
    },
    /// `run:NAME`: the last event of a run.
    Run(String),
    /// `before:STEP`
    Before(String),
    /// `after:STEP`
    After(String),
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        parse(text).map_err(|kind| PositionError { text: text.to_owned(), kind })
    }
}

fn parse(text: &str) -> Result<Position, PositionErrorKind> {
    if let Some(time) = text.strip_prefix('@') {
        return time::parse(time);
    }
    if let Some(rest) = text.strip_prefix("head") {
        return match rest.strip_prefix('~') {
            _ if rest.is_empty() => Ok(Position::Head { back: 0 }),
            Some(back) => number(back).map(|back| Position::Head { back }).ok_or(PositionErrorKind::Head),
            None => Err(PositionErrorKind::Head),
        };
    }
    if let Some((prefix, rest)) = text.split_once(':') {
        return match prefix {
            "snap" if rest == "latest" => Ok(Position::LatestSnapshot),
            "snap" => number(rest).and_then(NonZeroU64::new).map(Position::Snapshot).ok_or(PositionErrorKind::Snapshot),
            "seg" => offset(rest).ok_or(PositionErrorKind::Offset),
            "mark" => name(rest).map(Position::Mark),
            "run" => name(rest).map(Position::Run),
            "before" => name(rest).map(Position::Before),
            "after" => name(rest).map(Position::After),
            _ => Err(PositionErrorKind::Unknown),
        };
    }
    match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        true => number(text).and_then(NonZeroU64::new).map(Position::Seq).ok_or(PositionErrorKind::Seq),
        false => Err(PositionErrorKind::Unknown),
    }
}

/// Decimal digits only: no sign, no separators.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn offset(text: &str) -> Option<Position> {
    let (segment, offset) = text.split_once('+')?;
    let segment = number(segment).and_then(|segment| u32::try_from(segment).ok()).and_then(NonZeroU32::new)?;
    let offset_bytes = match offset.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok()?,
        Some(_) => return None,
        None => number(offset)?,
    };
    Some(Position::Offset { segment, offset_bytes })
}

/// Names are printable, without blanks, and cannot be mistaken for a range.
fn name(text: &str) -> Result<String, PositionErrorKind> {
    let printable = !text.chars().any(|character| character.is_control() || character.is_whitespace());
    let unlike_range = !text.contains("..") && !text.ends_with('.');
    if !text.is_empty() && text.len() <= POSITION_NAME_LEN_BYTES_MAX && printable && unlike_range {
        Ok(text.to_owned())
    } else {
        Err(PositionErrorKind::Name)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(formatter),
            Self::Head { back: 0 } => formatter.write_str("head"),
            Self::Head { back } => write!(formatter, "head~{back}"),
            Self::Instant { time_ns } => time::write_instant(formatter, *time_ns),
            Self::TimeOfDay(time) => write!(formatter, "@{time}"),
            Self::Ago { seconds } => time::write_ago(formatter, *seconds),
            Self::LatestSnapshot => formatter.write_str("snap:latest"),
            Self::Snapshot(seq) => write!(formatter, "snap:{seq}"),
            Self::Mark(name) => write!(formatter, "mark:{name}"),
            Self::Offset { segment, offset_bytes } => write!(formatter, "seg:{segment}+0x{offset_bytes:x}"),
            Self::Run(name) => write!(formatter, "run:{name}"),
            Self::Before(step) => write!(formatter, "before:{step}"),
            Self::After(step) => write!(formatter, "after:{step}"),
        }
    }
}
