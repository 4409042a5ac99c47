//! Segments that follow each other and become one file, beside those who read them.

use super::basics::{agreed, is_clean, store};
use super::kit::{
    Sum, authority, compact, events, finished, options, plan, prefix, reader, snapshots, states, ticks, whole_run,
};
use crate::compact::Originals;
use crate::storage::Storage;
use std::collections::BTreeMap;
use std::sync::Arc;

fn segment_files(storage: &Arc<dyn Storage>) -> Vec<String> {
    storage.list("segments").unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A compaction left as many files as there had been, each with next to nothing in it: a store that was compacted every day
/// had as many segments as one that never was, and each of them was opened by whatever read the log.
#[test]
fn what_is_left_of_segments_that_follow_each_other_becomes_one_file() {
    let storage = store();
    let before = (segment_files(&storage), events(&reader(&storage)), states::<Sum>(&reader(&storage)));
    let (plan, _) = compact(&storage, &finished(), Originals::Archived);
    let after = segment_files(&storage);
    assert_eq!(plan.segments.len(), 1, "{plan:#?}");
    let merged = plan.segments[0].segments.clone();
    assert!(merged.len() > 3, "{plan:#?}");
    let is_gone = |name: &&String| !merged[..merged.len() - 1].iter().any(|it| **name == format!("{it:010}.seg"));
    assert_eq!(after, before.0.iter().filter(is_gone).cloned().collect::<Vec<_>>());
    is_clean(&storage);
    let whole = reader(&storage).with_archives().unwrap().unwrap();
    assert_eq!(events(&whole)[..before.1.len()], before.1[..], "every event is in the archive, with its seq");
    assert_eq!(states::<Sum>(&whole), before.2);

    // What is compacted again is put together with what was put together before.
    snapshots(&storage);
    let journal = options().open_on(Arc::clone(&storage)).unwrap();
    ticks(&journal, "open", 700..760);
    journal.close().unwrap();
    let all = events(&reader(&storage).with_archives().unwrap().unwrap());
    let again = compact(&storage, &prefix(), Originals::Archived).0;
    let again = &again.segments[0].segments;
    assert!(again.len() > 1 && again.first() == merged.last(), "{again:?} after {merged:?}");
    is_clean(&storage);
    let left = events(&reader(&storage).with_archives().unwrap().unwrap());
    assert_eq!(left[..all.len()], all[..], "through two archives");

    // And an undo of each brings every file back.
    for _ in 0..2 {
        let undo = crate::repair::UndoPlan::make(&storage, None).unwrap();
        undo.apply(&storage, &agreed(undo.name())).unwrap();
        is_clean(&storage);
    }
    let files = segment_files(&storage);
    assert_eq!(files[..before.0.len()], before.0[..]);
    let back = events(&reader(&storage));
    assert!(back[..before.1.len()] == before.1[..] && back[..all.len()] == all[..]);
    assert!(reader(&storage).gaps().unwrap().is_empty());
}

/// Readers that were at work when files were put together: each gives every event that is still there once, in order, and those
/// that it had begun with.
#[test]
fn a_reader_goes_on_when_its_files_have_been_put_together() {
    let count = events(&reader(&store())).len();
    for is_reverse in [false, true] {
        for read_before in (0..count).step_by(7) {
            let storage = store();
            let mut beside = reader(&storage);
            let old: Vec<u64> = events(&beside).iter().map(|line| line.0).collect();
            let follow_from = reader(&storage);
            let mut follow = crate::Follow::new(follow_from, crate::Query::all()).unwrap();
            let query = if is_reverse { crate::Query::all().reverse() } else { crate::Query::all() };
            let mut half_read = beside.events(query).unwrap();
            let (mut seen, mut followed) = (Vec::new(), Vec::new());
            for _ in 0..read_before {
                seen.push(half_read.next().unwrap().unwrap().seq.get());
                followed.push(follow.next().unwrap().unwrap().seq.get());
            }
            compact(&storage, &finished(), Originals::Archived);
            while let Some(record) = half_read.next().unwrap() {
                seen.push(record.seq.get());
            }
            while let Some(record) = follow.next().unwrap() {
                followed.push(record.seq.get());
            }
            if is_reverse {
                seen.reverse();
            }
            let left: Vec<u64> = events(&reader(&storage)).iter().map(|line| line.0).collect();
            for (seen, is_following) in [(&seen, false), (&followed, true)] {
                let what =
                    format!("reverse {is_reverse}, {read_before} read before, following {is_following}: {seen:?}");
                assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{what}");
                let due = left.iter().filter(|seq| is_following || old.contains(seq));
                assert!(due.clone().all(|seq| seen.contains(seq)), "{what}");
                assert!(seen.iter().all(|seq| old.contains(seq) || left.contains(seq)), "{what}");
            }
            // What looks at the whole log looks at the files that there are.
            let runs = beside.runs().unwrap();
            assert_eq!(runs, reader(&storage).runs().unwrap());
            assert_eq!(beside.gaps().unwrap(), reader(&storage).gaps().unwrap());
            let last = crate::Seq::new(left[left.len() / 2]).unwrap();
            assert_eq!(beside.get(last).unwrap().map(|record| record.seq), Some(last));
            beside.refresh().unwrap();
            assert_eq!(events(&beside).iter().map(|line| line.0).collect::<Vec<_>>(), left);
        }
    }
}

/// Retention is one pass over the log, whatever the number of runs: the plan reads each segment once, and carrying it out reads
/// each that is replaced once, and what was written once.
#[test]
fn retention_reads_the_log_once_to_plan_and_once_to_carry_it_out() {
    use crate::storage::OperationKind as Kind;
    let disk = crate::storage::SimDisk::new(5);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(1));
    let journal = options().segment_len_bytes(256 << 10).open_on(Arc::clone(&storage)).unwrap();
    for run in 0..200 {
        whole_run(&journal, &format!("ended-{run}"), 0..24);
    }
    ticks(&journal, "open", 0..24);
    journal.close().unwrap();
    let log: u64 = storage.list("segments").unwrap().iter().map(|entry| entry.len_bytes).sum();
    let sizes = || -> BTreeMap<String, u64> {
        disk.files().into_iter().map(|file| (file.0.clone(), disk.file_bytes(&file.0).unwrap().len() as u64)).collect()
    };
    // What was asked for and is there: a window of a reader is longer than these files.
    let moved = |from: u64, mut before: BTreeMap<String, u64>| {
        before.extend(sizes());
        let (mut read, mut written) = (0, 0);
        for call in disk.ops().iter().filter(|call| call.index >= from) {
            let placed = call.name.split_once("/prepared/").map(|(_, name)| format!("segments/{name}"));
            let len = before.get(&*call.name).or_else(|| before.get(placed.as_deref().unwrap_or_default()));
            match call.kind {
                Kind::ReadAt => read += call.len_bytes.min(len.map_or(u64::MAX, |len| len.saturating_sub(call.offset))),
                Kind::WriteAt => written += call.len_bytes,
                _ => {}
            }
        }
        (read as f64 / log as f64, written as f64 / log as f64)
    };
    let (from, before) = (disk.next_operation(), sizes());
    let planned = plan(&storage, &finished(), Originals::Archived);
    let (read, written) = moved(from, before);
    assert!(planned.runs.len() > 190 && planned.segments[0].segments.len() > 4, "{:#?}", planned.segments);
    assert!(read < 1.3 && written == 0.0, "the plan read {read} times the log, and wrote {written}");
    let (from, before) = (disk.next_operation(), sizes());
    planned.apply(&storage, &authority(&planned), &mut |_| {}).unwrap();
    let (read, written) = moved(from, before);
    // This disk knows no second names, so the originals are copied to the archive, from what was read already.
    assert!(read < 1.5 && written < 1.2, "carrying it out read {read} times the log, and wrote {written}");
    is_clean(&storage);
}
