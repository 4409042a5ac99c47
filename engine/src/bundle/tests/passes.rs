//! How often an export reads what it packs, and that it overlooks nothing for that.

use super::kit::{go_on, shelf};
use crate::bundle::export;
use crate::log::forgotten::Forgotten;
use crate::storage::counted::counted;
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, Journal, Kind, OperatorAction, TypeEntry};
use std::sync::Arc;

const SEGMENT_LEN_BYTES: u64 = 256 << 10;

fn fill(journal: &Journal, events: u32) {
    let entry = Arc::new(TypeEntry::json("acme.step"));
    for number in 0..events {
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("job-{}", number % 8), Expect::Any);
        batch.event(Some(run), &entry, format!("{{\"n\":{number},\"log\":\"{:0>1000}\"}}", number % 97).as_bytes());
        journal.append(batch).unwrap();
    }
}

fn store() -> (Arc<dyn Storage>, Journal) {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let options = Journal::options().create(true).segment_len_bytes(SEGMENT_LEN_BYTES);
    let journal = options.open_on(Arc::clone(&storage)).unwrap();
    (storage, journal)
}

/// Bug: an export read the whole log before it copied it, to see what redactions tell. Footers say where none can be told of.
#[test]
fn an_export_reads_the_log_once() {
    let (storage, journal) = store();
    fill(&journal, 4_000);
    journal.close().unwrap();
    let log: u64 = storage.list("segments").unwrap().iter().map(|entry| entry.len_bytes).sum();
    assert!(log > 12 * SEGMENT_LEN_BYTES);
    let (storage, counted) = counted(storage);
    let (_, read, _) = counted.of(|| export(&storage, None, &*shelf(), "b", &mut go_on).unwrap());
    // The first segment, in which types are registered, and the newest one are read twice; and there are headers and footers.
    let most = log * 3 / 2;
    assert!((log - SEGMENT_LEN_BYTES..most).contains(&read), "{read} bytes of {log} were read");
}

#[test]
fn what_a_redaction_tells_in_the_midst_of_runs_is_found() {
    let (storage, journal) = store();
    fill(&journal, 600);
    let file = crate::blob::file_of(&crate::blob::Digest([7; 32]));
    let action = OperatorAction {
        verb: "redact".to_owned(),
        plan: [1; 32],
        reason: "a test".to_owned(),
        actor: "uid:0".to_owned(),
        detail: serde_json::json!({ "events": [], "forgotten": [[file, "00"]] }).to_string(),
    };
    let mut batch = Batch::new();
    batch.own(None, Kind::OPERATOR_ACTION, false, &action.encode());
    let told = journal.append(batch).unwrap().last;
    fill(&journal, 600);
    journal.close().unwrap();
    assert_eq!(Forgotten::read(&*storage).unwrap().seq_of(&file), Some(told.get()));
}
