//! The plan of a close: the end of a run that nothing else can end.

use super::{Act, Ground, PlannedRun, Then, quoted};
use crate::error::Result;
use crate::plan::{Applied, Authority, plan_id, plan_name};
use crate::run::{Change, Finding, RunState, StepStatus};
use crate::storage::Storage;
use crate::{Reader, Seq};
use serde::Serialize;
use std::sync::Arc;

/// What closing a run would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosePlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The run.
    #[serde(flatten)]
    pub run: PlannedRun,
    /// Steps that are open, and stay so: nobody waits for them any more.
    pub open_steps: Vec<String>,
    /// Gates that run.
    pub open_gates: Vec<String>,
    /// Approvals that were not used, and can not be any more.
    pub pending_approvals: Vec<String>,
    /// What the run comes to.
    pub then: Then,
    /// What is wrong with its history, the first ones: the close says no more of it than its reason does.
    #[serde(skip)]
    pub list: Vec<Finding>,
}

impl ClosePlan {
    /// Plans to close a run, whatever its state and its history.
    ///
    /// # Errors
    /// `Rejected`: T0511 for a run that is closed, T0425 for one that has no event of the run schema; as reading.
    pub fn make(reader: &Reader, run: Seq) -> Result<ClosePlan> {
        ClosePlan::of(&Ground::read(reader, run)?)
    }

    fn of(ground: &Ground) -> Result<ClosePlan> {
        let state: &RunState = &ground.state;
        let (_, then) = ground.then(&Change::Closed { reason: String::new() })?;
        let open = state.steps.iter().filter(|(_, step)| step.status == StepStatus::Requested);
        let running = state.gates.iter().filter(|(_, gate)| gate.verdict.is_none());
        let pending = state.approvals.iter().filter(|(_, approval)| approval.is_pending());
        let mut plan = ClosePlan {
            id: String::new(),
            run: ground.run.clone(),
            open_steps: open.map(|(name, _)| name.to_string()).collect(),
            open_gates: running.map(|(name, _)| name.to_string()).collect(),
            pending_approvals: pending.map(|(name, _)| name.to_string()).collect(),
            then,
            list: state.findings.clone(),
        };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Appends the close.
    ///
    /// # Errors
    /// `Rejected`: T0401 where the authority is for another plan, or the run is not what it was planned for; as opening and
    /// appending. Nothing was changed then.
    pub fn apply(&self, storage: &Arc<dyn Storage>, authority: &Authority) -> Result<Applied> {
        let detail = serde_json::json!({ "run": self.run.run_name, "was": self.run.status });
        let command = format!("taffrail run close {}", quoted(&self.run.run_name));
        let act = Act { authority, verb: "close", id: &self.id, lost: 0, command: &command, detail };
        let journal = act.open(storage)?;
        let ground = Ground::read(&journal.reader()?, super::seq_of(self.run.run)?)?;
        act.is_still(&ClosePlan::of(&ground)?.id)?;
        act.append(journal, &ground, Change::Closed { reason: authority.reason.clone() }, None)
    }
}
