//! The plan of a rewind.

use super::consequence::{
    ApprovalFate, Effect, EffectFate, GateFate, Hanging, approval_fates, fates, final_effects, gate_fates, hanging,
};
use super::keep::kept;
use super::{Act, Ground, Place, PlannedRun, Then, quoted};
use crate::error::{Error, Result};
use crate::plan::{Applied, Authority, plan_id, plan_name};
use crate::run::timeline::TimelineEvent;
use crate::run::{Change, Rewound, Usage};
use crate::storage::Storage;
use crate::{ErrorKind, Reader, Seq};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewindRequest {
    /// The run.
    pub run: Seq,
    /// Where to: the run's last event at or before this one.
    pub to: Seq,
    /// Later events whose results are to stay.
    pub keep: Vec<Seq>,
    /// A mark for the place that is left.
    pub mark: Option<String>,
}

/// The part of a history that is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GivenUp {
    /// How many events.
    pub events: u64,
    /// The first.
    pub first: Place,
    /// The last.
    pub last: Place,
}

impl GivenUp {
    /// Everything of the history that lies behind an event; `None` where nothing does.
    pub(super) fn behind(ground: &Ground, event: u64) -> Option<GivenUp> {
        let mut behind = ground.events_behind(event);
        let first = *behind.next()?;
        let (last, more) = behind.fold((first, 0), |(_, count), place| (*place, count + 1));
        Some(GivenUp { events: 1 + more, first, last })
    }
}

/// What a rewind would do. Made by reading only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RewindPlan {
    /// BLAKE3 over the plan, in hexadecimal; the first six digits are its name.
    pub id: String,
    /// The run.
    #[serde(flatten)]
    pub run: PlannedRun,
    /// The last event that stays.
    pub to: Place,
    /// What is given up.
    pub given_up: GivenUp,
    /// Every step.
    pub steps: Vec<EffectFate>,
    /// Gates behind the position, and those that run.
    pub gates: Vec<GateFate>,
    /// Approvals that are void, and those that stay used.
    pub approvals: Vec<ApprovalFate>,
    /// Effects behind the position that nothing makes up for: to be acknowledged by name.
    pub final_effects: Vec<Effect>,
    /// What was spent behind the position, and does not come back.
    pub spent: Usage,
    /// The mark that will name the place that is left.
    pub mark: Option<String>,
    /// What the run comes to.
    pub then: Then,
    /// The event, but for its reason.
    pub change: Rewound,
    /// Events that are given up: to be accepted by number.
    pub lost: u64,
    /// Runs that hang on what is given up. They stay as they are, and are no part of the plan.
    #[serde(skip)]
    pub hanging: Vec<Hanging>,
    /// What is given up, in words: the last events of it. No part of the plan.
    #[serde(skip)]
    pub lines: Vec<TimelineEvent>,
    /// The event that is gone back to, in words. No part of the plan.
    #[serde(skip)]
    pub to_line: Option<TimelineEvent>,
    #[serde(skip)]
    request: RewindRequest,
}

impl RewindPlan {
    /// Plans to take a run back.
    ///
    /// # Errors
    /// `NotFound`: T0146 where the run begins behind the position, T0422 where the position is not in its history any more,
    /// T0423 where nothing lies behind it; `Rejected`: T0424 for what can not be kept, T0425 for a run that
    /// has no event of the run schema, T0511 for one that can not be rewound; as reading.
    pub fn make(reader: &Reader, request: &RewindRequest) -> Result<RewindPlan> {
        let ground = Ground::read(reader, request.run)?;
        let mut plan = RewindPlan::of(&ground, request)?;
        plan.hanging = hanging(reader, request.run, plan.to.event, plan.to.seq)?;
        Ok(plan)
    }

    fn of(ground: &Ground, request: &RewindRequest) -> Result<RewindPlan> {
        let to = position(ground, request.to)?;
        let state = &ground.state;
        let none = || {
            let message = format!("event {} (seq {}) is the last of the run: nothing lies behind it", to.event, to.seq);
            Error::new(ErrorKind::NotFound, "T0423", message).hint(show(ground))
        };
        let given_up = GivenUp::behind(ground, to.event).ok_or_else(none)?;
        let change = state.plan_rewind_keeping(to.event, &kept(ground, to.event, &request.keep)?);
        let (_, then) = ground.then(&Change::Rewound(change.clone()))?;
        let is_given_up = |line: &&TimelineEvent| line.event > to.event && !line.given_up;
        let mut plan = RewindPlan {
            id: String::new(),
            run: ground.run.clone(),
            to,
            steps: fates(state, &change),
            gates: gate_fates(state, &change),
            approvals: approval_fates(state, &change),
            final_effects: final_effects(state, to.event, &change.taken_over()),
            spent: ground.spent_since(to.event),
            mark: request.mark.clone(),
            then,
            change,
            lost: given_up.events,
            given_up,
            hanging: Vec::new(),
            lines: ground.lines.iter().filter(is_given_up).cloned().collect(),
            to_line: ground.line_of(to.event).cloned(),
            request: request.clone(),
        };
        plan.id = plan_id(&plan)?;
        Ok(plan)
    }

    /// The short name: the first six digits of the id.
    #[must_use]
    pub fn name(&self) -> &str {
        plan_name(&self.id)
    }

    /// Appends the rewind. `acknowledged` names every effect of [`RewindPlan::final_effects`], and no other.
    ///
    /// # Errors
    /// `Rejected`: T0421 where the acknowledgement is not exactly that, T0401 and T0402 where the authority is for another
    /// plan, or the run is not what it was planned for; as opening and appending. Nothing was changed then.
    pub fn apply(
        &self,
        storage: &Arc<dyn Storage>,
        authority: &Authority,
        acknowledged: &BTreeSet<String>,
    ) -> Result<Applied> {
        acknowledge(&self.final_effects, acknowledged)?;
        let detail = serde_json::json!({
            "run": self.run.run_name, "to": self.to.event, "to_seq": self.to.seq, "given_up": self.lost,
            "acknowledged": self.change.acknowledged, "mark": self.mark,
        });
        let command = format!("taffrail run rewind {} --to {}", quoted(&self.run.run_name), self.to.seq);
        let (id, lost) = (self.id.as_str(), self.lost);
        let act = Act { authority, verb: "rewind", id, lost, command: &command, detail };
        let journal = act.open(storage)?;
        let ground = Ground::read(&journal.reader()?, self.request.run)?;
        act.is_still(&RewindPlan::of(&ground, &self.request)?.id)?;
        let mut change = self.change.clone();
        (change.reason, change.plan_digest) = (authority.reason.clone(), Some(act.digest()));
        act.append(journal, &ground, Change::Rewound(change), self.mark.as_deref())
    }
}

/// Whether exactly those effects are acknowledged that nothing makes up for.
///
/// # Errors
/// `Rejected` (T0421).
pub(super) fn acknowledge(effects: &[Effect], acknowledged: &BTreeSet<String>) -> Result<()> {
    let wanted: BTreeSet<&str> = effects.iter().map(|effect| effect.step.as_str()).collect();
    let given: BTreeSet<&str> = acknowledged.iter().map(String::as_str).collect();
    if wanted == given {
        return Ok(());
    }
    let list = |names: Vec<&str>| names.join(", ");
    let missing = list(wanted.difference(&given).copied().collect());
    let surplus = list(given.difference(&wanted).copied().collect());
    let message = match (missing.is_empty(), surplus.is_empty()) {
        (false, _) => format!("what was done for good has to be acknowledged by name, and this was not: {missing}"),
        (true, _) => format!("nothing of this is given up, so nothing of it can be acknowledged: {surplus}"),
    };
    Err(Error::new(ErrorKind::Rejected, "T0421", message))
}

/// The run's event that a seq stands for, in its history.
///
/// # Errors
/// `NotFound`: T0146, T0422.
pub(super) fn position(ground: &Ground, seq: Seq) -> Result<Place> {
    let place = ground.place_at(seq).ok_or_else(|| {
        let message = format!("no position {seq}: run {} has no event at or before it", ground.run.run_name);
        Error::new(ErrorKind::NotFound, "T0146", message).hint(show(ground))
    })?;
    if ground.state.is_in_lineage(place.event) {
        return Ok(place);
    }
    let before = ground.places.iter().rfind(|it| it.event < place.event && ground.state.is_in_lineage(it.event));
    let nearest = before.map(|it| format!("; the last event before it that is, is seq {}", it.seq)).unwrap_or_default();
    let message = format!(
        "event {} (seq {}) is not in the history of run {} any more: it was given up{nearest}",
        place.event, place.seq, ground.run.run_name
    );
    Err(Error::new(ErrorKind::NotFound, "T0422", message).hint(show(ground)).seq(place.seq))
}

fn show(ground: &Ground) -> String {
    format!("taffrail run show {} --all", quoted(&ground.run.run_name))
}
