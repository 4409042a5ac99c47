//! taffrail beside what a Rust user would pick instead, and beside the limits of the machine, in one run.
//!
//! Called as `just compare --data DIR`. Linux only; dropping the page cache, for the cold rows, needs root.

mod arguments;
mod child;
mod damage;
mod faults;
mod limits;
mod payload;
mod peer;
mod peers;
mod results;
mod runs;
mod suite;

use anyhow::{Result, anyhow, bail};
use arguments::Arguments;
use std::path::Path;
use std::process::ExitCode;
use taffrail_compare_report::{Report, goals, judge, judgement, publish, render, report_of, tables, targets};

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    match arguments.word.as_str() {
        "list" => peers::list(),
        // Children: one measurement, one line of JSON.
        "child" => child::run(&arguments)?,
        "fault-child" => faults::child(&arguments)?,
        "run-child" => runs::child(&arguments)?,
        // Another question: not how fast, but what is left.
        "damage" => damage::damage(&arguments)?,
        "damage-child" => damage::child(&arguments)?,
        "" => return compare(&arguments),
        word => bail!("{word:?}: there are `list` and `damage`, and options without a word ({})", arguments::OPTIONS),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the pages are that show the figures.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Measures (unless `--in` brings results along), prints the tables, judges and publishes where that is asked for.
fn compare(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.has("render") {
        render(root()).map_err(|error| anyhow!(error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = match arguments.get("in") {
        Some(file) => results::read(file)?,
        None => suite::measure(arguments)?,
    };
    let report = report_of(&rows, &peers::facts()).map_err(|error| anyhow!(error))?;
    print!("{}", tables(&report));
    let holds = !arguments.has("assert") || assert(&report);
    // Also where we are behind: the tables say so.
    if arguments.has("publish") {
        publish(root(), &report).map_err(|error| anyhow!(error))?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the judgement and the targets. `false` where we are behind, or where a target is missed for no measured reason.
fn assert(report: &Report) -> bool {
    let (verdicts, goals) = (judge(report), goals(report));
    println!("\n### Judgement\n\n{}", judgement(&verdicts));
    println!("### Targets\n\n{}", targets(&goals));
    let behind = verdicts.iter().filter(|verdict| !verdict.holds).count();
    let missed = goals.iter().filter(|goal| !goal.holds()).count();
    println!("{behind} of {} behind; {missed} of {} targets missed.", verdicts.len(), goals.len());
    !verdicts.is_empty() && behind + missed == 0
}
