//! `taffrail log append`

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::{Appended, Batch, Error, Expect, Journal, TypeEntry};

use super::input::{Chunks, Defaults, Event, Stopped};
use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::{Format, OutputError};
use crate::problem::{Failure, Problem};
use crate::store::Store;
use crate::usage::quoted;

/// Arguments of `taffrail log append`.
#[derive(Args, Clone, Debug)]
pub struct Append {
    /// The run; for lines that name none, if the events come from standard input
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// The type; for lines that name none, if the events come from standard input
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,

    /// The event's data, as JSON; without it, JSON lines {"run", "type", "data"} are read from standard input
    #[arg(requires = "run", requires = "kind")]
    pub data: Option<String>,

    /// Make runs that do not exist
    #[arg(long)]
    pub create: bool,

    /// Append only if the run is at this revision (0: it is new), else exit 7
    #[arg(long, value_name = "REVISION", requires = "run")]
    pub expect: Option<u32>,

    /// Append all of the input as one batch: all or nothing
    #[arg(long)]
    pub atomic: bool,

    /// Check the input and say what would be appended
    #[arg(long)]
    pub dry_run: bool,
}

/// `taffrail.appended/1`: written for each batch when it is durable.
#[derive(Debug, Serialize)]
struct Acknowledgement {
    schema: &'static str,
    first: u64,
    last: u64,
    durable: u64,
    /// The revision that the run has now, where the batch is of one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    /// How many places were redacted before anything was written, where any were.
    #[serde(skip_serializing_if = "is_zero")]
    redacted: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// `taffrail.append-plan/1`
#[derive(Debug, Default, Serialize)]
struct Plan {
    schema: &'static str,
    events: u64,
    bytes: u64,
    runs: BTreeSet<String>,
    types: BTreeSet<String>,
}

impl Append {
    /// Appends the events and acknowledges them.
    ///
    /// # Errors
    /// T0147, T0142, T0150 for the input, with its line; T0141, T0145 and what else appending says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log append", &Format::TEXT)?;
        let store = Store::locate_directory(context, "log append")?;
        let mut appender = Appender {
            command: self,
            store: &store,
            journal: None,
            types: BTreeMap::new(),
            revision: self.expect,
            durable: None,
            deaf: false,
            plan: Plan { schema: "taffrail.append-plan/1", ..Plan::default() },
        };
        match (&self.data, &self.run, &self.kind) {
            (Some(data), Some(run), Some(kind)) => {
                appender.append(context, &[Event::of_arguments(run, kind, data)?])?;
            }
            _ => self.append_input(context, &mut appender)?,
        }
        appender.finish(context)
    }

    fn append_input(&self, context: &mut Context<'_>, appender: &mut Appender<'_>) -> Result<(), Failure> {
        let defaults = Defaults { run: self.run.as_deref(), kind: self.kind.as_deref() };
        if io::stdin().is_terminal() {
            context.output.note(
                "reading JSON lines {run, type, data} from the terminal: a line for each event, Ctrl-D ends them",
            );
        }
        let mut chunks = Chunks::new(io::stdin().lock());
        let mut gathered: Vec<Event> = Vec::new();
        let mut gathered_len_bytes = 0;
        let mut any = false;
        // Whatever is wrong with the input is found before the lock is taken for it.
        while let Some(lines) = chunks.next_chunk().map_err(|stopped| appender.told(unread(&stopped)))? {
            let mut events = Vec::with_capacity(lines.len());
            let mut bad = None;
            for (number, line) in lines {
                match Event::of_line(&line, number, defaults).and_then(|event| self.check_run(event)) {
                    Ok(event) => events.push(event),
                    Err(problem) => {
                        bad = Some(problem);
                        break;
                    }
                }
            }
            any |= bad.is_some() || !events.is_empty();
            if self.atomic {
                gathered_len_bytes += events.iter().map(|event| event.payload.len() as u64).sum::<u64>();
                gathered.append(&mut events);
                if gathered_len_bytes > Batch::MAX_LEN_BYTES {
                    return Err(too_long());
                }
            } else if !events.is_empty() {
                appender.append(context, &events)?;
            }
            if let Some(problem) = bad {
                return Err(appender.told(*problem).into());
            }
        }
        if !any {
            return Err(nothing());
        }
        if !gathered.is_empty() {
            appender.append(context, &gathered)?;
        }
        Ok(())
    }

    /// A revision is of one run: with `--expect` all lines are of that one.
    fn check_run(&self, event: Event) -> Result<Event, Box<Problem>> {
        match (&self.run, self.expect) {
            (Some(run), Some(_)) if *run != event.run => {
                let message = format!("--expect is of run {run:?}, and this line is of {:?}", event.run);
                let problem = Problem::new(codes::T0147, Exit::Usage, message)
                    .at(format!("line {}", event.line))
                    .hint("taffrail explain T0147")
                    .with("line", event.line);
                Err(Box::new(problem))
            }
            _ => Ok(event),
        }
    }
}

/// What appends, and what it has acknowledged so far.
struct Appender<'command> {
    command: &'command Append,
    store: &'command Store,
    /// Opened for the first batch.
    journal: Option<Journal>,
    types: BTreeMap<String, Arc<TypeEntry>>,
    /// The revision that is expected next.
    revision: Option<u32>,
    /// The last seq acknowledged.
    durable: Option<u64>,
    /// Nobody reads the acknowledgements any more. The events are appended all the same: they are what was asked for.
    deaf: bool,
    plan: Plan,
}

impl Appender<'_> {
    /// Appends events in order, as one batch. One that cannot be appended ends it: unless `--atomic` was given, those before
    /// it are appended first.
    fn append(&mut self, context: &mut Context<'_>, mut events: &[Event]) -> Result<(), Failure> {
        if self.command.dry_run {
            self.count(events);
            return Ok(());
        }
        let mut count = events.len();
        while !events.is_empty() {
            let (now, later) = events.split_at(count);
            match self.append_batch(context, now)? {
                Ok(appended) => {
                    self.acknowledge(context, now, &appended)?;
                    events = later;
                    count = later.len();
                }
                Err(error) if count > 1 && !self.command.atomic && is_of_one_event(&error) => count /= 2,
                Err(error) => {
                    let (line, run) = now.first().map_or((0, ""), |event| (event.line, event.run.as_str()));
                    let mut problem = match count {
                        1 if error.code() == "T0141" => self.no_run(run, now, &error),
                        1 => self.store.problem_of_run(run, &error),
                        _ => self.store.problem(&error),
                    };
                    if self.command.data.is_none() && is_of_one_event(&error) && count == 1 {
                        let place = problem.place.take().unwrap_or_default();
                        problem = problem.at(format!("line {line}, {place}")).with("line", line);
                    }
                    return Err(self.told(problem).into());
                }
            }
        }
        Ok(())
    }

    /// There is no such run: the command that makes it.
    fn no_run(&self, run: &str, events: &[Event], error: &Error) -> Problem {
        let words = match (&self.command.data, events.first()) {
            (Some(data), Some(event)) => {
                format!("log append --create --run {} --type {} {}", quoted(run), quoted(&event.kind), quoted(data))
            }
            _ => "log append --create".to_owned(),
        };
        self.store.problem_of_run(run, error).hint(self.store.command(&words))
    }

    fn append_batch(&mut self, context: &Context<'_>, events: &[Event]) -> Result<Result<Appended, Error>, Failure> {
        let batch = self.batch(events);
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => self.store.open(context)?,
        };
        let result = journal.append(batch).map_err(|failed| failed.error);
        self.journal = Some(journal);
        Ok(result)
    }

    fn batch(&mut self, events: &[Event]) -> Batch {
        let mut batch = Batch::new();
        let mut runs = BTreeMap::new();
        let expect = self.revision.map_or(Expect::Any, Expect::Revision);
        for event in events {
            let run = *runs.entry(event.run.as_str()).or_insert_with(|| match self.command.create {
                true => batch.run_or_create(event.run.as_str(), expect),
                false => batch.run(event.run.as_str(), expect),
            });
            if !self.types.contains_key(&event.kind) {
                self.types.insert(event.kind.clone(), Arc::new(TypeEntry::json(&event.kind)));
            }
            if let Some(entry) = self.types.get(&event.kind) {
                batch.event(Some(run), entry, &event.payload);
            }
        }
        batch
    }

    fn acknowledge(&mut self, context: &mut Context<'_>, events: &[Event], appended: &Appended) -> Result<(), Failure> {
        let one_run = events.windows(2).all(|pair| pair[0].run == pair[1].run);
        if self.revision.is_some() {
            self.revision = Some(appended.revision);
        }
        self.durable = Some(appended.durable);
        if self.deaf {
            return Ok(());
        }
        let acknowledgement = Acknowledgement {
            schema: "taffrail.appended/1",
            first: appended.first.get(),
            last: appended.last.get(),
            durable: appended.durable,
            revision: one_run.then_some(appended.revision),
            redacted: appended.redacted,
        };
        match context.output.json(&acknowledgement).and_then(|()| context.output.flush()) {
            Err(OutputError::Closed) => self.deaf = true,
            other => other?,
        }
        Ok(())
    }

    /// A problem, with what has been acknowledged before it.
    fn told(&self, problem: Problem) -> Problem {
        match self.durable {
            Some(durable) => problem.with("durable", durable),
            None => problem,
        }
    }

    fn count(&mut self, events: &[Event]) {
        self.plan.events += events.len() as u64;
        self.plan.bytes += events.iter().map(|event| event.payload.len() as u64).sum::<u64>();
        self.plan.runs.extend(events.iter().map(|event| event.run.clone()));
        self.plan.types.extend(events.iter().map(|event| event.kind.clone()));
    }

    fn finish(mut self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        if self.command.dry_run {
            if context.output.format().is_json() {
                context.output.json(&self.plan)?;
            } else {
                let Plan { events, bytes, runs, types, .. } = &self.plan;
                let (events, runs) = (human::count(*events, "event"), human::count(runs.len() as u64, "run"));
                let (types, bytes) = (human::count(types.len() as u64, "type"), human::byte_size(*bytes));
                let text = format!("would append {events} of {types} to {runs}: {bytes} of data   (nothing written)");
                context.output.line(text.as_str())?;
            }
            return Ok(Exit::Clean);
        }
        if let Some(journal) = self.journal.take() {
            journal.close().map_err(|error| self.store.problem(&error))?;
        }
        if self.deaf { Err(Failure::OutputClosed) } else { Ok(Exit::Clean) }
    }
}

/// Whether an error may be of one event of a batch, so that the others can go without it.
fn is_of_one_event(error: &Error) -> bool {
    matches!(error.code(), "T0141" | "T0142" | "T0143" | "T0144")
}

fn unread(stopped: &Stopped) -> Problem {
    let (code, exit) = match stopped {
        Stopped::LongLine(_) => (codes::T0144, Exit::Usage),
        Stopped::Source(_) => (codes::T0309, Exit::Io),
    };
    let problem = Problem::new(code, exit, stopped.to_string()).hint(format!("taffrail explain {code}"));
    match stopped {
        Stopped::LongLine(line) => problem.at(format!("line {line}")).with("line", *line),
        Stopped::Source(_) => problem,
    }
}

fn too_long() -> Failure {
    let message = format!("the batch takes more than {} bytes, the most that is stored as one", Batch::MAX_LEN_BYTES);
    Problem::new(codes::T0144, Exit::Usage, message).hint("taffrail explain T0144").into()
}

fn nothing() -> Failure {
    let message = "there is nothing to append: no data was given, and standard input has no line";
    Problem::new(codes::T0104, Exit::Usage, message).hint("taffrail log append --help").into()
}
