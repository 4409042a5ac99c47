//! `taffrail demo`

mod directory;
mod next;
mod steps;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::output::{Format, Output};
use crate::problem::Failure;
use next::{Next, OwnRuns};
use steps::{Damage, Step};

/// Arguments of `taffrail demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Where to work; made if needed, and made anew where an earlier demo made it
    #[arg(long, value_name = "DIR", default_value = "taffrail-demo")]
    pub dir: PathBuf,
}

/// `taffrail.demo/1`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    /// The directory, as given.
    directory: String,
    steps: Vec<Step>,
    /// What was done to the copy.
    damage: Damage,
    /// What to type before the rest; null where `taffrail` is this program already.
    alias: Option<Next>,
    next: Vec<Next>,
    /// The same for whoever has runs, in the directory that holds them.
    with_own_runs: Vec<Next>,
    /// What an import of the user's own runs would find; null where there are none.
    own_runs: Option<OwnRuns>,
}

impl Demo {
    /// Imports the sample runs, shows and verifies the log, and damages a copy of it.
    ///
    /// # Errors
    /// T0114 where something is there and no demo made it; T0181 where the directory cannot be written; what the commands
    /// say.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("demo", &Format::TEXT)?;
        directory::prepare(&self.dir)?;
        let (steps, damage) = steps::run_all(&self.dir, context)?;
        let report = Report {
            schema: "taffrail.demo/1",
            directory: self.dir.to_string_lossy().into_owned(),
            steps,
            damage,
            alias: next::alias(),
            next: next::commands(&self.dir),
            with_own_runs: next::with_own_runs(),
            own_runs: OwnRuns::look(),
        };
        if context.output.format().is_json() {
            context.output.json(&report)?;
        } else {
            report.print_end(context.output)?;
        }
        Ok(Exit::Clean)
    }
}

impl Report {
    /// What stands behind the steps, which have been shown as they were done.
    fn print_end(&self, output: &mut Output) -> Result<(), Failure> {
        output.line("")?;
        output.line(Line::new().tone(Tone::Heading, "What to try next"))?;
        print(self.alias.as_slice(), output)?;
        print(&self.next, output)?;
        output.line("")?;
        output
            .line(Line::new().tone(Tone::Heading, "With runs of your own, in the directory that holds their .a5c"))?;
        print(&self.with_own_runs, output)?;
        if let Some(own) = &self.own_runs {
            output.line(own.line())?;
        }
        Ok(())
    }
}

/// Commands, each with what it is good for.
fn print(commands: &[Next], output: &mut Output) -> Result<(), Failure> {
    let width = commands.iter().map(|next| next.command.chars().count()).max().unwrap_or(0);
    for Next { command, about } in commands {
        let command = format!("{command:<width$}");
        output.line(Line::new().plain("  ").tone(Tone::Hint, &command).plain("  # ").plain(about))?;
    }
    Ok(())
}
