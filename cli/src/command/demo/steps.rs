//! The steps of the demo: each is a command line as a user types it, and is carried out as such.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use serde::Serialize;
use serde_json::value::RawValue;
use taffrail::storage::Disk;
use taffrail::{Query, Reader, Record};

use super::directory;
use crate::arguments::{Arguments, Global};
use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::locate::STORE_DIRECTORY;
use crate::output::capture::Buffer;
use crate::output::{Format, Output, Stream, Style};
use crate::problem::{Failure, Problem};
use crate::translate;
use crate::usage::quoted;

/// Where an orchestrator keeps its runs.
pub(super) const RUNS: &str = ".a5c/runs";
/// The copy that is damaged.
const DAMAGED: &str = "damaged";
/// The run whose event is damaged.
const VICTIM: &str = "release-42";
/// What is written over a byte of it.
const SPOILT: u8 = b'X';

/// A command and what it answered.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    about: &'static str,
    command: String,
    exit: u8,
    /// The command's own JSON; null for a command of the shell, which says nothing.
    answer: Option<Box<RawValue>>,
}

/// One byte of an event, overwritten in the copy.
#[derive(Debug, Serialize)]
pub(super) struct Damage {
    store: String,
    /// The event's.
    seq: u64,
    /// The segment's file, in the store.
    file: String,
    /// Of the byte, from the beginning of the file.
    offset: u64,
}

/// Does all steps. People see each as it is done; programs get all of them in the end.
pub(super) fn run_all(directory: &Path, context: &mut Context<'_>) -> Result<(Vec<Step>, Damage), Failure> {
    let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let (project, store, copy) = (directory.to_string_lossy().into_owned(), at(STORE_DIRECTORY), at(DAMAGED));
    let mut steps = Steps { global: context.global, output: context.output, done: Vec::new(), about: "" };

    steps.about("A store is made, and the journals of three runs of an orchestrator are imported into it.")?;
    steps.taffrail(&["store", "init", &store], Exit::Clean)?;
    steps.taffrail(&["-s", &project, "log", "import", &at(RUNS)], Exit::Clean)?;
    steps.about("The log keeps every event as it was, in order; this is the run that failed.")?;
    steps.taffrail(&["-s", &project, "log", "dump", "--run", "fix-login", "--type", "babysitter"], Exit::Clean)?;
    steps.about("Every byte is checked. The log counts its own events, too: types, runs, and where each imported event came from.")?;
    steps.taffrail(&["-s", &project, "log", "verify"], Exit::Clean)?;

    steps.about("Now one byte goes bad, in a copy: exactly one event is lost, and it is named.")?;
    directory::copy(Path::new(&store), Path::new(&copy))?;
    steps.shell(format!("cp -r {} {}", quoted(&store), quoted(&copy)))?;
    let damage = damage(&copy)?;
    let file = quoted(&Path::new(&copy).join(&damage.file).to_string_lossy());
    let written = char::from(SPOILT);
    steps.shell(format!("printf {written} | dd of={file} bs=1 seek={} conv=notrunc status=none", damage.offset))?;
    steps.taffrail(&["-s", &copy, "log", "verify"], Exit::Damage)?;
    steps.about("A repair is a plan first. It is applied by its name, keeps what it takes out, and can be undone.")?;
    steps.taffrail(&["-s", &copy, "log", "repair", "--mode", "salvage"], Exit::Damage)?;
    Ok((steps.done, damage))
}

struct Steps<'run> {
    global: &'run Global,
    output: &'run mut Output,
    done: Vec<Step>,
    about: &'static str,
}

impl Steps<'_> {
    /// Says what the next steps are about.
    fn about(&mut self, about: &'static str) -> Result<(), Failure> {
        self.about = about;
        if !self.output.format().is_json() {
            if !self.done.is_empty() {
                self.output.line("")?;
            }
            self.output.line(Line::new().tone(Tone::Heading, about))?;
        }
        Ok(())
    }

    /// Runs a command of this program. Another exit than the expected one means that this binary, or the machine under it,
    /// does not do what the demo says.
    fn taffrail(&mut self, words: &[&str], expected: Exit) -> Result<(), Failure> {
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let command = format!("taffrail {}", shown.join(" "));
        self.show(&command)?;
        let parsed = Arguments::try_parse_from(std::iter::once(&"taffrail").chain(words));
        let Arguments { global, command: parsed } = parsed.map_err(|error| bug(&command, &error.to_string()))?;
        let global = Global { lock_timeout: self.global.lock_timeout, ..global };
        let (exit, answer) = if self.output.format().is_json() {
            let answer = Buffer::default();
            let mut output = Output::new(Stream::plain(answer.clone()), Stream::plain(io::sink()));
            output.set_style(Style { format: Format::Json, ..Style::default() });
            let exit = parsed.run(&mut Context { global: &global, output: &mut output })?;
            output.flush()?;
            let answer = serde_json::from_str(&answer.text()).map_err(|error| bug(&command, &error.to_string()))?;
            (exit, Some(answer))
        } else {
            // Notes about what to do next are the demo's own.
            let style = self.output.style();
            self.output.set_style(Style { quiet: true, ..style });
            let exit = parsed.run(&mut Context { global: &global, output: self.output });
            self.output.set_style(style);
            (exit?, None)
        };
        if exit != expected {
            return Err(bug(&command, &format!("it ended with {}, and not with {}", exit.number(), expected.number())));
        }
        self.done.push(Step { about: self.about, command, exit: exit.number(), answer });
        Ok(())
    }

    /// Shows a command of the shell whose work has been done.
    fn shell(&mut self, command: String) -> Result<(), Failure> {
        self.show(&command)?;
        self.done.push(Step { about: self.about, command, exit: Exit::Clean.number(), answer: None });
        Ok(())
    }

    fn show(&mut self, command: &str) -> Result<(), Failure> {
        if !self.output.format().is_json() {
            self.output.line(Line::new().plain("  $ ").tone(Tone::Hint, command))?;
        }
        Ok(())
    }
}

fn bug(command: &str, what: &str) -> Failure {
    let message = format!("the demo does not go as it should: `{command}`: {what}");
    Problem::new(codes::T0190, Exit::Bug, message).hint("taffrail explain T0190").into()
}

/// Overwrites a byte in the middle of the victim's last request.
fn damage(store: &str) -> Result<Damage, Failure> {
    let problem = |error: taffrail::Error| Failure::from(translate::engine(Path::new(store), &error));
    let Some((seq, file, middle)) = victim(store).map_err(problem)? else {
        return Err(bug("log dump", "the sample has no such event"));
    };
    let path = Path::new(store).join(&file);
    let offset = spoil(&path, middle).map_err(|error| directory::unwritten(&path, &error))?;
    Ok(Damage { store: store.to_owned(), seq, file, offset })
}

/// The seq, the segment's file and a byte of the payload.
fn victim(store: &str) -> taffrail::Result<Option<(u64, String, u64)>> {
    let reader = Reader::open_on(Arc::new(Disk::new(store)))?;
    let run = reader.find_run(VICTIM)?.run;
    let query = Query { reverse: true, ..Query::all().run(run).event_type("EFFECT_REQUESTED") };
    let place = |record: Record<'_>| {
        let middle = record.offset + record.frame_len - record.payload.len() as u64 / 2;
        (record.seq.get(), format!("segments/{}", record.segment.file_name()), middle)
    };
    Ok(reader.events(query)?.next()?.map(place))
}

/// Overwrites the first byte from there on that is another one already.
fn spoil(path: &Path, from: u64) -> io::Result<u64> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut offset = from;
    let mut byte = [SPOILT];
    loop {
        file.read_exact_at(&mut byte, offset)?;
        if byte != [SPOILT] {
            file.write_all_at(&[SPOILT], offset)?;
            return Ok(offset);
        }
        offset += 1;
    }
}
