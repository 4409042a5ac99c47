//! What is wrong with a configuration, and where.

use std::fmt;

use thiserror::Error;

use super::UnitError;
use crate::nearest::nearest;

/// A configuration that does not hold, with its place; lines and columns start at 1, columns count characters.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}, column {column}: {kind}")]
pub struct ConfigError {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// What is wrong there.
    pub kind: ConfigErrorKind,
}

impl ConfigError {
    pub(super) fn start(kind: ConfigErrorKind) -> Self {
        Self { line: 1, column: 1, kind }
    }

    /// An error at a byte offset.
    pub(super) fn at(bytes: &[u8], offset: usize, kind: ConfigErrorKind) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        Self { line, column, kind }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// Longer than [`super::CONFIG_LEN_BYTES_MAX`].
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// Not UTF-8.
    NotUtf8,
    /// Not TOML.
    Syntax(String),
    /// A key or table that means nothing here.
    UnknownKey {
        /// As written.
        key: String,
        /// Whether it is a table.
        table: bool,
        /// The keys that are likely meant.
        nearest: Vec<&'static str>,
        /// All keys.
        known: &'static [&'static str],
    },
    /// A value of the wrong kind, form or size.
    Value {
        /// Whose value.
        key: String,
        /// What was expected.
        error: UnitError,
    },
}

impl ConfigErrorKind {
    pub(super) fn unknown(key: &str, table: bool, known: &'static [&'static str]) -> Self {
        Self::UnknownKey { key: key.to_owned(), table, nearest: nearest(key, known.iter().copied()), known }
    }
}

impl fmt::Display for ConfigErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(formatter, "longer than {max} bytes"),
            Self::NotUtf8 => formatter.write_str("not UTF-8"),
            Self::Syntax(message) => write!(formatter, "not TOML: {message}"),
            Self::UnknownKey { key, table, nearest, known } => {
                let what = if *table { "table" } else { "key" };
                write!(formatter, "unknown {what} {key:?}; ")?;
                match nearest.first() {
                    Some(name) => write!(formatter, "did you mean {name:?}?"),
                    None => write!(formatter, "known keys: {}", known.join(", ")),
                }
            }
            Self::Value { key, error } => write!(formatter, "{key}: {error}"),
        }
    }
}
