//! `LOCK` once had no checksum, and what a good release leaves there was trusted by the next opening within the same boot.
//! One flipped bit in the segment's number or the offset, and a store in order was refused ("cannot open segment 5"); an
//! offset that hit the border of an earlier frame would have been taken for the end of the log.

use super::damage_kit::{append, files_of, intact, store_of, verified};
use crate::{Journal, Severity};
use std::sync::Arc;

#[test]
fn no_flipped_bit_of_the_lock_costs_an_event() {
    let log = intact(12 << 10, 40);
    let place = log.files["LOCK"].len();
    for bit in 0..place * 8 {
        let mut files = log.files.clone();
        files.get_mut("LOCK").unwrap()[bit / 8] ^= 1 << (bit % 8);
        files.remove("runs.idx");
        let store = store_of(&files);
        let opened = Journal::options().segment_len_bytes(12 << 10).open_on(Arc::new(store.clone()));
        let journal = opened.unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        append(&journal, 40..43);
        journal.close().unwrap();
        let report = verified(&store);
        assert_eq!((report.severity, report.totals.lost), (Severity::Clean, 0), "bit {bit}: {report:#?}");
        assert!(report.last_seq > log.last, "bit {bit}: {report:#?}");
        assert!(files_of(&store)["LOCK"].starts_with(b"clean"));
    }
}
