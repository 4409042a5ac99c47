//! Times in positions.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::{Position, PositionErrorKind};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// A time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    since_midnight_ns: u64,
}

impl TimeOfDay {
    /// Nanoseconds of a day, which has no leap second here.
    pub const DAY_NS: u64 = 86_400 * NS_PER_SECOND;

    /// A time of day from nanoseconds since midnight; `None` from a whole day on.
    #[must_use]
    pub fn from_ns(since_midnight_ns: u64) -> Option<Self> {
        (since_midnight_ns < Self::DAY_NS).then_some(Self { since_midnight_ns })
    }

    /// Nanoseconds since midnight, less than [`TimeOfDay::DAY_NS`].
    #[must_use]
    pub fn as_ns(self) -> u64 {
        self.since_midnight_ns
    }

    /// The last instant with this time of day at or before another; both in nanoseconds since 1970-01-01T00:00:00Z.
    /// `None` before what 64 bits hold.
    #[must_use]
    pub fn last_at_or_before(self, time_ns: i64) -> Option<i64> {
        let day_ns = i64::try_from(Self::DAY_NS).ok()?;
        let wanted_ns = i64::try_from(self.since_midnight_ns).ok()?;
        let since_ns = (time_ns.rem_euclid(day_ns) - wanted_ns).rem_euclid(day_ns);
        time_ns.checked_sub(since_ns)
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.since_midnight_ns / NS_PER_SECOND;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(formatter, "{hour:02}:{minute:02}:{second:02}")?;
        let fraction_ns = self.since_midnight_ns % NS_PER_SECOND;
        if fraction_ns > 0 {
            let digits = format!("{fraction_ns:09}");
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// What follows `@`.
pub(super) fn parse(text: &str) -> Result<Position, PositionErrorKind> {
    if let Some(ago) = text.strip_prefix('-') {
        return seconds(ago).map(|seconds| Position::Ago { seconds }).ok_or(PositionErrorKind::Ago);
    }
    if text.as_bytes().get(2) == Some(&b':') {
        return time_of_day(text).map(Position::TimeOfDay).ok_or(PositionErrorKind::Time);
    }
    instant(text).map(|time_ns| Position::Instant { time_ns }).ok_or(PositionErrorKind::Time)
}

/// With a zone or an offset as it says, without one in UTC; a date alone is its midnight. No event can be recorded beyond
/// what 64 bits of nanoseconds hold, so a farther time means the same as the farthest.
fn instant(text: &str) -> Option<i64> {
    let nearest = |is_past: bool| if is_past { i64::MIN } else { i64::MAX };
    let in_ns = |timestamp: Timestamp| {
        let time_ns = timestamp.as_nanosecond();
        i64::try_from(time_ns).unwrap_or(nearest(time_ns < 0))
    };
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(in_ns(timestamp));
    }
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    // A zone that does not parse must not be taken for none at all.
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b' ' | b'T' | b't');
    if !text.bytes().all(plain) {
        return None;
    }
    let civil = match text.parse::<DateTime>() {
        Ok(civil) => civil,
        Err(_) => text.parse::<Date>().ok()?.to_datetime(Time::midnight()),
    };
    // The calendar goes a day farther than its instants do.
    Some(Offset::UTC.to_timestamp(civil).map_or(nearest(civil.year() < 1970), in_ns))
}

fn time_of_day(text: &str) -> Option<TimeOfDay> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')) {
        return None;
    }
    let time: Time = text.parse().ok()?;
    let seconds = u64::try_from(time.hour()).ok()? * 3600
        + u64::try_from(time.minute()).ok()? * 60
        + u64::try_from(time.second()).ok()?;
    TimeOfDay::from_ns(seconds * NS_PER_SECOND + u64::try_from(time.subsec_nanosecond()).ok()?)
}

fn seconds(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    Some(super::number(digits)?.saturating_mul(unit))
}

pub(super) fn write_instant(formatter: &mut fmt::Formatter<'_>, time_ns: i64) -> fmt::Result {
    let timestamp = Timestamp::from_nanosecond(time_ns.into()).map_err(|_| fmt::Error)?;
    write!(formatter, "@{timestamp}")
}

/// In the largest unit that divides it.
pub(super) fn write_ago(formatter: &mut fmt::Formatter<'_>, seconds: u64) -> fmt::Result {
    let (unit_seconds, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit_seconds, _)| seconds > 0 && seconds.is_multiple_of(*unit_seconds))
        .unwrap_or((1, 's'));
    write!(formatter, "@-{}{unit}", seconds / unit_seconds)
}
