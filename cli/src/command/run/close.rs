//! `taffrail run close RUN`

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::run::{ClosePlan, Finding, Runs};
use taffrail::storage::Storage;

use super::plan_text::{self, Rows, lists, names};
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::{Format, Output};
use crate::plan::{Consent, Done, Proposal, print_done};
use crate::problem::Failure;
use crate::store::Store;
use crate::subject::Subject;
use crate::usage::quoted;

/// Findings that are listed.
const FINDINGS_LISTED: usize = 5;

/// What the help shows; a test runs them.
const EXAMPLES: &str = "Examples:\n  taffrail run close fix-login";

/// Arguments of `taffrail run close`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Close {
    /// The run, by its name or a unique prefix of it
    pub run: String,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.close_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan ClosePlan,
    finding_list: &'plan [Finding],
    /// The command that carries it out, but for the reason.
    apply: String,
}

impl Close {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0141 for an unknown run; T0511 for one that is closed, or has no events of the run schema; what
    /// [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("run close", &Format::TEXT)?;
        let store = Store::locate_directory(context, "run close")?;
        let subject = Subject::find::<Runs>(store, Some(&self.run))?;
        let Some(run) = subject.run else { return Ok(Exit::Differs) };
        let plan = ClosePlan::make(&subject.reader, run).map_err(|error| subject.problem(&error))?;
        let store = &subject.store;
        let name = quoted(&plan.run.run_name);
        let command = store.command(&format!("run close {name}"));
        let proposal = Proposal { id: plan.id.clone(), name: plan.name().to_owned(), lost: 0, command };
        if self.consent.shows() {
            print(&plan, &proposal, context.output)?;
        }
        let Some(authority) = self.consent.authority(&proposal, 0, store, context)? else { return Ok(Exit::Clean) };
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let applied = plan.apply(&storage, &authority).map_err(|error| subject.problem(&error))?;
        let done = Done {
            name: proposal.name,
            lost: format!("{} is closed", plan.run.run_name),
            check: store.command(&format!("run show {name}")),
            undo: Some(store.command(&format!("run undo {name}"))),
        };
        print_done(&applied, &done, context)?;
        Ok(Exit::Clean)
    }
}

fn print(plan: &ClosePlan, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        output.json(&Report {
            schema: "taffrail.close_plan/1",
            name: &proposal.name,
            plan,
            finding_list: &plan.list,
            apply: proposal.apply_command(),
        })?;
        return Ok(());
    }
    output.line(proposal.heading())?;
    let mut rows = Rows::default();
    plan_text::run(&mut rows, &plan.run);
    let list = |all: &[String]| names(all.iter().map(String::as_str));
    let open = lists(&[("steps", list(&plan.open_steps)), ("gates", list(&plan.open_gates))]);
    rows.some("open", open.map(|open| format!("{open}; nobody waits for them any more")));
    rows.some("approvals", list(&plan.pending_approvals).map(|names| format!("can not be used any more: {names}")));
    for finding in plan.list.iter().take(FINDINGS_LISTED) {
        rows.row("finding", finding.to_string());
    }
    if let Some(more) = plan.run.findings.checked_sub(FINDINGS_LISTED as u64).filter(|more| *more > 0) {
        rows.row("", format!("and {} more", human::thousands(more)));
    }
    plan_text::then(&mut rows, &plan.then);
    rows.row("tell", "a Closed event of the run and an OperatorAction event, in one batch");
    rows.print(output)?;
    output.line("nothing is lost; an undo opens the run again")?;
    output.lines(proposal.footing(Exit::Clean))?;
    Ok(())
}
