//! Errors as people and programs see them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::codes::{self, Code};
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::output::OutputError;

/// One error: what, where, and what to run next.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its entry in the catalogue.
    pub code: Code,
    /// What the process ends with.
    pub exit: Exit,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where: a path, a segment and offset, a column.
    pub place: Option<String>,
    /// A command that can be run as it is.
    pub hint: Option<String>,
    /// Further facts, for programs.
    pub context: Map<String, Value>,
}

#[derive(Serialize)]
struct Document<'problem> {
    schema: &'static str,
    code: &'static str,
    message: &'problem str,
    hint: Option<&'problem str>,
    context: Map<String, Value>,
}

impl Problem {
    /// A problem with neither place nor hint.
    pub fn new(code: Code, exit: Exit, message: impl Into<String>) -> Self {
        Self { code, exit, message: message.into(), place: None, hint: None, context: Map::new() }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what to run.
    #[must_use]
    pub fn hint(mut self, command: impl Into<String>) -> Self {
        self.hint = Some(command.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }

    /// For people: `error[T0301]: ...`, `  at ...`, `  hint: ...`.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines =
            vec![Line::new().tone(Tone::Bad, &format!("error[{}]", self.code)).plain(": ").plain(&self.message)];
        lines.extend(self.place.iter().map(|place| Line::new().plain("  at ").plain(place)));
        lines.extend(
            self.hint.iter().map(|hint| Line::new().plain("  ").tone(Tone::Hint, "hint").plain(": ").plain(hint)),
        );
        lines
    }

    /// For programs: one object, `taffrail.error/1`. The place is in the context, as `at`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut context = self.context.clone();
        if let Some(place) = &self.place {
            context.insert("at".to_owned(), Value::from(place.as_str()));
        }
        let document = Document {
            schema: "taffrail.error/1",
            code: self.code.as_str(),
            message: &self.message,
            hint: self.hint.as_deref(),
            context,
        };
        serde_json::to_value(document).unwrap_or_default()
    }
}

/// Why a command ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// With an error to show.
    Problem(Box<Problem>),
    /// Nobody reads standard output any more; that is not an error.
    OutputClosed,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Box<Problem>> for Failure {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Closed => Self::OutputClosed,
            OutputError::Io(error) => {
                Problem::new(codes::T0180, Exit::Io, format!("cannot write to standard output: {error}")).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Problem;
    use crate::codes;
    use crate::exit::Exit;

    fn problem() -> Problem {
        Problem::new(codes::T0110, Exit::Usage, "no store\u{1b}[2J\nhere")
            .at("/tmp/\u{202e}x")
            .hint("taffrail store init")
            .with("searched", 3)
    }

    #[test]
    fn people_see_three_lines_without_control_characters() {
        let lines: Vec<String> = problem().lines().iter().map(|line| line.render(false)).collect();
        assert_eq!(
            lines,
            ["error[T0110]: no store\\u{1b}[2J\\nhere", "  at /tmp/\\u{202e}x", "  hint: taffrail store init"]
        );
        let bare = Problem::new(codes::T0110, Exit::Usage, "no store");
        assert_eq!(bare.lines().len(), 1);
    }

    #[test]
    fn programs_see_one_object_with_the_documented_keys_in_order() {
        let text = problem().json().to_string();
        assert!(text.starts_with(r#"{"schema":"taffrail.error/1","code":"T0110","message":"#), "{text}");
        let expected = json!({
            "schema": "taffrail.error/1", "code": "T0110", "message": "no store\u{1b}[2J\nhere",
            "hint": "taffrail store init", "context": {"searched": 3, "at": "/tmp/\u{202e}x"},
        });
        assert_eq!(problem().json(), expected);
        let bare = Problem::new(codes::T0110, Exit::Usage, "no store").json();
        assert_eq!(bare["hint"], json!(null));
        assert_eq!(bare["context"], json!({}));
    }
}
