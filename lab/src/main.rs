//! The reliability lab: runs the checks that stand in `lab/checks/*.toml`, prints one table of what they found, writes it
//! down for the README, and proves by sabotage that they can fail. `docs/lab.md` is the manual.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of this repository, which is about files, processes and time"
)]

mod arguments;
mod binaries;
mod machine;
mod outcome;
mod publish;
mod registry;
mod report;
mod running;
mod sabotage;
mod table;

use arguments::{Arguments, Level};
use clap::Parser;
use registry::{Check, Registry};
use report::Report;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What went wrong outside of the checks: told as one line, exit 2.
type Trouble = String;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn main() -> ExitCode {
    match act(&Arguments::parse()) {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(trouble) => {
            eprintln!("lab: {trouble}");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked for; whether all is well.
fn act(arguments: &Arguments) -> Result<bool, Trouble> {
    let root = root();
    let registry = Registry::read(&root)?;
    if arguments.list {
        print!("{}", table::list(&registry));
        return Ok(true);
    }
    if arguments.render {
        publish::render(&root, &registry)?;
        return Ok(true);
    }
    if let Some(name) = &arguments.sabotage {
        return sabotage::run(&root, &registry, name, arguments.lab_level());
    }
    if arguments.prove {
        return sabotage::prove(&root, &registry, arguments.lab_level());
    }
    let mut chosen = registry.chosen(&arguments.only, arguments.lab_level())?;
    if arguments.unpublished {
        let published = Report::read(&root)?.checks;
        chosen.retain(|check| published.iter().all(|old| old.name != check.name));
    }
    let report = examine(&root, &registry, &chosen, arguments)?;
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        print!("{}", table::totals(&report));
    }
    for check in report.checks.iter().filter(|check| check.skipped.is_some()) {
        eprintln!("!!! SKIPPED {}: {}", check.name, check.skipped.as_deref().unwrap_or_default());
    }
    Ok(report.totals.failures == 0)
}

/// Runs checks one behind the other, and tells of each, and publishes it, as soon as it is done: a long run may be stopped.
fn examine(root: &Path, registry: &Registry, chosen: &[&Check], arguments: &Arguments) -> Result<Report, Trouble> {
    let binaries = binaries::build(root, chosen)?;
    let tell = |line: &str| if arguments.json { eprint!("{line}") } else { print!("{line}") };
    tell(&table::head());
    let mut report = Report::new(root, arguments.lab_level());
    for check in chosen {
        let entry = running::run(root, &binaries, check, arguments.lab_level(), None)?;
        tell(&table::row(&entry));
        if arguments.publish && entry.failures() == 0 {
            publish::merge(root, registry, report.alone(entry.clone()))?;
        }
        report.add(entry);
    }
    Ok(report)
}

impl Arguments {
    fn lab_level(&self) -> Level {
        match (self.ci, self.soak) {
            (true, _) => Level::Ci,
            (_, true) => Level::Soak,
            _ => Level::Lab,
        }
    }
}
