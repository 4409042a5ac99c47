//! Figures in the README and in `docs/lab.md`: made from `docs/lab.json`, never typed.

use crate::Trouble;
use crate::registry::Registry;
use crate::report::{Published, Report, Totals};
use crate::table::{duration, headline, thousands};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- lab: written by `just lab --publish` from docs/lab.json -->";
const END: &str = "<!-- lab: end -->";

/// Puts a run's results in the place of the published ones, and writes the pages.
///
/// # Errors
/// Where a check failed: failures are fixed, not published.
pub(crate) fn merge(root: &Path, registry: &Registry, mut report: Report) -> Result<(), Trouble> {
    if report.totals.failures > 0 {
        return Err("nothing is published: a check has failed".to_owned());
    }
    let before = Report::read(root).map_or_else(|_| Vec::new(), |report| report.checks);
    let known: Vec<&String> =
        registry.checks.iter().flat_map(|check| std::iter::once(&check.name).chain(check.also.keys())).collect();
    let now: BTreeSet<String> =
        report.checks.iter().filter(|check| check.skipped.is_none()).map(|check| check.name.clone()).collect();
    // What was skipped here may have run elsewhere.
    report.checks.retain(|check| now.contains(&check.name) || before.iter().all(|old| old.name != check.name));
    report.checks.extend(before.into_iter().filter(|old| !now.contains(&old.name)));
    report.checks.retain(|check| known.contains(&&check.name));
    report.checks.sort_by_key(|check| known.iter().position(|name| **name == check.name));
    report.totals = Totals::of(&report.checks);
    let path = root.join("docs/lab.json");
    let text = report.to_json() + "\n";
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    write(root, registry, &report)
}

/// Writes the pages again; what a check shows is taken from the registry.
pub(crate) fn render(root: &Path, registry: &Registry) -> Result<(), Trouble> {
    let mut report = Report::read(root)?;
    for published in &mut report.checks {
        let check = registry.find(&published.part.name)?;
        published.part.shows = check.shows(&published.part.name).unwrap_or_default().to_owned();
        published.part.promises.clone_from(&check.promises);
    }
    let path = root.join("docs/lab.json");
    std::fs::write(&path, report.to_json() + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    write(root, registry, &report)
}

/// Writes the tables of the pages.
fn write(root: &Path, registry: &Registry, report: &Report) -> Result<(), Trouble> {
    for (page, text) in [("README.md", short(report)), ("docs/lab.md", full(registry, report))] {
        let path = root.join(page);
        let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
        let old = std::fs::read_to_string(&path).map_err(trouble)?;
        let new =
            replaced(&old, &text).ok_or_else(|| format!("{page} has no line {BEGIN:?}, or no {END:?} behind it"))?;
        std::fs::write(&path, new).map_err(trouble)?;
    }
    Ok(())
}

/// The page with another text between its markers.
fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, behind) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}{END}{behind}"))
}

/// For the README: the headline, and a line for each check.
fn short(report: &Report) -> String {
    if report.checks.is_empty() {
        return String::new();
    }
    let mut text = format!("**{}.**\n\n", headline(report));
    text += "| check | what it shows | cases | failures |\n|---|---|---:|---:|\n";
    for check in &report.checks {
        let (cases, failures) = counts(check);
        let _infallible = writeln!(text, "| {} | {} | {cases} | {failures} |", check.name, check.shows);
    }
    text
}

/// For `docs/lab.md`: with promises, figures, and what they were made on.
fn full(registry: &Registry, report: &Report) -> String {
    if report.checks.is_empty() {
        return String::new();
    }
    let machine = &report.machine;
    let mut text = format!(
        "**{}.** {} checks, {} cases, {} failures, {} skipped. {}, {}, {} cores, {} MiB.\n\n",
        headline(report),
        report.totals.checks,
        thousands(report.totals.cases),
        thousands(report.totals.failures),
        report.totals.skipped,
        machine.system,
        machine.processor,
        machine.cores,
        thousands(machine.memory_mib)
    );
    text += "| check | promises | cases | failures | figures | time | at | reproduce |\n|---|---|---:|---:|---|---:|---|---|\n";
    for check in &report.checks {
        let (cases, failures) = counts(check);
        let figures: Vec<String> = check.figures.iter().map(|(name, number)| figure(name, number)).collect();
        let _infallible = writeln!(
            text,
            "| {} | {} | {cases} | {failures} | {} | {} | {} {} | `{}` |",
            check.name,
            check.promises.join(" "),
            figures.join(", "),
            duration(check.seconds),
            check.date,
            check.commit,
            check.command
        );
    }
    let is_published = |name: &String| report.checks.iter().any(|check| check.name == *name);
    let all = registry.checks.iter().flat_map(|check| std::iter::once(&check.name).chain(check.also.keys()));
    let missing: Vec<String> = all.filter(|name| !is_published(name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let _infallible =
            writeln!(text, "\nOf {} checks nothing is published yet: {}.", missing.len(), missing.join(", "));
    }
    text
}

fn counts(check: &Published) -> (String, String) {
    match &check.skipped {
        Some(why) => (format!("skipped: {why}"), "-".to_owned()),
        None => (thousands(check.cases), thousands(check.failures)),
    }
}

fn figure(name: &str, number: &serde_json::Number) -> String {
    let number = number.as_u64().map_or_else(|| number.to_string(), thousands);
    format!("{} {number}", name.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_what_was_found_and_nothing_else() {
        let root = crate::root();
        let report = Report::read(&root).unwrap();
        assert_eq!(report.schema, Report::SCHEMA);
        assert_eq!(report.totals, Totals::of(&report.checks), "docs/lab.json was edited");
        assert_eq!(report.totals.failures, 0, "failures are fixed, not published");
        let registry = Registry::read(&root).unwrap();
        for (page, text) in [("README.md", short(&report)), ("docs/lab.md", full(&registry, &report))] {
            let old = std::fs::read_to_string(root.join(page)).unwrap();
            let new = replaced(&old, &text).unwrap_or_else(|| panic!("{page} has no place for the figures"));
            assert!(old == new, "{page} differs from docs/lab.json: cargo run -p taffrail-lab -- --render");
        }
    }

    #[test]
    fn every_published_check_is_one_that_can_be_run() {
        let root = crate::root();
        let registry = Registry::read(&root).unwrap();
        for check in Report::read(&root).unwrap().checks {
            let found = registry.find(&check.name).unwrap();
            assert_eq!((found.shows(&check.name), &found.promises), (Some(check.shows.as_str()), &check.promises));
        }
    }

    #[test]
    fn text_between_the_markers_is_replaced_and_nothing_else() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(replaced(&page, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!((replaced("a", "new"), replaced(&format!("{END}{BEGIN}"), "new")), (None, None));
    }
}
