//! `taffrail log import PATH`

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use taffrail::bundle::{self, Bundle};
use taffrail::import::{ImportFailure, ImportProgress, ImportReport, babysitter, jsonl};
use taffrail::storage::{Disk, OpenMode, Storage};
use taffrail::{ErrorKind, Reader};

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human::{self, count};
use crate::interrupt;
use crate::line::{Line, Tone};
use crate::output::{Format, Output};
use crate::problem::{Failure, Problem};
use crate::progress::Bars;
use crate::store::Store;
use crate::translate;
use crate::usage::quoted;

/// How many oddities are shown to people.
const ODDITIES_SHOWN: usize = 20;

/// Arguments of `taffrail log import`.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// A directory with runs in or below it, or a file that `log export` wrote (lines or a bundle); `-` is standard input
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// What it is [default: what it looks like]
    #[arg(long, value_enum, value_name = "KIND")]
    pub from: Option<From>,

    /// Tell what would be imported, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Import a bundle although the log in it is damaged: as it is, with its damage
    #[arg(long)]
    pub accept_damage: bool,
}

/// `--from`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Lines of JSON that `log export` wrote.
    Jsonl,
    /// Run journals of babysitter: a run's directory, or any directory above some.
    Babysitter,
    /// A bundle: restored into a store without events (which is made where `--store` names none), else added to it.
    Bundle,
}

impl Import {
    /// Imports what is not there yet.
    ///
    /// # Errors
    /// T0151 where there is nothing to import; what reading the source and appending say.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log import", &Format::TEXT)?;
        let is_stream = self.path == Path::new("-");
        let is_directory = !is_stream && self.look()?;
        let from = match self.from {
            Some(from) => from,
            None if is_directory => From::Babysitter,
            None if !is_stream && self.is_bundle()? => From::Bundle,
            None => From::Jsonl,
        };
        if (from == From::Babysitter) != is_directory {
            let message =
                if is_directory { "an export is a file, and this is a directory" } else { "this is no directory" };
            return Err(Problem::new(codes::T0152, Exit::Usage, message)
                .at(self.shown())
                .hint("taffrail log import --help")
                .into());
        }
        let store = match from {
            From::Bundle => Store::locate_or_new(context, "log import")?,
            _ => Store::locate_directory(context, "log import")?,
        };
        let outcome = match from {
            From::Babysitter => self.babysitter(context, &store)?,
            From::Jsonl => self.jsonl(context, &store, is_stream)?,
            From::Bundle => self.bundle(context, &store, is_stream)?,
        };
        match outcome {
            Ok(report) => {
                show(context.output, &store, &report)?;
                Ok(Exit::Clean)
            }
            Err(failure) => Err(self.failed(context, &store, &failure)),
        }
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether the source is a directory.
    fn look(&self) -> Result<bool, Failure> {
        self.path.metadata().map(|metadata| metadata.is_dir()).map_err(|error| {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let (code, exit) = if is_missing { (codes::T0151, Exit::Differs) } else { (codes::T0309, Exit::Io) };
            let problem = Problem::new(code, exit, format!("cannot look at the source: {error}"));
            problem.at(self.shown()).hint(format!("taffrail explain {code}")).into()
        })
    }

    fn is_bundle(&self) -> Result<bool, Failure> {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        // What is no regular file, such as a pipe, is read as a stream of lines.
        let Ok(file) = Disk::new(path.parent().unwrap_or(Path::new("/"))).open(&name, OpenMode::Read) else {
            return Ok(false);
        };
        Bundle::is_one(&*file).map_err(|error| translate::engine(&self.path, &error).into())
    }

    fn bundle(
        &self,
        context: &mut Context<'_>,
        store: &Store,
        is_stream: bool,
    ) -> Result<Result<ImportReport, ImportFailure>, Failure> {
        if is_stream || self.dry_run {
            let message = match is_stream {
                true => "a bundle is read from a file, and not from a stream",
                false => "there is no dry run of a bundle: `taffrail -s FILE log dump` shows what is in it",
            };
            return Err(Problem::new(codes::T0152, Exit::Usage, message)
                .at(self.shown())
                .hint("taffrail explain T0152")
                .into());
        }
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let disk = Arc::new(Disk::new(path.parent().unwrap_or(Path::new("/"))));
        let bundle = Bundle::open(disk, &name).map_err(|error| translate::engine(&self.path, &error))?;
        let options = store.options(context)?.create(true);
        let mut bars = Bars::new(context.output);
        // A restore is taken back, and what was added by then stays.
        interrupt::wait_for_me();
        let storage = store.storage();
        let mut tell = |what, done, total| bars.show(what, done, total);
        Ok(bundle::import(&bundle, &storage, options, self.accept_damage, &mut tell))
    }

    fn babysitter(
        &self,
        context: &mut Context<'_>,
        store: &Store,
    ) -> Result<Result<ImportReport, ImportFailure>, Failure> {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let (disk, label) = (Disk::new(&path), path.to_string_lossy().into_owned());
        let source = babysitter::Source { storage: &disk, path: &label };
        let mut bars = Bars::new(context.output);
        let mut tell = |progress: &ImportProgress| bars.show("importing", progress.runs_done, progress.runs_total);
        // What has been read by then is appended.
        interrupt::wait_for_me();
        if self.dry_run {
            let reader: Reader = store.reader()?;
            return Ok(babysitter::import(&babysitter::Target::DryRun(Some(&reader)), source, &mut tell));
        }
        let journal = store.open(context)?;
        let outcome = babysitter::import(&babysitter::Target::Journal(&journal), source, &mut tell);
        if outcome.is_ok() {
            journal.close().map_err(|error| store.problem(&error))?;
        }
        Ok(outcome)
    }

    fn jsonl(
        &self,
        context: &mut Context<'_>,
        store: &Store,
        is_stream: bool,
    ) -> Result<Result<ImportReport, ImportFailure>, Failure> {
        if self.dry_run {
            let message = "there is no dry run of an export: what is in it is in its lines";
            return Err(Problem::new(codes::T0152, Exit::Usage, message)
                .at(self.shown())
                .hint("taffrail explain T0152")
                .into());
        }
        let options = store.options(context)?;
        let mut total_bytes = 0;
        let mut input: Box<dyn BufRead> = if is_stream {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let opened = OpenOptions::new().read(true).open(&self.path);
            let file = opened.map_err(|error| {
                Problem::new(codes::T0309, Exit::Io, format!("cannot open the export: {error}"))
                    .at(self.shown())
                    .hint("taffrail explain T0309")
            })?;
            total_bytes = file.metadata().map_or(0, |metadata| metadata.len());
            Box::new(BufReader::with_capacity(1 << 18, file))
        };
        let mut bars = Bars::new(context.output);
        let mut tell = |progress: &ImportProgress| bars.show("importing", progress.bytes, total_bytes);
        // Nobody asks while a read waits for standard input.
        if !is_stream {
            interrupt::wait_for_me();
        }
        let storage = Arc::clone(&store.disk) as Arc<_>;
        Ok(jsonl::import(&storage, options, &mut input, &mut tell))
    }

    /// A problem of what is imported. What was taken for an export since it is nothing else may be none.
    fn of_source(&self, problem: Problem) -> Problem {
        let is_taken_for_one = self.from.is_none() && problem.message.starts_with("line 1: ");
        let message = match is_taken_for_one {
            true => format!("this is neither an export nor a bundle nor a directory of runs: {}", problem.message),
            false => problem.message.clone(),
        };
        Problem { message, ..problem }.at(self.shown())
    }

    /// What ended the import, and how much of it is there.
    fn failed(&self, context: &mut Context<'_>, store: &Store, failure: &ImportFailure) -> Failure {
        let (error, report) = (&failure.error, &failure.report);
        let problem = match interrupt::is_requested() {
            true => Problem::new(codes::T0182, Exit::Interrupted, "the import was interrupted"),
            false if SOURCE_CODES.contains(&error.code()) => self.of_source(store.problem(error)),
            false => store.problem(error),
        };
        let added = [("runs", report.runs_count), ("events", report.events_added), ("files", report.files_kept)];
        let problem = added.iter().fold(problem, |problem, (key, value)| problem.with(key, *value));
        if report.events_added > 0 {
            let done = format!("before that, {} were imported and are safe", count(report.events_added, "event"));
            context.output.note(Line::new().plain(&done));
        }
        let again =
            matches!(error.kind(), ErrorKind::Io | ErrorKind::Locked | ErrorKind::Poisoned | ErrorKind::Conflict);
        if again && self.path != Path::new("-") {
            // What is there is not imported again, so the same command goes on where this one stopped.
            return problem.hint(store.command(&format!("log import {}", quoted(&self.path.to_string_lossy())))).into();
        }
        problem.into()
    }
}

/// Errors that are of what is imported, and not of the store.
const SOURCE_CODES: [&str; 9] = ["T0151", "T0152", "T0161", "T0162", "T0164", "T0165", "T0170", "T0171", "T0174"];

fn show(output: &mut Output, store: &Store, report: &ImportReport) -> Result<(), Failure> {
    if output.format().is_json() {
        return Ok(output.json(report)?);
    }
    let verb = match (report.dry_run, report.restored) {
        (true, _) => "would import",
        (false, true) => "restored",
        (false, false) => "imported",
    };
    let what = format!("{}, {}", count(report.runs_count, "run"), count(report.events_added, "event"));
    let mut line = Line::new().tone(Tone::Good, verb).plain(" ").plain(&what);
    if report.events_already_there > 0 {
        line = line.plain(&format!(" ({} already there)", count(report.events_already_there, "event")));
    }
    let oddities = &report.oddities;
    if oddities.count > 0 {
        let noun = if oddities.count == 1 { "oddity" } else { "oddities" };
        let number = human::thousands(oddities.count);
        let known = oddities.count - oddities.new;
        let known = if known > 0 { format!(" ({} known)", human::thousands(known)) } else { String::new() };
        line = line.plain(&format!("; {number} {noun} kept and reported{known}"));
    }
    if report.redacted > 0 {
        line = line.plain(&format!("; {} redacted", count(report.redacted, "place")));
    }
    output.line(line.plain("."))?;
    for note in &report.notes {
        output.warning(note);
    }
    for oddity in oddities.listed.iter().take(ODDITIES_SHOWN) {
        let place = oddity.run.as_ref().map_or_else(String::new, |run| format!("{run}: "));
        let text = format!("{place}{}: {}", oddity.file, human::digests_cut(&oddity.reason));
        output.line(Line::new().plain("  ").tone(Tone::Warning, &oddity.code).plain("  ").plain(&text))?;
    }
    if oddities.count > ODDITIES_SHOWN as u64 {
        let more = human::thousands(oddities.count - ODDITIES_SHOWN as u64);
        let command = store.command("log dump --type taffrail.import.Oddities -o jsonl");
        output.line(Line::new().plain(&format!("  and {more} more: {command}")))?;
    }
    Ok(())
}
