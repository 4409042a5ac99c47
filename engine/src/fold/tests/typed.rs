//! Typed events in and out of a log.

use super::{AllJobs, Job, Jobs, Tally, nightly, open, queued, read, store};
use crate::fold::Start;
use crate::{Batch, Decide, ErrorKind, Event, Expect, Fold, Folding, Recorded, Rejection, Replay, TypeEntry, Upcasts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[test]
fn fold_states_follow_appends_and_conflicts_are_told() {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("nightly").unwrap();
    assert_eq!(run.state::<Jobs>().unwrap(), (Tally::default(), 1));
    run.append(Expect::Revision(1), &[queued("a"), Job::Progress(3), queued("b")]).unwrap();
    let (state, revision) = run.state::<Jobs>().unwrap();
    assert_eq!((state.open, state.last.as_deref(), revision), (2, Some("b"), 4));
    let late = run.append(Expect::Revision(1), &[queued("c")]).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
}

#[test]
fn fold_one_pass_serves_several_folds_and_all_runs() {
    let storage = nightly(3);
    let journal = open(&storage);
    journal.run_or_create("other").unwrap().append(Expect::Any, &[queued("o")]).unwrap();
    journal.run_or_create("empty").unwrap();
    let reader = read(&storage);
    let (mut jobs, mut all) = (Folding::<Jobs>::new().unwrap(), Folding::<AllJobs>::new().unwrap());
    Replay::of(&reader).go(&mut [&mut jobs, &mut all]).unwrap();
    let events: Vec<u64> = jobs.into_standings().map(|(_, standing)| standing.unwrap().events).collect();
    assert_eq!(events, [6, 1], "a run without jobs is none of the fold's");
    assert_eq!(all.into_standing(None).unwrap().events, 7);
}

mod two {
    use super::*;
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Done {
        pub(super) exit: i64,
        pub(super) signal: bool,
    }
    #[derive(Serialize, Deserialize)]
    pub(super) struct DoneOne {
        pub(super) exit: i32,
    }
    #[derive(Serialize, Deserialize)]
    pub(super) struct DoneTwo {
        exit: i64,
    }
    impl Event for DoneOne {
        const TYPE: &'static str = "acme.done";
        const VERSION: u16 = 1;
        fn upcasts() -> Upcasts<DoneOne> {
            Upcasts::none().from_json("import.done", 1, |bytes| {
                let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                let exits = value["exits"].as_array().ok_or("no exits")?;
                Ok(exits
                    .iter()
                    .map(|exit| DoneOne { exit: i32::try_from(exit.as_i64().unwrap_or(0)).unwrap() })
                    .collect())
            })
        }
    }
    impl Event for DoneTwo {
        const TYPE: &'static str = "acme.done";
        const VERSION: u16 = 2;
        fn upcasts() -> Upcasts<DoneTwo> {
            Upcasts::none().from_event(|old: DoneOne| vec![DoneTwo { exit: i64::from(old.exit) }])
        }
    }
    impl Event for Done {
        const TYPE: &'static str = "acme.done";
        const VERSION: u16 = 3;
        fn upcasts() -> Upcasts<Done> {
            Upcasts::none().from_event(|old: DoneTwo| vec![Done { exit: old.exit, signal: old.exit < 0 }])
        }
    }
    pub(super) struct Exits;
    impl Fold for Exits {
        const NAME: &'static str = "acme.exits";
        const VERSION: u32 = 1;
        type Event = Done;
        type State = Vec<(u64, i64, bool)>;
        fn apply(state: &mut Self::State, event: &Recorded<Done>) {
            state.push((event.seq.get(), event.data.exit, event.data.signal));
        }
    }
}

#[test]
fn fold_old_versions_and_imports_come_through_the_chain() {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("a").unwrap();
    let import = Arc::new(TypeEntry::json("import.done"));
    let imported = run.append_raw(Expect::Any, &import, &[br#"{"exits":[7,-8]}"#]).unwrap().last.get();
    let first = run.append(Expect::Any, &[two::DoneOne { exit: -1 }]).unwrap().last.get();
    let last = run.append(Expect::Any, &[two::Done { exit: 5, signal: true }]).unwrap().last.get();
    let (state, _) = run.state::<two::Exits>().unwrap();
    assert_eq!(state, [(imported, 7, false), (imported, -8, true), (first, -1, true), (last, 5, true)]);
    let standing = run.standing::<two::Exits>(Start::Origin).unwrap().standing;
    assert_eq!(standing.events, 3, "one record is one event, whatever it becomes");
}

#[test]
fn fold_unknown_critical_events_stop_a_fold_and_hints_do_not() {
    let storage = nightly(1);
    let journal = open(&storage);
    let run = journal.run("nightly").unwrap();
    let hint = Arc::new(TypeEntry { hint: true, ..TypeEntry::json("deploy.note") });
    let before = run.state::<Jobs>().unwrap().0;
    run.append_raw(Expect::Any, &hint, &[b"{}"]).unwrap();
    assert_eq!(run.state::<Jobs>().unwrap().0, before);
    let critical = Arc::new(TypeEntry::json("deploy.done"));
    let seq = run.append_raw(Expect::Any, &critical, &[b"{}"]).unwrap().last.get();
    let error = run.state::<Jobs>().unwrap_err();
    assert_eq!((error.code(), error.at().seq), ("T0504", Some(seq)));
    assert_eq!(read(&storage).state::<AllJobs>(None, None, Start::Origin).unwrap().standing.events, 2);
    let newer = Arc::new(TypeEntry { version: 9, ..TypeEntry::json("acme.job") });
    let other = journal.run_or_create("newer").unwrap();
    other.append_raw(Expect::Any, &newer, &[b"{}"]).unwrap();
    assert_eq!(other.state::<Jobs>().unwrap_err().code(), "T0504");
    // The broken runs do not keep the others from being folded.
    journal.run_or_create("good").unwrap().append(Expect::Any, &[queued("g")]).unwrap();
    let reader = read(&storage);
    let mut jobs = Folding::<Jobs>::new().unwrap();
    Replay::of(&reader).go(&mut [&mut jobs]).unwrap();
    let good: Vec<bool> = jobs.into_standings().map(|(_, standing)| standing.is_ok()).collect();
    assert_eq!(good, [false, false, true]);
}

#[test]
fn fold_a_payload_that_does_not_fit_is_an_error_with_its_place() {
    let storage = nightly(1);
    let journal = open(&storage);
    let types = read(&storage).type_table().unwrap();
    let row = types.rows().find(|(_, entry)| entry.variant == "Done").unwrap().1.clone();
    let run = journal.run("nightly").unwrap();
    let seq = run.append_raw(Expect::Any, &Arc::new(row), &[&[1, 255]]).unwrap().last.get();
    let error = run.state::<Jobs>().unwrap_err();
    assert_eq!((error.code(), error.at().seq), ("T0501", Some(seq)));
    assert!(error.at().offset.is_some());
}

impl Decide for Jobs {
    type Command = i32;
    fn decide(state: &Tally, exit: i32) -> Result<Vec<Job>, Rejection> {
        if exit < 0 { Err(Rejection::new(format!("{} are open", state.open))) } else { Ok(vec![Job::Done { exit }]) }
    }
}

#[test]
fn fold_a_held_state_is_what_a_replay_gives_and_checkpoints_itself() {
    let storage = store();
    let journal = open(&storage);
    let run = journal.run_or_create("a").unwrap();
    let mut held = run.hold::<Jobs>().unwrap();
    for number in 0..400 {
        held.append(&[queued("x"), Job::Progress(number.try_into().unwrap_or(0))]).unwrap();
        held.decide(number).unwrap();
    }
    assert_eq!(held.decide(-1).unwrap_err().kind(), ErrorKind::Rejected);
    let (state, revision) = run.state::<Jobs>().unwrap();
    assert_eq!((held.state(), held.revision()), (&state, revision));
    assert_eq!(run.check::<Jobs>().unwrap().to_string(), "800 events, 4 of 4 checkpoints equal");
    run.append(Expect::Any, &[queued("by somebody else")]).unwrap();
    assert_eq!(held.append(&[queued("y")]).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(held.checkpoint().unwrap(), None);
    held.refresh().unwrap();
    held.append(&[queued("y")]).unwrap();
    assert_eq!(held.state(), &run.state::<Jobs>().unwrap().0);
}

#[test]
fn fold_typed_events_join_batches_of_several_runs() {
    let storage = store();
    let journal = open(&storage);
    let mut batch = Batch::new();
    let (a, b) = (batch.run_or_create("a", Expect::New), batch.run_or_create("b", Expect::New));
    batch.typed(Some(a), Some(77), &queued("x")).unwrap().typed(Some(b), None, &queued("y")).unwrap();
    journal.append(batch).unwrap();
    let state = journal.run("a").unwrap().state::<Jobs>().unwrap().0;
    assert_eq!(state.last.as_deref(), Some("x"));
}
