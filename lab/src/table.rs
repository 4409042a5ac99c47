//! The table for people.

use crate::registry::Registry;
use crate::report::{Entry, Report};
use std::fmt::Write as _;

/// Widths of the columns.
const NAME: usize = 34;

pub(crate) fn head() -> String {
    format!("{:<NAME$} {:<12} {:>14} {:>9} {:>9}\n", "CHECK", "PROMISES", "CASES", "FAILURES", "TIME")
}

/// A check's rows.
pub(crate) fn row(entry: &Entry) -> String {
    let mut text = String::new();
    for (position, part) in entry.parts.iter().enumerate() {
        let time = if position == 0 { duration(entry.seconds) } else { String::new() };
        let (cases, failures) = match part.skipped {
            Some(_) => ("skipped".to_owned(), "-".to_owned()),
            None => (thousands(part.cases), thousands(part.failures)),
        };
        let promises = part.promises.join(" ");
        let _infallible = writeln!(text, "{:<NAME$} {promises:<12} {cases:>14} {failures:>9} {time:>9}", part.name);
        for remark in [&part.skipped, &part.wrong].into_iter().flatten() {
            let _infallible = writeln!(text, "    {remark}");
        }
    }
    text
}

pub(crate) fn totals(report: &Report) -> String {
    let totals = &report.totals;
    let mut text = format!(
        "{} checks, {} cases, {} failures, {} skipped; at {}, {} cores\n",
        totals.checks,
        thousands(totals.cases),
        thousands(totals.failures),
        totals.skipped,
        report.commit,
        report.machine.cores
    );
    if totals.crash_states > 0 {
        text += &headline(report);
        text += "\n";
    }
    text
}

/// The sentence that matters.
pub(crate) fn headline(report: &Report) -> String {
    let totals = &report.totals;
    format!(
        "{} acknowledged events lost, {} false truncations, {} false refusals in {} crash states",
        thousands(totals.acknowledged_lost),
        thousands(totals.false_truncations),
        thousands(totals.false_refusals),
        thousands(totals.crash_states)
    )
}

/// What there is.
pub(crate) fn list(registry: &Registry) -> String {
    let mut text = String::new();
    for check in &registry.checks {
        let ci = if check.ci { "ci" } else { "" };
        let promises = check.promises.join(" ");
        let _infallible = writeln!(text, "{:<NAME$} {ci:<3} {promises:<12} {}", check.name, check.shows);
        for (name, shows) in &check.also {
            let _infallible = writeln!(text, "{name:<NAME$} {ci:<3} {promises:<12} {shows}");
        }
    }
    text += "\nsabotages\n";
    for sabotage in &registry.sabotages {
        let _infallible = writeln!(text, "{:<NAME$} found by {}: {}", sabotage.name, sabotage.check, sabotage.breaks);
    }
    text
}

/// 1234567 as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds for people.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1} s") } else { format!("{:.1} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_where_they_belong() {
        let all = [0, 999, 1000, 65_536, 1_234_567].map(thousands);
        assert_eq!(all, ["0", "999", "1,000", "65,536", "1,234,567"]);
        assert_eq!((duration(99.94), duration(120.0)), ("99.9 s".to_owned(), "2.0 min".to_owned()));
    }
}
