//! What is wrong with a run's history, as data.

use crate::run::moment::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The class of a [`Finding`]. A command that would lead to one is rejected before anything is appended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Problem { $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+ }

        impl Problem {
            /// Every class, in the order of the declaration.
            pub const ALL: &'static [Problem] = &[$(Problem::$variant),+];

            /// Its stable name, for reports and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Problem::$variant => $name),+ }
            }
        }
    };
}

problems! {
    /// The run was not created before this event. The event counts all the same.
    NotCreated => "not-created",
    /// The run had been created before.
    CreatedTwice => "created-twice",
    /// The run had ended.
    RunEnded => "run-ended",
    /// The run was paused: nothing new begins.
    RunPaused => "run-paused",
    /// The run was not paused.
    NotPaused => "not-paused",
    /// A name of no bytes, or one that a step of this schema can not have.
    BadName => "bad-name",
    /// The step, gate, approval or value was there already.
    NameTaken => "name-taken",
    /// The attempt before it is still open.
    AttemptOpen => "attempt-open",
    /// It was never requested in this history.
    NeverRequested => "never-requested",
    /// It had ended before: a request has one end.
    EndedBefore => "ended-before",
    /// The step needs an approval, and none of equal subject was consumed for it directly before.
    NotApproved => "not-approved",
    /// The approval is still being decided, so its step may not start.
    ApprovalOpen => "approval-open",
    /// The approval is not open any more.
    ApprovalClosed => "approval-closed",
    /// The subject's digest is another one than what was asked.
    SubjectDiffers => "subject-differs",
    /// The principal has voted before: one vote counts.
    VotedTwice => "voted-twice",
    /// The principal is none of those whom the policy names.
    NotEligible => "not-eligible",
    /// There are fewer votes than the policy needs, or one that forbids it.
    VotesMissing => "votes-missing",
    /// The subject was consumed before: an approval is good for one use.
    ConsumedBefore => "consumed-before",
    /// Only a failed gate can be waived.
    GateNotFailed => "gate-not-failed",
    /// There is no such artifact.
    NoSuchArtifact => "no-such-artifact",
    /// The bundle was not compiled in this history.
    NotCompiled => "not-compiled",
    /// The position is not in the run's lineage, or is its end.
    NotInLineage => "not-in-lineage",
    /// What the rewind or fork says it grafts, abandons, voids or keeps is not what there is.
    PlanDiffers => "plan-differs",
    /// There is neither a close nor a rewind to undo.
    NothingToUndo => "nothing-to-undo",
    /// A fork is the first event of a run, and its parent's events come before.
    ForkedLate => "forked-late",
    /// The events of the parent, up to the fork, are not there.
    PrefixMissing => "prefix-missing",
    /// An imported event whose type or fields mean nothing here.
    Unrecognized => "unrecognized",
    /// The import has noted something odd about the source.
    Oddity => "oddity",
    /// A file of the source says otherwise than its journal.
    SourceDisagrees => "source-disagrees",
    /// Events of the run are missing: its state lacks what they did.
    EventsMissing => "events-missing",
    /// An event of the run can not be read: its state ends before it.
    Unreadable => "unreadable",
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An event that should not be there, or something else that is wrong with a run. Never fatal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The class.
    pub problem: Problem,
    /// The event; `None` for what no event of the run schema is about.
    pub at: Option<Moment>,
    /// The step, gate, approval or file that it is about; may be empty.
    pub subject: String,
    /// The particulars, in words.
    pub detail: String,
}

impl Finding {
    /// Most findings that a state lists; all of them are counted.
    pub const MOST_LISTED: usize = 256;
    /// Longest subject and longest detail, in bytes: what is cut off was hostile.
    const MOST_LEN_BYTES: usize = 300;

    /// A finding; long texts are cut.
    pub(super) fn new(problem: Problem, at: Option<Moment>, subject: &str, detail: impl AsRef<str>) -> Finding {
        Finding { problem, at, subject: cut(subject), detail: cut(detail.as_ref()) }
    }
}

fn cut(text: &str) -> String {
    let end = (0..=Finding::MOST_LEN_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.problem)?;
        if !self.subject.is_empty() {
            write!(formatter, " {:?}", self.subject)?;
        }
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail)?;
        }
        match self.at {
            Some(at) => write!(formatter, " (event {})", at.event),
            None => Ok(()),
        }
    }
}
