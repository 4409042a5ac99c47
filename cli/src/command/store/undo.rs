//! `taffrail store undo [SEQ]`

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::Seq;
use taffrail::repair::UndoPlan;
use taffrail::storage::Storage;

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::{Format, Output};
use crate::plan::{Consent, Proposal, print_applied};
use crate::problem::Failure;
use crate::store::Store;

/// What a plan calls a compaction.
const COMPACT: &str = "compact";
/// How often the bytes of a segment move while it is put back: what is there now is digested, read and written; the original
/// is read and written.
const COPIES: u64 = 5;

/// Arguments of `taffrail store undo`.
#[derive(Args, Clone, Debug)]
pub struct Undo {
    /// The event that tells of the repair or the compaction [default: the last one that was not undone]
    #[arg(value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub seq: Option<u64>,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.undo_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan UndoPlan,
    /// The command that carries it out, but for the reason.
    apply: String,
}

impl Undo {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0404 where there is nothing to undo, T0403 where that cannot be undone; what [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("store undo", &Format::TEXT)?;
        let store = Store::locate_directory(context, "store undo")?;
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        // The log is read for what tells of it; then the originals, which are as long as a part of the log.
        let bar = context.output.progress("reading", store.log_len_bytes());
        let plan = UndoPlan::make(&bar.watch(Arc::clone(&storage)), self.seq.and_then(Seq::new));
        let read_bytes = bar.done();
        drop(bar);
        let plan = plan.map_err(|error| store.problem(&error))?;
        let command = store.command(&format!("store undo {}", plan.event));
        let proposal = Proposal::new(&plan.id, plan.name(), 0, command);
        if self.consent.shows() {
            print(&plan, &proposal, context.output)?;
        }
        let Some(authority) = self.consent.authority(&proposal, 0, &store, context)? else { return Ok(Exit::Clean) };
        // All of that is read again; and what takes the place of another file is copied, unless a second name does it.
        let copied_bytes: u64 = plan.segments.iter().map(|restored| restored.len_bytes).sum();
        let copied_bytes = if plan.verb == COMPACT { 0 } else { COPIES * copied_bytes };
        let bar = context.output.progress("putting back", read_bytes + copied_bytes);
        let applied = plan.apply(&bar.watch(storage), &authority);
        drop(bar);
        let applied = applied.map_err(|error| store.problem(&error))?;
        print_applied(&applied, &proposal.name, None, &store, context)?;
        Ok(Exit::Clean)
    }
}

fn print(plan: &UndoPlan, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        let (name, apply) = (proposal.name.as_str(), proposal.apply_command());
        output.json(&Report { schema: "taffrail.undo_plan/1", name, plan, apply })?;
        return Ok(());
    }
    output.line(proposal.heading())?;
    let undoes = plan.undoes.get(..6).unwrap_or(&plan.undoes);
    let is_compaction = plan.verb == COMPACT;
    let what = if is_compaction { "compaction" } else { plan.verb.as_str() };
    output.line(format!("  undo    {what} {undoes}, told by seq {}", plan.event).as_str())?;
    for restored in &plan.segments {
        let (segment, size) = (restored.segment, human::byte_size(restored.len_bytes));
        let anew = if restored.is_sealed_anew { "; it gets an end, since events follow it now" } else { "" };
        let text = format!("  seg {segment:<3} put back the original, {size}, from {}{anew}", restored.from);
        output.line(text.as_str())?;
    }
    for missing in &plan.missing {
        output.line(format!("  seg {:<3} take away the record of its absence", missing.segment).as_str())?;
    }
    for restored in &plan.snapshots {
        let size = human::byte_size(restored.len_bytes);
        output.line(format!("  snap    put back {}, {size}", restored.file).as_str())?;
    }
    if is_compaction {
        output.line("the events come back into the log, and the archive stays until it is forgotten")?;
    } else if !(plan.segments.is_empty() && plan.missing.is_empty()) {
        output.line(format!("  keep    quarantine/{}/: what is there now", proposal.name).as_str())?;
        output.line("the damage comes back with the originals; events that were appended since stay")?;
    }
    output.lines(proposal.footing(Exit::Clean))?;
    Ok(())
}
