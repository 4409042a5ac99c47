//! What an operator does to a run's history: rewind, fork, close, undo. Plans first ([`crate::plan`]).
//!
//! A plan is made from one run: its events, its revision. It is carried out as one batch, all of it or nothing: the run's
//! own event, which says what was decided, and an `OperatorAction` of the store, so that one look at those tells what
//! operators did, whatever they did it to. The batch expects the revision that the plan was made for: an event of the run
//! spoils the plan, events of others do not.

mod close;
mod consequence;
mod fork;
mod keep;
mod places;
mod rewind;
mod undo;

pub use close::ClosePlan;
pub use consequence::{ApprovalFate, Effect, EffectFate, Fate, GateFate, GateTurn, Hanging};
pub use fork::ForkPlan;
pub use places::Place;
pub use rewind::{GivenUp, RewindPlan, RewindRequest};
pub use undo::{UndoRunPlan, Undoes};

use crate::error::{Error, Result};
use crate::fold::{Decide, Recorded, Replay, unread};
use crate::plan::{Applied, Authority, other_plan};
use crate::run::timeline::TimelineEvent;
use crate::run::{Change, RunCommand, RunEvent, RunState, Runs, Status, Usage, Wait};
use crate::{Batch, ErrorKind, Expect, Fold, Journal, Kind, Mark, Reader, Seq};
use places::Places;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::storage::Storage;

/// The run that a plan is about, as it stood when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRun {
    /// The log.
    pub log_id: String,
    /// Its number.
    pub run: u64,
    /// Its name.
    pub run_name: String,
    /// Its revision: an event behind it spoils the plan.
    pub revision: u32,
    /// Its last event.
    pub last_seq: Option<u64>,
    /// What it is doing.
    pub status: Status,
    /// How many events it has had.
    pub events: u64,
    /// How many events of it are missing from the log: what they did is not known.
    pub missing: u64,
    /// How many findings there are.
    pub findings: u64,
    /// Whether events of it came from an import: then it has a source, which nobody here can change.
    pub is_imported: bool,
}

/// What a run comes to once a plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Then {
    /// What it will be doing.
    pub status: Status,
    /// What it will wait for.
    pub waiting: Vec<Wait>,
}

/// A run, folded, with everything that plans ask about it.
pub(super) struct Ground {
    pub(super) run: PlannedRun,
    pub(super) state: RunState,
    /// Its events, ascending; a fork's begin with its parent's.
    pub(super) places: Vec<Place>,
    /// The last ones of them in words.
    pub(super) lines: VecDeque<TimelineEvent>,
    spent: Vec<(u64, Usage)>,
}

impl Ground {
    /// Reads a run.
    ///
    /// # Errors
    /// `NotFound` (T0141) for a run whose name is lost; `Rejected` (T0425) for one of whose events none is of the run schema;
    /// what ends the fold of its events; as reading.
    pub(super) fn read(reader: &Reader, run: Seq) -> Result<Ground> {
        // What compactions have moved is read where it is: with less than all events, their ordinals would be others.
        let whole = reader.with_archives()?;
        let reader = whole.as_ref().unwrap_or(reader);
        let mut places = Places::over(reader)?;
        Replay::of_fold::<Runs>(reader, Some(run))?.go(&mut [&mut places])?;
        let (of_run, spent, is_imported) = places.of(run);
        let mut lines = places.timelines.lines_of(run);
        // By ordinal they are looked up here; one that has none can not be.
        lines.retain(|line| line.event > 0);
        let standing = places.timelines.folding.into_standing(Some(run))?;
        let name = reader.find_run(&format!("#{run}"))?.name.ok_or_else(|| {
            let message = format!("the event that told the name of run #{run} is gone: nothing can be appended to it");
            Error::new(ErrorKind::NotFound, "T0141", message).hint("taffrail log verify")
        })?;
        let state = standing.state;
        let run = PlannedRun {
            log_id: reader.log_id().to_string(),
            run: run.get(),
            run_name: name,
            revision: standing.revision,
            last_seq: standing.seq.map(Seq::get),
            status: state.status,
            events: state.events,
            missing: standing.missing.iter().map(|missing| missing.count).sum(),
            findings: state.finding_count,
            is_imported,
        };
        if of_run.is_empty() && run.missing == 0 {
            return Err(unread::<Runs>(reader, Some((seq_of(run.run)?, &run.run_name)))?);
        }
        Ok(Ground { run, state, places: of_run, lines, spent })
    }

    /// The last event of the run that is at or before a seq.
    pub(super) fn place_at(&self, seq: Seq) -> Option<Place> {
        let behind = self.places.partition_point(|place| place.seq <= seq.get());
        behind.checked_sub(1).map(|at| self.places[at])
    }

    pub(super) fn place_of(&self, event: u64) -> Option<Place> {
        self.places.binary_search_by_key(&event, |place| place.event).ok().map(|at| self.places[at])
    }

    /// An event in words; `None` where it lies too far back.
    pub(super) fn line_of(&self, event: u64) -> Option<&TimelineEvent> {
        self.lines.binary_search_by_key(&event, |line| line.event).ok().map(|at| &self.lines[at])
    }

    /// What was spent behind an event.
    pub(super) fn spent_since(&self, event: u64) -> Usage {
        let before = self.spent.iter().rfind(|(at, _)| *at <= event).map_or_else(Usage::default, |(_, usage)| *usage);
        self.state.spent.total.without(&before)
    }

    /// Events of the history that lie behind one and pass a test.
    pub(super) fn events_behind(&self, event: u64) -> impl Iterator<Item = &Place> {
        let first = self.places.partition_point(|place| place.event <= event);
        self.places[first..].iter().filter(|place| self.state.is_in_lineage(place.event))
    }

    /// What the run comes to with one more change.
    ///
    /// # Errors
    /// `Rejected` (T0511) where the change is no legal one.
    pub(super) fn then(&self, change: &Change) -> Result<(RunState, Then)> {
        Runs::decide(&self.state, RunCommand::one("", change.clone()))?;
        let mut state = self.state.clone();
        let time_ns = state.last_time_ns.unwrap_or_default();
        let data = change.clone().by("");
        Runs::apply(&mut state, &Recorded { seq: Seq::FIRST, run: None, revision: 0, time_ns, data });
        let then = Then { status: state.status, waiting: Wait::of(&state) };
        Ok((state, then))
    }
}

/// What is appended when a plan is carried out.
pub(super) struct Act<'a> {
    pub(super) authority: &'a Authority,
    pub(super) verb: &'static str,
    pub(super) id: &'a str,
    pub(super) lost: u64,
    /// The command that shows the plan.
    pub(super) command: &'a str,
    pub(super) detail: serde_json::Value,
}

impl Act<'_> {
    pub(super) fn open(&self, storage: &Arc<dyn Storage>) -> Result<Journal> {
        self.authority.covers(self.id, self.lost, self.command)?;
        Journal::options().lock_timeout_ms(self.authority.lock_timeout_ms).open_on(Arc::clone(storage))
    }

    /// Whether the plan that would be made now is the one that was agreed to.
    pub(super) fn is_still(&self, id: &str) -> Result<()> {
        if id == self.id { Ok(()) } else { Err(other_plan(self.id, id, self.command)) }
    }

    /// Decides the change once more, and appends it with the operator event, in one batch.
    pub(super) fn append(
        &self,
        journal: Journal,
        ground: &Ground,
        change: Change,
        mark: Option<&str>,
    ) -> Result<Applied> {
        let events = Runs::decide(&ground.state, RunCommand::one(self.authority.actor.as_str(), change))?;
        let mut batch = Batch::new();
        let run = batch.run(ground.run.run_name.as_str(), Expect::Revision(ground.run.revision));
        if let Some(name) = mark {
            // Before the rewind: so it names the last event of what is given up.
            let mark = Mark { name: name.to_owned(), note: self.authority.reason.clone() };
            batch.own(Some(run), Kind::MARK, true, &mark.encode());
        }
        for event in &events {
            batch.typed(Some(run), None, event)?;
        }
        self.commit(journal, batch)
    }

    /// Appends the operator event behind what is in the batch, all in one piece.
    pub(super) fn commit(&self, journal: Journal, mut batch: Batch) -> Result<Applied> {
        let action = self.authority.action(self.verb, self.id, &self.detail);
        batch.own(None, Kind::OPERATOR_ACTION, false, &action.encode());
        let appended = journal.append(batch).map_err(|failed| match failed.error.kind() {
            // Somebody has appended to the run since the plan was made again.
            ErrorKind::Conflict => other_plan(self.id, "the one of another revision", self.command),
            _ => journal.explain::<RunEvent>(failed.error),
        })?;
        journal.close()?;
        Ok(Applied { plan: self.id.to_owned(), kept_in: None, event: appended.last.get(), lost: self.lost })
    }

    /// The digest of the plan, as the run's own event names it.
    pub(super) fn digest(&self) -> String {
        format!("blake3:{}", self.id)
    }
}

/// The number of a planned run.
fn seq_of(run: u64) -> Result<Seq> {
    Seq::new(run).ok_or_else(|| Error::new(ErrorKind::Invalid, "T0190", "a plan names run 0"))
}

/// A word of a command, as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/:@%+=,#-".contains(&byte);
    let is_word = !word.is_empty() && word.bytes().all(is_plain) && !word.starts_with(['#', '-']);
    if is_word { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
