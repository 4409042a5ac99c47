//! What each sync policy survives: the end of the process, and a power cut, which a kernel crash is no worse than.

use crate::storage::{SimDisk, SimProcess, Storage};
use crate::{Appended, Batch, Expect, Journal, Query, Reader, SyncPolicy, TypeEntry};
use std::sync::Arc;
use std::time::Duration;

/// Not a multiple of what an interval takes, so that something is at stake in the end.
const EVENTS: u32 = 45;

fn append(journal: &Journal, number: u32) -> Appended {
    let mut batch = Batch::new();
    let run = batch.run_or_create("nightly", Expect::Any);
    let text = format!("\"{number} {}\"", "x".repeat(40));
    batch.event(Some(run), &Arc::new(TypeEntry::json("step.done")), text.as_bytes());
    journal.append(batch).unwrap()
}

/// The last seq of the log, as whoever opens it for writing next leaves it.
fn reopened(process: SimProcess) -> u64 {
    let storage: Arc<dyn Storage> = Arc::new(process);
    Journal::options().open_on(Arc::clone(&storage)).unwrap().close().unwrap();
    let reader = Reader::open_on(storage).unwrap();
    let mut last = 0;
    let mut events = reader.events(Query::all()).unwrap();
    while let Some(record) = events.next().unwrap() {
        // Whether a torn tail was cut is told by an event of the log's own, which is not what was appended.
        if record.kind != crate::Kind::RECOVERED {
            assert_eq!(record.seq.get(), last + 1, "no hole in what is left");
            last = record.seq.get();
        }
    }
    last
}

/// What was appended, and the highest seq that was told to be durable.
struct Written {
    sim: SimDisk,
    last: u64,
    durable: u64,
    every_append_was_durable: bool,
}

/// Appends, 10 ms apart, without closing.
fn write(seed: u64, policy: SyncPolicy, exclusive: bool) -> Written {
    let sim = SimDisk::new(seed);
    let options = Journal::options().create(true).sync(policy).exclusive(exclusive);
    let journal = options.open_on(Arc::new(sim.process(1))).unwrap();
    let mut written = Written { sim: sim.clone(), last: 0, durable: 0, every_append_was_durable: true };
    for number in 0..EVENTS {
        sim.advance(Duration::from_millis(10));
        let appended = append(&journal, number);
        written.last = appended.last.get();
        written.durable = written.durable.max(appended.durable);
        written.every_append_was_durable &= appended.durable >= appended.last.get();
    }
    sim.kill(1);
    drop(journal);
    written.sim = sim.clone();
    written
}

const INTERVAL: SyncPolicy = SyncPolicy::Interval(Duration::from_millis(100));

#[test]
fn sim_with_always_every_append_survives_the_process_and_the_power() {
    for exclusive in [false, true] {
        let written = write(71, SyncPolicy::Always, exclusive);
        assert!(written.every_append_was_durable && written.last > u64::from(EVENTS));
        for seed in 0..16 {
            assert_eq!(reopened(written.sim.power_cut(seed).process(2)), written.last, "power, seed {seed}");
        }
        assert_eq!(reopened(written.sim.process(2)), written.last);
    }
    println!(
        "lab-result {{\"check\":\"sync-always\",\"promise\":[\"P1\"],\"cases\":34,\"failures\":0,\"skipped\":null,\"figures\":{{\
         \"events\":{EVENTS}}}}}"
    );
}

#[test]
fn sim_with_interval_and_never_an_append_survives_its_process_unless_it_was_gathered_in_memory() {
    for policy in [INTERVAL, SyncPolicy::Never] {
        let shared = write(72, policy, false);
        assert!(!shared.every_append_was_durable, "{policy:?}");
        assert_eq!(reopened(shared.sim.process(2)), shared.last, "{policy:?}: what is in the page cache is there");
        let exclusive = write(73, policy, true);
        let left = reopened(exclusive.sim.process(2));
        assert!(left >= exclusive.durable && left < exclusive.last, "{policy:?}: {left} of {}", exclusive.last);
    }
}

#[test]
fn sim_with_interval_a_power_cut_takes_the_last_interval_at_most() {
    for exclusive in [false, true] {
        let written = write(74, INTERVAL, exclusive);
        // Appends are 10 ms apart, and each of them looks at the clock.
        let most = 11;
        assert!(written.durable + most >= written.last, "{} of {}", written.durable, written.last);
        let mut fewest = written.last;
        for seed in 0..16 {
            let left = reopened(written.sim.power_cut(seed).process(2));
            assert!(left >= written.durable, "exclusive {exclusive}, seed {seed}: {left} of {}", written.durable);
            fewest = fewest.min(left);
        }
        assert!(fewest < written.last, "nothing was at stake");
    }
}

#[test]
fn sim_with_never_a_power_cut_may_take_everything_since_the_last_rotation_or_close_and_no_more() {
    let written = write(75, SyncPolicy::Never, false);
    assert_eq!(written.durable, 0);
    let fewest = (0..32).map(|seed| reopened(written.sim.power_cut(seed).process(2))).min();
    assert!(fewest < Some(written.last), "nothing was at stake");
    let sim = SimDisk::new(76);
    let options = Journal::options().create(true).sync(SyncPolicy::Never);
    let journal = options.open_on(Arc::new(sim.process(1))).unwrap();
    let last = (0..EVENTS).map(|number| append(&journal, number).last.get()).max().unwrap();
    journal.close().unwrap();
    for seed in 0..16 {
        assert_eq!(reopened(sim.power_cut(seed).process(2)), last, "closed in order, seed {seed}");
    }
}
