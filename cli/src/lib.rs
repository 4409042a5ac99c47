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
pub mod losses;
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
pub mod subject;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;
pub mod translate;
pub mod type_names;
pub mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use taffrail::Fold;
use taffrail::run::Runs;

use arguments::Arguments;
use command::Context;
use exit::Exit;
use output::Output;
use problem::Failure;

/// Runs the command line on the process's own arguments and streams, with the fold of runs.
#[must_use]
pub fn main() -> ExitCode {
    main_with::<Runs>()
}

/// The command line with a fold of your own: `state`, `replay` and `snap` are about its states.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use taffrail::{Event, Fold, Recorded};
/// # #[derive(Serialize, Deserialize)] struct Tick(u32);
/// # impl Event for Tick { const TYPE: &'static str = "acme.tick"; const VERSION: u16 = 1; }
/// struct Sum;
/// impl Fold for Sum {
///     const NAME: &'static str = "acme.sum";
///     const VERSION: u32 = 1;
///     type Event = Tick;
///     type State = u32;
///     fn apply(sum: &mut u32, tick: &Recorded<Tick>) {
///         *sum += tick.data.0;
///     }
/// }
/// fn main() -> std::process::ExitCode {
///     taffrail_cli::main_with::<Sum>()
/// }
/// ```
#[must_use]
pub fn main_with<F: Fold>() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    crash::install_hook(arguments::style_in(&arguments));
    // Without it the signal ends the process as well, only by another number.
    let _ = interrupt::install();
    crash::guarded(|| run_with::<F>(&arguments, &mut Output::of_process())).into()
}

/// Runs a command line; the first argument is the program's own name.
pub fn run(arguments: &[OsString], output: &mut Output) -> Exit {
    run_with::<Runs>(arguments, output)
}

/// The same with a fold of your own.
pub fn run_with<F: Fold>(arguments: &[OsString], output: &mut Output) -> Exit {
    let answer = parsed::<F>(arguments, output).and_then(|exit| Ok(output.flush().map(|()| exit)?));
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

fn parsed<F: Fold>(arguments: &[OsString], output: &mut Output) -> Result<Exit, Failure> {
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { global, command }) => {
            output.set_style(global.style());
            command.run::<F>(&mut Context { global: &global, output })
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
