//! `taffrail run fork RUN --name NEW`

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::position::Position;
use taffrail::run::{ForkPlan, Runs};
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

/// What the help shows; a test runs them.
const EXAMPLES: &str = "Examples:\n  taffrail run fork nightly-7 --name nightly-7b\n  taffrail run fork release-42 --at head~10 --name release-42b";

/// Arguments of `taffrail run fork`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Fork {
    /// The run, by its name or a unique prefix of it
    pub run: String,

    /// Where the two part: the last event of the run that both have [default: head]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub at: Option<Position>,

    /// The new run's name
    #[arg(long, value_name = "NEW")]
    pub name: String,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.fork_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan ForkPlan,
    /// The command that carries it out, but for the reason.
    apply: String,
}

impl Fork {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0141 for an unknown run; T0142 and T0145 for a name that can not be given; T0146 and T0422 for a position that is
    /// none in the run's history; what [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("run fork", &Format::TEXT)?;
        let store = Store::locate_directory(context, "run fork")?;
        let subject = Subject::find::<Runs>(store, Some(&self.run))?;
        let Some(run) = subject.run else { return Ok(Exit::Differs) };
        let at = subject.seq(self.at.as_ref())?;
        let plan = ForkPlan::make(&subject.reader, run, at, &self.name).map_err(|error| subject.problem(&error))?;
        let store = &subject.store;
        let (parent, new) = (quoted(&plan.run.run_name), quoted(&plan.new_name));
        let command = store.command(&format!("run fork {parent} --at {} --name {new}", plan.at.seq));
        let proposal = Proposal { id: plan.id.clone(), name: plan.name().to_owned(), lost: 0, command };
        if self.consent.shows() {
            print(&plan, &proposal, context.output)?;
        }
        let Some(authority) = self.consent.authority(&proposal, 0, store, context)? else { return Ok(Exit::Clean) };
        let storage = Arc::clone(&store.disk) as Arc<dyn Storage>;
        let applied = plan.apply(&storage, &authority).map_err(|error| subject.problem(&error))?;
        let done = Done {
            name: proposal.name,
            lost: format!("{} begins as {} was", plan.new_name, plan.run.run_name),
            check: store.command(&format!("run show {new}")),
            undo: None,
        };
        print_done(&applied, &done, context)?;
        Ok(Exit::Clean)
    }
}

fn print(plan: &ForkPlan, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    if output.format().is_json() {
        let apply = proposal.apply_command();
        output.json(&Report { schema: "taffrail.fork_plan/1", name: &proposal.name, plan, apply })?;
        return Ok(());
    }
    output.line(proposal.heading())?;
    let mut rows = Rows::default();
    plan_text::run(&mut rows, &plan.run);
    let (event, seq) = (human::thousands(plan.at.event), human::thousands(plan.at.seq));
    let words = plan.at_line.as_ref().map(|line| format!(": {}", plan_text::words(line))).unwrap_or_default();
    rows.row("at", format!("event {event}, seq {seq}, {}{words}", human::time(plan.at.time_ns)));
    let list = |all: &[String]| names(all.iter().map(String::as_str));
    let steps = lists(&[
        ("were open, result stays", list(&plan.change.grafted)),
        ("open, done for the other run only", list(&plan.change.abandoned)),
    ]);
    rows.some("steps", steps);
    rows.some("approvals", lists(&[("void in the new run", list(&plan.change.voided))]));
    let repeat = names(plan.may_repeat.iter().map(|effect| effect.step.as_str()));
    rows.some(
        "beware",
        repeat.map(|names| format!("done for good behind the position, and might be done again: {names}")),
    );
    plan_text::then(&mut rows, &plan.then);
    rows.row("tell", "a Forked event in the new run and an OperatorAction event, in one batch");
    rows.print(output)?;
    output.line(format!("{} stays as it is; nothing is copied, and nothing is lost", plan.run.run_name).as_str())?;
    output.lines(proposal.footing(Exit::Clean))?;
    Ok(())
}
