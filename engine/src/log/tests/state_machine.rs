//! The log against a vector: random programs of appends, batches, closings, kills, power cuts, repairs and two readers.

use super::crash::number_from_environment;
use crate::lab_result::tell;
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan};
use crate::storage::{SimDisk, Storage};
use crate::{Appended, Batch, Expect, Journal, Kind, Query, Reader, Seq, SyncPolicy, TypeEntry};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Programs if nobody says otherwise.
const PROGRAMS: u64 = 400;

/// A step of a program.
#[derive(Clone, Debug)]
enum Step {
    /// One batch, with payloads of these lengths.
    Append {
        process: u32,
        lens: Vec<u16>,
    },
    Sync {
        process: u32,
    },
    Close {
        process: u32,
    },
    Kill {
        process: u32,
    },
    PowerCut {
        seed: u64,
    },
    /// A reader goes on from where it stands, over so many events.
    Read {
        reader: usize,
        events: usize,
    },
    /// A bit of an event goes bad, and the damage is repaired.
    Repair {
        place: u16,
        bit: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = 1_u32..4;
    let step = prop_oneof![
        8 => (process.clone(), prop::collection::vec(0_u16..1200, 1..5))
            .prop_map(|(process, lens)| Step::Append { process, lens }),
        1 => process.clone().prop_map(|process| Step::Sync { process }),
        1 => process.clone().prop_map(|process| Step::Close { process }),
        1 => process.prop_map(|process| Step::Kill { process }),
        1 => any::<u64>().prop_map(|seed| Step::PowerCut { seed }),
        3 => (0_usize..2, 1_usize..12).prop_map(|(reader, events)| Step::Read { reader, events }),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(place, bit)| Step::Repair { place, bit }),
    ];
    prop::collection::vec(step, 1..16)
}

/// An event of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// A program's event: its payload, and whether its batch goes on behind it.
    User(Vec<u8>, bool),
    /// One of the log's own.
    Own(Kind),
    /// Lost, accepted, and recorded as absent.
    Absent,
}

struct Machine {
    disk: SimDisk,
    sync: SyncPolicy,
    journals: [Option<Journal>; 3],
    /// The log: entry i has seq i + 1.
    model: Vec<Entry>,
    durable: u64,
    /// Where each reader stands: the seq that it reads next.
    readers: [u64; 2],
    appended: u8,
}

/// An event as it is read.
type Seen = (u64, Kind, Vec<u8>);

impl Machine {
    fn new(sync: SyncPolicy) -> Machine {
        let disk = SimDisk::new(1);
        Machine { disk, sync, journals: [None, None, None], model: vec![], durable: 0, readers: [1, 1], appended: 0 }
    }

    fn storage(&self, process: u32) -> Arc<dyn Storage> {
        Arc::new(self.disk.process(process))
    }

    /// The journal of a process. Opening may tell of a torn tail: the model learns it by reading.
    fn journal(&mut self, process: u32) -> &Journal {
        let place = usize::try_from(process - 1).unwrap();
        if self.journals[place].is_none() {
            let options =
                Journal::options().create(true).segment_len_bytes(9 << 10).sync(self.sync).lock_timeout_ms(20);
            let journal = options.open_on(self.storage(process)).unwrap();
            self.durable = self.durable.max(journal.durable());
            self.journals[place] = Some(journal);
            self.learn(false);
        }
        self.journals[place].as_ref().unwrap()
    }

    fn read(&self, from: u64, most: usize) -> Vec<Seen> {
        let reader = Reader::open_on(self.storage(9)).unwrap();
        let mut events = reader.events(Query::all().from(Seq::new(from).unwrap())).unwrap();
        let mut seen = Vec::new();
        while seen.len() < most
            && let Some(record) = events.next().unwrap()
        {
            seen.push((record.seq.get(), record.kind, record.payload.to_vec()));
        }
        seen
    }

    /// Takes the log's own events, which nobody submitted, into the model; the others must be as the model says. After a power
    /// cut, what was not durable may be gone, in whole batches.
    fn learn(&mut self, cut: bool) {
        let log = self.read(1, usize::MAX);
        let last = log.last().map_or(0, |(seq, ..)| *seq);
        if cut {
            let own =
                |entry: &Seen| entry.1 == Kind::RECOVERED && self.model.get(at(entry.0)) != Some(&Entry::Own(entry.1));
            let kept = log.iter().find(|entry| own(entry)).map_or(last, |(seq, ..)| seq - 1);
            assert!(kept >= self.durable, "{} was durable, and {kept} is left", self.durable);
            self.model.truncate(usize::try_from(kept).unwrap());
            let open = matches!(self.model.last(), Some(Entry::User(_, true)));
            assert!(!open, "part of a batch is left, up to {kept}");
            self.readers = self.readers.map(|next| next.min(kept + 1));
        }
        assert!(last >= self.model.len() as u64, "the log ends at {last}, the model at {}", self.model.len());
        let mut next = log.iter().peekable();
        for seq in 1..=last {
            let seen = next.next_if(|(found, ..)| *found == seq);
            match (self.model.get(at(seq)), seen) {
                (Some(Entry::Absent), None) => {}
                (Some(Entry::User(payload, _)), Some((_, kind, found))) => {
                    assert!(!kind.is_reserved() && payload == found, "event {seq} is not what was appended");
                }
                (Some(Entry::Own(kind)), Some((_, found, _))) => assert_eq!(kind, found, "event {seq}"),
                (None, Some((_, kind, _))) if kind.is_reserved() => self.model.push(Entry::Own(*kind)),
                (wanted, found) => panic!("event {seq}: {found:?} where {wanted:?} is due"),
            }
        }
        assert!(next.next().is_none(), "the log is not in order");
    }

    fn append(&mut self, process: u32, lens: &[u16]) {
        self.journal(process);
        self.appended = self.appended.wrapping_add(1);
        let mut batch = Batch::new();
        let name = format!("run-{}", self.appended % 4);
        let run = batch.run_or_create(&*name, Expect::Any);
        let payloads: Vec<Vec<u8>> = lens
            .iter()
            .enumerate()
            .map(|(place, len)| vec![self.appended ^ at_byte(place); usize::from(*len)])
            .collect();
        let entry = Arc::new(TypeEntry::json(&format!("step.t{}", self.appended % 3)));
        for payload in &payloads {
            batch.event(Some(run), &entry, payload);
        }
        let appended = self.journal(process).append(batch).unwrap();
        self.note(&appended, &payloads);
        if self.appended.is_multiple_of(2) {
            // The first one looks the type up, and the second one needs no batch.
            let mut appender = self.journal(process).run(&name).unwrap().appender(&entry);
            let appended = [(); 2].map(|()| appender.append_all(Expect::Any, &payloads).unwrap());
            appended.iter().for_each(|appended| self.note(appended, &payloads));
        }
    }

    /// Takes a batch that was appended into the model.
    fn note(&mut self, appended: &Appended, payloads: &[Vec<u8>]) {
        let before = self.model.len() as u64;
        assert_eq!(appended.last.get() - appended.first.get() + 1, payloads.len() as u64);
        assert!(appended.first.get() > before, "seq {} is issued again", appended.first);
        assert!(self.sync != SyncPolicy::Always || appended.durable >= appended.last.get());
        self.durable = self.durable.max(appended.durable);
        // Openings and registrations come first, and were not there before: read, and taken as they are.
        let own = self.read(before + 1, usize::try_from(appended.first.get() - before - 1).unwrap());
        for (seq, kind, _) in own {
            assert!(kind.is_reserved() && at(seq) == self.model.len(), "event {seq} was not submitted");
            self.model.push(Entry::Own(kind));
        }
        let last = payloads.len() - 1;
        let user = |(place, payload): (usize, &Vec<u8>)| Entry::User(payload.clone(), place < last);
        self.model.extend(payloads.iter().enumerate().map(user));
    }

    fn power_cut(&mut self, seed: u64) {
        self.disk.crash();
        self.journals = [None, None, None];
        self.disk = self.disk.power_cut(seed);
        if self.disk.files().keys().any(|name| name.ends_with(".seg")) || self.durable > 0 {
            let options =
                Journal::options().create(true).segment_len_bytes(9 << 10).sync(self.sync).lock_timeout_ms(20);
            let journal = options.open_on(self.storage(1)).unwrap();
            self.learn(true);
            self.durable = self.durable.max(journal.durable());
            self.journals[0] = Some(journal);
        } else {
            self.model.clear();
            self.readers = [1, 1];
        }
    }

    fn read_on(&mut self, reader: usize, events: usize) {
        if self.model.is_empty() {
            return;
        }
        let from = self.readers[reader];
        for (seq, kind, payload) in self.read(from, events) {
            let skipped = (self.readers[reader]..seq).all(|absent| self.model.get(at(absent)) == Some(&Entry::Absent));
            assert!(skipped, "a reader at {} is given {seq}", self.readers[reader]);
            match self.model.get(at(seq)) {
                Some(Entry::User(wanted, _)) => assert_eq!(*wanted, payload, "event {seq}"),
                Some(Entry::Own(wanted)) => assert_eq!(*wanted, kind, "event {seq}"),
                other => panic!("a reader is given event {seq}, of which the model says {other:?}"),
            }
            self.readers[reader] = seq + 1;
        }
    }

    /// One bit of one event goes bad; the plan loses that event and no other.
    fn repair(&mut self, place: u16, bit: u16) {
        let present: Vec<u64> =
            (1..=self.model.len() as u64).filter(|seq| self.model[at(*seq)] != Entry::Absent).collect();
        if present.is_empty() {
            return;
        }
        let seq = present[usize::from(place) % present.len()];
        self.journal(1);
        for journal in std::mem::take(&mut self.journals).into_iter().flatten() {
            journal.close().unwrap();
        }
        self.learn(false);
        let storage = self.storage(9);
        let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
        let record = reader.get(Seq::new(seq).unwrap()).unwrap().unwrap();
        let bits = (48 + record.payload.len() as u64) * 8;
        let name = format!("segments/{}", record.segment.file_name());
        self.disk.flip_bit(&name, record.offset * 8 + u64::from(bit) % bits).unwrap();
        let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
        let gaps: Vec<(u64, u64)> = plan.segments.iter().flat_map(|segment| segment.gaps.iter().copied()).collect();
        assert_eq!((gaps, plan.lost), (vec![(seq, seq)], 1));
        let authority = Authority {
            plan: plan.name().to_owned(),
            accept_loss: 1,
            reason: "a test".to_owned(),
            actor: "uid:0".to_owned(),
            lock_timeout_ms: 50,
        };
        plan.apply(&storage, &authority).unwrap();
        self.model[at(seq)] = Entry::Absent;
        self.learn(false);
        self.durable = self.model.len() as u64;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { process, lens } => self.append(*process, lens),
            Step::Sync { process } => {
                let durable = self.journal(*process).sync().unwrap();
                assert_eq!(durable, self.model.len() as u64);
                self.durable = durable;
            }
            Step::Close { process } => {
                if let Some(journal) = self.journals[usize::try_from(process - 1).unwrap()].take() {
                    journal.close().unwrap();
                    self.durable = self.model.len() as u64;
                }
            }
            Step::Kill { process } => {
                self.disk.kill(*process);
                self.journals[usize::try_from(process - 1).unwrap()] = None;
            }
            Step::PowerCut { seed } => self.power_cut(*seed),
            Step::Read { reader, events } => self.read_on(*reader, *events),
            Step::Repair { place, bit } => self.repair(*place, *bit),
        }
    }
}

fn at(seq: u64) -> usize {
    usize::try_from(seq - 1).unwrap()
}

fn at_byte(place: usize) -> u8 {
    u8::try_from(place % 256).unwrap()
}

/// How many programs were run, and how many steps they had.
fn programs(count: u64) -> (u64, u64) {
    let steps_run = AtomicU64::new(0);
    let each = u32::try_from(count.div_ceil(2)).unwrap();
    std::thread::scope(|scope| {
        for sync in [SyncPolicy::Always, SyncPolicy::Never] {
            let steps_run = &steps_run;
            scope.spawn(move || {
                let config = Config { cases: each, failure_persistence: None, ..Config::default() };
                let result = TestRunner::new_with_rng(config, rng(sync)).run(&steps(), |program| {
                    let mut machine = Machine::new(sync);
                    program.iter().for_each(|step| machine.step(step));
                    if !machine.model.is_empty() {
                        machine.journal(1);
                        machine.learn(false);
                    }
                    steps_run.fetch_add(program.len() as u64, Ordering::Relaxed);
                    Ok(())
                });
                result.unwrap_or_else(|found| panic!("{sync:?}: {found}"));
            });
        }
    });
    (u64::from(each) * 2, steps_run.into_inner())
}

/// Seeded, so that a failure is seen again; another seed for each policy.
fn rng(sync: SyncPolicy) -> proptest::test_runner::TestRng {
    let seed = number_from_environment("TAFFRAIL_PROGRAM_SEED").unwrap_or(1)
        ^ if sync == SyncPolicy::Always { 0 } else { 1 << 40 };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes)
}

#[test]
fn random_programs_leave_what_a_vector_would_hold() {
    let count = number_from_environment("TAFFRAIL_PROGRAMS").unwrap_or(PROGRAMS);
    tell("state-machine", &["P1", "P2", "P5", "P6", "P7"], || {
        let (programs, steps) = programs(count);
        (programs, vec![("steps", steps)])
    });
}
