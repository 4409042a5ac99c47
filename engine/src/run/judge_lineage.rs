//! Whether a rewind, or a fork, is what it says.

use crate::run::finding::Problem;
use crate::run::gate::GateStatus;
use crate::run::judge::{Judged, check};
use crate::run::rewind::{Forked, Rewound, Undone};
use crate::run::state::RunState;
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
    step.has_result() && step.reversibility.is_repeatable()
}

/// Approvals that were neither used nor refused at a position.
pub(super) fn pending_at(state: &RunState, position: u64) -> BTreeSet<&str> {
    let is_pending = |approval: &super::Approval| {
        let mut then = approval.clone();
        super::moment::Rewindable::go_back(&mut then, position) && then.is_pending()
    };
    state.approvals.iter().filter(|(_, approval)| is_pending(approval)).map(|(name, _)| name.as_str()).collect()
}

/// Effects that go with the history behind a position: what was requested there, and what ended there and is not kept.
pub(super) fn dropped<'s>(
    state: &'s RunState,
    position: u64,
    kept: &'s BTreeSet<String>,
) -> impl Iterator<Item = (&'s str, &'s super::Step)> {
    let steps = state.steps.iter().map(|(name, step)| (name.as_str(), &**step));
    steps.filter(move |(name, step)| {
        step.requested.event > position || (is_behind(step.ended, position) && !kept.contains(*name))
    })
}

/// Those of them that have to be made up for, the last one first.
pub(super) fn compensations(state: &RunState, position: u64, kept: &BTreeSet<String>) -> Vec<String> {
    let mut due: Vec<_> =
        dropped(state, position, kept).filter(|(_, step)| step.reversibility == Reversibility::Compensable).collect();
    due.sort_by_key(|(_, step)| std::cmp::Reverse(step.ended.unwrap_or(step.requested)));
    due.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// Those of them that nothing makes up for, by name.
pub(super) fn irreversible(state: &RunState, position: u64, kept: &BTreeSet<String>) -> Vec<String> {
    dropped(state, position, kept).filter(|(_, step)| step.is_final()).map(|(name, _)| name.to_owned()).collect()
}

/// Whether it is said what was done behind a position, and what was done for good.
fn consequences(
    state: &RunState,
    position: u64,
    kept: &BTreeSet<String>,
    due: &[String],
    acknowledged: &[String],
) -> Judged {
    let differing = |said: &[String], is: &[String]| {
        let differing = names(said).symmetric_difference(&names(is)).next().map(|name| (*name).to_owned());
        differing.or_else(|| (said != is).then(|| said.first().cloned().unwrap_or_default()))
    };
    let made_up = differing(due, &compensations(state, position, kept));
    let what = "what is to be made up for is every compensable effect behind the position, the last one first";
    differs(made_up.is_none(), made_up.as_deref().unwrap_or_default(), what)?;
    let for_good = differing(acknowledged, &irreversible(state, position, kept));
    let what = "what was done for good behind the position is acknowledged, all of it and nothing else";
    differs(for_good.is_none(), for_good.as_deref().unwrap_or_default(), what)
}

/// Whether work that was under way at a position is dealt with: each effect that ended later is grafted, kept or abandoned.
fn under_way(state: &RunState, position: u64, grafted: &[String], kept: &[String], abandoned: &[String]) -> Judged {
    let (grafts, keeps, gone) = (names(grafted), names(kept), names(abandoned));
    let named: BTreeSet<&str> = grafts.iter().chain(&keeps).chain(&gone).copied().collect();
    differs(named.len() == grafted.len() + kept.len() + abandoned.len(), "", "a name stands there twice")?;
    let open: BTreeSet<&str> = open_at(state, position).map(|(name, _)| name).collect();
    for name in named {
        differs(open.contains(name), name, "it was not open at the position")?;
    }
    for (name, step) in open_at(state, position) {
        let is_taken_over = grafts.contains(name) || keeps.contains(name);
        differs(!is_taken_over || step.has_result(), name, "it has no result that could be kept")?;
        differs(!grafts.contains(name) || can_be_grafted(step), name, "its result can not be kept")?;
        differs(step.is_open() || is_taken_over || gone.contains(name), name, "it ended behind the position")?;
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
    under_way(state, position, &rewound.grafted, &rewound.kept_effects, &rewound.abandoned)?;
    voids(state, position, &rewound.voided)?;
    for name in &rewound.kept {
        let gate = state.gates.get(name).filter(|gate| is_behind(gate.finished, position));
        let is_kept = gate.is_some_and(|gate| matches!(gate.status, GateStatus::Passed | GateStatus::Failed));
        differs(is_kept, name, "no result of this gate lies behind the position")?;
    }
    for key in &rewound.kept_values {
        let is_behind = state.values.get(key).is_some_and(|value| value.at.event > position);
        differs(is_behind, key, "no such value was looked up behind the position")?;
    }
    consequences(state, position, &rewound.taken_over(), &rewound.compensations, &rewound.acknowledged)
}

pub(super) fn undone(state: &RunState, undone: &Undone) -> Judged {
    let (due, acknowledged) = (&undone.compensations, &undone.acknowledged);
    if state.is_closed_last() {
        let said = due.first().or(acknowledged.first());
        return differs(said.is_none(), said.map_or("", |name| name), "taking back a close gives nothing up");
    }
    let Some(rewind) = state.rewind_to_undo() else {
        return check(false, Problem::NothingToUndo, "", String::new);
    };
    consequences(state, rewind.at.event, &BTreeSet::new(), due, acknowledged)
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
