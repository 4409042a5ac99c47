//! `taffrail man [DIR]`

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory};
use serde::Serialize;

use super::Context;
use crate::arguments::Arguments;
use crate::codes;
use crate::exit::{self, Exit};
use crate::human;
use crate::output::Format;
use crate::problem::{Failure, Problem};

/// Arguments of `taffrail man`.
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// Write the pages of all commands here; the directory is made if needed
    pub directory: Option<PathBuf>,
}

/// `taffrail.man/1`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    pages: Vec<Page>,
}

/// A page, and either its text or where it was written.
#[derive(Debug, Serialize)]
struct Page {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

impl Man {
    /// Prints the main page, or writes all pages and prints their paths.
    ///
    /// # Errors
    /// T0181 where a page cannot be written.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("man", &Format::TEXT)?;
        let mut pages = Vec::new();
        // The table of exit codes, which ends the help, is a section of its own here.
        let mut definition = Arguments::command().disable_help_subcommand(true).after_long_help(Resettable::Reset);
        definition.build();
        collect(&definition, &mut pages).map_err(|error| unwritten(Path::new("the page"), &error))?;
        if let Some(text) = pages.first_mut().and_then(|page| page.text.as_mut()) {
            text.push_str(&exit_status());
        }
        if let Some(directory) = &self.directory {
            write(directory, &mut pages)?;
        }
        if context.output.format().is_json() {
            context.output.json(&Report { schema: "taffrail.man/1", pages })?;
            return Ok(Exit::Clean);
        }
        match &self.directory {
            None => {
                let text = pages.into_iter().next().and_then(|page| page.text).unwrap_or_default();
                context.output.bytes(text.as_bytes())?;
            }
            Some(_) => {
                for page in &pages {
                    context.output.line(page.path.as_deref().unwrap_or_default())?;
                }
                context.output.note(human::count(pages.len() as u64, "page").as_str());
            }
        }
        Ok(Exit::Clean)
    }
}

/// The pages of a command and of its subcommands, its own first.
fn collect(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    let text = Some(String::from_utf8_lossy(&text).into_owned());
    pages.push(Page { name: format!("{name}.1"), text, path: None });
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| collect(command, pages))
}

/// The section of the manual page that every tool has for it.
fn exit_status() -> String {
    let escaped = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut section = String::from(".SH \"EXIT STATUS\"\n");
    for exit in Exit::ALL {
        section.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", exit.number(), escaped(exit.meaning())));
    }
    for sentence in [exit::PRECEDENCE, exit::PLANS] {
        section.push_str(&format!(".PP\n{}\n", escaped(sentence)));
    }
    section
}

#[expect(clippy::disallowed_methods, reason = "manual pages are not part of a store, and storage knows only stores")]
fn write(directory: &Path, pages: &mut [Page]) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| unwritten(directory, &error))?;
    for page in pages {
        let path = directory.join(&page.name);
        std::fs::write(&path, page.text.take().unwrap_or_default()).map_err(|error| unwritten(&path, &error))?;
        page.path = Some(path.to_string_lossy().into_owned());
    }
    Ok(())
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Problem::new(codes::T0181, Exit::Io, format!("cannot write {}: {error}", path.display()))
        .hint("taffrail man --help")
        .into()
}
