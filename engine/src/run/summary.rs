//! Events in a few words.

use crate::run::event::{Change, RunEvent};
use crate::run::step::StepStatus;
use crate::run::text::Text;

impl RunEvent {
    /// The step, gate, approval, artifact or hook that it is about; empty for what is about the run as a whole. Of an
    /// imported event, the source's name for the step.
    #[must_use]
    pub fn subject(&self) -> &str {
        match &self.change {
            Change::EffectRequested(request) => &request.step,
            Change::EffectProgress { step, .. }
            | Change::EffectResolved { step, .. }
            | Change::EffectCancelled { step, .. }
            | Change::EffectAbandoned { step, .. }
            | Change::ApprovalDecided { step, .. }
            | Change::ApprovalConsumed { step, .. }
            | Change::ApprovalRevoked { step, .. } => step,
            Change::UsageRecorded { step, .. } => step.as_deref().unwrap_or_default(),
            Change::ValueRecorded { key, .. } => key,
            Change::GateRequested { gate, .. }
            | Change::GateFinished { gate, .. }
            | Change::GateRechecked { gate, .. }
            | Change::GateWaived { gate, .. } => gate,
            Change::ApprovalAsked(asked) => &asked.step,
            Change::ApprovalVoted(vote) => &vote.step,
            Change::ArtifactPut { name, .. }
            | Change::ArtifactDropped { name, .. }
            | Change::BundleCompiled { name, .. }
            | Change::PolicyTrusted { name, .. } => name,
            Change::BundleTrusted { digest, .. } => digest,
            Change::HookFired { hook, .. } | Change::HookDecided { hook, .. } => hook,
            Change::Noted { label, .. } => label,
            Change::Forked(forked) => &forked.parent,
            Change::Unrecognized { event_type, .. } => event_type,
            Change::Created { .. }
            | Change::ProcessAssigned { .. }
            | Change::Paused { .. }
            | Change::Resumed
            | Change::Faulted { .. }
            | Change::Completed { .. }
            | Change::Failed { .. }
            | Change::Cancelled { .. }
            | Change::Closed { .. }
            | Change::Rewound(_)
            | Change::Undone(_) => "",
        }
    }

    /// What happened, in a few words for people; kind and subject are not repeated. May be empty, and may hold any text of
    /// the event: escape it.
    #[must_use]
    pub fn summary(&self) -> Text {
        match &self.change {
            Change::Created { process, .. } | Change::ProcessAssigned { process, .. } => process.into(),
            Change::Paused { reason }
            | Change::Cancelled { reason }
            | Change::Closed { reason }
            | Change::EffectCancelled { reason, .. }
            | Change::EffectAbandoned { reason, .. }
            | Change::ApprovalRevoked { reason, .. }
            | Change::ArtifactDropped { reason, .. } => reason.into(),
            Change::Undone(undone) => (&undone.reason).into(),
            Change::Faulted { error } | Change::Failed { error } => error.into(),
            Change::EffectRequested(request) => join(&[&request.kind, &request.label]),
            Change::EffectResolved { outcome, error, .. } => {
                join(&[StepStatus::from(*outcome).as_str(), error.as_deref().unwrap_or_default()])
            }
            Change::EffectProgress { note, .. } => note.into(),
            Change::UsageRecorded { model, usage, .. } => {
                let tokens = format!("{} tokens in, {} out", usage.input_tokens, usage.output_tokens);
                join(&[model.as_deref().unwrap_or_default(), &tokens])
            }
            Change::ValueRecorded { value, .. } => value.as_str().into(),
            Change::GateFinished { verdict, .. } => lower(verdict).into(),
            Change::GateRechecked { verdict, drift, .. } => join(&[&lower(verdict), drift]),
            Change::ApprovalAsked(asked) => join(&[&asked.prompt, &asked.policy.name]),
            Change::ApprovalVoted(vote) => join(&[&lower(&vote.choice), &vote.principal, &vote.reason]),
            Change::ApprovalDecided { decision, reason, .. } => join(&[&lower(decision), reason]),
            Change::ArtifactPut { len_bytes, .. } => format!("{len_bytes} bytes").into(),
            Change::HookDecided { decision, reason, .. } => join(&[decision, reason]),
            Change::Noted { message, .. } => message.into(),
            Change::Forked(forked) => join(&[&format!("at event {}", forked.at), &forked.reason]),
            Change::Rewound(rewound) => join(&[&format!("to event {}", rewound.to), &rewound.reason]),
            Change::Unrecognized { why, .. } => why.into(),
            Change::Resumed
            | Change::Completed { .. }
            | Change::GateRequested { .. }
            | Change::GateWaived { .. }
            | Change::ApprovalConsumed { .. }
            | Change::BundleCompiled { .. }
            | Change::BundleTrusted { .. }
            | Change::PolicyTrusted { .. }
            | Change::HookFired { .. } => Text::default(),
        }
    }
}

fn join(parts: &[&str]) -> Text {
    let mut given = parts.iter().copied().filter(|part| !part.is_empty());
    let Some(first) = given.next() else { return Text::default() };
    let Some(second) = given.next() else { return first.into() };
    given.fold(format!("{first}, {second}"), |joined, part| joined + ", " + part).into()
}

fn lower(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use crate::run::samples::samples;

    #[test]
    fn events_are_told_in_a_line() {
        let line = |kind: &str| {
            let event = samples().into_iter().find(|event| event.change.kind() == kind).unwrap();
            format!("{} {}: {}", kind, event.subject(), event.summary())
        };
        assert_eq!(line("EffectRequested"), "EffectRequested publish#2: command, publish");
        assert_eq!(line("EffectResolved"), "EffectResolved publish#2: ok, exit 1");
        assert_eq!(line("ApprovalVoted"), "ApprovalVoted publish: approve, key:a, looks ok");
        assert_eq!(line("UsageRecorded"), "UsageRecorded publish#2: model-a, 1 tokens in, 2 out");
        assert_eq!(line("Rewound"), "Rewound : to event 3, again");
    }
}
