//! Forks, in a log: a run that begins as another one.

use super::*;
use crate::fold::{CheckOptions, Folding, History, Replay, Start, check_with, each_state};
use crate::run::{Problem, Status, overview, show};
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, Journal, Reader, Standing};
use std::sync::Arc;

fn open() -> (Arc<Memory>, Journal) {
    let storage = Arc::new(Memory::new());
    let journal = Journal::options().create(true).open_on(Arc::clone(&storage) as Arc<dyn Storage>).unwrap();
    (storage, journal)
}

fn append(journal: &Journal, run: &str, changes: impl IntoIterator<Item = Change>) {
    let events: Vec<_> = changes.into_iter().map(|change| change.by("uid:1000")).collect();
    journal.run_or_create(run).unwrap().append(Expect::Any, &events).unwrap();
}

/// Forks a run at an event, as the plan says.
fn fork(journal: &Journal, parent: &str, name: &str, at: u64) {
    let run = journal.run(parent).unwrap();
    let state = run.state::<Runs>().unwrap().0;
    let mut batch = Batch::new();
    let child = batch.run_from(name, Some(run.number()));
    batch.typed(Some(child), None, &Change::Forked(state.plan_fork(parent, at)).by("uid:1000")).unwrap();
    journal.append(batch).unwrap();
}

fn standing(reader: &Reader, run: &str) -> Standing<Runs> {
    let number = reader.find_run(run).unwrap().run;
    reader.state::<Runs>(Some(number), None, Start::Origin).unwrap().standing
}

/// A parent whose task is open at event 3 and done at event 5, and a fork of it at 3, and a fork of that.
fn family(reversibility: Reversibility) -> (Arc<Memory>, Journal) {
    let (storage, journal) = open();
    append(&journal, "parent", [created(), asked("p", "s1", 1), requested("a", "task", reversibility)]);
    append(&journal, "parent", [voted("p", "s1", "key:a", Choice::Approve), resolved("a", Outcome::Ok)]);
    fork(&journal, "parent", "child", 3);
    append(&journal, "parent", [requested("late", "task", Reversibility::Pure)]);
    append(&journal, "child", [requested("b", "task", Reversibility::Pure)]);
    fork(&journal, "child", "grandchild", 5);
    append(&journal, "child", [Change::Completed { output: Content::None }]);
    (storage, journal)
}

#[test]
fn a_fork_begins_with_its_parents_state_and_neither_touches_the_other() {
    for (reversibility, status) in [
        (Reversibility::Pure, crate::run::StepStatus::Ok),
        (Reversibility::Compensable, crate::run::StepStatus::Abandoned),
    ] {
        let (storage, journal) = family(reversibility);
        let reader = journal.reader().unwrap();
        let parent = standing(&reader, "parent").state;
        assert_eq!((parent.events, parent.approvals["p"].is_pending(), parent.steps.len()), (6, true, 2));
        let child = standing(&reader, "child");
        assert_eq!(
            (child.events, child.state.events, child.state.finding_count),
            (3, 6, 0),
            "{:?}",
            child.state.findings
        );
        assert_eq!((child.state.status, child.state.steps["a"].status), (Status::Completed, status));
        assert_eq!(child.state.approvals["p"].status, crate::run::ApprovalStatus::Void);
        assert_eq!(child.state.spent.total.nano_usd, 0, "the parent has paid");
        assert_eq!(child.state.parent.as_ref().map(|parent| (parent.run.as_str(), parent.at)), Some(("parent", 3)));
        let grandchild = standing(&reader, "grandchild").state;
        assert_eq!((grandchild.events, grandchild.status, grandchild.finding_count), (6, Status::Running, 0));
        assert_eq!(grandchild.steps["b"].status, crate::run::StepStatus::Abandoned);
        // The same from one pass over everything, and at a glance.
        let mut folding = Folding::<Runs>::new().unwrap();
        Replay::of(&reader).go(&mut [&mut folding]).unwrap();
        for name in ["parent", "child", "grandchild"] {
            let run = reader.find_run(name).unwrap().run;
            assert_eq!(folding.standing(Some(run)).unwrap().state, standing(&reader, name).state, "{name}");
        }
        let lines = overview(&reader).unwrap().runs;
        let told: Vec<_> = lines.iter().map(|line| (line.events, line.findings, line.waiting.len())).collect();
        assert_eq!(told, [(6, 0, 2), (3, 0, 0), (1, 0, 0)]);
        drop(storage);
    }
}

#[test]
fn everything_that_folds_one_run_knows_what_it_began_as() {
    let (_storage, journal) = family(Reversibility::Pure);
    let run = journal.run("grandchild").unwrap();
    run.checkpoint::<Runs>().unwrap();
    journal.run("child").unwrap().checkpoint::<Runs>().unwrap();
    run.snapshot::<Runs>().unwrap();
    append(&journal, "grandchild", [requested("c", "task", Reversibility::Pure)]);
    let reader = journal.reader().unwrap();
    let number = Some(run.number());
    let from_snapshot = reader.state::<Runs>(number, None, Start::Snapshot).unwrap();
    assert!(from_snapshot.snapshot.is_some() && from_snapshot.findings.is_empty());
    assert_eq!(from_snapshot.standing.state, standing(&reader, "grandchild").state);
    for only in [None, number] {
        let options = CheckOptions { run: only, twice: true, snapshots: true, ..CheckOptions::default() };
        let report = check_with::<Runs>(&reader, &options).unwrap().into_result().unwrap();
        assert_eq!(report.runs.len(), if only.is_some() { 1 } else { 3 });
    }
    let mut states = Vec::new();
    each_state::<Runs>(&reader, number, |line| {
        states.push((line.run, line.state["events"].clone()));
        Ok(true)
    })
    .unwrap();
    assert_eq!(states, [(number, 6.into()), (number, 7.into())]);
    let head = crate::Seq::new(reader.next_seq().unwrap().get() - 1).unwrap();
    let (changes, events) = History::<Runs>::of(&reader, number).difference(Some(run.number()), head).unwrap();
    assert_eq!(events, 2);
    assert!(changes.iter().any(|change| change.change.path == "steps.c"), "{changes:?}");
    assert!(changes.iter().all(|change| !change.change.path.starts_with("finding")), "{changes:?}");
    let (state, report) =
        show(&reader, run.number(), crate::run::Shown { most_events: 100, with_given_up: true }).unwrap();
    let kinds: Vec<_> = report.timeline.iter().map(|line| (line.event, &*line.kind)).collect();
    assert_eq!(
        kinds,
        [
            (1, "Created"),
            (2, "ApprovalAsked"),
            (3, "EffectRequested"),
            (4, "Forked"),
            (5, "EffectRequested"),
            (6, "Forked"),
            (7, "EffectRequested")
        ]
    );
    assert_eq!((state.events, report.timeline_skipped, report.overview.events), (7, 0, 2));
}

#[test]
fn a_held_run_that_is_forked_stands_on_its_parents_state() {
    let (_storage, journal) = open();
    append(&journal, "parent", [created(), requested("a", "task", Reversibility::Pure)]);
    let parent = journal.run("parent").unwrap();
    let mut batch = Batch::new();
    batch.run_from("child", Some(parent.number()));
    journal.append(batch).unwrap();
    let mut held = journal.run("child").unwrap().hold::<Runs>().unwrap();
    let forked = parent.state::<Runs>().unwrap().0.plan_fork("parent", 2);
    held.append(&[Change::Forked(forked).by("uid:1000")]).unwrap();
    assert_eq!((held.state().events, held.state().finding_count), (3, 0));
    assert_eq!(*held.state(), standing(&journal.reader().unwrap(), "child").state);
}

#[test]
fn a_fork_without_its_prefix_or_of_another_history_is_a_finding() {
    let (_storage, journal) = open();
    append(&journal, "parent", [created(), requested("a", "task", Reversibility::Pure), resolved("a", Outcome::Ok)]);
    let state = journal.run("parent").unwrap().state::<Runs>().unwrap().0;
    append(&journal, "parent", [Change::Rewound(state.plan_rewind(1))]);
    let number = journal.run("parent").unwrap().number();
    for (name, parent, at) in [("orphan", None, 2), ("abandoned", Some(number), 2), ("beyond", Some(number), 9)] {
        let mut batch = Batch::new();
        let child = batch.run_from(name, parent);
        let forked = crate::run::Forked { parent: "parent".into(), at, ..crate::run::Forked::default() };
        batch.typed(Some(child), None, &Change::Forked(forked).by("x")).unwrap();
        journal.append(batch).unwrap();
        let state = standing(&journal.reader().unwrap(), name).state;
        let found: Vec<_> = state.findings.iter().map(|finding| finding.problem).collect();
        assert_eq!((found, state.events), (vec![Problem::PrefixMissing], at + 1), "{name}");
    }
    let forked = crate::run::Forked { at: u64::MAX, ..crate::run::Forked::default() };
    append(&journal, "endless", [Change::Forked(forked), created(), requested("a", "task", Reversibility::Pure)]);
    let state = standing(&journal.reader().unwrap(), "endless").state;
    assert_eq!((state.events, state.status, state.finding_count), (u64::MAX, Status::Waiting, 1));
    append(&journal, "parent", [Change::Forked(crate::run::Forked { parent: "x".into(), ..Default::default() })]);
    let state = standing(&journal.reader().unwrap(), "parent").state;
    assert_eq!(state.findings[0].problem, Problem::ForkedLate);
}

/// The first event of a fork came behind all lines of its parent; with one more than are kept, no line made room for another again.
#[test]
fn a_fork_of_a_long_run_keeps_no_more_lines_than_any_other() {
    let most = crate::run::TimelineEvent::MOST_KEPT;
    let (_storage, journal) = open();
    let note = |number: usize| Change::Noted { label: "said".into(), message: number.to_string() };
    append(&journal, "parent", std::iter::once(created()).chain((0..most + 5).map(note)));
    fork(&journal, "parent", "child", most as u64 + 6);
    append(&journal, "child", (0..20).map(note));
    let reader = journal.reader().unwrap();
    let run = reader.find_run("child").unwrap().run;
    let shown = crate::run::Shown { most_events: usize::MAX, with_given_up: true };
    let (state, report) = show(&reader, run, shown).unwrap();
    assert_eq!((report.timeline.len(), report.timeline.last().unwrap().event), (most, state.events));
}
