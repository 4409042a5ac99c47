//! Durations and sizes as people write them: a whole number and a unit.

use std::time::Duration;

use thiserror::Error;

/// A text that is not a duration, a size or a policy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("expected {expected}{}, found {found}", if example.is_empty() { String::new() } else { format!(" (such as {example})") })]
pub struct UnitError {
    /// What was expected.
    pub expected: &'static str,
    /// A text that would have been right; empty where `expected` says it all.
    pub example: &'static str,
    /// What was found: quoted text, or the kind of another value.
    pub found: String,
}

impl UnitError {
    pub(super) fn expected(found: &str, expected: &'static str, example: &'static str) -> Self {
        Self { expected, example, found: format!("{found:?}") }
    }

    pub(super) fn sync(found: &str) -> Self {
        Self::expected(found, "\"always\", \"never\" or \"interval:\" and a duration up to 1m", "\"interval:50ms\"")
    }

    pub(super) fn kind(found: &'static str) -> Self {
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        Self { expected: "a string", example: "", found: format!("{article} {found}") }
    }
}

const DURATION_UNITS_NS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SIZE_UNITS_BYTES: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads a duration: a whole number and `ns`, `us`, `ms`, `s`, `m`, `h` or `d`, up to 584 years.
///
/// # Errors
/// [`UnitError`] with what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    scaled(text, &DURATION_UNITS_NS)
        .map(Duration::from_nanos)
        .ok_or_else(|| UnitError::expected(text, "a whole number and one of ns, us, ms, s, m, h, d", "\"5s\""))
}

/// Reads a size in bytes: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
///
/// # Errors
/// [`UnitError`] with what was expected.
pub fn parse_byte_size(text: &str) -> Result<u64, UnitError> {
    scaled(text, &SIZE_UNITS_BYTES)
        .ok_or_else(|| UnitError::expected(text, "a whole number and one of B, KiB, MiB, GiB, TiB", "\"64MiB\""))
}

/// Writes a duration so that [`parse_duration`] reads it back; beyond 584 years, the longest that it reads.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    in_largest_unit(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), &DURATION_UNITS_NS, "s")
}

/// Writes a size so that [`parse_byte_size`] reads it back: exact, in the largest unit that divides it.
#[must_use]
pub fn format_byte_size(bytes: u64) -> String {
    in_largest_unit(bytes, &SIZE_UNITS_BYTES, "B")
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*scale)
}

fn in_largest_unit(value: u64, units: &[(&str, u64)], zero_unit: &str) -> String {
    if value == 0 {
        return format!("0{zero_unit}");
    }
    let dividing = units.iter().rev().find(|(_, scale)| value.is_multiple_of(*scale));
    dividing.map_or_else(String::new, |(name, scale)| format!("{}{name}", value / scale))
}
