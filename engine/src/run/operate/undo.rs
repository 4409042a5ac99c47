//! The plan of an undo: of the last close, or else of the last rewind that was not taken back.

use super::consequence::{Effect, final_effects};
use super::rewind::{GivenUp, acknowledge};
use super::{Act, Ground, Place, PlannedRun, Then, quoted};
use crate::error::{Error, Result};
use crate::plan::{Applied, Authority, plan_id, plan_name};
use crate::run::timeline::TimelineEvent;
use crate::run::{Change, Phase, Undone, Usage};
use crate::storage::Storage;
use crate::{ErrorKind, Reader, Seq};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undoes {
    /// A close.
    Close {
        /// The event.
        event: u64,
        /// Why it was closed.
        reason: String,
    },
    /// A rewind.
    Rewind {
        /// The event.
        event: u64,
        /// The event that it went back to.
        to: u64,
        /// Who went back.
        by: String,
        /// Why.
        reason: String,
    },
}

/// What an undo would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoRunPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The run.
    #[serde(flatten)]
    pub run: PlannedRun,
    /// What is taken back.
    pub undoes: Undoes,
    /// Where the event that is taken back is; `None` where it can not be told.
    pub place: Option<Place>,
    /// How many events are history again.
    pub put_back: u64,
    /// What came behind the rewind, and is given up now; `None` where nothing did.
    pub given_up: Option<GivenUp>,
    /// Effects that came behind the rewind and that nothing makes up for: to be acknowledged by name.
    pub final_effects: Vec<Effect>,
    /// What was spent since the rewind, and does not come back.
    pub spent: Usage,
    /// What the run comes to.
    pub then: Then,
    /// The event, but for its reason.
    pub change: Undone,
    /// Events that are given up: to be accepted by number.
    pub lost: u64,
    /// What is given up, in words: the last events of it. No part of the plan.
    #[serde(skip)]
    pub lines: Vec<TimelineEvent>,
}

impl UndoRunPlan {
    /// Plans to take back a run's last close, or else its last rewind.
    ///
    /// # Errors
    /// `NotFound` (T0404) where there is neither; as reading.
    pub fn make(reader: &Reader, run: Seq) -> Result<UndoRunPlan> {
        UndoRunPlan::of(&Ground::read(reader, run)?)
    }

    fn of(ground: &Ground) -> Result<UndoRunPlan> {
        let state = &ground.state;
        let change = state.plan_undo().ok_or_else(|| {
            let name = &ground.run.run_name;
            let message = format!("run {name} was neither closed nor rewound, or all of that was undone");
            Error::new(ErrorKind::NotFound, "T0404", message).hint(format!("taffrail run show {} --all", quoted(name)))
        })?;
        let (after, then) = ground.then(&Change::Undone(change.clone()))?;
        let closed = state.turns.last().filter(|_| state.is_closed_last());
        let undoes = match (closed, state.rewind_to_undo()) {
            (Some(turn), _) => {
                let reason = if let Phase::Closed { reason } = &turn.phase { reason.clone() } else { String::new() };
                Undoes::Close { event: turn.at.event, reason }
            }
            (None, Some(rewind)) => {
                let (by, reason) = (rewind.by.to_string(), rewind.reason.to_string());
                Undoes::Rewind { event: rewind.at.event, to: rewind.to, by, reason }
            }
            (None, None) => return Err(Error::new(ErrorKind::NotFound, "T0404", "there is nothing to undo")),
        };
        let (event, is_rewind) = match &undoes {
            Undoes::Close { event, .. } => (*event, false),
            Undoes::Rewind { event, .. } => (*event, true),
        };
        let is_back = |place: &&Place| !state.is_in_lineage(place.event) && after.is_in_lineage(place.event);
        let given_up = if is_rewind { GivenUp::behind(ground, event) } else { None };
        let is_given_up = |line: &&TimelineEvent| is_rewind && line.event > event && !line.given_up;
        let none = BTreeSet::new();
        let mut plan = UndoRunPlan {
            id: String::new(),
            run: ground.run.clone(),
            place: ground.place_of(event),
            put_back: ground.places.iter().filter(is_back).count() as u64,
            lost: given_up.as_ref().map_or(0, |given_up| given_up.events),
            given_up,
            final_effects: if is_rewind { final_effects(state, event, &none) } else { Vec::new() },
            spent: if is_rewind { ground.spent_since(event) } else { Usage::default() },
            then,
            change,
            undoes,
            lines: ground.lines.iter().filter(is_given_up).cloned().collect(),
        };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Appends the undo. `acknowledged` names every effect of [`UndoRunPlan::final_effects`], and no other.
    ///
    /// # Errors
    /// As [`crate::run::RewindPlan::apply`].
    pub fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        acknowledged: &BTreeSet<String>,
    ) -> Result<Applied> {
        acknowledge(&self.final_effects, acknowledged)?;
        let detail = serde_json::json!({
            "run": self.run.run_name, "undoes": self.undoes, "given_up": self.lost,
            "acknowledged": self.change.acknowledged,
        });
        let command = format!("taffrail run undo {}", quoted(&self.run.run_name));
        let (id, lost) = (self.id.as_str(), self.lost);
        let act = Act { authority, verb: "run-undo", id, lost, command: &command, detail };
        let journal = act.open(storage)?;
        let ground = Ground::read(&journal.reader()?, super::seq_of(self.run.run)?)?;
        act.is_still(&UndoRunPlan::of(&ground)?.id)?;
        let mut change = self.change.clone();
        (change.reason, change.plan_digest) = (authority.reason.clone(), Some(act.digest()));
        act.append(journal, &ground, Change::Undone(change), None)
    }
}
