use crate::number::median;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One comparison, as `docs/compare.json` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`Report::SCHEMA`].
    pub schema: String,
    /// What it was measured on.
    pub machine: Machine,
    /// The engines, in the order of the tables.
    pub peers: Vec<PeerFacts>,
    /// What the machine can do at most, by workload and name: a value a round. Bytes or calls per second.
    pub limits: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// The figures.
    pub measured: Vec<Measured>,
    /// What each engine does with a damaged log.
    pub faults: Vec<Fault>,
}

/// What was measured on, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Day of the run.
    pub date: String,
    /// The commit of our engine; with `+` where files differed from it.
    pub commit: String,
    /// Its model.
    pub processor: String,
    /// Virtual ones are counted as well.
    pub cores: u64,
    /// In GiB.
    pub memory_gib: u64,
    /// The kernel's version.
    pub kernel: String,
    /// The file system that was written to.
    pub file_system: String,
    /// The compiler of ours and of the peers.
    pub compiler: String,
    /// Events per measurement, as a part of the full sizes, in percent.
    pub scale_percent: u64,
}

/// An engine, and how it is driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFacts {
    /// Its name; ours has one for each of its modes.
    pub name: String,
    /// The version measured.
    pub version: String,
    /// Whether it is our own engine.
    pub is_ours: bool,
    /// Whether several processes may write to one log at the same time.
    pub has_many_processes: bool,
    /// How appends are gathered in W1.
    pub buffered: String,
    /// How many threads append in W3.
    pub threads: String,
    /// What is covered by a checksum.
    pub checksum: String,
    /// What an append promises where nothing is configured.
    pub durable_by_default: String,
}

/// Figures of one engine in one case of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `W1` to `W6`; `append`, `fold`, `status` and `cold` are about runs.
    pub workload: String,
    /// The engine.
    pub peer: String,
    /// Size, temperature or threads: `128 B`, `1 KiB, warm`, `8 threads`. Empty where there is but one.
    pub case: String,
    /// A value a round.
    pub figures: BTreeMap<String, Vec<f64>>,
    /// Why there is no figure, where a round has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// What an engine did with a damaged log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The engine.
    pub peer: String,
    /// What was done to its log.
    pub fault: String,
    /// Opening and reading it.
    pub opening: String,
    /// Appending ten events.
    pub appending: String,
    /// Opening and reading it again.
    pub again: String,
}

impl Report {
    /// The shape of the file.
    pub const SCHEMA: &'static str = "taffrail.compare/1";

    /// What was measured of an engine in a case.
    #[must_use]
    pub fn find(&self, workload: &str, peer: &str, case: &str) -> Option<&Measured> {
        self.measured.iter().find(|one| one.workload == workload && one.peer == peer && one.case == case)
    }

    /// A figure's median over the rounds; NaN where there is none.
    #[must_use]
    pub fn figure(&self, workload: &str, peer: &str, case: &str, figure: &str) -> f64 {
        let values = self.find(workload, peer, case).and_then(|one| one.figures.get(figure));
        values.map_or(f64::NAN, |values| median(values))
    }

    /// Rounds that gave a figure.
    #[must_use]
    pub fn rounds(&self, workload: &str, peer: &str, case: &str, figure: &str) -> usize {
        self.find(workload, peer, case).and_then(|one| one.figures.get(figure)).map_or(0, Vec::len)
    }

    /// A limit's median over the rounds in which the workload was measured; NaN where there is none.
    #[must_use]
    pub fn limit(&self, workload: &str, name: &str) -> f64 {
        self.limits.get(workload).and_then(|limits| limits.get(name)).map_or(f64::NAN, |values| median(values))
    }

    /// Whether anything of a workload was measured.
    #[must_use]
    pub fn has(&self, workload: &str) -> bool {
        self.measured.iter().any(|one| one.workload == workload)
    }

    pub(crate) fn is_ours(&self, peer: &str) -> bool {
        self.peers.iter().any(|facts| facts.name == peer && facts.is_ours)
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn machine_row(commit: &str) -> Value {
        json!({"kind": "machine", "date": "2026-11-26", "commit": commit, "processor": "p", "cores": 2, "memory_gib": 8,
            "kernel": "6", "file_system": "ext4", "compiler": "rustc", "scale_percent": 100})
    }

    pub(crate) fn peers() -> Vec<PeerFacts> {
        let facts = |name: &str, is_ours: bool| PeerFacts {
            name: name.to_owned(),
            version: "1".to_owned(),
            is_ours,
            has_many_processes: ["taffrail", "sqlite-wal"].contains(&name),
            buffered: String::new(),
            threads: String::new(),
            checksum: String::new(),
            durable_by_default: String::new(),
        };
        let mut peers = vec![facts("taffrail", true), facts("taffrail-exclusive", true)];
        peers.extend(["floor", "okaywal", "sqlite-wal", "redb", "commitlog"].map(|name| facts(name, false)));
        peers
    }
}
