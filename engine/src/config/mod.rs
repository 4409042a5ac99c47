//! A store's own settings: `config.toml`.
//!
//! ```toml
//! sync = "always"          # or "never", or "interval:50ms"
//! segment_size = "64MiB"   # from 64KiB to 1GiB
//! lock_timeout = "5s"      # from 0ms to 1h
//!
//! [retention]              # what `log compact` takes: runs that have ended
//! statuses = ["completed"] # and ended so
//! older_than = "90d"       # and so long ago
//! keep_last = 100          # but not the last ones of them
//!
//! [redaction]              # what never reaches the log
//! fields = ["data.password"]
//! secrets = ["GITHUB_TOKEN"]           # variables of the environment
//! patterns = { aws = "AKIA[0-9A-Z]{16}" }
//! ```
//!
//! A setting that is not in the file is decided elsewhere: flag, then environment, then this file, then the user's own
//! file, then the default ([`Setting::layered`]). An unknown key is an error that names its line: a misspelt setting
//! that is silently ignored is a setting that somebody relies on.

mod error;
mod file;
mod redaction;
mod retention;
mod setting;
#[cfg(test)]
mod tests;
mod units;

pub use crate::log::SyncPolicy;
pub use error::{ConfigError, ConfigErrorKind};
pub use file::{CONFIG_FILE_NAME, ReadError};
pub use redaction::RedactionConfig;
pub use retention::{RetentionConfig, parse_ended_status};
pub use setting::{Setting, Source};
pub use units::{UnitError, format_byte_size, format_duration, parse_byte_size, parse_duration};

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest accepted `config.toml`, in bytes.
pub const CONFIG_LEN_BYTES_MAX: usize = 64 * 1024;
/// Smallest segment size, in bytes.
pub const SEGMENT_SIZE_BYTES_MIN: u64 = 64 * 1024;
/// Largest segment size, in bytes.
pub const SEGMENT_SIZE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Longest wait for the lock.
pub const LOCK_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Longest interval between syncs.
pub const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(60);

const KEYS: [&str; 5] = ["lock_timeout", "redaction", "retention", "segment_size", "sync"];

/// Every key that a `config.toml` may have; those of a table with its name before them: `retention.keep_last`.
pub fn keys() -> impl Iterator<Item = String> {
    let of_table = |table: &'static str| -> &'static [&'static str] {
        match table {
            "retention" => &retention::KEYS,
            "redaction" => &redaction::KEYS,
            _ => &[],
        }
    };
    KEYS.into_iter().flat_map(move |key| match of_table(key) {
        [] => vec![key.to_owned()],
        keys => keys.iter().map(|inner| format!("{key}.{inner}")).collect(),
    })
}

impl FromStr for SyncPolicy {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => {
                let interval = text.strip_prefix("interval:").ok_or_else(|| UnitError::sync(text))?;
                let interval = parse_duration(interval).map_err(|_| UnitError::sync(text))?;
                if interval.is_zero() || interval > SYNC_INTERVAL_MAX {
                    return Err(UnitError::sync(text));
                }
                Ok(Self::Interval(interval))
            }
        }
    }
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => formatter.write_str("always"),
            Self::Interval(interval) => write!(formatter, "interval:{}", format_duration(*interval)),
            Self::Never => formatter.write_str("never"),
        }
    }
}

/// What a `config.toml` says; what it does not mention is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// `sync`
    pub sync: Option<SyncPolicy>,
    /// `segment_size`, in bytes; from [`SEGMENT_SIZE_BYTES_MIN`] to [`SEGMENT_SIZE_BYTES_MAX`].
    pub segment_size_bytes: Option<u64>,
    /// `lock_timeout`; at most [`LOCK_TIMEOUT_MAX`].
    pub lock_timeout: Option<Duration>,
    /// `[retention]`
    pub retention: Option<RetentionConfig>,
    /// `[redaction]`
    pub redaction: Option<RedactionConfig>,
}

impl StoreConfig {
    /// Reads the bytes of a `config.toml`.
    ///
    /// # Errors
    /// [`ConfigError`] with line and column: not TOML, an unknown key, or a value out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > CONFIG_LEN_BYTES_MAX {
            return Err(ConfigError::start(ConfigErrorKind::TooLong { max: CONFIG_LEN_BYTES_MAX }));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ConfigError::at(bytes, error.valid_up_to(), ConfigErrorKind::NotUtf8))?;
        let located = |span: Range<usize>, kind| ConfigError::at(bytes, span.start, kind);
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            located(span, ConfigErrorKind::Syntax(error.message().lines().collect::<Vec<_>>().join("; ")))
        })?;

        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut config = Self::default();
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let invalid = |error| located(value.span(), ConfigErrorKind::Value { key: name.to_owned(), error });
            match name {
                "sync" => config.sync = Some(string(value).and_then(str::parse).map_err(invalid)?),
                "segment_size" => {
                    config.segment_size_bytes = Some(string(value).and_then(parse_segment_size).map_err(invalid)?);
                }
                "lock_timeout" => {
                    config.lock_timeout = Some(string(value).and_then(parse_lock_timeout).map_err(invalid)?);
                }
                "retention" => {
                    let table = value
                        .get_ref()
                        .as_table()
                        .ok_or_else(|| invalid(UnitError::expected(value.get_ref().type_str(), "a table", "")))?;
                    let read = RetentionConfig::read(table);
                    config.retention = Some(read.map_err(|(span, kind)| located(span, kind))?);
                }
                "redaction" => {
                    let read = RedactionConfig::read(value).map_err(|error| match error {
                        redaction::Wrong::Value(span, key, error) => {
                            located(span, ConfigErrorKind::Value { key, error })
                        }
                        redaction::Wrong::Key(span, key) => {
                            located(span, ConfigErrorKind::unknown(&key, false, &redaction::KEYS))
                        }
                    });
                    config.redaction = Some(read?);
                }
                _ => {
                    return Err(located(key.span(), ConfigErrorKind::unknown(name, value.get_ref().is_table(), &KEYS)));
                }
            }
        }
        Ok(config)
    }
}

fn string<'text>(value: &'text Spanned<DeValue<'_>>) -> Result<&'text str, UnitError> {
    value.get_ref().as_str().ok_or_else(|| UnitError::kind(value.get_ref().type_str()))
}

/// Reads a segment size within its bounds, in bytes.
///
/// # Errors
/// [`UnitError`] with what was expected.
pub fn parse_segment_size(text: &str) -> Result<u64, UnitError> {
    parse_byte_size(text)?.within(SEGMENT_SIZE_BYTES_MIN..=SEGMENT_SIZE_BYTES_MAX, text, "a size from 64KiB to 1GiB")
}

/// Reads a lock timeout within its bounds.
///
/// # Errors
/// [`UnitError`] with what was expected.
pub fn parse_lock_timeout(text: &str) -> Result<Duration, UnitError> {
    parse_duration(text)?.within(Duration::ZERO..=LOCK_TIMEOUT_MAX, text, "a duration of at most 1h")
}

/// Bounds of a parsed value.
trait Within: PartialOrd + Sized {
    fn within(
        self,
        range: std::ops::RangeInclusive<Self>,
        text: &str,
        expected: &'static str,
    ) -> Result<Self, UnitError> {
        if range.contains(&self) { Ok(self) } else { Err(UnitError::expected(text, expected, "")) }
    }
}

impl Within for u64 {}
impl Within for Duration {}
