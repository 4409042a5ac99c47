//! A log and the events that it must hold.

use crate::storage::Storage;
use crate::{Batch, Codec, Expect, Journal, Query, Reader, TypeEntry};
use std::sync::Arc;

/// An event as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) run: u64,
    pub(super) revision: u32,
    pub(super) time_ns: i64,
    pub(super) type_name: String,
    pub(super) payload: Vec<u8>,
}

/// Writes batches to three runs over many small segments, and returns the events that a reader must find. Times step back
/// now and then.
pub(super) fn write_log(storage: Arc<dyn Storage>, batches: u64, close: bool) -> Vec<Event> {
    let journal = Journal::options().create(true).segment_len_bytes(16 << 10).open_on(Arc::clone(&storage)).unwrap();
    let done = Arc::new(TypeEntry::json("step.done"));
    let queued = Arc::new(TypeEntry { variant: "Queued".into(), codec: Codec::Bytes, ..TypeEntry::json("acme.job") });
    let mut model: Vec<Event> = Vec::new();
    for number in 0..batches {
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("run-{}", number % 3), Expect::Any);
        let mut expected = Vec::new();
        for item in 0..=number % 4 {
            let entry = if (number + item).is_multiple_of(5) { &queued } else { &done };
            let time_ns = i64::try_from(number * 1000 + item).unwrap() - if number % 7 == 3 { 5000 } else { 0 };
            let fill = u8::try_from((number + item) % 256).unwrap();
            let payload = vec![fill; usize::try_from((number * 37 + item * 101) % 700).unwrap()];
            batch.event_at(Some(run), entry, time_ns, &payload);
            expected.push((entry.full_name(), time_ns, payload));
        }
        let appended = journal.append(batch).unwrap();
        for ((type_name, time_ns, payload), seq) in expected.into_iter().zip(appended.first.get()..) {
            let revision = appended.revision - u32::try_from(appended.last.get() - seq).unwrap();
            model.push(Event { seq, run: 0, revision, time_ns, type_name, payload });
        }
    }
    if close {
        journal.close().unwrap();
    } else {
        journal.sync().unwrap();
        std::mem::forget(journal);
    }
    add_own_events(storage, model)
}

/// Registrations and openings, which the batches did not name, and the runs' numbers, which only the log gives: taken from
/// it, after checking that it has each of them once and in its place.
fn add_own_events(storage: Arc<dyn Storage>, mut model: Vec<Event>) -> Vec<Event> {
    let reader = Reader::open_on(storage).unwrap();
    let mut events = reader.events(Query::all()).unwrap();
    let mut names = std::collections::BTreeMap::new();
    let mut own = Vec::new();
    while let Some(record) = events.next().unwrap() {
        if record.kind.is_reserved() {
            let run = record.run.map_or(0, crate::Seq::get);
            if let Ok(opened) = crate::RunOpened::decode(&record.payload) {
                assert!(names.insert(opened.name, run).is_none(), "a run is opened once");
            }
            let (type_name, payload) = (record.type_name(), record.payload.to_vec());
            let (seq, revision, time_ns) = (record.seq.get(), record.revision, record.time_ns);
            own.push(Event { seq, run, revision, time_ns, type_name, payload });
        }
    }
    assert_eq!((names.len(), own.len()), (3, 5));
    for (number, event) in model.iter_mut().scan((0_u64, 0_u64), |state, event| Some((next_batch(state), event))) {
        event.run = names[&format!("run-{}", number % 3)];
    }
    model.extend(own);
    model.sort_by_key(|event| event.seq);
    let dense: Vec<u64> = model.iter().map(|event| event.seq).collect();
    assert_eq!(dense, (1..=model.len() as u64).collect::<Vec<u64>>());
    model
}

/// The number of the batch that an event belongs to, where batch n has n % 4 + 1 events.
fn next_batch(state: &mut (u64, u64)) -> u64 {
    let (batch, item) = *state;
    *state = if item == batch % 4 { (batch + 1, 0) } else { (batch, item + 1) };
    batch
}
