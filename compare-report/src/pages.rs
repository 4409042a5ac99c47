//! The pages: made from `docs/compare.json`, never typed.

use crate::judgement::{LEAST_PART, LEAST_ROUNDS, Verdict, judge, judgement};
use crate::number::{part, short};
use crate::report::Report;
use crate::tables::{machine, tables};
use crate::targets::{goals, targets};
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- compare: written by `just compare --publish` from docs/compare.json -->";
const END: &str = "<!-- compare: end -->";
/// Where the figures are kept.
const KEPT: &str = "docs/compare.json";

/// What a published report has figures of.
const COMPLETE: [&str; 10] = ["W1", "W2", "W3", "W4", "W5", "W6", "append", "fold", "status", "cold"];

/// Puts a report in the place of the published one, and writes the pages.
///
/// # Errors
/// Where something was not measured, or not in enough rounds; and what is wrong with the files.
pub fn publish(root: &Path, report: &Report) -> Result<(), String> {
    for workload in COMPLETE {
        let mut ours = report.measured.iter().filter(|one| one.workload == workload && report.is_ours(&one.peer));
        let enough = |rounds: &Vec<f64>| rounds.len() >= LEAST_ROUNDS;
        let is_whole = ours.clone().next().is_some() && ours.all(|one| one.figures.values().any(enough));
        if !is_whole {
            return Err(format!("nothing is published: {workload} was not measured in {LEAST_ROUNDS} rounds"));
        }
    }
    let text = serde_json::to_string(report).map_err(|error| error.to_string())?;
    // A line a measurement, so that a change of it can be read.
    let text = text.replace("{\"workload\"", "\n{\"workload\"").replace("{\"peer\"", "\n{\"peer\"");
    let text = text.replace("{\"name\"", "\n{\"name\"") + "\n";
    let path = root.join(KEPT);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    render(root)
}

/// Writes the pages again from what is published.
///
/// # Errors
/// What is wrong with the files.
pub fn render(root: &Path) -> Result<(), String> {
    let report = read(root)?;
    for (page, text) in pages(&report) {
        let path = root.join(page);
        let trouble = |error: std::io::Error| format!("{}: {error}", path.display());
        let old = std::fs::read_to_string(&path).map_err(trouble)?;
        let new =
            replaced(&old, &text).ok_or_else(|| format!("{page} has no line {BEGIN:?}, or no {END:?} behind it"))?;
        std::fs::write(&path, new).map_err(trouble)?;
    }
    Ok(())
}

fn read(root: &Path) -> Result<Report, String> {
    let path = root.join(KEPT);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn pages(report: &Report) -> [(&'static str, String); 2] {
    [("README.md", summary(report)), ("docs/performance.md", full(report))]
}

/// The page with another text between its markers.
fn replaced(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, behind) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}{END}{behind}"))
}

/// For the README: a line for each workload and case, both modes, the best of the others.
fn summary(report: &Report) -> String {
    let verdicts = judge(report);
    let mut text =
        String::from("| | exclusive | shared | best of the others | ours / its |\n|---|---:|---:|---|---:|\n");
    for pair in verdicts.chunks(2) {
        let [exclusive, shared] = pair else { continue };
        let figure = |number: f64| match exclusive.workload {
            "W5" => format!("{:.2} ms", number * 1e3),
            _ => format!("{}/s", short(number)),
        };
        let _never_fails = writeln!(
            text,
            "| {} | {} | {} | {} {} | {} |",
            described(exclusive),
            figure(exclusive.ours),
            figure(shared.ours),
            exclusive.best_peer,
            figure(exclusive.best),
            part(exclusive.part)
        );
    }
    let _never_fails = writeln!(text, "\n{}", machine(report));
    text
}

fn described(verdict: &Verdict) -> String {
    let (what, case) = match verdict.workload {
        "W1" => ("append, one sync at the end", verdict.case),
        "W2" => ("append, each durable", verdict.case),
        "W3" => ("append, each durable, 1 KiB", verdict.case),
        "W4" => ("replay, every checksum", verdict.case),
        "W5" => ("open a log of 1 GiB", verdict.case),
        _ => ("read one event by number", "1 KiB"),
    };
    format!("{what}, {case}")
}

/// For `docs/performance.md`: all of it.
fn full(report: &Report) -> String {
    let verdicts = judge(report);
    let behind = verdicts.iter().filter(|verdict| !verdict.holds).count();
    let goals = goals(report);
    let missed = goals.iter().filter(|goal| !goal.holds()).count();
    format!(
        "{}\n\n### Targets\n\n{missed} of {} missed, and not at a limit of the machine.\n\n{}\n### Judgement\n\n{behind} of {} below {LEAST_PART} of the best peer that keeps the same promises.\n\n{}{}",
        machine(report),
        goals.len(),
        targets(&goals),
        verdicts.len(),
        judgement(&verdicts),
        tables(report)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // What stands in the pages as long as nothing is published.
    const NOTHING: &str = "Not measured on this engine yet.\n";

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_pages_say_what_was_measured_and_nothing_else() {
        let texts = match root().join(KEPT).exists() {
            true => {
                let report = read(root()).unwrap();
                assert_eq!(report.schema, Report::SCHEMA);
                pages(&report)
            }
            false => ["README.md", "docs/performance.md"].map(|page| (page, NOTHING.to_owned())),
        };
        for (page, text) in texts {
            let old = std::fs::read_to_string(root().join(page)).unwrap();
            let new = replaced(&old, &text).unwrap_or_else(|| panic!("{page} has no place for the figures"));
            assert!(old == new, "{page} differs from {KEPT}: just compare --render");
        }
    }

    #[test]
    fn text_between_the_markers_is_replaced_and_nothing_else() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(replaced(&page, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!((replaced("a", "new"), replaced(&format!("{END}{BEGIN}"), "new")), (None, None));
    }
}
