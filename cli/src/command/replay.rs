//! `taffrail replay`

use std::fs::OpenOptions;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use taffrail::fold::{CheckOptions, Losses, States, check_with, each_state};
use taffrail::position::Position;
use taffrail::{Fold, Folding, Replay as Pass, Seq, SeqRange};

use super::replay_check;
use super::replay_twin::Twin;
use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output, OutputError};
use crate::problem::{Failure, Problem};
use crate::run_names::RunNames;
use crate::store::Store;
use crate::subject::Subject;
use crate::table::{Align, Table};

/// The longest file of states that is read, in bytes.
const MOST_STATES_LEN_BYTES: u64 = 1 << 30;

/// Arguments of `taffrail replay`.
#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// Only this run [default: all runs]
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// Compare with every checkpoint in the log
    #[arg(long, conflicts_with = "states")]
    pub check: bool,

    /// Fold twice, in two processes, and compare the states; implies --check
    #[arg(long, conflicts_with = "states")]
    pub twice: bool,

    /// `snap:*`: compare with every snapshot; implies --check
    #[arg(long, value_name = "SNAPSHOTS", value_parser = ["snap:*"], conflicts_with = "states")]
    pub from: Option<String>,

    /// Compare with the states that another build has written with --states; implies --check
    #[arg(long, value_name = "FILE", conflicts_with = "states")]
    pub against: Option<PathBuf>,

    /// Print the state after every event, as lines of taffrail.state/1: for --against
    #[arg(long)]
    pub states: bool,

    /// The log as it was after this position [default: head]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true, conflicts_with = "states")]
    pub at: Option<Position>,
}

/// Where the fold of a run ended.
#[derive(Debug, Serialize)]
pub(super) struct RunReport {
    /// The run's number; null for a fold over the store.
    pub(super) run: Option<u64>,
    pub(super) name: Option<String>,
    /// Events that were applied.
    pub(super) events: u64,
    /// Events that should be there and are not.
    pub(super) missing: u64,
    /// Events that can not be read, as a range, and of which nobody can tell whether they are of the run; null for none.
    pub(super) doubt: Option<SeqRange>,
    /// The snapshot that the state begins at, where the log lacks events of the run; null for its first event.
    pub(super) snapshot: Option<u64>,
    /// Of the state's canonical bytes; null where the fold ended early.
    pub(super) digest: Option<String>,
    /// What ended the fold.
    pub(super) error: Option<ErrorReport>,
}

/// An error of one run.
#[derive(Debug, Serialize)]
pub(super) struct ErrorReport {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// `taffrail.replay/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    runs: &'shown [RunReport],
}

impl Replay {
    /// Folds, and compares what was asked for.
    ///
    /// # Errors
    /// T0514 for a file of states that is none; what naming runs and positions and reading say. What ends the fold of one
    /// run is told with that run, and becomes the exit code.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        if self.states {
            // A line for each state: a single document would be as long as the log.
            context.output.require("replay --states", &[Format::Human, Format::JsonLines])?;
        }
        context.output.require("replay", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        let run = match &self.run {
            Some(name) => Some(reader.find_run(name).map_err(|error| store.problem_of_run(name, &error))?.run),
            None => None,
        };
        let subject = Subject { store: store.clone(), reader, run, name: self.run.clone() };
        if self.states {
            return self.print_states::<F>(&subject, context.output);
        }
        let until = self.at.as_ref().map(|position| subject.seq(Some(position))).transpose()?.map(Seq::next);
        if !self.check && !self.twice && self.from.is_none() && self.against.is_none() {
            return fold_all::<F>(&subject, until, context.output);
        }
        let states = self.against.as_ref().map(|file| read_states(file)).transpose()?;
        let options =
            CheckOptions { run, until, twice: self.twice, snapshots: self.from.is_some(), against: states.as_ref() };
        let mut report = check_with::<F>(&subject.reader, &options).map_err(problem)?;
        if self.twice {
            Twin::new(&store, self.run.as_deref(), self.at.as_ref()).compare::<F>(&subject.reader, &mut report)?;
        }
        replay_check::print(&report, &subject, context)
    }

    fn print_states<F: Fold>(&self, subject: &Subject, output: &mut Output) -> Result<Exit, Failure> {
        let mut refused: Option<OutputError> = None;
        let folded = each_state::<F>(&subject.reader, subject.run, |line| match output.json(&line.to_json::<F>()) {
            Ok(()) => Ok(true),
            Err(error) => {
                refused = Some(error);
                Ok(false)
            }
        });
        if let Some(error) = refused {
            return Err(error.into());
        }
        folded.map_err(|error| subject.problem(&error))?;
        Ok(Exit::Clean)
    }
}

fn read_states(file: &std::path::Path) -> Result<States, Failure> {
    let unreadable = |why: String| -> Failure {
        let problem = Problem::new(codes::T0514, Exit::Io, format!("the file of states cannot be read: {why}"));
        problem.at(file.display().to_string()).hint("taffrail explain T0514").into()
    };
    if !file.is_file() {
        return Err(unreadable("it is no regular file, or it is not there".to_owned()));
    }
    let open = OpenOptions::new().read(true).open(file).map_err(|error| unreadable(error.to_string()))?;
    // One byte more than is taken tells a file that is too long, whatever it says of its length.
    let text = std::io::read_to_string(open.take(MOST_STATES_LEN_BYTES + 1));
    let text = text.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MOST_STATES_LEN_BYTES {
        return Err(unreadable(format!("it has more than {}", human::byte_size(MOST_STATES_LEN_BYTES))));
    }
    States::read(text.lines()).map_err(|error| {
        let problem = Problem::new(codes::T0514, Exit::Usage, error.message());
        problem.at(file.display().to_string()).hint("taffrail replay --states").into()
    })
}

/// Folds the run that was asked for, or all of them, and tells where each ended.
fn fold_runs<F: Fold>(
    subject: &Subject,
    until: Option<Seq>,
    output: &mut Output,
) -> Result<(Vec<RunReport>, Exit), Failure> {
    let mut replay = Pass::of_fold::<F>(&subject.reader, subject.run).map_err(|error| subject.problem(&error))?;
    replay = until.map_or(replay.clone(), |until| replay.until(until)).past_damage();
    let mut folding = Folding::<F>::over_until(&subject.reader, until).map_err(|error| subject.problem(&error))?;
    let mut lost = Losses::default();
    replay.go(&mut [&mut folding, &mut lost]).map_err(|error| subject.problem(&error))?;
    let begun = folding.begin_at_snapshots(&subject.reader, until).map_err(|error| subject.problem(&error))?;
    let mut names = RunNames::default();
    let mut exit = losses::tell(&lost, &subject.store, output);
    let mut runs = Vec::new();
    // The runs that a run began as were read for its sake alone.
    let asked_for = folding.into_standings().filter(|(run, _)| subject.run.is_none() || *run == subject.run);
    for (run, standing) in asked_for {
        let (events, missing, digest) = match &standing {
            Ok(standing) => {
                let missing = standing.missing.iter().map(|missing| missing.count).sum();
                (standing.events, missing, standing.digest())
            }
            Err(error) => (0, 0, Err(error.clone())),
        };
        let error = digest.as_ref().err().map(|error| {
            let problem = subject.store.problem(error);
            exit = exit.combine(problem.exit);
            ErrorReport { code: problem.code.as_str(), message: problem.message }
        });
        runs.push(RunReport {
            run: run.map(Seq::get),
            name: run.map(|run| names.name(&subject.reader, run)),
            events,
            missing,
            doubt: standing.as_ref().ok().and_then(|standing| standing.doubt),
            snapshot: begun.get(&run).map(|snapshot| snapshot.seq.get()),
            digest: digest.ok().map(|digest| digest.to_string()),
            error,
        });
    }
    Ok((runs, exit))
}

fn fold_all<F: Fold>(subject: &Subject, until: Option<Seq>, output: &mut Output) -> Result<Exit, Failure> {
    let (runs, exit) = fold_runs::<F>(subject, until, output)?;
    if output.format().is_json() {
        output.json(&Report { schema: "taffrail.replay/1", fold: F::NAME, version: F::VERSION, runs: &runs })?;
        return Ok(exit);
    }
    let mut table = Table::new(&[
        ("RUN", Align::Left),
        ("EVENTS", Align::Right),
        ("MISSING", Align::Right),
        ("STATE", Align::Left),
    ]);
    for run in &runs {
        let state = match (&run.digest, &run.error) {
            (Some(digest), _) => digest.clone(),
            (None, Some(error)) => format!("{}: {}", error.code, error.message),
            (None, None) => "-".to_owned(),
        };
        let missing = match (run.missing, run.doubt) {
            (0, None) => "-".to_owned(),
            (0, Some(_)) => "?".to_owned(),
            (missing, _) => human::thousands(missing),
        };
        let name = run.name.clone().unwrap_or_else(|| "(the store)".to_owned());
        table.row([name, human::thousands(run.events), missing, state]);
    }
    output.lines(table.lines())?;
    let is_unread = |run: &RunReport| run.events == 0 && run.missing == 0 && run.doubt.is_none() && run.error.is_none();
    if until.is_none() && runs.iter().all(is_unread) {
        output.note(subject.unread::<F>()?.message());
    }
    let events = runs.iter().map(|run| run.events).sum();
    let (runs, events) = (human::count(runs.len() as u64, "run"), human::count(events, "event"));
    let heading = format!("{runs}, {events} folded by {} version {}", F::NAME, F::VERSION);
    output.note(Line::new().tone(Tone::Heading, &heading));
    Ok(exit)
}
