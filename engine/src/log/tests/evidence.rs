//! What is known of the log's end beside its newest segment.

use super::damage_kit::{Files, Intact, intact, kinds, lost, number, segment_name, store_of, verified};
use super::failing_storage::Failing;
use crate::fold::snapshot::{self, SnapshotHead};
use crate::lab_result::tell;
use crate::log::evidence::Evidence;
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan};
use crate::storage::{Memory, Storage};
use crate::{ErrorKind, Journal, LogId, Opening, Seq, Severity, StateDigest, StoreInfo};
use std::sync::Arc;

fn newest(log: &Intact) -> u32 {
    u32::try_from(log.frames.len()).unwrap()
}

fn snapshot_of(log_id: LogId, seq: u64) -> Vec<u8> {
    let head = SnapshotHead {
        log_id,
        fold: "jobs".to_owned(),
        version: 1,
        run: None,
        seq: Seq::new(seq).unwrap(),
        revision: 0,
        events: 1,
        voucher: Seq::new(seq).unwrap(),
        state_len_bytes: 1,
        digest: StateDigest::of_bytes(b"s"),
    };
    snapshot::encode(&head, b"s")
}

fn with_snapshot(files: &Files, bytes: &[u8], seq: u64) -> Memory {
    let memory = store_of(files);
    for directory in ["snapshots", "snapshots/jobs-1"] {
        memory.create_dir(directory).unwrap();
    }
    let file = memory.open(&format!("snapshots/jobs-1/{seq}.snap"), crate::storage::OpenMode::CreateNew).unwrap();
    crate::storage::write_all_at(&*file, 0, bytes).unwrap();
    memory
}

/// It is refused, verify and info say why, and nothing is written; then a repair accepts the loss.
fn refused_and_repaired(store: &Memory, log: &Intact, code: &str, what: &str) {
    let report = verified(store);
    let gone = log.seqs(newest(log));
    assert_eq!((report.severity, lost(&report), report.durable), (Severity::Damaged, vec![gone], log.last), "{what}");
    let storage: Arc<dyn Storage> = Arc::new(store.clone());
    let opening = StoreInfo::read(store).unwrap().opening;
    assert!(matches!(&opening, Opening::Refused(error) if error.code() == code), "{what}: {opening:?}");
    let error = Journal::options().open_on(Arc::clone(&storage)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, code), "{what}");
    let plan = RepairPlan::make(store, RepairMode::Salvage).unwrap();
    assert_eq!(plan.lost, gone.count(), "{what}");
    let authority = Authority {
        plan: plan.name().to_owned(),
        accept_loss: plan.lost,
        reason: "a test".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 100,
    };
    assert_eq!(plan.apply(&storage, &authority).unwrap().event, log.last + 1, "{what}: no seq is issued twice");
    let report = verified(store);
    assert_eq!((report.severity, report.totals.lost), (Severity::Clean, 0), "{what}: {report:#?}");
}

/// Every way to leave some of the evidence, with the newest segment gone or cut before any of its events: found, and what is
/// lost is named. Returns how many stores that were.
fn every_evidence() -> u64 {
    let log = intact(12 << 10, 40);
    let log_id = crate::Reader::open_on(Arc::new(store_of(&log.files))).unwrap().log_id();
    let (segment, mut stores) = (newest(&log), 0);
    let name = segment_name(segment);
    let told = snapshot_of(log_id, log.last);
    let events = || log.frames[&number(segment)].iter().filter(|frame| frame.header.kind.takes_seq());
    for kept in 1..8_u32 {
        let mut files = log.files.clone();
        files.remove("runs.idx");
        for (bit, file) in ["watermark", "LOCK"].iter().enumerate() {
            if kept >> bit & 1 == 0 {
                files.remove(*file);
            }
        }
        let store = |files: &Files| if kept & 4 == 4 { with_snapshot(files, &told, log.last) } else { store_of(files) };
        for cut in std::iter::once(None).chain(events().map(Some)) {
            let mut files = files.clone();
            let first = match cut {
                None => {
                    files.remove(&name);
                    log.seqs(segment).first
                }
                Some(frame) => {
                    files.get_mut(&name).unwrap()[usize::try_from(frame.offset).unwrap()..].fill(0);
                    frame.header.seq.get()
                }
            };
            let what = format!("evidence {kept:03b}, from seq {first} on");
            let report = verified(&store(&files));
            let gone = crate::SeqRange { first, last: log.last };
            assert_eq!((report.severity, lost(&report)), (Severity::Damaged, vec![gone]), "{what}: {report:#?}");
            for create in [false, true] {
                let opened = Journal::options().create(create).open_on(Arc::new(store(&files)));
                assert_eq!(opened.map_err(|error| error.kind()).unwrap_err(), ErrorKind::Damaged, "{what}");
            }
            stores += 1;
        }
    }
    stores
}

#[test]
fn whatever_evidence_is_left_names_what_is_missing() {
    tell("evidence", &["P1", "P5"], || (every_evidence(), vec![]));
}

#[test]
fn seqs_are_not_issued_again_where_the_newest_segment_and_the_watermark_are_gone() {
    // Bug: only the watermark was asked for what had been durable. With it and the newest segment deleted, verify said that
    // the log was clean, the store was opened, and the seqs of acknowledged events were issued a second time; although LOCK
    // said up to where the log had been durable, and snapshots had been taken of states behind that place.
    let log = intact(12 << 10, 40);
    let mut files = log.files.clone();
    files.remove("watermark");
    files.remove("runs.idx");
    files.remove(&segment_name(newest(&log)));
    refused_and_repaired(&store_of(&files), &log, "T0303", "LOCK knows");
    let log_id = crate::Reader::open_on(Arc::new(store_of(&log.files))).unwrap().log_id();
    files.remove("LOCK");
    assert_eq!(verified(&store_of(&files)).severity, Severity::Clean, "nobody knows");
    let told = snapshot_of(log_id, log.last);
    refused_and_repaired(&with_snapshot(&files, &told, log.last), &log, "T0303", "a snapshot knows");
}

#[test]
fn a_shorter_newest_segment_is_noticed_without_the_watermark() {
    // Bug: as above, with an older copy of the newest segment, or one that was zeroed from some event on.
    let log = intact(12 << 10, 40);
    let name = segment_name(newest(&log));
    let frames = &log.frames[&number(newest(&log))];
    let cut = usize::try_from(frames[frames.len() - 1].offset).unwrap();
    let mut files = log.files.clone();
    files.remove("watermark");
    files.get_mut(&name).unwrap()[cut..].fill(0);
    let store = store_of(&files);
    let report = verified(&store);
    assert_eq!((report.severity, report.totals.lost, report.durable), (Severity::Damaged, 1, log.last), "{report:#?}");
    let error = Journal::options().open_on(Arc::new(store)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, "T0301"));
}

#[test]
fn a_store_without_segments_is_not_begun_again_where_lock_knows_of_a_log() {
    // Bug: with all segments and the watermark deleted, `create` made a new log in the same place, beside a LOCK that told
    // of a hundred durable events.
    let log = intact(12 << 10, 40);
    let mut files = log.files.clone();
    files.retain(|name, _| name == "LOCK");
    let error = Journal::options().create(true).open_on(Arc::new(store_of(&files))).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, "T0303"));
    assert_eq!(kinds(&verified(&store_of(&files))), ["SEGMENT_MISSING"]);
}

#[test]
fn evidence_of_another_log_and_what_is_no_evidence_refuse_nothing() {
    let log = intact(12 << 10, 40);
    let foreign = snapshot_of(LogId([7; 16]), log.last + 900);
    let mut spoiled = snapshot_of(LogId([7; 16]), log.last + 900);
    spoiled.truncate(40);
    for (what, bytes) in [("another log's", foreign), ("half of one", spoiled), ("none", b"text".to_vec())] {
        let mut files = log.files.clone();
        files.remove("LOCK");
        let store = with_snapshot(&files, &bytes, log.last + 900);
        assert_eq!(verified(&store).severity, Severity::Clean, "{what}");
        assert!(Journal::options().open_on(Arc::new(store)).is_ok(), "{what}");
    }
}

#[test]
fn a_snapshot_is_opened_only_where_its_name_says_more_than_the_rest() {
    let log = intact(12 << 10, 40);
    let log_id = crate::Reader::open_on(Arc::new(store_of(&log.files))).unwrap().log_id();
    for (seq, opened) in [(log.last - 1, 0), (log.last, 0), (log.last + 1, 1)] {
        let store = Failing::new(with_snapshot(&log.files, &snapshot_of(log_id, seq), seq));
        let at_least = Evidence::read(&store).unwrap().of(&store, log_id);
        assert_eq!(at_least.durable, seq.max(log.last));
        let snapshots = store.opened().iter().filter(|name| name.starts_with("snapshots/")).count();
        assert_eq!(snapshots, opened, "of {seq}, where {} are known of", log.last);
    }
}

#[test]
fn a_holder_that_died_leaves_the_evidence_that_it_found() {
    // The line that says "held" took the place of the one that said what was durable, so that nobody knew any more if the
    // holder died.
    let log = intact(12 << 10, 40);
    let store = store_of(&log.files);
    let journal = Journal::options().exclusive(true).open_on(Arc::new(store.clone())).unwrap();
    std::mem::forget(journal);
    let mut files = super::damage_kit::files_of(&store);
    assert!(files["LOCK"].starts_with(b"held"));
    files.remove("watermark");
    files.remove("runs.idx");
    files.remove(&segment_name(newest(&log)));
    let error = Journal::options().open_on(Arc::new(store_of(&files))).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Damaged, "T0303"));
}
