//! Simulated years: a store that is appended to all the time, and whose power goes within every hour of its life.
//!
//! `TAFFRAIL_SIM_HOURS` is how long it lives, `TAFFRAIL_SIM_HOUR_EVENTS` how busy it is. A store lives for a month; then all of it is
//! read, and the next one begins.

use super::crash::number_from_environment;
use super::crash_workload::Random;
use crate::lab_result::tell;
use crate::storage::{Fault, SimDisk, SimProcess, Storage};
use crate::{Batch, Expect, Journal, Query, Reader, Record, Seq, TypeEntry};
use std::sync::Arc;
use std::time::Duration;

/// Of a month of 365.25 / 12 days.
const MONTH_HOURS: u64 = 730;

/// A store in the midst of its life: events hold their number, from 0 on.
struct Store {
    disk: SimDisk,
    random: Random,
    /// Events that were acknowledged.
    acknowledged: u64,
    /// Where the batch ends that was in the making when the power went; it may be there.
    submitted: u64,
    /// The seq of the last event that is there: what is before it need not be read again every hour.
    last_seq: u64,
}

#[derive(Default)]
struct Lived {
    events: u64,
    power_cuts: u64,
    within_recovery: u64,
    within_an_append: u64,
    torn: u64,
    unacknowledged_kept: u64,
    acknowledged_lost: u64,
}

fn payload(number: u64) -> Vec<u8> {
    let word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{{\"n\":{number},\"w\":\"{word:x}\"}}").into_bytes()
}

fn number_of(record: &Record<'_>) -> u64 {
    let text = std::str::from_utf8(record.payload.as_ref()).unwrap();
    let number = text.strip_prefix("{\"n\":").and_then(|rest| rest.split_once(',')).unwrap().0.parse().unwrap();
    assert_eq!(record.payload.as_ref(), payload(number), "an event is what it was");
    number
}

impl Store {
    fn new(seed: u64) -> Store {
        let random = Random(seed ^ 0x7EA2);
        Store { disk: SimDisk::new(seed), random, acknowledged: 0, submitted: 0, last_seq: 0 }
    }

    fn process(&self) -> Arc<dyn Storage> {
        let process: SimProcess = self.disk.process(1);
        Arc::new(process)
    }

    /// An hour of appends, a minute at a time, until the power goes at some call of it.
    fn hour(&mut self, events: u64, lived: &mut Lived) {
        // An open, and sixty appends of some thirteen calls.
        let calls = 12 + 13 * 60;
        let (call, fault) = (self.disk.next_operation() + self.random.below(calls), self.any_crash());
        self.disk.inject(call, fault);
        let entry = Arc::new(TypeEntry::json("step.done"));
        let options = Journal::options().create(true);
        let Ok(journal) = options.open_on(self.process()) else {
            assert!(self.disk.is_crashed(), "a store that can not be opened");
            lived.within_recovery += 1;
            return;
        };
        for _ in 0..60 {
            let most = (events / 60).max(1);
            let count = (1 + self.random.below(most * 2)).min(most * 2 - 1);
            let mut batch = Batch::new();
            let run = batch.run_or_create("hourly", Expect::Any);
            for number in self.acknowledged..self.acknowledged + count {
                batch.event(Some(run), &entry, &payload(number));
            }
            self.submitted = self.acknowledged + count;
            let Ok(appended) = journal.append(batch) else {
                assert!(self.disk.is_crashed(), "an append that fails");
                break;
            };
            (self.acknowledged, self.last_seq) = (self.submitted, appended.last.get());
            self.disk.advance(Duration::from_secs(60));
        }
        self.disk.forget_ops();
    }

    fn any_crash(&mut self) -> Fault {
        if self.random.percent(50) { Fault::CrashBefore } else { Fault::CrashAfter }
    }

    /// The power goes, whatever of the unsynced survives; what comes back has all that was acknowledged.
    fn power_cut(&mut self, lived: &mut Lived) {
        self.disk.crash();
        let seed = self.random.next();
        self.disk = self.disk.power_cut(seed);
        lived.power_cuts += 1;
        lived.within_an_append += u64::from(self.submitted > self.acknowledged);
        let journal = Journal::options().create(true).open_on(self.process()).unwrap();
        journal.close().unwrap();
        let (present, seq, torn) = self.read(self.last_seq, lived);
        assert!(present == self.acknowledged || present == self.submitted, "a batch is there in part: {present}");
        lived.unacknowledged_kept += u64::from(present > self.acknowledged);
        lived.torn += torn;
        (self.acknowledged, self.submitted) = (present, present);
        self.last_seq = seq;
        self.disk.forget_ops();
    }

    /// Reads from the seq of an event on: how many events there are, the seq of the last one, and how many tails were cut.
    fn read(&self, from: u64, lived: &mut Lived) -> (u64, u64, u64) {
        let reader = Reader::open_on(self.process()).unwrap();
        let (mut present, mut last_seq, mut torn) = (if from == 0 { 0 } else { self.acknowledged - 1 }, 0, 0);
        let mut seq = from.max(1);
        let mut events = reader.events(Query { from: Seq::new(seq), ..Query::all() }).unwrap();
        while let Some(record) = events.next().unwrap() {
            assert_eq!(record.seq.get(), seq, "seqs are dense");
            seq += 1;
            torn += u64::from(record.kind == crate::Kind::RECOVERED);
            if record.kind.reserved_name().is_none() {
                assert_eq!(number_of(&record), present, "events are in order, and none is missing");
                (present, last_seq) = (present + 1, record.seq.get());
            }
        }
        lived.acknowledged_lost += self.acknowledged.saturating_sub(present);
        assert!(present >= self.acknowledged, "{present} events are there, {} were acknowledged", self.acknowledged);
        (present, last_seq, torn)
    }
}

fn live(hours: u64, events: u64) -> Lived {
    let mut lived = Lived::default();
    let mut left = hours;
    for month in 0..hours.div_ceil(MONTH_HOURS) {
        let mut store = Store::new(month + 1);
        for _ in 0..left.min(MONTH_HOURS) {
            store.hour(events, &mut lived);
            store.power_cut(&mut lived);
        }
        let (present, ..) = store.read(0, &mut lived);
        lived.events += present;
        left = left.saturating_sub(MONTH_HOURS);
    }
    lived
}

#[test]
fn sim_a_store_whose_power_goes_every_hour_of_its_life_loses_nothing() {
    tell("simulated-years", &["P1", "P2", "P6"], || {
        let hours = number_from_environment("TAFFRAIL_SIM_HOURS").unwrap_or(72);
        let events = number_from_environment("TAFFRAIL_SIM_HOUR_EVENTS").unwrap_or(360);
        let lived = live(hours, events);
        assert!(lived.power_cuts == hours && lived.within_an_append * 4 > hours, "nothing was at stake");
        let figures = vec![
            ("crash_states", lived.power_cuts),
            ("acknowledged_lost", lived.acknowledged_lost),
            ("hours", hours),
            ("events", lived.events),
            ("crashes_in_recovery", lived.within_recovery),
            ("crashes_in_appends", lived.within_an_append),
            ("torn_tails", lived.torn),
            ("unacknowledged_kept", lived.unacknowledged_kept),
        ];
        (lived.events, figures)
    });
}
