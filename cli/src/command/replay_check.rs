//! What `taffrail replay --check` found, for people and for programs.

use serde::Serialize;
use serde_json::Value;
use taffrail::Seq;
use taffrail::fold::{CheckReport, Divergence, Evidence, FieldChange, Place, RunCheck};

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::Output;
use crate::problem::Failure;
use crate::run_names::RunNames;
use crate::subject::Subject;
use crate::table::{Align, Table};
use crate::usage::quoted;

/// Events before and after a divergence that belong to its repro.
const EVENTS_AROUND: u64 = 8;
/// Fields of a divergence that are shown to people.
const MOST_FIELDS: usize = 20;

/// A field that differs.
#[derive(Debug, Serialize)]
struct Field<'check> {
    path: &'check str,
    recorded: &'check Option<Value>,
    computed: &'check Option<Value>,
}

/// Where and why a run diverged.
#[derive(Debug, Serialize)]
struct DivergenceReport<'check> {
    cause: &'static str,
    explanation: &'static str,
    /// `event`: that event made the states differ. `interval`: one of the events between `from` and `seq`.
    place: &'static str,
    /// The last event after which the states were equal, of an interval; null for the start.
    from: Option<u64>,
    seq: Option<u64>,
    r#type: Option<String>,
    /// `checkpoint`, `snapshot`, `states` or `twin`.
    evidence: &'static str,
    recorded: String,
    computed: String,
    fields: Vec<Field<'check>>,
    /// Prints the events around it.
    repro: Option<String>,
}

/// What was compared of one run.
#[derive(Debug, Serialize)]
struct RunReport<'check> {
    run: Option<u64>,
    name: Option<String>,
    events: u64,
    checkpoints: u64,
    compared: u64,
    equal: u64,
    /// Checkpoints of other versions of the fold: not compared.
    other_versions: u64,
    /// Checkpoints of other folds: not checked here.
    other_folds: u64,
    missing: u64,
    digest: Option<String>,
    error: Option<super::replay::ErrorReport>,
    divergence: Option<DivergenceReport<'check>>,
}

/// `taffrail.replay_check/1`
#[derive(Debug, Serialize)]
struct Report<'check> {
    schema: &'static str,
    fold: &'static str,
    version: u32,
    runs: Vec<RunReport<'check>>,
    compared: u64,
    equal: u64,
    diverged: u64,
    /// Recorded states of events that this log does not have.
    without_counterpart: u64,
}

/// Tells what was found. The exit code is the answer: 5 for a divergence, 1 where nothing could be compared.
///
/// # Errors
/// What writing says.
pub(super) fn print(check: &CheckReport, subject: &Subject, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut names = RunNames::default();
    let mut exit = losses::tell(&check.losses, &subject.store, context.output);
    let mut runs = Vec::new();
    for run in &check.runs {
        let error = run.failure.as_ref().map(|error| {
            let problem = subject.store.problem(error);
            exit = exit.combine(problem.exit);
            super::replay::ErrorReport { code: problem.code.as_str(), message: problem.message }
        });
        let name = run.run.map(|run| names.name(&subject.reader, run));
        let divergence = run.divergence.as_ref().map(|it| divergence(it, name.as_deref(), subject));
        exit = if divergence.is_some() { exit.combine(Exit::Diverged) } else { exit };
        runs.push(report(run, name, error, divergence));
    }
    for finding in &check.findings {
        context.output.warning(&format!("{}: {}: {}", finding.file, finding.code, finding.why));
    }
    let compared = check.compared();
    let equal = check.runs.iter().map(|run| run.equal).sum();
    let diverged = check.divergences().count() as u64;
    let report = Report {
        schema: "taffrail.replay_check/1",
        fold: check.fold,
        version: check.version,
        runs,
        compared,
        equal,
        diverged,
        without_counterpart: check.without_counterpart,
    };
    let exit = if compared == 0 || check.without_counterpart > 0 { exit.combine(Exit::Differs) } else { exit };
    if context.output.format().is_json() {
        context.output.json(&report)?;
    } else {
        show(&report, subject, exit, context.output)?;
    }
    Ok(exit)
}

fn report<'check>(
    run: &RunCheck,
    name: Option<String>,
    error: Option<super::replay::ErrorReport>,
    divergence: Option<DivergenceReport<'check>>,
) -> RunReport<'check> {
    RunReport {
        run: run.run.map(Seq::get),
        name,
        events: run.events,
        checkpoints: run.checkpoints,
        compared: run.compared,
        equal: run.equal,
        other_versions: run.other_versions,
        other_folds: run.other_folds,
        missing: run.missing.iter().map(|missing| missing.count).sum(),
        digest: run.digest.map(|digest| digest.to_string()),
        error,
        divergence,
    }
}

fn divergence<'check>(found: &'check Divergence, name: Option<&str>, subject: &Subject) -> DivergenceReport<'check> {
    let (place, from, seq, fields) = match &found.place {
        Place::Event { seq, fields, .. } => ("event", None, Some(*seq), fields),
        Place::Interval { after, until, fields } => {
            let [from, seq] = [*after, *until].map(|revision| seq_of(found.run, revision, subject));
            ("interval", from, seq, fields)
        }
    };
    let record = seq.and_then(|seq| subject.reader.get(seq).ok().flatten());
    let first = from.or(seq).map(|seq| seq.get().saturating_sub(EVENTS_AROUND).max(1));
    let repro = first.zip(seq).map(|(first, seq)| {
        let run = name.map(|name| format!("--run {} ", quoted(name))).unwrap_or_default();
        let end = seq.get().saturating_add(EVENTS_AROUND);
        subject.store.command(&format!("log export {run}{first}..{end} > case.jsonl"))
    });
    DivergenceReport {
        cause: found.cause.name(),
        explanation: found.cause.explanation(),
        place,
        from: from.map(Seq::get),
        seq: seq.map(Seq::get),
        r#type: record.map(|record| record.type_name()),
        evidence: match &found.evidence {
            Evidence::Checkpoint(_) => "checkpoint",
            Evidence::Snapshot(_) => "snapshot",
            Evidence::States => "states",
            Evidence::Twin => "twin",
        },
        recorded: found.recorded.to_string(),
        computed: found.computed.to_string(),
        fields: fields
            .iter()
            .map(|FieldChange { path, old, new }| Field { path, recorded: old, computed: new })
            .collect(),
        repro,
    }
}

/// The event of a run with a revision; for a fold over the store, revisions are seqs already.
fn seq_of(run: Option<Seq>, revision: u64, subject: &Subject) -> Option<Seq> {
    let Some(run) = run else { return Seq::new(revision) };
    let mut events = subject.reader.events(taffrail::Query::all().run(run).from(run)).ok()?;
    let mut last = None;
    while let Ok(Some(record)) = events.next() {
        if u64::from(record.revision) > revision {
            break;
        }
        last = Some(record.seq);
    }
    last
}

fn show(report: &Report<'_>, subject: &Subject, exit: Exit, output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("RUN", Align::Left),
        ("EVENTS", Align::Right),
        ("COMPARED", Align::Right),
        ("EQUAL", Align::Right),
        ("RESULT", Align::Left),
    ]);
    for run in &report.runs {
        let name = run.name.clone().unwrap_or_else(|| "(the store)".to_owned());
        let counts = [run.events, run.compared, run.equal].map(human::thousands);
        let [events, compared, equal] = counts;
        table.row([name, events, compared, equal, result(run)]);
    }
    output.lines(table.lines())?;
    for run in &report.runs {
        if let Some(divergence) = &run.divergence {
            show_divergence(run, divergence, output)?;
        }
    }
    if report.without_counterpart > 0 {
        let states = human::count(report.without_counterpart, "recorded state");
        let text = format!(": {states} of events that this log does not have");
        output.line(Line::new().tone(Tone::Warning, "not compared").plain(&text))?;
    }
    let runs = human::count(report.runs.len() as u64, "run");
    if report.compared == 0 {
        let fold = format!("{} version {}", report.fold, report.version);
        let text = format!(": no state of {fold} is recorded, so this proves nothing either way");
        output.line(Line::new().tone(Tone::Warning, "nothing to compare").plain(&text))?;
        let hint = subject.store.command("replay --check --twice");
        output.line(Line::new().tone(Tone::Hint, "hint").plain(&format!(": {hint}")))?;
        output.line(exit.line())?;
        return Ok(());
    }
    let (equal, compared) = (human::thousands(report.equal), human::count(report.compared, "comparison"));
    let tone = if report.diverged == 0 { Tone::Good } else { Tone::Bad };
    let text = if report.diverged == 0 {
        "no divergence".to_owned()
    } else {
        format!("{} diverged", human::count(report.diverged, "run"))
    };
    let counted = format!(": {equal} of {compared} equal, in {runs}");
    output.line(Line::new().tone(tone, &text).plain(&counted))?;
    if report.diverged > 0 {
        output.line(Line::new().tone(Tone::Hint, "hint").plain(": taffrail explain T0503"))?;
    }
    output.line(exit.line())?;
    Ok(())
}

fn result(run: &RunReport<'_>) -> String {
    let mut parts = Vec::new();
    if let Some(error) = &run.error {
        parts.push(format!("{}: {}", error.code, error.message));
    } else if run.divergence.is_some() {
        parts.push("DIVERGED".to_owned());
    } else if run.missing > 0 {
        let missing = human::count(run.missing, "event");
        parts.push(format!("incomplete: {missing} missing, not compared behind them"));
    } else if run.compared == 0 {
        parts.push("nothing to compare".to_owned());
    } else {
        parts.push("equal".to_owned());
    }
    if run.other_versions > 0 {
        parts.push(format!("{} of other versions skipped", human::count(run.other_versions, "checkpoint")));
    }
    if run.other_folds > 0 {
        parts.push(format!("{} of other folds not checked here", human::count(run.other_folds, "checkpoint")));
    }
    parts.join("; ")
}

fn show_divergence(run: &RunReport<'_>, found: &DivergenceReport<'_>, output: &mut Output) -> Result<(), Failure> {
    let name = run.name.as_deref().unwrap_or("the store");
    let seq = found.seq.map_or_else(|| "?".to_owned(), human::thousands);
    let kind = found.r#type.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let place = match (found.place, found.from) {
        ("event", _) => format!(" at seq {seq}{kind}"),
        (_, Some(from)) => format!(" behind seq {}, up to seq {seq}{kind}", human::thousands(from)),
        (_, None) => format!(" up to seq {seq}{kind}"),
    };
    output.line("")?;
    output.line(Line::new().plain(name).plain("  ").tone(Tone::Bad, "DIVERGED").plain(&place))?;
    let mut table = Table::new(&[("  FIELD", Align::Left), ("RECORDED", Align::Left), ("THIS BUILD", Align::Left)]);
    let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), |value| human::value(value, 60));
    for field in found.fields.iter().take(MOST_FIELDS) {
        table.row([format!("  {}", field.path), show(field.recorded), show(field.computed)]);
    }
    let short = |digest: &str| digest.chars().take(16).collect::<String>();
    table.row(["  (state digest)".to_owned(), short(&found.recorded), short(&found.computed)]);
    output.lines(table.lines())?;
    if let Some(more) = found.fields.len().checked_sub(MOST_FIELDS).filter(|more| *more > 0) {
        output.line(format!("  and {}", human::count(more as u64, "more field")).as_str())?;
    }
    output.line(format!("cause class: {} ({})", found.cause, found.explanation).as_str())?;
    if let Some(repro) = &found.repro {
        output.line(Line::new().tone(Tone::Hint, "repro").plain(&format!(": {repro}")))?;
    }
    Ok(())
}
