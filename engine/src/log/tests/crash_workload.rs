//! Seeded workloads: what processes do to a store, and the model of it.

use super::crash_oracle::{EVENTS_PER_ID, Oracle, Outcome, Submitted, Wanted};
use super::crash_reader::{Event, read_log};
use crate::fold::snapshot::{self, SnapshotHead};
use crate::storage::{Fault, SimDisk, SimProcess, Storage};
use crate::{
    Batch, Error, ErrorKind, Expect, Journal, Options, Reader, Seq, Snapshots, StateDigest, SyncPolicy, TypeEntry,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A seeded sequence of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is decided before a workload begins.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) seed: u64,
    pub(super) processes: u32,
    pub(super) steps: usize,
    pub(super) sync: SyncPolicy,
    /// By process: options may differ.
    pub(super) segment_len_bytes: Vec<u64>,
    /// What goes wrong, by the index of the call.
    pub(super) faults: Vec<(u64, Fault)>,
}

impl Case {
    /// The case of a seed, without faults.
    pub(super) fn of(seed: u64) -> Case {
        let mut random = Random(seed);
        let processes = [1, 1, 2, 3][random.index(4)];
        let sync = match random.below(10) {
            0 => SyncPolicy::Never,
            1 => SyncPolicy::Interval(Duration::from_micros(60)),
            _ => SyncPolicy::Always,
        };
        let length = (8 << 10) + random.below(8 << 10);
        let other = if random.percent(30) { (8 << 10) + random.below(8 << 10) } else { length };
        let segment_len_bytes = vec![length, other, length];
        Case { seed, processes, steps: 5 + random.index(9), sync, segment_len_bytes, faults: Vec::new() }
    }

    pub(super) fn options(&self, process: u32) -> Options {
        let index = usize::try_from(process).unwrap_or(0) % self.segment_len_bytes.len();
        Journal::options()
            .create(true)
            .segment_len_bytes(self.segment_len_bytes[index])
            .sync(self.sync)
            .lock_timeout_ms(20)
    }
}

/// A workload under way: the machine, the living journals, the model.
#[derive(Debug)]
pub(super) struct World {
    pub(super) disk: SimDisk,
    pub(super) oracle: Oracle,
    pub(super) case: Case,
    pub(super) random: Random,
    journals: BTreeMap<u32, (SimProcess, Journal)>,
    next_id: i64,
    /// An error that no fault explains: a store that crashes alone may leave is refused.
    pub(super) refused: Option<Error>,
}

impl World {
    pub(super) fn new(case: &Case) -> World {
        let world = World::on(SimDisk::new(case.seed), Oracle::default(), case, 1);
        for (index, fault) in &case.faults {
            world.disk.inject(*index, *fault);
        }
        world
    }

    /// Goes on with a disk that is there; the salt makes it go on differently.
    pub(super) fn on(disk: SimDisk, oracle: Oracle, case: &Case, salt: u64) -> World {
        let random = Random(case.seed ^ salt.wrapping_mul(0xA076_1D64_78BD_642F));
        let next_id = oracle.submitted.last().map_or(1, |last| last.id + 1);
        let journals = BTreeMap::new();
        World { disk, oracle, case: case.clone(), random, journals, next_id, refused: None }
    }

    /// Does all steps, or those before the machine crashes.
    pub(super) fn run(&mut self) {
        for _ in 0..self.case.steps {
            if self.disk.is_crashed() || self.refused.is_some() {
                return;
            }
            let process = 1 + u32::try_from(self.random.below(u64::from(self.case.processes))).unwrap_or(0);
            self.step(process);
        }
    }

    fn step(&mut self, process: u32) {
        match self.random.below(20) {
            0 => drop(self.journals.remove(&process)),
            1 => self.with(process, |journal| journal.sync().map(|_| ())),
            2 => self.with(process, Journal::tick),
            3 => self.snapshot(process),
            _ => self.append(process),
        }
    }

    /// The journal of a process, opened if need be.
    pub(super) fn journal(&mut self, process: u32) -> Option<&Journal> {
        if !self.journals.contains_key(&process) {
            let storage = self.disk.process(process);
            match self.case.options(process).open_on(Arc::new(storage.clone())) {
                Ok(journal) => {
                    self.oracle.note_durable(journal.durable());
                    self.journals.insert(process, (storage, journal));
                }
                Err(error) => self.judge(error),
            }
        }
        self.journals.get(&process).map(|(_, journal)| journal)
    }

    fn judge(&mut self, error: Error) {
        if !matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned) {
            self.refused = Some(error);
        }
    }

    fn with(&mut self, process: u32, act: impl FnOnce(&Journal) -> crate::Result<()>) {
        let Some(journal) = self.journal(process) else { return };
        let (result, durable) = (act(journal), journal.durable());
        self.oracle.note_durable(durable);
        if let Err(error) = result {
            self.judge(error);
            drop(self.journals.remove(&process));
        }
    }

    /// Appends one batch and notes how that ended.
    pub(super) fn append(&mut self, process: u32) {
        let id = self.next_id;
        self.next_id += 1;
        let (mut batch, events) = self.batch(id);
        if self.journal(process).is_none() {
            return;
        }
        let compared = self.random.percent(20);
        let Some((storage, journal)) = self.journals.get(&process) else { return };
        if compared && let Some(name) = events.iter().find_map(|event| event.run.as_ref()) {
            // The revision that the run has now; nobody else appends meanwhile, so it must still have it.
            if let Ok(run) = journal.run(name) {
                let position = batch.runs.iter().position(|run| run.name == *name).unwrap_or(0);
                batch.runs[position].expect = Expect::Revision(run.revision());
            }
        }
        let (result, mut durable) = (journal.append(batch), journal.durable());
        let outcome = match result {
            Ok(appended) => {
                assert!(self.case.sync != SyncPolicy::Always || appended.durable >= appended.last.get());
                durable = durable.max(appended.durable);
                Outcome::Acked(appended)
            }
            Err(failed) => {
                let dead = self.disk.is_crashed() || !storage.process_alive(process);
                let poisoned = || matches!(journal.sync(), Err(error) if error.kind() == ErrorKind::Poisoned);
                let outcome = if dead || poisoned() { Outcome::Unknown } else { Outcome::Refused };
                assert_eq!(failed.batch.len(), events.len(), "the batch is handed back");
                if outcome == Outcome::Unknown {
                    drop(self.journals.remove(&process));
                }
                self.judge(failed.error);
                outcome
            }
        };
        let begins = if let Outcome::Acked(appended) = outcome { self.begin_of(id, appended.first) } else { 0 };
        self.oracle.submitted.push(Submitted { id, events, outcome, begins, is_durable: false });
        self.oracle.note_durable(durable);
    }

    /// The seq with which an acknowledged batch begins, whose first event of the user has this one. The log is looked at where
    /// a sync may fail only: there alone does it matter.
    fn begin_of(&self, id: i64, first: Seq) -> u64 {
        let log = if self.case.faults.is_empty() { Vec::new() } else { read_log(&self.disk).unwrap_or_default() };
        let is_own = |event: &Event| event.seq == first.get() && event.time_ns.div_euclid(EVENTS_PER_ID) == id;
        let own = log.iter().position(is_own).unwrap_or(0);
        let prelude = log[..own].iter().rev().take_while(|event| event.more);
        first.get() - prelude.count() as u64
    }

    fn batch(&mut self, id: i64) -> (Batch, Vec<Wanted>) {
        let mut batch = Batch::new();
        let names = ["nightly", "build/42", "a", "deploy to production"];
        let first = self.random.index(names.len());
        let runs: Vec<_> = (0..1 + self.random.index(2))
            .map(|offset| names[(first + offset) % names.len()])
            .map(|name| (batch.run_or_create(name, Expect::Any), name))
            .collect();
        let mut events = Vec::new();
        for position in 0..1 + self.random.index(6) {
            let type_name = format!("step.type-{}", self.random.index(6));
            let payload = self.payload();
            let run = self.random.percent(90).then(|| runs[self.random.index(runs.len())]);
            let entry = Arc::new(TypeEntry::json(&type_name));
            let time_ns = id * EVENTS_PER_ID + i64::try_from(position).unwrap_or(0);
            batch.event_at(run.map(|(run, _)| run), &entry, time_ns, &payload);
            events.push(Wanted { run: run.map(|(_, name)| name.to_owned()), type_name, payload });
        }
        (batch, events)
    }

    fn payload(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let len = match random.below(10) {
            0 => 0,
            1..=5 => 1 + random.index(60),
            6..=8 => 1 + random.index(700),
            _ => 1 + random.index(3000),
        };
        let mut payload: Vec<u8> = match random.below(5) {
            0 => vec![0; len],
            1 => (0..len).map(|_| if random.percent(1) { 1 } else { 0 }).collect(),
            _ => (0..len).map(|_| b' ' + u8::try_from(random.below(90)).unwrap_or(0)).collect(),
        };
        if random.percent(20) {
            let zeros = random.index(len + 1).min(600);
            payload[len - zeros..].fill(0);
        }
        payload
    }

    /// Writes a snapshot's file that stands at the last durable event, as a fold's would: evidence for whoever recovers.
    fn snapshot(&mut self, process: u32) {
        let storage: Arc<dyn Storage> = Arc::new(self.disk.process(process));
        let written = Reader::open_on(Arc::clone(&storage)).and_then(|reader| {
            let Some(seq) = Seq::new(reader.durable()) else { return Ok(()) };
            let head = SnapshotHead {
                log_id: reader.log_id(),
                fold: "simulated".to_owned(),
                version: 1,
                run: None,
                seq,
                revision: 0,
                events: seq.get(),
                voucher: seq,
                state_len_bytes: 1,
                digest: StateDigest::of_bytes(b"s"),
            };
            let file = format!("snapshots/simulated-1/{seq}.snap");
            Snapshots::new(Arc::clone(&storage)).put_back(&file, &snapshot::encode(&head, b"s"))
        });
        match written {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.judge(error),
            Ok(()) => {}
        }
    }

    /// Ends all processes in order.
    pub(super) fn close(&mut self) {
        for (_, (_, journal)) in std::mem::take(&mut self.journals) {
            let _failed_under_faults = journal.close();
        }
    }
}
