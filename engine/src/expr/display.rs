//! Expressions as text: what [`super::Expression::parse`] reads back to the same tree.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{Literal, Node, Path, PathStep};
use super::lexer;

/// How tightly a node binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Any,
    All,
    Comparison,
    Unary,
}

fn binding(node: &Node) -> Binding {
    match node {
        Node::Any(_) => Binding::Any,
        Node::All(_) => Binding::All,
        Node::Compare { .. } | Node::Matches { .. } => Binding::Comparison,
        Node::Not(_) | Node::Literal(_) | Node::Path(_) | Node::Exists(_) | Node::Length(_) => Binding::Unary,
    }
}

/// Writes an operand, in parentheses if it binds looser than its place asks.
fn operand(formatter: &mut Formatter<'_>, node: &Node, place: Binding) -> fmt::Result {
    if binding(node) < place { write!(formatter, "({node})") } else { node.fmt(formatter) }
}

fn joined(formatter: &mut Formatter<'_>, operands: &[Node], separator: &str, place: Binding) -> fmt::Result {
    for (index, node) in operands.iter().enumerate() {
        if index > 0 {
            formatter.write_str(separator)?;
        }
        operand(formatter, node, place)?;
    }
    Ok(())
}

impl Display for Node {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(formatter),
            Self::Path(path) => path.fmt(formatter),
            Self::Exists(path) => write!(formatter, "exists({path})"),
            Self::Length(path) => write!(formatter, "len({path})"),
            Self::Not(inner) => {
                formatter.write_str("!")?;
                operand(formatter, inner, Binding::Unary)
            }
            Self::Compare { left, operator, right } => {
                operand(formatter, left, Binding::Unary)?;
                write!(formatter, " {} ", operator.symbol())?;
                operand(formatter, right, Binding::Unary)
            }
            Self::Matches { left, pattern } => {
                operand(formatter, left, Binding::Unary)?;
                formatter.write_str(" =~ ")?;
                quoted(formatter, pattern.source())
            }
            Self::All(operands) => joined(formatter, operands, " && ", Binding::Comparison),
            Self::Any(operands) => joined(formatter, operands, " || ", Binding::All),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Boolean(value) => value.fmt(formatter),
            Self::Integer(value) => value.fmt(formatter),
            Self::String(text) => quoted(formatter, text),
        }
    }
}

impl Display for Path {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                PathStep::Index(index) => write!(formatter, "[{index}]")?,
                PathStep::Key(key) if !lexer::is_name(key) || (position == 0 && lexer::is_reserved(key)) => {
                    formatter.write_str("[")?;
                    quoted(formatter, key)?;
                    formatter.write_str("]")?;
                }
                PathStep::Key(key) => {
                    if position > 0 {
                        formatter.write_str(".")?;
                    }
                    formatter.write_str(key)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a string literal. Control characters are escaped, so that an expression is always one line.
fn quoted(formatter: &mut Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => formatter.write_str("\\\"")?,
            '\\' => formatter.write_str("\\\\")?,
            '\n' => formatter.write_str("\\n")?,
            '\r' => formatter.write_str("\\r")?,
            '\t' => formatter.write_str("\\t")?,
            control if control.is_control() => write!(formatter, "\\u{{{:x}}}", u32::from(control))?,
            other => formatter.write_char(other)?,
        }
    }
    formatter.write_char('"')
}
