//! Blobs are whole or not there, whatever happens while they are written.

use super::*;
use crate::ErrorKind;
use crate::storage::{Disk, Fault, Memory, OpenMode, SimDisk, write_all_at};

fn contents(number: u8) -> Vec<u8> {
    (0..1500_u32).map(|at| (at % 251) as u8 ^ number).collect()
}

#[test]
fn blobs_are_put_once_read_back_and_listed_on_every_storage() {
    let directory = std::env::temp_dir().join(format!("taffrail-blobs-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let storages: [Arc<dyn Storage>; 3] =
        [Arc::new(Memory::new()), Arc::new(SimDisk::new(5).process(1)), Arc::new(Disk::new(&directory))];
    for storage in storages {
        storage.create_dir("").unwrap();
        let mut blobs = Blobs::new(Arc::clone(&storage));
        blobs.list(|_, _| panic!("there are none")).unwrap();
        let first = blobs.put(b"").unwrap();
        assert!(first.is_new && !blobs.put(b"").unwrap().is_new);
        let long = contents(1).repeat(200);
        let fill =
            |sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>| long.chunks(1000).try_for_each(sink).map(|()| "told");
        let (kept, told) = blobs.put_from(fill).unwrap();
        assert_eq!((kept.digest, kept.len_bytes, told), (Digest::of(&long), long.len() as u64, "told"));
        assert!(!blobs.put_from(fill).unwrap().0.is_new);
        blobs.settle().unwrap();
        assert_eq!(blobs.get(&kept.digest, long.len()).unwrap(), long);
        assert_eq!(blobs.get(&kept.digest, long.len() - 1).unwrap_err().kind(), ErrorKind::Io);
        assert!(blobs.has(&kept.digest).unwrap() && !blobs.has(&Digest([0; 32])).unwrap());
        assert_eq!(blobs.get(&Digest([0; 32]), 1).unwrap_err().kind(), ErrorKind::NotFound);
        let mut listed = Vec::new();
        let mut take = |digest, len_bytes| {
            listed.push((digest, len_bytes));
            true
        };
        blobs.list(&mut take).unwrap();
        let mut expected = vec![(first.digest, 0), (kept.digest, long.len() as u64)];
        expected.sort();
        assert_eq!(listed, expected);
    }
    let _ = std::fs::remove_dir_all(&directory);
}

#[test]
fn a_damaged_blob_is_told_and_written_anew() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    storage.create_dir("").unwrap();
    let digest = Blobs::new(Arc::clone(&storage)).put(b"as it was").unwrap().digest;
    let file = storage.open(&name_of(&digest), OpenMode::Write).unwrap();
    write_all_at(&*file, 0, b"AS").unwrap();
    let mut blobs = Blobs::new(storage);
    assert_eq!(blobs.get(&digest, 100).unwrap_err().kind(), ErrorKind::Damaged);
    assert!(blobs.put(b"as it was").unwrap().is_new);
    assert_eq!(blobs.get(&digest, 100).unwrap(), b"as it was");
}

#[test]
fn a_failing_source_leaves_nothing() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    storage.create_dir("").unwrap();
    let mut blobs = Blobs::new(Arc::clone(&storage));
    let failed = blobs.put_from(|sink| {
        sink(b"half").unwrap();
        Err::<(), _>("gone")
    });
    assert!(matches!(failed, Err(PutError::Source("gone"))));
    assert!(storage.list(DIRECTORY).unwrap().is_empty());
}

/// Puts four blobs, two at a time, and returns those that may have been recorded.
fn work(sim: &SimDisk) -> Vec<u8> {
    let mut recorded = Vec::new();
    let mut blobs = Blobs::new(Arc::new(sim.process(1)));
    for pair in [[1, 2], [3, 2]] {
        let put = |blobs: &mut Blobs, number: u8| match number {
            2 => blobs.put_from(|sink| sink(&contents(2))).is_ok(),
            _ => blobs.put(&contents(number)).is_ok(),
        };
        if !pair.iter().all(|number| put(&mut blobs, *number)) || blobs.settle().is_err() {
            break;
        }
        recorded.extend(pair);
    }
    recorded
}

/// The order is what keeps the promise: a directory that was synced before its file was renamed into it, or a parent that
/// was forgotten, loses a recorded blob at some power cut.
#[test]
fn whenever_the_power_goes_a_recorded_digest_has_its_whole_blob() {
    let whole = SimDisk::new(11);
    whole.process(1).create_dir("").unwrap();
    whole.process(1).sync_parent().unwrap();
    let start = whole.next_operation();
    let run = whole.clone();
    assert_eq!(work(&run).len(), 4);
    let end = run.next_operation();
    for operation in start..=end {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let sim = whole.clone();
            sim.inject(operation, fault);
            let recorded = work(&sim);
            for seed in 0..8 {
                let after = sim.power_cut(seed);
                let blobs = Blobs::new(Arc::new(after.process(2)));
                for number in &recorded {
                    let digest = Digest::of(&contents(*number));
                    assert_eq!(blobs.get(&digest, 4096).unwrap(), contents(*number), "{operation} {fault:?} {seed}");
                }
                assert_eq!(work(&after).len(), 4, "{operation} {fault:?} {seed}");
            }
        }
    }
}

#[test]
fn a_killed_writer_leaves_no_lasting_trace() {
    let whole = SimDisk::new(12);
    whole.process(1).create_dir("").unwrap();
    let (start, run) = (whole.next_operation(), whole.clone());
    work(&run);
    for operation in start..run.next_operation() {
        let sim = whole.clone();
        sim.inject(operation, Fault::KillAfter);
        work(&sim);
        let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
        let mut blobs = Blobs::new(Arc::clone(&storage));
        blobs.put(&contents(9)).unwrap();
        let entries = storage.list(DIRECTORY).unwrap();
        assert!(!entries.iter().any(|entry| entry.name.ends_with(TEMPORARY)), "{operation}");
    }
}
