//! What a run has used: tokens and money.

use crate::run::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Tokens written to a cache.
    pub cache_write_tokens: u64,
    /// Money, in billionths of a US dollar: no float, so that sums are exact.
    pub nano_usd: u64,
}

impl Usage {
    /// Whether nothing was used.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Usage::default()
    }

    /// What is left of it without another amount.
    #[must_use]
    pub(super) fn without(&self, other: &Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_sub(other.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_sub(other.cache_write_tokens),
            nano_usd: self.nano_usd.saturating_sub(other.nano_usd),
        }
    }

    /// Adds another amount. Sums end at the highest number instead of running over.
    pub fn add(&mut self, other: &Usage) {
        for (sum, more) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cache_read_tokens, other.cache_read_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.nano_usd, other.nano_usd),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What a run has spent. It is never taken back: a rewind does not bring money home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// All of it.
    pub total: Usage,
    /// By step, where it is known what for.
    pub steps: BTreeMap<Text, Usage>,
    /// By model, where it is known by which.
    pub models: BTreeMap<Text, Usage>,
}

impl Spent {
    pub(super) fn add(&mut self, step: Option<&Text>, model: Option<&Text>, usage: &Usage) {
        self.total.add(usage);
        for (map, name) in [(&mut self.steps, step), (&mut self.models, model)] {
            if let Some(name) = name {
                map.entry(name.clone()).or_default().add(usage);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_never_run_over() {
        let mut spent = Spent::default();
        let usage = Usage { nano_usd: u64::MAX - 1, output_tokens: 3, ..Usage::default() };
        spent.add(Some(&"a".into()), None, &usage);
        spent.add(Some(&"a".into()), Some(&"m".into()), &Usage { nano_usd: 2, output_tokens: 4, ..Usage::default() });
        assert_eq!((spent.total.nano_usd, spent.total.output_tokens), (u64::MAX, 7));
        assert_eq!((spent.steps["a"].output_tokens, spent.models["m"].output_tokens), (7, 4));
        assert!(Usage::default().is_nothing() && !usage.is_nothing());
    }
}
