//! A repair is stopped at every call: the damage is still there, or it has been taken out, and nothing in between.

use super::crash::number_from_environment;
use super::crash_workload::{Case, Random, World};
use super::damage_kit::lost;
use crate::lab_result::tell;
use crate::plan::Authority;
use crate::repair::{RepairMode, RepairPlan, UndoPlan};
use crate::storage::{Fault, SimDisk, Storage};
use crate::{
    Depth, Journal, Kind, OperatorAction, Query, Reader, SeqRange, SyncPolicy, VerifyOptions, VerifyReport, verify,
};
use std::sync::Arc;

/// Damaged stores if nobody says otherwise.
const STORES: u64 = 12;

/// The events of a log: their seqs, and what they hold.
fn events_of(storage: &Arc<dyn Storage>) -> Vec<(u64, Kind, Vec<u8>)> {
    let reader = Reader::open_on(Arc::clone(storage)).unwrap();
    let mut events = reader.events(Query::all()).unwrap();
    let mut all = Vec::new();
    while let Some(record) = events.next().unwrap() {
        all.push((record.seq.get(), record.kind, record.payload.to_vec()));
    }
    all
}

fn report_of(storage: &Arc<dyn Storage>) -> VerifyReport {
    verify(&**storage, &VerifyOptions { depth: Depth::Frames }, &mut |_, _| {}).unwrap()
}

fn authority(plan: &RepairPlan) -> Authority {
    let (reason, actor) = ("a test".to_owned(), "uid:0".to_owned());
    Authority { plan: plan.name().to_owned(), accept_loss: plan.lost, reason, actor, lock_timeout_ms: 50 }
}

/// A store with one flipped bit in an event, closed in order.
struct Patient {
    disk: SimDisk,
    /// All events but the one that is lost.
    left: Vec<(u64, Kind, Vec<u8>)>,
    lost: u64,
    last: u64,
    /// The segment that it lies in, as it is.
    segment: String,
    original: Vec<u8>,
}

fn patient(seed: u64) -> Patient {
    let mut case = Case::of(seed);
    (case.sync, case.processes, case.segment_len_bytes) = (SyncPolicy::Always, 1, vec![9 << 10]);
    let mut world = World::new(&case);
    for _ in 0..10 {
        world.append(1);
    }
    world.close();
    let disk = world.disk.power_cut_mask(u64::MAX);
    let storage: Arc<dyn Storage> = Arc::new(disk.process(40));
    let mut left = events_of(&storage);
    let mut random = Random(seed ^ 0x4E9A);
    let last = left[left.len() - 1].0;
    let reader = Reader::open_on(Arc::clone(&storage)).unwrap();
    let place = random.index(left.len());
    let (lost, ..) = left.remove(place);
    let record = reader.get(crate::Seq::new(lost).unwrap()).unwrap().unwrap();
    let segment = format!("segments/{}", record.segment.file_name());
    let byte = record.offset + random.below(48 + record.payload.len() as u64);
    disk.flip_bit(&segment, byte * 8 + random.below(8)).unwrap();
    let original = disk.file_bytes(&segment).unwrap();
    Patient { disk, left, lost, last, segment, original }
}

impl Patient {
    /// Looks at what an interrupted repair left, and finishes it.
    fn examine(&self, disk: &SimDisk, what: &str) {
        let storage: Arc<dyn Storage> = Arc::new(disk.process(41));
        let report = report_of(&storage);
        let range = SeqRange { first: self.lost, last: self.lost };
        let gone = lost(&report);
        assert!(gone == [range] || (gone.is_empty() && report.totals.absent == 1), "{what}: {report:#?}");
        let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
        assert!(plan.lost == gone.len() as u64, "{what}: {plan:#?}");
        if !plan.is_empty() {
            plan.apply(&storage, &authority(&plan)).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let report = report_of(&storage);
        assert_eq!(
            (lost(&report).len(), report.totals.absent, report.findings.len()),
            (0, 1, 0),
            "{what}: {report:#?}"
        );
        let now = events_of(&storage);
        assert!(now.starts_with(&self.left), "{what}: what was not damaged has changed");
        let added = &now[self.left.len()..];
        // The operator's event may have been torn: then the next opening tells that it cut it.
        let told = [Kind::OPERATOR_ACTION, Kind::RECOVERED];
        assert!(added.iter().all(|(seq, kind, _)| *seq > self.last && told.contains(kind)), "{what}: {added:?}");
        let kept = disk.files().iter().any(|(name, bytes)| name.starts_with("quarantine/") && *bytes == self.original);
        assert!(kept, "{what}: the original of {} is not kept", self.segment);
        let journal =
            Journal::options().open_on(Arc::clone(&storage)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(journal.durable() >= self.last, "{what}");
        self.is_told_once(&storage, what);
        drop(journal);
        Journal::options().open_on(Arc::clone(&storage)).unwrap().close().unwrap();
        self.is_told_once(&storage, what);
    }

    /// A repair that was stopped between its last rename and the event that tells of it was told by nobody, ever: the next plan
    /// was empty, and the log had an absence that no event explained. The next opening tells of it now, with the reason that
    /// was given, and of what was replaced; and it tells once.
    fn is_told_once(&self, storage: &Arc<dyn Storage>, what: &str) {
        let mut told = Vec::new();
        for (seq, _, body) in events_of(storage).iter().filter(|(_, kind, _)| *kind == Kind::OPERATOR_ACTION) {
            let action = OperatorAction::decode(body).unwrap();
            assert_eq!((action.verb.as_str(), action.reason.as_str()), ("repair", "a test"), "{what}");
            let detail: serde_json::Value = serde_json::from_str(&action.detail).unwrap();
            // Where the event itself was torn, that tail is what finishing it has cut, and that is told as well.
            let is_of_the_tail = detail["segments"].as_array().unwrap().iter().all(|done| done["action"] == "cut");
            assert!(!is_of_the_tail || detail["lost"] == 0, "{what}: {action:?}");
            told.extend((!is_of_the_tail).then_some((*seq, detail)));
        }
        assert_eq!(told.len(), 1, "{what}: {told:?}");
        let (seq, detail) = &told[0];
        assert_eq!(
            (detail["lost"].as_u64(), detail["segments"].as_array().map(Vec::len)),
            (Some(1), Some(1)),
            "{what}"
        );
        let undo = UndoPlan::make(storage, crate::Seq::new(*seq));
        assert!(undo.is_ok_and(|undo| undo.segments.len() == 1), "{what}: it can be undone");
    }
}

/// How many images were examined.
fn crash_repairs(stores: u64) -> u64 {
    let mut states = 0;
    for seed in 0..stores {
        let patient = patient(seed);
        let storage: Arc<dyn Storage> = Arc::new(patient.disk.process(39));
        let plan = RepairPlan::make(&*storage, RepairMode::Salvage).unwrap();
        assert_eq!(plan.lost, 1, "seed {seed}: {plan:#?}");
        let mut random = Random(seed ^ 0xC4A5);
        let start = |disk: &SimDisk| disk.next_operation();
        for call in 0.. {
            let disk = patient.disk.clone();
            disk.inject(start(&disk) + call, Fault::CrashBefore);
            let storage: Arc<dyn Storage> = Arc::new(disk.process(39));
            let applied = plan.apply(&storage, &authority(&plan));
            if !disk.is_crashed() {
                applied.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                break;
            }
            let images = [0, u64::MAX, random.next(), random.next()].map(|mask| disk.power_cut_mask(mask));
            for (number, image) in images.iter().enumerate() {
                patient.examine(image, &format!("seed {seed}, call {call}, image {number}"));
                states += 1;
            }
        }
    }
    states
}

#[test]
fn sim_a_repair_that_is_stopped_anywhere_leaves_the_damage_or_the_repair() {
    let stores = number_from_environment("TAFFRAIL_REPAIR_STORES").unwrap_or(STORES);
    tell("repair-crashes", &["P1", "P4", "P7"], || {
        let states = crash_repairs(stores);
        (states, vec![("crash_states", states), ("acknowledged_lost", 0), ("false_refusals", 0)])
    });
}
