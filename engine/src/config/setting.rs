//! A setting's value and who decided it.

use std::fmt;

/// Who decided a setting, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A flag of the command.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The store's `config.toml`.
    Store,
    /// The user's own configuration.
    User,
    /// The program.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::Store => "store",
            Self::User => "user",
            Self::Default => "default",
        })
    }
}

/// A value and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// What holds.
    pub value: T,
    /// Who decided it.
    pub source: Source,
}

impl<T> Setting<T> {
    /// The strongest of the values that are there: flag > environment > store > user > default. The order of the
    /// layers does not matter; of two of the same source the first one holds.
    pub fn layered(layers: impl IntoIterator<Item = (Source, Option<T>)>, default: T) -> Self {
        layers
            .into_iter()
            .filter_map(|(source, value)| Some(Self { value: value?, source }))
            .min_by_key(|setting| setting.source)
            .unwrap_or(Self { value: default, source: Source::Default })
    }
}
