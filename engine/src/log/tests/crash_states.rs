//! Examining what a crash leaves: the store opens, keeps its promises, goes on, and survives the next crashes.

use super::crash_oracle::{Oracle, Outcome, Promise, Violation};
use super::crash_reader::{Event, read_log};
use super::crash_workload::{Case, Random, World};
use crate::storage::{Fault, PendingKind, PendingUnit, SimDisk, Storage};
use crate::{ErrorKind, Journal, Kind, Options, Recovered, RecoveryPlan, SyncPolicy, Verdict};
use std::sync::Arc;

/// What has been looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) cases: u64,
    pub(super) crash_points: u64,
    pub(super) states: u64,
    pub(super) crashes_in_recovery: u64,
    pub(super) torn_tails: u64,
    pub(super) appends_after: u64,
    pub(super) faults: u64,
    pub(super) failed_syncs: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.cases += other.cases;
        self.crash_points += other.crash_points;
        self.states += other.states;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.torn_tails += other.torn_tails;
        self.appends_after += other.appends_after;
        self.faults += other.faults;
        self.failed_syncs += other.failed_syncs;
    }
}

/// What a power cut leaves of a promise.
pub(super) fn promise_after_cut(case: &Case) -> Promise {
    if case.sync == SyncPolicy::Always { Promise::All } else { Promise::Durable }
}

/// A process that takes no part in workloads.
const EXAMINER: u32 = 50;

pub(super) fn open(disk: &SimDisk, options: Options) -> crate::Result<Journal> {
    options.open_on(Arc::new(disk.process(EXAMINER)))
}

/// Reads the whole log and compares it.
pub(super) fn check(disk: &SimDisk, oracle: &Oracle, promise: Promise) -> Result<(Vec<Event>, Vec<i64>), Violation> {
    let log = read_log(disk).map_err(Violation::Refused)?;
    let present = oracle.check(&log, promise)?;
    Ok((log, present))
}

/// The plan says the same twice, and making it writes nothing.
fn check_plan(disk: &SimDisk) -> Result<Option<RecoveryPlan>, Violation> {
    let before = disk.digest();
    let storage = disk.process(EXAMINER);
    let (one, two) = (RecoveryPlan::make(&storage), RecoveryPlan::make(&storage));
    if disk.digest() != before {
        return Err(Violation::Refused("making a plan has written".into()));
    }
    match (one, two) {
        (Ok(one), Ok(two)) if (one.end(), one.head(), one.cut()) == (two.end(), two.head(), two.cut()) => Ok(Some(one)),
        // A store whose making was interrupted has no log yet.
        (Err(error), Err(_)) if error.kind() == ErrorKind::NotFound => Ok(None),
        (one, two) => Err(Violation::Refused(format!("plans {one:?} and {two:?}"))),
    }
}

/// Torn tails in the quarantine.
fn kept_tails(disk: &SimDisk) -> Vec<String> {
    let storage = disk.process(EXAMINER);
    let list = |directory: &str| storage.list(directory).unwrap_or_default().into_iter().map(|entry| entry.name);
    let files = |directory: String| list(&directory).map(|name| format!("{directory}/{name}")).collect::<Vec<String>>();
    list("quarantine").map(|name| format!("quarantine/{name}")).flat_map(files).collect()
}

/// Every torn tail that was taken out of a segment that is still there is told of by an event.
fn check_told(disk: &SimDisk, log: &[Event]) -> Result<(), Violation> {
    let told: Vec<String> = log
        .iter()
        .filter(|event| event.kind == Kind::RECOVERED)
        .filter_map(|event| Recovered::decode(&event.payload).ok().map(|recovered| recovered.kept_in))
        .collect();
    let is_whole = |name: &String| {
        let digest = blake3::hash(&disk.file_bytes(name).unwrap_or_default()).to_hex();
        name.ends_with(&format!("tail.{}.bin", &digest[..16]))
    };
    match kept_tails(disk).into_iter().find(|name| !told.contains(name) && is_whole(name)) {
        Some(name) => Err(Violation::Lost(format!("{name} was cut, and no event tells of it"))),
        None => Ok(()),
    }
}

/// Opens a disk image, checks the promise, appends, and opens it again, with or without what was not synced.
pub(super) fn examine(
    disk: &SimDisk,
    oracle: &Oracle,
    promise: Promise,
    case: &Case,
    random: &mut Random,
    counts: &mut Counts,
) -> Result<(), Violation> {
    counts.states += 1;
    let plan = if random.percent(25) { check_plan(disk)? } else { None };
    let mut world = World::on(disk.clone(), oracle.clone(), case, random.next());
    let process = 1 + u32::try_from(random.below(3)).unwrap_or(0);
    if world.journal(process).is_none() {
        return Err(Violation::Refused(format!("{:?}", world.refused)));
    }
    let (log, present) = check(&world.disk, oracle, promise)?;
    if let Some(plan) = plan {
        let cut = plan.cut().is_some_and(|cut| !cut.is_empty());
        counts.torn_tails += u64::from(cut);
        // `Recovered` comes first, and it is in the log already.
        let added = log.len() as u64 - plan.head();
        let kept = kept_tails(&world.disk).len() as u64;
        if (cut && added == 0) || added > kept {
            let message = format!("planned head {}, {kept} torn tails, and the log has {}", plan.head(), log.len());
            return Err(Violation::Refused(message));
        }
        let again = check_plan(&world.disk)?.filter(|again| again.tail.verdict == Verdict::End);
        if again.is_none_or(|again| again.head() != log.len() as u64 || again.cut().is_some()) {
            return Err(Violation::Refused("recovery leaves something to recover".into()));
        }
    }
    check_told(&world.disk, &log)?;
    world.oracle = oracle.rebased(&present);
    world.oracle.note_durable(log.len() as u64);
    for _ in 0..1 + random.index(2) {
        world.append(process);
        counts.appends_after += 1;
    }
    let acked =
        |world: &World| matches!(world.oracle.submitted.last().map(|last| last.outcome), Some(Outcome::Acked(_)));
    if world.refused.is_some() || !acked(&world) {
        return Err(Violation::Refused(format!("no append after recovery: {:?}", world.refused)));
    }
    let (survivor, promise) = match random.below(4) {
        0 => (world.disk.clone(), Promise::All),
        1 => {
            world.close();
            (world.disk.power_cut_mask(0), Promise::All)
        }
        2 => (world.disk.power_cut_mask(0), promise_after_cut(case)),
        _ => (world.disk.power_cut(random.next()), promise_after_cut(case)),
    };
    drop(open(&survivor, case.options(1)).map_err(|error| Violation::Refused(error.to_string()))?);
    check(&survivor, &world.oracle, promise).map(|_| ())
}

/// Crashes within recovery, up to three deep, and then examines.
pub(super) fn examine_crashing_recovery(
    disk: &SimDisk,
    oracle: &Oracle,
    promise: Promise,
    case: &Case,
    random: &mut Random,
    counts: &mut Counts,
) -> Result<(), Violation> {
    let mut image = disk.clone();
    for _ in 0..1 + random.index(3) {
        let trial = image.clone();
        let start = trial.next_operation();
        drop(open(&trial, case.options(1)));
        let length = trial.next_operation() - start;
        let crashing = image.clone();
        let fault = if random.percent(20) { Fault::KillAfter } else { Fault::CrashBefore };
        crashing.inject(start + random.below(length), fault);
        if let Err(error) = open(&crashing, case.options(1))
            && error.kind() != ErrorKind::Io
        {
            return Err(Violation::Refused(format!("in recovery: {error}")));
        }
        counts.crashes_in_recovery += 1;
        counts.states += 1;
        image = if crashing.is_crashed() { crashing.power_cut(random.next()) } else { crashing.clone() };
        crashing.clear_faults();
    }
    image.clear_faults();
    examine(&image, oracle, promise, case, random, counts)
}

/// The units of the segments' files and names: what the log is made of. The others are hints and evidence.
fn is_core(unit: &PendingUnit) -> bool {
    unit.name.starts_with("segments")
}

/// Disk images that a power cut may leave: all subsets of the log's units where they are few, else samples.
pub(super) fn images(disk: &SimDisk, most_exhaustive: usize, random: &mut Random) -> Vec<SimDisk> {
    let units = disk.pending_units();
    let core: Vec<&PendingUnit> = units.iter().filter(|unit| is_core(unit)).collect();
    let mut images = vec![disk.power_cut_mask(0), disk.power_cut_mask(u64::MAX)];
    if core.len() <= most_exhaustive {
        let indices: Vec<usize> = core.iter().map(|unit| unit.index).collect();
        for mask in 0..1_u64 << indices.len() {
            let mut choices = random.clone();
            random.next();
            images.push(disk.power_cut_with(|unit| match indices.iter().position(|index| *index == unit.index) {
                Some(bit) if mask >> bit & 1 == 1 => unit.versions,
                Some(_) => 0,
                None => choices.index(unit.versions + 1),
            }));
        }
    } else {
        images.extend((0..24).map(|_| disk.power_cut(random.next())));
    }
    if core.iter().any(|unit| unit.versions > 1 || matches!(unit.kind, PendingKind::Entry)) {
        images.extend((0..6).map(|_| disk.power_cut(random.next())));
    }
    images
}
