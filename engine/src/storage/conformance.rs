//! One suite over every storage: what the engine may rely on, whichever of them it runs on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Disk, Entry, EntryKind, Memory, OpenMode, SimDisk, Storage, StorageFile, Watched, read_full_at, write_all_at,
};

/// A directory of the real file system that goes away with the test. It does not exist at first.
pub(super) struct Scratch {
    pub(super) disk: Disk,
}

impl Scratch {
    /// A free path for the test of this name.
    pub(super) fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("taffrail-{}-{test}", std::process::id()));
        let _absent_is_fine = std::fs::remove_dir_all(&path);
        Scratch { disk: Disk::new(path) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _absent_is_fine = std::fs::remove_dir_all(self.disk.path());
    }
}

/// Runs a test over storages that have no root directory yet.
fn over_all_empty(test: &str, check: impl Fn(&dyn Storage)) {
    let scratch = Scratch::new(test);
    check(&scratch.disk);
    check(&Memory::new());
    check(&Watched::new(Arc::new(Memory::new()), |_, _| {}));
    check(&SimDisk::new(1).process(1));
}

/// Runs a test over storages that have an empty root directory.
fn over_all(test: &str, check: impl Fn(&dyn Storage)) {
    over_all_empty(test, |storage| {
        assert!(storage.create_dir("").unwrap(), "a new root: {storage:?}");
        check(storage);
    });
}

fn create(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Box<dyn StorageFile> {
    let file = storage.open(name, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
    file
}

fn bytes_of(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0xEE; usize::try_from(file.len_bytes().unwrap()).unwrap() + 10];
    let count = read_full_at(&*file, 0, &mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(outcome: io::Result<T>, kind: io::ErrorKind, storage: &dyn Storage) {
    assert_eq!(outcome.map_err(|error| error.kind()).expect_err("an error"), kind, "{storage:?}");
}

#[test]
fn a_missing_root_is_not_found_and_created_once() {
    over_all_empty("root", |storage| {
        assert_kind(storage.list(""), io::ErrorKind::NotFound, storage);
        assert_kind(storage.open("a", OpenMode::CreateNew), io::ErrorKind::NotFound, storage);
        assert_kind(storage.create_dir("segments"), io::ErrorKind::NotFound, storage);
        assert_eq!(storage.entry("a").unwrap(), None);
        assert!(storage.create_dir("").unwrap());
        assert!(!storage.create_dir("").unwrap());
        storage.sync_parent().unwrap();
        storage.sync_dir("").unwrap();
        assert_eq!(storage.list("").unwrap(), []);
    });
}

#[test]
fn reads_are_short_only_where_the_file_ends() {
    over_all("short", |storage| {
        let file = create(storage, "a", b"0123456789");
        let mut buffer = [0; 8];
        assert_eq!(read_full_at(&*file, 6, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"6789");
        assert_eq!(file.read_at(10, &mut buffer).unwrap(), 0);
        assert_eq!(file.read_at(1 << 40, &mut buffer).unwrap(), 0);
        assert_eq!(file.read_at(0, &mut []).unwrap(), 0);
        assert_eq!(file.write_at(20, &[]).unwrap(), 0);
        assert_eq!(file.len_bytes().unwrap(), 10, "an empty write extends nothing");
    });
}

#[test]
fn a_write_behind_the_end_leaves_zeros_between() {
    over_all("hole", |storage| {
        let file = create(storage, "a", &[0xFF; 700]);
        write_all_at(&*file, 9_000, b"end").unwrap();
        let bytes = bytes_of(storage, "a");
        assert_eq!(bytes.len(), 9_003);
        assert!(bytes[..700].iter().all(|byte| *byte == 0xFF));
        assert!(bytes[700..9_000].iter().all(|byte| *byte == 0));
        assert_eq!(&bytes[9_000..], b"end");
    });
}

#[test]
fn what_a_cut_removed_does_not_come_back() {
    over_all("set_len", |storage| {
        let file = create(storage, "a", &[0xFF; 5_000]);
        file.set_len(100).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 100);
        file.set_len(10_000).unwrap();
        let bytes = bytes_of(storage, "a");
        assert_eq!(bytes.len(), 10_000);
        assert!(bytes[..100].iter().all(|byte| *byte == 0xFF));
        assert!(bytes[100..].iter().all(|byte| *byte == 0));
        file.set_len(0).unwrap();
        assert_eq!(bytes_of(storage, "a"), b"");
    });
}

#[test]
fn create_new_takes_only_a_free_name_and_the_others_only_a_taken_one() {
    over_all("create_new", |storage| {
        create(storage, "a", b"first");
        assert_kind(storage.open("a", OpenMode::CreateNew), io::ErrorKind::AlreadyExists, storage);
        assert_eq!(bytes_of(storage, "a"), b"first");
        assert_kind(storage.open("b", OpenMode::Read), io::ErrorKind::NotFound, storage);
        assert_kind(storage.open("b", OpenMode::Write), io::ErrorKind::NotFound, storage);
        assert_kind(storage.open("no/b", OpenMode::CreateNew), io::ErrorKind::NotFound, storage);
        assert_kind(storage.open("a/b", OpenMode::CreateNew), io::ErrorKind::NotADirectory, storage);
        storage.create_dir("d").unwrap();
        assert_kind(storage.open("d", OpenMode::Read), io::ErrorKind::IsADirectory, storage);
        assert_kind(storage.open("d", OpenMode::Write), io::ErrorKind::IsADirectory, storage);
        assert_kind(storage.open("d", OpenMode::CreateNew), io::ErrorKind::AlreadyExists, storage);
        assert_kind(storage.create_dir("a"), io::ErrorKind::AlreadyExists, storage);
        assert!(!storage.create_dir("d").unwrap());
    });
}

#[test]
fn a_file_opened_for_reading_refuses_changes() {
    over_all("read_only", |storage| {
        create(storage, "a", b"kept");
        let file = storage.open("a", OpenMode::Read).unwrap();
        assert!(file.write_at(0, b"lost").is_err(), "{storage:?}");
        assert!(file.set_len(0).is_err(), "{storage:?}");
        assert_eq!(bytes_of(storage, "a"), b"kept");
        let file = storage.open("a", OpenMode::Write).unwrap();
        write_all_at(&*file, 1, b"-").unwrap();
        assert_eq!(bytes_of(storage, "a"), b"k-pt");
    });
}

#[test]
fn a_rename_replaces_and_open_handles_keep_their_file() {
    over_all("rename", |storage| {
        storage.create_dir("d").unwrap();
        let old = create(storage, "d/a", b"old");
        let new = create(storage, "new", b"new");
        storage.rename("new", "d/a").unwrap();
        assert_eq!(bytes_of(storage, "d/a"), b"new");
        assert_eq!(storage.entry("new").unwrap(), None);
        let mut buffer = [0; 3];
        assert_eq!(read_full_at(&*old, 0, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer, b"old");
        write_all_at(&*new, 0, b"NEW").unwrap();
        assert_eq!(bytes_of(storage, "d/a"), b"NEW");
        storage.rename("d/a", "d/a").unwrap();
        assert_eq!(bytes_of(storage, "d/a"), b"NEW");
        assert_kind(storage.rename("nothing", "d/a"), io::ErrorKind::NotFound, storage);
        storage.create_dir("f").unwrap();
        assert_kind(storage.rename("d/a", "f"), io::ErrorKind::IsADirectory, storage);
        assert!(storage.rename("d/a", "d").is_err());
        assert_kind(storage.rename("d", "d/a"), io::ErrorKind::InvalidInput, storage);
        storage.rename("d", "e").unwrap();
        assert_eq!(bytes_of(storage, "e/a"), b"NEW");
        storage.sync_dir("e").unwrap();
    });
}

#[test]
fn removing_takes_files_and_empty_directories_apart() {
    over_all("remove", |storage| {
        storage.create_dir("d").unwrap();
        let file = create(storage, "d/a", b"still here");
        assert_kind(storage.remove_dir("d"), io::ErrorKind::DirectoryNotEmpty, storage);
        assert_kind(storage.remove_dir("d/a"), io::ErrorKind::NotADirectory, storage);
        assert!(storage.remove("d").is_err());
        storage.remove("d/a").unwrap();
        assert_kind(storage.remove("d/a"), io::ErrorKind::NotFound, storage);
        assert_eq!(file.len_bytes().unwrap(), 10);
        storage.remove_dir("d").unwrap();
        assert_kind(storage.remove_dir("d"), io::ErrorKind::NotFound, storage);
        assert_kind(storage.sync_dir("d"), io::ErrorKind::NotFound, storage);
        assert_eq!(storage.list("").unwrap(), []);
    });
}

#[test]
fn a_listing_is_sorted_and_tells_kind_and_length() {
    over_all("list", |storage| {
        for name in ["b", "a-1", "a", "Z", "é"] {
            create(storage, name, name.as_bytes());
        }
        storage.create_dir("a0").unwrap();
        create(storage, "a0/inner", b"");
        let file = |name: &str| Entry { name: name.into(), kind: EntryKind::File, len_bytes: name.len() as u64 };
        let directory = Entry { name: "a0".into(), kind: EntryKind::Directory, len_bytes: 0 };
        let expected = [file("Z"), file("a"), file("a-1"), directory.clone(), file("b"), file("é")];
        assert_eq!(storage.list("").unwrap(), expected);
        let names: Vec<_> = expected.into_iter().map(|entry| (entry.name, entry.kind)).collect();
        assert_eq!(storage.names("").unwrap(), names);
        assert_eq!(storage.entry("a0").unwrap(), Some(directory));
        assert_eq!(storage.entry("a0/inner").unwrap().map(|entry| entry.name), Some("inner".into()));
        assert_eq!(storage.entry("a0/none").unwrap(), None);
        assert_eq!(storage.entry("none/none").unwrap(), None);
        assert_kind(storage.entry("a/none"), io::ErrorKind::NotADirectory, storage);
        assert_kind(storage.list("a"), io::ErrorKind::NotADirectory, storage);
        assert_kind(storage.names("a"), io::ErrorKind::NotADirectory, storage);
    });
}

#[test]
fn names_that_are_not_plain_are_refused_before_anything_is_touched() {
    over_all("names", |storage| {
        storage.create_dir("d").unwrap();
        create(storage, "a", b"");
        for name in ["../x", "/abs", "a//b", "a\0b", "d/../x", "./x", "d/", "/", "..", "a\\b"] {
            for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateNew] {
                assert_kind(storage.open(name, mode), io::ErrorKind::InvalidInput, storage);
            }
            assert_kind(storage.list(name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.entry(name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.create_dir(name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.rename(name, "b"), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.rename("a", name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.remove(name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.remove_dir(name), io::ErrorKind::InvalidInput, storage);
            assert_kind(storage.sync_dir(name), io::ErrorKind::InvalidInput, storage);
        }
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateNew] {
            assert_kind(storage.open("", mode), io::ErrorKind::InvalidInput, storage);
        }
        assert_kind(storage.entry(""), io::ErrorKind::InvalidInput, storage);
        assert_kind(storage.remove(""), io::ErrorKind::InvalidInput, storage);
        assert_kind(storage.remove_dir(""), io::ErrorKind::InvalidInput, storage);
        assert_kind(storage.rename("a", ""), io::ErrorKind::InvalidInput, storage);
        assert_eq!(storage.list("").unwrap().len(), 2);
    });
}

#[test]
fn a_lock_excludes_other_handles_until_unlocked_or_dropped() {
    over_all("lock", |storage| {
        let first = create(storage, "LOCK", b"");
        let second = storage.open("LOCK", OpenMode::Write).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(first.try_lock().unwrap(), "its own lock is no obstacle");
        assert!(!second.try_lock().unwrap());
        second.unlock().unwrap();
        assert!(!second.try_lock().unwrap(), "nobody unlocks for another");
        first.unlock().unwrap();
        assert!(second.try_lock().unwrap());
        assert!(!first.try_lock().unwrap());
        drop(second);
        assert!(first.try_lock().unwrap(), "dropping the file frees its lock");
        storage.rename("LOCK", "moved").unwrap();
        let third = storage.open("moved", OpenMode::Read).unwrap();
        assert!(!third.try_lock().unwrap(), "the lock belongs to the file, not to its name");
    });
}

#[test]
fn syncs_and_advice_leave_the_bytes_as_they_are() {
    over_all("sync", |storage| {
        let file = create(storage, "a", &[7; 10_000]);
        file.start_writeback(0, 10_000);
        file.drop_cached(0, 10_000).unwrap();
        file.will_read_in_order();
        assert_eq!(bytes_of(storage, "a"), [7; 10_000]);
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        file.drop_cached(5, 1).unwrap();
        file.drop_cached(0, 0).unwrap();
        file.drop_cached(u64::from(u32::MAX), u64::MAX).unwrap();
        assert_eq!(bytes_of(storage, "a"), [7; 10_000]);
    });
}

#[test]
fn space_that_is_set_aside_reads_as_zeros_and_is_part_of_the_file() {
    over_all("allocate", |storage| {
        let file = create(storage, "a", &[7; 5_000]);
        file.allocate(5_000, 200_001).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 200_001);
        write_all_at(&*file, 100_000, &[8; 10]).unwrap();
        let bytes = bytes_of(storage, "a");
        let set = |range: std::ops::Range<usize>, value: u8| bytes[range].iter().all(|byte| *byte == value);
        assert!(set(0..5_000, 7) && set(5_000..100_000, 0) && set(100_000..100_010, 8) && set(100_010..200_001, 0));
    });
}

#[test]
fn clocks_move_on_and_ids_are_what_they_say() {
    over_all("clock", |storage| {
        let (before_ns, wall_before_ns) = (storage.monotonic_ns(), storage.now_ns());
        storage.sleep(Duration::from_millis(2));
        assert!(storage.monotonic_ns() - before_ns >= 2_000_000, "{storage:?}");
        assert!(storage.now_ns() > wall_before_ns, "{storage:?}");
        assert!(wall_before_ns > 1_600_000_000_000_000_000, "{storage:?}");
        assert_ne!(storage.boot_id(), [0; 16]);
        assert_eq!(storage.boot_id(), storage.boot_id());
        assert_ne!(storage.random_id().unwrap(), storage.random_id().unwrap());
        assert!(storage.process_alive(storage.process_id()), "{storage:?}");
        assert!(!storage.process_alive(u32::MAX));
        assert!(!storage.process_alive(0));
        assert_ne!(storage.free_bytes().unwrap(), Some(0));
    });
}
