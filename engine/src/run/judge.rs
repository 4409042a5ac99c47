//! What may follow on what: the state machines of a run, of its effects, gates and approvals.

use crate::run::approval::is_eligible;
use crate::run::event::{ApprovalRequest, Change, Decision, EffectRequest, Vote};
use crate::run::finding::Problem;
use crate::run::gate::GateStatus;
use crate::run::state::RunState;
use crate::run::status::Status;
use crate::run::step::{Step, attempt_name, step_name};
use crate::run::text::Text;
use crate::run::{Approval, ApprovalStatus, judge_lineage};
use std::collections::BTreeMap;

/// Why a change is no legal one: the class, the particulars, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) problem: Problem,
    pub(super) subject: String,
    pub(super) detail: String,
}

impl Objection {
    pub(super) fn new(problem: Problem, subject: &str, detail: impl Into<String>) -> Objection {
        Objection { problem, subject: subject.to_owned(), detail: detail.into() }
    }
}

pub(super) type Judged = Result<(), Objection>;

/// An objection, unless something holds.
pub(super) fn check(holds: bool, problem: Problem, subject: &str, detail: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err(Objection::new(problem, subject, detail())) }
}

/// Whether a change may follow on a state.
pub(super) fn judge(state: &RunState, change: &Change) -> Judged {
    use Problem as P;
    life(state, change)?;
    let none = String::new;
    match change {
        Change::EffectRequested(request) => effect_requested(state, request, state.consuming.as_ref()),
        Change::EffectResolved { step, .. }
        | Change::EffectCancelled { step, .. }
        | Change::EffectAbandoned { step, .. } => {
            effect_ended(state.steps.get(state.source_ids.get(step).unwrap_or(step)).map(Box::as_ref), step)
        }
        Change::GateRequested { gate, .. } => {
            check(!state.gates.contains_key(gate), P::NameTaken, gate, none)?;
            attempt(gate, |name| state.gates.get(name).is_some_and(|gate| gate.status == GateStatus::Requested))
        }
        Change::GateFinished { gate, .. } => match state.gates.get(gate) {
            None => Err(Objection::new(P::NeverRequested, gate, "")),
            Some(found) => check(found.status == GateStatus::Requested, P::EndedBefore, gate, none),
        },
        Change::GateWaived { gate, subject_digest } => {
            let status = state.gates.get(gate).map(|gate| gate.status);
            check(status.is_some(), P::NeverRequested, gate, none)?;
            check(status == Some(GateStatus::Failed), P::GateNotFailed, gate, none)?;
            check(state.consuming.as_ref() == Some(subject_digest), P::NotApproved, gate, none)
        }
        Change::ApprovalAsked(asked) => approval_asked(state, asked),
        Change::ApprovalVoted(vote) => approval_voted(state, vote),
        Change::ApprovalDecided { step, decision, .. } => approval_decided(state, step, *decision),
        Change::ApprovalConsumed { step, subject_digest } => approval_consumed(state, step, subject_digest),
        Change::ApprovalRevoked { step, .. } => match state.approvals.get(step) {
            None => Err(Objection::new(P::NeverRequested, step, "")),
            Some(approval) => check(approval.status == ApprovalStatus::Approved, P::ApprovalClosed, step, none),
        },
        Change::ValueRecorded { .. }
        | Change::ArtifactPut { .. }
        | Change::ArtifactDropped { .. }
        | Change::BundleCompiled { .. }
        | Change::BundleTrusted { .. }
        | Change::PolicyTrusted { .. } => record(state, change),
        Change::Rewound(rewound) => judge_lineage::rewound(state, rewound),
        Change::Forked(forked) => judge_lineage::forked(state, forked),
        Change::Undone(undone) => judge_lineage::undone(state, undone),
        Change::Unrecognized { event_type, why } => Err(Objection::new(P::Unrecognized, event_type, why.as_str())),
        Change::Created { .. }
        | Change::ProcessAssigned { .. }
        | Change::Paused { .. }
        | Change::Resumed
        | Change::Faulted { .. }
        | Change::Completed { .. }
        | Change::Failed { .. }
        | Change::Cancelled { .. }
        | Change::Closed { .. }
        | Change::EffectProgress { .. }
        | Change::UsageRecorded { .. }
        | Change::GateRechecked { .. }
        | Change::HookFired { .. }
        | Change::HookDecided { .. }
        | Change::Noted { .. } => Ok(()),
    }
}

/// The smaller things that a run keeps.
fn record(state: &RunState, change: &Change) -> Judged {
    use Problem as P;
    let none = String::new;
    match change {
        Change::ValueRecorded { key, .. } => {
            check(!key.is_empty(), P::BadName, key, none)?;
            check(!state.values.contains_key(key), P::NameTaken, key, || "a value is recorded once".into())
        }
        Change::ArtifactPut { name, .. } => check(!name.is_empty(), P::BadName, name, none),
        Change::ArtifactDropped { name, .. } => {
            let is_there = state.artifacts.get(name).is_some_and(|artifact| artifact.current().is_some());
            check(is_there, P::NoSuchArtifact, name, none)
        }
        Change::BundleCompiled { digest, .. } => check(!state.bundles.contains_key(digest), P::NameTaken, digest, none),
        Change::BundleTrusted { digest, .. } => {
            let bundle = state.bundles.get(digest);
            check(bundle.is_some(), P::NotCompiled, digest, none)?;
            check(bundle.is_some_and(|bundle| bundle.trust.is_none()), P::NameTaken, digest, || "trusted before".into())
        }
        Change::PolicyTrusted { digest, .. } => {
            check(!state.policies.contains_key(digest), P::NameTaken, digest, || "trusted before".into())
        }
        _ => Ok(()),
    }
}

/// What the run as a whole allows.
pub(super) fn life(state: &RunState, change: &Change) -> Judged {
    match change {
        Change::Created { .. } => {
            return check(state.created.is_none(), Problem::CreatedTwice, "", String::new);
        }
        Change::Forked(_) => return Ok(()),
        _ => {}
    }
    if state.status.is_terminal() {
        let leads_out = match change {
            Change::Undone(_) => true,
            Change::Rewound(_) | Change::Closed { .. } => state.status != Status::Closed,
            // What is only told about a run changes nothing about its end.
            Change::UsageRecorded { .. } | Change::HookDecided { .. } | Change::Noted { .. } => true,
            Change::EffectProgress { .. } | Change::HookFired { .. } | Change::GateRechecked { .. } => true,
            Change::Unrecognized { .. } => true,
            _ => false,
        };
        return check(leads_out, Problem::RunEnded, change.kind(), || format!("it was {}", state.status));
    }
    let is_paused = state.status == Status::Paused;
    match change {
        Change::Resumed => check(is_paused, Problem::NotPaused, "", String::new),
        Change::Paused { .. }
        | Change::EffectRequested(_)
        | Change::GateRequested { .. }
        | Change::GateWaived { .. }
        | Change::ApprovalAsked(_)
        | Change::ApprovalConsumed { .. } => check(!is_paused, Problem::RunPaused, change.kind(), String::new),
        _ => Ok(()),
    }
}

/// Whether a name is that of an attempt, and the attempt before it is not open any more. Numbers may be left out: those
/// of attempts that were given up by a rewind are not used again.
fn attempt(name: &str, is_open: impl Fn(&str) -> bool) -> Judged {
    let Some((key, number)) = step_name(name) else {
        return Err(Objection::new(Problem::BadName, name, "a name is a key, or a key, # and an attempt from 2 on"));
    };
    if number < 2 {
        return Ok(());
    }
    let before = attempt_name(key, number - 1);
    check(!is_open(&before), Problem::AttemptOpen, name, || format!("{before} is still open"))
}

/// Whether an attempt of a step is under way, or waits for its approval.
fn is_under_way(state: &RunState, name: &str) -> bool {
    state.steps.get(name).is_some_and(|step| step.is_open())
        || (state.approvals.get(name).is_some_and(Approval::is_pending))
}

/// Whether an effect may be requested. `consuming` is the subject whose approval the event before used, if it did.
pub(super) fn effect_requested(state: &RunState, request: &EffectRequest, consuming: Option<&Text>) -> Judged {
    let step = &request.step;
    if let Some(source_id) = &request.source_id {
        check(!step.is_empty() && !source_id.is_empty(), Problem::BadName, step, String::new)?;
        return check(!state.source_ids.contains_key(source_id), Problem::NameTaken, source_id, String::new);
    }
    check(!state.steps.contains_key(step), Problem::NameTaken, step, String::new)?;
    attempt(step, |name| is_under_way(state, name))?;
    approved(&state.approvals, request, consuming)
}

/// Whether an effect has the approval that it needs, and none that is still open.
pub(super) fn approved(
    approvals: &BTreeMap<Text, Approval>,
    request: &EffectRequest,
    consuming: Option<&Text>,
) -> Judged {
    let step = &request.step;
    let is_consuming = consuming.is_some() && consuming == request.requires.as_ref();
    check(request.requires.is_none() || is_consuming, Problem::NotApproved, step, || {
        "the approval of its subject was not consumed directly before".into()
    })?;
    let status = approvals.get(step).map(|approval| approval.status);
    let is_asked = matches!(status, Some(ApprovalStatus::Open | ApprovalStatus::Approved));
    check(!is_asked, Problem::ApprovalOpen, step, String::new)
}

/// Whether a step may end, if there is one of this name.
pub(super) fn effect_ended(found: Option<&Step>, step: &Text) -> Judged {
    match found {
        None => Err(Objection::new(Problem::NeverRequested, step, "")),
        Some(found) => {
            check(found.is_open(), Problem::EndedBefore, step, || format!("it was {}", found.status.as_str()))
        }
    }
}

fn approval_asked(state: &RunState, asked: &ApprovalRequest) -> Judged {
    let step = &asked.step;
    check(!state.steps.contains_key(step), Problem::NameTaken, step, || "the step has started".into())?;
    // What was refused, or has become void, is asked for again as the next attempt.
    check(!state.approvals.contains_key(step), Problem::NameTaken, step, || "it was asked for before".into())?;
    attempt(step, |name| is_under_way(state, name))?;
    check(!state.consumed.contains(&asked.subject_digest), Problem::ConsumedBefore, step, String::new)
}

fn approval_voted(state: &RunState, vote: &Vote) -> Judged {
    let Some(approval) = state.approvals.get(&vote.step) else {
        return Err(Objection::new(Problem::NeverRequested, &vote.step, ""));
    };
    check(approval.status == ApprovalStatus::Open, Problem::ApprovalClosed, &vote.step, String::new)?;
    check(approval.subject_digest == vote.subject_digest, Problem::SubjectDiffers, &vote.step, String::new)?;
    check(is_eligible(approval, &vote.principal), Problem::NotEligible, &vote.step, || vote.principal.clone())?;
    check(!approval.votes.contains_key(&vote.principal), Problem::VotedTwice, &vote.step, || vote.principal.clone())
}

fn approval_decided(state: &RunState, step: &Text, decision: Decision) -> Judged {
    let Some(approval) = state.approvals.get(step) else {
        return Err(Objection::new(Problem::NeverRequested, step, ""));
    };
    let is_possible = match decision {
        Decision::Approved | Decision::Denied => approval.status == ApprovalStatus::Open,
        Decision::Expired | Decision::Void => approval.is_pending(),
    };
    check(is_possible, Problem::ApprovalClosed, step, String::new)?;
    check(decision != Decision::Approved || approval.is_carried(), Problem::VotesMissing, step, || {
        let votes = approval.votes_for(super::Choice::Approve);
        format!("{votes} of {} for it", approval.policy.need.max(1))
    })
}

fn approval_consumed(state: &RunState, step: &Text, subject_digest: &Text) -> Judged {
    let Some(approval) = state.approvals.get(step) else {
        return Err(Objection::new(Problem::NeverRequested, step, ""));
    };
    check(approval.subject_digest == *subject_digest, Problem::SubjectDiffers, step, String::new)?;
    check(!state.consumed.contains(subject_digest), Problem::ConsumedBefore, step, String::new)?;
    check(approval.status == ApprovalStatus::Approved, Problem::NotApproved, step, String::new)
}
