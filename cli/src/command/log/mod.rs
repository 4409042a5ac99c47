//! `taffrail log ...`

pub mod append;
pub mod compact;
pub mod dump;
pub mod export;
pub mod import;
pub mod input;
pub mod mark;
pub mod redact;
pub mod repair;
mod repair_text;
pub mod stat;
pub mod verify;

use clap::Subcommand;
use taffrail::Fold;

use super::Context;
use crate::exit::Exit;
use crate::problem::Failure;

/// The commands of the log.
#[derive(Clone, Debug, Subcommand)]
pub enum Log {
    /// Append events: one given here, or JSON lines {run, type, data} from standard input
    Append(append::Append),
    /// Show events
    Dump(dump::Dump),
    /// Print events with all that is needed to have them back
    ///
    /// Larger artifacts (blobs) that events name are not part of it: the last line counts them. Where the lines are
    /// imported, `log verify` tells which are missing.
    Export(export::Export),
    /// Take over what other programs recorded, or an export
    Import(import::Import),
    /// Give the present position a name
    Mark(mark::Mark),
    /// Take secrets out of events, for good: a plan first, then that plan and no other
    Redact(redact::Redact),
    /// Count what the log holds, by type, run or segment
    Stat(stat::Stat),
    /// Take damage out of the log, and record what is absent: a plan first, then that plan and no other
    Repair(repair::Repair),
    /// Take events out of the log that nobody needs any more, to an archive: a plan first, then that plan and no other
    Compact(compact::Compact),
    /// Check every byte, and name what is lost
    Verify(verify::Verify),
}

impl Log {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command says.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Append(append) => append.run(context),
            Self::Dump(dump) => dump.run(context),
            Self::Export(export) => export.run(context),
            Self::Import(import) => import.run(context),
            Self::Mark(mark) => mark.run(context),
            Self::Redact(redact) => redact.run::<F>(context),
            Self::Stat(stat) => stat.run(context),
            Self::Repair(repair) => repair.run(context),
            Self::Compact(compact) => compact.run::<F>(context),
            Self::Verify(verify) => verify.run(context),
        }
    }
}
