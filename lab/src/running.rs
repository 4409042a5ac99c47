//! Running one check, and believing no more of it than it said.

use crate::Trouble;
use crate::arguments::Level;
use crate::binaries::Binaries;
use crate::outcome::{Outcome, outcomes};
use crate::registry::{Check, Sabotage};
use crate::report::{Entry, Part};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Lines of a failed check's output that are shown.
const SHOWN_LINES: usize = 40;

/// Runs a check, under a sabotage if one is given.
///
/// # Errors
/// Where it could not be run at all.
pub(crate) fn run(
    root: &Path,
    binaries: &Binaries,
    check: &Check,
    level: Level,
    sabotage: Option<&Sabotage>,
) -> Result<Entry, Trouble> {
    let missing: Vec<&str> = check.needs.iter().map(String::as_str).filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        return Ok(skipped(check, &format!("this machine has no {}", missing.join(", "))));
    }
    let log = log_of(root, check, sabotage)?;
    let mut command = command_of(root, binaries, check)?;
    command.envs(check.environment(level));
    if let Some(sabotage) = sabotage {
        command.envs(&sabotage.env).env("TAFFRAIL_SABOTAGE", &sabotage.name);
    }
    let trouble = |error: std::io::Error| format!("check {}: {error}", check.name);
    let file = File::create(&log).map_err(trouble)?;
    command.stdin(std::process::Stdio::null());
    command.stdout(file.try_clone().map_err(trouble)?).stderr(file);
    let start = Instant::now();
    let child = command.spawn().map_err(trouble)?;
    let ended = wait(child, most(check)).map_err(trouble)?;
    let seconds = start.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&std::fs::read(&log).map_err(trouble)?).into_owned();
    let entry = judge(check, level, ended, seconds, &output);
    if entry.failures() > 0 && sabotage.is_none() {
        let lines: Vec<&str> = output.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        eprintln!("--- {} failed; all of its output: {}\n{shown}\n---", check.name, log.display());
    }
    Ok(entry)
}

fn log_of(root: &Path, check: &Check, sabotage: Option<&Sabotage>) -> Result<PathBuf, Trouble> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let directory = target.join("lab");
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let suffix = sabotage.map_or_else(String::new, |sabotage| format!(".{}", sabotage.name));
    Ok(directory.join(format!("{}{suffix}.log", check.name)))
}

fn command_of(root: &Path, binaries: &Binaries, check: &Check) -> Result<Command, Trouble> {
    let Some((key, path)) = check.test() else {
        let (program, arguments) =
            check.command.split_first().ok_or_else(|| format!("check {}: no test, no command", check.name))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(root);
        return Ok(command);
    };
    let binary = binaries.get(key).ok_or_else(|| format!("check {}: there is no test target {key}", check.name))?;
    let mut command = Command::new(&binary.executable);
    command.args([path, "--exact", "--include-ignored", "--nocapture"]).current_dir(&binary.directory);
    command.env("CARGO_MANIFEST_DIR", &binary.directory);
    Ok(command)
}

/// How long a check may take, by the clock: on a machine that is busy with other things, `TAFFRAIL_LAB_PATIENCE` times as long.
fn most(check: &Check) -> Duration {
    let patience = std::env::var("TAFFRAIL_LAB_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(check.most_seconds.saturating_mul(patience))
}

/// Waits for a program; `None` where it took too long and was killed.
fn wait(mut child: Child, most: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > most {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What came of it: a check that failed without saying so, or said nothing, has failed.
fn judge(check: &Check, level: Level, ended: Option<ExitStatus>, seconds: f64, output: &str) -> Entry {
    let mut entry = Entry::of(check, level, seconds);
    let succeeded = ended.is_some_and(|status| status.success());
    let found = match outcomes(output) {
        Ok(found) => found,
        Err(what) => {
            entry.wrong(&check.name, &format!("not a lab-result: {what}"));
            return entry;
        }
    };
    for outcome in found {
        match check.shows(&outcome.check) {
            Some(shows) if entry.parts.iter().all(|part| part.name != outcome.check) => {
                entry.parts.push(part_of(check, shows, outcome));
            }
            _ => entry.wrong(&check.name, &format!("an unexpected result of {:?}", outcome.check)),
        }
    }
    for name in std::iter::once(&check.name).chain(check.also.keys()) {
        if entry.parts.iter().all(|part| part.name != *name) {
            let what = if ended.is_none() { "it took too long" } else { "it ended without a result" };
            entry.wrong(name, what);
        }
    }
    if !succeeded && entry.failures() == 0 {
        let status = ended.map_or_else(|| "it took too long".to_owned(), |status| status.to_string());
        entry.wrong(&check.name, &format!("it says that all is well, and ended with {status}"));
    }
    entry.parts.sort_by_key(|part| part.name != check.name);
    entry
}

fn part_of(check: &Check, shows: &str, outcome: Outcome) -> Part {
    let nothing = outcome.cases == 0 && outcome.failures == 0 && outcome.skipped.is_none();
    Part {
        name: outcome.check,
        shows: shows.to_owned(),
        promises: check.promises.clone(),
        cases: outcome.cases,
        failures: outcome.failures + u64::from(nothing),
        skipped: outcome.skipped,
        wrong: nothing.then(|| "it examined nothing".to_owned()),
        figures: outcome.figures,
    }
}

fn skipped(check: &Check, why: &str) -> Entry {
    let mut entry = Entry::of(check, Level::Lab, 0.0);
    for name in std::iter::once(&check.name).chain(check.also.keys()) {
        entry.parts.push(Part {
            name: name.clone(),
            shows: check.shows(name).unwrap_or_default().to_owned(),
            promises: check.promises.clone(),
            cases: 0,
            failures: 0,
            skipped: Some(why.to_owned()),
            wrong: None,
            figures: std::collections::BTreeMap::new(),
        });
    }
    entry
}

/// Whether a program is on the PATH.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
