//! The plan of a fork: a run that begins as another one.

use super::consequence::{Effect, final_effects};
use super::rewind::position;
use super::{Act, Ground, Place, PlannedRun, Then, quoted};
use crate::error::{Error, Result};
use crate::fold::Decide;
use crate::plan::{Applied, Authority, plan_id, plan_name};
use crate::run::timeline::TimelineEvent;
use crate::run::{Change, Forked, RunCommand, Runs, Wait};
use crate::storage::Storage;
use crate::{Batch, ErrorKind, Expect, Fold, Reader, Recorded, RunOpened, Seq};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a fork would do. Made by reading only. It takes nothing away, so it loses nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForkPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The run that is forked.
    #[serde(flatten)]
    pub run: PlannedRun,
    /// The new run's name.
    pub new_name: String,
    /// The last event that both have.
    pub at: Place,
    /// Effects that the parent has done behind the position and that nothing makes up for: the fork may do them again.
    pub may_repeat: Vec<Effect>,
    /// What the new run begins as.
    pub then: Then,
    /// The event, but for its reason.
    pub change: Forked,
    /// The event that is forked at, in words. No part of the plan.
    #[serde(skip)]
    pub at_line: Option<TimelineEvent>,
    #[serde(skip)]
    asked: Seq,
}

impl ForkPlan {
    /// Plans a run that begins as another one was at `at`: at its last event at or before that.
    ///
    /// # Errors
    /// `NotFound`: T0146 where the run begins behind the position, T0422 where the position is not in its history any more;
    /// `Conflict` (T0145) where there is a run of the new name, `Invalid` (T0142) where no run can have it; as reading.
    pub fn make(reader: &Reader, run: Seq, at: Seq, new_name: &str) -> Result<ForkPlan> {
        if !RunOpened::is_valid_name(new_name) {
            let message = format!("{new_name:?} is no name for a run: 1 to 255 bytes, no control characters");
            return Err(Error::new(ErrorKind::Invalid, "T0142", message));
        }
        if reader.runs()?.values().any(|run| run.name.as_deref() == Some(new_name)) {
            let message = format!("there is a run {new_name:?} already");
            let hint = format!("taffrail run show {}", quoted(new_name));
            return Err(Error::new(ErrorKind::Conflict, "T0145", message).hint(hint));
        }
        ForkPlan::of(&Ground::read(reader, run)?, at, new_name)
    }

    fn of(ground: &Ground, asked: Seq, new_name: &str) -> Result<ForkPlan> {
        let at = position(ground, asked)?;
        let state = &ground.state;
        let change = state.plan_fork(&ground.run.run_name, at.event);
        let beginning = state.inherited(&change).unwrap_or_default();
        Runs::decide(&beginning, RunCommand::one("", Change::Forked(change.clone())))?;
        let mut fork = beginning;
        let data = Change::Forked(change.clone()).by("");
        Runs::apply(&mut fork, &Recorded { seq: Seq::FIRST, run: None, revision: 0, time_ns: at.time_ns, data });
        let grafted: BTreeSet<String> = change.grafted.iter().cloned().collect();
        let mut plan = ForkPlan {
            id: String::new(),
            run: ground.run.clone(),
            new_name: new_name.to_owned(),
            at,
            may_repeat: final_effects(state, at.event, &grafted),
            then: Then { status: fork.status, waiting: Wait::of(&fork) },
            change,
            at_line: ground.line_of(at.event).cloned(),
            asked,
        };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Opens the new run. The other one is not appended to; but it has to be what it was when the fork was planned.
    ///
    /// # Errors
    /// `Rejected`: T0401 where the authority is for another plan, or the run is not what it was planned for; as opening and
    /// appending. Nothing was changed then.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        let name = self.run.run_name.as_str();
        let detail = serde_json::json!({
            "run": self.new_name, "parent": name, "at": self.at.event, "at_seq": self.at.seq,
        });
        let (parent, new_name) = (quoted(name), quoted(&self.new_name));
        let command = format!("taffrail run fork {parent} --at {} --name {new_name}", self.at.seq);
        let act = Act { authority, verb: "fork", id: &self.id, lost: 0, command: &command, detail };
        let journal = act.open(storage)?;
        let number = super::seq_of(self.run.run)?;
        let ground = Ground::read(&journal.reader()?, number)?;
        act.is_still(&ForkPlan::of(&ground, self.asked, &self.new_name)?.id)?;
        let change = Forked { reason: authority.reason.clone(), ..self.change.clone() };
        let mut batch = Batch::new();
        batch.run(name, Expect::Revision(ground.run.revision));
        let child = batch.run_from(self.new_name.as_str(), Some(number));
        batch.typed(Some(child), None, &Change::Forked(change).by(authority.actor.as_str()))?;
        act.commit(journal, batch)
    }
}
