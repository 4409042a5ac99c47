//! Finding the end of the log: how far `LOCK`, the watermark and the listing of segments are believed.

use super::damage_kit::{Files, Intact, append, described, files_of, intact, number, segment_name, store_of};
use super::failing_storage::Failing;
use crate::log::evidence::Evidence;
use crate::log::lock::{LastKnown, StoreLock};
use crate::log::recovery::RecoveryPlan;
use crate::log::settle::{foresee, settle, settle_new};
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan};
use crate::storage::{Memory, Storage};
use crate::{
    ErrorKind, Journal, Kind, LockState, LogId, Reader, SegmentHeader, SegmentNumber, Seq, Verdict, Watermark,
};
use std::sync::Arc;

fn newest(log: &Intact) -> u32 {
    u32::try_from(log.frames.len()).unwrap()
}

/// Whether the last holder's word is taken, and the last event.
fn settled(files: &Files) -> crate::Result<(bool, u64)> {
    let store = store_of(files);
    let state = LockState::read(&store).unwrap();
    settle(&store, state).map(|settled| (settled.clean, settled.head.seq()))
}

fn watermark_of(files: &Files) -> Watermark {
    taffrail_log_format::WatermarkSlots::read(&files["watermark"]).newest.unwrap()
}

fn with_watermark(files: &Files, mark: Watermark) -> Files {
    let mut files = files.clone();
    let mut bytes = vec![0; 576];
    let at = usize::try_from(mark.slot_offset()).unwrap();
    bytes[at..at + 64].copy_from_slice(&mark.encode());
    files.insert("watermark".to_owned(), bytes);
    files
}

/// Changes what a segment's header says, in both blocks.
fn reheaded(files: &mut Files, segment: u32, change: impl FnOnce(&mut SegmentHeader)) {
    let bytes = files.get_mut(&segment_name(segment)).unwrap();
    let (mut header, _) = SegmentHeader::read(&bytes[..512], &bytes[4096..4608]).unwrap();
    change(&mut header);
    bytes[..512].copy_from_slice(&header.encode());
    bytes[4096..4608].copy_from_slice(&header.encode());
}

#[test]
fn the_last_holder_is_believed_within_its_boot_and_as_far_as_log_and_watermark_bear_it_out() {
    let memory = Memory::new();
    let options = Journal::options().create(true).segment_len_bytes(12 << 10);
    let journal = options.open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, 0..34);
    journal.sync().unwrap();
    let earlier = files_of(&memory);
    append(&journal, 34..36);
    journal.close().unwrap();
    let log = described(&memory);
    let files = log.files.clone();
    assert_eq!(settled(&files).unwrap(), (true, log.last));
    let LockState::Clean { boot_id, known, offset } = LockState::read(&memory).unwrap() else { panic!("in order") };
    let told = |state: LockState| {
        let mut files = files.clone();
        files.insert("LOCK".to_owned(), state.encode().to_vec());
        settled(&files).unwrap()
    };
    assert_eq!(told(LockState::Clean { boot_id, known, offset }), (true, log.last));
    assert_eq!(told(LockState::Clean { boot_id: [9; 16], known, offset }), (false, log.last), "another boot");
    let foreign = LastKnown { log_id: LogId([7; 16]), ..known };
    assert_eq!(told(LockState::Held { boot_id, process_id: 1, known: Some(known) }), (false, log.last));
    assert_eq!(told(LockState::Clean { boot_id, known: foreign, offset }), (false, log.last), "another log's");
    // Events lie behind the place that an earlier word names.
    assert!(earlier["LOCK"] != files["LOCK"]);
    let mut older_word = files.clone();
    older_word.insert("LOCK".to_owned(), earlier["LOCK"].clone());
    assert_eq!(settled(&older_word).unwrap(), (false, log.last));
    // Word and log are both earlier ones: the watermark tells of more, and it is this log's.
    let mut put_back = earlier.clone();
    assert!(settled(&put_back).is_ok());
    put_back.insert("watermark".to_owned(), files["watermark"].clone());
    let refused = settled(&put_back).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Damaged, "T0301"));
    // One of another log tells nothing to whoever has the last holder's word.
    let other = Watermark { log_id: LogId([7; 16]), durable: 9_999, ..watermark_of(&files) };
    assert_eq!(settled(&with_watermark(&files, other)).unwrap(), (true, log.last));
    // ... and where there is none, it is the only one to tell which log this was.
    let mut wordless = with_watermark(&files, other);
    wordless.remove("LOCK");
    assert_eq!(settled(&wordless).unwrap_err().code(), "T0304");
}

#[test]
fn what_settling_would_say_is_foreseen_by_reading() {
    let log = intact(12 << 10, 40);
    let in_order = log.files.clone();
    let mut unreleased = in_order.clone();
    unreleased.remove("LOCK");
    let mut damaged = unreleased.clone();
    let last = log.frames[&number(newest(&log))].last().unwrap();
    damaged.get_mut(&segment_name(newest(&log))).unwrap()[usize::try_from(last.offset).unwrap() + 20] ^= 1;
    for (files, expected) in [(&in_order, Ok(true)), (&unreleased, Ok(false)), (&damaged, Err("T0301"))] {
        let store = store_of(files);
        let plan = RecoveryPlan::make(&store).unwrap();
        assert_eq!(foresee(&store, &plan).map_err(|error| error.code()), expected);
        assert_eq!(&files_of(&store), files, "looking changes nothing");
        assert_eq!(settled(files).map(|(clean, _)| clean).map_err(|error| error.code()), expected);
    }
}

#[test]
fn evidence_is_asked_for_one_log_and_what_is_known_goes_into_every_line() {
    let log = intact(12 << 10, 40);
    let store = store_of(&log.files);
    let evidence = Evidence::read(&store).unwrap();
    let log_id = watermark_of(&log.files).log_id;
    assert_eq!(evidence.mark(log_id), Some(watermark_of(&log.files)));
    assert_eq!(evidence.mark(LogId([7; 16])), None);
    assert_eq!((evidence.log_id(), evidence.of(&store, log_id).durable), (Some(log_id), log.last));
    assert_eq!(evidence.of(&store, LogId([7; 16])).durable, 0);
    let known = LastKnown { log_id, segment: SegmentNumber::FIRST, durable: 3 };
    let mut lock = StoreLock::open(Arc::new(store.clone())).unwrap();
    lock.acquire(0).unwrap();
    lock.know(known);
    lock.mark_held().unwrap();
    assert_eq!(LockState::read(&store).unwrap().known(), Some(known));
}

#[test]
fn a_scan_begins_at_the_watermark_where_its_frame_is_and_else_at_the_beginning() {
    let log = intact(12 << 10, 40);
    let mut files = log.files.clone();
    files.remove("LOCK");
    let mark = watermark_of(&files);
    let plan = RecoveryPlan::make(&store_of(&files)).unwrap();
    assert_eq!((plan.scanned_from, plan.head(), plan.tail.verdict), (mark.offset, log.last, Verdict::End));
    // The frame that ends there is another one: the watermark still tells how far the log has reached.
    let plan = RecoveryPlan::make(&store_of(&with_watermark(&files, Watermark { last_frame_crc: 1, ..mark }))).unwrap();
    assert_eq!((plan.scanned_from, plan.head()), (4608, log.last));
    // It is of an earlier segment.
    let earlier = Watermark { segment: SegmentNumber::FIRST, durable: 1, ..mark };
    let plan = RecoveryPlan::make(&store_of(&with_watermark(&files, earlier))).unwrap();
    assert_eq!((plan.scanned_from, plan.head()), (4608, log.last));
    let last = log.frames[&number(newest(&log))].last().unwrap();
    files.get_mut(&segment_name(newest(&log))).unwrap()[usize::try_from(last.offset).unwrap()..].fill(0);
    let plan = RecoveryPlan::make(&store_of(&files)).unwrap();
    assert_eq!(
        (plan.scanned_from, plan.tail.verdict, plan.refusal().unwrap().code()),
        (4608, Verdict::Damaged, "T0301")
    );
}

#[test]
fn a_batch_of_which_only_some_frames_are_there_is_cut_where_it_begins() {
    let log = intact(12 << 10, 39);
    let frames = &log.frames[&number(newest(&log))];
    let last = frames.len() - 1;
    let [first, second] = [frames[last - 1], frames[last]];
    assert!(first.header.flags.more && !second.header.flags.more && !frames[last - 2].header.flags.more);
    let mut files = log.files.clone();
    ["LOCK", "watermark"].iter().for_each(|name| drop(files.remove(*name)));
    let whole = RecoveryPlan::make(&store_of(&files)).unwrap();
    assert_eq!((whole.tail.verdict, whole.head(), whole.cut()), (Verdict::End, log.last, None));
    assert_eq!(whole.end(), (number(newest(&log)), second.end));
    files.get_mut(&segment_name(newest(&log))).unwrap()[usize::try_from(second.offset).unwrap()..].fill(0);
    let plan = RecoveryPlan::make(&store_of(&files)).unwrap();
    assert_eq!((plan.tail.verdict, plan.head()), (Verdict::Torn, log.last - 2));
    assert_eq!((plan.end(), plan.cut()), ((number(newest(&log)), first.offset), Some(first.offset..second.offset)));
}

/// A log whose newest segment has been rewritten, with events missing in the middle of it and nothing behind it.
fn with_gaps_in_the_newest() -> (Intact, u32) {
    let log = intact(12 << 10, 40);
    let newest = newest(&log);
    let events: Vec<_> = log.frames[&number(newest)].iter().filter(|frame| frame.header.kind.takes_seq()).collect();
    // The first one of a batch: a watermark can stand right before it.
    let victim = events.windows(2).find(|pair| !pair[0].header.flags.more).unwrap()[1];
    assert!(victim.header.seq.get() < log.last);
    let mut files = log.files.clone();
    files.get_mut(&segment_name(newest)).unwrap()[usize::try_from(victim.offset).unwrap() + 20] ^= 1;
    let storage: Arc<dyn Storage> = Arc::new(store_of(&files));
    let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
    let authority = Authority {
        plan: plan.name().to_owned(),
        accept_loss: plan.lost,
        reason: "a test".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 100,
    };
    plan.apply(&storage, &authority).unwrap();
    let mut files = files_of(&*storage);
    ["LOCK", "watermark", "runs.idx"].iter().for_each(|name| drop(files.remove(*name)));
    files.retain(|name, _| !name.starts_with("segments/") || *name <= segment_name(newest));
    (described(&store_of(&files)), newest)
}

#[test]
fn a_scan_that_begins_behind_the_record_of_gaps_knows_them_all_the_same() {
    let (log, newest) = with_gaps_in_the_newest();
    let frames = &log.frames[&number(newest)];
    assert!(frames.iter().any(|frame| frame.header.kind == Kind::GAPS));
    let whole = RecoveryPlan::make(&store_of(&log.files)).unwrap();
    assert_eq!((whole.scanned_from, whole.tail.verdict), (4608, Verdict::End));
    let log_id = Reader::open_on(Arc::new(store_of(&log.files))).unwrap().log_id();
    let segment = &log.files[&segment_name(newest)];
    let mut before_gaps = 0;
    for frame in frames.iter().filter(|frame| !frame.header.flags.more) {
        let seq = frame.header.seq;
        let durable = if frame.header.kind.takes_seq() { seq.get() } else { seq.count_before() };
        let crc = segment[usize::try_from(frame.offset).unwrap()..].first_chunk().unwrap();
        let mark = Watermark {
            log_id,
            counter: 1,
            segment: number(newest),
            offset: frame.end,
            durable,
            last_frame: frame.offset,
            last_frame_crc: u32::from_le_bytes(*crc),
        };
        let plan = RecoveryPlan::make(&store_of(&with_watermark(&log.files, mark))).unwrap();
        let what = format!("from behind seq {durable}: {:?}", plan.tail.defect);
        assert_eq!((plan.scanned_from, plan.tail.verdict), (frame.end, Verdict::End), "{what}");
        assert_eq!((plan.end(), plan.head()), (whole.end(), whole.head()), "{what}");
        let next = frames.iter().find(|other| other.offset >= frame.end && other.header.kind.takes_seq());
        before_gaps += u32::from(next.is_some_and(|next| next.header.seq.get() > durable + 1));
    }
    assert!(before_gaps > 0, "one of them stands right before the missing event");
}

#[test]
fn a_tail_of_a_gib_is_judged_and_a_longer_one_is_nobodys() {
    let log = intact(12 << 10, 40);
    let mut files = log.files.clone();
    files.remove("LOCK");
    let start = watermark_of(&files).offset;
    let with_len = |len: u64| Failing::new(store_of(&files)).segment_len(&segment_name(newest(&log)), start + len);
    let plan = RecoveryPlan::make(&with_len(1 << 30)).unwrap();
    assert_eq!((plan.tail.verdict, plan.head()), (Verdict::End, log.last));
    let error = RecoveryPlan::make(&with_len((1 << 30) + 1)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, "T0305"));
}

#[test]
fn every_segment_has_its_predecessor_or_stands_for_it() {
    let log = intact(12 << 10, 40);
    let last = newest(&log);
    assert!(last >= 4, "{last}");
    let mut files = log.files.clone();
    files.remove("LOCK");
    let missing = |files: &Files| match RecoveryPlan::make(&store_of(files)) {
        Ok(_) => String::new(),
        Err(error) => error.message().to_owned(),
    };
    assert_eq!(missing(&files), "");
    for segment in 1..last - 1 {
        let mut files = files.clone();
        files.remove(&segment_name(segment));
        assert_eq!(missing(&files), format!("segment {segment} is missing"));
        // The next one has been rewritten, and stands for it.
        reheaded(&mut files, segment + 1, |header| {
            header.covers_from = number(segment);
            (header.generation, header.origin) = (1, Some((9000, [1; 32])));
            header.predecessor = header.predecessor.filter(|_| segment > 1);
        });
        assert_eq!(missing(&files), "", "segment {segment}");
    }
}

#[test]
fn a_newest_segment_that_does_not_continue_the_one_before_it_is_refused() {
    let log = intact(12 << 10, 40);
    let (last, mut files) = (newest(&log), log.files.clone());
    files.remove("LOCK");
    files.remove("runs.idx");
    let refused = |files: &Files| RecoveryPlan::make(&store_of(files)).map(|_| ()).map_err(|error| error.code());
    assert_eq!(refused(&files), Ok(()));
    let mut unlinked = files.clone();
    reheaded(&mut unlinked, last, |header| {
        header.predecessor = header.predecessor.map(|(len, digest)| (len + 8, digest));
    });
    assert_eq!(refused(&unlinked), Err("T0304"));
    let mut foreign = files.clone();
    reheaded(&mut foreign, last - 1, |header| header.log_id = LogId([7; 16]));
    assert_eq!(refused(&foreign), Err("T0304"));
}

#[test]
fn what_a_rotation_left_behind_is_removed_before_a_new_log_is_begun() {
    let memory = Memory::new();
    Journal::options().create(true).open_on(Arc::new(memory.clone())).unwrap().close().unwrap();
    let mut files = files_of(&memory);
    assert_eq!(settle_new(&store_of(&files)).unwrap().head.position.next_seq, Seq::FIRST);
    files.insert("segments/0000000002.tmp".to_owned(), vec![0; 600]);
    let store = store_of(&files);
    let settled = settle_new(&store).unwrap();
    assert_eq!((settled.clean, settled.head.position.next_seq, settled.durable), (false, Seq::FIRST, 0));
    assert_eq!(store.list("segments").unwrap().len(), 1);
}
