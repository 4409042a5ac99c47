//! Small is cheap: a store with one run of fifty events.

use crate::storage::{OperationKind, SimDisk};
use crate::{Expect, Journal, TypeEntry};
use std::sync::Arc;

/// Bytes that a store of one small run takes, at most.
const MOST_LEN_BYTES: u64 = 128 << 10;
/// Syncs that making a store takes, at most: its first segment, and the three directories that lead to it.
const MOST_SYNCS: usize = 4;

#[test]
fn a_store_of_fifty_events_takes_at_most_128_kib_and_four_syncs_to_make() {
    let sim = SimDisk::new(5);
    let journal = Journal::options().create(true).open_on(Arc::new(sim.process(1))).unwrap();
    let syncs = || {
        let is_sync = |kind: OperationKind| {
            kind.syncs_file() || matches!(kind, OperationKind::SyncDir | OperationKind::SyncParent)
        };
        sim.ops().iter().filter(|operation| is_sync(operation.kind)).count()
    };
    let made = syncs();
    assert!((1..=MOST_SYNCS).contains(&made), "{made} syncs");
    let mut appender = journal.run_or_create("nightly").unwrap().appender(&Arc::new(TypeEntry::json("step.done")));
    for number in 0..50 {
        appender
            .append(Expect::Any, format!("{{\"step\":{number},\"note\":\"{}\"}}", "x".repeat(200)).as_bytes())
            .unwrap();
    }
    // The run's opening and each event: one sync each.
    assert_eq!(syncs() - made, 51);
    drop(appender);
    journal.close().unwrap();
    let files = sim.files();
    // A file system sets whole blocks aside.
    let taken: u64 = files.values().map(|bytes| (bytes.len() as u64).next_multiple_of(4096)).sum();
    assert!(taken <= MOST_LEN_BYTES, "{taken} bytes: {:?}", files.keys());
}
