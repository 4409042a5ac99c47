//! Invariants over any log: I4, I5, I6, I9, and any snapshot on the way.

use super::{AllJobs, Job, Jobs, open, queued, read, store};
use crate::fold::{Folding, Pass, Replay, Snapshots, Start};
use crate::storage::{Memory, Storage};
use crate::{Expect, Query, Reader, Seq, Standing};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One append: to a run, so many events, with hints or without, and a checkpoint or a snapshot behind it.
#[derive(Clone, Debug)]
struct Step {
    run: u8,
    exits: Vec<i32>,
    hint: bool,
    checkpoint: bool,
    snapshot: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0_u8..3, prop::collection::vec(-2_i32..3, 1..4), any::<(bool, bool)>(), 0_u8..6);
    let step = step.prop_map(|(run, exits, (hint, checkpoint), snapshot)| Step {
        run,
        exits,
        hint,
        checkpoint,
        snapshot: snapshot == 0,
    });
    prop::collection::vec(step, 1..24)
}

fn write(steps: &[Step]) -> Arc<Memory> {
    let storage = store();
    let journal = open(&storage);
    for step in steps {
        let run = journal.run_or_create(&format!("run-{}", step.run)).unwrap();
        let events = step.exits.iter().map(|exit| if *exit < 0 { queued("x") } else { Job::Done { exit: *exit } });
        run.append(Expect::Any, &events.collect::<Vec<Job>>()).unwrap();
        if step.hint {
            run.append(Expect::Any, &[Job::Progress(9)]).unwrap();
        }
        if step.checkpoint {
            run.checkpoint::<Jobs>().unwrap();
        }
        if step.snapshot {
            run.snapshot::<Jobs>().unwrap();
        }
    }
    journal.close().unwrap();
    storage
}

fn folded(reader: &Reader) -> BTreeMap<Option<Seq>, Standing<Jobs>> {
    let mut folding = Folding::new().unwrap();
    Replay::of(reader).go(&mut [&mut folding]).unwrap();
    folding.into_standings().map(|(run, standing)| (run, standing.unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fold_prefix_then_suffix_is_all(steps in steps(), cut in 1_u64..80) {
        let storage = write(&steps);
        let reader = read(&storage);
        let mut seqs = Vec::new();
        reader.events(Query::all()).unwrap().for_each(|record| { seqs.push(record.seq.get()); Ok(true) }).unwrap();
        prop_assert_eq!(&seqs, &(1..=seqs.len() as u64).collect::<Vec<u64>>(), "seqs are dense");
        let cut = Seq::new(cut).unwrap();
        let mut folding = Folding::<Jobs>::new().unwrap();
        Replay::of(&reader).until(cut).go(&mut [&mut folding]).unwrap();
        let mut suffix = Folding::<Jobs>::new().unwrap();
        for (run, standing) in folding.into_standings() {
            suffix.start_at(run, standing.unwrap());
        }
        // Runs without events of the fold so far have a standing, too: that of their first event.
        let mut events = reader.events(Query::all().until(cut)).unwrap();
        while let Some(record) = events.next().unwrap() {
            if suffix.standing(record.run).is_none() || suffix.standing(record.run).unwrap().events == 0 {
                suffix.take(&record).unwrap();
            }
        }
        Replay::of(&reader).from(cut).go(&mut [&mut suffix]).unwrap();
        for (run, all) in folded(&reader) {
            prop_assert_eq!(&suffix.standing(run).unwrap().state, &all.state);
            prop_assert!(!suffix.standing(run).unwrap().is_incomplete());
        }
    }

    #[test]
    fn fold_any_snapshot_leads_to_the_same_state(steps in steps(), until in 1_u64..80) {
        let storage = write(&steps);
        let reader = read(&storage);
        for (run, all) in folded(&reader) {
            let loaded = reader.state::<Jobs>(run, None, Start::Snapshot).unwrap();
            prop_assert!(loaded.findings.is_empty());
            prop_assert_eq!(&loaded.standing.state, &all.state);
            let until = Seq::new(until);
            let part = reader.state::<Jobs>(run, until, Start::Snapshot).unwrap().standing;
            let origin = reader.state::<Jobs>(run, until, Start::Origin).unwrap().standing;
            prop_assert_eq!((&part.state, part.revision), (&origin.state, origin.revision));
        }
        let report = crate::fold::check_with::<Jobs>(&reader, &crate::fold::CheckOptions {
            twice: true, snapshots: true, ..Default::default()
        }).unwrap();
        prop_assert_eq!(report.divergences().count(), 0);
        let snapshots = Snapshots::new(Arc::clone(&storage) as Arc<dyn Storage>).list().unwrap();
        prop_assert!(snapshots.findings.is_empty());
    }

    #[test]
    fn fold_any_number_of_threads_gives_the_same_bytes(steps in steps(), threads in 1_usize..5) {
        let storage = write(&steps);
        let reader = read(&storage);
        let alone: BTreeMap<Option<Seq>, Vec<u8>> = folded(&reader)
            .into_iter()
            .map(|(run, standing)| (run, crate::fold::canonical_bytes(&standing.state).unwrap()))
            .collect();
        // Each thread folds the runs that fall to it, over one reader, and all of them at the same time.
        let work = |place: usize| {
            let runs = alone.keys().copied().skip(place).step_by(threads);
            let states = runs.map(|run| (run, reader.state::<Jobs>(run, None, Start::Snapshot).unwrap().standing));
            states.map(|(run, it)| (run, crate::fold::canonical_bytes(&it.state).unwrap())).collect::<Vec<_>>()
        };
        let together: BTreeMap<_, _> = std::thread::scope(|scope| {
            let work = &work;
            let handles: Vec<_> = (0..threads).map(|place| scope.spawn(move || work(place))).collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        prop_assert_eq!(together, alone);
    }

    #[test]
    fn fold_runs_do_not_influence_each_other_and_hints_nobody(steps in steps()) {
        let alone: Vec<Step> = steps.iter().filter(|step| step.run == steps[0].run).cloned().collect();
        let quiet: Vec<Step> = steps.iter().cloned().map(|step| Step { hint: false, checkpoint: false, ..step }).collect();
        // Seqs and revisions leave traces in the state, so the comparison is over what they do not reach.
        let seen = |storage: &Arc<Memory>, run: u8| {
            let reader = read(storage);
            let run = reader.find_run(&format!("run-{run}")).unwrap().run;
            let state = reader.state::<Jobs>(Some(run), None, Start::Origin).unwrap().standing.state;
            (state.open, state.failed, state.last)
        };
        let together = write(&steps);
        prop_assert_eq!(seen(&together, steps[0].run), seen(&write(&alone), steps[0].run));
        let quiet = write(&quiet);
        for step in &steps {
            prop_assert_eq!(seen(&together, step.run), seen(&quiet, step.run));
        }
        let all = |storage: &Arc<Memory>| read(storage).state::<AllJobs>(None, None, Start::Origin).unwrap().standing;
        prop_assert_eq!(all(&together).events, all(&quiet).events);
    }
}

#[test]
fn fold_missing_events_make_a_state_incomplete_and_keep_it_from_being_compared() {
    let storage = super::nightly(3);
    let run = open(&storage).run("nightly").unwrap().number();
    let reader = read(&storage);
    let mut folding = Folding::<Jobs>::new().unwrap();
    reader
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            if record.seq.get() != 6 && record.seq.get() != 7 {
                folding.take(&record)?;
            }
            Ok(true)
        })
        .unwrap();
    let standing = folding.into_standing(Some(run)).unwrap();
    assert_eq!(standing.missing.len(), 1);
    assert_eq!(standing.missing[0].to_string(), "2 events are missing between seq 5 and seq 8");
    let snapshots = Snapshots::of(&reader).unwrap();
    assert_eq!(snapshots.create(&open(&storage), Some(run), &standing).unwrap_err().code(), "T0512");
}
