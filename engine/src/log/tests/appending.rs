//! Appending through one and several journals.

use crate::storage::{Disk, Memory, SimDisk, Storage};
use crate::{Batch, ErrorKind, Expect, Journal, Listing, Options, SyncPolicy, TypeEntry};
use std::sync::Arc;

fn entry(name: &str) -> Arc<TypeEntry> {
    Arc::new(TypeEntry::json(name))
}

fn one(run: &str, expect: Expect, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create(run, expect);
    batch.event(Some(run), &entry("step.done"), payload);
    batch
}

fn storages() -> Vec<(&'static str, Arc<dyn Storage>)> {
    let directory = std::env::temp_dir().join(format!("taffrail-appending-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    vec![
        ("memory", Arc::new(Memory::new())),
        ("sim", Arc::new(SimDisk::new(1).process(1))),
        ("disk", Arc::new(Disk::new(&directory))),
    ]
}

fn small() -> Options {
    Journal::options().create(true).segment_len_bytes(8 << 10)
}

#[test]
fn a_store_is_made_appended_to_over_rotations_and_opened_again() {
    for (name, storage) in storages() {
        let journal = small().open_on(Arc::clone(&storage)).unwrap();
        for number in 0..200_u32 {
            let payload = format!("{{\"n\":{number}}}");
            let appended = journal.append(one("nightly", Expect::Any, payload.as_bytes())).unwrap();
            // One registration, one opening, then the events.
            assert_eq!(appended.last.get(), u64::from(number) + 3, "{name}");
            assert_eq!((appended.durable, appended.revision), (appended.last.get(), number + 2), "{name}");
        }
        journal.close().unwrap();
        assert!(Listing::read(&*storage).unwrap().segments.len() > 2, "{name}");
        let journal = small().open_on(Arc::clone(&storage)).unwrap();
        assert_eq!(journal.durable(), 202, "{name}");
        assert_eq!(journal.run("nightly").unwrap().revision(), 201, "{name}");
        let appended = journal.append(one("nightly", Expect::Revision(201), b"{}")).unwrap();
        assert_eq!((appended.last.get(), appended.revision), (203, 202), "{name}");
    }
}

#[test]
fn a_stale_revision_is_a_conflict_and_hands_the_batch_back() {
    let journal = small().open_on(Arc::new(Memory::new())).unwrap();
    journal.append(one("a", Expect::New, b"{}")).unwrap();
    let failed = journal.append(one("a", Expect::Revision(1), b"{\"kept\":1}")).unwrap_err();
    assert_eq!((failed.error.kind(), failed.batch.len()), (ErrorKind::Conflict, 1));
    let failed = journal.append(one("a", Expect::New, b"{}")).unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Conflict);
    let mut batch = Batch::new();
    let run = batch.run("unknown", Expect::Any);
    batch.event(Some(run), &entry("x"), b"{}");
    assert_eq!(journal.append(batch).unwrap_err().error.kind(), ErrorKind::NotFound);
    // Nothing of the refused batches is there.
    assert_eq!(journal.append(one("a", Expect::Revision(2), b"{}")).unwrap().last.get(), 4);
}

#[test]
fn one_type_has_one_schema_within_a_batch_too_and_the_table_has_an_end() {
    // Two schemas of one type in the batch that registers it were stored under one kind, and the second one's events would
    // have been decoded by the first one's. And a type for which the table has no room was written to the log all the same.
    let journal = small().open_on(Arc::new(Memory::new())).unwrap();
    let mut batch = Batch::new();
    let described = |name: &str, fingerprint: u8, len_bytes: usize| {
        let descriptor = vec![7; len_bytes];
        Arc::new(TypeEntry { fingerprint: Some([fingerprint; 32]), descriptor, ..TypeEntry::json(name) })
    };
    batch.event(None, &described("step.done", 1, 9), b"{}").event(None, &described("step.done", 2, 9), b"{}");
    let refused = journal.append(batch).unwrap_err();
    assert_eq!((refused.error.code(), refused.batch.len()), ("T0143", 2));
    let mut appended = 0;
    let refused = loop {
        let mut batch = Batch::new();
        batch.event(None, &described(&format!("t{appended}"), 1, TypeEntry::MAX_DESCRIPTOR_LEN_BYTES), b"{}");
        match journal.append(batch) {
            Ok(_) => appended += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.error.kind(), refused.error.code()), (ErrorKind::Invalid, "T0144"));
    assert!(appended > 50);
    // What is known can be appended all the same.
    let mut batch = Batch::new();
    batch.event(None, &described("t0", 1, TypeEntry::MAX_DESCRIPTOR_LEN_BYTES), b"{}");
    assert_eq!(journal.append(batch).unwrap().last.get(), 2 * appended + 1);
}

#[test]
fn journals_of_several_processes_append_in_turn_and_see_each_other() {
    let sim = SimDisk::new(7);
    let journals: Vec<Journal> =
        (1..=3).map(|process| small().open_on(Arc::new(sim.process(process))).unwrap()).collect();
    for number in 0..300_u64 {
        let journal = &journals[usize::try_from(number % 3).unwrap()];
        let revision = u32::try_from(number / 2).unwrap();
        let run = if number % 2 == 0 { "even" } else { "odd" };
        let expect = if revision == 0 { Expect::New } else { Expect::Revision(revision + 1) };
        let appended = journal.append(one(run, expect, &vec![b'x'; usize::try_from(number).unwrap()])).unwrap();
        assert_eq!(appended.revision, revision + 2);
    }
    drop(journals);
    let journal = small().open_on(Arc::new(sim.process(9))).unwrap();
    assert_eq!(journal.durable(), 303);
}

#[test]
fn many_threads_share_one_journal() {
    let journal = small().open_on(Arc::new(Memory::new())).unwrap();
    let mut seqs: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || {
                    let append =
                        |_| journal.append(one(&format!("run-{}", thread % 3), Expect::Any, b"{}")).unwrap().last.get();
                    (0..200).map(append).collect::<Vec<u64>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seqs.sort_unstable();
    // One registration and three openings are no appends.
    assert_eq!((seqs.len(), seqs.last().copied()), (1600, Some(1604)));
    seqs.dedup();
    assert_eq!(seqs.len(), 1600);
}

#[test]
fn an_exclusive_journal_gathers_in_memory_and_keeps_others_out() {
    let sim = SimDisk::new(3);
    let journal = small().exclusive(true).sync(SyncPolicy::Never).open_on(Arc::new(sim.process(1))).unwrap();
    for _ in 0..1000 {
        journal.append(one("a", Expect::Any, b"{\"some\":\"payload\"}")).unwrap();
    }
    let refused = small().lock_timeout_ms(20).open_on(Arc::new(sim.process(2))).unwrap_err();
    assert_eq!((refused.kind(), refused.message().contains("process 1")), (ErrorKind::Locked, true));
    assert_eq!(journal.sync().unwrap(), 1002);
    journal.close().unwrap();
    assert_eq!(small().open_on(Arc::new(sim.process(2))).unwrap().durable(), 1002);
}

#[test]
fn an_append_to_a_known_run_asks_nothing_of_the_disk() {
    // Bug: once a run stood in runs.idx only, every append to it opened a segment to compare the run's name: 6 us each.
    let disk = SimDisk::new(1);
    let options = small().segment_len_bytes(64 << 10).exclusive(true).sync(SyncPolicy::Never);
    let journal = options.clone().open_on(Arc::new(disk.process(1))).unwrap();
    journal.append(one("nightly", Expect::New, b"{}")).unwrap();
    journal.close().unwrap();
    let journal = options.open_on(Arc::new(disk.process(1))).unwrap();
    journal.append(one("nightly", Expect::Any, b"{}")).unwrap();
    disk.forget_ops();
    for _ in 0..50 {
        journal.append(one("nightly", Expect::Any, b"{}")).unwrap();
    }
    assert_eq!(disk.ops(), [], "all of it is in the buffer");
}
