//! Plans about runs, in words.

use taffrail::run::{Effect, GivenUp, PlannedRun, Then, TimelineEvent, Usage};

use super::waits;
use crate::human;
use crate::output::Output;
use crate::problem::Failure;
use crate::table::{Align, Table};

/// Names of a list that are shown.
const NAMES_SHOWN: usize = 12;

/// A plan's rows: a label, and what there is to say.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<(&'static str, String)>);

impl Rows {
    pub(super) fn row(&mut self, label: &'static str, text: impl Into<String>) {
        self.0.push((label, text.into()));
    }

    /// A row where there is something to say.
    pub(super) fn some(&mut self, label: &'static str, text: Option<String>) {
        self.0.extend(text.map(|text| (label, text)));
    }

    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        for (label, text) in &self.0 {
            output.line(format!("  {label:<9} {text}").as_str())?;
        }
        Ok(())
    }
}

/// `a, b, c and 4 more`; `None` for none.
pub(super) fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let all: Vec<&str> = names.into_iter().collect();
    let shown = all.get(..NAMES_SHOWN).unwrap_or(&all);
    let more = match all.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {} more", human::thousands(more as u64)),
    };
    (!all.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

/// Several lists in one row.
pub(super) fn lists(lists: &[(&str, Option<String>)]) -> Option<String> {
    let said = lists.iter().filter_map(|(what, names)| names.as_ref().map(|names| format!("{what}: {names}")));
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The row of the run itself.
pub(super) fn run(rows: &mut Rows, run: &PlannedRun) {
    let events = human::count(run.events, "event");
    rows.row("run", format!("{}  {}, {events}, revision {}", run.run_name, run.status, run.revision));
    if run.missing > 0 {
        let missing = human::count(run.missing, "event");
        rows.row("missing", format!("{missing} of it: what they did is not known, and no part of this"));
    }
}

/// What is given up, in a row.
pub(super) fn given_up(rows: &mut Rows, given_up: &GivenUp) {
    let (first, last) = (&given_up.first, &given_up.last);
    let events = human::count(given_up.events, "event");
    let text = if given_up.events == 1 {
        format!("{events}: seq {}, of {}", human::thousands(first.seq), human::time(first.time_ns))
    } else {
        let (seq, until) = (human::thousands(first.seq), human::thousands(last.seq));
        format!("{events}: seq {seq} to {until}, from {} to {}", human::time(first.time_ns), human::time(last.time_ns))
    };
    rows.row("give up", text);
}

/// Effects that nothing makes up for, a row each.
pub(super) fn final_effects(rows: &mut Rows, effects: &[Effect]) {
    for effect in effects {
        let Effect { step, kind, status, time_ns, .. } = effect;
        let said = match effect.reversibility {
            taffrail::run::Reversibility::Unstated => "nobody said that it can be taken back",
            _ => "it can not be taken back",
        };
        let (status, time) = (status.as_str(), human::time(*time_ns));
        rows.row("for good", format!("{step} ({kind}, {status}, {time}): {said}"));
    }
}

/// What was spent, if anything was.
pub(super) fn spent(rows: &mut Rows, spent: &Usage) {
    if !spent.is_nothing() {
        rows.row("spent", format!("{}: does not come back", super::show::usage(spent)));
    }
}

/// What the run comes to.
pub(super) fn then(rows: &mut Rows, then: &Then) {
    let waits: Vec<String> = then.waiting.iter().map(waits::name).collect();
    let waits = names(waits.iter().map(String::as_str)).map(|waits| format!(", waits for {waits}"));
    rows.row("then", format!("{}{}", then.status, waits.unwrap_or_default()));
}

/// An event in a few words.
pub(super) fn words(line: &TimelineEvent) -> String {
    let about = if line.subject.is_empty() { String::new() } else { format!(" {}", line.subject) };
    let what = if line.summary.is_empty() { String::new() } else { format!(", {}", human::cut(&line.summary, 60)) };
    format!("{}{about}{what}", line.kind)
}

/// The last of the events that are given up.
pub(super) fn events(lines: &[TimelineEvent], most: usize, output: &mut Output) -> Result<(), Failure> {
    let shown = &lines[lines.len().saturating_sub(most)..];
    if shown.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("    SEQ", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("EVENT", Align::Left),
        ("ABOUT", Align::Left),
        ("WHAT", Align::Left),
    ]);
    for line in shown {
        let named = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        table.row([
            human::thousands(line.seq),
            human::time(line.time_ns),
            line.kind.to_string(),
            named(&line.subject),
            human::cut(&line.summary, 60),
        ]);
    }
    output.lines(table.lines())?;
    let more = lines.len() - shown.len();
    if more > 0 {
        let count = lines.len();
        output.note(format!("{} before these; -n {count} shows all", human::count(more as u64, "event")).as_str());
    }
    Ok(())
}
