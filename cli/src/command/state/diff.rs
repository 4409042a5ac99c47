//! `taffrail state diff [RUN] FROM [TO]`

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use taffrail::fold::History;
use taffrail::{Fold, Seq};

use super::change::ChangeReport;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::store::Store;
use crate::subject::Subject;

/// Arguments of `taffrail state diff`.
#[derive(Args, Clone, Debug)]
pub struct Diff {
    /// The run, and two positions: what changed from the state after the first one to that after the second [default:
    /// the run of the second position; head]
    #[arg(required = true, num_args = 1..=3, value_names = ["[RUN] FROM", "TO"])]
    pub words: Vec<String>,
}

/// `taffrail.state_diff/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    /// The run's number; null for a fold over the store.
    run: Option<u64>,
    name: Option<&'shown str>,
    from: u64,
    to: u64,
    /// Events of the fold between the two.
    events: u64,
    changes: &'shown [ChangeReport],
}

impl Diff {
    /// Shows the changes.
    ///
    /// # Errors
    /// What naming runs and positions, reading and folding say.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("state diff", &Format::TEXT)?;
        let (subject, positions) = Subject::of_words::<F>(Store::locate(context)?, &self.words)?;
        let from = subject.seq(positions.first())?;
        let to = subject.seq(positions.get(1))?;
        // Backwards is forwards, read the other way: the causes are the same events.
        let (early, late) = (from.min(to), from.max(to));
        let history = History::<F>::of(&subject.reader, subject.run);
        let (changes, events) = history.difference(Some(early), late).map_err(|error| subject.problem(&error))?;
        let exit = losses::tell(&history.losses(), &subject.store, context.output);
        let changes: Vec<ChangeReport> = changes
            .into_iter()
            .map(|mut caused| {
                if from > to {
                    std::mem::swap(&mut caused.change.old, &mut caused.change.new);
                }
                ChangeReport::new(caused, &subject)
            })
            .collect();
        if context.output.format() == Format::Human {
            print(&changes, events, context.output)?;
        } else {
            context.output.json(&Report {
                schema: "taffrail.state_diff/1",
                fold: F::NAME,
                version: F::VERSION,
                run: subject.run.map(Seq::get),
                name: subject.name.as_deref(),
                from: from.get(),
                to: to.get(),
                events,
                changes: &changes,
            })?;
        }
        Ok(if changes.is_empty() { exit } else { exit.combine(Exit::Differs) })
    }
}

fn print(changes: &[ChangeReport], events: u64, output: &mut Output) -> Result<(), Failure> {
    /// Characters of a value that are shown on a terminal.
    const MOST_ON_TERMINAL: usize = 40;
    let most = if output.is_terminal() { MOST_ON_TERMINAL } else { usize::MAX };
    let rows: Vec<(String, String)> = changes.iter().map(|change| (change.place(), change.values(most))).collect();
    let width = |column: fn(&(String, String)) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0).min(44)
    };
    let (places, values) = (width(|row| &row.0), width(|row| &row.1));
    for (change, (place, value)) in changes.iter().zip(&rows) {
        let cause = change.cause().map(super::change::CauseReport::human).unwrap_or_default();
        let tone = match place.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            _ => Tone::Plain,
        };
        let text = format!("  {value:<values$}  {cause}");
        output.line(Line::new().tone(tone, &format!("{place:<places$}")).plain(text.trim_end()))?;
    }
    let causes: BTreeSet<u64> = changes.iter().filter_map(ChangeReport::seq).collect();
    let changed = human::count(changes.len() as u64, "change");
    let (by, of) = (human::thousands(causes.len() as u64), human::count(events, "event"));
    let text = if changes.is_empty() { format!("no changes by {of}") } else { format!("{changed} by {by} of {of}") };
    output.line(text.as_str())?;
    Ok(())
}
