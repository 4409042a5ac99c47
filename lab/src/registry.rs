//! The checks and sabotages, as data: `lab/checks/*.toml` and `lab/sabotages.toml`.

use crate::Trouble;
use crate::arguments::Level;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Everything that the lab knows.
#[derive(Debug)]
pub(crate) struct Registry {
    /// By file, and in it as they stand.
    pub(crate) checks: Vec<Check>,
    pub(crate) sabotages: Vec<Sabotage>,
}

/// One check: a command that prints a `lab-result` line for itself and for each of `also`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub(crate) name: String,
    /// One sentence: what is true if it passes.
    pub(crate) shows: String,
    pub(crate) promises: Vec<String>,
    /// A test, as `PACKAGE_DIRECTORY:TARGET PATH`: `engine:lib log::tests::crash::one`.
    pub(crate) test: Option<String>,
    /// Or a command, run in the root of the repository.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// Other `lab-result` lines that it prints: names with what they show.
    #[serde(default)]
    pub(crate) also: BTreeMap<String, String>,
    /// Whether the continuous integration runs it.
    pub(crate) ci: bool,
    /// Whether it is left to the long run.
    #[serde(default)]
    pub(crate) soak_only: bool,
    /// Programs that it needs; without them it is skipped, aloud.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Environment at each level.
    #[serde(default)]
    pub(crate) env: Environments,
    #[serde(default = "an_hour")]
    pub(crate) most_seconds: u64,
}

/// Variables by level; those of `all` are always set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Environments {
    pub(crate) all: BTreeMap<String, String>,
    pub(crate) ci: BTreeMap<String, String>,
    pub(crate) lab: BTreeMap<String, String>,
    pub(crate) soak: BTreeMap<String, String>,
}

/// A way to break the engine, and the check that has to notice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sabotage {
    pub(crate) name: String,
    /// What the engine does then.
    pub(crate) breaks: String,
    /// The check that fails.
    pub(crate) check: String,
    /// Its environment, on top of the check's own.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckFile {
    check: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SabotageFile {
    sabotage: Vec<Sabotage>,
}

fn an_hour() -> u64 {
    3600
}

impl Registry {
    /// Reads and checks the registry.
    pub(crate) fn read(root: &Path) -> Result<Registry, Trouble> {
        let directory = root.join("lab/checks");
        let entries = std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        let mut checks = Vec::new();
        for path in files {
            checks.extend(parse::<CheckFile>(&path)?.check);
        }
        let sabotages = parse::<SabotageFile>(&root.join("lab/sabotages.toml"))?.sabotage;
        let registry = Registry { checks, sabotages };
        registry.check()?;
        Ok(registry)
    }

    fn check(&self) -> Result<(), Trouble> {
        let mut names = BTreeSet::new();
        for check in &self.checks {
            for name in std::iter::once(&check.name).chain(check.also.keys()) {
                if !names.insert(name) {
                    return Err(format!("two checks are named {name}"));
                }
            }
            if check.test.is_some() != check.command.is_empty() {
                return Err(format!("check {}: either `test` or `command`", check.name));
            }
            if let Some(promise) = check.promises.iter().find(|promise| !is_promise(promise)) {
                return Err(format!("check {}: there is no promise {promise}", check.name));
            }
        }
        for sabotage in &self.sabotages {
            self.find(&sabotage.check).map_err(|trouble| format!("sabotage {}: {trouble}", sabotage.name))?;
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Check, Trouble> {
        let found = self.checks.iter().find(|check| check.name == name || check.also.contains_key(name));
        found.ok_or_else(|| format!("there is no check {name}; --list names them"))
    }

    /// The checks of a level, or those that were named.
    pub(crate) fn chosen(&self, only: &[String], level: Level) -> Result<Vec<&Check>, Trouble> {
        if only.is_empty() {
            let fits = |check: &&Check| match level {
                Level::Ci => check.ci,
                Level::Lab => !check.soak_only,
                Level::Soak => true,
            };
            return Ok(self.checks.iter().filter(fits).collect());
        }
        let mut chosen: Vec<&Check> = Vec::new();
        for name in only {
            let check = self.find(name)?;
            if !chosen.iter().any(|other| other.name == check.name) {
                chosen.push(check);
            }
        }
        Ok(chosen)
    }
}

impl Check {
    pub(crate) fn environment(&self, level: Level) -> BTreeMap<String, String> {
        let own = match level {
            Level::Ci => &self.env.ci,
            Level::Lab => &self.env.lab,
            Level::Soak => &self.env.soak,
        };
        let mut all = self.env.all.clone();
        all.extend(own.clone());
        all.insert("TAFFRAIL_LAB".to_owned(), level.name().to_owned());
        all
    }

    /// The executable's key and the path of its test, where it is one.
    pub(crate) fn test(&self) -> Option<(&str, &str)> {
        self.test.as_deref().and_then(|test| test.split_once(' '))
    }

    /// What a `lab-result` line of this check shows.
    pub(crate) fn shows(&self, name: &str) -> Option<&str> {
        if name == self.name { Some(&self.shows) } else { self.also.get(name).map(String::as_str) }
    }
}

fn is_promise(name: &str) -> bool {
    name.strip_prefix('P').and_then(|number| number.parse::<u8>().ok()).is_some_and(|number| (1..=9).contains(&number))
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_break_the_engine_has_a_check_that_notices() {
        let root = crate::root();
        let registry = Registry::read(&root).unwrap();
        let source = std::fs::read_to_string(root.join("log-format/src/sabotage.rs")).unwrap();
        let rows = source.lines().filter(|line| line.trim_start().starts_with("(Sabotage::"));
        let known: BTreeSet<&str> = rows.filter_map(|row| row.split('"').nth(1)).collect();
        let listed: BTreeSet<&str> = registry.sabotages.iter().map(|sabotage| sabotage.name.as_str()).collect();
        assert_eq!(known, listed);
        assert!(known.len() > 10, "{known:?}");
        let asked = ["skip-dir-sync", "ack-before-sync", "trust-length-before-crc", "ignore-failed-sync"];
        assert!(asked.iter().chain(&["truncate-on-bad-frame"]).all(|name| known.contains(name)));
    }

    #[test]
    fn levels_choose_checks_and_their_sizes() {
        let registry = Registry::read(&crate::root()).unwrap();
        let chosen = |level| registry.chosen(&[], level).unwrap().len();
        assert!(chosen(Level::Ci) <= chosen(Level::Lab) && chosen(Level::Lab) <= chosen(Level::Soak));
        assert!(registry.chosen(&["no-such-check".to_owned()], Level::Lab).is_err());
        let check = registry.find("crash-states").unwrap();
        let states = |level| check.environment(level)["TAFFRAIL_SIM_STATES"].parse::<u64>().unwrap();
        assert!(states(Level::Ci) >= 2_000_000 && states(Level::Soak) >= 1_000_000_000);
        assert_eq!(check.environment(Level::Ci)["TAFFRAIL_LAB"], "ci");
    }
}
