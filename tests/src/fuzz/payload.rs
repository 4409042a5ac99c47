//! Any bytes as the payload of a typed event, and as a schema that tells how to read one: decoded, folded or refused,
//! with no memory that the bytes do not account for.

use std::sync::Arc;

use arbitrary::Unstructured;
use taffrail::fold::{Schema, Start};
use taffrail::run::{Change, Runs};
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Expect, Journal, SyncPolicy};

/// Events of the built-in schema, whose payloads the input is.
fn typed(kind: usize, payloads: &[&[u8]]) {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let options = Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never);
    let journal = options.open_on(Arc::clone(&storage)).expect("memory");
    let run = journal.run_or_create("r").expect("memory");
    run.append(Expect::Any, &[Change::Resumed.by("uid:0"), Change::Paused { reason: String::new() }.by("uid:0")])
        .expect("memory");
    let reader = journal.reader().expect("memory");
    let types = reader.types().expect("memory");
    let entry = &types[kind % types.len()];
    let mut batch = Batch::new();
    let batch_run = batch.run("r", Expect::Any);
    payloads.iter().for_each(|payload| {
        batch.event(Some(batch_run), entry, payload);
    });
    journal.append(batch).expect("a payload is bytes");
    let reader = journal.reader().expect("memory");
    // An event that can not be read is an error with a code, and never a panic.
    if let Err(error) = reader.state::<Runs>(Some(run.number()), None, Start::Origin) {
        assert!(error.code().starts_with("T05"), "{error}");
    }
}

/// The target.
pub fn run(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (Ok(kind), Ok(split)) = (input.arbitrary::<u8>(), input.arbitrary::<u16>()) else { return };
    let rest = input.take_rest();
    let (first, second) = rest.split_at(usize::from(split).min(rest.len()));
    if kind & 0x80 == 0 {
        typed(usize::from(kind), &[first, second]);
    } else if let Ok(schema) = Schema::from_text(first) {
        let text = schema.to_text().expect("what was read can be written");
        assert_eq!(
            Schema::from_text(text.as_bytes()).expect("and read again").fingerprint().ok(),
            schema.fingerprint().ok()
        );
        if let Ok(value) = schema.decode(second) {
            assert!(serde_json::to_string(&value).is_ok());
        }
    }
}
