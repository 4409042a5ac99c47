//! Tails: torn, in flight, without a watermark; and bytes mutated at random.

use super::damage_kit::{Intact, append, files_of, intact, kinds, lost, number, segment_name, store_of, verified};
use crate::storage::{Memory, OpenMode, SimDisk, Storage, write_all_at};
use crate::{Journal, LockState, SegmentVerdict, SeqRange, Severity, SyncPolicy, TailVerdict};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

#[test]
fn a_store_without_a_watermark_is_judged_by_its_frames() {
    let log = intact(12 << 10, 40);
    let newest = u32::try_from(log.frames.len()).unwrap();
    let mut files = log.files.clone();
    files.remove("watermark");
    files.remove("LOCK");
    let report = verified(&store_of(&files));
    assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{report:#?}");
    // Rot in the last group may or may not have been acknowledged; before it, frames behind tell.
    for (place, frame) in log.frames[&number(newest)].iter().enumerate() {
        let mut files = files.clone();
        let byte = usize::try_from(frame.offset).unwrap() + 20;
        files.get_mut(&segment_name(newest)).unwrap()[byte] ^= 4;
        let report = verified(&store_of(&files));
        let seq = frame.header.seq.get();
        let expected = if frame.header.kind.takes_seq() { vec![SeqRange { first: seq, last: seq }] } else { vec![] };
        assert_eq!((lost(&report), report.severity), (expected, Severity::Damaged), "{place}: {report:#?}");
    }
}

#[test]
fn a_power_cut_leaves_a_torn_tail_at_most() {
    let mut torn = 0;
    for seed in 0..300 {
        let sim = SimDisk::new(seed);
        let options = Journal::options().create(true).sync(SyncPolicy::Never).segment_len_bytes(12 << 10);
        let journal = options.open_on(Arc::new(sim.process(1))).unwrap();
        append(&journal, 0..10);
        let durable = journal.sync().unwrap();
        append(&journal, 10..14);
        let report = verified(&sim.power_cut(seed).process(2));
        assert!(report.severity <= Severity::TornTail && report.totals.lost == 0, "{seed}: {report:#?}");
        assert!(report.last_seq >= durable, "{seed}: {report:#?}");
        if report.severity == Severity::TornTail {
            torn += 1;
            assert_eq!(kinds(&report), ["TORN_TAIL"], "{seed}: {report:#?}");
            assert_eq!(report.segments.last().unwrap().verdict, SegmentVerdict::TornTail);
        }
    }
    assert!(torn > 10, "{torn}");
}

/// A zeroed type table of a segment without events once passed for the end of the log: only zeros from the first frame on.
#[test]
fn an_empty_segment_without_its_type_table_is_damaged_and_loses_nothing() {
    let memory = Memory::new();
    Journal::options().create(true).open_on(Arc::new(memory.clone())).unwrap().close().unwrap();
    let files = files_of(&memory);
    let name = segment_name(1);
    let end = files[&name].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    assert_eq!(verified(&memory).severity, Severity::Clean);
    let judge = |change: &dyn Fn(&mut Vec<u8>), what: &str| {
        let mut files = files.clone();
        change(files.get_mut(&name).unwrap());
        let report = verified(&store_of(&files));
        assert_eq!((report.severity, report.totals.lost), (Severity::Damaged, 0), "{what}: {report:#?}");
        assert!(kinds(&report).contains(&"TYPE_TABLE"), "{what}: {report:#?}");
    };
    judge(&|bytes| bytes[4608..end].fill(0), "zeroed");
    judge(&|bytes| bytes[4608..4640].fill(0), "zeroed in part");
    (0..=4608).for_each(|len| judge(&|bytes| bytes.truncate(len), &format!("{len} bytes left")));
    for bit in 4608 * 8..end * 8 {
        judge(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8), &format!("bit {bit}"));
    }
}

/// Everything but the last group is acknowledged; the last group is being written at this moment, by a living process.
#[test]
fn beside_a_living_writer_nothing_is_damaged_or_ambiguous() {
    let memory = Memory::new();
    let options = Journal::options().create(true).segment_len_bytes(12 << 10);
    let journal = options.clone().open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..34);
    journal.close().unwrap();
    let before = files_of(&memory);
    let acknowledged = verified(&memory).last_seq;
    let journal = options.open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 35..36);
    journal.close().unwrap();
    let after = files_of(&memory);
    let name = before.keys().rfind(|name| name.starts_with("segments/")).unwrap();
    let held = LockState::Held { boot_id: memory.boot_id(), process_id: memory.process_id(), known: None }.encode();
    let (old, new) = (&before[name], &after[name]);
    let changed: Vec<usize> = (0..new.len()).filter(|place| old.get(*place) != Some(&new[*place])).collect();
    let (from, to) = (changed[0], *changed.last().unwrap() + 1);
    for at in from..=to {
        for zeroed_before in [true, false] {
            let mut files = before.clone();
            files.insert("LOCK".into(), held.to_vec());
            let file = files.get_mut(name).unwrap();
            let written = if zeroed_before { at..to } else { from..at };
            file[written.clone()].copy_from_slice(&new[written]);
            let report = verified(&store_of(&files));
            let tell = format!("{at} {zeroed_before}: {report:#?}");
            assert_eq!((report.severity, report.findings.len(), report.totals.lost), (Severity::Clean, 0, 0), "{tell}");
            let verdict = report.tail.as_ref().unwrap().verdict;
            assert!(matches!(verdict, TailVerdict::End | TailVerdict::InFlight), "{tell}");
            assert!(report.last_seq >= acknowledged, "{tell}");
        }
    }
}

/// A storage in which another process goes on writing whenever the reader waits.
#[test]
fn two_reads_that_differ_mean_that_somebody_writes() {
    #[derive(Debug)]
    struct Busy(Memory, String);
    impl Storage for Busy {
        fn open(&self, name: &str, mode: OpenMode) -> std::io::Result<Box<dyn crate::storage::StorageFile>> {
            self.0.open(name, mode)
        }
        fn list(&self, directory: &str) -> std::io::Result<Vec<crate::storage::Entry>> {
            self.0.list(directory)
        }
        fn entry(&self, name: &str) -> std::io::Result<Option<crate::storage::Entry>> {
            self.0.entry(name)
        }
        fn create_dir(&self, directory: &str) -> std::io::Result<bool> {
            self.0.create_dir(directory)
        }
        fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
            self.0.rename(from, to)
        }
        fn remove(&self, name: &str) -> std::io::Result<()> {
            self.0.remove(name)
        }
        fn remove_dir(&self, directory: &str) -> std::io::Result<()> {
            self.0.remove_dir(directory)
        }
        fn sync_dir(&self, directory: &str) -> std::io::Result<()> {
            self.0.sync_dir(directory)
        }
        fn sync_parent(&self) -> std::io::Result<()> {
            self.0.sync_parent()
        }
        fn free_bytes(&self) -> std::io::Result<Option<u64>> {
            self.0.free_bytes()
        }
        fn host(&self) -> &dyn crate::storage::Host {
            &self.0
        }
        fn sleep(&self, duration: std::time::Duration) {
            assert!(duration.as_millis() >= 50);
            let file = self.0.open(&self.1, OpenMode::Write).unwrap();
            write_all_at(&*file, file.len_bytes().unwrap() - 100, b"more").unwrap();
        }
    }
    let log = intact(12 << 10, 40);
    let newest = u32::try_from(log.frames.len()).unwrap();
    let mut files = log.files.clone();
    let end = usize::try_from(log.frames[&number(newest)].last().unwrap().end).unwrap();
    files.get_mut(&segment_name(newest)).unwrap()[end..end + 20].fill(0x5A);
    let still = verified(&store_of(&files));
    assert_eq!((kinds(&still), still.severity), (vec!["TORN_TAIL"], Severity::TornTail));
    let report = verified(&Busy(store_of(&files), segment_name(newest)));
    assert_eq!((report.findings.len(), report.severity), (0, Severity::Clean), "{report:#?}");
    assert_eq!(report.tail.unwrap().verdict, TailVerdict::InFlight);
    assert_eq!(report.segments.last().unwrap().verdict, SegmentVerdict::InFlight);
}

static LOG: LazyLock<Intact> = LazyLock::new(|| intact(12 << 10, 40));

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_verified_to_the_last_one(
        edits in prop::collection::vec((0_usize..4, 0_usize..13_000, prop::collection::vec(any::<u8>(), 0..300), 0_u8..4), 1..6),
    ) {
        let mut files = LOG.files.clone();
        for (segment, at, bytes, how) in edits {
            let name = segment_name(u32::try_from(segment).unwrap() + 1);
            let Some(file) = files.get_mut(&name) else { continue };
            let at = at.min(file.len());
            let end = file.len().min(at + bytes.len());
            match how {
                0 => file[at..end].copy_from_slice(&bytes[..end - at]),
                1 => file.truncate(at),
                2 => drop(file.splice(at..at, bytes)),
                _ => drop(file.drain(at..end)),
            }
        }
        let report = verified(&store_of(&files));
        prop_assert!(report.totals.lost <= LOG.last + 1);
        prop_assert!(report.severity != Severity::Clean || report.totals.lost == 0);
        prop_assert!(serde_json::to_string(&report).is_ok());
    }
}
