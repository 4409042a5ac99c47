//! Events in a few words.

use crate::run::event::{Change, RunEvent};
use crate::run::step::StepStatus;

impl RunEvent {
    /// What it is about, in a few words for people; the kind is not repeated. May hold any text of the event: escape it.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.change {
            Change::Created { process, .. } | Change::ProcessAssigned { process, .. } => process.clone(),
            Change::Paused { reason }
            | Change::Cancelled { reason }
            | Change::Closed { reason }
            | Change::Undone { reason } => reason.clone(),
            Change::Resumed | Change::Completed { .. } => String::new(),
            Change::Faulted { error } | Change::Failed { error } => error.clone(),
            Change::EffectRequested(request) => with(&request.step, &join(&[&request.kind, &request.label])),
            Change::EffectResolved { step, outcome, error, .. } => {
                let status = StepStatus::from(*outcome).as_str();
                with(step, &error.as_ref().map_or_else(|| status.to_owned(), |error| format!("{status}, {error}")))
            }
            Change::EffectProgress { step, note } => with(step, note),
            Change::EffectCancelled { step, reason }
            | Change::EffectAbandoned { step, reason }
            | Change::ApprovalRevoked { step, reason } => with(step, reason),
            Change::UsageRecorded { step, model, usage } => {
                let what = format!("{} tokens in, {} out", usage.input_tokens, usage.output_tokens);
                let by = join(&[step.as_deref().unwrap_or_default(), model.as_deref().unwrap_or_default()]);
                with(&by, &what)
            }
            Change::ValueRecorded { key, value, .. } => with(key, value.as_str()),
            Change::GateRequested { gate, .. } => gate.clone(),
            Change::GateFinished { gate, verdict, .. } => with(gate, &lower(verdict)),
            Change::GateRechecked { gate, verdict, drift } => with(gate, &join(&[&lower(verdict), drift])),
            Change::GateWaived { gate, .. } => gate.clone(),
            Change::ApprovalAsked(asked) => with(&asked.step, &join(&[&asked.prompt, &asked.policy.name])),
            Change::ApprovalVoted(vote) => {
                with(&vote.step, &join(&[&lower(&vote.choice), &vote.principal, &vote.reason]))
            }
            Change::ApprovalDecided { step, decision, reason } => with(step, &join(&[&lower(decision), reason])),
            Change::ApprovalConsumed { step, .. } => step.clone(),
            Change::ArtifactPut { name, len_bytes, .. } => with(name, &format!("{len_bytes} bytes")),
            Change::ArtifactDropped { name, reason } => with(name, reason),
            Change::BundleCompiled { name, .. } | Change::PolicyTrusted { name, .. } => name.clone(),
            Change::BundleTrusted { digest, .. } => digest.clone(),
            Change::HookFired { hook, .. } => hook.clone(),
            Change::HookDecided { hook, decision, reason } => with(hook, &join(&[decision, reason])),
            Change::Noted { label, message } => with(label, message),
            Change::Forked(forked) => format!("from {} at event {}", forked.parent, forked.at),
            Change::Rewound(rewound) => with(&format!("to event {}", rewound.to), &rewound.reason),
            Change::Unrecognized { event_type, why } => with(event_type, why),
        }
    }
}

fn with(name: &str, rest: &str) -> String {
    match (name.is_empty(), rest.is_empty()) {
        (false, false) => format!("{name}: {rest}"),
        _ => format!("{name}{rest}"),
    }
}

fn join(parts: &[&str]) -> String {
    let given: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    given.join(", ")
}

fn lower(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}
