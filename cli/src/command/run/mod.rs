//! `taffrail run ...`

pub mod list;
pub mod show;
mod waits;

use clap::Subcommand;

use super::Context;
use crate::exit::Exit;
use crate::problem::Failure;

/// The commands of runs.
#[derive(Clone, Debug, Subcommand)]
pub enum Run {
    /// List the runs: what each is doing, and what it waits for
    List(list::List),
    /// Show one run: what happened, what it waits for, what it cost, what is wrong with it
    Show(show::Show),
}

impl Run {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
        }
    }
}
