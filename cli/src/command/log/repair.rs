//! `taffrail log repair`

use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use taffrail::repair::{RepairAction, RepairMode, RepairPlan, SegmentRepair};
use taffrail::storage::Storage;
use taffrail::{Listing, LostEvent, SegmentNumber, Severity, VerifyOptions, VerifyReport, verify};

use super::repair_text::Text;
use crate::codes;
use crate::command::Context;
use crate::command::log::verify::exit;
use crate::exit::Exit;
use crate::output::Format;
use crate::plan::{Consent, Proposal, print_applied};
use crate::problem::{Failure, Problem};
use crate::progress::Bars;
use crate::run_names::RunNames;
use crate::store::Store;

/// Arguments of `taffrail log repair`.
#[derive(Args, Clone, Debug)]
pub struct Repair {
    /// How far to go [default: tail, where that reaches all damage]
    #[arg(long, value_enum, value_name = "MODE")]
    pub mode: Option<ModeChoice>,

    /// Events that may be lost: exactly as many as the plan says
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub accept_loss: u64,

    /// Agreeing to the plan.
    #[command(flatten)]
    pub consent: Consent,
}

/// `--mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeChoice {
    /// The end of the newest segment only.
    Tail,
    /// Every damaged place of the log.
    Salvage,
}

impl From<ModeChoice> for RepairMode {
    fn from(choice: ModeChoice) -> Self {
        match choice {
            ModeChoice::Tail => Self::Tail,
            ModeChoice::Salvage => Self::Salvage,
        }
    }
}

/// A plan with what is known of the events that it loses: what people and programs are shown.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) plan: RepairPlan,
    pub(super) report: VerifyReport,
    /// Those of the lost events that something tells of.
    pub(super) lost_events: Vec<LostEvent>,
    /// The runs that lose events, as far as they are known.
    pub(super) runs: Vec<String>,
    /// How many events the other mode loses, where that is fewer.
    pub(super) salvage_loses: Option<u64>,
    /// What was read to make the plan, in bytes.
    read_bytes: u64,
}

/// `taffrail.repair_plan/1`
#[derive(Debug, Serialize)]
struct Report<'found> {
    schema: &'static str,
    name: &'found str,
    #[serde(flatten)]
    plan: &'found RepairPlan,
    lost_events: &'found [LostEvent],
    runs: &'found [String],
    /// What `log verify` says of the store.
    severity: Severity,
    /// The command that carries it out, but for the reason; null where there is nothing to do.
    apply: Option<String>,
}

impl Repair {
    /// Shows the plan, or carries it out. A plan exits with what was found.
    ///
    /// # Errors
    /// T0406 where a mode has to be chosen; what the engine says; what [`Consent::authority`] says.
    pub fn run(&self, context: &mut Context<'_>) -> Result<Exit, Failure> {
        context.output.require("log repair", &Format::TEXT)?;
        let store = Store::locate_directory(context, "log repair")?;
        let found = self.find(&store, context)?;
        let exit = exit(found.report.severity);
        let mode = if found.plan.mode == RepairMode::Tail { "tail" } else { "salvage" };
        let command = store.command(&format!("log repair --mode {mode}"));
        let proposal = Proposal::new(&found.plan.id, found.plan.name(), found.plan.lost, command);
        let nothing_to_do = found.nothing_to_do();
        if nothing_to_do || self.consent.shows() {
            if context.output.format().is_json() {
                context.output.json(&Report {
                    schema: "taffrail.repair_plan/1",
                    name: &proposal.name,
                    plan: &found.plan,
                    lost_events: &found.lost_events,
                    runs: &found.runs,
                    severity: found.report.severity,
                    apply: (!nothing_to_do).then(|| proposal.apply_command()),
                })?;
            } else {
                Text { found: &found, proposal: &proposal, store: &store, exit }.print(context.output)?;
            }
        }
        if nothing_to_do {
            return Ok(exit);
        }
        let authority = self.consent.authority(&proposal, self.accept_loss, &store, context)?;
        let Some(authority) = authority else { return Ok(exit) };
        let bar = context.output.progress("repairing", found.read_bytes + found.moved_bytes(&store));
        let applied = found.plan.apply(&bar.watch(Arc::clone(&store.disk) as Arc<dyn Storage>), &authority);
        drop(bar);
        let applied = applied.map_err(|error| store.problem(&error))?;
        let comes_back = |action| matches!(action, RepairAction::Rewrite | RepairAction::Replace);
        let replaced = found.plan.segments.iter().any(|repair| comes_back(repair.action));
        let undo = replaced.then(|| store.command("store undo"));
        print_applied(&applied, &proposal.name, undo.as_deref(), &store, context)?;
        Ok(Exit::Clean)
    }

    fn find(&self, store: &Store, context: &Context<'_>) -> Result<Found, Failure> {
        let problem = |error: taffrail::Error| Failure::from(store.problem(&error));
        let bar = context.output.progress("planning", store.log_len_bytes());
        let storage = bar.watch(Arc::clone(&store.disk) as Arc<dyn Storage>);
        let (plan, salvage_loses) = match self.mode {
            Some(mode) => (RepairPlan::make(&*storage, mode.into()).map_err(problem)?, None),
            None => {
                let salvage = RepairPlan::make(&*storage, RepairMode::Salvage).map_err(problem)?;
                let tail = RepairPlan::make(&*storage, RepairMode::Tail).ok();
                let tail = tail.filter(|tail| reaches_all(tail, &salvage)).ok_or_else(|| beyond_the_tail(store))?;
                let fewer = (salvage.lost < tail.lost).then_some(salvage.lost);
                (tail, fewer)
            }
        };
        let read_bytes = bar.done();
        drop(bar);
        let mut bars = Bars::new(context.output);
        let mut progress = |done: u64, total: u64| _ = bars.show("verifying", done, total);
        let report = verify(&*store.disk, &VerifyOptions::default(), &mut progress).map_err(problem)?;
        drop(bars);
        let lost_events = lost_events(&plan, &report, store);
        let runs = runs(&plan, &report, &lost_events);
        Ok(Found { plan, report, lost_events, runs, salvage_loses, read_bytes })
    }
}

impl Found {
    /// About how many bytes move when it is carried out, besides those that are read to make the plan again: a segment that
    /// is rewritten is digested, kept (read and written), looked through, and copied (read and written).
    fn moved_bytes(&self, store: &Store) -> u64 {
        const MOVES: u64 = 6;
        let is_rewritten = |number: SegmentNumber| {
            let of_segment = |repair: &SegmentRepair| repair.segment == number.get();
            let is_rewrite = |repair: &SegmentRepair| repair.action == RepairAction::Rewrite;
            self.plan.segments.iter().any(|repair| of_segment(repair) && is_rewrite(repair))
        };
        let listing = Listing::read(&*store.disk).unwrap_or_default();
        let rewritten = listing.segments.iter().filter(|(number, _)| is_rewritten(*number));
        rewritten.map(|(_, len_bytes)| MOVES * len_bytes).sum()
    }

    /// Nothing is wrong that this mode could put right. What a writer is writing at this moment is not wrong.
    fn nothing_to_do(&self) -> bool {
        let only_cuts = self.plan.segments.iter().all(|repair| repair.action == RepairAction::Cut);
        self.plan.is_empty() || (only_cuts && self.report.severity == Severity::Clean)
    }
}

/// Whether the tail's repair touches every place that a salvage would.
fn reaches_all(tail: &RepairPlan, salvage: &RepairPlan) -> bool {
    let start = |removed: &[taffrail::repair::Removed]| removed.first().map_or(u64::MAX, |removed| removed.start);
    salvage.segments.iter().all(|wanted| {
        let same = |repair: &&SegmentRepair| repair.segment == wanted.segment;
        tail.segments.iter().find(same).is_some_and(|repair| start(&repair.removed) <= start(&wanted.removed))
    })
}

fn beyond_the_tail(store: &Store) -> Failure {
    let message = "there is damage that a repair of the tail alone does not reach";
    Problem::new(codes::T0406, Exit::Damage, message)
        .at(store.location.path.display().to_string())
        .hint(store.command("log repair --mode salvage"))
        .into()
}

/// What is known of the events that a plan loses: from their headers, or because they are good and lost with a bad neighbour.
fn lost_events(plan: &RepairPlan, report: &VerifyReport, store: &Store) -> Vec<LostEvent> {
    /// Good events that are looked up one by one: a group of events is seldom longer.
    const MOST_LOOKED_UP: u64 = 1_000;
    let gaps: Vec<(u64, u64)> = plan.segments.iter().flat_map(|repair| repair.gaps.iter().copied()).collect();
    let is_lost = |seq: u64| gaps.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    let told = report.findings.iter().filter_map(|finding| finding.event.as_ref());
    let mut events: Vec<LostEvent> = told.filter(|event| is_lost(event.seq)).cloned().collect();
    if plan.mode == RepairMode::Tail
        && plan.lost <= MOST_LOOKED_UP
        && let Ok(reader) = store.reader()
    {
        let mut names = RunNames::default();
        for seq in gaps.iter().flat_map(|(first, last)| *first..=*last).filter_map(taffrail::Seq::new) {
            let Ok(Some(record)) = reader.get(seq) else { continue };
            events.push(LostEvent {
                seq: seq.get(),
                run: record.run.map(taffrail::Seq::get),
                run_name: record.run.map(|run| names.name(&reader, run)),
                revision: record.revision,
                type_name: Some(record.type_name()),
                time_ns: record.time_ns,
                is_likely: false,
            });
        }
    }
    events.sort_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    events
}

fn runs(plan: &RepairPlan, report: &VerifyReport, lost_events: &[LostEvent]) -> Vec<String> {
    let named = |run: u64, name: &Option<String>| name.clone().unwrap_or_else(|| format!("#{run}"));
    let mut runs: Vec<String> =
        lost_events.iter().filter_map(|event| event.run.map(|run| named(run, &event.run_name))).collect();
    if plan.lost == report.totals.lost {
        runs.extend(report.affected_runs.iter().map(|run| named(run.run, &run.name)));
    }
    runs.sort();
    runs.dedup();
    runs
}
