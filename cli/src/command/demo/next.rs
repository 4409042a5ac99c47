//! What to try after the demo.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use taffrail::import::babysitter::{Source, Target, import};
use taffrail::storage::Disk;

use super::steps::RUNS;
use crate::human::count;
use crate::line::{Line, Tone};
use crate::usage::quoted;

/// Commands that are worth trying in the demo's directory.
const WORTH_TRYING: [(&str, &str); 4] = [
    ("taffrail log stat", "what the log holds, by type"),
    ("taffrail log dump --run release-42", "one run, event by event"),
    ("taffrail log dump --type babysitter --where 'data.data.kind == \"breakpoint\"'", "what waited for a person"),
    ("taffrail explain T0401", "an error code, explained"),
];

/// Commands for whoever has runs of an orchestrator.
const WITH_OWN_RUNS: [(&str, &str); 2] = [
    ("taffrail store init", "a store in .taffrail, beside .a5c"),
    ("taffrail log import .a5c/runs", "your runs are only read, and may go on meanwhile; again later adds what is new"),
];

/// A command, and what it is good for.
#[derive(Debug, Serialize)]
pub(super) struct Next {
    pub(super) command: String,
    pub(super) about: String,
}

/// What makes `taffrail` this program, where typing it does not lead here yet.
pub(super) fn alias() -> Option<Next> {
    let program = program_beside_the_path()?;
    let alias = format!("alias taffrail={}", quoted(&program.to_string_lossy()));
    Some(next(&alias, "the program is not on your PATH"))
}

/// What to type, in this order.
pub(super) fn commands(directory: &Path) -> Vec<Next> {
    let enter = format!("cd {}", quoted(&directory.to_string_lossy()));
    let mut commands = vec![next(&enter, "the store in .taffrail is found from here")];
    commands.extend(WORTH_TRYING.iter().map(|(command, about)| next(command, about)));
    commands
}

/// What to type where the user's own runs are.
pub(super) fn with_own_runs() -> Vec<Next> {
    WITH_OWN_RUNS.iter().map(|(command, about)| next(command, about)).collect()
}

fn next(command: &str, about: &str) -> Next {
    Next { command: command.to_owned(), about: about.to_owned() }
}

/// This program, where typing `taffrail` does not lead to it.
fn program_beside_the_path() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).map(|directory| directory.join("taffrail")).find(|path| path.is_file());
    let is_this = |found: PathBuf| found.canonicalize().ok() == program.canonicalize().ok();
    if first.is_some_and(is_this) { None } else { Some(program) }
}

/// The user's own runs, in the working directory.
#[derive(Debug, Serialize)]
pub(super) struct OwnRuns {
    path: &'static str,
    runs: u64,
    events: u64,
    oddities: u64,
}

impl OwnRuns {
    /// Looks, and writes nothing. `None` where there are none, or none that can be read: the import would say why.
    pub(super) fn look() -> Option<Self> {
        let disk = Disk::new(RUNS);
        if !Path::new(RUNS).is_dir() {
            return None;
        }
        let report =
            import(&Target::DryRun(None), Source { storage: &disk, path: RUNS }, &mut |_| ControlFlow::Continue(()))
                .ok()?;
        let (runs, events, oddities) = (report.runs_count, report.events_added, report.oddities.count);
        Some(Self { path: RUNS, runs, events, oddities })
    }

    pub(super) fn line(&self) -> Line {
        let (runs, events) = (count(self.runs, "run"), count(self.events, "event"));
        let oddities = match self.oddities {
            0 => String::new(),
            1 => ", with 1 oddity".to_owned(),
            many => format!(", with {} oddities", crate::human::thousands(many)),
        };
        let found = format!("{runs}, {events}{oddities}");
        Line::new().plain(&format!("Your own {} here: ", self.path)).tone(Tone::Good, &found).plain(" (only read)")
    }
}
