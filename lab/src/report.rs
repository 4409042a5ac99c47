//! What was found, as one JSON object: `taffrail.lab/1`.

use crate::Trouble;
use crate::arguments::Level;
use crate::machine::{Machine, commit};
use crate::registry::Check;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A run of the lab; or, in `docs/lab.json`, the last published result of each check.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: String,
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) level: String,
    pub(crate) machine: Machine,
    pub(crate) totals: Totals,
    pub(crate) checks: Vec<Published>,
}

/// Sums over the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Totals {
    pub(crate) checks: u64,
    pub(crate) cases: u64,
    pub(crate) failures: u64,
    pub(crate) skipped: u64,
    /// States that a power cut, a kill or a fault left, and that were recovered and compared with the model.
    pub(crate) crash_states: u64,
    /// Acknowledged events that were not there afterwards.
    pub(crate) acknowledged_lost: u64,
    /// Acknowledged data cut as if it had been a torn tail.
    pub(crate) false_truncations: u64,
    /// Stores that a crash alone made unusable.
    pub(crate) false_refusals: u64,
}

/// One check, with when and where it ran.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Published {
    #[serde(flatten)]
    pub(crate) part: Part,
    /// The command that reproduces it.
    pub(crate) command: String,
    pub(crate) level: String,
    pub(crate) seconds: f64,
    pub(crate) date: String,
    pub(crate) commit: String,
}

impl std::ops::Deref for Published {
    type Target = Part;
    fn deref(&self) -> &Part {
        &self.part
    }
}

/// What one `lab-result` line said.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) shows: String,
    pub(crate) promises: Vec<String>,
    pub(crate) cases: u64,
    pub(crate) failures: u64,
    pub(crate) skipped: Option<String>,
    /// What is wrong with the check itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wrong: Option<String>,
    pub(crate) figures: BTreeMap<String, serde_json::Number>,
}

/// What running one check gave.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) level: Level,
    pub(crate) seconds: f64,
    pub(crate) parts: Vec<Part>,
}

impl Entry {
    pub(crate) fn of(check: &Check, level: Level, seconds: f64) -> Entry {
        Entry { name: check.name.clone(), level, seconds, parts: Vec::new() }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.parts.iter().map(|part| part.failures).sum()
    }

    /// Counts a failure of the check itself.
    pub(crate) fn wrong(&mut self, name: &str, what: &str) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.name == name) {
            part.failures += 1;
            part.wrong = Some(what.to_owned());
            return;
        }
        self.parts.push(Part {
            name: name.to_owned(),
            shows: String::new(),
            promises: Vec::new(),
            cases: 0,
            failures: 1,
            skipped: None,
            wrong: Some(what.to_owned()),
            figures: BTreeMap::new(),
        });
    }
}

impl Report {
    pub(crate) const SCHEMA: &'static str = "taffrail.lab/1";

    pub(crate) fn new(root: &Path, level: Level) -> Report {
        Report {
            schema: Self::SCHEMA.to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            commit: commit(root),
            level: level.name().to_owned(),
            machine: Machine::this(),
            totals: Totals::default(),
            checks: Vec::new(),
        }
    }

    /// A report of one check of this run.
    pub(crate) fn alone(&self, entry: Entry) -> Report {
        let mut report = Report { checks: Vec::new(), ..self.clone() };
        report.add(entry);
        report
    }

    /// The published report.
    pub(crate) fn read(root: &Path) -> Result<Report, Trouble> {
        let path = root.join("docs/lab.json");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        let seconds = (entry.seconds * 10.0).round() / 10.0;
        for part in entry.parts {
            self.checks.push(Published {
                part,
                command: command(&entry.name, entry.level),
                level: entry.level.name().to_owned(),
                seconds,
                date: self.date.clone(),
                commit: self.commit.clone(),
            });
        }
        self.totals = Totals::of(&self.checks);
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Totals {
    pub(crate) fn of(checks: &[Published]) -> Totals {
        let figure = |name: &str| checks.iter().filter_map(|check| check.figures.get(name)?.as_u64()).sum();
        Totals {
            checks: checks.len() as u64,
            cases: checks.iter().map(|check| check.cases).sum(),
            failures: checks.iter().map(|check| check.failures).sum(),
            skipped: checks.iter().filter(|check| check.skipped.is_some()).count() as u64,
            crash_states: figure("crash_states"),
            acknowledged_lost: figure("acknowledged_lost"),
            false_truncations: figure("false_truncations"),
            false_refusals: figure("false_refusals"),
        }
    }
}

/// The command that runs one check at a level.
fn command(name: &str, level: Level) -> String {
    let flag = match level {
        Level::Ci => " --ci",
        Level::Lab => "",
        Level::Soak => " --soak",
    };
    format!("just lab --only {name}{flag}")
}
