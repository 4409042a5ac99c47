//! What becomes of what, where a part of a run's history is given up.

use crate::error::Result;
use crate::fold::Start;
use crate::run::judge_lineage::dropped;
use crate::run::{ApprovalStatus, Reversibility, Rewound, RunState, Runs, Status, Step, StepStatus};
use crate::{Query, Reader, RunOpened, Seq};
use serde::Serialize;
use std::collections::BTreeSet;

/// An effect that may have happened, whatever the history says from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Its step.
    pub step: String,
    /// `command`, `task`, or what the source of an imported run calls it.
    pub kind: String,
    /// How it ended, if it did.
    pub status: StepStatus,
    /// How often it may happen.
    pub reversibility: Reversibility,
    /// When it ended, or was requested: nanoseconds since 1970.
    pub time_ns: i64,
}

impl Effect {
    fn of(name: &str, step: &Step) -> Effect {
        Effect {
            step: name.to_owned(),
            kind: step.kind.to_string(),
            status: step.status,
            reversibility: step.reversibility,
            time_ns: step.ended.unwrap_or(step.requested).time_ns,
        }
    }
}

/// Effects that go with what lies behind a position and that nothing makes up for.
pub(super) fn final_effects(state: &RunState, position: u64, kept: &BTreeSet<String>) -> Vec<Effect> {
    let all = dropped(state, position, kept);
    all.filter(|(_, step)| step.is_final()).map(|(name, step)| Effect::of(name, step)).collect()
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// It was requested and stays open.
    StaysOpen,
    /// It was open at the position; its later result stays, since it could be had again.
    Grafted,
    /// It was open at the position; its later result stays, since the operator says so.
    Kept,
    /// It was open at the position; nobody waits for it any more.
    Abandoned,
    /// It goes with its request.
    GivenUp,
}

/// A step, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectFate {
    /// The step.
    pub step: String,
    /// What becomes of it.
    pub fate: Fate,
    /// How far it is now.
    pub status: StepStatus,
    /// How often it may happen.
    pub reversibility: Reversibility,
}

/// What becomes of each step.
pub(super) fn fates(state: &RunState, rewound: &Rewound) -> Vec<EffectFate> {
    let set = |list: &[String]| -> BTreeSet<String> { list.iter().cloned().collect() };
    let (grafted, kept, gone) = (set(&rewound.grafted), set(&rewound.kept_effects), set(&rewound.abandoned));
    let fate = |name: &str, step: &Step| {
        if step.requested.event > rewound.to {
            Fate::GivenUp
        } else if grafted.contains(name) {
            Fate::Grafted
        } else if kept.contains(name) {
            Fate::Kept
        } else if gone.contains(name) {
            Fate::Abandoned
        } else if step.is_open() {
            Fate::StaysOpen
        } else {
            Fate::Stays
        }
    };
    let mut fates = Vec::with_capacity(state.steps.len());
    for (name, step) in &state.steps {
        let (status, reversibility) = (step.status, step.reversibility);
        fates.push(EffectFate { step: name.to_string(), fate: fate(name.as_str(), step), status, reversibility });
    }
    fates
}

/// What becomes of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateTurn {
    /// Its result stays, since the operator says so.
    Kept,
    /// It runs again.
    RunsAgain,
    /// It goes with its request; the process asks for it again when it comes to it.
    GivenUp,
}

/// A gate behind a position, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateFate {
    /// The gate.
    pub gate: String,
    /// What becomes of it.
    pub turn: GateTurn,
}

/// What becomes of the gates that ended behind the position, or run.
pub(super) fn gate_fates(state: &RunState, rewound: &Rewound) -> Vec<GateFate> {
    let turn = |name: &String, gate: &crate::run::Gate| {
        if rewound.kept.contains(name) {
            Some(GateTurn::Kept)
        } else if gate.requested.event > rewound.to {
            Some(GateTurn::GivenUp)
        } else if gate.finished.is_none_or(|finished| finished.event > rewound.to) {
            Some(GateTurn::RunsAgain)
        } else {
            None
        }
    };
    let all = state.gates.iter().filter_map(|(name, gate)| Some((name, turn(name, gate)?)));
    all.map(|(name, turn)| GateFate { gate: name.clone(), turn }).collect()
}

/// An approval behind a position, or pending at it, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalFate {
    /// The step that waits for it.
    pub step: String,
    /// How far it is now.
    pub status: ApprovalStatus,
    /// Whether it is void from now on; else it was used behind the position, and stays used.
    pub is_voided: bool,
}

/// What becomes of approvals: those that are void, and those whose use can not be taken back.
pub(super) fn approval_fates(state: &RunState, rewound: &Rewound) -> Vec<ApprovalFate> {
    let voided: BTreeSet<&str> = rewound.voided.iter().map(String::as_str).collect();
    let is_used_behind = |approval: &crate::run::Approval| {
        let used = approval.turns.iter().find(|turn| turn.status == ApprovalStatus::Consumed);
        used.is_some_and(|turn| turn.at.event > rewound.to)
    };
    let mut fates = Vec::new();
    for (step, approval) in &state.approvals {
        let (step, status) = (step.to_string(), approval.status);
        if is_used_behind(approval) {
            fates.push(ApprovalFate { step, status, is_voided: false });
        } else if voided.contains(step.as_str()) {
            fates.push(ApprovalFate { step, status, is_voided: true });
        }
    }
    fates
}

/// A run that hangs on the part that is given up. It stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hanging {
    /// Its name.
    pub name: String,
    /// Its number: the seq of its first event.
    pub run: u64,
    /// The event of this run that it was forked at; `None` for a run that this one has made.
    pub forked_at: Option<u64>,
    /// What it is doing; `None` where it has no events of the run schema.
    pub status: Option<Status>,
}

/// The runs that were forked from a run, or made by it, behind a position: an ordinal, and the seq of that event.
pub(super) fn hanging(reader: &Reader, run: Seq, position: u64, seq: u64) -> Result<Vec<Hanging>> {
    let mut openings = reader.events(Query::all().event_type("RunOpened"))?;
    let mut children = Vec::new();
    while let Some(record) = openings.next()? {
        let Ok(opened) = RunOpened::decode(&record.payload) else { continue };
        if let (true, Some(child)) = (opened.parent == Some(run), record.run.filter(|child| *child > run)) {
            children.push((child, opened.name));
        }
    }
    let mut hanging = Vec::new();
    for (child, name) in children {
        // What is wrong with another run is not this one's matter.
        let state = reader.state::<Runs>(Some(child), None, Start::Snapshot).ok().map(|loaded| loaded.standing.state);
        let forked_at = state.as_ref().and_then(|state| state.parent.as_ref()).map(|parent| parent.at);
        let hangs = forked_at.map_or(child.get() > seq, |at| at > position);
        if hangs {
            let status = state.filter(|state| state.events > 0).map(|state| state.status);
            hanging.push(Hanging { name, run: child.get(), forked_at, status });
        }
    }
    Ok(hanging)
}
