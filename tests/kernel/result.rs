//! What the lab is told: one line for each check that has ended.

use std::collections::BTreeMap;
use std::process::Command;

/// A check that is under way.
pub(crate) struct Check {
    name: &'static str,
    promises: &'static [&'static str],
    cases: u64,
    failures: Vec<String>,
    figures: BTreeMap<&'static str, u64>,
}

impl Check {
    pub(crate) fn new(name: &'static str, promises: &'static [&'static str]) -> Check {
        Check { name, promises, cases: 0, failures: Vec::new(), figures: BTreeMap::new() }
    }

    /// Counts a case, and what it failed with.
    pub(crate) fn case(&mut self, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(failure) = outcome {
            println!("{}: {failure}", self.name);
            self.failures.push(failure);
        }
    }

    pub(crate) fn count(&mut self, figure: &'static str, number: u64) {
        *self.figures.entry(figure).or_default() += number;
    }

    pub(crate) fn figure(&self, figure: &str) -> u64 {
        self.figures.get(figure).copied().unwrap_or(0)
    }

    /// Prints the line, and fails if a case has.
    pub(crate) fn end(self) {
        assert!(self.cases > 0, "{} has looked at nothing", self.name);
        self.print(None);
        assert!(self.failures.is_empty(), "{} of {} cases: {:#?}", self.failures.len(), self.cases, self.failures);
    }

    /// Prints the line of a check that can not run here.
    pub(crate) fn skip(self, why: &str) {
        println!("SKIPPED {}: {why}", self.name);
        self.print(Some(why));
    }

    fn print(&self, skipped: Option<&str>) {
        let line = serde_json::json!({
            "check": self.name,
            "promise": self.promises,
            "cases": self.cases,
            "failures": self.failures.len(),
            "skipped": skipped,
            "figures": self.figures,
        });
        println!("lab-result {line}");
    }
}

/// Why a program can not be used, if it can not.
pub(crate) fn missing(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("{program}: {error}")),
    }
}

/// A number that the environment may raise or lower: how many cases of an open-ended check.
pub(crate) fn size(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}
