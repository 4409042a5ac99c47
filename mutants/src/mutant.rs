//! One change of the code, as `cargo mutants --list --json` tells of it.

use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// A change that could be made.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mutant {
    /// `FILE:LINE:COLUMN: WHAT`.
    pub(crate) name: String,
    /// From the root of the repository.
    pub(crate) file: String,
    pub(crate) genre: Genre,
    pub(crate) replacement: String,
    span: Span,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Genre {
    BinaryOperator,
    UnaryOperator,
    FnValue,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Both count from one, in characters.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl Mutant {
    /// The bytes of its file that it replaces.
    pub(crate) fn range(&self, text: &str) -> Option<(usize, usize)> {
        Some((offset(text, self.span.start)?, offset(text, self.span.end)?))
    }

    /// The file's text with this change made.
    pub(crate) fn applied(&self, text: &str) -> Option<String> {
        let (start, end) = self.range(text)?;
        Some(format!("{}{}{}", text.get(..start)?, self.replacement, text.get(end..)?))
    }

    /// Its name without line and column, which change with every edit: as docs/mutants.md has it.
    pub(crate) fn what(&self) -> String {
        let mut parts = self.name.splitn(4, ':');
        let (file, what) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
        format!("{file}:{what}")
    }
}

fn offset(text: &str, place: Place) -> Option<usize> {
    let mut start = 0;
    for _ in 1..place.line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    let line = text.get(start..)?;
    Some(start + line.char_indices().nth(place.column - 1).map_or(line.len(), |(offset, _)| offset))
}

/// All changes of a set, as cargo-mutants lists them.
pub(crate) fn list(root: &Path, arguments: &[String]) -> Result<Vec<Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json"]).args(arguments).current_dir(root);
    let output = command.output().map_err(|error| format!("cargo mutants: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo mutants --list failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("what cargo mutants lists is not understood: {error}"))
}

#[cfg(test)]
impl Mutant {
    /// A change of the one place in a text where `old` is.
    pub(crate) fn of(text: &str, old: &str, genre: Genre, replacement: &str) -> Mutant {
        let start = text.find(old).unwrap();
        let place = |offset: usize| {
            let before = &text[..offset];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
        };
        let span = Span { start: place(start), end: place(start + old.len()) };
        let name = format!("a.rs:{}:{}: replace {old} in f", span.start.line, span.start.column);
        Mutant { name, file: "a.rs".to_owned(), genre, replacement: replacement.to_owned(), span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_names_lose_them() {
        let text = "one\n\"äöü\", + x\n";
        let mutant = Mutant::of(text, "+", Genre::BinaryOperator, "-");
        assert_eq!(mutant.applied(text).unwrap(), "one\n\"äöü\", - x\n");
        assert_eq!(
            (mutant.name.as_str(), mutant.what().as_str()),
            ("a.rs:2:8: replace + in f", "a.rs: replace + in f")
        );
        assert!(mutant.applied("one").is_none());
    }
}
