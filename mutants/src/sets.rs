//! What is changed, and which tests have to notice: `sets.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sets {
    pub(crate) set: Vec<Set>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    pub(crate) name: String,
    /// The directory of the package that is changed.
    pub(crate) package: String,
    /// Arguments of `cargo mutants --list`.
    pub(crate) list: Vec<String>,
    /// Arguments of `cargo test`.
    pub(crate) test: Vec<String>,
    /// How far the tests are optimised; as the profile says where it is not given.
    pub(crate) opt_level: Option<u8>,
    pub(crate) stage: Vec<Stage>,
}

/// A run of one test executable.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    /// `lib`, or the name of the test target.
    pub(crate) target: String,
    /// Arguments of the test executable.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// The sizes of the tests that can be had smaller.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// A change that takes longer has been noticed: time on the processor, which a busy machine does not lengthen.
    pub(crate) cpu_seconds: u64,
}

impl Stage {
    /// Arguments of `cargo test` that build this one executable.
    pub(crate) fn build(&self, test: &[String]) -> Vec<String> {
        let target = if self.target == "lib" { vec!["--lib"] } else { vec!["--test", &self.target] };
        let given = test.iter().map(String::as_str).filter(|argument| *argument != "--lib");
        given.chain(target).map(str::to_owned).collect()
    }
}

impl Sets {
    pub(crate) fn read(path: &Path) -> Result<Sets, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
