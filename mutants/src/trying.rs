//! Whether the tests notice one change.

use crate::sets::{Set, Stage};
use crate::weave::Number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What became of a change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// A test failed.
    Killed,
    /// The tests did not end: noticed as well.
    Endless,
    /// No test noticed.
    Missed,
    /// It does not compile.
    Unviable,
}

/// Address space of a test: a change may ask for more than there is.
const MOST_BYTES: u64 = 8 << 30;
/// For what waits and takes no time on the processor.
const MOST_SECONDS: u64 = 900;

/// Tries a change (`None`: it is in the build, and needs no switch), one stage after the other.
pub(crate) fn fate(
    set: &Set,
    package: &Path,
    tests: &BTreeMap<String, PathBuf>,
    number: Option<Number>,
) -> Result<Fate, String> {
    for stage in &set.stage {
        match asked(stage, package, tests, number)? {
            Fate::Missed => {}
            noticed => return Ok(noticed),
        }
    }
    Ok(Fate::Missed)
}

/// Tries a change in one stage.
pub(crate) fn asked(
    stage: &Stage,
    package: &Path,
    tests: &BTreeMap<String, PathBuf>,
    number: Option<Number>,
) -> Result<Fate, String> {
    let executable = tests.get(&stage.target).ok_or_else(|| format!("there are no tests {}", stage.target))?;
    let mut command = Command::new("prlimit");
    command.arg(format!("--cpu={}", stage.cpu_seconds)).arg(format!("--as={MOST_BYTES}")).arg("--core=0");
    command.arg(executable).arg("--quiet").args(&stage.arguments);
    command.current_dir(package).env("CARGO_MANIFEST_DIR", package);
    command.envs(&stage.env);
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env_remove("TAFFRAIL_MUTANT");
    if let Some(number) = number {
        command.env("TAFFRAIL_MUTANT", number.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("prlimit {}: {error}", executable.display()))?;
    wait(child)
}

fn wait(mut child: Child) -> Result<Fate, String> {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let trouble = |error: std::io::Error| format!("a test: {error}");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(trouble)? {
            return Ok(match status.signal() {
                Some(SIGXCPU | SIGKILL) => Fate::Endless,
                _ if status.success() => Fate::Missed,
                _ => Fate::Killed,
            });
        }
        if start.elapsed() > Duration::from_secs(MOST_SECONDS) {
            child.kill().map_err(trouble)?;
            child.wait().map_err(trouble)?;
            return Ok(Fate::Endless);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
