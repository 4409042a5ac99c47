//! `taffrail state ...`

pub mod bisect;
pub mod blame;
mod change;
pub mod diff;
pub mod show;

use clap::Subcommand;
use taffrail::Fold;

use super::Context;
use crate::exit::Exit;
use crate::problem::Failure;

/// The commands about states.
#[derive(Clone, Debug, Subcommand)]
pub enum State {
    /// Show the state of a run after an event
    Show(show::Show),
    /// Show what changed between two positions, each change with the event that caused it
    Diff(diff::Diff),
    /// Show every change of one value, with the events that caused them
    Blame(blame::Blame),
    /// Find the first event after which a condition holds, or a command fails
    Bisect(bisect::Bisect),
}

impl State {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command says.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Show(show) => show.run::<F>(context),
            Self::Diff(diff) => diff.run::<F>(context),
            Self::Blame(blame) => blame.run::<F>(context),
            Self::Bisect(bisect) => bisect.run::<F>(context),
        }
    }
}
