//! `taffrail state blame [RUN] PATH`

use clap::Args;
use serde::Serialize;
use taffrail::fold::{History, Start, state_json, value_at};
use taffrail::position::Position;
use taffrail::{Fold, Seq};

use super::change::ChangeReport;
use super::show::no_such_path;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::losses;
use crate::output::Format;
use crate::problem::Failure;
use crate::store::Store;
use crate::subject::Subject;
use crate::table::{Align, Table};

/// Arguments of `taffrail state blame`.
#[derive(Args, Clone, Debug)]
pub struct Blame {
    /// The run [default: the run of the store, if it has only one], and the path of a value
    #[arg(required = true, num_args = 1..=2, value_names = ["[RUN] PATH"])]
    pub words: Vec<String>,

    /// The log as it was after this position [default: head]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<Position>,
}

/// `taffrail.state_blame/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    /// The run's number; null for a fold over the store.
    run: Option<u64>,
    name: Option<&'shown str>,
    path: &'shown str,
    changes: &'shown [ChangeReport],
}

impl Blame {
    /// Shows the changes of the value, the first one first.
    ///
    /// # Errors
    /// T0516 for a path that the state never had; what naming runs and positions, reading and folding say.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("state blame", &Format::TEXT)?;
        let (run, path) = match self.words.as_slice() {
            [run, path] => (Some(run.as_str()), path.as_str()),
            [path, ..] => (None, path.as_str()),
            [] => (None, ""),
        };
        let subject = Subject::find::<F>(Store::locate(context)?, run)?;
        let to = subject.seq(self.at.as_ref())?;
        let history = History::<F>::of(&subject.reader, subject.run);
        let changes = history.blame(path, to).map_err(|error| subject.problem(&error))?;
        let exit = losses::tell(&history.losses(), &subject.store, context.output);
        if changes.is_empty() {
            let loaded = subject.reader.state::<F>(subject.run, Some(to.next()), Start::Snapshot);
            let state = state_json(&loaded.map_err(|error| subject.problem(&error))?.standing.state);
            if value_at(&state, path).is_none() {
                return Err(no_such_path(path, &state, &subject));
            }
        }
        let changes: Vec<ChangeReport> =
            changes.into_iter().map(|caused| ChangeReport::new(caused, &subject)).collect();
        if context.output.format().is_json() {
            context.output.json(&Report {
                schema: "taffrail.state_blame/1",
                fold: F::NAME,
                version: F::VERSION,
                run: subject.run.map(Seq::get),
                name: subject.name.as_deref(),
                path,
                changes: &changes,
            })?;
            return Ok(exit);
        }
        if changes.is_empty() {
            context.output.note("no event changed it: it is as every run begins");
            return Ok(exit);
        }
        let mut table = Table::new(&[
            ("SEQ", Align::Right),
            ("TIME (UTC)", Align::Left),
            ("TYPE", Align::Left),
            ("BY", Align::Left),
            ("CHANGE", Align::Left),
        ]);
        let most = if context.output.is_terminal() { 60 } else { usize::MAX };
        for change in &changes {
            let Some(cause) = change.cause() else { continue };
            table.row([
                human::thousands(cause.seq()),
                cause.time(),
                cause.type_name().to_owned(),
                cause.actor().unwrap_or("-").to_owned(),
                change.values(most),
            ]);
        }
        context.output.lines(table.lines())?;
        Ok(exit)
    }
}
