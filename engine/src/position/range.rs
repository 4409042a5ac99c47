//! Ranges of positions.

use std::fmt;
use std::str::FromStr;

use super::{Position, PositionError, PositionErrorKind};

/// `A..B`: from A on, up to but not including B; `A..=B`: up to and including B.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionRange {
    /// The first event in it; absent: from the first one of the log.
    pub start: Option<Position>,
    /// The first event behind it; absent: up to the end.
    pub end: Option<Position>,
    /// Whether `end` is in it.
    pub includes_end: bool,
}

impl FromStr for PositionRange {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let Some((start, end)) = text.split_once("..") else {
            return Err(PositionError { text: text.to_owned(), kind: PositionErrorKind::Range });
        };
        let (end, includes_end) = end.strip_prefix('=').map_or((end, false), |end| (end, true));
        if includes_end && end.is_empty() {
            return Err(PositionError { text: text.to_owned(), kind: PositionErrorKind::Range });
        }
        let side = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
        Ok(Self { start: side(start)?, end: side(end)?, includes_end })
    }
}

impl fmt::Display for PositionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(start) = &self.start {
            start.fmt(formatter)?;
        }
        formatter.write_str("..")?;
        if let Some(end) = &self.end {
            if self.includes_end {
                formatter.write_str("=")?;
            }
            end.fmt(formatter)?;
        }
        Ok(())
    }
}
