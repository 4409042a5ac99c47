//! `taffrail store ...`

pub mod forget;
pub mod info;
pub mod init;
pub mod undo;

use clap::Subcommand;

use super::Context;
use crate::exit::Exit;
use crate::problem::Failure;

/// The commands of a store as a whole.
#[derive(Clone, Debug, Subcommand)]
pub enum Store {
    /// Make a store
    Init(init::Init),
    /// Show what a store is, how it stands, and what configures it
    Info(info::Info),
    /// Put back what a repair or a compaction replaced: a plan first, then that plan and no other
    Undo(undo::Undo),
    /// Remove what repairs and compactions have kept, for good: a plan first, then that plan and no other
    Forget(forget::Forget),
}

impl Store {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Init(init) => init.run(context),
            Self::Info(info) => info.run(context),
            Self::Undo(undo) => undo.run(context),
            Self::Forget(forget) => forget.run(context),
        }
    }
}
