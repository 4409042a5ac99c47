//! Rewinds, undos and forks, as changes of the state.
//!
//! Every entry of a state remembers the events that made and changed it, so going back to a position is a cut, and needs
//! nothing but the state. `docs/design.md` says why it is done here, and not by leaving events out while reading.

use crate::run::approval::ApprovalTurn;
use crate::run::event::Verdict;
use crate::run::judge_lineage::pending_at;
use crate::run::moment::Moment;
use crate::run::rewind::{Forked, Rewound};
use crate::run::state::{Parent, RewindMade, RunState, Stretch};
use crate::run::status::{Phase, Turn};
use crate::run::step::{StepEnd, StepStatus};
use crate::run::{ApprovalStatus, Content};

impl RunState {
    pub(super) fn rewind(&mut self, at: Moment, by: &str, rewound: &Rewound) {
        let taken = self.taken_behind(rewound.to);
        self.go_back(rewound.to);
        self.graft(&taken, &rewound.grafted);
        self.graft(&taken, &rewound.kept_effects);
        self.abandon(at, &rewound.abandoned);
        self.void(at, by, "rewound");
        // Nobody waits for a check that was running: it runs again, unless its result is kept.
        let running: Vec<String> =
            self.gates.iter().filter(|(_, gate)| gate.verdict.is_none()).map(|(name, _)| name.clone()).collect();
        for name in running {
            if let Some(gate) = self.gates.get_mut(&name) {
                gate.finish(at, Verdict::Interrupted, Content::None);
            }
        }
        for name in &rewound.kept {
            if let Some(gate) = taken.gates.get(name) {
                self.gates.insert(name.clone(), gate.clone());
            }
        }
        for key in &rewound.kept_values {
            if let Some(value) = taken.values.get(key) {
                self.values.insert(key.clone(), value.clone());
            }
        }
        self.give_up_events(rewound.to, at.event);
        self.rewinds.push(RewindMade {
            at,
            to: rewound.to,
            by: by.to_owned(),
            reason: rewound.reason.clone(),
            compensations: rewound.compensations.clone(),
            undone: None,
        });
        self.taken.push(taken);
        self.wait_again();
    }

    /// Takes back the last close; where there is none, the last rewind, and with it what came behind.
    pub(super) fn undo(&mut self, at: Moment) {
        if self.is_closed_last() {
            let before = self.turns.iter().rev().nth(1).map_or(Phase::Active, |turn| turn.phase.clone());
            self.turns.push(Turn { at, phase: before });
            return;
        }
        let Some(place) = self.rewinds.iter().rposition(|rewind| rewind.undone.is_none()) else { return };
        let (first, to) = (self.rewinds[place].at.event, self.rewinds[place].to);
        let Some(taken) = self.taken.pop() else { return };
        self.rewinds[place].undone = Some(at);
        // Whatever came behind the rewind, and the rewind itself, lies behind the position that it went back to.
        self.go_back(to);
        self.put_back(taken);
        self.give_up_events(first - 1, at.event);
        self.wait_again();
    }

    /// The last rewind that was not taken back.
    pub(super) fn rewind_to_undo(&self) -> Option<&RewindMade> {
        self.rewinds.iter().rfind(|rewind| rewind.undone.is_none()).filter(|_| !self.taken.is_empty())
    }

    /// Whether the run is closed, and was not rewound to that since.
    pub(super) fn is_closed_last(&self) -> bool {
        let rewound = self.rewind_to_undo();
        let last = self.turns.last().filter(|turn| matches!(turn.phase, Phase::Closed { .. }));
        last.is_some_and(|closed| rewound.is_none_or(|rewound| rewound.at.event < closed.at.event))
    }

    /// The state that a fork begins with: the parent's at the position. `None` where the position is not in its lineage.
    pub(super) fn inherited(&self, forked: &Forked) -> Option<RunState> {
        if !self.is_in_lineage(forked.at) {
            return None;
        }
        let mut state = self.effective();
        state.go_back(forked.at);
        state.graft(self, &forked.grafted);
        for name in &forked.grafted {
            // In the fork, it ended when the fork began: the parent's later ordinals are other events here.
            if let Some(ended) = state.steps.get_mut(name.as_str()).and_then(|step| step.ended.as_mut()) {
                ended.event = forked.at + 1;
            }
        }
        state.consumed = self.consumed.clone();
        state.events = forked.at;
        state.wait_again();
        state.settle();
        Some(state)
    }

    pub(super) fn fork(&mut self, at: Moment, by: &str, forked: &Forked) {
        self.parent = Some(Parent { run: forked.parent.clone(), at: forked.at });
        self.abandon(at, &forked.abandoned);
        self.void(at, by, "forked");
        self.wait_again();
    }

    /// Takes over how effects ended on another history.
    fn graft(&mut self, other: &RunState, names: &[String]) {
        for name in names {
            let name = name.as_str();
            let (Some(step), Some(other)) = (self.steps.get_mut(name), other.steps.get(name)) else { continue };
            if let Some(ended) = other.ended.filter(|_| step.is_open()) {
                let end = StepEnd { status: other.status, result: other.result.clone(), error: other.error.clone() };
                step.end(ended, end);
            }
        }
    }

    fn abandon(&mut self, at: Moment, names: &[String]) {
        for name in names {
            if let Some(step) = self.steps.get_mut(name.as_str()) {
                step.end(at, StepEnd { status: StepStatus::Abandoned, result: Content::None, error: None });
            }
        }
    }

    /// No approval that was not used outlives the history that it was given for.
    fn void(&mut self, at: Moment, by: &str, reason: &str) {
        let pending: Vec<String> = pending_at(self, u64::MAX).into_iter().map(str::to_owned).collect();
        for name in pending {
            if let Some(approval) = self.approvals.get_mut(name.as_str()) {
                approval.turn(ApprovalTurn {
                    at,
                    status: ApprovalStatus::Void,
                    by: by.to_owned(),
                    reason: reason.to_owned(),
                });
            }
        }
    }

    /// Takes the events behind one and before another out of the lineage.
    fn give_up_events(&mut self, behind: u64, before: u64) {
        self.abandoned.retain(|stretch| stretch.last <= behind);
        if before - behind > 1 {
            self.abandoned.push(Stretch { first: behind + 1, last: before - 1 });
        }
    }
}
