//! Going back, and going another way.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A run went back. What that means for work that was under way is part of the event: it is decided once, and not again
/// whenever the event is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// The last event that stays: its ordinal in the run, at least 1.
    pub to: u64,
    /// Gates behind the position whose results stay, since their spec and inputs are the same.
    pub kept: Vec<String>,
    /// Effects that were open at the position and whose later results stay because an operator said so: what was requested
    /// in the history that is left was done, whether it could be done again or not.
    pub kept_effects: Vec<String>,
    /// Values that were looked up behind the position and stay.
    pub kept_values: Vec<String>,
    /// Effects that were open at the position, and whose later results stay: pure or idempotent ones.
    pub grafted: Vec<String>,
    /// Effects that were open at the position and that nobody waits for any more.
    pub abandoned: Vec<String>,
    /// Approvals that were not consumed at the position: none of them is good any more.
    pub voided: Vec<String>,
    /// Effects behind the position that were done, or may have been, and have to be made up for, the last one first.
    pub compensations: Vec<String>,
    /// Effects that were done behind the position, or may have been, and that nothing makes up for: all of them, by name.
    pub acknowledged: Vec<String>,
    /// Why.
    pub reason: String,
    /// Digest of the plan that was applied.
    pub plan_digest: Option<String>,
}

impl Rewound {
    /// Effects that were open at the position and whose later results stay.
    #[must_use]
    pub fn taken_over(&self) -> BTreeSet<String> {
        self.grafted.iter().chain(&self.kept_effects).cloned().collect()
    }
}

/// A run began where another one was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forked {
    /// The other run, by name.
    pub parent: String,
    /// The last event of its history that is this run's as well: its ordinal in the parent.
    pub at: u64,
    /// As in [`Rewound::grafted`].
    pub grafted: Vec<String>,
    /// As in [`Rewound::abandoned`].
    pub abandoned: Vec<String>,
    /// As in [`Rewound::voided`]; in the parent they stay as they are.
    pub voided: Vec<String>,
    /// Why; may be empty.
    pub reason: String,
}

/// The last close, or else the last rewind that was not taken back, was taken back: and with the rewind, what came behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// As in [`Rewound::compensations`], of what came behind the rewind; none for a close.
    pub compensations: Vec<String>,
    /// As in [`Rewound::acknowledged`].
    pub acknowledged: Vec<String>,
    /// Why; may be empty.
    pub reason: String,
    /// Digest of the plan that was applied.
    pub plan_digest: Option<String>,
}
