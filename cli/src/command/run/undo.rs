//! `taffrail run undo RUN`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::plan::{Applied, Authority};
use taffrail::run::{Effect, TimelineEvent, UndoRunPlan, Undoes};
use taffrail::storage::Storage;

use super::acknowledge::{self, GivingUp};
use super::plan_text::{self, Rows, names};
use super::planned::{Asked, Planned};
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::plan::{Consent, Done, Proposal};
use crate::problem::Failure;
use crate::store::Store;
use crate::usage::quoted;

/// Events that are listed unless more are asked for.
const EVENTS_LISTED: usize = 10;

/// What the help shows; a test runs them.
const EXAMPLES: &str = "Examples:\n  taffrail run undo fix-login";

/// Arguments of `taffrail run undo`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Undo {
    /// The run, by its name or a unique prefix of it
    pub run: String,

    /// List the last COUNT events that are given up
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = EVENTS_LISTED)]
    pub count: usize,

    /// What is given up.
    #[command(flatten)]
    pub giving_up: GivingUp,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `taffrail.run_undo_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan UndoRunPlan,
    /// The last events that are given up.
    events_given_up: &'plan [TimelineEvent],
    /// The command that carries it out, but for the reason.
    apply: String,
}

impl Undo {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0141 for an unknown run; T0404 where there is nothing to undo; T0421 for what is not acknowledged; what
    /// [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        let giving_up = Some(&self.giving_up);
        let asked = Asked { command: "run undo", run: &self.run, consent: &self.consent, giving_up };
        asked.go(context, |subject, run| {
            let plan = UndoRunPlan::make(&subject.reader, run).map_err(|error| subject.problem(&error))?;
            Ok(Found { plan, count: self.count })
        })
    }
}

/// A plan, and how much of it is listed.
struct Found {
    plan: UndoRunPlan,
    count: usize,
}

impl Planned for Found {
    fn proposal(&self, store: &Store) -> Proposal {
        let plan = &self.plan;
        let words = format!("run undo {}{}", quoted(&plan.run.run_name), acknowledge::option(&plan.final_effects));
        Proposal::new(&plan.id, plan.name(), plan.lost, store.command(&words))
    }

    fn effects(&self) -> &[Effect] {
        &self.plan.final_effects
    }

    fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        acknowledged: &BTreeSet<String>,
    ) -> taffrail::Result<Applied> {
        self.plan.apply(storage, authority, acknowledged)
    }

    fn done(&self, applied: &Applied, name: String, store: &Store) -> Done {
        let back = human::count(self.plan.put_back, "event");
        let lost = match (self.plan.put_back, applied.lost) {
            (0, 0) => "the close is taken back".to_owned(),
            (_, 0) => format!("{back} put back"),
            (_, lost) => format!("{back} put back, {} given up", human::count(lost, "event")),
        };
        let check = store.command(&format!("run show {}", quoted(&self.plan.run.run_name)));
        Done { name, lost, check, undo: None }
    }

    fn print(&self, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
        let plan = &self.plan;
        if output.format().is_json() {
            output.json(&Report {
                schema: "taffrail.run_undo_plan/1",
                name: &proposal.name,
                plan,
                events_given_up: &plan.lines[plan.lines.len().saturating_sub(self.count)..],
                apply: proposal.apply_command(),
            })?;
            return Ok(());
        }
        output.line(proposal.heading())?;
        let mut rows = Rows::default();
        plan_text::run(&mut rows, &plan.run);
        let at = plan.place.map(|place| format!(" at seq {}", human::thousands(place.seq))).unwrap_or_default();
        match &plan.undoes {
            Undoes::Close { reason, .. } => rows.row("undo", format!("the close{at}: {reason:?}")),
            Undoes::Rewind { to, by, reason, .. } => {
                rows.row("undo", format!("the rewind{at} to event {}, by {by}: {reason:?}", human::thousands(*to)));
                rows.row("put back", human::count(plan.put_back, "event"));
            }
        }
        if let Some(given_up) = &plan.given_up {
            plan_text::given_up(&mut rows, given_up);
        }
        if let Some(due) = names(plan.change.compensations.iter().map(String::as_str)) {
            rows.row("make up", format!("{due} (the last one first): recorded, and not done by this"));
        }
        plan_text::final_effects(&mut rows, &plan.final_effects);
        plan_text::spent(&mut rows, &plan.spent);
        plan_text::then(&mut rows, &plan.then);
        rows.row("tell", "an Undone event of the run and an OperatorAction event, in one batch");
        rows.print(output)?;
        plan_text::events(&plan.lines, self.count, output)?;
        if plan.lost > 0 {
            let events = human::count(plan.lost, "event");
            let text = format!("you would give up: {events}; they stay readable, and nothing puts them back");
            output.line(text.as_str())?;
        }
        output.lines(proposal.footing(Exit::Clean))?;
        Ok(())
    }
}
