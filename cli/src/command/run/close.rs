//! `taffrail run close RUN`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::plan::{Applied, Authority};
use taffrail::run::{ClosePlan, Finding};
use taffrail::storage::Storage;

use super::plan_text::{self, Rows, lists, names};
use super::planned::{Asked, Planned};
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::plan::{Consent, Done, Proposal};
use crate::problem::Failure;
use crate::store::Store;
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
        let asked = Asked { command: "run close", run: &self.run, consent: &self.consent, giving_up: None };
        asked.go(context, |subject, run| ClosePlan::make(&subject.reader, run).map_err(|error| subject.problem(&error)))
    }
}

impl Planned for ClosePlan {
    fn proposal(&self, store: &Store) -> Proposal {
        let command = store.command(&format!("run close {}", quoted(&self.run.run_name)));
        Proposal::new(&self.id, self.name(), 0, command)
    }

    fn print(&self, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
        print(self, proposal, output)
    }

    fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        _acknowledged: &BTreeSet<String>,
    ) -> taffrail::Result<Applied> {
        ClosePlan::apply(self, storage, authority)
    }

    fn done(&self, _applied: &Applied, name: String, store: &Store) -> Done {
        let run = quoted(&self.run.run_name);
        Done {
            name,
            lost: format!("{} is closed", self.run.run_name),
            check: store.command(&format!("run show {run}")),
            undo: Some(store.command(&format!("run undo {run}"))),
        }
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
