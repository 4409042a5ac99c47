//! What a rewind, or a fork, to a position has to say.

use crate::run::event::Reversibility;
use crate::run::gate::Gate;
use crate::run::judge_lineage::{can_be_grafted, open_at, pending_at};
use crate::run::rewind::{Forked, Rewound};
use crate::run::state::RunState;
use crate::run::step::Step;

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
        let UnderWay { grafted, abandoned } = self.under_way(to);
        let is_due = |step: &Step| {
            let is_behind = step.ended.is_some_and(|ended| ended.event > to);
            is_behind && step.reversibility == Reversibility::Compensable
        };
        let mut due: Vec<(&String, &Box<Step>)> = self.steps.iter().filter(|(_, step)| is_due(step)).collect();
        due.sort_by_key(|(_, step)| std::cmp::Reverse(step.ended));
        Rewound {
            to,
            grafted,
            abandoned,
            voided: self.voided(to),
            compensations: due.into_iter().map(|(name, _)| name.clone()).collect(),
            ..Rewound::default()
        }
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
