//! `taffrail store forget [DIRECTORY]...`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::compact::ForgetPlan;
use taffrail::storage::Storage;

use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::{Format, Output};
use crate::plan::{Consent, Proposal, print_applied};
use crate::problem::Failure;
use crate::store::Store;
use crate::usage::quoted;

/// Runs that a plan names one by one.
const MOST_NAMED: usize = 20;

/// What the help shows; a test runs them.
const EXAMPLES: &str = "Examples:\n  taffrail store forget";

/// Arguments of `taffrail store forget`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Forget {
    /// What to remove, such as archive/8c1e44 or quarantine/8c1e44 [default: all that is kept]
    #[arg(value_name = "DIRECTORY")]
    pub directories: Vec<String>,

    /// Events that may be lost: exactly as many as the plan says
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub accept_loss: u64,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.forget_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan ForgetPlan,
    /// The command that carries it out, but for the reason; null where there is nothing to do.
    apply: Option<String>,
}

impl Forget {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0411 for a directory in which nothing is kept; what the engine says; what [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("store forget", &Format::TEXT)?;
        let store = Store::locate_directory(context, "store forget")?;
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        let directories: BTreeSet<String> = if self.directories.is_empty() {
            ForgetPlan::candidates(&*storage).map_err(problem)?.into_iter().collect()
        } else {
            self.directories.iter().map(|directory| directory.trim_end_matches('/').to_owned()).collect()
        };
        // What is kept is read for its digest; and the log with its archives, for the runs that would lose events.
        let bar = context.output.progress("reading", store.log_len_bytes());
        let plan = ForgetPlan::make(&bar.watch(Arc::clone(&storage)), &directories);
        let read_bytes = bar.done();
        drop(bar);
        let plan = plan.map_err(problem)?;
        let names: Vec<String> = directories.iter().map(|directory| quoted(directory)).collect();
        let command = store.command(&format!("store forget {}", names.join(" ")));
        let proposal = Proposal::new(&plan.id, plan.name(), plan.lost, command);
        if self.consent.shows() || plan.directories.is_empty() {
            print(&plan, &proposal, context.output)?;
        }
        if plan.directories.is_empty() {
            return Ok(Exit::Clean);
        }
        let authority = self.consent.authority(&proposal, self.accept_loss, &store, context)?;
        let Some(authority) = authority else { return Ok(Exit::Clean) };
        let bar = context.output.progress("removing", read_bytes);
        let applied = plan.apply(&bar.watch(storage), &authority);
        drop(bar);
        let applied = applied.map_err(problem)?;
        print_applied(&applied, &proposal.name, None, &store, context)?;
        Ok(Exit::Clean)
    }
}

fn print(plan: &ForgetPlan, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        let apply = (!plan.directories.is_empty()).then(|| proposal.apply_command());
        output.json(&Report { schema: "taffrail.forget_plan/1", name: &proposal.name, plan, apply })?;
        return Ok(());
    }
    if plan.directories.is_empty() {
        output.line("there is nothing to forget")?;
        return Ok(());
    }
    output.line(proposal.heading())?;
    for forgotten in &plan.directories {
        let (files, bytes) = (human::count(forgotten.files, "file"), human::byte_size(forgotten.len_bytes));
        let events = match forgotten.events {
            0 => String::new(),
            events => format!("; {} nowhere else", human::count(events, "event")),
        };
        output.line(format!("  remove  {}/: {files}, {bytes}{events}", forgotten.directory).as_str())?;
    }
    for run in plan.runs.iter().take(MOST_NAMED) {
        let name = run.name.clone().unwrap_or_else(|| format!("#{}", run.run));
        output.line(format!("  run     {name}: {}", human::count(run.events, "event")).as_str())?;
    }
    if let Some(more) = plan.runs.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        output.line(format!("          and {} more", human::count(more as u64, "run")).as_str())?;
    }
    let lost = match plan.lost {
        0 => "no event is lost, but".to_owned(),
        lost => format!("you would lose: {}, for good, and", human::count(lost, "event")),
    };
    output.line(format!("{lost} `store undo` can not bring back what was replaced").as_str())?;
    output.lines(proposal.footing(Exit::Clean))?;
    Ok(())
}
