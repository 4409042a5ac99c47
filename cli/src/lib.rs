//! The `taffrail` command line.

use std::process::ExitCode;

/// Runs the command line on the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
