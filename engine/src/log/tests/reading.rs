//! Reading: the same events forwards, backwards, filtered, from anywhere, and beside a writer.

use super::model::{Event, write_log};
use crate::storage::{OpenMode, SimDisk, Storage, write_all_at};
use crate::{Batch, ErrorKind, Expect, Follow, Journal, Query, Reader, Record, Seq, TypeEntry};
use std::sync::Arc;

fn event(record: &Record<'_>) -> Event {
    Event {
        seq: record.seq.get(),
        run: record.run.map_or(0, Seq::get),
        revision: record.revision,
        time_ns: record.time_ns,
        type_name: record.type_name(),
        payload: record.payload.to_vec(),
    }
}

fn read(reader: &Reader, query: Query) -> Vec<Event> {
    let mut events = reader.events(query).unwrap();
    let mut all = Vec::new();
    events
        .for_each(|record| {
            all.push(event(&record));
            Ok(true)
        })
        .unwrap();
    all
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

#[test]
fn forwards_backwards_and_by_every_filter_the_log_is_the_model() {
    for close in [true, false] {
        let sim = SimDisk::new(11);
        let model = write_log(Arc::new(sim.process(1)), 400, close);
        let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
        assert!(reader.segments().len() > 4);
        assert_eq!(read(&reader, Query::all()), model);
        let backwards: Vec<Event> = model.iter().rev().cloned().collect();
        assert_eq!(read(&reader, Query::all().reverse()), backwards);
        let last = model.len() as u64;
        assert_eq!(reader.next_seq().unwrap().get(), last + 1);
        for (from, until) in [(1, 2), (7, 300), (last, last + 1), (last + 1, last + 9), (300, 7), (1, last + 1)] {
            let expected: Vec<Event> = model.iter().filter(|e| (from..until).contains(&e.seq)).cloned().collect();
            assert_eq!(read(&reader, Query::all().from(seq(from)).until(seq(until))), expected, "{from}..{until}");
            let mut found = read(&reader, Query::all().from(seq(from)).until(seq(until)).reverse());
            found.reverse();
            assert_eq!(found, expected, "{from}..{until} backwards");
        }
        for (run, summary) in reader.runs().unwrap() {
            let expected: Vec<Event> = model.iter().filter(|e| e.run == run.get()).cloned().collect();
            assert_eq!(read(&reader, Query::all().run(run)), expected);
            assert_eq!((summary.events, summary.revision as usize), (expected.len() as u64, expected.len()));
            assert_eq!(reader.find_run(summary.name.as_deref().unwrap()).unwrap(), summary);
        }
        for name in ["step.done", "acme.job.Queued", "Queued", "RunOpened", "TypeRegistered"] {
            let is_called = |e: &&Event| e.type_name == name || (name == "Queued" && e.type_name == "acme.job.Queued");
            let expected: Vec<Event> = model.iter().filter(is_called).cloned().collect();
            assert!(!expected.is_empty());
            assert_eq!(read(&reader, Query::all().event_type(name)), expected, "{name}");
        }
        for number in 1..=last {
            let record = reader.get(seq(number)).unwrap().unwrap();
            assert_eq!(event(&record), model[usize::try_from(number).unwrap() - 1]);
        }
        assert!(reader.get(seq(last + 1)).unwrap().is_none());
    }
}

#[test]
fn times_go_by_the_running_maximum() {
    let sim = SimDisk::new(12);
    let model = write_log(Arc::new(sim.process(1)), 300, true);
    let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
    let mut running = i64::MIN;
    let effective: Vec<i64> = model
        .iter()
        .map(|event| {
            running = running.max(event.time_ns);
            running
        })
        .collect();
    assert!(model.windows(2).any(|pair| pair[1].time_ns < pair[0].time_ns), "the clock steps back in this log");
    for start in (0..effective.len()).step_by(37) {
        for end in (start..effective.len()).step_by(91) {
            let times = effective[start]..effective[end];
            let expected: Vec<u64> =
                model.iter().zip(&effective).filter(|(_, time)| times.contains(time)).map(|(e, _)| e.seq).collect();
            let query = Query { times_ns: Some(times), ..Query::default() };
            let found: Vec<u64> = read(&reader, query).iter().map(|event| event.seq).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_follower_sees_each_event_once_it_is_durable_over_rotations_of_another_process() {
    let sim = SimDisk::new(13);
    let journal = Journal::options().create(true).segment_len_bytes(8 << 10).open_on(Arc::new(sim.process(1))).unwrap();
    let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
    let mut follow = Follow::new(reader, Query::all()).unwrap();
    let entry = Arc::new(TypeEntry::json("step.done"));
    let mut seen = 0;
    for number in 0..200_usize {
        let mut batch = Batch::new();
        let run = batch.run_or_create("nightly", Expect::Any);
        for _ in 0..=number % 3 {
            batch.event(Some(run), &entry, &vec![b'x'; number]);
        }
        let durable = journal.append(batch).unwrap().durable;
        while let Some(record) = follow.next().unwrap() {
            seen += 1;
            assert_eq!(record.seq.get(), seen);
        }
        assert_eq!(seen, durable);
    }
    assert!(follow.reader().segments().len() > 3);
}

#[test]
fn a_reader_at_every_byte_of_a_write_in_progress_sees_whole_batches_and_no_damage() {
    let sim = SimDisk::new(14);
    let options = Journal::options().create(true);
    let journal = options.open_on(Arc::new(sim.process(1))).unwrap();
    let entry = Arc::new(TypeEntry::json("step.done"));
    let batch = |count: usize| {
        let mut batch = Batch::new();
        let run = batch.run_or_create("nightly", Expect::Any);
        (0..count).for_each(|number| {
            batch.event(Some(run), &entry, &vec![b'y'; 40 * number]);
        });
        batch
    };
    let before = journal.append(batch(3)).unwrap().last.get();
    let file = "segments/0000000001.seg";
    let old = sim.file_bytes(file).unwrap();
    let after = journal.append(batch(6)).unwrap().last.get();
    let new = sim.file_bytes(file).unwrap();
    let first = old.iter().zip(&new).position(|(a, b)| a != b).unwrap();
    let last = old.iter().zip(&new).rposition(|(a, b)| a != b).unwrap() + 1;
    let watermark = sim.file_bytes("watermark").unwrap();
    for cut in first..=last {
        let twin = sim.clone();
        let process = twin.process(3);
        let handle = process.open(file, OpenMode::Write).unwrap();
        write_all_at(&*handle, cut as u64, &old[cut..last]).unwrap();
        // The watermark is written behind the sync, so beside a write in progress it is the older one.
        twin.put_file("watermark", &without_newest_slot(&watermark)).unwrap();
        let reader = Reader::open_on(Arc::new(process)).unwrap();
        let seqs: Vec<u64> = read(&reader, Query::all()).iter().map(|event| event.seq).collect();
        let expected = if cut == last { after } else { before };
        assert_eq!(seqs, (1..=expected).collect::<Vec<u64>>(), "cut at {cut}");
    }
}

/// The watermark file with its newest slot taken away.
fn without_newest_slot(bytes: &[u8]) -> Vec<u8> {
    let newest = taffrail_log_format::WatermarkSlots::read(bytes).newest.unwrap();
    let at = usize::try_from(newest.slot_offset()).unwrap();
    let mut older = bytes.to_vec();
    older[at..(at + 64).min(bytes.len())].fill(0);
    older
}

#[test]
fn damage_below_the_durable_head_is_an_error_with_its_place_and_never_the_end() {
    let sim = SimDisk::new(15);
    let model = write_log(Arc::new(sim.process(1)), 60, false);
    let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
    let victim = reader.get(seq(model.len() as u64 / 2)).unwrap().unwrap();
    let file = format!("segments/{}", victim.segment.file_name());
    sim.flip_bit(&file, (victim.offset + 50) * 8).unwrap();
    let reader = Reader::open_on(Arc::new(sim.process(2))).unwrap();
    let mut events = reader.events(Query::all()).unwrap();
    let mut count = 0;
    let error = loop {
        match events.next() {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("damage taken for the end"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        (error.kind(), error.at().seq, count),
        (ErrorKind::Damaged, Some(victim.seq.get()), victim.seq.get() - 1)
    );
    assert_eq!(error.at().offset, Some(victim.offset));
}
