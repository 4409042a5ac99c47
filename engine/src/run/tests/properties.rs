//! Invariants over any history, legal and illegal: I1, I2, I3, I5, I7, I8, I9, I11, and that a cut is a fold of the lineage.

use super::*;
use crate::fold::Decide;
use crate::run::{Rewound, RunCommand, RunEvent, StepStatus};
use crate::testkit::{any_chunking, replay_twice};
use proptest::prelude::*;

/// What is tried next, in small numbers: names, subjects and positions are few, so that they meet often.
type Draw = (u8, u8, u8, u8);

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>()), 1..70)
}

fn pick<T: Clone>(list: &[T], at: u8) -> T {
    list[usize::from(at) % list.len()].clone()
}

const REVERSIBILITIES: [Reversibility; 5] = [
    Reversibility::Unstated,
    Reversibility::Pure,
    Reversibility::Idempotent,
    Reversibility::Compensable,
    Reversibility::Irreversible,
];

/// A change that may be legal in this state, or not.
fn draw(state: &RunState, (what, name, kind, more): Draw) -> Change {
    let step = pick(&["a", "b", "c", "a#2", "b#2", ""], name);
    let subject = pick(&["s1", "s2", "s3", "s4"], more);
    let asked_step = state.approvals.keys().nth(usize::from(name) % state.approvals.len().max(1)).cloned();
    let asked_step = asked_step.unwrap_or_else(|| step.into());
    let own_subject = state.approvals.get(&asked_step).map_or(subject, |approval| approval.subject_digest.as_str());
    let subject = if kind.is_multiple_of(8) { subject } else { own_subject };
    let reversibility = pick(&REVERSIBILITIES, more);
    let position = u64::from(more) % (state.events + 2);
    match what % 32 {
        0..4 => requested(step, pick(&["task", "command", "timer", "approval"], kind), reversibility),
        4..8 => resolved(step, pick(&[Outcome::Ok, Outcome::Error, Outcome::TimedOut, Outcome::Interrupted], kind)),
        8 => Change::EffectCancelled { step: step.into(), reason: "no".into() },
        9 => Change::EffectAbandoned { step: step.into(), reason: String::new() },
        10 | 11 => asked(step, pick(&["s1", "s2", "s3", "s4"], more), u32::from(kind % 3)),
        12..15 => voted(
            &asked_step,
            subject,
            pick(&["key:a", "key:b"], more),
            pick(&[Choice::Approve, Choice::Approve, Choice::Reject], kind),
        ),
        15 | 16 => {
            let decision = pick(
                &[Decision::Approved, Decision::Approved, Decision::Denied, Decision::Expired, Decision::Void],
                more,
            );
            decided(&asked_step, decision)
        }
        17 => consumed(&asked_step, subject),
        18 => match &state.consuming {
            Some(used) => requires(step, &used.clone()),
            None => requires(step, subject),
        },
        19 => revoked(&asked_step),
        20 => gate(pick(&["g", "h", "g#2"], name)),
        21 => finished(
            pick(&["g", "h", "g#2"], name),
            pick(&[Verdict::Passed, Verdict::Failed, Verdict::Interrupted], kind),
        ),
        22 => waived(pick(&["g", "h"], name), state.consuming.as_deref().unwrap_or(subject)),
        23..26 => Change::Rewound(state.plan_rewind(position)),
        26 => Change::Rewound(Rewound { to: position, grafted: vec![step.into()], ..Rewound::default() }),
        27 => Change::Undone(state.plan_undo().unwrap_or_default()),
        28 => pick(&[Change::Paused { reason: String::new() }, Change::Resumed], kind),
        29 => Change::Faulted { error: "bad".into() },
        30 => pick(
            &[
                Change::Completed { output: Content::None },
                Change::Failed { error: "bad".into() },
                Change::Closed { reason: "over".into() },
                created(),
            ],
            kind,
        ),
        _ => pick(
            &[
                Change::ArtifactPut { name: "app".into(), digest: "d".into(), len_bytes: 1 },
                Change::ArtifactDropped { name: "app".into(), reason: String::new() },
                Change::ProcessAssigned { process: String::new(), process_digest: None },
                Change::Unrecognized { event_type: "X".into(), why: String::new() },
            ],
            kind,
        ),
    }
}

/// A history, with the state behind every event of it.
struct History {
    changes: Vec<Change>,
    states: Vec<RunState>,
}

impl History {
    /// Everything that is drawn, or only what is legal. Nine of ten are created first.
    fn of(draws: &[Draw], is_legal: bool) -> History {
        let mut history = History { changes: Vec::new(), states: vec![RunState::default()] };
        if is_legal || !draws[0].0.is_multiple_of(10) {
            history.add(created());
        }
        for drawn in draws {
            let change = draw(history.last(), *drawn);
            let decided = Runs::decide(history.last(), RunCommand::one("uid:1000", change.clone()));
            if decided.is_ok() || !is_legal {
                history.add(change);
            }
        }
        history
    }

    fn last(&self) -> &RunState {
        self.states.last().expect("the empty state at least")
    }

    fn add(&mut self, change: Change) {
        self.states.push(after(self.last(), change.clone()));
        self.changes.push(change);
    }

    fn events(&self) -> Vec<RunEvent> {
        self.changes.iter().map(|change| change.clone().by("uid:1000")).collect()
    }
}

/// What of a state is the same whichever way a history was reached.
fn lineage_of(state: &RunState) -> RunState {
    RunState { abandoned: Vec::new(), status: crate::run::Status::Opened, ..state.effective() }
}

/// How many histories each property is tried on.
const CASES: u32 = 256;

#[test]
fn rewinds_and_their_undos_are_nothing() {
    crate::lab_result::tell("rewind-undo-identity", &["P3"], || {
        a_rewind_gives_the_state_that_was_there_and_an_undo_gives_back_what_it_took();
        undos_give_back_rewind_by_rewind_what_each_took();
        (2 * u64::from(CASES), Vec::new())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn what_is_decided_is_never_a_finding_and_what_is_rejected_always_is(draws in draws()) {
        let history = History::of(&draws, false);
        for (state, change) in history.states.iter().zip(&history.changes) {
            let next = after(state, change.clone());
            let decided = Runs::decide(state, RunCommand::one("uid:1000", change.clone()));
            prop_assert_eq!(decided.is_ok(), next.finding_count == state.finding_count, "{:?} {:?}", change, decided);
        }
        let legal = History::of(&draws, true);
        prop_assert_eq!(&legal.last().findings, &[]);
    }

    #[test]
    fn every_end_has_its_request_and_every_guarded_start_its_approval(draws in draws()) {
        for is_legal in [true, false] {
            let history = History::of(&draws, is_legal);
            let state = history.last();
            for (name, step) in &state.steps {
                prop_assert_eq!(step.is_open(), step.ended.is_none());
                prop_assert!(step.ended.is_none_or(|ended| ended > step.requested));
                prop_assert!(state.is_in_lineage(step.requested.event), "{}", name);
                let grafted = step.reversibility.is_repeatable();
                prop_assert!(step.ended.is_none_or(|ended| grafted || state.is_in_lineage(ended.event)), "{}", name);
                if let Some(subject) = &step.requires {
                    prop_assert!(state.consumed.contains(subject));
                    let place = usize::try_from(step.requested.event).unwrap();
                    let is_use = |change: &Change| matches!(change, Change::ApprovalConsumed { subject_digest, .. } if subject_digest == subject);
                    prop_assert!(is_use(&history.changes[place - 2]));
                }
            }
            for approval in state.approvals.values() {
                let is_used = approval.status == crate::run::ApprovalStatus::Consumed;
                prop_assert!(!is_used || state.consumed.contains(&approval.subject_digest));
            }
        }
    }

    #[test]
    fn used_approvals_and_spent_money_only_grow(draws in draws()) {
        let history = History::of(&draws, false);
        for (before, after) in history.states.iter().zip(&history.states[1..]) {
            prop_assert!(before.consumed.is_subset(&after.consumed));
            prop_assert!(before.spent.total.nano_usd <= after.spent.total.nano_usd);
            prop_assert!(before.finding_count <= after.finding_count);
        }
        // A subject enters once, whatever was rewound in between.
        let uses = history.states.iter().zip(&history.states[1..]).filter(|(a, b)| b.consumed.len() > a.consumed.len());
        let taken = history.states.iter().skip(1).filter(|state| state.consuming.is_some()).count();
        prop_assert_eq!(uses.count(), taken);
    }

    #[test]
    fn going_back_to_a_position_gives_the_state_that_was_there(draws in draws()) {
        let history = History::of(&draws, true);
        for (place, state) in history.states.iter().enumerate().skip(1) {
            for position in (1..=state.events).filter(|position| state.is_in_lineage(*position)) {
                let mut back = state.effective();
                back.go_back(position);
                let there = &history.states[usize::try_from(position).unwrap()];
                prop_assert_eq!(lineage_of(&back), lineage_of(there), "from {} to {}", place, position);
                prop_assert_eq!(back.abandoned, there.abandoned.clone());
            }
        }
    }

    fn a_rewind_gives_the_state_that_was_there_and_an_undo_gives_back_what_it_took(draws in draws(), to in any::<u64>()) {
        let history = History::of(&draws, true);
        let state = history.last();
        let to = to % state.events.max(1);
        let change = Change::Rewound(state.plan_rewind(to));
        let is_possible = Runs::decide(state, RunCommand::one("x", change.clone())).is_ok();
        let is_closed = matches!(state.phase(), crate::run::Phase::Closed { .. });
        prop_assert_eq!(is_possible, state.is_in_lineage(to) && to < state.events && !is_closed);
        if is_possible {
            let rewound = after(state, change);
            let mut there = history.states[usize::try_from(to).unwrap()].clone();
            let mut here = rewound.clone();
            for (name, step) in &mut here.steps {
                // What the rewind itself decided about: taken over, or given up.
                let was_open = there.steps[name].is_open();
                if was_open && !step.is_open() {
                    prop_assert!(step.status == StepStatus::Abandoned || step.reversibility.is_repeatable());
                    *step = there.steps[name].clone();
                }
            }
            prop_assert!(here.approvals.values().all(|approval| !approval.is_pending()));
            (here.approvals, here.gates) = (there.approvals.clone(), there.gates.clone());
            here.wait_again();
            there.wait_again();
            prop_assert_eq!(lineage_of(&here), lineage_of(&there));
            let undone = after(&rewound, Change::Undone(rewound.plan_undo().unwrap()));
            prop_assert_eq!(lineage_of(&undone), lineage_of(state));
            prop_assert_eq!(undone.status, state.status);
            prop_assert_eq!(undone.finding_count, 0);
        }
    }

    fn undos_give_back_rewind_by_rewind_what_each_took(
        draws in draws(), rounds in prop::collection::vec((any::<u64>(), draws()), 1..6), is_legal in any::<bool>(),
    ) {
        let mut history = History::of(&draws, is_legal);
        // As the run stood before each rewind that was made: what was undone among the draws is over.
        let mut stack: Vec<RunState> = Vec::new();
        let made = history.last().taken.len();
        for (position, draws) in &rounds {
            for drawn in draws.iter().take(12).filter(|drawn| !(23..=27).contains(&(drawn.0 % 32))) {
                let change = draw(history.last(), *drawn);
                let closes = matches!(change, Change::Closed { .. });
                let decided = Runs::decide(history.last(), RunCommand::one("uid:1000", change.clone()));
                if !closes && (decided.is_ok() || !is_legal) {
                    history.add(change);
                }
            }
            let state = history.last();
            let change = Change::Rewound(state.plan_rewind(position % state.events.max(1)));
            if Runs::decide(state, RunCommand::one("x", change.clone())).is_ok() {
                stack.push(state.clone());
                history.add(change);
            }
        }
        prop_assert_eq!(history.last().taken.len(), made + stack.len());
        let findings = history.last().finding_count;
        while let Some(before) = stack.pop() {
            let undo = history.last().plan_undo().expect("something to undo");
            history.add(Change::Undone(undo));
            prop_assert_eq!(lineage_of(history.last()), lineage_of(&before));
            let was_just_created = before.status == crate::run::Status::Created;
            prop_assert!(was_just_created || history.last().status == before.status);
        }
        prop_assert_eq!(history.last().finding_count, findings);
    }

    #[test]
    fn any_chunking_gives_the_same_state_and_hints_none_at_all(draws in draws()) {
        let mut events = History::of(&draws, false).events();
        any_chunking::<Runs>(&events);
        replay_twice::<Runs>(&events);
        let mut state = RunState::default();
        for (place, event) in events.iter().enumerate() {
            state = after(&state, event.change.clone());
            let hint = Change::EffectProgress { step: "a".into(), note: place.to_string() };
            prop_assert_eq!(&after(&state, hint), &state);
        }
        let hint = Change::HookFired { hook: "h".into(), input: Content::None }.by("x");
        events.insert(events.len() / 2, hint);
        replay_twice::<Runs>(&events);
    }
}
