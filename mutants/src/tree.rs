//! A copy of the repository that may be changed, and the tests that are built in it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The copy, and where it is built.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

/// What a build gave.
pub(crate) enum Built {
    /// Test executables by their target, with the directory in which they run.
    Tests(BTreeMap<String, PathBuf>),
    /// Places of errors: the file and the bytes.
    Errors(Vec<(PathBuf, Range<usize>)>),
}

impl Tree {
    /// Copies what git knows of the repository, as it is in the work tree.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<Tree, String> {
        let output = Command::new("git").args(["ls-files", "-z"]).current_dir(from).output();
        let output = output.map_err(|error| format!("git: {error}"))?;
        let tree = Tree::at(to);
        for name in String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty()) {
            let bytes = std::fs::read(from.join(name));
            // What was removed and is still listed is not there to be copied.
            if let Ok(bytes) = bytes {
                write_changed(&tree.root.join(name), &bytes)?;
            }
        }
        Ok(tree)
    }

    /// Where a copy is, or will be.
    pub(crate) fn at(to: &Path) -> Tree {
        Tree { root: to.join("tree"), target: to.join("target") }
    }

    /// Writes a file, unless it is as it should be: what was not touched is not built again.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        write_changed(&self.root.join(name), text.as_bytes())
    }

    /// Builds tests.
    pub(crate) fn build(&self, arguments: &[String], opt_level: Option<u8>) -> Result<Built, String> {
        let mut command = Command::new("cargo");
        if let Some(level) = opt_level {
            command.env("CARGO_PROFILE_TEST_OPT_LEVEL", level.to_string());
        }
        command.args(["test", "--no-run", "--message-format=json"]).args(arguments);
        // What a change costs is its build: no debug information, and only what changed.
        command.env("CARGO_TARGET_DIR", &self.target).env("CARGO_PROFILE_TEST_DEBUG", "false");
        command.env("CARGO_PROFILE_TEST_INCREMENTAL", "true").env("CARGO_PROFILE_DEV_DEBUG", "false");
        let output = command.current_dir(&self.root).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| format!("cargo: {error}"))?;
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut tests, mut errors) = (BTreeMap::new(), Vec::new());
        for message in messages {
            if let Some((target, executable)) = executable_of(&message) {
                tests.insert(target, executable);
            }
            if message["message"]["level"] == "error" {
                errors.extend(self.places_of(&message["message"]));
            }
        }
        if output.status.success() {
            return Ok(Built::Tests(tests));
        }
        if errors.is_empty() {
            return Err(format!("the build failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Built::Errors(errors))
    }

    fn places_of(&self, message: &Value) -> Vec<(PathBuf, Range<usize>)> {
        let spans = message["spans"].as_array().map_or(&[][..], Vec::as_slice);
        let primary = spans.iter().filter(|span| span["is_primary"] == true);
        primary
            .filter_map(|span| {
                let number = |key: &str| span[key].as_u64().and_then(|number| usize::try_from(number).ok());
                let file = self.root.join(span["file_name"].as_str()?);
                Some((file, number("byte_start")?..number("byte_end")?))
            })
            .collect()
    }
}

fn write_changed(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(trouble)?;
    }
    std::fs::write(path, bytes).map_err(trouble)
}

fn executable_of(message: &Value) -> Option<(String, PathBuf)> {
    if message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let is_lib = message["target"]["kind"][0] == "lib";
    let target = if is_lib { "lib" } else { message["target"]["name"].as_str()? };
    Some((target.to_owned(), executable))
}
