//! Opening a store one of whose older segments has lost its footer and events as well.

use super::damage_kit::{Files, number, segment_name, store_of};
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan};
use crate::storage::{Memory, Storage};
use crate::{Batch, ErrorKind, Expect, Journal, Kind, TypeEntry};
use std::sync::Arc;

fn append(journal: &Journal, run: &str, text: &str) -> crate::Result<u32> {
    let mut batch = Batch::new();
    let run = batch.run_or_create(run, Expect::Any);
    batch.event(Some(run), &Arc::new(TypeEntry::json("step.done")), text.as_bytes());
    Ok(journal.append(batch)?.revision)
}

/// A log whose first segment holds all of `early`, and the others events of `nightly` only; as a machine finds it that has
/// been booted since: without the index of runs, and with a lock of another boot.
fn log() -> (Files, super::damage_kit::Intact) {
    let memory = Memory::new();
    let journal =
        Journal::options().create(true).segment_len_bytes(16 << 10).open_on(Arc::new(memory.clone())).unwrap();
    append(&journal, "nightly", "{}").unwrap();
    append(&journal, "early", "{}").unwrap();
    append(&journal, "early", "{\"last\":true}").unwrap();
    for _ in 0..40 {
        append(&journal, "nightly", &format!("\"{}\"", "text ".repeat(150))).unwrap();
    }
    journal.close().unwrap();
    let intact = super::damage_kit::described(&memory);
    let mut files = intact.files.clone();
    files.remove("runs.idx");
    files.remove("LOCK");
    (files, intact)
}

#[test]
fn a_run_whose_last_event_may_be_lost_is_not_gone_on_with() {
    // Bug: with the footer and an event of one older segment damaged, the run index was made from what was left, and the
    // run's lost revision was given to the next event as if there had been none.
    let (files, intact) = log();
    let frames = &intact.frames[&number(1)];
    let early: Vec<_> = frames.iter().filter(|frame| frame.header.run.map_or(0, crate::Seq::get) > 3).collect();
    let (opening, last) = (early[0], early[early.len() - 1]);
    assert_eq!((opening.header.kind, last.header.revision), (Kind::RUN_OPENED, 3));
    let footer = frames.iter().find(|frame| frame.header.kind == Kind::FOOTER).unwrap();
    let damaged = |places: &[u64]| {
        let mut files = files.clone();
        let segment = files.get_mut(&segment_name(1)).unwrap();
        for place in places {
            segment[usize::try_from(*place).unwrap()] ^= 4;
        }
        store_of(&files)
    };
    // (what is damaged beside the footer, whether `early` can be gone on with)
    let cases = [
        (vec![footer.offset + 60], true),
        (vec![footer.offset + 10], true),
        (vec![footer.offset + 60, last.offset + 50], true),
        (vec![footer.offset + 60, last.offset + 10], false),
        (vec![footer.offset + 60, opening.offset + 50], false),
        (vec![footer.offset + 60, opening.offset + 10], false),
        (vec![last.offset + 10], true),
    ];
    for (places, goes_on) in cases {
        let storage: Arc<dyn Storage> = Arc::new(damaged(&places));
        let journal = Journal::options().open_on(Arc::clone(&storage)).unwrap();
        assert!(append(&journal, "nightly", "{}").is_ok(), "{places:?}: its last events are elsewhere");
        let appended = append(&journal, "early", "{}");
        match appended {
            Ok(revision) => assert_eq!((goes_on, revision), (true, 4), "{places:?}"),
            Err(error) => {
                assert_eq!((goes_on, error.kind(), error.code()), (false, ErrorKind::Damaged, "T0308"), "{places:?}");
                assert!(append(&journal, "new", "{}").is_err(), "{places:?}: its opening may be what is lost");
                journal.close().unwrap();
                salvage(&storage);
                let journal = Journal::options().open_on(storage).unwrap();
                assert!(append(&journal, "new", "{}").is_ok(), "{places:?}: the loss has been accepted");
            }
        }
    }
}

fn salvage(storage: &Arc<dyn Storage>) {
    let plan = RepairPlan::make(&**storage, RepairMode::Salvage).unwrap();
    let authority = Authority {
        plan: plan.name().to_owned(),
        accept_loss: plan.lost,
        reason: "a test".to_owned(),
        actor: "uid:0".to_owned(),
        lock_timeout_ms: 100,
    };
    plan.apply(storage, &authority).unwrap();
}
