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
mod promises;
mod results;
mod runs;
mod suite;
mod table;
mod verdict;

use anyhow::{Result, bail};
use arguments::Arguments;
use std::process::ExitCode;

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

/// Measures (unless `--in` brings results along), prints the tables, and judges where that is asked for.
fn compare(arguments: &Arguments) -> Result<ExitCode> {
    let rows = match arguments.get("in") {
        Some(file) => results::read(file)?,
        None => suite::measure(arguments)?,
    };
    print!("{}", table::tables(&rows));
    if !arguments.assert {
        return Ok(ExitCode::SUCCESS);
    }
    let verdicts = verdict::judge(&rows);
    print!("{}", verdict::report(&verdicts));
    let holds = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
