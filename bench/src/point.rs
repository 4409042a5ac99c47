//! One point of a curve, in a process of its own: prints its figures as a line of JSON.

use crate::Settings;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use taffrail::{
    Batch, Expect, Folding, Journal, Options, Query, Reader, Replay, Seq, Snapshots, SyncPolicy, TypeEntry,
};

/// Figures of a point, by the name of their line.
pub type Figures = Vec<(String, f64)>;

fn milliseconds<T>(act: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = act();
    (start.elapsed().as_secs_f64() * 1e3, value)
}

/// The most memory that this process has had, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn buffered() -> Options {
    Journal::options().create(true).exclusive(true).sync(SyncPolicy::Never)
}

fn entry() -> Arc<TypeEntry> {
    Arc::new(TypeEntry::json("bench.event"))
}

fn payload(len: usize) -> Vec<u8> {
    br#"{"step":"work/17","note":"the quick brown fox jumps over"}"#.iter().copied().cycle().take(len).collect()
}

fn append(store: &Path, options: &Options, payload: &[u8], count: u64) {
    let journal = options.clone().open(store).expect("a store");
    let mut appender = journal.run_or_create("bench").expect("a run").appender(&entry());
    (0..count).for_each(|_| {
        appender.append(Expect::Any, payload).expect("an append");
    });
    drop(appender);
    journal.close().expect("a close");
}

fn replay(store: &Path) -> u64 {
    let reader = Reader::open(store).expect("a store");
    let mut events = reader.events(Query::all()).expect("events");
    let mut bytes = 0;
    while let Some(record) = events.next().expect("an event") {
        bytes += record.payload.len() as u64;
    }
    bytes
}

fn open(store: &Path) -> Journal {
    Journal::options().open(store).expect("a store")
}

/// Measures the point that the options name.
pub fn measure(settings: &Settings) {
    let at = settings.number("at");
    let store = settings.data().join("store");
    let figures = match (settings.get("curve").unwrap_or_default(), settings.get("part").unwrap_or_default()) {
        ("events", "append") => {
            vec![("append them".to_owned(), milliseconds(|| append(&store, &buffered(), &payload(128), at)).0)]
        }
        ("payload", "append") => {
            let count = (64 << 20) / at.max(64);
            let payload = payload(usize::try_from(at).expect("a length"));
            vec![("append 64 MiB".to_owned(), milliseconds(|| append(&store, &buffered(), &payload, count)).0)]
        }
        ("segments", "append") => {
            let options = buffered().segment_len_bytes((128 << 20) / at);
            vec![("append 128 MiB".to_owned(), milliseconds(|| append(&store, &options, &payload(1024), 128 << 10)).0)]
        }
        ("runs", "append") => runs(&store, at),
        ("threads", "append") => vec![("append one, durable (us)".to_owned(), threads(&store, at))],
        ("snapshot age", "append") => Vec::new(),
        ("snapshot age", "read") => snapshot_age(&store, at),
        (curve, "read") => read(&store, curve),
        (curve, part) => panic!("no point {curve:?} {part:?}"),
    };
    println!("{}", serde_json::json!({"figures": figures, "peak_mib": peak_mib()}));
}

/// What every store is asked: open it, look an event up, read it all.
fn read(store: &Path, curve: &str) -> Figures {
    let (opened, journal) = milliseconds(|| open(store));
    drop(journal);
    let mut figures = vec![("open for writing".to_owned(), opened)];
    if curve == "runs" {
        let reader = Reader::open(store).expect("a store");
        figures.push(("find a run".to_owned(), milliseconds(|| reader.find_run("run-0").expect("a run")).0));
    }
    let reader = Reader::open(store).expect("a store");
    figures.push(("one event, cold".to_owned(), milliseconds(|| reader.get(Seq::after(2)).expect("an event")).0));
    figures.push(("replay".to_owned(), milliseconds(|| replay(store)).0));
    figures
}

/// A hundred thousand events, spread over so many runs.
fn runs(store: &Path, count: u64) -> Figures {
    let journal = buffered().open(store).expect("a store");
    let (entry, payload) = (entry(), payload(128));
    let appended = milliseconds(|| {
        for first in (0..100_000_u64).step_by(100) {
            let mut batch = Batch::new();
            let mut named = std::collections::BTreeMap::new();
            for number in first..first + 100 {
                let name = format!("run-{}", number % count);
                let run = *named.entry(name.clone()).or_insert_with(|| batch.run_or_create(name, Expect::Any));
                batch.event(Some(run), &entry, &payload);
            }
            journal.append(batch).expect("an append");
        }
        journal.close().expect("a close");
    });
    vec![("append 100,000 events".to_owned(), appended.0)]
}

/// Microseconds of one durable append, where so many threads append.
fn threads(store: &Path, threads: u64) -> f64 {
    let journal = Journal::options().create(true).open(store).expect("a store");
    let (entry, payload, each) = (entry(), payload(1024), 4000 / threads.min(16));
    let append = || {
        let mut batch = Batch::new();
        let run = batch.run_or_create("bench", Expect::Any);
        batch.event(Some(run), &entry, &payload);
        journal.append(batch).expect("an append");
    };
    append();
    let work = || (0..each).for_each(|_| append());
    let (taken_ms, ()) =
        milliseconds(|| std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work)))));
    taken_ms * 1e3 / (threads * each) as f64
}

#[derive(Serialize, Deserialize)]
struct Note {
    step: u32,
}

impl taffrail::Event for Note {
    const TYPE: &'static str = "bench.note";
    const VERSION: u16 = 1;
}

struct Notes;

impl taffrail::Fold for Notes {
    const NAME: &'static str = "bench.notes";
    const VERSION: u32 = 1;
    type Event = Note;
    type State = u64;
    fn apply(state: &mut u64, event: &taffrail::Recorded<Note>) {
        *state += u64::from(event.data.step);
    }
}

/// A run of about a million events with a snapshot, and so many of them behind it: how long its state takes.
fn snapshot_age(store: &Path, age: u64) -> Figures {
    let journal = buffered().open(store).expect("a store");
    let append = |count: u64| {
        for _ in 0..count.div_ceil(1000) {
            let mut batch = Batch::new();
            let run = batch.run_or_create("bench", Expect::Any);
            for step in 0..count.min(1000) {
                batch.typed(Some(run), None, &Note { step: step as u32 }).expect("an event");
            }
            journal.append(batch).expect("an append");
        }
        journal.sync().expect("a sync");
    };
    append((1_000_000 - age.min(1_000_000)).max(1000));
    let run = journal.run("bench").expect("a run").number();
    let fold = |snapshot: bool| {
        let reader = Reader::open(store).expect("a store");
        let mut folding = Folding::<Notes>::new().expect("a fold");
        let mut replay = Replay::of(&reader).run(run);
        let snapshots = Snapshots::of(&reader).expect("a store");
        if let (Some(standing), _) = snapshots.newest::<Notes>(&reader, Some(run), None).expect("snapshots")
            && snapshot
        {
            replay = replay.from(standing.seq.expect("an event").next());
            folding.start_at(Some(run), standing);
        }
        replay.go(&mut [&mut folding]).expect("the log is whole");
        folding.into_standing(Some(run)).expect("a state")
    };
    let standing = fold(false);
    let reader = Reader::open(store).expect("a store");
    let snapshots = Snapshots::of(&reader).expect("a store");
    snapshots.create::<Notes>(&journal, Some(run), &standing).expect("a snapshot");
    append(age);
    journal.close().expect("a close");
    let (with, _) = milliseconds(|| fold(true));
    let (without, _) = milliseconds(|| fold(false));
    vec![("state, from the snapshot".to_owned(), with), ("state, from the first event".to_owned(), without)]
}
