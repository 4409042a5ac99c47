//! The `taffrail` command line.
//!
//! One file per command in `command/`. The library returns reports; the human text and the JSON are two renderings of
//! the same report. [`output`] is the one module that writes to the standard streams.

pub mod arguments;
pub mod codes;
pub mod command;
pub mod crash;
mod demo_files;
pub mod escape;
pub mod event;
pub mod event_table;
pub mod exit;
pub mod human;
pub mod interrupt;
pub mod line;
pub mod locate;
pub mod network;
pub mod output;
pub mod payloads;
pub mod plan;
pub mod problem;
pub mod progress;
#[cfg(test)]
mod reference;
pub mod run_names;
pub mod settings;
pub mod store;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod translate;
pub mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use arguments::Arguments;
use command::Context;
use exit::Exit;
use output::Output;
use problem::Failure;

/// Runs the command line on the process's own arguments and streams.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    crash::install_hook(arguments::style_in(&arguments));
    // Without it the signal ends the process as well, only by another number.
    let _ = interrupt::install();
    crash::guarded(|| run(&arguments, &mut Output::of_process())).into()
}

/// Runs a command line; the first argument is the program's own name.
pub fn run(arguments: &[OsString], output: &mut Output) -> Exit {
    let answer = parsed(arguments, output).and_then(|exit| Ok(output.flush().map(|()| exit)?));
    match answer {
        Ok(exit) => exit,
        Err(Failure::OutputClosed) => Exit::Clean,
        Err(Failure::Problem(problem)) => {
            // What was said before the problem comes before it; that this fails too is no news.
            let _ = output.flush();
            output.problem(&problem);
            problem.exit
        }
    }
}

fn parsed(arguments: &[OsString], output: &mut Output) -> Result<Exit, Failure> {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { global, command }) => {
            output.set_style(global.style());
            command.run(&mut Context { global: &global, output })
        }
        Err(error) => {
            output.set_style(arguments::style_in(arguments));
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    output.help(&error.render())?;
                    Ok(Exit::Clean)
                }
                // Whoever types only the name of a command, or of a group of commands, asks what there is.
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !output.format().is_json() => {
                    output.help_as_note(&error.render());
                    Ok(Exit::Usage)
                }
                _ => Err(usage::problem(&error, &Arguments::command(), arguments).into()),
            }
        }
    }
}
