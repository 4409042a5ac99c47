//! What the run index tells of a segment that has no footer yet: places to start reading from.

use crate::log::run_index_file::{IndexFile, write_index_file};
use crate::storage::{Memory, OpenMode, Storage, Transfer, Watched, write_all_at};
use crate::{Batch, Expect, IndexEntry, Journal, Listing, Options, Query, Reader, Record, Seq, SyncPolicy, TypeEntry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn options() -> Options {
    Journal::options().create(true).sync(SyncPolicy::Never)
}

/// Events of about 1 KiB in batches of seven, over three runs; a type of its own every thousand events.
fn append(journal: &Journal, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(7) {
        let mut batch = Batch::new();
        let runs = ["run-0", "run-1", "run-2"].map(|name| batch.run_or_create(name, Expect::Any));
        for number in some {
            let entry = Arc::new(TypeEntry::json(&format!("type-{}", number / 1000)));
            let payload = format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(950));
            batch.event(Some(runs[usize::try_from(number % 3).unwrap()]), &entry, payload.as_bytes());
        }
        journal.append(batch).unwrap();
    }
}

/// A store in one segment, which several processes have written.
fn store() -> Arc<Memory> {
    let storage = Arc::new(Memory::new());
    for (from, until, exclusive) in [(0, 1500, true), (1500, 3100, false), (3100, 3110, false), (3110, 4400, true)] {
        let journal = options().exclusive(exclusive).open_on(storage.clone()).unwrap();
        append(&journal, from..until);
        journal.close().unwrap();
    }
    // Less than is worth an index of its own.
    let journal = options().open_on(storage.clone()).unwrap();
    append(&journal, 4400..4600);
    journal.close().unwrap();
    storage
}

type Line = (u64, String, u32, i64, Vec<u8>);

/// The last event first, at most so many.
fn last(reader: &Reader, query: Query, most: usize) -> Vec<Line> {
    let mut events = reader.events(query.reverse()).unwrap();
    let mut all = Vec::new();
    while all.len() < most
        && let Some(record) = events.next().unwrap()
    {
        all.push(line(&record));
    }
    all
}

fn line(record: &Record<'_>) -> Line {
    (record.seq.get(), record.type_name(), record.revision, record.time_max_ns, record.payload.to_vec())
}

fn lines(reader: &Reader, query: Query) -> Vec<Line> {
    let mut events = reader.events(query).unwrap();
    let mut all = Vec::new();
    while let Some(record) = events.next().unwrap() {
        let line = (record.seq.get(), record.type_name(), record.revision, record.time_max_ns, record.payload.to_vec());
        all.push(line);
    }
    all
}

/// Everything that is read from a place in the midst of the segment.
fn seen(storage: &Arc<Memory>) -> Vec<Vec<Line>> {
    let reader = Reader::open_on(storage.clone()).unwrap();
    let end = last(&reader, Query::all(), 1)[0].0;
    let mut all = Vec::new();
    for seq in [1, 2, 700, 1499, 1502, 2000, 3105, 4000, end - 20, end] {
        let from = Seq::new(seq).unwrap();
        all.push(lines(&reader, Query::all().from(from).until(Seq::new((seq + 30).min(end + 1)).unwrap())));
        let got = Reader::open_on(storage.clone()).unwrap().get(from).unwrap().unwrap();
        all.push(vec![line(&got)]);
        let time_ns = got.time_ns;
        all.push(lines(
            &reader,
            Query { times_ns: Some(time_ns..i64::MAX), ..Query::all() }
                .until(Seq::new((seq + 5).min(end + 1)).unwrap()),
        ));
    }
    all.push(last(&reader, Query::all(), 25));
    all.push(last(&reader, Query::all().until(Seq::new(2000).unwrap()), 5));
    all
}

#[test]
fn what_is_read_from_a_place_is_what_is_read_from_the_start() {
    let storage = store();
    assert_eq!(Listing::read(&*storage).unwrap().segments.len(), 1, "one segment, without a footer");
    let with = seen(&storage);
    storage.remove("runs.idx").unwrap();
    assert_eq!(seen(&storage), with);
}

/// Read from the first event on, whatever was asked for: a state from a snapshot at the end of a segment took as long as two
/// thirds of the state from the first event.
#[test]
fn what_stands_before_the_place_is_not_read() {
    let storage = store();
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let watched = Watched::new(storage.clone(), move |transfer, count| {
        if transfer == Transfer::Read {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    });
    let watched: Arc<dyn Storage> = Arc::new(watched);
    let of = |act: &dyn Fn(&Reader)| {
        let reader = Reader::open_on(Arc::clone(&watched)).unwrap();
        let before = read.load(Ordering::Relaxed);
        act(&reader);
        read.load(Ordering::Relaxed) - before
    };
    let whole = of(&|reader| drop(lines(reader, Query::all())));
    assert!(whole > 4 << 20, "{whole}");
    type Act<'a> = (&'a str, &'a dyn Fn(&Reader));
    let asked: [Act<'_>; 4] = [
        ("from near the end", &|reader| drop(lines(reader, Query::all().from(Seq::new(4580).unwrap())))),
        ("an early event", &|reader| drop(reader.get(Seq::new(10).unwrap()).unwrap())),
        ("a late event", &|reader| drop(reader.get(Seq::new(4590).unwrap()).unwrap())),
        ("the last ones", &|reader| drop(last(reader, Query::all(), 3))),
    ];
    for (what, act) in asked {
        let part = of(act);
        assert!(part < whole / 6, "{what}: {part} of {whole} bytes");
    }
}

/// A hint from a disk is anybody's: each of its bytes is changed, and it is cut at each length.
#[test]
fn a_bad_hint_changes_nothing() {
    let storage = store();
    let index = storage.open("runs.idx", OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(index.len_bytes().unwrap()).unwrap()];
    crate::storage::read_full_at(&*index, 0, &mut bytes).unwrap();
    let reader = Reader::open_on(storage.clone()).unwrap();
    let query = Query::all().from(Seq::new(4300).unwrap()).until(Seq::new(4303).unwrap());
    let expected = lines(&reader, query.clone());
    let put = |bytes: &[u8]| {
        storage.remove("runs.idx").unwrap();
        write_all_at(&*storage.open("runs.idx", OpenMode::CreateNew).unwrap(), 0, bytes).unwrap();
    };
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        put(&bad);
        assert_eq!(lines(&reader, query.clone()), expected, "byte {at}");
    }
    for len in (0..bytes.len()).rev().step_by(7) {
        put(&bytes[..len]);
        assert_eq!(lines(&reader, query.clone()), expected, "cut at {len}");
    }
}

/// The CRCs keep nobody from writing what they like: places that lead nowhere, backwards, or far behind the end.
#[test]
fn a_lying_hint_changes_nothing() {
    let storage = store();
    let expected = seen(&storage);
    let (index, position, types) = IndexFile::open(&*storage).unwrap().unwrap();
    let (log_id, records, places) = (index.log_id(), index.all().unwrap(), index.places().unwrap());
    assert!(places.len() > 50, "{}", places.len());
    type Lie<'a> = (&'a str, &'a dyn Fn(usize, &mut IndexEntry));
    let lies: [Lie<'_>; 6] = [
        ("eight bytes further", &|_, place| place.offset += 8),
        ("another event", &|at, place| place.seq = Seq::after(place.seq.get() + u64::from(at > 3))),
        ("far behind the end", &|at, place| place.offset += (at as u64) << 50),
        ("one place for all", &|_, place| place.offset = 4608),
        ("the last event there is", &|at, place| place.seq = Seq::new(u64::MAX - 100 + at as u64).unwrap()),
        ("the offsets of the next", &|at, place| place.offset = places[(at + 1).min(places.len() - 1)].offset),
    ];
    for (what, lie) in lies {
        let mut lying = places.clone();
        lying.iter_mut().enumerate().skip(1).for_each(|(at, place)| lie(at, place));
        write_index_file(&*storage, log_id, &position, &types, &records, &lying).unwrap();
        assert_eq!(seen(&storage), expected, "{what}");
    }
}
