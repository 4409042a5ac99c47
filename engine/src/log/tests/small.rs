//! Small is cheap: a store with one run of fifty events, and space that nobody uses.

use crate::log::paths;
use crate::storage::{OpenMode, OperationKind, SimDisk, SimProcess, Storage};
use crate::{Expect, Journal, Query, Reader, SegmentNumber, SyncPolicy, TypeEntry};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that a store of one small run takes, at most.
const MOST_LEN_BYTES: u64 = 128 << 10;
/// Syncs that making a store takes, at most: its first segment, and the three directories that lead to it.
const MOST_SYNCS: usize = 4;

#[test]
fn a_store_of_fifty_events_takes_at_most_128_kib_and_four_syncs_to_make() {
    let sim = SimDisk::new(5);
    let journal = Journal::options().create(true).open_on(Arc::new(sim.process(1))).unwrap();
    let syncs = || {
        let is_sync = |kind: OperationKind| {
            kind.syncs_file() || matches!(kind, OperationKind::SyncDir | OperationKind::SyncParent)
        };
        sim.ops().iter().filter(|operation| is_sync(operation.kind)).count()
    };
    let made = syncs();
    assert!((1..=MOST_SYNCS).contains(&made), "{made} syncs");
    let mut appender = journal.run_or_create("nightly").unwrap().appender(&Arc::new(TypeEntry::json("step.done")));
    for number in 0..50 {
        appender
            .append(Expect::Any, format!("{{\"step\":{number},\"note\":\"{}\"}}", "x".repeat(200)).as_bytes())
            .unwrap();
    }
    // The run's opening and each event: one sync each.
    assert_eq!(syncs() - made, 51);
    drop(appender);
    journal.close().unwrap();
    let files = sim.files();
    // A file system sets whole blocks aside.
    let taken: u64 = files.values().map(|bytes| (bytes.len() as u64).next_multiple_of(4096)).sum();
    assert!(taken <= MOST_LEN_BYTES, "{taken} bytes: {:?}", files.keys());
}

fn append_some(journal: &Journal, count: u32) {
    let mut appender = journal.run_or_create("nightly").unwrap().appender(&Arc::new(TypeEntry::json("step.done")));
    for _ in 0..count {
        appender.append(Expect::Any, &[b'7'; 1000]).unwrap();
    }
}

/// Where the last frame of a store of one segment ends, and how long the segment's file is.
fn end_and_len(process: SimProcess) -> (u64, u64) {
    let storage: Arc<dyn Storage> = Arc::new(process);
    let mut end = 0;
    let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
    let mut events = reader.events(Query::all()).unwrap();
    events
        .for_each(|record| {
            end = record.offset + record.frame_len;
            Ok(true)
        })
        .unwrap();
    let file = storage.open(&paths::segment(SegmentNumber::FIRST), OpenMode::Read).unwrap();
    (end, file.len_bytes().unwrap())
}

#[test]
fn space_that_was_set_aside_and_not_used_is_given_back_and_zeros_ahead_stay() {
    for exclusive in [true, false] {
        for policy in [SyncPolicy::Never, SyncPolicy::Interval(Duration::from_secs(1)), SyncPolicy::Always] {
            let sim = SimDisk::new(6);
            let options = Journal::options().create(true).sync(policy).exclusive(exclusive);
            let journal = options.clone().open_on(Arc::new(sim.process(1))).unwrap();
            append_some(&journal, 150);
            journal.close().unwrap();
            let (end, len) = end_and_len(sim.process(2));
            assert!(end > 150_000);
            assert_eq!(len == end, policy != SyncPolicy::Always, "{policy:?}: {len} for {end}");
            // Who sets nothing aside takes nothing away.
            options.open_on(Arc::new(sim.process(3))).unwrap().close().unwrap();
            assert_eq!(end_and_len(sim.process(2)), (end, len));
        }
    }
}

#[test]
fn zeros_that_another_process_has_written_behind_what_was_set_aside_stay() {
    // Bug: who had set anything aside, at any time, cut the newest segment to its end, whoever had filled it with zeros since.
    let sim = SimDisk::new(8);
    let options = |policy| Journal::options().create(true).sync(policy);
    let setting_aside = options(SyncPolicy::Never).open_on(Arc::new(sim.process(1))).unwrap();
    append_some(&setting_aside, 100);
    let (_, set_aside) = end_and_len(sim.process(3));
    let filling = options(SyncPolicy::Always).open_on(Arc::new(sim.process(2))).unwrap();
    append_some(&filling, 150);
    let (end, len) = end_and_len(sim.process(3));
    assert!(len > set_aside && len > end, "{len}, {set_aside}, {end}");
    setting_aside.close().unwrap();
    assert_eq!(end_and_len(sim.process(3)), (end, len));
}

#[test]
fn zeros_ahead_that_another_process_has_cut_are_written_anew() {
    let sim = SimDisk::new(7);
    let journal = Journal::options().create(true).open_on(Arc::new(sim.process(1))).unwrap();
    append_some(&journal, 5);
    let (end, len) = end_and_len(sim.process(2));
    assert!(len > end);
    sim.process(2).open(&paths::segment(SegmentNumber::FIRST), OpenMode::Write).unwrap().set_len(end).unwrap();
    append_some(&journal, 1);
    let (end, len) = end_and_len(sim.process(2));
    assert!(len > end + 10_000, "{len} for {end}");
}
