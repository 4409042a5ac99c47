//! The commands, one per file.

pub mod completions;
pub mod demo;
pub mod explain;
pub mod log;
pub mod man;
pub mod replay;
mod replay_check;
mod replay_twin;
pub mod run;
pub mod snap;
pub mod state;
pub mod store;

use taffrail::Fold;

use crate::arguments::{Command, Global};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Failure;

/// What a command is given besides its own arguments.
#[derive(Debug)]
pub struct Context<'run> {
    /// The options of every command.
    pub global: &'run Global,
    /// Where it prints.
    pub output: &'run mut Output,
}

impl Command {
    /// Runs the command; `F` is the fold that commands about states use.
    ///
    /// # Errors
    /// What ended it early. An answer such as "damage" is no error but an [`Exit`].
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Log(log) => log.run::<F>(context),
            Self::Run(run) => run.run(context),
            Self::State(state) => state.run::<F>(context),
            Self::Replay(replay) => replay.run::<F>(context),
            Self::Snap(snap) => snap.run::<F>(context),
            Self::Store(store) => store.run(context),
            Self::Demo(demo) => demo.run(context),
            Self::Explain(explain) => explain.run(context),
            Self::Completions(completions) => completions.run(context),
            Self::Man(man) => man.run(context),
        }
    }
}
