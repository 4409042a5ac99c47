//! What a rewind, or a fork, to a position has to say.

use crate::run::gate::Gate;
use crate::run::judge_lineage::{can_be_grafted, compensations, irreversible, open_at, pending_at};
use crate::run::rewind::{Forked, Rewound, Undone};
use crate::run::state::RunState;
use crate::run::step::Step;
use std::collections::BTreeSet;

/// Results behind a position that stay, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of gates.
    pub gates: BTreeSet<String>,
    /// Of effects that were open at the position.
    pub effects: BTreeSet<String>,
    /// Values that were looked up.
    pub values: BTreeSet<String>,
}

/// Work that was under way at a position, by what becomes of it.
struct UnderWay {
    grafted: Vec<String>,
    abandoned: Vec<String>,
}

impl RunState {
    /// A rewind to a position of the lineage, as legal as the position is: results that may be kept are, and nothing else.
    /// Gates behind the position run again: keeping their results ([`Rewound::kept`]) takes a look at their inputs.
    #[must_use]
    pub fn plan_rewind(&self, to: u64) -> Rewound {
        self.plan_rewind_keeping(to, &Kept::default())
    }

    /// The same, with results that stay because somebody says so. Whoever appends it acknowledges what it names as done for
    /// good ([`Rewound::acknowledged`]).
    #[must_use]
    pub fn plan_rewind_keeping(&self, to: u64, kept: &Kept) -> Rewound {
        let UnderWay { grafted, mut abandoned } = self.under_way(to);
        let mut kept_effects: Vec<String> = kept.effects.iter().cloned().collect();
        kept_effects.retain(|name| !grafted.contains(name));
        abandoned.retain(|name| !kept_effects.contains(name));
        let mut rewound = Rewound {
            to,
            kept: kept.gates.iter().cloned().collect(),
            kept_effects,
            kept_values: kept.values.iter().cloned().collect(),
            grafted,
            abandoned,
            voided: self.voided(to),
            ..Rewound::default()
        };
        let taken_over = rewound.taken_over();
        rewound.compensations = compensations(self, to, &taken_over);
        rewound.acknowledged = irreversible(self, to, &taken_over);
        rewound
    }

    /// Taking back the last close, or else the last rewind; `None` where there is neither.
    #[must_use]
    pub fn plan_undo(&self) -> Option<Undone> {
        if self.is_closed_last() {
            return Some(Undone::default());
        }
        let at = self.rewind_to_undo()?.at.event;
        let none = BTreeSet::new();
        let (compensations, acknowledged) = (compensations(self, at, &none), irreversible(self, at, &none));
        Some(Undone { compensations, acknowledged, ..Undone::default() })
    }

    /// A fork of the run of this state and name at a position of its lineage.
    #[must_use]
    pub fn plan_fork(&self, name: &str, at: u64) -> Forked {
        let UnderWay { grafted, mut abandoned } = self.under_way(at);
        // Whoever does what is still open does it for the parent.
        let open = open_at(self, at).filter(|(_, step)| step.is_open()).map(|(name, _)| name.to_owned());
        abandoned.extend(open);
        abandoned.sort();
        Forked { parent: name.to_owned(), at, grafted, abandoned, voided: self.voided(at), reason: String::new() }
    }

    /// The gates whose results lie behind a position: a rewind to it may keep them, if spec and inputs are the same.
    pub fn gates_behind(&self, position: u64) -> impl Iterator<Item = (&str, &Gate)> {
        let is_behind = move |gate: &Gate| gate.finished.is_some_and(|finished| finished.event > position);
        self.gates.iter().filter(move |(_, gate)| is_behind(gate)).map(|(name, gate)| (name.as_str(), gate))
    }

    fn voided(&self, position: u64) -> Vec<String> {
        pending_at(self, position).into_iter().map(str::to_owned).collect()
    }

    fn under_way(&self, position: u64) -> UnderWay {
        let ended = open_at(self, position).filter(|(_, step)| !step.is_open());
        let (grafted, abandoned): (Vec<_>, Vec<_>) = ended.partition(|(_, step)| can_be_grafted(step));
        let names = |steps: Vec<(&str, &Step)>| steps.into_iter().map(|(name, _)| name.to_owned()).collect();
        UnderWay { grafted: names(grafted), abandoned: names(abandoned) }
    }
}
