//! The engine's errors as problems.

use std::path::Path;

use taffrail::config::{ConfigError, ConfigErrorKind};
use taffrail::expr::{ExpressionError, ExpressionErrorKind};
use taffrail::position::PositionError;
use taffrail::{Error, ErrorKind};

use crate::codes;
use crate::exit::Exit;
use crate::locate::LocateError;
use crate::problem::Problem;
use crate::usage;

/// An expression that does not parse.
#[must_use]
pub fn expression(source: &str, error: &ExpressionError) -> Problem {
    let code = match &error.kind {
        ExpressionErrorKind::TooLong { .. }
        | ExpressionErrorKind::TooDeep { .. }
        | ExpressionErrorKind::TooManyPatterns { .. } => codes::T0202,
        ExpressionErrorKind::Pattern(_) => codes::T0203,
        _ => codes::T0201,
    };
    // An excerpt is enough to recognise a long expression.
    let excerpt: String = source.chars().take(80).collect();
    let shown = if excerpt.len() < source.len() { format!("{excerpt}...") } else { excerpt };
    Problem::new(code, Exit::Usage, error.kind.to_string())
        .at(format!("column {} of: {shown}", error.column))
        .hint(format!("taffrail explain {code}"))
        .with("column", error.column)
}

/// A position or range that does not parse.
#[must_use]
pub fn position(error: &PositionError) -> Problem {
    Problem::new(codes::T0120, Exit::Usage, error.to_string())
        .hint("taffrail explain T0120")
        .with("example", error.kind.example())
}

/// A configuration file that does not hold.
#[must_use]
pub fn config(path: &Path, error: &ConfigError) -> Problem {
    let problem = Problem::new(codes::T0130, Exit::Usage, error.kind.to_string())
        .at(format!("{}:{}:{}", path.display(), error.line, error.column))
        .hint("taffrail explain T0130")
        .with("line", error.line)
        .with("column", error.column);
    match &error.kind {
        ConfigErrorKind::UnknownKey { nearest, .. } => problem.with("nearest", nearest.clone()),
        _ => problem,
    }
}

/// A store that cannot be found.
#[must_use]
pub fn locate(error: &LocateError) -> Problem {
    let message = error.to_string();
    match error {
        LocateError::NoStore { start } => {
            Problem::new(codes::T0110, Exit::Usage, message).at(start.display().to_string()).hint("taffrail store init")
        }
        LocateError::NotThere { path, named_by, .. } => Problem::new(codes::T0111, Exit::Usage, message)
            .at(path.display().to_string())
            .hint("taffrail explain T0111")
            .with("named_by", named_by.to_string()),
        LocateError::Foreign { path, owner } => Problem::new(codes::T0112, Exit::Usage, message)
            .at(path.display().to_string())
            .hint("taffrail explain T0112")
            .with("owner", *owner),
        LocateError::NoDirectory(_) => Problem::new(codes::T0110, Exit::Usage, message).hint("taffrail explain T0110"),
    }
}

/// An error of the engine, met on the store at a path.
#[must_use]
pub fn engine(store: &Path, error: &Error) -> Problem {
    let code = codes::of_engine(error.code());
    let at = error.at();
    let place = at.to_string();
    let place = if place.is_empty() { String::new() } else { format!(": {place}") };
    // The hint of an error is a command that can be run as it is; advice in words goes with the message.
    let command = error.hint_text().filter(|hint| usage::is_command(hint));
    let advice = error.hint_text().filter(|_| command.is_none());
    let message = advice.map_or_else(|| error.message().to_owned(), |advice| format!("{}; {advice}", error.message()));
    let mut problem = Problem::new(code, exit_of(error), message)
        .at(format!("{}{place}", store.display()))
        .hint(command.map_or_else(|| next(store, error), str::to_owned));
    if let Some(advice) = advice {
        problem = problem.with("advice", advice);
    }
    if let Some(segment) = at.segment {
        problem = problem.with("segment", segment.get());
    }
    if let Some(offset) = at.offset {
        problem = problem.with("offset", offset);
    }
    if let Some(seq) = at.seq {
        problem = problem.with("seq", seq);
    }
    problem
}

/// The command that helps with an error which names none itself.
fn next(store: &Path, error: &Error) -> String {
    let command = match (error.code(), error.at().segment) {
        // Whoever repairs a store has to see to what is not of it.
        ("T0304", Some(segment)) => return move_away(store, &format!("segments/{}", segment.file_name())),
        ("T0141", _) => "run list",
        ("T0146", _) => "log stat",
        ("T0303" | "T0312", _) => "log verify",
        (code, _) => return format!("taffrail explain {}", codes::of_engine(code)),
    };
    format!("taffrail {command}")
}

/// The command that moves a file of a store to the side of it, and over nothing.
pub(crate) fn move_away(store: &Path, file: &str) -> String {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    let beside = store.parent().unwrap_or(Path::new("")).join(format!("{name}.moved"));
    let word = |path: &Path| usage::quoted(&path.to_string_lossy());
    format!("mv -n {} {}", word(&store.join(file)), word(&beside))
}

/// The exit code of an error of the engine: its kind answers "what do I do now?".
#[must_use]
pub fn exit_of(error: &Error) -> Exit {
    match error.code() {
        // A store that is not there is a command line to be corrected, as it is for the search.
        "T0110" => return Exit::Usage,
        "T0190" => return Exit::Bug,
        _ => {}
    }
    match error.kind() {
        ErrorKind::Invalid => Exit::Usage,
        ErrorKind::NotFound | ErrorKind::Compacted => Exit::Differs,
        ErrorKind::Locked => Exit::Locked,
        ErrorKind::Io | ErrorKind::Poisoned => Exit::Io,
        ErrorKind::Damaged => Exit::Damage,
        ErrorKind::Incompatible => Exit::UnknownFormat,
        ErrorKind::Diverged => Exit::Diverged,
        ErrorKind::Rejected | ErrorKind::Conflict => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use taffrail::config::StoreConfig;
    use taffrail::expr::Expression;
    use taffrail::position::Position;

    use super::{config, expression, locate, position};
    use crate::locate::{LocateError, StoreSource};

    fn shown(problem: &super::Problem) -> Vec<String> {
        problem.lines().iter().map(|line| line.render(false)).collect()
    }

    #[test]
    fn expressions_get_their_column_and_one_of_three_codes() {
        let translated = |source: &str| expression(source, &Expression::parse(source).expect_err("no expression"));
        assert_eq!(
            shown(&translated("a = 1")),
            [
                "error[T0201]: expected `==` or `=~`, found `=`",
                "  at column 3 of: a = 1",
                "  hint: taffrail explain T0201"
            ]
        );
        assert_eq!(translated("a =~ '('").code.as_str(), "T0203");
        let long = translated(&"(".repeat(100));
        assert_eq!(long.code.as_str(), "T0202");
        assert_eq!(long.place, Some(format!("column 65 of: {}...", "(".repeat(80))));
    }

    #[test]
    fn positions_and_configurations_say_where_and_what_instead() {
        let error = "head~x".parse::<Position>().expect_err("no position");
        assert_eq!(position(&error).context["example"], "head~10");
        let error = StoreConfig::parse(b"\nsnyc = \"always\"").expect_err("no configuration");
        let problem = config(Path::new("/s/config.toml"), &error);
        assert_eq!(problem.place.as_deref(), Some("/s/config.toml:2:1"));
        assert_eq!(problem.message, "unknown key \"snyc\"; did you mean \"sync\"?");
        assert_eq!(problem.context["nearest"][0], "sync");
    }

    #[test]
    fn a_missing_store_hints_how_to_make_one() {
        let start = PathBuf::from("/work");
        assert_eq!(locate(&LocateError::NoStore { start }).hint.as_deref(), Some("taffrail store init"));
        let path = PathBuf::from("/x");
        let error = LocateError::NotThere { path, named_by: StoreSource::Environment, reason: "gone".to_owned() };
        assert_eq!(locate(&error).message, "the store named by TAFFRAIL_STORE is not there: gone");
    }
}
