//! The smaller things that a run keeps: values, artifacts, bundles, policies, its process.

use crate::run::content::Json;
use crate::run::event::ValueSource;
use crate::run::moment::{Moment, Rewindable, moment_back};
use serde::{Deserialize, Serialize};

/// A value that was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedValue {
    /// Where it came from.
    pub source: ValueSource,
    /// What it was.
    pub value: Json,
    /// When.
    pub at: Moment,
}

impl Rewindable for RecordedValue {
    fn go_back(&mut self, event: u64) -> bool {
        self.at.event <= event
    }
}

/// One content of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactVersion {
    /// The blob's digest.
    pub digest: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// When it was put.
    pub put: Moment,
    /// When it was dropped.
    pub dropped: Option<Moment>,
}

/// An artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What was put under its name, in order.
    pub versions: Vec<ArtifactVersion>,
}

impl Artifact {
    /// What it is now; `None` where it was dropped.
    #[must_use]
    pub fn current(&self) -> Option<&ArtifactVersion> {
        self.versions.last().filter(|version| version.dropped.is_none())
    }
}

impl Rewindable for Artifact {
    fn go_back(&mut self, event: u64) -> bool {
        self.versions.retain_mut(|version| {
            moment_back(&mut version.dropped, event);
            version.put.event <= event
        });
        !self.versions.is_empty()
    }
}

/// Who trusts something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Who, as far as the evidence goes.
    pub by: String,
    /// What proves it.
    pub evidence: String,
    /// When.
    pub at: Moment,
}

/// A bundle of plugins, under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name.
    pub name: String,
    /// When it was compiled.
    pub compiled: Moment,
    /// Who trusts it.
    pub trust: Option<Trust>,
}

impl Rewindable for Bundle {
    fn go_back(&mut self, event: u64) -> bool {
        self.trust.take_if(|trust| trust.at.event > event);
        self.compiled.event <= event
    }
}

/// A trusted policy, under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedPolicy {
    /// Its name.
    pub name: String,
    /// Who trusts it.
    pub trust: Trust,
}

impl Rewindable for TrustedPolicy {
    fn go_back(&mut self, event: u64) -> bool {
        self.trust.at.event <= event
    }
}

/// A process, as it was assigned to the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its definition's digest, `algorithm:hex`.
    pub digest: Option<String>,
    /// Since when.
    pub since: Moment,
}
