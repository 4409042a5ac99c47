//! `store info` against what the next open for writing really does.
//!
//! Bug: with a bad frame before the watermark, in the newest segment of a small store, the tail was in order, so info
//! said "would do: nothing"; and the next append was refused, since a writer reads the segment.

use super::damage_kit::{described, number, segment_name, store_of};
use crate::storage::{EntryKind, Memory, Storage, WrongKind};
use crate::{Batch, Expect, Journal, Mark, Opening, StoreInfo, TypeEntry};
use std::sync::Arc;

fn append(storage: &Arc<dyn Storage>) -> crate::Result<()> {
    let journal = Journal::options().open_on(Arc::clone(storage))?;
    let mut batch = Batch::new();
    let run = batch.run_or_create("nightly", Expect::Any);
    batch.event(Some(run), &Arc::new(TypeEntry::json("step.done")), b"{}");
    journal.append(batch)?;
    Ok(())
}

/// Opens the store and appends what asks nothing of any run: one whose opening is lost refuses its own events.
fn open_and_mark(storage: &Arc<dyn Storage>) -> crate::Result<()> {
    let journal = Journal::options().open_on(Arc::clone(storage))?;
    journal.mark(None, &Mark { name: "here".to_owned(), note: String::new() })?;
    Ok(())
}

#[test]
fn info_tells_what_the_next_open_for_writing_does_wherever_a_byte_is_bad() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    Journal::options().create(true).segment_len_bytes(16 << 10).open_on(Arc::clone(&storage)).unwrap();
    for _ in 0..9 {
        append(&storage).unwrap();
    }
    let log = described(&memory);
    let (mut refused, mut opened) = (0, 0);
    for with_lock in [true, false] {
        for frame in &log.frames[&number(1)] {
            for at in [frame.offset + 20, frame.payload_end - 1, frame.end] {
                let mut files = log.files.clone();
                if !with_lock {
                    files.remove("LOCK");
                }
                let at = usize::try_from(at).unwrap();
                files.get_mut(&segment_name(1)).unwrap()[at] ^= 1;
                let storage: Arc<dyn Storage> = Arc::new(store_of(&files));
                let info = StoreInfo::read(&*storage).unwrap();
                let foretold = match &info.opening {
                    Opening::Refused(error) => Some(error.code()),
                    Opening::Planned(plan) => plan.refusal().map(|error| error.code()),
                    Opening::Trusted(_) => None,
                    Opening::InFlight(_) => panic!("nobody writes"),
                };
                let done = open_and_mark(&storage).map_err(|error| error.code()).err();
                assert_eq!(foretold, done, "byte {at:#x}, LOCK {with_lock}: {info:#?}");
                refused += usize::from(done.is_some());
                opened += usize::from(done.is_none());
            }
        }
    }
    assert!(refused > 20 && opened > 10, "{refused} {opened}");
    println!(
        "lab-result {{\"check\":\"info-foretells\",\"promise\":[\"P6\",\"P9\"],\"cases\":{},\"failures\":0,\"skipped\":null,\
         \"figures\":{{\"refused\":{refused},\"opened\":{opened}}}}}",
        refused + opened
    );
}

#[test]
fn the_error_of_a_wrong_kind_says_what_is_there() {
    let wrong = WrongKind { name: "LOCK".to_owned(), found: EntryKind::Pipe, expected: EntryKind::File };
    let error = crate::Error::io("cannot open LOCK", wrong.into_io());
    assert_eq!(
        (error.code(), error.message()),
        ("T0314", "cannot open LOCK: LOCK is a named pipe, not a regular file")
    );
}
