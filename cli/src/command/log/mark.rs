//! `taffrail log mark NAME`

use clap::Args;
use serde::Serialize;
use taffrail::position::Position;

use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::line::{Line, Tone};
use crate::output::Format;
use crate::problem::{Failure, Problem};
use crate::store::Store;

/// Arguments of `taffrail log mark`.
#[derive(Args, Clone, Debug)]
pub struct Mark {
    /// The name; `mark:NAME` is a position from now on. A name given again moves the mark.
    pub name: String,

    /// Mark a position of this run instead of one of the store
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,

    /// A remark for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub note: String,
}

/// `taffrail.marked/1`
#[derive(Debug, Serialize)]
struct Report<'mark> {
    schema: &'static str,
    name: &'mark str,
    run: Option<&'mark str>,
    seq: u64,
    durable: u64,
}

impl Mark {
    /// Appends the mark.
    ///
    /// # Errors
    /// T0142 for a name that cannot stand in a position; what appending says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log mark", &Format::TEXT)?;
        if let Err(error) = format!("mark:{}", self.name).parse::<Position>() {
            let message = format!("{:?} cannot name a mark: expected {}", self.name, error.kind.expected());
            return Err(Problem::new(codes::T0142, Exit::Usage, message).hint("taffrail explain T0142").into());
        }
        let store = Store::locate_directory(context, "log mark")?;
        let journal = store.open(context)?;
        let mark = taffrail::Mark { name: self.name.clone(), note: self.note.clone() };
        let run = self.run.as_deref();
        let appended = journal.mark(run, &mark);
        let appended = appended.map_err(|error| store.problem_of_run(run.unwrap_or_default(), &error))?;
        journal.close().map_err(|error| store.problem(&error))?;
        let seq = appended.last.get();
        if context.output.format().is_json() {
            let durable = appended.durable;
            context.output.json(&Report { schema: "taffrail.marked/1", name: &self.name, run, seq, durable })?;
        } else {
            let made = Line::new().tone(Tone::Good, "marked").plain(&format!(" seq {seq} as mark:{}", self.name));
            context.output.line(made)?;
        }
        Ok(Exit::Clean)
    }
}
