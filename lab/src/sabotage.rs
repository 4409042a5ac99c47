//! Proof that the checks can fail: the engine is broken on purpose, and the check has to notice.

use crate::Trouble;
use crate::arguments::Level;
use crate::binaries::{self, Binaries};
use crate::registry::{Registry, Sabotage};
use crate::report::Entry;
use crate::running;
use crate::table;
use std::path::Path;

/// Runs the check that has to notice one sabotage: `Ok(false)` where it does, like any failed check.
pub(crate) fn run(root: &Path, registry: &Registry, name: &str, level: Level) -> Result<bool, Trouble> {
    let sabotage = registry.sabotages.iter().find(|sabotage| sabotage.name == name);
    let sabotage = sabotage.ok_or_else(|| format!("there is no sabotage {name}; --list names them"))?;
    let binaries = binaries::build(root, &[registry.find(&sabotage.check)?])?;
    let entry = attempt(root, registry, &binaries, sabotage, level)?;
    print!("{}{}", table::head(), table::row(&entry));
    Ok(entry.failures() == 0)
}

/// Tries all sabotages: `Ok(true)` where each one is noticed.
pub(crate) fn prove(root: &Path, registry: &Registry, level: Level) -> Result<bool, Trouble> {
    let checks: Vec<_> = registry.checks.iter().collect();
    let binaries = binaries::build(root, &checks)?;
    println!("{:<26} {:<34} {:>9}  RESULT", "SABOTAGE", "CHECK", "TIME");
    let mut all = true;
    for sabotage in &registry.sabotages {
        let entry = attempt(root, registry, &binaries, sabotage, level)?;
        let noticed = entry.failures() > 0;
        all &= noticed;
        let result = if noticed { "noticed" } else { "NOT NOTICED" };
        let time = table::duration(entry.seconds);
        println!("{:<26} {:<34} {time:>9}  {result}", sabotage.name, sabotage.check);
    }
    Ok(all)
}

/// Runs the check under the sabotage. It has to have failed by its own word: a check that could not be run, was killed or
/// was skipped proves nothing.
fn attempt(
    root: &Path,
    registry: &Registry,
    binaries: &Binaries,
    sabotage: &Sabotage,
    level: Level,
) -> Result<Entry, Trouble> {
    let check = registry.find(&sabotage.check)?;
    let entry = running::run(root, binaries, check, level, Some(sabotage))?;
    match entry.parts.iter().find_map(|part| part.skipped.as_ref().or(part.wrong.as_ref())) {
        Some(what) => Err(format!("sabotage {}: check {} proves nothing: {what}", sabotage.name, check.name)),
        None => Ok(entry),
    }
}
