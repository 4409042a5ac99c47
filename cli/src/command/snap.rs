//! `taffrail snap ...`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use taffrail::fold::{DropPlan, Losses, Scope, Snapshot, SnapshotFinding, Snapshots, Start, unread};
use taffrail::storage::Storage;
use taffrail::{Fold, Folding, Reader, Replay, Seq};

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::line::{Line, Tone};
use crate::losses;
use crate::output::{Format, Output};
use crate::plan::{Consent, Proposal, print_applied};
use crate::problem::Failure;
use crate::run_names::RunNames;
use crate::store::Store;
use crate::subject::Subject;
use crate::table::{Align, Table};

/// The commands about snapshots.
#[derive(Clone, Debug, Subcommand)]
pub enum Snap {
    /// List the snapshots of the store, of every fold
    List(List),
    /// Write a snapshot of the present state of a run, or of all runs
    Create(Create),
    /// Take snapshots away: a plan first, then that plan and no other
    Drop(Drop),
}

/// Arguments of `taffrail snap list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Only snapshots of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}

/// Arguments of `taffrail snap create`.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// The run, by its name or a unique prefix of it [default: all runs]
    pub run: Option<String>,
}

/// Arguments of `taffrail snap drop`.
#[derive(Args, Clone, Debug)]
pub struct Drop {
    /// Their files, as `snap list` names them
    #[arg(required_unless_present = "keep", conflicts_with = "keep", value_name = "FILE")]
    pub files: Vec<String>,

    /// Drop all but the newest COUNT of each fold and run, and those that are of no use
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep: Option<u64>,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// One snapshot.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    fold: String,
    version: u32,
    /// The run's number; null for a fold over the store.
    run: Option<u64>,
    name: Option<String>,
    seq: u64,
    revision: u32,
    events: u64,
    state_len_bytes: u64,
    digest: String,
}

/// A file that is no good snapshot.
#[derive(Debug, Serialize)]
struct FindingRow<'finding> {
    file: &'finding str,
    code: &'static str,
    why: &'finding str,
}

/// `taffrail.snapshots/1`
#[derive(Debug, Serialize)]
struct Report<'shown> {
    schema: &'static str,
    snapshots: &'shown [Row],
    findings: Vec<FindingRow<'shown>>,
}

/// `taffrail.drop_plan/1`
#[derive(Debug, Serialize)]
struct PlanReport<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan DropPlan,
    /// The command that carries it out, but for the reason; null where there is nothing to do.
    apply: Option<String>,
}

impl Snap {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command says.
    pub fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Create(create) => create.run::<F>(context),
            Self::Drop(drop) => drop.run(context),
        }
    }
}

impl List {
    fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("snap list", &Format::TEXT)?;
        let store = Store::locate_whole(context, "snap list")?;
        let reader = store.reader()?;
        let run = match &self.run {
            Some(name) => Some(reader.find_run(name).map_err(|error| store.problem_of_run(name, &error))?.run),
            None => None,
        };
        let mut list = snapshots_of(&store).list().map_err(|error| store.problem(&error))?;
        list.snapshots.retain(|snapshot| run.is_none() || snapshot.head.run == run);
        let mut names = RunNames::default();
        let rows: Vec<Row> =
            list.snapshots.iter().map(|snapshot| row(snapshot, |run| names.name(&reader, run))).collect();
        print(&rows, &list.findings, context.output)?;
        Ok(Exit::Clean)
    }
}

impl Create {
    fn run<F: Fold>(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("snap create", &Format::TEXT)?;
        let store = Store::locate_directory(context, "snap create")?;
        let snapshots = snapshots_of(&store);
        // A checkpoint in the log vouches for a snapshot.
        let journal = store.open(context)?;
        if F::SCOPE == Scope::Store || self.run.is_some() {
            let subject = Subject::find::<F>(store, self.run.as_deref())?;
            let loaded = subject.reader.state::<F>(subject.run, None, Start::Snapshot);
            let loaded = loaded.map_err(|error| subject.problem(&error))?;
            subject.check_read(&loaded.standing)?;
            let created = snapshots.create(&journal, subject.run, &loaded.standing);
            let snapshot = created.map_err(|error| subject.problem(&error))?;
            journal.close().map_err(|error| subject.problem(&error))?;
            print(&[row(&snapshot, |_| subject.title().to_owned())], &[], context.output)?;
            return Ok(Exit::Clean);
        }
        let reader = store.reader()?;
        let mut folding = Folding::<F>::over(&reader).map_err(|error| store.problem(&error))?;
        let mut lost = Losses::default();
        let replay = Replay::of(&reader).past_damage();
        replay.go(&mut [&mut folding, &mut lost]).map_err(|error| store.problem(&error))?;
        folding.begin_at_snapshots(&reader, None).map_err(|error| store.problem(&error))?;
        let mut names = RunNames::default();
        let mut rows = Vec::new();
        let mut exit = losses::tell(&lost, &store, context.output);
        for (run, standing) in folding.into_standings() {
            match standing.and_then(|standing| snapshots.create(&journal, run, &standing)) {
                Ok(snapshot) => rows.push(row(&snapshot, |run| names.name(&reader, run))),
                // One run that can not be snapshotted does not keep the others from it.
                Err(error) => {
                    let problem = store.problem(&error);
                    let name = run.map(|run| names.name(&reader, run)).unwrap_or_default();
                    exit = exit.combine(problem.exit);
                    context.output.warning(&format!("{name}: {}: {}", problem.code, problem.message));
                }
            }
        }
        journal.close().map_err(|error| store.problem(&error))?;
        if rows.is_empty() && exit == Exit::Clean {
            return nothing::<F>(&store, &reader, context.output);
        }
        print(&rows, &[], context.output)?;
        Ok(exit)
    }
}

impl Drop {
    fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("snap drop", &Format::TEXT)?;
        let store = Store::locate_directory(context, "snap drop")?;
        let reader = store.reader()?;
        let files = match self.keep {
            None => self.files.iter().cloned().collect(),
            Some(keep) => superfluous(&store, usize::try_from(keep).unwrap_or(usize::MAX))?,
        };
        let plan = DropPlan::make(&reader, &files).map_err(|error| store.problem(&error))?;
        let words = match self.keep {
            Some(keep) => format!("snap drop --keep {keep}"),
            None => format!("snap drop {}", files.iter().map(String::as_str).collect::<Vec<_>>().join(" ")),
        };
        let proposal = Proposal::new(&plan.id, plan.name(), 0, store.command(&words));
        if self.consent.shows() || plan.snapshots.is_empty() {
            print_plan(&plan, &proposal, context.output)?;
        }
        if plan.snapshots.is_empty() {
            return Ok(Exit::Clean);
        }
        let Some(authority) = self.consent.authority(&proposal, 0, &store, context)? else { return Ok(Exit::Clean) };
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let applied = plan.apply(&storage, &authority).map_err(|error| store.problem(&error))?;
        print_applied(&applied, &proposal.name, Some(&store.command("store undo")), &store, context)?;
        Ok(Exit::Clean)
    }
}

/// No run has a state to be written. Where there are events, they are of types that the fold does not read.
fn nothing<F: Fold>(store: &Store, reader: &Reader, output: &mut Output) -> Result<Exit, Failure> {
    let problem = |error: taffrail::Error| store.problem(&error);
    let error = unread::<F>(reader, None).map_err(problem)?;
    if reader.types().map_err(problem)?.iter().any(|entry| !entry.hint) {
        return Err(problem(error).into());
    }
    if output.format().is_json() {
        print(&[], &[], output)?;
    }
    output.note(error.message());
    Ok(Exit::Clean)
}

fn snapshots_of(store: &Store) -> Snapshots {
    Snapshots::new(store.storage())
}

/// All but the newest so many of each fold, version and run; and those that are no good.
fn superfluous(store: &Store, keep: usize) -> Result<BTreeSet<String>, Failure> {
    let list = snapshots_of(store).list().map_err(|error| store.problem(&error))?;
    let mut files: BTreeSet<String> = list.findings.into_iter().map(|finding| finding.file).collect();
    let key = |snapshot: &Snapshot| (snapshot.head.fold.clone(), snapshot.head.version, snapshot.head.run);
    for (place, snapshot) in list.snapshots.iter().enumerate() {
        let newer = list.snapshots.iter().skip(place + 1).filter(|other| key(other) == key(snapshot)).count();
        if newer >= keep {
            files.insert(snapshot.file.clone());
        }
    }
    Ok(files)
}

fn row(snapshot: &Snapshot, mut name: impl FnMut(Seq) -> String) -> Row {
    let head = &snapshot.head;
    Row {
        file: snapshot.file.clone(),
        fold: head.fold.clone(),
        version: head.version,
        run: head.run.map(Seq::get),
        name: head.run.map(&mut name),
        seq: head.seq.get(),
        revision: head.revision,
        events: head.events,
        state_len_bytes: head.state_len_bytes,
        digest: head.digest.to_string(),
    }
}

fn print(rows: &[Row], findings: &[SnapshotFinding], output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        let findings = findings
            .iter()
            .map(|finding| FindingRow { file: &finding.file, code: finding.code, why: &finding.why })
            .collect();
        output.json(&Report { schema: "taffrail.snapshots/1", snapshots: rows, findings })?;
        return Ok(());
    }
    let mut table = Table::new(&[
        ("SEQ", Align::Right),
        ("RUN", Align::Left),
        ("FOLD", Align::Left),
        ("EVENTS", Align::Right),
        ("STATE", Align::Right),
        ("DIGEST", Align::Left),
        ("FILE", Align::Left),
    ]);
    for row in rows {
        table.row([
            human::thousands(row.seq),
            row.name.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{} {}", row.fold, row.version),
            human::thousands(row.events),
            human::byte_size(row.state_len_bytes),
            row.digest.chars().take(12).collect(),
            row.file.clone(),
        ]);
    }
    if rows.is_empty() {
        output.note(
            "no snapshots; `taffrail snap create` writes them, and states are folded from the first event until then",
        );
    } else {
        output.lines(table.lines())?;
    }
    for finding in findings {
        let text = format!("  {}: {}: {}", finding.file, finding.code, finding.why);
        output.line(Line::new().tone(Tone::Warning, "no use").plain(&text))?;
    }
    Ok(())
}

fn print_plan(plan: &DropPlan, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        let apply = (!plan.snapshots.is_empty()).then(|| proposal.apply_command());
        output.json(&PlanReport { schema: "taffrail.drop_plan/1", name: &proposal.name, plan, apply })?;
        return Ok(());
    }
    if plan.snapshots.is_empty() {
        output.line("there is nothing to drop")?;
        return Ok(());
    }
    output.line(proposal.heading())?;
    for dropped in &plan.snapshots {
        output.line(format!("  drop    {}  {}", dropped.file, human::byte_size(dropped.len_bytes)).as_str())?;
    }
    output.line(format!("  keep    quarantine/{}/: the files", proposal.name).as_str())?;
    output.line("no event is lost: states are folded from an older snapshot, or from the first event")?;
    output.lines(proposal.footing(Exit::Clean))?;
    Ok(())
}
