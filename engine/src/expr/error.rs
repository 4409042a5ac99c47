//! Why a text is not an expression.

use thiserror::Error;

/// A source text that is not an expression: where, and why.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("column {column}: {kind}")]
pub struct ExpressionError {
    /// Where: 1-based, in characters; one past the last character where the text ends too early.
    pub column: usize,
    /// Why.
    pub kind: ExpressionErrorKind,
}

/// What is wrong with a source text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpressionErrorKind {
    /// Something else was expected.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What could have stood there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The string that starts here has no end.
    #[error("this string has no closing {quote}")]
    UnclosedString {
        /// The missing quote.
        quote: char,
    },
    /// An unknown `\` escape in a string.
    #[error(r#"unknown escape; expected one of \\ \" \' \n \r \t \u{{...}}"#)]
    Escape,
    /// Digits beyond 64 bits.
    #[error("this integer does not fit 64 bits")]
    IntegerTooLarge,
    /// A regular expression that does not compile.
    #[error("{0}")]
    Pattern(String),
    /// Longer than [`super::EXPRESSION_LEN_BYTES_MAX`].
    #[error("longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Deeper than [`super::EXPRESSION_DEPTH_MAX`].
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More than [`super::EXPRESSION_PATTERNS_MAX`].
    #[error("more than {max} patterns")]
    TooManyPatterns {
        /// The limit.
        max: usize,
    },
}

impl ExpressionErrorKind {
    pub(super) fn at(self, column: usize) -> ExpressionError {
        ExpressionError { column, kind: self }
    }
}
