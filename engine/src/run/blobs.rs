//! The blobs that an event of a run names.

use crate::run::content::Content;
use crate::run::event::Change;

impl Change {
    /// The digests of the blobs that the event names, each with what it is to the event.
    #[must_use]
    pub fn blobs(&self) -> Vec<(&'static str, &str)> {
        let (what, content) = match self {
            Change::ArtifactPut { digest, .. } => return vec![("artifact", digest)],
            Change::Created { inputs, .. } => ("inputs", inputs),
            Change::Completed { output } => ("output", output),
            Change::EffectRequested(request) => ("request", &request.request),
            Change::EffectResolved { result, .. } | Change::GateFinished { result, .. } => ("result", result),
            Change::GateRequested { spec, .. } => ("spec", spec),
            Change::ApprovalAsked(asked) => ("request", &asked.request),
            Change::HookFired { input, .. } => ("input", input),
            // Named one by one, so that a new event with a content has to say here whether it names a blob.
            Change::ProcessAssigned { .. }
            | Change::Paused { .. }
            | Change::Resumed
            | Change::Faulted { .. }
            | Change::Failed { .. }
            | Change::Cancelled { .. }
            | Change::Closed { .. }
            | Change::EffectProgress { .. }
            | Change::EffectCancelled { .. }
            | Change::EffectAbandoned { .. }
            | Change::UsageRecorded { .. }
            | Change::ValueRecorded { .. }
            | Change::GateRechecked { .. }
            | Change::GateWaived { .. }
            | Change::ApprovalVoted(_)
            | Change::ApprovalDecided { .. }
            | Change::ApprovalConsumed { .. }
            | Change::ApprovalRevoked { .. }
            | Change::ArtifactDropped { .. }
            | Change::BundleCompiled { .. }
            | Change::BundleTrusted { .. }
            | Change::PolicyTrusted { .. }
            | Change::HookDecided { .. }
            | Change::Noted { .. }
            | Change::Forked(_)
            | Change::Rewound(_)
            | Change::Undone { .. }
            | Change::Unrecognized { .. } => return Vec::new(),
        };
        match content {
            Content::Blob { digest, .. } => vec![(what, digest)],
            Content::None | Content::Inline(_) | Content::File(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::RunEvent;
    use crate::run::samples::samples;

    /// A `Content` that is added to a variant and forgotten here would be a blob that no verification looks at. The samples
    /// have every variant, so whatever of them is shown as a blob has to be found.
    #[test]
    fn every_blob_of_the_samples_is_found() {
        let mut seen = 0;
        for RunEvent { change, .. } in samples() {
            let shown = serde_json::to_string(&change).expect("JSON");
            let named =
                shown.matches("{\"blob\":\"").count() + usize::from(matches!(change, Change::ArtifactPut { .. }));
            assert_eq!(change.blobs().len(), named, "{shown}");
            seen += named;
        }
        assert!(seen > 1, "the samples name blobs");
    }
}
