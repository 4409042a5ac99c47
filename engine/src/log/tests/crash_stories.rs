//! Regressions: each test opens with the story of its bug.

use super::crash_reader::{Event, read_log};
use crate::storage::{Failure, Fault, Operation, OperationKind, SimDisk};
use crate::{Batch, ErrorKind, Expect, Journal, Kind, Options, SyncPolicy, TypeEntry};
use std::sync::Arc;

fn options() -> Options {
    Journal::options().create(true).segment_len_bytes(8 << 10).lock_timeout_ms(20)
}

fn open(disk: &SimDisk, process: u32, options: Options) -> Journal {
    options.open_on(Arc::new(disk.process(process))).unwrap()
}

fn one(run: &str, payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    let run = batch.run_or_create(run, Expect::Any);
    batch.event(Some(run), &Arc::new(TypeEntry::json("step.done")), payload);
    batch
}

/// The first call of a kind from an index on.
fn first(disk: &SimDisk, from: u64, wanted: impl Fn(&Operation) -> bool) -> u64 {
    let operations = disk.ops();
    operations.iter().find(|operation| operation.index >= from && wanted(operation)).unwrap().index
}

/// Appends until a call of a kind is made, and returns its index. To be done again on a new disk of the same seed.
fn fill(disk: &SimDisk, journal: &Journal) {
    let before = disk.files().len();
    while disk.files().len() == before && journal.append(one("nightly", &[b'x'; 400])).is_ok() {}
}

fn log_of(disk: &SimDisk) -> Vec<Event> {
    read_log(disk).unwrap()
}

#[test]
fn a_seal_whose_cut_was_lost_does_not_stop_the_log() {
    // Sealing a segment writes footer and seal, then trims the file. A process that was killed in between, or a power cut
    // that kept the seal and not the length, left a sealed segment with zeros behind it. Recovery found nothing to do, but
    // the footer is looked for at the file's end: "the sealed segment's footer can not be read back", and no append was
    // possible any more.
    let dry = SimDisk::new(1);
    fill(&dry, &open(&dry, 1, options()));
    let trim = first(&dry, 0, |operation| operation.kind == OperationKind::SetLen);
    for fault in [Fault::CrashBefore, Fault::KillBefore] {
        let disk = SimDisk::new(1);
        disk.inject(trim, fault);
        fill(&disk, &open(&disk, 1, options()));
        let disk = if disk.is_crashed() { disk.power_cut_mask(u64::MAX) } else { disk };
        let journal = open(&disk, 2, options());
        let head = journal.durable();
        assert_eq!(journal.append(one("nightly", b"{}")).unwrap().last.get(), head + 1);
        log_of(&disk);
    }
}

#[test]
fn a_store_whose_maker_was_killed_is_made_durable_by_the_next_process() {
    // The first process was killed between publishing the first segment and syncing the directories. The next one found a
    // segment, synced its directory, and acknowledged; but the entries of `segments` and of the store itself were not
    // durable, and a power cut took the whole store along.
    let dry = SimDisk::new(2);
    open(&dry, 1, options());
    let rename = first(&dry, 0, |operation| operation.kind == OperationKind::Rename);
    for behind in 1..5 {
        let disk = SimDisk::new(2);
        disk.inject(rename + behind, Fault::KillBefore);
        assert!(options().open_on(Arc::new(disk.process(1))).is_err());
        let acked = open(&disk, 2, options()).append(one("nightly", b"{}")).unwrap();
        let cut = disk.power_cut_mask(0);
        assert_eq!(log_of(&cut).last().map(|event| event.seq), Some(acked.last.get()), "{behind}");
    }
}

#[test]
fn a_failed_sync_of_what_others_wrote_is_not_left_behind_a_clean_lock() {
    // Under `Never`, a release leaves LOCK clean with frames that are not durable. `Journal::sync` took the lock and synced
    // without marking it. Where that sync failed, LOCK still said "clean": the next process did not distrust the page
    // cache, its own sync returned success, and what it acknowledged lay behind frames that the disk did not have.
    let written_lazily = || {
        let disk = SimDisk::new(3);
        let lazy = open(&disk, 1, options().sync(SyncPolicy::Never).segment_len_bytes(64 << 10));
        for _ in 0..8 {
            lazy.append(one("nightly", &[b'x'; 3000])).unwrap();
        }
        (disk, lazy)
    };
    let (dry, lazy) = written_lazily();
    let sync = next_sync(&dry, || drop(lazy.sync()));
    let (disk, lazy) = written_lazily();
    disk.inject(sync, Fault::FailedSync);
    assert_eq!(lazy.sync().unwrap_err().kind(), ErrorKind::Io);
    let careful = open(&disk, 2, options().segment_len_bytes(64 << 10));
    let acked = careful.append(one("nightly", b"{\"acked\":1}")).unwrap();
    let cut = disk.power_cut_mask(0);
    assert!(open(&cut, 3, options()).durable() >= acked.last.get());
    let log = log_of(&cut);
    assert_eq!(log[usize::try_from(acked.last.get()).unwrap() - 1].payload, b"{\"acked\":1}");
}

/// The index of the first sync of a file that an action makes.
fn next_sync(disk: &SimDisk, act: impl FnOnce()) -> u64 {
    let from = disk.next_operation();
    act();
    first(disk, from, |operation| operation.kind.syncs_file())
}

#[test]
fn a_process_notices_that_the_end_it_knew_was_cut() {
    // Under `Never` a process may know of events that are not durable. When another one's sync failed, and a third one
    // recovered and appended, the first went on from its own end if LOCK named a later place: it took stale runs and
    // revisions along, or found no frame border there and called the log damaged.
    let never = || options().sync(SyncPolicy::Never).segment_len_bytes(64 << 10);
    let known_by_two = || {
        let disk = SimDisk::new(4);
        let (first, second) = (open(&disk, 1, never()), open(&disk, 2, never()));
        first.sync().unwrap();
        for _ in 0..8 {
            first.append(one("lost", &[b'a'; 500])).unwrap();
        }
        assert_eq!(second.run("lost").unwrap().revision(), 9);
        (disk, first, second)
    };
    let (dry, first, _second) = known_by_two();
    let sync = next_sync(&dry, || drop(first.sync()));
    let (disk, first, second) = known_by_two();
    let end = |disk: &SimDisk| log_of(disk).last().map_or((0, 0), |event| (event.seq, event.place.2));
    let known_end = end(&disk);
    disk.inject(sync, Fault::FailedSync);
    assert_eq!(first.sync().unwrap_err().kind(), ErrorKind::Io);
    // Other events, up to the same place and the same seq: nothing but the last frame itself tells the difference.
    let third = open(&disk, 3, never());
    while end(&disk).0 + 1 < known_end.0 {
        third.append(one("kept", b"{\"n\":1}")).unwrap();
    }
    let filler = usize::try_from(known_end.1 - end(&disk).1).unwrap() - 48;
    third.append(one("kept", &vec![b'b'; filler])).unwrap();
    assert_eq!(end(&disk), known_end);
    let kept = third.append(one("kept", b"{}")).unwrap().revision;
    let appended = second.append(one("kept", b"{}")).unwrap();
    assert_eq!((appended.last.get(), appended.revision), (known_end.0 + 2, kept + 1));
    assert_eq!(end(&disk).0, appended.last.get());
}

#[test]
fn an_unreadable_new_segment_stops_the_journal_and_not_the_log() {
    // Rotation reads the new segment back. When that read failed, the head stood before the new segment's type table, or
    // the next group's offset belonged to the old segment; LOCK was released as clean, and the next append was written over
    // the type table, or into the void.
    let in_pairs = |disk: &SimDisk, alone: usize| {
        let journal = open(disk, 1, options());
        for _ in 0..alone {
            journal.append(one("nightly", &[b'x'; 400])).unwrap();
        }
        let before = disk.files().len();
        let mut acked = 0;
        while disk.files().len() == before {
            // One group: what the first one leaves behind, the second one finds.
            let pair = [journal.submit(one("nightly", &[b'x'; 400])), journal.submit(one("nightly", &[b'y'; 400]))];
            for answer in pair.map(crate::Ticket::wait) {
                match answer {
                    Ok(appended) => acked = appended.last.get(),
                    Err(_) => return acked,
                }
            }
        }
        acked
    };
    let renames = |operation: &Operation| operation.kind == OperationKind::Rename && operation.name.contains("2.seg");
    for (alone, behind) in (0..2).flat_map(|alone| (1..16).map(move |behind| (alone, behind))) {
        let dry = SimDisk::new(5);
        in_pairs(&dry, alone);
        let disk = SimDisk::new(5);
        disk.inject(first(&dry, 0, renames) + behind, Fault::Fail(Failure::InputOutput));
        let promised = in_pairs(&disk, alone);
        let next = open(&disk, 2, options());
        let acked = next.append(one("nightly", b"{\"n\":1}")).unwrap();
        let log = log_of(&disk);
        assert!(acked.first.get() > promised, "{alone} {behind}");
        assert_eq!(log.last().map(|event| event.seq), Some(acked.last.get()), "{alone} {behind}");
    }
}

#[test]
fn a_run_whose_opening_has_rotted_is_not_opened_a_second_time() {
    // The run index points at the `RunOpened` frame, which proves the name. Where that frame was rotten the run was taken for
    // unknown: an append opened a second run of the same name, and revisions began again.
    let disk = SimDisk::new(6);
    let journal = open(&disk, 1, options());
    for _ in 0..40 {
        journal.append(one("nightly", &[b'x'; 300])).unwrap();
    }
    let before = journal.run("nightly").unwrap().revision();
    drop(journal);
    let opening = log_of(&disk).into_iter().find(|event| event.kind == Kind::RUN_OPENED).unwrap();
    disk.flip_bit("segments/0000000001.seg", (opening.place.1 + 48 + 3) * 8).unwrap();
    let journal = open(&disk, 2, options());
    assert_eq!(journal.append(one("nightly", b"{}")).unwrap().revision, before + 1);
}

#[test]
fn a_hole_in_an_older_segment_hides_no_run() {
    // Catching up over a sealed segment that had been entered already read its frames instead of its footer, and took a
    // hole of zeros for the end: runs and types behind it were forgotten, and made a second time.
    let disk = SimDisk::new(7);
    let journal = open(&disk, 1, options().segment_len_bytes(16 << 10));
    let late = open(&disk, 2, options().segment_len_bytes(16 << 10));
    late.append(one("nightly", b"{}")).unwrap();
    for number in 0..30 {
        journal.append(one(&format!("run-{}", number % 5), &[b'x'; 600])).unwrap();
    }
    let revision = journal.run("run-4").unwrap().revision();
    let place = log_of(&disk).into_iter().find(|event| event.run.is_some_and(|run| run > 3)).unwrap().place;
    let sector = (place.1 / 512 + 1) * 512;
    assert_eq!(place.0.get(), 1);
    disk.overwrite("segments/0000000001.seg", sector, &[0; 1024]).unwrap();
    assert_eq!(late.append(one("run-4", b"{}")).unwrap().revision, revision + 1);
}

#[test]
fn a_lock_that_can_not_be_written_fails_no_append() {
    // When LOCK could not be written after a good sync, the append was reported as failed although it was durable, and
    // whoever repeated it had the event twice.
    let dry = SimDisk::new(8);
    let journal = open(&dry, 1, options());
    let begin = dry.next_operation();
    journal.append(one("nightly", b"{}")).unwrap();
    let last = dry.ops().iter().rfind(|operation| operation.kind == OperationKind::WriteAt).unwrap().index;
    assert!(last > begin);
    let disk = SimDisk::new(8);
    let journal = open(&disk, 1, options());
    disk.inject(last, Fault::Fail(Failure::InputOutput));
    let appended = journal.append(one("nightly", b"{}")).unwrap();
    let other = open(&disk, 2, options());
    assert_eq!(other.durable(), appended.last.get());
    assert_eq!(journal.append(one("nightly", b"{}")).unwrap().last.get(), appended.last.get() + 1);
}

#[test]
fn a_lock_put_back_from_a_copy_overwrites_nothing() {
    // "Clean" was believed wherever it pointed: a LOCK from a copy made earlier in the same boot named an older end, and
    // the next append was written over acknowledged events; behind a sealed segment, a new segment over the newest one.
    let disk = SimDisk::new(9);
    let journal = open(&disk, 1, options());
    let mut copies = Vec::new();
    for _ in 0..30 {
        journal.append(one("nightly", &[b'x'; 300])).unwrap();
        copies.push(disk.file_bytes("LOCK").unwrap());
    }
    drop(journal);
    let log = log_of(&disk);
    for copy in copies {
        let disk = disk.clone();
        disk.put_file("LOCK", &copy).unwrap();
        let acked = open(&disk, 2, options()).append(one("nightly", b"{}")).unwrap();
        assert_eq!(acked.last.get(), log.len() as u64 + 1);
        assert_eq!(log_of(&disk)[..log.len()], log);
    }
}

#[test]
fn a_segment_without_its_type_table_is_damaged() {
    // A new segment has no name before its type table is durable. When the table's sector was lost all the same and nothing
    // had been appended yet, the rule saw only zeros: a clean end, at the place of the table.
    let dry = SimDisk::new(10);
    fill(&dry, &open(&dry, 1, options()));
    let rename =
        first(&dry, 0, |operation| operation.kind == OperationKind::Rename && operation.name.contains("2.seg"));
    let disk = SimDisk::new(10);
    let journal = open(&disk, 1, options());
    disk.inject(rename + 2, Fault::KillBefore);
    fill(&disk, &journal);
    disk.overwrite("segments/0000000002.seg", 4608, &[0; 1024]).unwrap();
    let refused = options().open_on(Arc::new(disk.process(2))).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Damaged, "T0305"));
}
