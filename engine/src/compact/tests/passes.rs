//! How often a compaction reads what it works on.

use super::kit::{authority, folds, options, whole_run};
use crate::compact::{Choice, CompactionPlan, Originals, Retention};
use crate::repair::UndoPlan;
use crate::storage::counted::counted;
use crate::storage::{Memory, Storage};
use std::sync::Arc;

/// Headers, footers and the ends of segments are looked at besides, which is a lot where segments are small; a second pass would
/// be more than that.
fn assert_about(what: &str, bytes: u64, due_bytes: u64, log_len_bytes: u64) {
    let most = due_bytes + log_len_bytes * 2 / 5;
    assert!((due_bytes * 9 / 10..=most).contains(&bytes), "{what}: {bytes} bytes, and {due_bytes} are due");
}

/// Retention over a log of any size is one pass to plan and one to carry out: what is kept is folded a second time, as it
/// stands in the new files. An undo reads for the events that tell, and for the digests of the originals.
#[test]
fn a_retention_reads_the_log_once_to_plan_and_once_to_carry_out() {
    let memory: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = options().segment_len_bytes(512 << 10).open_on(Arc::clone(&memory)).unwrap();
    for run in 0..200 {
        whole_run(&journal, &format!("job-{run}"), 0..60);
    }
    journal.close().unwrap();
    let (storage, counted) = counted(memory);
    let segments = storage.list("segments").unwrap();
    let log: u64 = segments.iter().map(|entry| entry.len_bytes).sum();
    assert!(segments.len() > 8, "{segments:?}");
    let newest = segments.last().map_or(0, |entry| entry.len_bytes);
    for keep_last in [10, 100] {
        let choice = Choice::Runs(Retention { keep_last, ..Retention::finished() });
        let make =
            || CompactionPlan::make(&storage, &folds(), &choice, Originals::Archived, None, &mut |_| {}).unwrap();
        let (plan, read, written) = counted.of(make);
        // Behind the last event the newest file is empty.
        assert_about("the plan reads", read, log - newest / 2, log);
        assert_eq!(written, 0);

        let replaced: u64 = plan.segments.iter().flat_map(|segment| &segment.lens_bytes).sum();
        let gone: u64 = plan.segments.iter().map(|segment| segment.bytes).sum();
        let new = replaced - gone;
        let (_, read, written) = counted.of(|| plan.apply(&storage, &authority(&plan), &mut |_| {}).unwrap());
        // What is replaced is read for the new files, and what there will be is folded.
        assert_about("carrying it out reads", read, replaced + (log - gone), log);
        // Originals are kept by a second name, here by a copy: this storage has none.
        assert_about("carrying it out writes", written, replaced + new, log);

        let (undo, read, _) = counted.of(|| UndoPlan::make(&storage, None).unwrap());
        assert_about("the plan of the undo reads", read, (log - gone) + replaced + new, log);
        let agreed = crate::plan::Authority { plan: undo.name().to_owned(), ..authority(&plan) };
        undo.apply(&storage, &agreed).unwrap();
    }
}
