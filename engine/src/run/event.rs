//! The events of a run: schema v1.
//!
//! Everything inside a run is named by the key of its step and the attempt: `test`, `publish#2`, `fan/3/fetch`. Events
//! refer to each other by these names, and to positions by ordinals ([`crate::run::Moment`]); never by seq, so that a run
//! can be exported, forked and imported without rewriting a payload.

use crate::fold::{Event, Upcasts};
use crate::run::content::{Content, Json};
use crate::run::rewind::{Forked, Rewound, Undone};
use crate::run::text::Text;
use crate::run::usage::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An event of a run: who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Who, as far as the evidence goes: `key:SHA256:..`, `uid:1000`, `claimed:tal`, or what did it (`engine`).
    pub actor: Text,
    /// What.
    pub change: Change,
}

/// How often an action may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversibility {
    /// Nobody said: taken for the worst.
    #[default]
    Unstated,
    /// It changes nothing.
    Pure,
    /// Twice is as good as once.
    Idempotent,
    /// Another action can make up for it.
    Compensable,
    /// Done is done.
    Irreversible,
}

impl Reversibility {
    /// Whether a result may be taken over by another history.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        matches!(self, Reversibility::Pure | Reversibility::Idempotent)
    }
}

/// How an effect ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It failed.
    Error,
    /// It took too long.
    TimedOut,
    /// Whoever did it died: it may or may not have happened.
    Interrupted,
}

/// How a gate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// Whoever ran it died.
    Interrupted,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// For it.
    Approve,
    /// Against it.
    Reject,
}

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The step may start, once.
    Approved,
    /// It may not.
    Denied,
    /// Nobody decided in time, or nobody used it in time.
    Expired,
    /// Its subject changed, or its history was given up.
    Void,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// The clock.
    Time,
    /// Chance.
    Random,
    /// A made-up id.
    Uuid,
    /// The environment.
    Env,
    /// Whatever the process calls.
    Custom,
}

/// Who may decide, and how many it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// How many votes for it are needed; at least 1.
    pub need: u32,
    /// Who may vote; empty: anybody.
    pub eligible: BTreeSet<String>,
    /// Whether one vote against it denies it.
    pub veto: bool,
}

/// A request for something to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectRequest {
    /// The step's name.
    pub step: Text,
    /// The name that an imported run's source has for it: later events of the source use that one. A request of the same
    /// step under another one is the next attempt.
    pub source_id: Option<Text>,
    /// `command`, `task`, `timer`, `approval`, or what the source calls it.
    pub kind: Text,
    /// For people; may be empty.
    pub label: Text,
    /// The request in full.
    pub request: Content,
    /// Its digest, `algorithm:hex`.
    pub request_digest: Option<Text>,
    /// How often it may happen.
    pub reversibility: Reversibility,
    /// Digest of the subject whose approval is consumed by the event directly before, for what needs one.
    pub requires: Option<Text>,
    /// When a timer ends, in nanoseconds since 1970.
    pub due_ns: Option<i64>,
}

/// A question to people, and what it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// The name of the step that waits for it.
    pub step: Text,
    /// What would be done, in full.
    pub request: Content,
    /// Digest of the subject: what a vote is about.
    pub subject_digest: Text,
    /// Who decides.
    pub policy: Policy,
    /// For people; may be empty.
    pub prompt: String,
    /// When it expires, in nanoseconds since 1970.
    pub deadline_ns: Option<i64>,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The approval, by its step.
    pub step: Text,
    /// Who, as proven by the evidence.
    pub principal: String,
    /// For or against.
    pub choice: Choice,
    /// What the principal saw.
    pub subject_digest: Text,
    /// Why; may be empty.
    pub reason: String,
    /// What proves the principal: a signature, or nothing.
    pub evidence: String,
}

macro_rules! changes {
    ($($(#[$attribute:meta])* $variant:ident $(($payload:ty))? $({$($(#[$doc:meta])* $field:ident: $type:ty,)+})?,)+) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Change { $($(#[$attribute])* $variant $(($payload))? $({$($(#[$doc])* $field: $type,)+})?,)+ }

        impl Change {
            /// The variant's name, which filters know it by.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Change::$variant { .. } => stringify!($variant),)+ }
            }

            /// The names of all variants.
            pub const KINDS: &'static [&'static str] = &[$(stringify!($variant)),+];
        }
    };
}

changes! {
    /// The run began.
    Created {
        /// The process that is run.
        process: String,
        /// Its definition's digest, `algorithm:hex`.
        process_digest: Option<String>,
        /// What it was given.
        inputs: Content,
    },
    /// The run got another process, or another version of it.
    ProcessAssigned {
        /// The process; empty: the same.
        process: String,
        /// Its definition's digest, `algorithm:hex`.
        process_digest: Option<String>,
    },
    /// Nothing new begins until the run is resumed.
    Paused {
        /// Why; may be empty.
        reason: String,
    },
    /// The run goes on.
    Resumed,
    /// The process itself broke down: somebody has to look.
    Faulted {
        /// How.
        error: String,
    },
    /// The run ended well.
    Completed {
        /// What it led to.
        output: Content,
    },
    /// The run failed.
    Failed {
        /// Why.
        error: String,
    },
    /// The run was given up.
    Cancelled {
        /// Why; may be empty.
        reason: String,
    },
    /// The run was closed by an operator, whatever its state.
    Closed {
        /// Why.
        reason: String,
    },
    /// Something is to be done, and may start now.
    EffectRequested(EffectRequest),
    /// A hint of how far it is.
    EffectProgress {
        /// The step.
        step: Text,
        /// For people.
        note: String,
    },
    /// It was done, or it failed.
    EffectResolved {
        /// The step.
        step: Text,
        /// How it ended.
        outcome: Outcome,
        /// The result.
        result: Content,
        /// What went wrong.
        error: Option<Text>,
        /// What it cost.
        usage: Usage,
    },
    /// It is not to be done any more.
    EffectCancelled {
        /// The step.
        step: Text,
        /// Why; may be empty.
        reason: String,
    },
    /// Nobody waits for it any more.
    EffectAbandoned {
        /// The step.
        step: Text,
        /// Why; may be empty.
        reason: String,
    },
    /// Something was used.
    UsageRecorded {
        /// For which step.
        step: Option<Text>,
        /// By which model.
        model: Option<Text>,
        /// How much.
        usage: Usage,
    },
    /// Something that is not in the events was looked up: the only way nondeterminism enters.
    ValueRecorded {
        /// Its name.
        key: String,
        /// Where it came from.
        source: ValueSource,
        /// What it was.
        value: Json,
    },
    /// A check began.
    GateRequested {
        /// The gate's name.
        gate: String,
        /// What is run, and what is expected.
        spec: Content,
        /// Its digest.
        spec_digest: String,
        /// Digest of the manifest of its inputs.
        inputs_digest: Option<String>,
    },
    /// A check ended.
    GateFinished {
        /// The gate.
        gate: String,
        /// How.
        verdict: Verdict,
        /// What was seen.
        result: Content,
    },
    /// A hint: the check was run again beside the run.
    GateRechecked {
        /// The gate.
        gate: String,
        /// How it ended now.
        verdict: Verdict,
        /// What differs from the record; may be empty.
        drift: String,
    },
    /// A failed check is let pass. The approval for it is consumed by the event directly before.
    GateWaived {
        /// The gate.
        gate: String,
        /// Digest of the approval's subject.
        subject_digest: Text,
    },
    /// Somebody is asked.
    ApprovalAsked(ApprovalRequest),
    /// Somebody answered.
    ApprovalVoted(Vote),
    /// The votes, or the clock, decided.
    ApprovalDecided {
        /// The approval, by its step.
        step: Text,
        /// What became of it.
        decision: Decision,
        /// Why; may be empty.
        reason: String,
    },
    /// The approval was used: the next event is what it was for.
    ApprovalConsumed {
        /// The approval, by its step.
        step: Text,
        /// Digest of its subject.
        subject_digest: Text,
    },
    /// The approval was taken back before it was used.
    ApprovalRevoked {
        /// The approval, by its step.
        step: Text,
        /// Why; may be empty.
        reason: String,
    },
    /// Something was made; under the name of an older thing, it takes its place.
    ArtifactPut {
        /// Its name.
        name: String,
        /// The blob's digest.
        digest: String,
        /// Its length in bytes.
        len_bytes: u64,
    },
    /// It is not wanted any more.
    ArtifactDropped {
        /// Its name.
        name: String,
        /// Why; may be empty.
        reason: String,
    },
    /// A bundle of plugins was compiled.
    BundleCompiled {
        /// Its name.
        name: String,
        /// Its digest.
        digest: String,
    },
    /// Somebody trusts it.
    BundleTrusted {
        /// Its digest.
        digest: String,
        /// What proves it.
        evidence: String,
    },
    /// Somebody trusts a policy.
    PolicyTrusted {
        /// Its name.
        name: String,
        /// Its digest.
        digest: String,
        /// What proves it.
        evidence: String,
    },
    /// A hint: a hook ran.
    HookFired {
        /// The hook.
        hook: String,
        /// What it was told.
        input: Content,
    },
    /// A hook decided something.
    HookDecided {
        /// The hook.
        hook: String,
        /// `approve`, `block`, ...
        decision: String,
        /// Why; may be empty.
        reason: String,
    },
    /// A line of the process's own log.
    Noted {
        /// What it is about; may be empty.
        label: String,
        /// The line.
        message: String,
    },
    /// The run began as another run's history up to a position.
    Forked(Forked),
    /// The run went back to a position: what came behind it is not its history any more.
    Rewound(Rewound),
    /// The last close, or else the last rewind, was taken back.
    Undone(Undone),
    /// An event of an imported run that means nothing here.
    Unrecognized {
        /// What the source calls it.
        event_type: String,
        /// Why it means nothing.
        why: String,
    },
}

impl Change {
    /// Whether a fold may do without it.
    #[must_use]
    pub fn is_hint(&self) -> bool {
        matches!(self, Change::EffectProgress { .. } | Change::GateRechecked { .. } | Change::HookFired { .. })
    }

    /// The same as an event.
    #[must_use]
    pub fn by(self, actor: impl Into<Text>) -> RunEvent {
        RunEvent { actor: actor.into(), change: self }
    }
}

impl Event for RunEvent {
    const TYPE: &'static str = "run";
    const VERSION: u16 = 1;

    fn kind(&self) -> &'static str {
        self.change.kind()
    }

    fn is_hint(&self) -> bool {
        self.change.is_hint()
    }

    fn samples() -> Vec<RunEvent> {
        crate::run::samples::samples()
    }

    /// Each event of an imported run becomes exactly one event: positions count them, and must not move when the mapping
    /// gets better. The same holds for later versions of this schema.
    fn upcasts() -> Upcasts<RunEvent> {
        Upcasts::none().from_foreign(crate::import::babysitter::TYPE, 1, crate::run::babysitter::upcast)
    }
}
