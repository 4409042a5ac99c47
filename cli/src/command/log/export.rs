//! `taffrail log export`

use std::io;

use clap::Args;
use taffrail::export::{Selection, export};
use taffrail::position::PositionRange;
use taffrail::storage::Storage;

use crate::command::Context;
use crate::escape;
use crate::exit::Exit;
use crate::output::{Format, OutputError};
use crate::problem::Failure;
use crate::store::Store;

/// Arguments of `taffrail log export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// A range of positions A..B (half-open, either side may be left out) [default: everything]
    pub range: Option<PositionRange>,

    /// Only events of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}

impl Export {
    /// Prints the lines, whatever the format.
    ///
    /// # Errors
    /// T0141 for an unknown run; what reading says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log export", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let mut selection = Selection::default();
        if let Some(range) = &self.range {
            let bounds = reader.resolve_range(range, store.disk.now_ns());
            (selection.from, selection.until) = bounds.map_err(|error| store.problem(&error))?;
        }
        if let Some(run) = &self.run {
            selection.run = Some(reader.find_run(run).map_err(|error| store.problem(&error))?);
        }
        let output = &mut *context.output;
        let mut refused: Option<OutputError> = None;
        let exported = export(&reader, &selection, &mut |line| {
            // The escapes of JSON say the same, and neither a terminal nor a person is misled by them.
            output.bytes(escape::json(line).as_bytes()).map_err(|error| {
                refused = Some(error);
                io::Error::other("standard output")
            })
        });
        if let Some(error) = refused {
            return Err(error.into());
        }
        exported.map_err(|error| store.problem(&error))?;
        Ok(Exit::Clean)
    }
}
