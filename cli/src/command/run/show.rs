//! `taffrail run show RUN`

use clap::Args;
use taffrail::run::{Finding, RunReport, Shown, Usage, show};

use super::waits;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output};
use crate::problem::Failure;
use crate::store::Store;
use crate::table::{Align, Table};
use crate::usage::quoted;

/// Events that are shown unless more are asked for.
const EVENTS_SHOWN: usize = 20;
/// Characters of an event's summary on a terminal.
const SUMMARY_ON_TERMINAL: usize = 70;

/// Arguments of `taffrail run show`.
#[derive(Args, Clone, Debug)]
pub struct Show {
    /// The run, by its name or a unique prefix of it
    pub run: String,

    /// Show the last COUNT events
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = EVENTS_SHOWN)]
    pub count: usize,

    /// Show the events that rewinds have given up, too
    #[arg(long)]
    pub all: bool,
}

impl Show {
    /// Shows the run.
    ///
    /// # Errors
    /// T0141 for an unknown run; as reading. What is wrong with the run is in its findings.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("run show", &Format::TEXT)?;
        let store = Store::locate(context)?;
        let reader = store.reader()?;
        let found = reader.find_run(&self.run).map_err(|error| store.problem_of_run(&self.run, &error))?;
        let shown = Shown { most_events: self.count, with_given_up: self.all };
        let (_, report) = show(&reader, found.run, shown).map_err(|error| store.problem(&error))?;
        match context.output.format() {
            Format::Human => print(&report, self.all, &store, context.output)?,
            _ => context.output.json(&report)?,
        }
        Ok(losses::tell(&report.losses, &store, context.output))
    }
}

fn print(report: &RunReport, all: bool, store: &Store, output: &mut Output) -> Result<(), Failure> {
    let run = &report.overview;
    let name = run.name.clone().unwrap_or_else(|| format!("#{}", run.run));
    let status = run.status.map_or_else(|| "no events of the run schema".to_owned(), |status| status.to_string());
    let events = human::count(run.events, "event");
    let heading =
        Line::new().tone(Tone::Heading, &name).plain(&format!("  {status}  {events}, revision {}", run.revision));
    output.line(heading)?;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if !run.process.is_empty() {
        rows.push(("process", run.process.clone()));
    }
    rows.extend(
        run.parent.as_ref().map(|parent| ("forked", format!("from {} at its event {}", parent.run, parent.at))),
    );
    rows.extend(report.created_ns.map(|time_ns| ("created", format!("{} UTC", human::time(time_ns)))));
    rows.extend(run.last_time_ns.map(|time_ns| ("last", format!("{} UTC", human::time(time_ns)))));
    if !report.spent.total.is_nothing() {
        rows.push(("spent", usage(&report.spent.total)));
    }
    for wait in &run.waiting {
        let label = if wait.label.is_empty() { String::new() } else { format!(": {}", wait.label) };
        let until = wait.deadline_ns.map(|time_ns| format!(", until {} UTC", human::time(time_ns))).unwrap_or_default();
        let text = format!("{} since {} UTC{until}{label}", waits::name(wait), human::time(wait.since_ns));
        rows.push(("waits", text));
    }
    for rewind in &report.rewinds {
        let undone = if rewind.undone.is_some() { ", undone" } else { "" };
        rows.push(("rewound", format!("to event {} by {}{undone}: {}", rewind.to, rewind.by, rewind.reason)));
    }
    for (step, answer) in &report.answers {
        let verdict = if answer.approved { "yes" } else { "no" };
        let by = if answer.by.is_empty() { String::new() } else { format!(", claimed by {}", answer.by) };
        let said = if answer.feedback.is_empty() { String::new() } else { format!(": {}", answer.feedback) };
        rows.push(("answer", format!("{step}: {verdict}{by}{said}")));
    }
    for archived in &report.archived {
        let events = human::count(archived.events, "event");
        let (after, before) = (human::thousands(archived.after), human::thousands(archived.before));
        let place = match archived.kept_in.as_slice() {
            [] => "not kept".to_owned(),
            places if archived.is_there => format!("in {}/", places.join("/, ")),
            places => format!("were in {}/, which is not there", places.join("/, ")),
        };
        rows.push(("archived", format!("{events} between seq {after} and {before}: {place}")));
    }
    for (label, text) in rows {
        output.line(format!("  {label:<8} {text}").as_str())?;
    }
    timeline(report, all, &name, store, output)?;
    findings("findings", &report.findings, run.findings, output)?;
    findings("the source's files say otherwise", &report.source_findings, report.source_findings.len() as u64, output)
}

fn named(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn timeline(report: &RunReport, all: bool, name: &str, store: &Store, output: &mut Output) -> Result<(), Failure> {
    if report.timeline.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let mut table = Table::new(&[
        ("SEQ", Align::Right),
        ("TIME (UTC)", Align::Left),
        ("EVENT", Align::Left),
        ("BY", Align::Left),
        ("ABOUT", Align::Left),
        ("WHAT", Align::Left),
        (if report.timeline.iter().any(|event| event.given_up) { "HISTORY" } else { "" }, Align::Left),
    ]);
    let most = if output.is_terminal() { SUMMARY_ON_TERMINAL } else { usize::MAX };
    for event in &report.timeline {
        table.row([
            human::thousands(event.seq),
            human::time(event.time_ns),
            event.kind.to_string(),
            named(&event.actor),
            named(&event.subject),
            human::cut(&event.summary, most),
            if event.given_up { "given up" } else { "" }.to_owned(),
        ]);
    }
    output.lines(table.lines())?;
    if report.timeline_hidden > 0 {
        let hidden = human::count(report.timeline_hidden, "event");
        let command = store.command(&format!("run show {} --all", quoted(name)));
        output.note(format!("{hidden} given up by rewinds; {command} shows them").as_str());
    }
    if report.timeline_skipped > 0 {
        let skipped = human::count(report.timeline_skipped, "event");
        // A fork shows its parent's events as well, which it does not count as its own.
        let shown = report.timeline_skipped + report.timeline.len() as u64;
        let (events, given_up) = (report.overview.events.max(shown), if all { " --all" } else { "" });
        let command = store.command(&format!("run show {} -n {events}{given_up}", quoted(name)));
        output.note(format!("{skipped} before these; {command} shows all").as_str());
    }
    Ok(())
}

fn findings(heading: &str, findings: &[Finding], count: u64, output: &mut Output) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    output.line("")?;
    output.line(Line::new().tone(Tone::Warning, heading).plain(&format!(": {}", human::thousands(count))))?;
    for finding in findings {
        output.line(format!("  {finding}").as_str())?;
    }
    if let Some(more) = count.checked_sub(findings.len() as u64).filter(|more| *more > 0) {
        output.line(format!("  and {} more", human::thousands(more)).as_str())?;
    }
    Ok(())
}

/// `12,034 tokens in, 2,118 out, 0.0412 USD`
pub(super) fn usage(usage: &Usage) -> String {
    let cached = match usage.cache_read_tokens + usage.cache_write_tokens {
        0 => String::new(),
        tokens => format!(" ({} from and to the cache)", human::thousands(tokens)),
    };
    let tokens = |count| human::thousands(count);
    let (dollars, rest) = (usage.nano_usd / 1_000_000_000, usage.nano_usd % 1_000_000_000 / 100_000);
    let (input, output) = (tokens(usage.input_tokens), tokens(usage.output_tokens));
    format!("{input} tokens in{cached}, {output} out, {}.{rest:04} USD", human::thousands(dollars))
}
