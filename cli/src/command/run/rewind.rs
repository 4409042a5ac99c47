//! `taffrail run rewind RUN --to POSITION`

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use taffrail::Seq;
use taffrail::plan::{Applied, Authority};
use taffrail::position::Position;
use taffrail::run::{Effect, Fate, GateTurn, Hanging, RewindPlan, RewindRequest, TimelineEvent};
use taffrail::storage::Storage;

use super::acknowledge::{self, GivingUp};
use super::plan_text::{self, Rows, lists, names};
use super::planned::{Asked, Planned};
use crate::codes;
use crate::command::Context;
use crate::exit::Exit;
use crate::human;
use crate::output::Output;
use crate::plan::{Consent, Done, Proposal};
use crate::problem::{Failure, Problem};
use crate::run_names::RunNames;
use crate::settings;
use crate::store::Store;
use crate::subject::Subject;
use crate::usage::quoted;

/// Events that are listed unless more are asked for.
const EVENTS_LISTED: usize = 10;

/// What the help shows; a test runs them.
const EXAMPLES: &str = "Examples:\n  taffrail run rewind release-42 --to before:__sdk.breakpoint.publish\n  taffrail run rewind release-42 --to @2026-08-20T12:00Z --as mark:before-noon -n 5";

/// Arguments of `taffrail run rewind`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Rewind {
    /// The run, by its name or a unique prefix of it
    pub run: String,

    /// Where to: the last event of the run that stays; on another run's event, this run's last one before it
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub to: Position,

    /// Later events whose results are to stay: of steps and gates that were asked for before, and values
    #[arg(long, value_name = "SEQ,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub keep: Vec<u64>,

    /// Leave a mark at the place that is left, so that it can be found again
    #[arg(long = "as", value_name = "mark:NAME")]
    pub mark: Option<Position>,

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

/// `taffrail.rewind_plan/1`
#[derive(Debug, Serialize)]
struct Report<'plan> {
    schema: &'static str,
    name: &'plan str,
    #[serde(flatten)]
    plan: &'plan RewindPlan,
    /// The event that the position names.
    asked_seq: u64,
    /// The run of that event, where it is another one.
    asked_run: Option<&'plan str>,
    hanging: &'plan [Hanging],
    /// The last events that are given up.
    events_given_up: &'plan [TimelineEvent],
    not_covered: &'plan [String],
    /// The command that carries it out, but for the reason.
    apply: String,
}

/// A plan, and how it was asked for.
struct Found<'a> {
    plan: RewindPlan,
    rewind: &'a Rewind,
    asked: Seq,
    /// The run of the event that the position names, where it is another one.
    asked_run: Option<String>,
    not_covered: Vec<String>,
}

impl Rewind {
    /// Shows the plan, or carries it out.
    ///
    /// # Errors
    /// T0141 for an unknown run; T0146, T0422, T0423 for a position that the run can not go back to; T0424 for what can not
    /// be kept; T0421 for what is not acknowledged; what [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        let mark = self.mark_name()?;
        let giving_up = Some(&self.giving_up);
        let asked = Asked { command: "run rewind", run: &self.run, consent: &self.consent, giving_up };
        asked.go(context, |subject, run| {
            if let Some(mark) = &mark {
                settings::may_be_written(&subject.store.disk, "the name of the mark", mark)?;
            }
            let to = subject.seq(Some(&self.to))?;
            let keep: Vec<Seq> = self.keep.iter().filter_map(|seq| Seq::new(*seq)).collect();
            let request = RewindRequest { run, to, keep, mark };
            let plan = RewindPlan::make(&subject.reader, &request).map_err(|error| subject.problem(&error))?;
            let (asked_run, not_covered) = (asked_run(subject, run, to)?, not_covered(&plan));
            Ok(Found { plan, rewind: self, asked: to, asked_run, not_covered })
        })
    }

    fn mark_name(&self) -> Result<Option<String>, Failure> {
        match &self.mark {
            None => Ok(None),
            Some(Position::Mark(name)) => Ok(Some(name.clone())),
            Some(other) => {
                let message =
                    format!("--as takes a name for the place that is left, as in mark:before; this is {other}");
                Err(Problem::new(codes::T0142, Exit::Usage, message).hint("taffrail explain T0142").into())
            }
        }
    }

    /// The command that shows the plan again: with a seq for the position, which stays what it is.
    fn words(&self, plan: &RewindPlan) -> String {
        let mut words = format!("run rewind {} --to {}", quoted(&plan.run.run_name), plan.to.seq);
        if !self.keep.is_empty() {
            let keep: Vec<String> = self.keep.iter().map(u64::to_string).collect();
            words.push_str(&format!(" --keep {}", keep.join(",")));
        }
        if let Some(mark) = &plan.mark {
            words.push_str(&format!(" --as {}", quoted(&format!("mark:{mark}"))));
        }
        words.push_str(&acknowledge::option(&plan.final_effects));
        words
    }
}

/// The run that a position was about, where that is another one.
fn asked_run(subject: &Subject, run: Seq, asked: Seq) -> Result<Option<String>, Failure> {
    let record = subject.reader.get(asked).map_err(|error| subject.problem(&error))?;
    let other = record.and_then(|record| record.run).filter(|other| *other != run);
    Ok(other.map(|other| RunNames::default().name(&subject.reader, other)))
}

/// What a rewind says nothing about.
fn not_covered(plan: &RewindPlan) -> Vec<String> {
    let mut not_covered = vec![
        "files that steps have written, and whatever they did outside of this store".to_owned(),
        "work that is under way for what is given up: nobody is told to stop".to_owned(),
    ];
    if plan.run.is_imported {
        not_covered
            .push("the journal that the run was imported from: importing it again adds what is new there".into());
    }
    not_covered
}

impl Planned for Found<'_> {
    fn proposal(&self, store: &Store) -> Proposal {
        let plan = &self.plan;
        Proposal::new(&plan.id, plan.name(), plan.lost, store.command(&self.rewind.words(plan)))
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
        let run = quoted(&self.plan.run.run_name);
        Done {
            name,
            lost: format!("{} given up, all of them still readable", human::count(applied.lost, "event")),
            check: store.command(&format!("run show {run}")),
            undo: Some(store.command(&format!("run undo {run}"))),
        }
    }

    fn print(&self, proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
        let (plan, count) = (&self.plan, self.rewind.count);
        if output.format().is_json() {
            let shown = &plan.lines[plan.lines.len().saturating_sub(count)..];
            output.json(&Report {
                schema: "taffrail.rewind_plan/1",
                name: &proposal.name,
                plan,
                asked_seq: self.asked.get(),
                asked_run: self.asked_run.as_deref(),
                hanging: &plan.hanging,
                events_given_up: shown,
                not_covered: &self.not_covered,
                apply: proposal.apply_command(),
            })?;
            return Ok(());
        }
        output.line(proposal.heading())?;
        self.rows().print(output)?;
        for (number, text) in self.not_covered.iter().enumerate() {
            let label = if number == 0 { "not this" } else { "" };
            output.line(format!("  {label:<9} {text}").as_str())?;
        }
        plan_text::events(&plan.lines, count, output)?;
        let events = human::count(plan.lost, "event");
        output.line(
            format!("you would give up: {events}; they stay readable, and can be put back by an undo").as_str(),
        )?;
        output.lines(proposal.footing(Exit::Clean))?;
        Ok(())
    }
}

impl Found<'_> {
    fn rows(&self) -> Rows {
        let plan = &self.plan;
        let mut rows = Rows::default();
        plan_text::run(&mut rows, &plan.run);
        let (event, seq) = (human::thousands(plan.to.event), human::thousands(plan.to.seq));
        let words = plan.to_line.as_ref().map(|line| format!(": {}", plan_text::words(line))).unwrap_or_default();
        rows.row("to", format!("event {event}, seq {seq}, {}{words}", human::time(plan.to.time_ns)));
        if self.asked.get() != plan.to.seq {
            let asked = human::thousands(self.asked.get());
            let of = self.asked_run.as_ref().map(|run| format!(", an event of {run}")).unwrap_or_default();
            let said = self.rewind.to.to_string();
            let is =
                if said == self.asked.to_string() { format!("seq {asked}") } else { format!("{said} is seq {asked}") };
            rows.row("", format!("({is}{of}; the run's last event of its schema before it counts)"));
        }
        plan_text::given_up(&mut rows, &plan.given_up);
        self.work(&mut rows);
        plan_text::spent(&mut rows, &plan.spent);
        for hanging in &plan.hanging {
            let status = hanging.status.map(|status| format!(", {status}")).unwrap_or_default();
            let how = match hanging.forked_at {
                Some(event) => format!("forked at event {}", human::thousands(event)),
                None => "made by this run".to_owned(),
            };
            rows.row("hangs on", format!("{} ({how}{status}): stays as it is", hanging.name));
        }
        plan_text::then(&mut rows, &plan.then);
        rows.some("mark", plan.mark.as_ref().map(|mark| format!("mark:{mark} names the place that is left")));
        rows.row("tell", "a Rewound event of the run and an OperatorAction event, in one batch");
        rows
    }

    /// What becomes of steps, gates and approvals.
    fn work(&self, rows: &mut Rows) {
        let plan = &self.plan;
        let steps =
            |fate: Fate| names(plan.steps.iter().filter(|step| step.fate == fate).map(|step| step.step.as_str()));
        let stays = plan.steps.iter().filter(|step| step.fate == Fate::Stays).count() as u64;
        let stays = (stays > 0).then(|| human::thousands(stays));
        let steps = lists(&[
            ("stay as they are", stays),
            ("stay open", steps(Fate::StaysOpen)),
            ("were open, result stays", steps(Fate::Grafted)),
            ("were open, result kept as you say", steps(Fate::Kept)),
            ("were open, abandoned", steps(Fate::Abandoned)),
            ("given up", steps(Fate::GivenUp)),
        ]);
        rows.some("steps", steps);
        let gates = |turn: GateTurn| names(plan.gates.iter().filter(|it| it.turn == turn).map(|it| it.gate.as_str()));
        let gates = lists(&[
            ("result kept as you say", gates(GateTurn::Kept)),
            ("run again", gates(GateTurn::RunsAgain)),
            ("given up", gates(GateTurn::GivenUp)),
        ]);
        rows.some("gates", gates);
        let values = names(plan.change.kept_values.iter().map(String::as_str));
        rows.some("values", lists(&[("kept as you say", values)]));
        let approvals = |is_voided: bool| {
            names(plan.approvals.iter().filter(|it| it.is_voided == is_voided).map(|it| it.step.as_str()))
        };
        rows.some("approvals", lists(&[("void", approvals(true)), ("stay used", approvals(false))]));
        if let Some(due) = names(plan.change.compensations.iter().map(String::as_str)) {
            rows.row("make up", format!("{due} (the last one first): recorded, and not done by this"));
        }
        plan_text::final_effects(rows, &plan.final_effects);
    }
}
