//! The commands, one per file.

pub mod completions;
pub mod demo;
pub mod explain;
pub mod log;
pub mod man;
pub mod store;

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
    /// Runs the command.
    ///
    /// # Errors
    /// What ended it early. An answer such as "damage" is no error but an [`Exit`].
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Log(log) => log.run(context),
            Self::Store(store) => store.run(context),
            Self::Demo(demo) => demo.run(context),
            Self::Explain(explain) => explain.run(context),
            Self::Completions(completions) => completions.run(context),
            Self::Man(man) => man.run(context),
        }
    }
}
