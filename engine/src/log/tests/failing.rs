//! One call fails while the end of the log is looked for: that is told, and never taken for something that is not there.

use super::damage_kit::{Files, Intact, files_of, intact, number, segment_name, store_of};
use super::failing_storage::Failing;
use crate::log::evidence::Evidence;
use crate::log::lock::StoreLock;
use crate::log::recovery::RecoveryPlan;
use crate::log::settle::settle;
use crate::log::watermark::{self, WatermarkFile};
use crate::storage::{Memory, OpenMode, Storage, write_all_at};
use crate::{DefectKind, ErrorKind, Journal, LockState, Opening, StoreInfo, Verdict};
use std::io::ErrorKind as Io;
use std::sync::Arc;
use std::time::Duration;

/// Nothing that the engine has a way around.
const DENIED: Option<Io> = Some(Io::PermissionDenied);

fn in_order() -> Intact {
    intact(12 << 10, 40)
}

fn newest(log: &Intact) -> u32 {
    u32::try_from(log.frames.len()).unwrap()
}

/// Without the word of the last holder, so that recovery runs.
fn unreleased(log: &Intact) -> Files {
    let mut files = log.files.clone();
    files.remove("LOCK");
    files.remove("runs.idx");
    files
}

fn io_error<T: std::fmt::Debug>(result: crate::Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Io, "T0309"), "{error}");
    error.message().to_owned()
}

#[test]
fn a_lock_is_made_where_there_is_none_by_whoever_comes_first_and_nothing_else_is_made_of_an_error() {
    let (with, without) = (|| store_of(&in_order().files), || store_of(&Files::new()));
    for (memory, opens, is_open) in [
        (with(), vec![], true),
        (without(), vec![], true),
        // Somebody else makes it between the two calls.
        (with(), vec![Some(Io::NotFound)], true),
        (with(), vec![DENIED], false),
        (without(), vec![None, DENIED], false),
        (with(), vec![Some(Io::NotFound), DENIED], false),
        (with(), vec![Some(Io::NotFound), None, DENIED], false),
    ] {
        let opened = StoreLock::open(Failing::new(memory.clone()).opens("LOCK", &opens).shared());
        assert_eq!(opened.is_ok(), is_open, "{opens:?}: {opened:?}");
        if !is_open {
            assert!(io_error(opened).contains("permission denied"), "{opens:?}");
        } else {
            assert!(memory.entry("LOCK").unwrap().is_some());
        }
    }
}

#[test]
fn a_lock_is_waited_for_over_signals_and_longer_each_time() {
    let store = Failing::new(store_of(&in_order().files));
    let mut holder = StoreLock::open(store.shared()).unwrap();
    assert!(!holder.is_held());
    holder.acquire(0).unwrap();
    holder.mark_held().unwrap();
    assert!(holder.is_held());

    let waiting = Failing::new(store.memory.clone()).locks(&[Some(Io::Interrupted), Some(Io::Interrupted)]);
    let refused = StoreLock::open(waiting.shared()).unwrap().acquire(10).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Locked, "T0311"));
    let process_id = store.process_id();
    assert_eq!(refused.message(), format!("the store was locked by process {process_id} for 10 ms"));
    let pauses: Vec<u128> = waiting.sleeps().iter().map(Duration::as_micros).collect();
    assert_eq!(pauses[..8], [20, 40, 80, 160, 320, 640, 1000, 1000]);
    assert!((10_000..11_000).contains(&pauses.iter().sum::<u128>()), "{pauses:?}");

    holder.abandon();
    assert!(!holder.is_held());
    let signalled = Failing::new(store.memory.clone()).locks(&[Some(Io::Interrupted)]);
    let mut next = StoreLock::open(signalled.shared()).unwrap();
    assert!(matches!(next.acquire(0), Ok(LockState::Held { known: Some(_), .. })));
    assert!(signalled.sleeps().is_empty());
    next.abandon();
    let denied = Failing::new(store.memory.clone()).locks(&[DENIED]);
    let mut never = StoreLock::open(denied.shared()).unwrap();
    assert!(io_error(never.acquire(1000)).contains("permission denied"));
    assert!(!never.is_held() && denied.sleeps().is_empty());
    // Nobody is named where nothing says who it is.
    next.acquire(0).unwrap();
    store.memory.open("LOCK", OpenMode::Write).unwrap().set_len(0).unwrap();
    let refused = StoreLock::open(store.shared()).unwrap().acquire(0).unwrap_err();
    assert_eq!(refused.message(), "the store was locked for 0 ms");
}

#[test]
fn a_holder_that_lets_go_frees_the_lock_itself_and_does_not_leave_that_to_the_closing_of_its_file() {
    // A process that was forked in the meantime has the same file open: closing it here frees nothing.
    let store = Failing::new(store_of(&in_order().files)).inherited();
    let mut holder = StoreLock::open(store.shared()).unwrap();
    holder.acquire(0).unwrap();
    let mut next = StoreLock::open(Arc::new(store.memory.clone())).unwrap();
    assert_eq!(next.acquire(0).unwrap_err().code(), "T0311");
    drop(holder);
    next.acquire(0).unwrap();
}

#[test]
fn a_lock_that_can_not_be_read_is_an_error_and_one_that_says_too_much_says_nothing() {
    let log = in_order();
    let read = |memory: Memory, opens| LockState::read(&Failing::new(memory).opens("LOCK", opens));
    assert!(matches!(read(store_of(&log.files), &[]), Ok(LockState::Clean { .. })));
    assert!(io_error(read(store_of(&log.files), &[DENIED])).starts_with("cannot open LOCK"));
    let mut files = log.files.clone();
    files.get_mut("LOCK").unwrap().push(b'\n');
    assert_eq!(read(store_of(&files), &[]).unwrap(), LockState::Unknown);
    // A word that no build knows yet, and the CRC is right.
    let line = String::from_utf8(log.files["LOCK"].clone()).unwrap();
    let (text, _) = line.trim_end().rsplit_once(' ').unwrap();
    let text = text.replacen("clean", "later", 1);
    let line = format!("{:191}\n", format!("{text} {:08x}", taffrail_log_format::crc32c(text.as_bytes())));
    files.insert("LOCK".to_owned(), line.into_bytes());
    assert_eq!(read(store_of(&files), &[]).unwrap(), LockState::Unknown);
    files.remove("LOCK");
    let memory = store_of(&files);
    assert_eq!(read(memory.clone(), &[]).unwrap(), LockState::Unknown);
    memory.create_dir("LOCK").unwrap();
    let store = Failing::new(memory);
    assert_eq!(LockState::read(&store).unwrap(), LockState::Unknown);
    // For whoever wants to write it is no lock.
    assert!(matches!(StoreInfo::read(&store).unwrap().opening, Opening::Refused(error) if error.code() == "T0314"));
    assert_eq!(StoreLock::open(store.shared()).unwrap_err().code(), "T0314");
}

#[test]
fn a_watermark_that_can_not_be_read_is_an_error_and_none_tells_nothing() {
    let log = in_order();
    let failing = |files: &Files, opens| Failing::new(store_of(files)).opens("watermark", opens);
    let denied = || failing(&log.files, &[DENIED]);
    assert!(watermark::read(&failing(&log.files, &[])).unwrap().newest.is_some());
    for message in [
        io_error(watermark::read(&denied())),
        io_error(watermark::read_if_file(&denied())),
        io_error(Evidence::read_if_files(&denied())),
        io_error(WatermarkFile::open(&denied())),
    ] {
        assert_eq!(message, "cannot open the watermark: permission denied");
    }
    let mut files = log.files.clone();
    files.remove("watermark");
    let memory = store_of(&files);
    assert_eq!(watermark::read(&memory).unwrap(), watermark::read_if_file(&memory).unwrap());
    assert!(watermark::read(&memory).unwrap().newest.is_none());
    memory.create_dir("watermark").unwrap();
    let store = Failing::new(memory);
    assert_eq!(watermark::read(&store).unwrap_err().code(), "T0314");
    assert!(watermark::read_if_file(&store).unwrap().newest.is_none());
    assert!(Evidence::read_if_files(&store).is_ok() && Evidence::read(&store).is_err());
}

#[test]
fn snapshots_that_can_not_be_listed_are_an_error_and_none_tell_nothing() {
    let log = in_order();
    let with_directory = || {
        let memory = store_of(&log.files);
        memory.create_dir("snapshots").unwrap();
        memory.create_dir("snapshots/jobs-1").unwrap();
        memory
    };
    let read = |memory, directory, lists| Evidence::read(&Failing::new(memory).lists(directory, lists));
    assert!(read(with_directory(), "snapshots", &[]).is_ok());
    assert!(io_error(read(with_directory(), "snapshots", &[DENIED])).starts_with("cannot list snapshots"));
    assert!(io_error(read(with_directory(), "snapshots/jobs-1", &[DENIED])).starts_with("cannot list snapshots/jobs"));
    // One that another process has removed in between.
    assert!(read(with_directory(), "snapshots/jobs-1", &[Some(Io::NotFound)]).is_ok());
    let mut files = log.files.clone();
    files.insert("snapshots".to_owned(), b"a file".to_vec());
    assert!(read(store_of(&files), "snapshots", &[]).is_ok());
}

#[test]
fn a_predecessor_that_can_not_be_read_is_an_error_and_a_damaged_one_is_a_finding() {
    let log = in_order();
    let before = segment_name(newest(&log) - 1);
    let make = |files: &Files, opens| RecoveryPlan::make(&Failing::new(store_of(files)).opens(&before, opens));
    let files = unreleased(&log);
    assert_eq!(make(&files, &[]).unwrap().findings, []);
    assert!(io_error(make(&files, &[DENIED])).contains("permission denied"));
    let mut damaged = files.clone();
    damaged.get_mut(&before).unwrap()[..4608].fill(0xA5);
    let findings = make(&damaged, &[]).unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [DefectKind::Chain]);
    // Its footer gone, nothing can be compared; another one than it was, and the chain is broken.
    let mut footerless = files.clone();
    let len = footerless[&before].len();
    footerless.get_mut(&before).unwrap()[len - 8..].fill(0);
    let findings = make(&footerless, &[]).unwrap().findings;
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [DefectKind::Footer]);
}

#[test]
fn the_place_behind_the_last_event_is_asked_of_the_segment_that_holds_it() {
    // The newest segment has no event yet. One that can not be opened is an error; a damaged one stops nobody.
    let log = in_order();
    let (newest, before) = (newest(&log), segment_name(newest(&log) - 1));
    let mut files = unreleased(&log);
    files.remove("watermark");
    let first = log.frames[&number(newest)].iter().find(|frame| frame.header.kind.takes_seq()).unwrap();
    files.get_mut(&segment_name(newest)).unwrap()[usize::try_from(first.offset).unwrap()..].fill(0);
    let apply = |files: &Files, opens: &[_]| {
        let store = Failing::new(store_of(files)).opens(&before, opens);
        let plan = RecoveryPlan::make(&store).unwrap();
        assert_eq!(plan.tail.verdict, Verdict::End);
        plan.apply(&store)
    };
    assert_eq!(apply(&files, &[]).unwrap(), []);
    assert!(io_error(apply(&files, &[None, DENIED])).contains("permission denied"));
    files.get_mut(&before).unwrap()[..4608].fill(0xA5);
    assert_eq!(apply(&files, &[]).unwrap(), []);
}

#[test]
fn a_newest_segment_that_can_not_be_opened_is_an_error_even_where_recovery_could_open_it_later() {
    let log = in_order();
    let name = segment_name(newest(&log));
    let settled = |files: &Files, opens| {
        let store = Failing::new(store_of(files)).opens(&name, opens);
        let state = LockState::read(&store).unwrap();
        settle(&store, state).map(|settled| settled.clean)
    };
    assert!(settled(&log.files, &[]).unwrap());
    assert!(io_error(settled(&log.files, &[DENIED])).contains("permission denied"));
    // A place that is no border of frames: what LOCK says is not believed, and recovery runs.
    let store = store_of(&log.files);
    let LockState::Clean { boot_id, known, offset } = LockState::read(&store).unwrap() else { panic!("in order") };
    let mut files = log.files.clone();
    files.remove("runs.idx");
    files.insert("LOCK".to_owned(), LockState::Clean { boot_id, known, offset: offset - 8 }.encode().to_vec());
    assert!(!settled(&files, &[]).unwrap());
}

#[test]
fn a_torn_tail_is_cleared_in_whole_pieces_and_the_segment_grows_no_longer() {
    let log = in_order();
    let name = segment_name(newest(&log));
    let mut files = unreleased(&log);
    // A frame's header, and less behind it than it says: what a writer was stopped in. The file ends there.
    let end = usize::try_from(log.frames[&number(newest(&log))].last().unwrap().end).unwrap();
    let segment = files.get_mut(&name).unwrap();
    segment.truncate(end);
    segment.extend(std::iter::repeat_n(0xA5, 10_000));
    segment.push(0);
    let len = segment.len();
    let store = Failing::new(store_of(&files));
    let plan = RecoveryPlan::make(&store).unwrap();
    assert_eq!((plan.tail.verdict, plan.cut()), (Verdict::Ambiguous, None));
    // ... rather than rot: its header's last byte is zero, which no writer leaves so.
    store_of_tail(&store, &name, end);
    let plan = RecoveryPlan::make(&store).unwrap();
    let cut = plan.cut().unwrap();
    assert_eq!((plan.tail.verdict, cut.start, cut.end), (Verdict::Torn, end as u64, len as u64 - 1));
    assert_eq!(plan.end(), (number(newest(&log)), end as u64));
    let told = plan.apply(&store).unwrap();
    assert_eq!(
        told.iter().map(|told| (told.first.get(), told.len_bytes)).collect::<Vec<_>>(),
        [(log.last + 1, 10_000)]
    );
    assert_eq!(store.segment_writes(), [4096, 4096, 1808]);
    let after = &files_of(&store.memory)[&name];
    assert_eq!((after.len(), &after[..end]), (len, &log.files[&name][..end]));
    assert!(after[end..].iter().all(|byte| *byte == 0));
}

/// Zeroes the last byte of the header at an offset.
fn store_of_tail(store: &Failing, name: &str, at: usize) {
    let file = store.memory.open(name, OpenMode::Write).unwrap();
    write_all_at(&*file, at as u64 + 47, &[0]).unwrap();
}

#[test]
fn what_is_no_file_in_the_place_of_a_later_segment_means_that_one_is_missing() {
    let log = in_order();
    for behind in 1..3 {
        let store = store_of(&unreleased(&log));
        store.create_dir(&segment_name(newest(&log) + behind)).unwrap();
        let error = RecoveryPlan::make(&store).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, "T0303"));
        let message = format!("segment {} is missing: a directory is in its place", newest(&log) + behind);
        assert_eq!(error.message(), message);
    }
    // In the place of an earlier one it is that one.
    let mut files = unreleased(&log);
    files.remove(&segment_name(1));
    let store = store_of(&files);
    store.create_dir(&segment_name(1)).unwrap();
    assert_eq!(RecoveryPlan::make(&store).unwrap_err().message(), "segment 1 is missing: a directory is in its place");
}

#[test]
fn a_refusal_says_up_to_where_events_were_acknowledged() {
    let log = in_order();
    let mut files = unreleased(&log);
    let last = log.frames[&number(newest(&log))].last().unwrap();
    files.get_mut(&segment_name(newest(&log))).unwrap()[usize::try_from(last.offset).unwrap() + 20] ^= 1;
    let plan = RecoveryPlan::make(&store_of(&files)).unwrap();
    let refusal = plan.refusal().unwrap();
    assert_eq!((refusal.code(), plan.head()), ("T0301", log.last - 1));
    assert!(refusal.message().contains(&format!("seqs up to {} were durable", log.last)), "{refusal}");
    assert!(Journal::options().open_on(Arc::new(store_of(&files))).is_err());
}
