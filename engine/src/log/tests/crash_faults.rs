//! Every call of a workload fails in every way; and the disk is full at any moment.

use super::crash::number_from_environment;
use super::crash_oracle::{Outcome, Promise, Violation};
use super::crash_states::{Counts, check, examine, open, promise_after_cut};
use super::crash_workload::{Case, Random, World};
use crate::SyncPolicy;
use crate::lab_result::tell;
use crate::storage::{Failure, Fault, SimDisk, Storage};

/// What each call is made to do.
const FAULTS: [Fault; 11] = [
    Fault::Fail(Failure::InputOutput),
    Fault::Fail(Failure::NoSpace),
    Fault::Fail(Failure::Interrupted),
    Fault::Short(1),
    Fault::Short(700),
    Fault::FailedSync,
    Fault::PartlyFailedSync,
    Fault::KillBefore,
    Fault::KillAfter,
    Fault::KillAfterPart(3),
    Fault::KillAfterPart(600),
];

/// Examines what a workload with one fault leaves: by the next process, and after power cuts.
fn examine_faulty(world: &mut World, random: &mut Random, counts: &mut Counts) -> Result<(), Violation> {
    world.run();
    if let Some(error) = &world.refused {
        return Err(Violation::Refused(format!("in the workload: {error}")));
    }
    counts.faults += 1;
    // The next sync of the same file succeeds: it must not be believed.
    let failed_sync = |(_, fault): &(u64, Fault)| matches!(fault, Fault::FailedSync | Fault::PartlyFailedSync);
    counts.failed_syncs += u64::from(world.case.faults.iter().any(failed_sync));
    let case = world.case.clone();
    // After a failed sync the other policies keep what was durable, as after a power cut.
    let promise = promise_after_cut(&case);
    world.disk.clear_faults();
    for image in [world.disk.power_cut_mask(0), world.disk.power_cut(random.next())] {
        examine(&image, &world.oracle, promise, &case, random, counts)?;
    }
    world.close();
    drop(open(&world.disk, case.options(1)).map_err(|error| Violation::Refused(error.to_string()))?);
    let (_, present) = check(&world.disk, &world.oracle, promise)?;
    let oracle = world.oracle.rebased(&present);
    check(&world.disk.power_cut_mask(0), &oracle, Promise::Durable).map(|_| ())
}

#[test]
fn sim_every_call_may_fail_in_every_way() {
    tell("faults", &["P1", "P2", "P5", "P6"], || {
        told(&examine_faults(number_from_environment("TAFFRAIL_SIM_FAULT_CASES").unwrap_or(4), 0))
    });
}

#[test]
fn sim_two_calls_may_fail_in_every_way() {
    tell("fault-pairs", &["P1", "P2", "P5", "P6"], || {
        let seconds = number_from_environment("TAFFRAIL_SIM_SECOND_FAULTS").unwrap_or(1);
        told(&examine_faults(number_from_environment("TAFFRAIL_SIM_PAIR_CASES").unwrap_or(2), seconds))
    });
}

fn told(counts: &Counts) -> (u64, Vec<(&'static str, u64)>) {
    let figures = vec![
        ("crash_states", counts.states),
        ("acknowledged_lost", 0),
        ("false_truncations", 0),
        ("false_refusals", 0),
        ("workloads", counts.cases),
        ("failed_syncs", counts.failed_syncs),
    ];
    (counts.faults, figures)
}

/// Every call of some workloads, with every fault; panics at the first finding. Behind each fault, so many second ones at
/// calls that come later, drawn from all; with more than there are, each of them.
fn examine_faults(cases: u64, seconds: u64) -> Counts {
    let mut counts = Counts::default();
    let seed = number_from_environment("TAFFRAIL_SIM_SEED");
    for seed in seed.map_or(1_000..1_000 + cases, |seed| seed..seed + 1) {
        let case = Case::of(seed);
        let mut whole = World::new(&case);
        whole.run();
        let length = whole.disk.next_operation();
        counts.cases += 1;
        let mut random = Random(seed ^ 0xFA17);
        for index in 0..length {
            for fault in FAULTS {
                for faults in with_second((index, fault), length, seconds, &mut random) {
                    let mut world = World::new(&Case { faults: faults.clone(), ..case.clone() });
                    let found = examine_faulty(&mut world, &mut random, &mut counts);
                    let operations = || whole.disk.ops().get(usize::try_from(index).unwrap()).map(ToString::to_string);
                    found.unwrap_or_else(|found| {
                        panic!("{found:?}\n  {faults:?} at {:?}; TAFFRAIL_SIM_SEED={seed}", operations());
                    });
                }
            }
        }
    }
    counts
}

/// A fault, alone or with each of some that come later.
fn with_second(first: (u64, Fault), length: u64, seconds: u64, random: &mut Random) -> Vec<Vec<(u64, Fault)>> {
    // What is done about the first one takes calls of its own.
    let later = first.0 + 1..length + 8;
    let all = (later.end - later.start) * FAULTS.len() as u64;
    let second = |drawn: u64| {
        let fault = FAULTS[usize::try_from(drawn % FAULTS.len() as u64).unwrap()];
        vec![first, (later.start + drawn / FAULTS.len() as u64, fault)]
    };
    match seconds {
        0 => vec![vec![first]],
        _ if seconds >= all => (0..all).map(second).collect(),
        _ => (0..seconds).map(|_| second(random.below(all))).collect(),
    }
}

/// Bytes that the files of a disk take.
fn used_bytes(disk: &SimDisk) -> u64 {
    const LARGE: u64 = 1 << 40;
    disk.set_capacity_bytes(Some(LARGE));
    let free = disk.process(60).free_bytes().unwrap().unwrap();
    disk.set_capacity_bytes(None);
    LARGE - free
}

#[test]
fn sim_a_full_disk_loses_nothing_poisons_nothing_and_is_left_behind() {
    tell("full-disk", &["P1", "P2", "P5", "P6"], || {
        let (refused, appended) = fill_disks();
        (refused + appended, vec![("refused", refused), ("appended_afterwards", appended)])
    });
}

/// Appends refused by a full disk, and appended when it was one no more.
fn fill_disks() -> (u64, u64) {
    let (mut refused, mut appended) = (0, 0);
    for seed in 0..400 {
        let mut case = Case::of(seed);
        case.sync = SyncPolicy::Always;
        let mut world = World::new(&case);
        let mut random = Random(seed ^ 0xF0);
        if random.percent(80) {
            world.run();
        }
        let room = random.below(150) * 512;
        let capacity = used_bytes(&world.disk) + room;
        world.disk.set_capacity_bytes(Some(capacity));
        world.case.steps = 12;
        world.run();
        assert!(world.refused.is_none(), "seed {seed}: {:?}", world.refused);
        let outcomes = || world.oracle.submitted.iter().map(|submitted| submitted.outcome);
        assert!(outcomes().all(|outcome| outcome != Outcome::Unknown), "seed {seed}: poisoned by a full disk");
        refused += outcomes().filter(|outcome| *outcome == Outcome::Refused).count();
        // A power cut while it is full, and going on when it is not.
        let cut = world.disk.power_cut(seed);
        cut.set_capacity_bytes(None);
        let mut counts = Counts::default();
        examine(&cut, &world.oracle, Promise::All, &case, &mut random, &mut counts)
            .unwrap_or_else(|found| panic!("seed {seed}, {room} bytes of room: {found:?}"));
        world.disk.set_capacity_bytes(None);
        let before = world.oracle.submitted.len();
        world.run();
        assert!(world.refused.is_none(), "seed {seed}: {:?}", world.refused);
        let behind = &world.oracle.submitted[before..];
        assert!(behind.iter().all(|submitted| matches!(submitted.outcome, Outcome::Acked(_))), "seed {seed}");
        appended += behind.len();
        check(&world.disk, &world.oracle, Promise::All).unwrap_or_else(|found| panic!("seed {seed}: {found:?}"));
    }
    assert!(refused > 100 && appended > 1000, "{refused} refused, {appended} appended: nothing was tested");
    (refused as u64, appended as u64)
}
