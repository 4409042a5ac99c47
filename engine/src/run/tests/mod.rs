//! Tests of the run schema.

mod forks;
mod golden;
mod machines;
mod operate;
mod properties;

use crate::Seq;
use crate::fold::{Fold, Recorded};
use crate::run::{
    ApprovalRequest, Change, Choice, Content, Decision, EffectRequest, Outcome, Policy, Reversibility, RunState, Runs,
    Usage, Verdict, Vote,
};

/// A state behind one more change, by `uid:1000`, a second after the one before.
pub(super) fn after(state: &RunState, change: Change) -> RunState {
    let mut next = state.clone();
    let seq = Seq::after(state.events + 1);
    let time_ns = i64::try_from(state.events).unwrap() * 1_000_000_000;
    let data = change.by("uid:1000");
    Runs::apply(&mut next, &Recorded { seq, run: Some(Seq::FIRST), revision: 0, time_ns, data });
    next
}

pub(super) fn all(changes: impl IntoIterator<Item = Change>) -> RunState {
    changes.into_iter().fold(RunState::default(), |state, change| after(&state, change))
}

pub(super) fn created() -> Change {
    Change::Created { process: "release".into(), process_digest: None, inputs: Content::None }
}

pub(super) fn requested(step: &str, kind: &str, reversibility: Reversibility) -> Change {
    let (step, kind) = (step.into(), kind.into());
    Change::EffectRequested(EffectRequest { step, kind, reversibility, ..EffectRequest::default() })
}

/// A request that needs an approval of this subject.
pub(super) fn requires(step: &str, subject: &str) -> Change {
    let (step, requires) = (step.into(), Some(subject.into()));
    Change::EffectRequested(EffectRequest { step, requires, kind: "command".into(), ..EffectRequest::default() })
}

pub(super) fn resolved(step: &str, outcome: Outcome) -> Change {
    let usage = Usage { nano_usd: 7, ..Usage::default() };
    Change::EffectResolved { step: step.into(), outcome, result: Content::None, error: None, usage }
}

pub(super) fn asked(step: &str, subject: &str, need: u32) -> Change {
    let policy = Policy { name: "people".into(), need, ..Policy::default() };
    let (step, subject_digest) = (step.into(), subject.into());
    Change::ApprovalAsked(ApprovalRequest { step, subject_digest, policy, ..ApprovalRequest::default() })
}

pub(super) fn voted(step: &str, subject: &str, principal: &str, choice: Choice) -> Change {
    Change::ApprovalVoted(Vote {
        step: step.into(),
        principal: principal.into(),
        choice,
        subject_digest: subject.into(),
        reason: String::new(),
        evidence: String::new(),
    })
}

pub(super) fn decided(step: &str, decision: Decision) -> Change {
    Change::ApprovalDecided { step: step.into(), decision, reason: String::new() }
}

pub(super) fn consumed(step: &str, subject: &str) -> Change {
    Change::ApprovalConsumed { step: step.into(), subject_digest: subject.into() }
}

pub(super) fn revoked(step: &str) -> Change {
    Change::ApprovalRevoked { step: step.into(), reason: String::new() }
}

pub(super) fn gate(gate: &str) -> Change {
    let spec_digest = "blake3:00".to_owned();
    Change::GateRequested { gate: gate.into(), spec: Content::None, spec_digest, inputs_digest: None }
}

pub(super) fn finished(gate: &str, verdict: Verdict) -> Change {
    Change::GateFinished { gate: gate.into(), verdict, result: Content::None }
}

pub(super) fn waived(gate: &str, subject: &str) -> Change {
    Change::GateWaived { gate: gate.into(), subject_digest: subject.into() }
}
