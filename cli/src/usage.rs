//! A command line that was not understood.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error, Parser};

use taffrail::nearest::nearest;

use crate::arguments::Arguments;
use crate::codes::{self, Code};
use crate::exit::Exit;
use crate::problem::Problem;

/// What the parser found wrong, with the nearest command line that is right.
#[must_use]
pub fn problem(error: &Error, definition: &Command, arguments: &[OsString]) -> Problem {
    let wrong = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg, ContextKind::InvalidValue]
        .map(|kind| texts(error, kind).join(" "));
    let (code, message) = described(error, &wrong);
    let path = command_path(definition, arguments);
    let hint = corrected(error, &wrong, arguments).unwrap_or_else(|| format!("{path} --help"));
    let mut problem = Problem::new(code, Exit::Usage, message).hint(hint).with("command", path);
    let suggestions = suggestions(error);
    if !suggestions.is_empty() {
        problem = problem.with("nearest", suggestions);
    }
    problem
}

fn described(error: &Error, [command, argument, value]: &[String; 3]) -> (Code, String) {
    match error.kind() {
        ErrorKind::InvalidSubcommand => (codes::T0101, format!("there is no command `{command}`")),
        ErrorKind::UnknownArgument => (codes::T0102, format!("unexpected argument `{argument}`")),
        ErrorKind::InvalidValue if value.is_empty() => (codes::T0104, format!("`{argument}` needs a value")),
        ErrorKind::InvalidValue => {
            let valid = texts(error, ContextKind::ValidValue).join(", ");
            (codes::T0103, format!("`{value}` is no value of `{argument}`: it is one of {valid}"))
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            (codes::T0103, format!("`{value}` is no value of `{argument}`: {reason}"))
        }
        ErrorKind::MissingRequiredArgument => (codes::T0104, format!("missing: {argument}")),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            (codes::T0104, "missing: a command".to_owned())
        }
        ErrorKind::ArgumentConflict => {
            let other = texts(error, ContextKind::PriorArg).join(" ");
            let same = other == *argument || other.is_empty();
            let other = if same { "itself: give it once".to_owned() } else { format!("`{other}`") };
            (codes::T0105, format!("`{argument}` cannot be used with {other}"))
        }
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            (codes::T0106, first)
        }
    }
}

/// The names and values that the parser thinks were meant.
fn suggestions(error: &Error) -> Vec<String> {
    [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .flat_map(|kind| texts(error, kind))
        .collect()
}

/// The same command line with the wrong word replaced by what was likely meant.
fn corrected(error: &Error, wrong: &[String; 3], arguments: &[OsString]) -> Option<String> {
    let suggested = suggestions(error);
    // The parser lists them in an order of its own, the likeliest last; what it was one slip away from comes before.
    let likeliest =
        wrong.iter().find_map(|wrong| nearest(wrong, suggested.iter().map(String::as_str)).into_iter().next());
    let right = likeliest.map(str::to_owned).or_else(|| suggested.last().cloned())?;
    let mut words: Vec<String> = Vec::with_capacity(arguments.len());
    let mut replaced = false;
    for argument in arguments.iter().skip(1) {
        let word = argument.to_str()?;
        // Of an option only the name is replaced.
        let right_word = wrong.iter().filter(|wrong| !wrong.is_empty()).find_map(|wrong| {
            let rest = word.strip_prefix(wrong.as_str())?;
            (rest.is_empty() || rest.starts_with('=')).then(|| format!("{right}{rest}"))
        });
        match right_word {
            Some(right_word) if !replaced => {
                replaced = true;
                words.push(quoted(&right_word));
            }
            _ => words.push(quoted(word)),
        }
    }
    replaced.then(|| format!("taffrail {}", words.join(" ")))
}

/// Whether a text is a command of this program that can be run as it is.
#[must_use]
pub fn is_command(text: &str) -> bool {
    let is_taken = |error: clap::Error| error.kind() == clap::error::ErrorKind::DisplayHelp;
    text.starts_with("taffrail ") && Arguments::try_parse_from(text.split(' ')).map_or_else(is_taken, |_| true)
}

/// A word as a shell takes it for one word.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_=./:,@%+~".contains(character);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('~') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `taffrail log append`: the commands that can be made out.
fn command_path(definition: &Command, arguments: &[OsString]) -> String {
    let mut path = "taffrail".to_owned();
    let mut command = definition;
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(next) = command.find_subcommand(word) {
            path = format!("{path} {}", next.get_name());
            command = next;
        }
    }
    path
}

fn texts(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory, Parser};

    use super::{is_command, problem, quoted};
    use crate::arguments::Arguments;
    use crate::exit::Exit;

    fn refused(line: &[&str]) -> (String, String, String) {
        let words: Vec<OsString> =
            std::iter::once("taffrail").chain(line.iter().copied()).map(OsString::from).collect();
        let error = Arguments::try_parse_from(&words).expect_err("refused");
        let problem = problem(&error, &Arguments::command(), &words);
        assert_eq!(problem.exit, Exit::Usage);
        (problem.code.to_string(), problem.message, problem.hint.expect("a hint"))
    }

    #[test]
    fn every_kind_of_mistake_has_a_code_a_reason_and_a_command_to_run() {
        let table: &[(&[&str], &str, &str, &str)] = &[
            (&["explian", "T0101"], "T0101", "there is no command `explian`", "taffrail explain T0101"),
            (
                &["-s", "explianer", "explian"],
                "T0101",
                "there is no command `explian`",
                "taffrail -s explianer explain",
            ),
            (&["frobnicate"], "T0101", "there is no command `frobnicate`", "taffrail --help"),
            (&["--jsn", "explain"], "T0102", "unexpected argument `--jsn`", "taffrail --json explain"),
            (
                &["explain", "--colour=never"],
                "T0102",
                "unexpected argument `--colour`",
                "taffrail explain --color=never",
            ),
            (&["explain", "T0101", "a b"], "T0102", "unexpected argument `a b`", "taffrail explain --help"),
            (&["explain", "-x"], "T0102", "unexpected argument `-x`", "taffrail explain --help"),
            (
                &["-o", "jsonx", "explain"],
                "T0103",
                "`jsonx` is no value of `--output <FORMAT>`: it is one of human, json, jsonl, hex, raw",
                "taffrail -o json explain",
            ),
            (
                &["--lock-timeout", "5", "explain"],
                "T0103",
                "`5` is no value of `--lock-timeout <DURATION>`: expected a whole number and one of ns, us, ms, s, m, h, \
                 d (such as \"5s\"), found \"5\"",
                "taffrail explain --help",
            ),
            (&["explain", "-s"], "T0104", "`--store <PATH>` needs a value", "taffrail explain --help"),
            (&["completions"], "T0104", "missing: <SHELL>", "taffrail completions --help"),
            (&["--json"], "T0104", "missing: a command", "taffrail --help"),
            (
                &["explain", "--quiet", "--quiet"],
                "T0105",
                "`--quiet` cannot be used with itself: give it once",
                "taffrail explain --help",
            ),
        ];
        for (line, code, message, hint) in table {
            assert_eq!(refused(line), ((*code).to_owned(), (*message).to_owned(), (*hint).to_owned()), "{line:?}");
        }
    }

    #[test]
    fn hinted_commands_are_accepted() {
        for line in [&["explian", "T0101"][..], &["--jsn", "explain"], &["-o", "jsonx", "explain"]] {
            let (_, _, hint) = refused(line);
            assert!(Arguments::try_parse_from(hint.split(' ')).is_ok(), "{hint}");
        }
    }

    #[test]
    fn commands_are_told_from_advice() {
        assert!(is_command("taffrail log verify") && is_command("taffrail explain T0301"));
        assert!(!is_command("taffrail log verify tells more") && !is_command("wait for it"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, text) in [
            ("a-b.c=/x", "a-b.c=/x"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("~x", "'~x'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
