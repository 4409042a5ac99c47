//! Where a run is in its life.

use crate::run::content::Content;
use crate::run::moment::{Moment, Rewindable};
use crate::run::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has a name and no event of this schema.
    #[default]
    Opened,
    /// It was created, and nothing has happened since.
    Created,
    /// It is the run's turn.
    Running,
    /// It is somebody else's turn.
    Waiting,
    /// Nothing new begins.
    Paused,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// It was given up.
    Cancelled,
    /// An operator closed it.
    Closed,
}

impl Status {
    /// Whether only a rewind, or an undo, leads out of it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled | Status::Closed)
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Opened => "opened",
            Status::Created => "created",
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Paused => "paused",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
            Status::Closed => "closed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What was decided about the run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It goes on.
    Active,
    /// Nothing new begins.
    Paused {
        /// Why; may be empty.
        reason: String,
    },
    /// It ended well.
    Completed {
        /// What it led to.
        output: Content,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// It was given up.
    Cancelled {
        /// Why; may be empty.
        reason: String,
    },
    /// An operator closed it.
    Closed {
        /// Why.
        reason: String,
    },
}

/// A change of the phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When.
    pub at: Moment,
    /// To what.
    pub phase: Phase,
}

/// A breakdown of the process itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Moment,
    /// How.
    pub error: String,
    /// When something went on all the same.
    pub overcome: Option<Moment>,
}

impl Rewindable for Fault {
    fn go_back(&mut self, event: u64) -> bool {
        super::moment::moment_back(&mut self.overcome, event);
        self.at.event <= event
    }
}

/// Whose turn it is, by what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// People who decide.
    Approval,
    /// Somebody who does something.
    Task,
    /// The clock.
    Timer,
    /// Somebody who looks at a process that broke down.
    Operator,
}

impl WaitKind {
    /// What a run waits for that has requested an effect of this kind; `None` for what its own engine does.
    #[must_use]
    pub fn of_effect(kind: &str) -> Option<WaitKind> {
        WaitKind::of_effect_bytes(kind.as_bytes())
    }

    /// The same, for a text that need not be proven to be one.
    pub(super) fn of_effect_bytes(kind: &[u8]) -> Option<WaitKind> {
        match kind {
            b"command" => None,
            b"approval" | b"breakpoint" => Some(WaitKind::Approval),
            b"timer" | b"sleep" => Some(WaitKind::Timer),
            _ => Some(WaitKind::Task),
        }
    }

    /// Its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            WaitKind::Approval => "approval",
            WaitKind::Task => "task",
            WaitKind::Timer => "timer",
            WaitKind::Operator => "operator",
        }
    }
}

impl fmt::Display for WaitKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The names of what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Steps that people decide about.
    pub approval: BTreeSet<Text>,
    /// Steps that somebody else does.
    pub task: BTreeSet<Text>,
    /// Steps that the clock ends.
    pub timer: BTreeSet<Text>,
}

impl Waiting {
    /// Whether nothing is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.approval.is_empty() && self.task.is_empty() && self.timer.is_empty()
    }

    fn set(&mut self, kind: WaitKind) -> Option<&mut BTreeSet<Text>> {
        match kind {
            WaitKind::Approval => Some(&mut self.approval),
            WaitKind::Task => Some(&mut self.task),
            WaitKind::Timer => Some(&mut self.timer),
            WaitKind::Operator => None,
        }
    }

    pub(super) fn begin(&mut self, kind: Option<WaitKind>, name: &Text) {
        if let Some(set) = kind.and_then(|kind| self.set(kind)) {
            set.insert(name.clone());
        }
    }

    pub(super) fn end(&mut self, kind: Option<WaitKind>, name: &Text) {
        if let Some(set) = kind.and_then(|kind| self.set(kind)) {
            set.remove(name);
        }
    }
}
