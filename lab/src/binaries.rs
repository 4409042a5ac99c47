//! The test executables, built once with the features of the README's test command, so that nothing is built twice.

use crate::Trouble;
use crate::registry::Check;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Executables by `PACKAGE_DIRECTORY:TARGET`; the target of a package's library tests is `lib`.
pub(crate) type Binaries = BTreeMap<String, Binary>;

/// A test executable and where cargo would run it.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) executable: PathBuf,
    pub(crate) directory: PathBuf,
}

/// Builds the tests, if one of the checks is a test.
pub(crate) fn build(root: &Path, checks: &[&Check]) -> Result<Binaries, Trouble> {
    if checks.iter().all(|check| check.test.is_none()) {
        return Ok(Binaries::new());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--workspace", "--all-features", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo can not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests could not be built ({})", output.status));
    }
    let mut binaries = Binaries::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if let Some((key, binary)) = binary_of(&message) {
            binaries.insert(key, binary);
        }
    }
    Ok(binaries)
}

/// The test executable that a message of cargo's tells of.
fn binary_of(message: &serde_json::Value) -> Option<(String, Binary)> {
    if message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let kind = message["target"]["kind"][0].as_str()?;
    let target = if kind == "lib" { "lib" } else { message["target"]["name"].as_str()? };
    let key = format!("{}:{target}", directory.file_name()?.to_str()?);
    Some((key, Binary { executable, directory }))
}
