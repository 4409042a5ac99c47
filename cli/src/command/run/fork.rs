//! `taffrail run fork RUN --name NEW`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::plan::{Applied, Authority};
use taffrail::position::Position;
use taffrail::run::ForkPlan;
use taffrail::storage::Storage;

use super::plan_text::{self, Rows, lists, names};
use super::planned::{Asked, Planned};
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::plan::{Consent, Done, Proposal};
use crate::problem::Failure;
use crate::settings;
use crate::store::Store;
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
        let asked = Asked { command: "run fork", run: &self.run, consent: &self.consent, giving_up: None };
        asked.go(context, |subject, run| {
            settings::may_be_written(&subject.store.disk, "the name of the run", &self.name)?;
            let at = subject.seq(self.at.as_ref())?;
            ForkPlan::make(&subject.reader, run, at, &self.name).map_err(|error| subject.problem(&error))
        })
    }
}

impl Planned for ForkPlan {
    fn proposal(&self, store: &Store) -> Proposal {
        let (parent, new) = (quoted(&self.run.run_name), quoted(&self.new_name));
        let command = store.command(&format!("run fork {parent} --at {} --name {new}", self.at.seq));
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
        ForkPlan::apply(self, storage, authority)
    }

    fn done(&self, _applied: &Applied, name: String, store: &Store) -> Done {
        Done {
            name,
            lost: format!("{} begins as {} was", self.new_name, self.run.run_name),
            check: store.command(&format!("run show {}", quoted(&self.new_name))),
            undo: None,
        }
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
