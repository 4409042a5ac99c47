//! A wall clock that steps back, and forth, while the log is written.

use super::crash_workload::Random;
use crate::lab_result::tell;
use crate::storage::{Memory, Storage};
use crate::{Batch, Expect, Journal, Query, Reader, Seq, TypeEntry};
use std::sync::Arc;

const YEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;

/// Appends while the clock is set to anything within forty years; returns the readings, by event of ours.
fn write(storage: &Memory, random: &mut Random) -> Vec<i64> {
    let mut readings = Vec::new();
    let entry = Arc::new(TypeEntry::json("step.done"));
    for _ in 0..6 {
        let options = Journal::options().create(true).segment_len_bytes(8 << 10);
        let journal = options.open_on(Arc::new(storage.clone()) as Arc<dyn Storage>).unwrap();
        for _ in 0..20 {
            if random.percent(70) {
                storage.set_now_ns(i64::try_from(random.below(40 * YEAR_NS)).unwrap());
            }
            let mut batch = Batch::new();
            let run = batch.run_or_create("nightly", Expect::Any);
            batch.event(Some(run), &entry, format!("{{\"n\":{}}}", readings.len()).as_bytes());
            // The clock of a storage in memory moves on by itself only a little.
            let before = storage.now_ns();
            journal.append(batch).unwrap();
            readings.push(before);
        }
        journal.close().unwrap();
    }
    readings
}

/// Order is that of the appends, the time that questions go by never decreases, and the raw readings are kept.
fn check(storage: &Memory, readings: &[i64]) -> u64 {
    let reader = Reader::open_on(Arc::new(storage.clone())).unwrap();
    let (mut seqs, mut times, mut ours) = (Vec::new(), Vec::new(), 0);
    reader
        .events(Query::all())
        .unwrap()
        .for_each(|record| {
            seqs.push(record.seq.get());
            times.push((record.time_ns, record.time_max_ns));
            if record.kind.reserved_name().is_none() {
                assert_eq!(record.payload.as_ref(), format!("{{\"n\":{ours}}}").as_bytes());
                assert!(record.time_ns.abs_diff(readings[ours]) < 1_000_000_000, "event {ours}: the raw clock");
                ours += 1;
            }
            Ok(true)
        })
        .unwrap();
    assert_eq!((seqs.clone(), ours), ((1..=seqs.len() as u64).collect(), readings.len()));
    let mut most = i64::MIN;
    for (raw, recorded) in &times {
        most = most.max(*raw);
        assert_eq!(*recorded, most);
    }
    // An event that is asked for by itself tells the same time, whether its place is known already or not.
    for (seq, recorded) in seqs.iter().zip(&times).rev().chain(seqs.iter().zip(&times)) {
        let record = reader.get(Seq::new(*seq).unwrap()).unwrap().unwrap();
        assert_eq!((record.time_ns, record.time_max_ns), *recorded);
    }
    // A question about a time is answered by a range of seqs, whatever index it is looked up in.
    for place in (0..times.len()).step_by(7) {
        let since = times[place].1;
        let mut found = Vec::new();
        let query = Query { times_ns: Some(since..i64::MAX), ..Query::all() };
        reader
            .events(query)
            .unwrap()
            .for_each(|record| {
                found.push(record.seq.get());
                Ok(true)
            })
            .unwrap();
        let first = times.iter().position(|(_, recorded)| *recorded >= since).unwrap();
        assert_eq!(found, seqs[first..], "since {since}");
    }
    seqs.len() as u64
}

#[test]
fn a_clock_that_steps_back_changes_neither_order_nor_what_a_time_asks_for() {
    tell("clock-steps", &["P2", "P3"], || {
        let mut steps_back = 0;
        let mut events = 0;
        for seed in 0..60 {
            let storage = Memory::new();
            let readings = write(&storage, &mut Random(seed));
            steps_back += readings.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
            events += check(&storage, &readings);
        }
        assert!(steps_back > 1000, "{steps_back}");
        (events, vec![("steps_back", steps_back)])
    });
}
