//! Evaluation on a JSON value, without copies.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::ast::{Literal, Node, Operator, Path, PathStep};

/// What an expression answers; borrowed from the value or the expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer<'value> {
    /// Null, or nothing there.
    Null,
    /// A condition's outcome.
    Boolean(bool),
    /// An integer: a literal, or a length.
    Integer(i64),
    /// A number of the value.
    Number(&'value Number),
    /// A string.
    String(&'value str),
    /// An array.
    Array(&'value [Value]),
    /// An object.
    Object(&'value serde_json::Map<String, Value>),
}

impl Answer<'_> {
    /// Whether a condition with this answer holds.
    #[must_use]
    pub fn is_true(self) -> bool {
        matches!(self, Self::Boolean(true))
    }
}

impl<'value> From<&'value Value> for Answer<'value> {
    fn from(value: &'value Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(*value),
            Value::Number(value) => Self::Number(value),
            Value::String(value) => Self::String(value),
            Value::Array(value) => Self::Array(value),
            Value::Object(value) => Self::Object(value),
        }
    }
}

pub(super) fn evaluate<'value>(node: &'value Node, value: &'value Value) -> Answer<'value> {
    let holds = |operand: &'value Node| evaluate(operand, value).is_true();
    match node {
        Node::Literal(Literal::Null) => Answer::Null,
        Node::Literal(Literal::Boolean(constant)) => Answer::Boolean(*constant),
        Node::Literal(Literal::Integer(constant)) => Answer::Integer(*constant),
        Node::Literal(Literal::String(constant)) => Answer::String(constant),
        Node::Path(path) => find(path, value).map_or(Answer::Null, Answer::from),
        Node::Exists(path) => Answer::Boolean(find(path, value).is_some()),
        Node::Length(path) => find(path, value).and_then(length).map_or(Answer::Null, Answer::Integer),
        Node::Not(operand) => Answer::Boolean(!holds(operand)),
        Node::Compare { left, operator, right } => {
            Answer::Boolean(compare(evaluate(left, value), *operator, evaluate(right, value)))
        }
        Node::Matches { left, pattern } => match evaluate(left, value) {
            Answer::String(text) => Answer::Boolean(pattern.is_match(text)),
            _ => Answer::Boolean(false),
        },
        Node::All(operands) => Answer::Boolean(operands.iter().all(holds)),
        Node::Any(operands) => Answer::Boolean(operands.iter().any(holds)),
    }
}

fn find<'value>(path: &Path, value: &'value Value) -> Option<&'value Value> {
    path.steps.iter().try_fold(value, |value, step| match step {
        PathStep::Key(key) => value.as_object()?.get(key),
        PathStep::Index(index) => value.as_array()?.get(usize::try_from(*index).ok()?),
    })
}

fn length(value: &Value) -> Option<i64> {
    let count = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(elements) => elements.len(),
        Value::Object(keys) => keys.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    i64::try_from(count).ok()
}

fn compare(left: Answer<'_>, operator: Operator, right: Answer<'_>) -> bool {
    match operator {
        Operator::Equal => equal(left, right),
        Operator::NotEqual => !equal(left, right),
        Operator::Less => order(left, right).is_some_and(Ordering::is_lt),
        Operator::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Operator::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Operator::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
    }
}

fn equal(left: Answer<'_>, right: Answer<'_>) -> bool {
    match (left, right) {
        (Answer::Null, Answer::Null) => true,
        (Answer::Boolean(left), Answer::Boolean(right)) => left == right,
        (Answer::Array(left), Answer::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| equal(Answer::from(left), Answer::from(right)))
        }
        (Answer::Object(left), Answer::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| {
                    right.get(key).is_some_and(|right| equal(Answer::from(left), Answer::from(right)))
                })
        }
        _ => order(left, right).is_some_and(Ordering::is_eq),
    }
}

/// The order of two numbers or two strings.
fn order(left: Answer<'_>, right: Answer<'_>) -> Option<Ordering> {
    if let (Answer::String(left), Answer::String(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    match (number(left)?, number(right)?) {
        (Exact::Integer(left), Exact::Integer(right)) => Some(left.cmp(&right)),
        (Exact::Integer(left), Exact::Float(right)) => Some(integer_to_float(left, right)),
        (Exact::Float(left), Exact::Integer(right)) => Some(integer_to_float(right, left).reverse()),
        (Exact::Float(left), Exact::Float(right)) => left.partial_cmp(&right),
    }
}

/// A number without rounding.
enum Exact {
    /// Holds every i64 and u64.
    Integer(i128),
    /// Finite: JSON has no other.
    Float(f64),
}

fn number(answer: Answer<'_>) -> Option<Exact> {
    match answer {
        Answer::Integer(value) => Some(Exact::Integer(value.into())),
        Answer::Number(value) => value
            .as_i64()
            .map(i128::from)
            .or_else(|| value.as_u64().map(i128::from))
            .map(Exact::Integer)
            .or_else(|| value.as_f64().map(Exact::Float)),
        _ => None,
    }
}

/// Compares exactly: neither side is rounded to the other's type. The integer is one of 65 bits.
fn integer_to_float(integer: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 1e30;
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float <= -BEYOND {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is compared below, and the range checked above")]
    let whole = float.trunc() as i128;
    integer.cmp(&whole).then_with(|| {
        if float.fract() > 0.0 {
            Ordering::Less
        } else if float.fract() < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    })
}
