//! The plan of `taffrail log repair`, for people.

use taffrail::repair::{RepairAction, RepairMode, SegmentRepair};
use taffrail::{LostEvent, Severity};

use super::repair::Found;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::output::Output;
use crate::plan::Proposal;
use crate::problem::Failure;
use crate::store::Store;

/// Places, runs and events that are named; the others are counted.
const NAMED: usize = 5;

/// A plan, with what is around it.
pub(super) struct Text<'found> {
    pub(super) found: &'found Found,
    pub(super) proposal: &'found Proposal,
    pub(super) store: &'found Store,
    pub(super) exit: Exit,
}

impl Text<'_> {
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let plan = &self.found.plan;
        if plan.is_empty() || self.found.report.severity == Severity::Clean && plan.lost == 0 {
            output.lines(self.nothing())?;
            return Ok(());
        }
        output.line(self.proposal.heading())?;
        let mut rows: Vec<(String, String)> =
            plan.segments.iter().map(|repair| (format!("seg {}", repair.segment), segment(repair))).collect();
        rows.extend(self.kept().into_iter().map(|kept| ("keep".to_owned(), kept)));
        rows.push(("tell".to_owned(), "an OperatorAction event: who, why, and what was lost".to_owned()));
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, text) in rows {
            output.line(format!("  {label:<width$}  {text}").as_str())?;
        }
        output.lines(self.loss())?;
        let elsewhere = self.found.report.totals.lost.saturating_sub(plan.lost);
        if plan.mode == RepairMode::Tail && elsewhere > 0 {
            let lost = human::count(elsewhere, "lost event");
            output.line(format!("this is not all: {lost} before the tail need --mode salvage").as_str())?;
        }
        if let Some(fewer) = self.found.salvage_loses {
            let command = self.store.command("log repair --mode salvage");
            let lost = human::count(fewer, "event");
            output.line(Line::new().tone(Tone::Hint, "alternative").plain(&format!(": {command}   (loses {lost})")))?;
        }
        output.lines(self.proposal.footing(self.exit))?;
        Ok(())
    }

    fn nothing(&self) -> Vec<Line> {
        let report = &self.found.report;
        if self.exit == Exit::Clean {
            let events = human::count(report.totals.events, "event");
            return vec![Line::new().tone(Tone::Good, "nothing to repair").plain(&format!(": {events}, none lost"))];
        }
        let what = match self.found.plan.mode {
            RepairMode::Tail => "nothing to repair at the tail",
            RepairMode::Salvage => "nothing that a repair of the segments could put right",
        };
        let next = match self.found.plan.mode {
            RepairMode::Tail => "log repair --mode salvage",
            RepairMode::Salvage => "log verify",
        };
        let findings = human::count(report.findings.len() as u64 + report.findings_not_listed, "finding");
        let hint = format!(": {}", self.store.command(next));
        vec![
            Line::new().tone(Tone::Warning, what).plain(&format!("; verify has {findings}")),
            Line::new().tone(Tone::Hint, "hint").plain(&hint),
            self.exit.line(),
        ]
    }

    /// Where everything goes that leaves the log.
    fn kept(&self) -> Vec<String> {
        let of = |action: RepairAction| -> Vec<&SegmentRepair> {
            self.found.plan.segments.iter().filter(|repair| repair.action == action).collect()
        };
        let mut kept = Vec::new();
        let rewritten: Vec<String> =
            of(RepairAction::Rewrite).iter().map(|repair| repair.segment.to_string()).collect();
        let directory = format!("quarantine/{}/", self.proposal.name);
        kept.push(match rewritten.as_slice() {
            [] => format!("{directory}: this plan, as manifest.json"),
            [one] => format!("{directory}: the whole original of segment {one}, and manifest.json"),
            _ => format!("{directory}: the whole originals of segments {}, and manifest.json", listed(&rewritten)),
        });
        for repair in of(RepairAction::Cut) {
            let start = repair.removed.first().map_or(0, |removed| removed.start);
            kept.push(format!("quarantine/torn-{:010}-{start:#x}/: the torn bytes", repair.segment));
        }
        kept
    }

    /// What is lost, and what is known of it.
    fn loss(&self) -> Vec<Line> {
        let Found { plan, lost_events, runs, .. } = self.found;
        let line = |tone, text: &str| Line::new().plain("you would lose: ").tone(tone, text);
        if plan.lost == 0 {
            return vec![line(Tone::Good, "nothing that was acknowledged")];
        }
        let time = |event: &LostEvent| human::time(event.time_ns).get(..19).unwrap_or_default().to_owned();
        let mut text = human::count(plan.lost, "event");
        let times = (lost_events.iter().map(time).min(), lost_events.iter().map(time).max());
        text.push_str(&match times {
            (Some(first), Some(last)) if first == last => format!(", from {first}"),
            (Some(first), Some(last)) => format!(", from {first} to {last}"),
            _ => String::new(),
        });
        text.push_str(&match runs.as_slice() {
            [] => String::new(),
            [one] => format!(", in run {one}"),
            more => format!(", in runs {}", listed(more)),
        });
        let mut lines = vec![line(Tone::Bad, &text)];
        lines.extend(lost_events.iter().take(NAMED).map(|event| Line::from(named(event).as_str())));
        let untold = plan.lost - (lost_events.len().min(NAMED) as u64).min(plan.lost);
        if untold > 0 && !lost_events.is_empty() {
            lines.push(format!("  and {}", human::count(untold, "other")).as_str().into());
        } else if untold > 0 {
            let possibly = self.found.report.possibly_affected_runs.iter();
            let names: Vec<String> =
                possibly.map(|run| run.name.clone().unwrap_or_else(|| format!("#{}", run.run))).collect();
            let of = if names.is_empty() {
                String::new()
            } else {
                format!("; runs that may be affected: {}", listed(&names))
            };
            lines.push(format!("  nothing tells what was in them{of}").as_str().into());
        }
        lines
    }
}

/// `copy 4,602 events, payloads byte for byte; 1 gap (seq 9232)`
fn segment(repair: &SegmentRepair) -> String {
    let gaps: Vec<String> = repair.gaps.iter().map(|gap| range(*gap)).collect();
    let gaps = match gaps.as_slice() {
        [] => String::new(),
        gaps => format!("; {} (seq {})", human::count(gaps.len() as u64, "gap"), listed(gaps)),
    };
    let places: Vec<String> = repair.removed.iter().map(place).collect();
    match repair.action {
        RepairAction::Cut => format!("cut {}; they were never acknowledged", listed(&places)),
        RepairAction::Rename => {
            format!("is in {}: give the file its name", repair.from.as_deref().unwrap_or("another file"))
        }
        RepairAction::Replace => format!("not there: put a record of the absence in its place{gaps}"),
        RepairAction::Rewrite => {
            let copied = human::count(repair.kept_events, "event");
            let out = match places.as_slice() {
                [] => String::new(),
                places => format!("; take out {}", listed(places)),
            };
            format!("copy {copied}, payloads byte for byte{out}{gaps}")
        }
    }
}

fn place(removed: &taffrail::repair::Removed) -> String {
    format!("{} B at {:#07x}", human::thousands(removed.len_bytes), removed.start)
}

fn range((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first}..={last}") }
}

/// `a, b, c and 4 more`
fn listed(names: &[String]) -> String {
    match names.len().checked_sub(NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

fn named(event: &LostEvent) -> String {
    let run = match (&event.run_name, event.run) {
        (Some(name), _) => name.clone(),
        (None, Some(number)) => format!("run #{number}"),
        (None, None) => "the store".to_owned(),
    };
    let kind = event.type_name.as_deref().unwrap_or("unknown type");
    let likely = if event.is_likely { "   (likely)" } else { "" };
    format!("  seq {}  {}  {run}  {kind}{likely}", event.seq, human::time(event.time_ns))
}
