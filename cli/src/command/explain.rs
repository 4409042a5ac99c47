//! `taffrail explain [CODE]`

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::codes::{self, CATALOGUE, Entry};
use crate::exit::Exit;
use crate::line::{Line, Tone, wrapped};
use crate::output::Format;
use crate::problem::{Failure, Problem};
use crate::table::{Align, Table};

const WIDTH: usize = 100;

/// Arguments of `taffrail explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// A code such as T0110; without one all are listed
    pub code: Option<String>,
}

/// `taffrail.explanation/1`
#[derive(Debug, Serialize)]
struct Explanation {
    schema: &'static str,
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
    remedy: &'static str,
}

/// `taffrail.explanations/1`
#[derive(Debug, Serialize)]
struct Explanations {
    schema: &'static str,
    codes: Vec<Explanation>,
}

impl From<&Entry> for Explanation {
    fn from(entry: &Entry) -> Self {
        let Entry { code, title, explanation, remedy } = *entry;
        Self { schema: "taffrail.explanation/1", code: code.as_str(), title, explanation, remedy }
    }
}

impl Explain {
    /// Prints one explanation, or all titles.
    ///
    /// # Errors
    /// T0140 with exit 1 for an unknown code.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("explain", &Format::TEXT)?;
        match &self.code {
            None => Self::list(context),
            Some(written) => Self::one(context, codes::find(written).ok_or_else(|| unknown(written))?),
        }
    }

    fn one(context: &mut Context<'_>, entry: &Entry) -> Result<Exit, Failure> {
        if context.output.format().is_json() {
            context.output.json(&Explanation::from(entry))?;
            return Ok(Exit::Clean);
        }
        context.output.line(Line::new().tone(Tone::Heading, entry.code.as_str()).plain("  ").plain(entry.title))?;
        context.output.line("")?;
        context.output.lines(wrapped(entry.explanation, WIDTH))?;
        context.output.line("")?;
        context.output.lines(wrapped(entry.remedy, WIDTH))?;
        Ok(Exit::Clean)
    }

    fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
        match context.output.format() {
            Format::Json => {
                let codes = CATALOGUE.iter().map(Explanation::from).collect();
                context.output.json(&Explanations { schema: "taffrail.explanations/1", codes })?;
            }
            Format::JsonLines => {
                for entry in CATALOGUE {
                    context.output.json(&Explanation::from(entry))?;
                }
            }
            _ => {
                let mut table = Table::new(&[("CODE", Align::Left), ("TITLE", Align::Left)]);
                for entry in CATALOGUE {
                    table.row([entry.code.as_str(), entry.title]);
                }
                context.output.lines(table.lines())?;
            }
        }
        Ok(Exit::Clean)
    }
}

fn unknown(written: &str) -> Problem {
    let near = taffrail::nearest::nearest(written, CATALOGUE.iter().map(|entry| entry.code.as_str()));
    let (message, hint) = match near.first() {
        Some(first) => (
            format!("there is no code {written:?}; the nearest: {}", near.join(", ")),
            format!("taffrail explain {first}"),
        ),
        None => (format!("there is no code {written:?}"), "taffrail explain".to_owned()),
    };
    Problem::new(codes::T0140, Exit::Differs, message).hint(hint).with("nearest", near)
}
