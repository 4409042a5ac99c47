//! `taffrail completions <SHELL>`

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;

use super::Context;
use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::output::Format;
use crate::problem::Failure;

/// Arguments of `taffrail completions`.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `taffrail.completions/1`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    shell: String,
    script: String,
}

impl Completions {
    /// Prints a script for the shell to source.
    ///
    /// # Errors
    /// Only those of output.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("completions", &Format::TEXT)?;
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "taffrail", &mut script);
        if context.output.format().is_json() {
            let script = String::from_utf8_lossy(&script).into_owned();
            context.output.json(&Report { schema: "taffrail.completions/1", shell: self.shell.to_string(), script })?;
        } else {
            context.output.bytes(&script)?;
        }
        Ok(Exit::Clean)
    }
}
