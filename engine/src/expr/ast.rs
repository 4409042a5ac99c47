//! The syntax tree.

use regex::{Regex, RegexBuilder};

/// Bound of one compiled pattern, in bytes of program and of lazily built tables each.
const PATTERN_SIZE_BYTES_MAX: usize = 1 << 20;

/// An expression or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A constant.
    Literal(Literal),
    /// The value at a path; null where there is none.
    Path(Path),
    /// Whether a path leads somewhere.
    Exists(Path),
    /// The length of what a path leads to.
    Length(Path),
    /// True unless the operand is true.
    Not(Box<Node>),
    /// A comparison of two values.
    Compare {
        /// Left operand.
        left: Box<Node>,
        /// How they are compared.
        operator: Operator,
        /// Right operand.
        right: Box<Node>,
    },
    /// Whether a string matches.
    Matches {
        /// What is searched.
        left: Box<Node>,
        /// What for.
        pattern: Pattern,
    },
    /// True if all operands are; two or more.
    All(Vec<Node>),
    /// True if any operand is; two or more.
    Any(Vec<Node>),
}

impl Node {
    /// Whether any path in it begins with this key.
    pub(super) fn mentions(&self, key: &str) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Path(path) | Self::Exists(path) | Self::Length(path) => {
                matches!(path.steps.first(), Some(PathStep::Key(first)) if first == key)
            }
            Self::Not(operand) | Self::Matches { left: operand, .. } => operand.mentions(key),
            Self::Compare { left, right, .. } => left.mentions(key) || right.mentions(key),
            Self::All(operands) | Self::Any(operands) => operands.iter().any(|operand| operand.mentions(key)),
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// `-7`
    Integer(i64),
    /// `"text"`
    String(String),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// As written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A way into a value; at least one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// From the outside in.
    pub steps: Vec<PathStep>,
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// The value of an object's key.
    Key(String),
    /// The element of an array, from 0.
    Index(u32),
}

/// A compiled regular expression and its source.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a regular expression, within bounds.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn compile(source: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(source)
            .size_limit(PATTERN_SIZE_BYTES_MAX)
            .dfa_size_limit(PATTERN_SIZE_BYTES_MAX)
            .nest_limit(64)
            .build();
        match compiled {
            Ok(regex) => Ok(Self { source: source.to_owned(), regex }),
            Err(regex::Error::CompiledTooBig(limit)) => Err(format!("this pattern needs more than {limit} bytes")),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or("invalid").trim_start_matches("error: ");
                Err(format!("not a regular expression: {reason}"))
            }
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the pattern matches anywhere in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}
