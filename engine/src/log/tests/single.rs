//! Events of one type and run: appended without filling a batch, and read without their neighbours.

use super::damage_kit::{intact, number, segment_name, store_of};
use super::model::write_log;
use crate::log::segment::Segment;
use crate::storage::{Memory, OpenMode, SimDisk, Storage};
use crate::{
    ErrorKind, Expect, Flags, IndexEntry, Journal, Kind, Options, Query, Reader, Record, SegmentNumber, Seq,
    SyncPolicy, TypeEntry,
};
use std::sync::Arc;
use taffrail_log_format::{FrameFields, encode_frame, layout};

fn entry() -> Arc<TypeEntry> {
    Arc::new(TypeEntry::json("step.done"))
}

fn all(storage: &Arc<dyn Storage>) -> Vec<Record<'static>> {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let mut records = Vec::new();
    let mut events = reader.events(Query::all()).unwrap();
    while let Some(record) = events.next().unwrap() {
        records.push(record.clone().into_owned());
    }
    records
}

/// What two logs of the same events have in common.
fn told(record: &Record<'_>) -> (u64, Option<u64>, u32, String, bool, Vec<u8>, u64) {
    let run = record.run.map(Seq::get);
    let segment = u64::from(record.segment.get()) << 32 | record.offset;
    (record.seq.get(), run, record.revision, record.type_name(), record.more, record.payload.to_vec(), segment)
}

fn modes() -> Vec<Options> {
    let small = || Journal::options().create(true).segment_len_bytes(16 << 10);
    vec![
        small(),
        small().exclusive(true),
        small().sync(SyncPolicy::Never),
        small().exclusive(true).sync(SyncPolicy::Never),
    ]
}

#[test]
fn an_appender_writes_what_batches_of_one_event_write() {
    for options in modes() {
        let payloads: Vec<Vec<u8>> = (0..300_u32).map(|number| vec![b'a'; (number % 90) as usize * 7]).collect();
        let (one, other): (Arc<dyn Storage>, Arc<dyn Storage>) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        let journal = options.clone().open_on(Arc::clone(&one)).unwrap();
        let mut appender = journal.run_or_create("nightly").unwrap().appender(&entry());
        let prepared: Vec<_> = payloads.iter().map(|payload| appender.append(Expect::Any, payload).unwrap()).collect();
        drop(appender);
        journal.close().unwrap();
        let journal = options.open_on(Arc::clone(&other)).unwrap();
        let run = journal.run_or_create("nightly").unwrap();
        for (payload, prepared) in payloads.iter().zip(&prepared) {
            assert_eq!(run.append_raw(Expect::Any, &entry(), &[payload]).unwrap(), *prepared);
        }
        journal.close().unwrap();
        let (one, other) = (all(&one), all(&other));
        assert!(one.last().unwrap().segment > SegmentNumber::FIRST.next(), "over several segments");
        assert_eq!(one.iter().map(told).collect::<Vec<_>>(), other.iter().map(told).collect::<Vec<_>>());
    }
}

#[test]
fn an_appender_writes_batches_as_batches_are_written() {
    for options in modes() {
        let payloads: Vec<Vec<u8>> = (0..900_u32).map(|number| vec![b'a'; (number % 90) as usize * 7]).collect();
        let (one, other): (Arc<dyn Storage>, Arc<dyn Storage>) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        let journal = options.clone().open_on(Arc::clone(&one)).unwrap();
        let mut appender = journal.run_or_create("nightly").unwrap().appender(&entry());
        // Of one event, of a few, and of more than the shortest segment takes.
        let lens = [1, 2, 3, 5, 60, 1, 120];
        let mut prepared = Vec::new();
        let mut rest = &payloads[..];
        for len in lens.iter().cycle() {
            let (batch, behind) = rest.split_at((*len).min(rest.len()));
            if batch.is_empty() {
                break;
            }
            prepared.push(appender.append_all(Expect::Any, batch).unwrap());
            rest = behind;
        }
        drop(appender);
        journal.close().unwrap();
        let journal = options.open_on(Arc::clone(&other)).unwrap();
        let run = journal.run_or_create("nightly").unwrap();
        let mut rest = &payloads[..];
        for (len, prepared) in lens.iter().cycle().zip(&prepared) {
            let (batch, behind) = rest.split_at((*len).min(rest.len()));
            assert_eq!(run.append_raw(Expect::Any, &entry(), batch).unwrap(), *prepared);
            rest = behind;
        }
        assert!(rest.is_empty());
        journal.close().unwrap();
        let (one, other) = (all(&one), all(&other));
        assert!(one.last().unwrap().segment > SegmentNumber::FIRST.next(), "over several segments");
        assert_eq!(one.iter().map(told).collect::<Vec<_>>(), other.iter().map(told).collect::<Vec<_>>());
        // An event that stands alone, or last, has no other one behind it in its batch.
        let (alone, inside) =
            (one.iter().filter(|event| !event.more).count(), one.iter().filter(|event| event.more).count());
        assert!(alone > prepared.len() && inside > 700, "{alone} and {inside}");
    }
}

#[test]
fn a_batch_of_an_appender_is_appended_as_a_whole_or_not_at_all() {
    for options in modes() {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let journal = options.open_on(Arc::clone(&storage)).unwrap();
        let mut appender = journal.run_or_create("nightly").unwrap().appender(&entry());
        let none: [&[u8]; 0] = [];
        // Bug: a batch without an event, of a run that exists, was answered with seq 1, and nothing was appended.
        assert_eq!(appender.append_all(Expect::Any, &none).unwrap_err().code(), "T0144");
        let first = appender.append_all(Expect::Revision(1), &["{}", "{}"]).unwrap();
        let (long, longer) = (vec![b'x'; layout::MAX_PAYLOAD_LEN_BYTES], vec![b'x'; layout::MAX_PAYLOAD_LEN_BYTES + 1]);
        let refused = [
            appender.append_all(Expect::Any, &none),
            appender.append_all(Expect::Any, &[b"{}", &longer[..]]),
            appender.append_all(Expect::Any, &[&long[..]; 9]),
            appender.append_all(Expect::Revision(2), &["{}", "{}"]),
            appender.append_all(Expect::New, &["{}", "{}"]),
        ];
        let codes: Vec<_> = refused.iter().map(|refused| refused.as_ref().unwrap_err().code()).collect();
        assert_eq!(codes, ["T0144", "T0144", "T0144", "T0145", "T0145"]);
        let second = appender.append_all(Expect::Revision(3), &["{}", "{}", "{}"]).unwrap();
        assert_eq!((second.first, second.revision), (first.last.next(), 6));
        assert_eq!(second.last.get() - second.first.get(), 2);
        drop(appender);
        journal.close().unwrap();
        let more: Vec<_> = all(&storage).iter().filter(|event| event.revision > 1).map(|event| event.more).collect();
        assert_eq!(more, [true, false, true, true, false]);
    }
}

#[test]
fn an_appender_is_as_strict_as_a_batch_and_goes_on_behind_others() {
    for options in modes().into_iter().step_by(2) {
        let storage: Arc<dyn Storage> = Arc::new(Memory::new());
        let first = options.clone().open_on(Arc::clone(&storage)).unwrap();
        let second = options.open_on(Arc::clone(&storage)).unwrap();
        let mut ours = first.run_or_create("nightly").unwrap().appender(&entry());
        let mut theirs = second.run("nightly").unwrap().appender(&entry());
        for round in 0..100 {
            let revision = 2 * round + 1;
            let appended = ours.append(Expect::Revision(revision), b"{}").unwrap();
            assert_eq!(appended.revision, revision + 1);
            let refused = ours.append(Expect::Revision(revision), b"{}").unwrap_err();
            assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "T0145"));
            assert_eq!(ours.append(Expect::New, b"{}").unwrap_err().code(), "T0145");
            assert_eq!(theirs.append(Expect::Any, b"{\"n\":1}").unwrap().revision, revision + 2);
        }
        let too_long = vec![b'x'; layout::MAX_PAYLOAD_LEN_BYTES + 1];
        assert_eq!(ours.append(Expect::Any, &too_long).unwrap_err().code(), "T0144");
        assert_eq!(ours.append(Expect::Any, b"{}").unwrap().revision, 202);
    }
}

#[test]
fn appenders_of_many_threads_lose_nothing() {
    let journal = Journal::options().create(true).open_on(Arc::new(Memory::new())).unwrap();
    journal.run_or_create("nightly").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut appender = journal.run("nightly").unwrap().appender(&entry());
                (0..200).for_each(|_| {
                    appender.append(Expect::Any, b"{}").unwrap();
                });
            });
        }
    });
    assert_eq!(journal.run("nightly").unwrap().revision(), 801);
}

#[test]
fn single_events_are_read_as_reading_in_order_reads_them() {
    for close in [true, false] {
        let sim = SimDisk::new(31);
        write_log(Arc::new(sim.process(1)), 400, close);
        let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
        let records = all(&storage);
        let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
        // Backwards, so that no block has been read for the event before.
        for record in records.iter().rev() {
            let found = reader.get(record.seq).unwrap().unwrap();
            assert_eq!(told(&found), told(record));
            assert_eq!((found.time_ns, found.time_max_ns), (record.time_ns, record.time_max_ns));
            assert_eq!((found.header_crc, found.frame_len), (record.header_crc, record.frame_len));
            assert_eq!((found.hint, found.entry), (record.hint, record.entry.clone()));
        }
        let last = records.last().unwrap().seq;
        assert!(reader.get(last.next()).unwrap().is_none());
        assert!(reader.get(Seq::new(u64::MAX).unwrap()).unwrap().is_none());
    }
}

#[test]
fn a_damaged_event_is_told_and_its_neighbours_are_read() {
    let sim = SimDisk::new(32);
    write_log(Arc::new(sim.process(1)), 400, true);
    let storage: Arc<dyn Storage> = Arc::new(sim.process(2));
    let records = all(&storage);
    for (number, in_header) in [(40, false), (90, true)] {
        let victim = &records[number];
        let at = victim.offset + if in_header { 20 } else { 48 };
        sim.flip_bit(&crate::log::paths::segment(victim.segment), at * 8).unwrap();
        let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
        let told_of = reader.get(victim.seq).unwrap_err();
        assert_eq!((told_of.kind(), told_of.code()), (ErrorKind::Damaged, "T0308"));
        let before = &records[number - 1];
        assert_eq!(told(&reader.get(before.seq).unwrap().unwrap()), told(before));
        sim.flip_bit(&crate::log::paths::segment(victim.segment), at * 8).unwrap();
        assert_eq!(told(&reader.get(victim.seq).unwrap().unwrap()), told(victim));
    }
}

#[test]
fn an_index_that_leads_out_of_its_segment_is_not_gone_by() {
    // Bug: an event was looked for between the place that the index of a forged footer named and the end of the frames before it, which
    // is less than nothing.
    let intact = intact(20 << 10, 200);
    let (name, store) = (segment_name(1), store_of(&intact.files));
    let segment = Segment::open(&store, number(1), OpenMode::Read).unwrap();
    let (key, (footer_at, mut footer)) = (segment.header.key(), segment.footer().unwrap().unwrap());
    let records = all(&(Arc::new(store) as Arc<dyn Storage>));
    let of_first = |record: &&Record<'_>| record.segment == number(1);
    let last = records.iter().rfind(of_first).unwrap();
    for beyond in [0, 8, 1 << 40, 1 << 62] {
        footer.index =
            vec![footer.index[0], IndexEntry { seq: last.seq, offset: footer_at + beyond, time_floor_ns: 0 }];
        let mut bytes = intact.files[&name][..usize::try_from(footer_at).unwrap()].to_vec();
        for (kind, payload) in [(Kind::FOOTER, footer.encode()), (Kind::SEAL, footer_at.to_le_bytes().to_vec())] {
            let (run, flags) = (None, Flags::default());
            let (seq, revision, time_ns, durable) = (footer.next_seq, 0, last.time_ns, last.seq.get());
            let offset = bytes.len() as u64;
            let fields = FrameFields { seq, run, revision, time_ns, durable, kind, flags };
            encode_frame(&mut bytes, &key, offset, &fields, &payload).unwrap();
        }
        let mut files = intact.files.clone();
        files.insert(name.clone(), bytes);
        let storage: Arc<dyn Storage> = Arc::new(store_of(&files));
        let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
        for record in records.iter().filter(of_first).rev() {
            assert_eq!(told(&reader.get(record.seq).unwrap().unwrap()), told(record), "{beyond}");
        }
    }
}

#[test]
fn what_is_appended_behind_a_reader_is_found_by_it() {
    let storage: Arc<dyn Storage> = Arc::new(Memory::new());
    let journal = Journal::options().create(true).open_on(Arc::clone(&storage)).unwrap();
    let mut appender = journal.run_or_create("nightly").unwrap().appender(&entry());
    let first = appender.append(Expect::Any, b"{\"n\":0}").unwrap().last;
    let mut reader = Reader::open_on(storage).unwrap();
    assert!(reader.get(first).unwrap().is_some());
    for number in 1..200_u64 {
        let payload = format!("{{\"n\":{number}}}");
        let seq = appender.append(Expect::Any, payload.as_bytes()).unwrap().last;
        if number % 3 == 0 {
            reader.refresh().unwrap();
        }
        assert_eq!(&*reader.get(seq).unwrap().unwrap().payload, payload.as_bytes());
        assert_eq!(&*reader.get(first).unwrap().unwrap().payload, b"{\"n\":0}");
    }
}
