//! The one expression language: `--where`, bisection, and the `where` and `when` of process definitions.
//!
//! ```text
//! expression  = all ( "||" all )*
//! all         = comparison ( "&&" comparison )*
//! comparison  = unary ( ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) unary | "=~" string )?
//! unary       = "!" unary | primary
//! primary     = "(" expression ")" | "exists(" path ")" | "len(" path ")" | string | integer | "true" | "false" | "null" | path
//! path        = ( name | "[" string "]" | "[" index "]" ) ( "." name | "." string | "[" index "]" | "[" string "]" )*
//! ```
//!
//! - A **name** starts with a letter or `_` and goes on with letters, digits, `_` and `-`; any other key is quoted:
//!   `steps."1st".status` or `steps["1st"].status`.
//! - **Strings** are in `"` or `'`, with the escapes `\\ \" \' \n \r \t` and `\u{1F600}`. **Integers** are of 64 bits.
//! - `!` binds tighter than a comparison: `!a == b` is `(!a) == b`. Comparisons do not chain.
//!
//! # What expressions mean
//! - A path that leads nowhere is null; `exists(p)` tells an absent value from a null one.
//! - Values of different kinds (null, boolean, number, string, array, object) are never equal: `==` is false and `!=`
//!   is true. Order exists among numbers, and among strings (by code point); every other `<`, `<=`, `>`, `>=` is false.
//!   So `x < 3` and `!(x >= 3)` differ where `x` is absent.
//! - `=~` searches: the pattern matches anywhere unless it has anchors. What is not a string never matches.
//! - `len(p)` counts the characters of a string, the elements of an array and the keys of an object; otherwise null.
//! - A condition holds only if its value is `true`. There is no other truth: `!p` is true for every `p` but `true`.
//!
//! # Hostile input
//! Sources are at most [`EXPRESSION_LEN_BYTES_MAX`] bytes, nest at most [`EXPRESSION_DEPTH_MAX`] deep and hold at most
//! [`EXPRESSION_PATTERNS_MAX`] patterns, each bounded when compiled; matching takes linear time.
//!
//! ```
//! use taffrail::expr::Expression;
//! let expression: Expression = r#"steps.test.status == "failed" && len(steps.test.tries) > 2"#.parse()?;
//! let state = serde_json::json!({"steps": {"test": {"status": "failed", "tries": [1, 2, 3]}}});
//! assert!(expression.holds(&state));
//! # Ok::<(), taffrail::expr::ExpressionError>(())
//! ```

mod ast;
mod display;
mod error;
mod eval;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use ast::{Literal, Node, Operator, Path, PathStep, Pattern};
pub use error::{ExpressionError, ExpressionErrorKind};
pub use eval::Answer;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Longest accepted source, in bytes.
pub const EXPRESSION_LEN_BYTES_MAX: usize = 16 * 1024;
/// Deepest accepted nesting of parentheses and `!`.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Most patterns (`=~`) in one expression.
pub const EXPRESSION_PATTERNS_MAX: usize = 16;

/// A parsed expression with its patterns compiled; evaluates any number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Parses a source text.
    ///
    /// # Errors
    /// [`ExpressionError`], with the column and what was expected there.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        parser::parse(source).map(|root| Self { root })
    }

    /// Whether the expression is `true` of a value: what a filter asks.
    #[must_use]
    pub fn holds(&self, value: &Value) -> bool {
        self.evaluate(value).is_true()
    }

    /// The expression's answer on a value, borrowed from the value or from the expression.
    #[must_use]
    pub fn evaluate<'value>(&'value self, value: &'value Value) -> Answer<'value> {
        eval::evaluate(&self.root, value)
    }

    /// Whether the answer can depend on this member of the value: whoever makes values to ask about may leave the others
    /// out.
    #[must_use]
    pub fn mentions(&self, key: &str) -> bool {
        self.root.mentions(key)
    }

    /// The syntax tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(source: &str) -> Result<Self, ExpressionError> {
        Self::parse(source)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(formatter)
    }
}
