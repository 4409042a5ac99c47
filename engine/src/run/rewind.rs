//! Going back, and going another way.

use serde::{Deserialize, Serialize};

/// A run went back. What that means for work that was under way is part of the event: it is decided once, and not again
/// whenever the event is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// The last event that stays: its ordinal in the run, at least 1.
    pub to: u64,
    /// Gates behind the position whose results stay, since their spec and inputs are the same.
    pub kept: Vec<String>,
    /// Effects that were open at the position, and whose later results stay: pure or idempotent ones.
    pub grafted: Vec<String>,
    /// Effects that were open at the position and that nobody waits for any more.
    pub abandoned: Vec<String>,
    /// Approvals that were not consumed at the position: none of them is good any more.
    pub voided: Vec<String>,
    /// Effects behind the position that were done and have to be made up for, the last one first.
    pub compensations: Vec<String>,
    /// Why.
    pub reason: String,
    /// Digest of the plan that was applied.
    pub plan_digest: Option<String>,
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
