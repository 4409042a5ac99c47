//! Gates: checks that the engine runs.

use crate::run::content::Content;
use crate::run::event::Verdict;
use crate::run::moment::{Moment, Rewindable, moment_back};
use serde::{Deserialize, Serialize};

/// How far a gate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// It runs.
    Requested,
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// Whoever ran it died, or its run was rewound meanwhile.
    Interrupted,
    /// Not as expected, and let pass by an approval.
    Waived,
}

impl From<Verdict> for GateStatus {
    fn from(verdict: Verdict) -> GateStatus {
        match verdict {
            Verdict::Passed => GateStatus::Passed,
            Verdict::Failed => GateStatus::Failed,
            Verdict::Interrupted => GateStatus::Interrupted,
        }
    }
}

/// One attempt of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// How far it is.
    pub status: GateStatus,
    /// What is run, and what is expected.
    pub spec: Content,
    /// Its digest.
    pub spec_digest: String,
    /// Digest of the manifest of its inputs.
    pub inputs_digest: Option<String>,
    /// When it began.
    pub requested: Moment,
    /// When it ended.
    pub finished: Option<Moment>,
    /// How it ended.
    pub verdict: Option<Verdict>,
    /// How long it took by the log's clock, in milliseconds; `None` as in [`crate::run::Step::ms`].
    pub ms: Option<u64>,
    /// What was seen.
    pub result: Content,
    /// When it was let pass.
    pub waived: Option<Moment>,
}

impl Gate {
    pub(super) fn finish(&mut self, at: Moment, verdict: Verdict, result: Content) {
        self.status = verdict.into();
        (self.verdict, self.finished, self.ms) = (Some(verdict), Some(at), at.ms_since(self.requested));
        self.result = result;
    }
}

impl Rewindable for Gate {
    fn go_back(&mut self, event: u64) -> bool {
        moment_back(&mut self.waived, event);
        if moment_back(&mut self.finished, event) {
            (self.verdict, self.ms, self.result) = (None, None, Content::None);
        }
        self.status = match (self.waived, self.verdict) {
            (Some(_), _) => GateStatus::Waived,
            (None, Some(verdict)) => verdict.into(),
            (None, None) => GateStatus::Requested,
        };
        self.requested.event <= event
    }
}
