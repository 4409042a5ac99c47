//! `taffrail run ...`

pub mod acknowledge;
pub mod close;
pub mod fork;
pub mod list;
mod plan_text;
mod planned;
pub mod rewind;
pub mod show;
pub mod undo;
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
    /// Take a run back to an earlier place of its history: a plan first
    Rewind(rewind::Rewind),
    /// Begin a run as another one was: a plan first
    Fork(fork::Fork),
    /// End a run, whatever its state: a plan first
    Close(close::Close),
    /// Take back a run's last close, or else its last rewind: a plan first
    Undo(undo::Undo),
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
            Self::Rewind(rewind) => rewind.run(context),
            Self::Fork(fork) => fork.run(context),
            Self::Close(close) => close.run(context),
            Self::Undo(undo) => undo.run(context),
        }
    }
}
