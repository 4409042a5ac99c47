//! `taffrail state show [RUN] [PATH]`

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use taffrail::fold::{Missing, Start, state_json, value_at};
use taffrail::nearest::nearest;
use taffrail::position::Position;
use taffrail::{Fold, Seq, SeqRange};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output};
use crate::problem::{Failure, Problem};
use crate::store::Store;
use crate::subject::Subject;

/// Most places of missing events that people are told one by one.
const MOST_MISSING_SHOWN: usize = 10;

/// Arguments of `taffrail state show`.
#[derive(Args, Clone, Debug)]
pub struct Show {
    /// The run, by its name or a unique prefix of it [default: the run of the store, if it has only one]
    pub run: Option<String>,

    /// Only the value at this path: keys and list places, joined by points
    pub path: Option<String>,

    /// The state after this position [default: head]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<Position>,

    /// Fold from the first event on, whatever snapshots there are
    #[arg(long)]
    pub from_origin: bool,
}

/// `taffrail.state/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    /// The run's number; null for a fold over the store.
    run: Option<u64>,
    name: Option<&'shown str>,
    /// The event after which it is the state; null before the first.
    seq: Option<u64>,
    revision: u32,
    /// Events that were applied.
    events: u64,
    /// Of the whole state's canonical bytes.
    digest: String,
    /// Events that should be there and are not.
    missing: u64,
    /// Between which events they should be.
    missing_at: Vec<Absence>,
    /// Events that can not be read, as a range, and of which nobody can tell whether they are of the run; null for none.
    doubt: Option<SeqRange>,
    /// The snapshot that the fold began at; null for the first event.
    snapshot: Option<u64>,
    /// Events up to that snapshot that are absent from the log: the state does not lack what they did.
    absent: u64,
    /// Where in the state the value is; empty for all of it.
    path: &'shown str,
    state: &'shown Value,
}

/// Events that should be there and are not.
#[derive(Debug, Serialize)]
struct Absence {
    /// The event before them; null where they are the first.
    after: Option<u64>,
    /// The event behind them.
    before: u64,
    count: u64,
    #[serde(skip)]
    text: String,
}

impl Absence {
    fn of(missing: &Missing) -> Self {
        let (after, before) = (missing.after.map(Seq::get), missing.before.get());
        Self { after, before, count: missing.count, text: missing.to_string() }
    }
}

impl Show {
    /// Shows the state.
    ///
    /// # Errors
    /// T0516 for a path that the state does not have; what naming runs and positions, reading and folding say.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("state show", &Format::TEXT)?;
        let subject = Subject::find::<F>(Store::locate(context)?, self.run.as_deref())?;
        let until = subject.seq(self.at.as_ref())?.next();
        let start = if self.from_origin { Start::Origin } else { Start::Snapshot };
        let loaded =
            subject.reader.state::<F>(subject.run, Some(until), start).map_err(|error| subject.problem(&error))?;
        for finding in &loaded.findings {
            context.output.warning(&format!("{}: {}: {}", finding.file, finding.code, finding.why));
        }
        let exit = losses::tell(&loaded.losses, &subject.store, context.output);
        let standing = &loaded.standing;
        let all = state_json(&standing.state);
        let path = self.path.as_deref().unwrap_or_default();
        let value = value_at(&all, path).ok_or_else(|| no_such_path(path, &all, &subject))?;
        let missing: u64 = standing.missing.iter().map(|missing| missing.count).sum();
        let report = Report {
            schema: "taffrail.state/1",
            fold: F::NAME,
            version: F::VERSION,
            run: subject.run.map(Seq::get),
            name: subject.name.as_deref(),
            seq: standing.seq.map(Seq::get),
            revision: standing.revision,
            events: standing.events,
            digest: standing.digest().map_err(|error| subject.problem(&error))?.to_string(),
            missing,
            missing_at: standing.missing.iter().map(Absence::of).collect(),
            doubt: standing.doubt,
            snapshot: loaded.snapshot.map(|snapshot| snapshot.seq.get()),
            absent: loaded.snapshot.map_or(0, |snapshot| snapshot.absent),
            path,
            state: value,
        };
        match context.output.format() {
            Format::Human => print(&report, &subject, context.global.verbose > 0, context.output)?,
            _ => context.output.json(&report)?,
        }
        if self.at.is_none() && standing.events == 0 && standing.lacks().next().is_none() {
            context.output.note(subject.unread::<F>()?.message());
        }
        Ok(exit)
    }
}

fn print(report: &Report<'_>, subject: &Subject, verbose: bool, output: &mut Output) -> Result<(), Failure> {
    let at = report
        .seq
        .map_or_else(|| "before its first event".to_owned(), |seq| format!("after seq {}", human::thousands(seq)));
    let events = human::count(report.events, "event");
    let began = report.snapshot.map(|seq| format!(", from the snapshot of seq {}", human::thousands(seq)));
    let text = format!("  {at}, {events} applied{}", began.unwrap_or_default());
    output.line(Line::new().tone(Tone::Heading, subject.title()).plain(&text))?;
    output.line(format!("{} version {}  digest {}", report.fold, report.version, report.digest).as_str())?;
    for missing in report.missing_at.iter().take(MOST_MISSING_SHOWN) {
        let text = format!(": {}, and the state lacks what was done there", missing.text);
        output.line(Line::new().tone(Tone::Bad, "INCOMPLETE").plain(&text))?;
    }
    if let Some(more) = report.missing_at.len().checked_sub(MOST_MISSING_SHOWN).filter(|more| *more > 0) {
        output.line(format!("            and at {}", human::count(more as u64, "more place")).as_str())?;
    }
    if let Some(SeqRange { first, last }) = report.doubt {
        let text = format!(": seq {first} to {last} can not be read, and may be of {}", subject.title());
        output.line(Line::new().tone(Tone::Bad, "IN DOUBT").plain(&text))?;
    }
    if report.absent > 0 {
        let absent = human::count(report.absent, "event");
        output
            .note(format!("{absent} before the snapshot are absent from the log; the snapshot has seen them").as_str());
    }
    output.line("")?;
    let mut rows = Vec::new();
    leaves(report.path, report.state, &mut rows);
    let all = rows.len();
    // What a person asks for by name is shown, whatever it is.
    if report.path.is_empty() && !verbose {
        rows.retain(|(_, value)| !is_nothing(value));
    }
    let hidden = all - rows.len();
    let width = rows.iter().map(|(path, _)| path.chars().count()).max().unwrap_or(0).min(40);
    let most = output.width().map_or(usize::MAX, |columns| columns.saturating_sub(width + 2).max(20));
    for (path, value) in rows {
        output.line(format!("{path:<width$}  {}", human::value(value, most)).as_str())?;
    }
    if hidden > 0 {
        output.note(format!("{} not shown; -v shows all", human::count(hidden as u64, "empty value")).as_str());
    }
    Ok(())
}

/// Null, and lists and objects that hold nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Every value that holds no others, with its path; empty lists and objects are values, too.
fn leaves<'value>(path: &str, value: &'value Value, rows: &mut Vec<(String, &'value Value)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, member)| leaves(&below(key), member, rows));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(place, item)| leaves(&below(&place.to_string()), item, rows));
        }
        _ => rows.push((path.to_owned(), value)),
    }
}

/// The error for a path that is not there, with what there is at the last place that is.
pub(super) fn no_such_path(path: &str, state: &Value, subject: &Subject) -> Failure {
    let parents = path.rmatch_indices('.').map(|(end, _)| &path[..end]).chain([""]);
    let parent = parents.into_iter().find(|parent| value_at(state, parent).is_some()).unwrap_or_default();
    let rest = path.strip_prefix(parent).unwrap_or(path).trim_start_matches('.');
    let missing = rest.split('.').next().unwrap_or(rest);
    let keys: Vec<&str> = match value_at(state, parent) {
        Some(Value::Object(members)) => members.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let near = nearest(missing, keys.iter().copied());
    let place = if parent.is_empty() { "the state".to_owned() } else { parent.to_owned() };
    let there = match (near.is_empty(), keys.is_empty()) {
        (false, _) => format!("the nearest: {}", near.join(", ")),
        (true, false) => format!("there are: {}", keys.join(", ")),
        (true, true) => "it holds no values by name".to_owned(),
    };
    let show = format!("state show {}", subject.name.as_deref().map(crate::usage::quoted).unwrap_or_default());
    Problem::new(codes::T0516, Exit::Differs, format!("{place} has no {missing:?}; {there}"))
        .hint(subject.store.command(show.trim_end()))
        .with("path", path)
        .with("nearest", near)
        .into()
}
