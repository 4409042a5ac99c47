//! Power cuts and disks that fail, at every call.

use super::kit::{bundle_bytes, bytes_of, events, fill, go_on, import_into, memory, options, sample};
use crate::bundle::export;
use crate::storage::{Fault, SimDisk, Storage};
use crate::{ErrorKind, Reader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of a store that tell what it is; hints and locks are nobody's business.
fn told(storage: &dyn Storage) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(directory) = left.pop() {
        for entry in storage.list(&directory).unwrap_or_default() {
            let name = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            if entry.kind == crate::storage::EntryKind::Directory {
                left.push(name);
            } else if !["LOCK", "watermark", "runs.idx"].contains(&name.as_str()) {
                found.insert(name, entry.len_bytes);
            }
        }
    }
    found
}

#[test]
fn a_restore_is_whole_or_not_at_all_whenever_the_power_goes() {
    crate::lab_result::tell("bundle-restore-crashes", &["P1", "P2", "P5"], crash_restores);
}

fn crash_restores() -> (u64, Vec<(&'static str, u64)>) {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    content.blobs = vec![300];
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let expected = events(&store);
    let restore = |sim: &SimDisk| import_into(&(Arc::new(sim.process(1)) as Arc<dyn Storage>), &bytes).is_ok();
    let empty = SimDisk::new(21);
    let start = empty.next_operation();
    let whole = empty.clone();
    assert!(restore(&whole));
    let (mut before, mut after) = (0, 0);
    for operation in start..whole.next_operation() {
        for (number, fault) in [Fault::CrashBefore, Fault::CrashAfter].into_iter().enumerate() {
            let sim = empty.clone();
            sim.inject(operation, fault);
            restore(&sim);
            let cut = sim.power_cut(operation * 2 + number as u64);
            let storage: Arc<dyn Storage> = Arc::new(cut.process(2));
            match Reader::open_on(Arc::clone(&storage)) {
                Ok(reader) if reader.next_seq().unwrap() != crate::Seq::FIRST => {
                    assert_eq!(events(&storage), expected, "{operation} {fault:?}");
                    after += 1;
                }
                Ok(_) => panic!("{operation} {fault:?}: a store without events of some log"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{operation} {fault:?}: {error}");
                    before += 1;
                }
            }
            // Once more, and it is there.
            assert!(restore(&cut), "{operation} {fault:?}");
            let storage: Arc<dyn Storage> = Arc::new(cut.process(3));
            assert_eq!(events(&storage), expected, "{operation} {fault:?}");
            // A crash between the creation and the content of the settings had left an empty file, which the next restore took
            // for the store's own: the bundle of that lacked them.
            assert!(bundle_bytes(&storage, None).0 == bytes, "{operation} {fault:?}");
            assert!(
                storage.entry("restoring").unwrap().is_none() && storage.entry("segments.restoring").unwrap().is_none()
            );
        }
    }
    assert!(before > 30 && after > 4, "{before} {after}");
    (before + after, vec![("as_before", before), ("restored", after)])
}

#[test]
fn a_disk_that_fills_up_or_fails_takes_a_restore_back() {
    crate::lab_result::tell("bundle-restore-faults", &["P1", "P5"], fail_restores);
}

fn fail_restores() -> (u64, Vec<(&'static str, u64)>) {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let empty = SimDisk::new(22);
    let process: Arc<dyn Storage> = Arc::new(empty.process(1));
    options().open_on(Arc::clone(&process)).unwrap().close().unwrap();
    let was = told(&*process);
    let start = empty.next_operation();
    let whole = empty.clone();
    import_into(&(Arc::new(whole.process(2)) as Arc<dyn Storage>), &bytes).unwrap();
    let (mut cases, mut failed) = (0, 0);
    for operation in start..whole.next_operation() {
        for failure in [crate::storage::Failure::NoSpace, crate::storage::Failure::InputOutput] {
            let sim = empty.clone();
            cases += 1;
            sim.inject(operation, Fault::Fail(failure));
            let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
            let outcome = import_into(&storage, &bytes);
            let Ok(reader) = Reader::open_on(Arc::clone(&storage)) else {
                assert!(outcome.is_err());
                continue;
            };
            if reader.next_seq().unwrap() == crate::Seq::FIRST {
                let failure = outcome.expect_err("nothing is there");
                assert_eq!(failure.error.kind(), ErrorKind::Io, "{operation}: {failure}");
                failed += 1;
                if failure.error.code() == "T0312" {
                    let left: Vec<String> =
                        told(&*storage).into_keys().filter(|name| !was.contains_key(name)).collect();
                    assert!(left.iter().all(|name| name.ends_with(".tmp")), "{operation}: {left:?}");
                }
            }
        }
    }
    assert!(failed > 30, "{failed}");
    (cases, vec![("taken_back", failed)])
}

/// Where the disk of the bundle fills up or fails, the file has no name that is a bundle's, and the store is as it was.
#[test]
fn a_disk_that_fills_up_or_fails_leaves_no_bundle_in_part() {
    let store = memory();
    let mut content = sample();
    content.batches.truncate(6);
    fill(&store, &content);
    let (bytes, _) = bundle_bytes(&store, None);
    let was = told(&*store);
    let empty = SimDisk::new(23);
    let root = empty.process(1);
    root.create_dir("").and_then(|_| root.sync_dir("")).and_then(|()| root.sync_parent()).unwrap();
    let start = empty.next_operation();
    let whole = empty.clone();
    export(&store, None, &whole.process(1), "b", &mut go_on).unwrap();
    for operation in start..whole.next_operation() {
        let failures = [crate::storage::Failure::NoSpace, crate::storage::Failure::InputOutput].map(Fault::Fail);
        for fault in failures.into_iter().chain([Fault::CrashBefore, Fault::CrashAfter]) {
            let sim = empty.clone();
            sim.inject(operation, fault);
            let outcome = export(&store, None, &sim.process(1), "b", &mut go_on);
            let shelf = if sim.is_crashed() { sim.power_cut(operation).process(2) } else { sim.process(2) };
            let is_there = shelf.entry("b").is_ok_and(|entry| entry.is_some());
            assert!(!is_there || bytes_of(&shelf, "b") == bytes, "{operation} {fault:?}: a bundle in part");
            assert!(is_there || outcome.is_err(), "{operation} {fault:?}");
            assert!(told(&*store) == was, "{operation} {fault:?}: an export only reads");
        }
    }
}
