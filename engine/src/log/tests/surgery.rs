//! Segments cut short, zeroed, deleted, duplicated, swapped, replaced.

use super::damage_kit::{
    Files, Intact, append, check, files_of, intact, kinds, lost, number, ranges, segment_name, store_of, verified,
};
use crate::lab_result::tell;
use crate::storage::{Disk, Memory};
use crate::{Journal, SeqRange, Severity, VerifyReport, verify_lone};
use std::sync::Arc;

/// Runs a check for every number below a bound, on two threads.
fn on_two_threads(bound: usize, check: &(dyn Fn(usize) + Sync)) {
    std::thread::scope(|scope| {
        for remainder in 0..2 {
            scope.spawn(move || (remainder..bound).step_by(2).for_each(check));
        }
    });
}

fn merged(mut ranges: Vec<SeqRange>) -> Vec<SeqRange> {
    ranges.sort_unstable_by_key(|range| range.first);
    let mut merged: Vec<SeqRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(before) if before.last + 1 >= range.first => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}

#[test]
fn truncate_every_byte() {
    let log = intact(12 << 10, 40);
    let newest = u32::try_from(log.frames.len()).unwrap();
    let _cuts = truncate_segments(&log, &[2, newest]);
}

#[test]
#[ignore = "takes about a minute; `just lab --only truncation`"]
fn truncate_every_byte_of_64_kib() {
    tell("truncation", &["P4", "P5"], || (truncate_segments(&intact(20 << 10, 70), &[1, 2, 3]), vec![]));
}

/// Cuts segments at every byte, and counts the cuts.
fn truncate_segments(log: &Intact, segments: &[u32]) -> u64 {
    let mut cuts = 0;
    for segment in segments.iter().copied() {
        let name = segment_name(segment);
        let written = usize::try_from(log.frames[&number(segment)].last().unwrap().end).unwrap();
        on_two_threads(written, &|cut| {
            let mut files = log.files.clone();
            files.get_mut(&name).unwrap().truncate(cut);
            let report = verified(&store_of(&files));
            // A frame ends with its padding: without it, it is not whole.
            let frames = log.frames[&number(segment)].iter().filter(|frame| frame.end > cut as u64);
            let expected = ranges(&frames.copied().collect::<Vec<_>>());
            assert_eq!(lost(&report), expected, "segment {segment} cut at {cut}: {report:#?}");
            assert_eq!(report.severity, Severity::Damaged, "segment {segment} cut at {cut}: {report:#?}");
            assert!(report.findings.iter().filter(|finding| !finding.lost.is_empty()).count() <= 1);
        });
        cuts += written as u64;
    }
    cuts
}

#[test]
fn zero_every_block() {
    tell("zeroed-blocks", &["P4", "P5"], || (zero_blocks(), vec![]));
}

/// Zeroes every block of 512 bytes and of 4 KiB, and counts them.
fn zero_blocks() -> u64 {
    let log = intact(20 << 10, 70);
    let mut count = 0;
    for segment in 1..=u32::try_from(log.frames.len()).unwrap() {
        let name = segment_name(segment);
        for block_len in [512, 4096] {
            let blocks = log.files[&name].len().div_ceil(block_len);
            count += blocks as u64;
            on_two_threads(blocks, &|block| {
                let mut files = log.files.clone();
                let bytes = files.get_mut(&name).unwrap();
                let end = bytes.len().min((block + 1) * block_len);
                bytes[block * block_len..end].fill(0);
                if bytes == &log.files[&name] {
                    return;
                }
                let report = verified(&store_of(&files));
                let hit = log.hit(segment, (block * block_len) as u64..end as u64);
                let tell = || format!("segment {segment} block {block} of {block_len}: {hit:#?} {report:#?}");
                assert_eq!(lost(&report), ranges(&hit), "{}", tell());
                assert_eq!(report.severity, Severity::Damaged, "{}", tell());
            });
        }
    }
    count
}

/// The same log some events ago, and a log of another id with the same events.
fn older_and_foreign(events: u32) -> (Files, Files) {
    let memory = Memory::new();
    let journal =
        Journal::options().create(true).segment_len_bytes(12 << 10).open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..events);
    journal.close().unwrap();
    let older = files_of(&memory);
    let memory = Memory::new();
    let options = Journal::options().create(true).segment_len_bytes(12 << 10);
    // The second id that this storage draws.
    let _first_id = crate::storage::Storage::random_id(&memory).unwrap();
    let journal = options.open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..events + 20);
    journal.close().unwrap();
    (older, files_of(&memory))
}

fn damaged(report: &VerifyReport, expected: &[SeqRange], what: &str) {
    assert_eq!(lost(report), expected, "{what}: {report:#?}");
    assert_eq!(report.severity, Severity::Damaged, "{what}: {report:#?}");
}

#[test]
fn delete_every_subset() {
    let log = intact(12 << 10, 40);
    let count = u32::try_from(log.frames.len()).unwrap();
    assert!(count >= 4, "{count}");
    for subset in 1..(1_u32 << count) {
        let mut files = log.files.clone();
        let gone: Vec<u32> = (1..=count).filter(|segment| subset >> (segment - 1) & 1 == 1).collect();
        gone.iter().for_each(|segment| drop(files.remove(&segment_name(*segment))));
        let report = verified(&store_of(&files));
        let expected = merged(gone.iter().map(|segment| log.seqs(*segment)).collect());
        damaged(&report, &expected, &format!("without {gone:?}"));
        let groups = merged(gone.iter().map(|s| SeqRange { first: (*s).into(), last: (*s).into() }).collect());
        assert_eq!(kinds(&report), vec!["SEGMENT_MISSING"; groups.len()], "without {gone:?}: {report:#?}");
    }
}

#[test]
fn duplicate_swap_and_replace_every_pair() {
    let log = intact(12 << 10, 40);
    let count = u32::try_from(log.frames.len()).unwrap();
    let (_, foreign) = older_and_foreign(30);
    for (one, two) in (1..=count).flat_map(|one| (1..=count + 1).map(move |two| (one, two))) {
        let (name, other) = (segment_name(one), segment_name(two));
        let gone = if two > count { vec![] } else { vec![log.seqs(two)] };
        if one != two {
            let mut files = log.files.clone();
            files.insert(other.clone(), log.files[&name].clone());
            let report = verified(&store_of(&files));
            damaged(&report, &gone, &format!("{one} over {two}"));
            assert_eq!(kinds(&report), ["CHAIN"], "{one} over {two}: {report:#?}");
        }
        let mut files = log.files.clone();
        files.insert(other.clone(), foreign[&name].clone());
        let report = verified(&store_of(&files));
        damaged(&report, &gone, &format!("foreign {one} over {two}"));
        assert_eq!(kinds(&report), ["CHAIN"], "foreign {one} over {two}: {report:#?}");
        if one < two && two <= count {
            let mut files = log.files.clone();
            files.insert(other.clone(), log.files[&name].clone());
            files.insert(name.clone(), log.files[&other].clone());
            let report = verified(&store_of(&files));
            damaged(&report, &[], &format!("{one} and {two} swapped"));
            assert_eq!(kinds(&report), ["CHAIN", "CHAIN"], "{one} and {two} swapped: {report:#?}");
            assert_eq!(report.totals.events, log.last);
        }
    }
}

#[test]
fn an_older_copy_of_any_segment_is_named_with_what_it_lacks() {
    let log = intact(12 << 10, 40);
    for events in 1..40 {
        let (older, _) = older_and_foreign(events);
        let segment = u32::try_from(older.keys().filter(|name| name.starts_with("segments/")).count()).unwrap();
        let name = segment_name(segment);
        let copy = store_of(&older);
        let had = verified(&copy).last_seq;
        if older[&name] == log.files[&name] {
            continue;
        }
        let mut files = log.files.clone();
        files.insert(name.clone(), older[&name].clone());
        let report = verified(&store_of(&files));
        let last = log.seqs(segment).last;
        // The first registrations are part of the same events, so the older log is a prefix of the newer one.
        let expected = if had < last { vec![SeqRange { first: had + 1, last }] } else { vec![] };
        damaged(&report, &expected, &format!("segment {segment} of {events} events ago"));
    }
}

#[test]
fn a_lone_segment_is_verified_with_its_names() {
    let log = intact(12 << 10, 40);
    let store = store_of(&log.files);
    for (segment, frames) in &log.frames {
        let name = segment_name(segment.get());
        let open = || crate::storage::Storage::open(&store, &name, crate::storage::OpenMode::Read).unwrap();
        let report = verify_lone(open().into(), &crate::VerifyOptions::default(), &mut |_, _| {}).unwrap();
        assert_eq!((report.severity, report.findings.len()), (Severity::Clean, 0), "{segment}: {report:#?}");
        let events = frames.iter().filter(|frame| frame.header.kind.takes_seq()).count();
        assert_eq!((report.totals.events, report.totals.lost), (events as u64, 0));
        assert_eq!(report.totals.bytes_checked, report.totals.bytes_total);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the times of files are not known to the seam")]
fn verifying_leaves_bytes_names_and_times_as_they_were() {
    use std::os::unix::fs::MetadataExt;
    let directory = std::env::temp_dir().join(format!("taffrail-verify-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let disk = Disk::new(&directory);
    let journal =
        Journal::options().create(true).segment_len_bytes(12 << 10).open_on(Arc::new(Disk::new(&directory))).unwrap();
    append(&journal, 0..40);
    journal.close().unwrap();
    let look = || {
        let mut seen = Vec::new();
        for place in ["", "segments"] {
            for entry in std::fs::read_dir(directory.join(place)).unwrap() {
                let entry = entry.unwrap();
                let data = entry.metadata().unwrap();
                seen.push((entry.file_name(), data.len(), data.mtime_nsec(), data.ctime_nsec(), data.mode()));
            }
        }
        seen.sort();
        (seen, files_of(&disk))
    };
    let before = look();
    assert_eq!(verified(&disk).severity, Severity::Clean);
    assert_eq!(look(), before);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn stat_counts_what_the_log_holds_and_passes_over_damage() {
    let log = intact(12 << 10, 40);
    let report = crate::stat(&store_of(&log.files), 2).unwrap();
    assert_eq!((report.counts.events, report.counts.first_seq, report.counts.last_seq), (log.last, 1, log.last));
    let by_type: u64 = report.types.iter().map(|entry| entry.counts.events).sum();
    let by_segment: u64 = report.segments.iter().map(|entry| entry.counts.events).sum();
    assert_eq!((by_type, by_segment, report.durable), (log.last, log.last, log.last));
    assert!(report.types.iter().any(|entry| entry.name == "step.done" && entry.version == 1));
    assert!(report.top_runs.iter().all(|run| run.name.is_some()) && report.store_events > 0);
    assert_eq!((report.findings, report.runs), (0, report.top_runs.len() as u64));
    let mut files = log.files.clone();
    files.get_mut(&segment_name(2)).unwrap()[6000] ^= 1;
    let damaged = crate::stat(&store_of(&files), 2).unwrap();
    assert_eq!((damaged.counts.events, damaged.findings), (log.last - 1, 1));
}

#[test]
fn the_chain_is_checked_without_the_frames() {
    let log = intact(12 << 10, 40);
    let report = check(&store_of(&log.files), crate::Depth::Chain);
    assert_eq!((report.severity, report.totals.events, report.totals.lost), (Severity::Clean, log.last, 0));
    assert!(report.totals.bytes_checked < report.totals.bytes_total);
    let mut files = log.files.clone();
    files.remove(&segment_name(2));
    let report = check(&store_of(&files), crate::Depth::Chain);
    damaged(&report, &[log.seqs(2)], "without the second, by the chain");
}
