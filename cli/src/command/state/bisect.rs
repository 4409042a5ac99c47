//! `taffrail state bisect [RUN] [FROM..TO]`

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use taffrail::expr::Expression;
use taffrail::fold::{History, Judgement};
use taffrail::position::PositionRange;
use taffrail::storage::Storage;
use taffrail::{Fold, Seq};

use super::change::CauseReport;
use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::Format;
use crate::problem::{Failure, Problem};
use crate::store::Store;
use crate::subject::Subject;
use crate::translate;

/// The exit code by which a command says that it cannot tell.
const SKIP: i32 = 125;
/// The exit code by which a command, or the shell that did not find it, ends the search.
const ABORT: i32 = 127;

/// Arguments of `taffrail state bisect`.
#[derive(Args, Clone, Debug)]
pub struct Bisect {
    /// The run [default: the run of the store, if it has only one], and a range of positions [default: all of it]
    #[arg(num_args = 0..=2, value_names = ["[RUN] FROM..TO"])]
    pub words: Vec<String>,

    /// A state is bad if this holds of it: 'status == "failed"'
    #[arg(long = "where", value_name = "EXPRESSION", conflicts_with = "command", required_unless_present = "command")]
    pub condition: Option<String>,

    /// A state is bad if this command, which is given it as JSON on standard input, exits with 1 to 124 or 126; 0 is good,
    /// 125 cannot tell, 127 ends the search
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `taffrail.state_bisect/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    /// The run's number; null for a fold over the store.
    run: Option<u64>,
    name: Option<&'shown str>,
    /// The first event after which the state is bad.
    first_bad: CauseReport,
    /// Events directly before it that could not be judged: it may have been one of them.
    skipped: Vec<u64>,
    /// How many states were judged.
    probes: u32,
}

/// How states are judged.
enum Judge {
    Condition(Expression),
    Command(Vec<OsString>),
}

/// What ends a search early.
enum Stop {
    Judge(String),
    Engine(taffrail::Error),
}

impl From<taffrail::Error> for Stop {
    fn from(error: taffrail::Error) -> Self {
        Self::Engine(error)
    }
}

impl Bisect {
    /// Finds the event.
    ///
    /// # Errors
    /// T0515 where there is nothing to find; T0517 where the command ends the search; T02 for an expression that is none;
    /// what naming runs and positions, reading and folding say.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("state bisect", &Format::TEXT)?;
        let judge = match &self.condition {
            Some(source) => {
                Judge::Condition(Expression::parse(source).map_err(|error| translate::expression(source, &error))?)
            }
            None => Judge::Command(self.command.clone()),
        };
        let (run, range) = match self.words.as_slice() {
            [] => (None, None),
            [one] if one.contains("..") => (None, Some(one)),
            [one] => (Some(one.as_str()), None),
            [run, range, ..] => (Some(run.as_str()), Some(range)),
        };
        let range = range.map(|text| text.parse::<PositionRange>()).transpose();
        let range = range.map_err(|error| translate::position(&error))?;
        let subject = Subject::find::<F>(Store::locate(context)?, run)?;
        let (from, to) = bounds(range.as_ref(), &subject)?;
        let history = History::<F>::of(&subject.reader, subject.run);
        let found = history.bisect::<Stop>(from, to, |_, state| judge.judge(state).map_err(Stop::Judge));
        let found = found.map_err(|stop| match stop {
            Stop::Judge(why) => Problem::new(codes::T0517, Exit::Refused, why).hint("taffrail explain T0517").into(),
            // There being nothing to find is an answer, and no misuse.
            Stop::Engine(error) if error.code() == codes::T0515.as_str() => {
                Problem { exit: Exit::Differs, ..subject.store.problem(&error) }.into()
            }
            Stop::Engine(error) => subject.problem(&error),
        })?;
        let exit = losses::tell(&history.losses(), &subject.store, context.output);
        let first_bad = CauseReport::new(&found.first_bad, &subject);
        if context.output.format().is_json() {
            context.output.json(&Report {
                schema: "taffrail.state_bisect/1",
                fold: F::NAME,
                version: F::VERSION,
                run: subject.run.map(Seq::get),
                name: subject.name.as_deref(),
                first_bad,
                skipped: found.skipped.iter().map(|seq| seq.get()).collect(),
                probes: found.probes,
            })?;
            return Ok(exit);
        }
        let line = Line::new().plain("first bad: ").tone(Tone::Bad, &first_bad.human());
        context.output.line(line.plain(&format!("  {}  {}", first_bad.time(), subject.title())))?;
        if let (Some(first), Some(last)) = (found.skipped.first(), found.skipped.last()) {
            let count = human::count(found.skipped.len() as u64, "event");
            let text = format!("{count} before it could not be judged (seq {first} to {last}): it may be one of them");
            context.output.line(text.as_str())?;
        }
        context.output.line(format!("{} judged", human::count(u64::from(found.probes), "state")).as_str())?;
        let words = format!("log dump {}", first_bad.seq());
        context
            .output
            .line(Line::new().tone(Tone::Hint, "look").plain(&format!(": {}", subject.store.command(&words))))?;
        Ok(exit)
    }
}

/// The events after which the state is known to be good (`None`: before the first) and bad.
fn bounds(range: Option<&PositionRange>, subject: &Subject) -> Result<(Option<Seq>, Seq), Failure> {
    let head = subject.seq(None)?;
    let Some(range) = range else { return Ok((None, head)) };
    let resolved = subject.reader.resolve_range(range, subject.store.disk.now_ns());
    let (start, end) = resolved.map_err(|error| subject.problem(&error))?;
    // Half-open: the state before the first event of the range is good, that after its last one is bad.
    let before = |seq: Seq| Seq::new(seq.count_before());
    Ok((start.and_then(before), end.and_then(before).unwrap_or(head).min(head)))
}

impl Judge {
    fn judge(&self, state: &Value) -> Result<Judgement, String> {
        match self {
            Self::Condition(condition) if condition.holds(state) => Ok(Judgement::Bad),
            Self::Condition(_) => Ok(Judgement::Good),
            Self::Command(words) => run(words, state),
        }
    }
}

fn run(words: &[OsString], state: &Value) -> Result<Judgement, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("no command was given".to_owned()) };
    let name = program.to_string_lossy();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A command may judge without reading all of it.
        let _unread = writeln!(input, "{state}");
    }
    let status = child.wait().map_err(|error| format!("{name} cannot be waited for: {error}"))?;
    match status.code() {
        Some(0) => Ok(Judgement::Good),
        Some(SKIP) => Ok(Judgement::Skip),
        Some(code) if (1..ABORT).contains(&code) => Ok(Judgement::Bad),
        _ => Err(format!("{name} ended the search: {status}")),
    }
}
