//! The hot paths, for counting instructions: `hot_paths NAME` does one of them some thousand times, in memory, within
//! `measured`. `.ci/instructions` runs it under callgrind and holds the counts against `engine/benches/instructions.txt`.

use std::sync::Arc;
use taffrail::storage::{Memory, Storage};
use taffrail::{Batch, Expect, Folding, Journal, Query, Reader, Replay, Seq, SyncPolicy, TypeEntry};

const COUNT: u64 = 10_000;
const NAMES: [&str; 7] =
    ["append-128", "append-1024", "append-batch-128", "replay-128", "replay-1024", "get-1024", "fold-runs"];

/// Only what happens in here is counted.
#[inline(never)]
fn measured(act: &mut dyn FnMut()) {
    act();
}

fn open(storage: &Arc<dyn Storage>) -> Journal {
    let options = Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never);
    options.open_on(Arc::clone(storage)).expect("memory does not fail")
}

fn append(payload_len: usize, is_counted: bool) -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = open(&storage);
    let entry = Arc::new(TypeEntry::json("hot.event"));
    let mut appender = journal.run_or_create("hot").expect("a run").appender(&entry);
    let payload = vec![b'x'; payload_len];
    let mut go = |count: u64| {
        for _ in 0..count {
            appender.append(Expect::Any, &payload).expect("an append");
        }
    };
    go(100);
    match is_counted {
        true => measured(&mut || go(COUNT)),
        false => go(COUNT),
    }
    drop(appender);
    journal.close().expect("memory does not fail");
    storage
}

fn append_batches() {
    let journal = open(&(Arc::new(Memory::new()) as Arc<dyn Storage>));
    let entry = Arc::new(TypeEntry::json("hot.event"));
    measured(&mut || {
        for _ in 0..COUNT {
            let mut batch = Batch::new();
            let run = batch.run_or_create("hot", Expect::Any);
            batch.event(Some(run), &entry, &[b'x'; 128]);
            journal.append(batch).expect("an append");
        }
    });
}

fn replay(payload_len: usize) {
    let reader = Reader::open_on(append(payload_len, false)).expect("a store");
    measured(&mut || {
        let mut events = reader.events(Query::all()).expect("events");
        let mut bytes = 0;
        while let Some(record) = events.next().expect("an event") {
            bytes += record.payload.len() as u64;
        }
        assert!(bytes >= COUNT * payload_len as u64);
    });
}

fn get() {
    let reader = Reader::open_on(append(1024, false)).expect("a store");
    measured(&mut || {
        for number in 0..COUNT {
            let found = reader.get_with(Seq::after(number * 7919 % COUNT), |record| record.payload.len());
            assert!(found.expect("an event").is_some());
        }
    });
}

fn fold_runs() {
    use taffrail::run::{Change, EffectRequest, Runs};
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = open(&storage);
    for number in 0..COUNT / 100 {
        let mut batch = Batch::new();
        let run = batch.run_or_create(format!("run-{number}"), Expect::New);
        for step in 0..100 {
            let request =
                EffectRequest { step: format!("work/{step}").into(), kind: "task".into(), ..EffectRequest::default() };
            batch.typed(Some(run), None, &Change::EffectRequested(request).by("engine")).expect("an event");
        }
        journal.append(batch).expect("an append");
    }
    journal.close().expect("memory does not fail");
    let reader = Reader::open_on(storage).expect("a store");
    measured(&mut || {
        let mut folding = Folding::<Runs>::new().expect("a fold");
        Replay::of(&reader).go(&mut [&mut folding]).expect("the log is whole");
    });
}

#[allow(clippy::print_stdout, reason = "its names are what it prints")]
fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "append-128" => drop(append(128, true)),
        "append-1024" => drop(append(1024, true)),
        "append-batch-128" => append_batches(),
        "replay-128" => replay(128),
        "replay-1024" => replay(1024),
        "get-1024" => get(),
        "fold-runs" => fold_runs(),
        _ => NAMES.iter().for_each(|name| println!("{name}")),
    }
}
