//! Rewinds, forks, closes and undos as plans on a log.

use super::*;
use crate::plan::{Applied, Authority};
use crate::run::{ClosePlan, Fate, ForkPlan, RewindPlan, RewindRequest, Status, StepStatus, Then, UndoRunPlan, Undoes};
use crate::storage::{Fault, Memory, SimDisk, Storage};
use crate::{Batch, Error, Expect, Journal, Kind, OperatorAction, Query, Reader};
use std::collections::BTreeSet;
use std::sync::Arc;

type Store = Arc<dyn Storage>;

fn append(storage: &Store, run: &str, changes: impl IntoIterator<Item = Change>) {
    let journal = Journal::options().create(true).open_on(Arc::clone(storage)).unwrap();
    let events: Vec<_> = changes.into_iter().map(|change| change.by("uid:1000")).collect();
    journal.run_or_create(run).unwrap().append(Expect::Any, &events).unwrap();
    journal.close().unwrap();
}

fn value(key: &str) -> Change {
    let value = crate::run::Json::of(&serde_json::json!(7));
    Change::ValueRecorded { key: key.into(), source: crate::run::ValueSource::Uuid, value }
}

/// A run with everything in it that a rewind to its event 6 has to decide about.
fn release() -> [Change; 19] {
    [
        created(),
        requested("build", "task", Reversibility::Pure),
        requested("deploy", "command", Reversibility::Irreversible),
        gate("lint"),
        asked("late", "s9", 1),
        requested("notes", "task", Reversibility::Compensable),
        // Here it is gone back to: three steps, a gate and an approval are open.
        resolved("build", Outcome::Ok),
        resolved("deploy", Outcome::Ok),
        finished("lint", Verdict::Passed),
        resolved("notes", Outcome::Ok),
        value("id"),
        asked("publish", "s1", 1),
        voted("publish", "s1", "key:a", Choice::Approve),
        decided("publish", Decision::Approved),
        consumed("publish", "s1"),
        requires("publish", "s1"),
        resolved("publish", Outcome::Ok),
        gate("scan"),
        requested("mail", "task", Reversibility::Compensable),
    ]
}

fn store() -> Store {
    let storage: Store = Arc::new(Memory::new());
    append(&storage, "release", release());
    append(&storage, "other", [created()]);
    storage
}

fn reader(storage: &Store) -> Reader {
    Reader::open_on(Arc::clone(storage)).unwrap()
}

fn number(storage: &Store, run: &str) -> Seq {
    reader(storage).find_run(run).unwrap().run
}

fn state(storage: &Store, run: &str) -> RunState {
    let run = number(storage, run);
    reader(storage).state::<Runs>(Some(run), None, crate::fold::Start::Origin).unwrap().standing.state
}

/// The seq of an event of the release; of event 0, of one that is not of the schema.
fn seq(storage: &Store, event: u64) -> Seq {
    let run = number(storage, "release");
    let reader = reader(storage);
    let mut events = reader.events(Query::all().run(run)).unwrap();
    let mut left = event;
    while let Some(record) = events.next().unwrap() {
        let is_counted = record.entry.as_ref().is_some_and(|entry| entry.name == "run");
        if left == u64::from(is_counted) {
            return record.seq;
        }
        left -= u64::from(is_counted);
    }
    panic!("the release has no event {event}");
}

fn request(storage: &Store, event: u64) -> RewindRequest {
    RewindRequest { run: number(storage, "release"), to: seq(storage, event), keep: Vec::new(), mark: None }
}

fn rewind(storage: &Store, request: &RewindRequest) -> Result<RewindPlan, Error> {
    RewindPlan::make(&reader(storage), request)
}

fn authority(plan: &str, accept_loss: u64) -> Authority {
    let (plan, reason, actor) = (plan.to_owned(), "a test".to_owned(), "uid:1000".to_owned());
    Authority { plan, accept_loss, reason, actor, lock_timeout_ms: 100 }
}

fn apply(plan: &RewindPlan, storage: &Store) -> Result<Applied, Error> {
    let acknowledged = plan.final_effects.iter().map(|effect| effect.step.clone()).collect();
    plan.apply(storage, &authority(plan.name(), plan.lost), &acknowledged)
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

/// Types of the events behind a seq, and the last of them as an operator event.
fn appended(storage: &Store, behind: Seq) -> (Vec<String>, OperatorAction) {
    let reader = reader(storage);
    let mut events = reader.events(Query::all().from(behind.next())).unwrap();
    let (mut types, mut action) = (Vec::new(), None);
    while let Some(record) = events.next().unwrap() {
        types.push(record.type_name());
        if record.kind == Kind::OPERATOR_ACTION {
            action = Some(OperatorAction::decode(&record.payload).unwrap());
        }
    }
    (types, action.expect("an operator event"))
}

fn last(storage: &Store) -> Seq {
    Seq::new(reader(storage).next_seq().unwrap().get() - 1).unwrap()
}

fn names_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_rewind_decides_about_everything_that_was_under_way_and_says_so() {
    let storage = store();
    let mut asked = request(&storage, 6);
    asked.mark = Some("before".into());
    let plan = rewind(&storage, &asked).unwrap();
    let fates: Vec<_> = plan.steps.iter().map(|step| (step.step.as_str(), step.fate)).collect();
    assert_eq!(
        fates,
        [
            ("build", Fate::Grafted),
            ("deploy", Fate::Abandoned),
            ("mail", Fate::GivenUp),
            ("notes", Fate::Abandoned),
            ("publish", Fate::GivenUp)
        ]
    );
    let change = &plan.change;
    assert_eq!((plan.lost, plan.to.event, change.to), (13, 6, 6));
    assert_eq!(change.compensations, names_of(&["mail", "notes"]), "the last one first, open ones too");
    assert_eq!(change.acknowledged, names_of(&["deploy", "publish"]), "nobody said of publish that it can be repeated");
    assert_eq!(change.voided, names_of(&["late"]));
    assert!(plan.approvals.iter().any(|fate| fate.step == "publish" && !fate.is_voided), "{:?}", plan.approvals);
    assert_eq!((plan.spent.nano_usd, plan.then.status), (4 * 7, Status::Running));

    let before = last(&storage);
    let applied = apply(&plan, &storage).unwrap();
    let (types, action) = appended(&storage, before);
    assert_eq!(types, ["TypeRegistered", "Mark", "run.Rewound", "OperatorAction"].map(str::to_owned));
    assert_eq!((action.verb.as_str(), action.reason.as_str(), applied.lost), ("rewind", "a test", 13));
    assert_eq!(crate::fold::hex(&action.plan), plan.id);
    let state = state(&storage, "release");
    assert_eq!((state.finding_count, state.status), (0, plan.then.status));
    assert_eq!(state.rewinds.last().map(|made| made.reason.as_str()), Some("a test"));
    assert!(state.consumed.contains("s1"), "an approval that was used stays used");
    assert_eq!(state.steps["build"].status, StepStatus::Ok);
    assert_eq!(state.gates["lint"].verdict, Some(Verdict::Interrupted));
    // The mark names the place that was left.
    let mark = reader(&storage).resolve(&"mark:before".parse().unwrap(), 0).unwrap();
    let left = reader(&storage).state::<Runs>(Some(asked.run), Some(mark.next()), crate::fold::Start::Origin).unwrap();
    assert_eq!(left.standing.state.events, 19);
    // What was given up is no place to go back to any more; and nothing lies behind the last event.
    assert_eq!(code(rewind(&storage, &request(&storage, 8))), "T0422");
    let head = RewindRequest { to: last(&storage), ..request(&storage, 1) };
    assert_eq!(code(rewind(&storage, &head)), "T0423");
    let early = RewindRequest { to: Seq::FIRST, ..request(&storage, 1) };
    assert_eq!(code(rewind(&storage, &early)), "T0146");
}

#[test]
fn what_an_operator_keeps_stands_on_what_is_left_or_is_refused() {
    let storage = store();
    let keeping = |events: &[u64]| {
        let keep = events.iter().map(|event| seq(&storage, *event)).collect();
        rewind(&storage, &RewindRequest { keep, ..request(&storage, 6) })
    };
    let plan = keeping(&[7, 8, 9, 10, 11]).unwrap();
    let change = &plan.change;
    assert_eq!(change.kept, names_of(&["lint"]));
    assert_eq!((&change.grafted, &change.kept_effects), (&names_of(&["build"]), &names_of(&["deploy", "notes"])));
    assert_eq!((&change.kept_values, &change.abandoned), (&names_of(&["id"]), &names_of(&[])));
    assert_eq!(change.compensations, names_of(&["mail"]), "what is kept is not made up for");
    assert_eq!(change.acknowledged, names_of(&["publish"]), "nor acknowledged");
    apply(&plan, &storage).unwrap();
    let now = state(&storage, "release");
    assert_eq!((now.steps["deploy"].status, now.steps["notes"].status), (StepStatus::Ok, StepStatus::Ok));
    assert_eq!((now.gates["lint"].verdict, now.values.len()), (Some(Verdict::Passed), 1));
    assert_eq!(now.finding_count, 0);

    let storage = store();
    let refused = |event: u64| {
        let keep = vec![seq(&storage, event)];
        let error = rewind(&storage, &RewindRequest { keep, ..request(&storage, 6) }).unwrap_err();
        assert_eq!(error.code(), "T0424", "{error}");
        error.message().to_owned()
    };
    for (event, part) in [
        (3, "stays anyway"),
        (12, "ApprovalAsked is none of"),
        (13, "void behind a rewind"),
        (15, "stays used"),
        (17, "was requested behind the position"),
        (18, "the process decides anew"),
        (0, "no event of the run's schema"),
    ] {
        assert!(refused(event).contains(part), "{event}: {}", refused(event));
    }
}

#[test]
fn a_plan_is_spoilt_by_an_event_of_its_run_and_by_no_other() {
    let storage = store();
    let plan = rewind(&storage, &request(&storage, 6)).unwrap();
    let all: BTreeSet<String> = plan.change.acknowledged.iter().cloned().collect();
    let apply_as =
        |authority: &Authority, acknowledged: &BTreeSet<String>| plan.apply(&storage, authority, acknowledged);
    let right = authority(plan.name(), 13);
    let some = BTreeSet::from(["deploy".to_owned()]);
    let more: BTreeSet<String> = all.iter().cloned().chain(["build".to_owned()]).collect();
    let before = last(&storage);
    assert_eq!(code(apply_as(&right, &BTreeSet::new())), "T0421");
    assert_eq!(code(apply_as(&right, &some)), "T0421");
    assert_eq!(code(apply_as(&right, &more)), "T0421");
    assert_eq!(code(apply_as(&authority(plan.name(), 12), &all)), "T0402");
    assert_eq!(code(apply_as(&authority("ffffff", 13), &all)), "T0401");
    assert_eq!(last(&storage), before, "a refusal writes nothing");
    append(&storage, "other", [Change::Paused { reason: String::new() }]);
    assert_eq!(rewind(&storage, &request(&storage, 6)).unwrap().id, plan.id);
    append(&storage, "release", [Change::Noted { label: String::new(), message: "hello".into() }]);
    assert_eq!(code(apply_as(&right, &all)), "T0401");
    let plan = rewind(&storage, &request(&storage, 6)).unwrap();
    apply(&plan, &storage).unwrap();
    assert_eq!(code(apply(&plan, &storage)), "T0401", "once");
}

/// The effective history, without what only says how it came about.
fn effective(state: &RunState) -> RunState {
    RunState { abandoned: Vec::new(), status: Status::Opened, ..state.effective() }
}

#[test]
fn undos_take_back_a_close_and_then_rewind_by_rewind() {
    let storage = store();
    let run = number(&storage, "release");
    let undo_plan = || UndoRunPlan::make(&reader(&storage), run);
    assert_eq!(code(undo_plan()), "T0404");
    let states = [state(&storage, "release"), {
        apply(&rewind(&storage, &request(&storage, 11)).unwrap(), &storage).unwrap();
        append(&storage, "release", [requested("again", "command", Reversibility::Irreversible)]);
        state(&storage, "release")
    }];
    apply(&rewind(&storage, &request(&storage, 4)).unwrap(), &storage).unwrap();
    append(&storage, "release", [requested("open", "task", Reversibility::Pure)]);
    let rewound = state(&storage, "release");
    let close = ClosePlan::make(&reader(&storage), run).unwrap();
    assert_eq!(close.open_steps, names_of(&["open"]), "{close:?}");
    close.apply(&storage, &authority(close.name(), 0)).unwrap();
    assert_eq!(state(&storage, "release").status, Status::Closed);
    assert_eq!(code(ClosePlan::make(&reader(&storage), run)), "T0511", "closed already");
    assert_eq!(code(rewind(&storage, &request(&storage, 2))), "T0511", "a closed run is left by an undo alone");

    let plan = undo_plan().unwrap();
    assert!(matches!(&plan.undoes, Undoes::Close { reason, .. } if reason == "a test"), "{plan:?}");
    plan.apply(&storage, &authority(plan.name(), 0), &BTreeSet::new()).unwrap();
    // Turns tell of the close and of its end.
    let reopened = state(&storage, "release");
    assert_eq!((reopened.status, reopened.steps.len()), (rewound.status, rewound.steps.len()));

    let plan = undo_plan().unwrap();
    assert_eq!((plan.lost, plan.final_effects.len()), (3, 0), "the close and its undo go with it");
    plan.apply(&storage, &authority(plan.name(), 3), &BTreeSet::new()).unwrap();
    assert_eq!(effective(&state(&storage, "release")), effective(&states[1]));
    let plan = undo_plan().unwrap();
    assert_eq!(plan.change.acknowledged, names_of(&["again"]), "what was done since the rewind goes with the undo");
    let again = BTreeSet::from(["again".to_owned()]);
    assert_eq!(code(plan.apply(&storage, &authority(plan.name(), plan.lost), &BTreeSet::new())), "T0421");
    plan.apply(&storage, &authority(plan.name(), plan.lost), &again).unwrap();
    assert_eq!(effective(&state(&storage, "release")), effective(&states[0]));
    assert_eq!(state(&storage, "release").finding_count, 0);
    assert_eq!(code(undo_plan()), "T0404");
}

#[test]
fn a_fork_needs_its_parent_as_planned_and_leaves_it_alone() {
    let storage = store();
    let run = number(&storage, "release");
    let plan_at = |event: u64, name: &str| ForkPlan::make(&reader(&storage), run, seq(&storage, event), name);
    assert_eq!(code(plan_at(6, "other")), "T0145");
    assert_eq!(code(plan_at(6, "a\nb")), "T0142");
    let plan = plan_at(6, "release-again").unwrap();
    assert_eq!(plan.change.abandoned, names_of(&["deploy", "notes"]));
    let repeat: Vec<_> = plan.may_repeat.iter().map(|effect| effect.step.as_str()).collect();
    assert_eq!(repeat, ["deploy", "publish"]);
    append(&storage, "release", [Change::Noted { label: String::new(), message: "hello".into() }]);
    assert_eq!(code(plan.apply(&storage, &authority(plan.name(), 0))), "T0401", "the parent has moved on");
    let plan = plan_at(6, "release-again").unwrap();
    let (parent, before) = (state(&storage, "release"), last(&storage));
    plan.apply(&storage, &authority(plan.name(), 0)).unwrap();
    let (types, action) = appended(&storage, before);
    assert_eq!(types, ["TypeRegistered", "RunOpened", "run.Forked", "OperatorAction"].map(str::to_owned));
    assert_eq!(action.verb, "fork");
    assert_eq!(state(&storage, "release"), parent);
    let fork = state(&storage, "release-again");
    let then = Then { status: fork.status, waiting: crate::run::Wait::of(&fork) };
    assert_eq!((fork.finding_count, fork.events, &then), (0, 7, &plan.then));
    // A rewind of the parent names the fork that hangs on what it gives up, and does not touch it.
    let back = rewind(&storage, &request(&storage, 4)).unwrap();
    assert_eq!(back.hanging.len(), 1);
    assert_eq!((back.hanging[0].name.as_str(), back.hanging[0].forked_at), ("release-again", Some(6)));
    assert_eq!(rewind(&storage, &request(&storage, 7)).unwrap().hanging, []);
    apply(&back, &storage).unwrap();
    assert_eq!(state(&storage, "release-again"), fork);
    // The fork goes back into what it has of its parent.
    let child = number(&storage, "release-again");
    let into_parent = RewindRequest { run: child, ..request(&storage, 2) };
    let plan = rewind(&storage, &into_parent).unwrap();
    assert_eq!((plan.to.event, plan.lost), (2, 5));
    apply(&plan, &storage).unwrap();
    let back = state(&storage, "release-again");
    assert_eq!((back.steps.len(), back.finding_count, back.parent.is_some()), (1, 0, true));
}

/// What a store holds of a plan: nothing, or all of it.
fn outcome(storage: &Store, before: &RunState, after: &RunState, events: u64) -> bool {
    let state = state(storage, "release");
    let appended = reader(storage).next_seq().unwrap().get() - 1 - events;
    let is_old = effective(&state) == effective(before) && state.rewinds.len() == before.rewinds.len();
    let is_new = effective(&state) == effective(after) && state.rewinds.len() == after.rewinds.len();
    assert!(is_old != is_new, "a mixture");
    // The type of the event, the event, the mark and the operator event; and what recovery had to say.
    let told = reader(storage).events(Query::all().event_type("OperatorAction")).unwrap().next().unwrap().is_some();
    let marked = reader(storage).events(Query::all().event_type("Mark")).unwrap().next().unwrap().is_some();
    assert_eq!((told, marked), (is_new, is_new), "{appended} events");
    is_new
}

#[test]
fn a_crash_at_any_call_of_a_rewind_leaves_all_of_it_or_nothing() {
    crate::lab_result::tell("rewind-crashes", &["P1", "P2", "P7"], || {
        let (old, new, calls) = crash_a_rewind();
        assert!(old > 0 && new > 0, "{old} old, {new} new");
        (old + new, vec![("calls", calls), ("nothing-of-it", old), ("all-of-it", new)])
    });
}

/// Crashes at every call, each with three remnants: how often nothing was there, how often all of it; and the calls.
fn crash_a_rewind() -> (u64, u64, u64) {
    let base = SimDisk::new(7);
    let storage: Store = Arc::new(base.process(1));
    append(&storage, "release", release());
    drop(storage);
    let look: Store = Arc::new(base.process(2));
    let (before, events) = (state(&look, "release"), last(&look).get());
    let asked = RewindRequest { mark: Some("before".into()), ..request(&look, 6) };
    drop(look);
    let whole = base.clone();
    let start = whole.next_operation();
    let storage: Store = Arc::new(whole.process(3));
    apply(&rewind(&storage, &asked).unwrap(), &storage).unwrap();
    let (after, end) = (state(&storage, "release"), whole.next_operation());
    let (mut old, mut new) = (0, 0);
    for call in start..end {
        let disk = base.clone();
        disk.inject(call, Fault::CrashAfter);
        let storage: Store = Arc::new(disk.process(3));
        let result = RewindPlan::make(
            &match Reader::open_on(Arc::clone(&storage)) {
                Ok(reader) => reader,
                Err(_) => continue,
            },
            &asked,
        )
        .and_then(|plan| apply(&plan, &storage));
        drop(storage);
        for cut in 0..3 {
            let survivor = disk.power_cut(cut);
            let storage: Store = Arc::new(survivor.process(4));
            // Opening recovers what there is.
            Journal::options().open_on(Arc::clone(&storage)).unwrap().close().unwrap();
            let is_new = outcome(&storage, &before, &after, events);
            assert!(is_new || result.is_err(), "call {call}, cut {cut}: an acknowledged rewind is gone");
            *(if is_new { &mut new } else { &mut old }) += 1;
        }
    }
    (old, new, end - start)
}

#[test]
fn no_seq_is_given_twice_whatever_is_rewound() {
    let storage = store();
    let mut seen: Vec<(u64, u32, String)> = Vec::new();
    for round in 0..4 {
        let plan = rewind(&storage, &request(&storage, 6 - round)).unwrap();
        apply(&plan, &storage).unwrap();
        let mut batch = Batch::new();
        let run = batch.run("release", Expect::Any);
        let step = format!("again-{round}");
        batch.typed(Some(run), None, &requested(&step, "task", Reversibility::Pure).by("x")).unwrap();
        let journal = Journal::options().open_on(Arc::clone(&storage)).unwrap();
        journal.append(batch).unwrap();
        journal.close().unwrap();
        let reader = reader(&storage);
        let mut events = reader.events(Query::all()).unwrap();
        let mut now = Vec::new();
        while let Some(record) = events.next().unwrap() {
            now.push((record.seq.get(), record.revision, record.type_name()));
        }
        assert!(now.starts_with(&seen), "what was there stays where it is");
        assert!(now.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(now.len() > seen.len());
        seen = now;
    }
}
