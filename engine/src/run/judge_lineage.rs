//! Whether a rewind, or a fork, is what it says.

use crate::run::finding::Problem;
use crate::run::gate::GateStatus;
use crate::run::judge::{Judged, check};
use crate::run::rewind::{Forked, Rewound};
use crate::run::state::RunState;
use crate::run::step::StepStatus;
use crate::run::{Moment, Reversibility};
use std::collections::BTreeSet;

/// Whether something lies behind a position.
fn is_behind(moment: Option<Moment>, position: u64) -> bool {
    moment.is_some_and(|moment| moment.event > position)
}

fn names(list: &[String]) -> BTreeSet<&str> {
    list.iter().map(String::as_str).collect()
}

fn differs(holds: bool, name: &str, what: &'static str) -> Judged {
    check(holds, Problem::PlanDiffers, name, || what.into())
}

/// Steps that were open at a position.
pub(super) fn open_at(state: &RunState, position: u64) -> impl Iterator<Item = (&str, &super::Step)> {
    let is_open = move |step: &super::Step| {
        step.requested.event <= position && (step.is_open() || is_behind(step.ended, position))
    };
    state.steps.iter().filter(move |(_, step)| is_open(step)).map(|(name, step)| (name.as_str(), &**step))
}

/// Whether the way in which a step ended may be taken over by another history.
pub(super) fn can_be_grafted(step: &super::Step) -> bool {
    let has_result =
        matches!(step.status, StepStatus::Ok | StepStatus::Error | StepStatus::TimedOut | StepStatus::Interrupted);
    has_result && step.reversibility.is_repeatable()
}

/// Approvals that were neither used nor refused at a position.
pub(super) fn pending_at(state: &RunState, position: u64) -> BTreeSet<&str> {
    let is_pending = |approval: &super::Approval| {
        let mut then = approval.clone();
        super::moment::Rewindable::go_back(&mut then, position) && then.is_pending()
    };
    state.approvals.iter().filter(|(_, approval)| is_pending(approval)).map(|(name, _)| name.as_str()).collect()
}

/// Whether work that was under way at a position is dealt with: each effect that ended later is grafted or abandoned.
fn under_way(state: &RunState, position: u64, grafted: &[String], abandoned: &[String]) -> Judged {
    let (grafts, gone) = (names(grafted), names(abandoned));
    differs(grafts.len() == grafted.len() && gone.len() == abandoned.len(), "", "a name stands there twice")?;
    let open: BTreeSet<&str> = open_at(state, position).map(|(name, _)| name).collect();
    for name in grafts.union(&gone) {
        differs(open.contains(name), name, "it was not open at the position")?;
    }
    for (name, step) in open_at(state, position) {
        let is_grafted = grafts.contains(name);
        differs(!(is_grafted && gone.contains(name)), name, "it is both grafted and abandoned")?;
        let has_result =
            matches!(step.status, StepStatus::Ok | StepStatus::Error | StepStatus::TimedOut | StepStatus::Interrupted);
        differs(!is_grafted || (has_result && step.reversibility.is_repeatable()), name, "its result can not be kept")?;
        differs(step.is_open() || is_grafted || gone.contains(name), name, "it ended behind the position")?;
    }
    Ok(())
}

fn voids(state: &RunState, position: u64, voided: &[String]) -> Judged {
    let pending = pending_at(state, position);
    let differing = names(voided).symmetric_difference(&pending).next().copied();
    differs(differing.is_none(), differing.unwrap_or_default(), "approvals that were not used at the position are void")
}

pub(super) fn rewound(state: &RunState, rewound: &Rewound) -> Judged {
    let position = rewound.to;
    let is_there = state.is_in_lineage(position) && position < state.events;
    check(is_there, Problem::NotInLineage, &position.to_string(), String::new)?;
    under_way(state, position, &rewound.grafted, &rewound.abandoned)?;
    voids(state, position, &rewound.voided)?;
    for name in &rewound.kept {
        let gate = state.gates.get(name).filter(|gate| is_behind(gate.finished, position));
        let is_kept = gate.is_some_and(|gate| matches!(gate.status, GateStatus::Passed | GateStatus::Failed));
        differs(is_kept, name, "no result of this gate lies behind the position")?;
    }
    for name in &rewound.compensations {
        let step = state.steps.get(name).filter(|step| is_behind(step.ended, position));
        let is_due = step.is_some_and(|step| step.reversibility == Reversibility::Compensable);
        differs(is_due, name, "nothing behind the position is to be made up for")?;
    }
    Ok(())
}

/// A fork is judged on the parent's state at the position, which it begins with.
pub(super) fn forked(state: &RunState, forked: &Forked) -> Judged {
    let subject = forked.parent.as_str();
    check(state.parent.is_none() && state.events <= forked.at, Problem::ForkedLate, subject, String::new)?;
    check(state.events == forked.at && state.events > 0, Problem::PrefixMissing, subject, || {
        format!("{} of {} events of the parent", state.events, forked.at)
    })?;
    voids(state, forked.at, &forked.voided)?;
    let open: BTreeSet<&str> =
        state.steps.iter().filter(|(_, step)| step.is_open()).map(|(name, _)| name.as_str()).collect();
    let differing = names(&forked.abandoned).symmetric_difference(&open).next().copied();
    differs(differing.is_none(), differing.unwrap_or_default(), "what is open at the position is done for the parent")
}
