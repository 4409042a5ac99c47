//! What the figures were made on.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// A machine, as far as figures depend on it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) system: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let memory_kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        Machine {
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned(),
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_mib: memory_kib / 1024,
        }
    }
}

/// The commit that is checked out, and a `+` where files differ from it.
pub(crate) fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    // What publishing itself writes is no change of what was examined.
    let published = [":!README.md", ":!docs/lab.md", ":!docs/lab.json"];
    let status = ["status", "--porcelain", "--untracked-files=no", "--", "."];
    let changed = git(&[&status[..], &published[..]].concat()).is_none_or(|text| !text.is_empty());
    if changed { format!("{hash}+") } else { hash }
}
