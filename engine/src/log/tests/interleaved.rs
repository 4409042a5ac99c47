//! Threads and processes on one store, in every order that a scheduler comes up with: group commit, its leaders that fail
//! and panic, followers beside writers and rotations, and two processes that race for the lock.
//!
//! Needs `--cfg shuttle` (`just interleavings`). Half of the schedules are drawn at random; the other half by priorities that
//! change at a few points (PCT), which finds an error that takes `d` unlucky switches with a known probability. A deadlock, such
//! as a wake-up that nobody heard, is a failure like a false answer. `TAFFRAIL_SCHEDULES` sets their number for each
//! question. A failure prints its schedule, which `shuttle::replay` takes.

use super::interleaved_storage::{Harm, Interleaved};
use crate::storage::Storage;
use crate::{Batch, ErrorKind, Expect, Follow, Journal, Options, Query, Reader, Seq, TypeEntry};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner, thread};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const SCHEDULES: usize = 1_000;

fn explore(check: &str, promises: &str, body: fn()) {
    let schedules = std::env::var("TAFFRAIL_SCHEDULES").ok().and_then(|number| number.parse().ok());
    let schedules = schedules.unwrap_or(SCHEDULES);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.max_steps = MaxSteps::FailAfter(1_000_000);
        Runner::new(scheduler, config).run(body)
    };
    let ran = run(Box::new(RandomScheduler::new_from_seed(5, schedules / 2)))
        + run(Box::new(PctScheduler::new_from_seed(6, 3, schedules / 2)));
    println!(
        "lab-result {{\"check\":\"{check}\",\"promise\":{promises},\"cases\":{ran},\"failures\":0,\"skipped\":null,\
         \"figures\":{{\"schedules\":{ran}}}}}"
    );
}

fn options() -> Options {
    // Who waits for the lock waits for as long as it takes: time does not pass here.
    Journal::options().create(true).segment_len_bytes(8 << 10).lock_timeout_ms(u64::MAX)
}

fn batch(run: &str, payload: &str, filler: usize) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create(run, Expect::Any);
    let payload = format!("{{\"id\":\"{payload}\",\"x\":\"{}\"}}", "x".repeat(filler));
    batch.event(Some(run), &Arc::new(TypeEntry::json("tick")), payload.as_bytes());
    batch
}

/// Every event of the log by its seq: the id in its payload, or nothing for the log's own.
fn read(storage: &Interleaved) -> BTreeMap<u64, Option<String>> {
    let reader = Reader::open_on(Arc::new(storage.clone())).unwrap();
    let mut events = reader.events(Query::all()).unwrap();
    let mut found = BTreeMap::new();
    while let Some(record) = events.next().unwrap() {
        found.insert(record.seq.get(), record.entry.is_some().then(|| id(&record.payload)));
    }
    assert_eq!(found.keys().next_back().copied().unwrap_or(0), found.len() as u64, "dense");
    found
}

fn id(payload: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

/// Three threads of one program submit and wait in all manners: at once, in reverse, and for the second of two only.
#[test]
fn every_batch_is_answered_once_with_its_own_place_and_a_threads_batches_keep_their_order() {
    explore("interleaved-appends", r#"["P1","P2"]"#, || {
        let storage = Interleaved::new();
        let journal = Arc::new(options().open_on(Arc::new(storage.clone())).unwrap());
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let journal = Arc::clone(&journal);
                thread::spawn(move || {
                    let name = |which| format!("{number}-{which}");
                    let run = format!("run-{}", number % 2);
                    let first = journal.submit(batch(&run, &name("a"), 10));
                    let second = journal.submit(batch(&run, &name("b"), 900));
                    let mut seqs = Vec::new();
                    match number {
                        0 => seqs.push((name("a"), first.wait().unwrap())),
                        1 => {
                            let last = second.wait().unwrap();
                            let first = first.wait().unwrap();
                            assert!(first.last < last.first, "the order of a thread's own batches");
                            return vec![(name("a"), first), (name("b"), last)];
                        }
                        // Who drops a ticket does not take the batch back: it goes with the next one.
                        _ => drop(first),
                    }
                    seqs.push((name("b"), second.wait().unwrap()));
                    seqs
                })
            })
            .collect();
        let answers: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(journal.durable(), 3 * 2 + 3, "two runs, one type, six events");
        let events = read(&storage);
        for (name, appended) in &answers {
            assert_eq!(events[&appended.last.get()].as_ref(), Some(name), "the answer is the one of that batch");
            assert!(appended.durable >= appended.last.get());
        }
        let place = |name: &str| events.values().position(|id| id.as_deref() == Some(name)).unwrap();
        (0..3).for_each(|number| assert!(place(&format!("{number}-a")) < place(&format!("{number}-b"))));
    });
}

/// More than fits into one group: the lead goes on to somebody who waits.
#[test]
fn what_does_not_fit_into_one_group_is_led_by_somebody_who_waits() {
    explore("interleaved-leads", r#"["P1","P2"]"#, || {
        let storage = Interleaved::new();
        let journal = Arc::new(options().open_on(Arc::new(storage.clone())).unwrap());
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let journal = Arc::clone(&journal);
                thread::spawn(move || {
                    let _nobody_waits_for_it = (number == 0).then(|| journal.submit(batch("r", "dropped", 5)));
                    journal.append(batch("r", &format!("{number}"), 2_500)).unwrap().last.get()
                })
            })
            .collect();
        let seqs: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let events = read(&storage);
        seqs.iter().enumerate().for_each(|(number, seq)| assert_eq!(events[seq], Some(format!("{number}"))));
        assert!(events.values().any(|id| id.as_deref() == Some("dropped")));
    });
}

/// A write or a sync fails, or the thread that leads panics in it. Everybody is answered, by the truth: what was
/// acknowledged is there, and nothing is acknowledged afterwards.
#[test]
fn a_leader_that_fails_or_panics_answers_everybody_and_ends_the_journal() {
    explore("interleaved-leader-dies", r#"["P1","P2"]"#, || {
        let storage = Interleaved::new();
        let journal = Arc::new(options().open_on(Arc::new(storage.clone())).unwrap());
        let harm = if thread_rng().gen_bool(0.5) { Harm::Panic } else { Harm::Error };
        storage.trouble.at(thread_rng().gen_range(0..24), harm);
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let journal = Arc::clone(&journal);
                thread::spawn(move || {
                    let mut acknowledged = Vec::new();
                    for which in 0..2 {
                        let name = format!("{number}-{which}");
                        // The one that led may unwind; it has asked for nothing more.
                        match catch_unwind(AssertUnwindSafe(|| journal.append(batch("r", &name, 10)))) {
                            Ok(Ok(appended)) => acknowledged.push((name, appended.last.get())),
                            Ok(Err(failed)) => {
                                assert!([ErrorKind::Poisoned, ErrorKind::Io].contains(&failed.error.kind()));
                                assert!(failed.batch.len() == 1 || harm == Harm::Panic, "the batch comes back");
                            }
                            Err(_) => assert_eq!(harm, Harm::Panic),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let acknowledged: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        if !storage.trouble.end() {
            assert_eq!(acknowledged.len(), 6, "nothing had happened");
        }
        drop(Arc::into_inner(journal));
        let again = options().open_on(Arc::new(storage.clone())).unwrap();
        let last = again.append(batch("r", "again", 10)).unwrap();
        again.close().unwrap();
        let events = read(&storage);
        for (name, seq) in &acknowledged {
            assert_eq!(events[seq].as_ref(), Some(name), "acknowledged, and not there");
        }
        assert_eq!(events[&last.last.get()].as_deref(), Some("again"));
        let mut ids: Vec<_> = events.values().flatten().collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "none twice");
    });
}

/// A follower and a reader of other processes, beside a writer that rotates.
#[test]
fn a_follower_sees_every_event_once_in_order_and_never_damage_beside_a_writer_that_rotates() {
    explore("interleaved-follow", r#"["P2","P4","P9"]"#, || {
        let storage = Interleaved::new();
        drop(options().open_on(Arc::new(storage.clone())).unwrap());
        let (writing, following, reading) = (storage.clone(), storage.clone(), storage.clone());
        let writer = thread::spawn(move || {
            let journal = options().open_on(Arc::new(writing)).unwrap();
            for number in 0..5 {
                journal.append(batch("r", &format!("{number}"), 1500)).unwrap();
            }
            journal.close().unwrap();
        });
        let follower = thread::spawn(move || {
            let reader = Reader::open_on(Arc::new(following)).unwrap();
            let mut follow = Follow::new(reader, Query::all()).unwrap();
            let mut seen = 0;
            while seen < 7 {
                match follow.next().unwrap() {
                    Some(record) => {
                        seen += 1;
                        assert_eq!(record.seq, Seq::new(seen).unwrap());
                        let name = record.entry.is_some().then(|| id(&record.payload));
                        assert_eq!(name, (seen > 2).then(|| format!("{}", seen - 3)));
                    }
                    None => thread::yield_now(),
                }
            }
        });
        let reader = thread::spawn(move || {
            let before = read(&reading).len();
            assert!(read(&reading).len() >= before, "the log never shrinks");
        });
        for thread in [writer, follower, reader] {
            thread.join().unwrap();
        }
        assert!(storage.list("segments").unwrap().len() > 1, "it rotates");
    });
}

/// Two processes make one store and race for each append, with compare-and-set: exactly one wins each revision.
///
/// Bug: a process that found no store, and then a directory in which another process had just made one, took the other's
/// `segments` for somebody's files, and refused with T0306.
#[test]
fn two_processes_race_for_the_store_and_for_each_revision_and_one_wins() {
    explore("interleaved-processes", r#"["P1","P2"]"#, || {
        let storage = Interleaved::new();
        let processes: Vec<_> = (0..2)
            .map(|process| {
                let storage = storage.clone();
                thread::spawn(move || {
                    let journal = options().open_on(Arc::new(storage)).unwrap();
                    let mut won = Vec::new();
                    for revision in 0..3_u32 {
                        let mut batch = Batch::new();
                        let expect = if revision == 0 { Expect::New } else { Expect::Revision(revision + 1) };
                        let run = batch.run_or_create("r", expect);
                        let payload = format!("{{\"id\":\"{process}-{revision}\"}}");
                        batch.event(Some(run), &Arc::new(TypeEntry::json("tick")), payload.as_bytes());
                        match journal.append(batch) {
                            Ok(appended) => won.push((revision, process, appended.last.get())),
                            Err(failed) => assert_eq!(failed.error.kind(), ErrorKind::Conflict, "{}", failed.error),
                        }
                    }
                    journal.close().unwrap();
                    won
                })
            })
            .collect();
        let won: Vec<_> = processes.into_iter().flat_map(|process| process.join().unwrap()).collect();
        let events = read(&storage);
        for (revision, process, seq) in &won {
            assert_eq!(events[seq], Some(format!("{process}-{revision}")));
        }
        let mut revisions: Vec<u32> = won.iter().map(|(revision, ..)| *revision).collect();
        revisions.sort_unstable();
        let expected: Vec<u32> = (0..u32::try_from(revisions.len()).unwrap()).collect();
        assert_eq!(revisions, expected, "each revision once");
        assert!(!won.is_empty() && events.len() == won.len() + 2);
    });
}

/// Threads that prove ahead and the reader that they help: it is given each event once, in order, waits for nobody for ever, and
/// they end with it, wherever it stops.
#[test]
fn whoever_proves_a_piece_the_reader_is_given_each_event_once_and_in_order() {
    explore("interleaved-ahead", r#"["P9"]"#, || {
        let storage = Interleaved::new();
        let options = Journal::options().create(true).segment_len_bytes(256 << 10).lock_timeout_ms(u64::MAX);
        let journal = options.open_on(Arc::new(storage.clone())).unwrap();
        let mut written = Batch::new();
        let run = written.run_or_create("r", Expect::Any);
        let entry = Arc::new(TypeEntry::json("tick"));
        for number in 0..50 {
            let payload = format!("{{\"id\":\"{number}\",\"x\":\"{}\"}}", "x".repeat(900));
            written.event(Some(run), &entry, payload.as_bytes());
        }
        journal.append(written).unwrap();
        let reader = Reader::open_on(Arc::new(storage)).unwrap();
        for stop in [50, 17] {
            let mut events = reader.events(Query::all()).unwrap().prove_ahead(2);
            let mut ids = Vec::new();
            while ids.len() < stop
                && let Some(record) = events.next().unwrap()
            {
                ids.extend(record.entry.is_some().then(|| id(&record.payload)));
            }
            let expected: Vec<String> = (0..stop).map(|number| number.to_string()).collect();
            assert_eq!(ids, expected);
        }
    });
}
