//! `taffrail log export`

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use taffrail::bundle;
use taffrail::export::{Selection, export};
use taffrail::position::PositionRange;
use taffrail::storage::{Disk, Storage};

use crate::codes;
use crate::command::Context;
use crate::escape;
use crate::exit::Exit;
use crate::human;
use crate::interrupt;
use crate::line::{Line, Tone};
use crate::output::{Format, OutputError};
use crate::problem::{Failure, Problem};
use crate::progress::Bars;
use crate::store::Store;
use crate::usage::quoted;

/// Arguments of `taffrail log export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// A range of positions A..B (half-open, either side may be left out) [default: everything]
    pub range: Option<PositionRange>,

    /// Only events of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// Write a bundle instead of lines: the log with its snapshots and blobs in one compressed file, beside writers; with
    /// --run, that run and those that it was made by or forked from
    #[arg(long, value_name = "FILE", conflicts_with = "range")]
    pub bundle: Option<PathBuf>,
}

impl Export {
    /// Prints the lines, whatever the format; or writes a bundle, and tells what is in it.
    ///
    /// # Errors
    /// T0141 for an unknown run; T0172 where the bundle is there already; what reading says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log export", &Format::TEXT)?;
        if let Some(path) = &self.bundle {
            return self.bundle(path, context);
        }
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let mut selection = Selection::default();
        if let Some(range) = &self.range {
            let bounds = reader.resolve_range(range, store.disk.now_ns());
            (selection.from, selection.until) = bounds.map_err(|error| store.problem(&error))?;
        }
        if let Some(run) = &self.run {
            selection.run = Some(reader.find_run(run).map_err(|error| store.problem(&error))?);
        }
        let output = &mut *context.output;
        let mut refused: Option<OutputError> = None;
        let exported = export(&reader, &selection, &mut |line| {
            // The escapes of JSON say the same, and neither a terminal nor a person is misled by them.
            output.bytes(escape::json(line).as_bytes()).map_err(|error| {
                refused = Some(error);
                io::Error::other("standard output")
            })
        });
        if let Some(error) = refused {
            return Err(error.into());
        }
        exported.map_err(|error| store.problem(&error))?;
        Ok(Exit::Clean)
    }

    fn bundle(&self, path: &Path, context: &mut Context<'_>) -> Result<Exit, Failure> {
        let store = Store::locate_whole(context, "log export --bundle")?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            let problem = Problem::new(codes::T0103, Exit::Usage, "--bundle names no file");
            return Err(problem.at(path.display().to_string()).hint("taffrail log export --help").into());
        };
        if !directory.is_dir() {
            let problem = Problem::new(codes::T0309, Exit::Io, "the bundle's directory is not there, or is none");
            return Err(problem.at(directory.display().to_string()).hint("taffrail explain T0309").into());
        }
        let mut bars = Bars::new(context.output);
        // What is written by then is taken away again.
        interrupt::wait_for_me();
        let target = Disk::new(directory);
        let exported =
            bundle::export(&store.storage(), self.run.as_deref(), &target, name, &mut |what, done, total| {
                bars.show(what, done, total)
            });
        drop(bars);
        let report = exported.map_err(|error| match (interrupt::is_requested(), &self.run) {
            (true, _) => Problem::new(codes::T0182, Exit::Interrupted, "the export was interrupted; no file is left"),
            (false, Some(run)) => store.problem_of_run(run, &error),
            (false, None) => store.problem(&error),
        })?;
        if context.output.format().is_json() {
            context.output.json(&report)?;
            return Ok(Exit::Clean);
        }
        let what = [(report.segments, "segment"), (report.snapshots, "snapshot"), (report.blobs, "blob")];
        let what: Vec<String> = what.iter().map(|(number, noun)| human::count(*number, noun)).collect();
        let (from, to) = (human::byte_size(report.len_bytes), human::byte_size(report.bundle_len_bytes));
        let text = format!(" {}: {}, up to seq {}; {from} in {to}", path.display(), what.join(", "), report.durable);
        context.output.line(Line::new().tone(Tone::Good, "wrote").plain(&text))?;
        if report.events_behind > 0 {
            let behind = human::count(report.events_behind, "event");
            context.output.warning(&format!("{behind} behind the durable head are not in it"));
        }
        for left_out in &report.left_out {
            context.output.warning(&format!("left out: {left_out}"));
        }
        let next = format!("taffrail -s {} log verify", quoted(&path.to_string_lossy()));
        context.output.note(Line::new().tone(Tone::Hint, "check").plain(": ").plain(&next));
        Ok(Exit::Clean)
    }
}
