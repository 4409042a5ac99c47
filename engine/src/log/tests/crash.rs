//! The crash simulation: seeded workloads, a crash at every call, and of what was not synced every subset or many.
//!
//! `TAFFRAIL_SIM_STATES` is how many crash states are examined at least; `TAFFRAIL_SIM_SEED` examines one case, and prints
//! the calls that lead up to what it finds.

use super::crash_oracle::{Outcome, Promise, Violation};
use super::crash_states::{Counts, check, examine, examine_crashing_recovery, images, open, promise_after_cut};
use super::crash_workload::{Case, Random, World};
use crate::lab_result::tell;
use crate::storage::{Fault, SimDisk};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// States that the test examines if nobody says otherwise.
const STATES: u64 = 300_000;

/// A number from the environment.
pub(super) fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

/// Names what was found, with the calls before it where one case is replayed.
fn report(case: &Case, disk: &SimDisk, what: &str, violation: &Violation) -> String {
    let mut text = format!("{violation:?}\n  in {what}\n  replay with TAFFRAIL_SIM_SEED={}\n  {case:?}\n", case.seed);
    if number_from_environment("TAFFRAIL_SIM_SEED").is_some() {
        for operation in disk.ops() {
            text += &format!("  {operation}\n");
        }
        for unit in disk.pending_units() {
            text += &format!("  pending {unit:?}\n");
        }
    }
    text
}

/// Crashes one case at every call.
fn crash_everywhere(case: &Case, counts: &mut Counts) -> Result<(), String> {
    let mut whole = World::new(case);
    whole.run();
    let failed = |disk: &SimDisk, what: &str, violation: &Violation| report(case, disk, what, violation);
    if let Some(error) = &whole.refused {
        return Err(failed(&whole.disk, "the workload", &Violation::Refused(error.to_string())));
    }
    let end = whole.disk.clone();
    // Somebody may have been killed in the last step of all, as in seed 514: nobody has opened the store since, and what was
    // half written is still there. Without kills the log is in order as it is.
    if !case.faults.is_empty() {
        end.clear_faults();
        let opened = open(&end, case.options(1)).map_err(|error| Violation::Refused(error.to_string()));
        drop(opened.map_err(|found| failed(&whole.disk, "the store behind the workload", &found))?);
    }
    check(&end, &whole.oracle, Promise::All).map_err(|found| failed(&whole.disk, "the workload", &found))?;
    let length = whole.disk.next_operation();
    drop(whole);
    counts.cases += 1;
    let mut random = Random(case.seed ^ 0x5EED);
    for index in 0..=length {
        let mut world = World::new(case);
        world.disk.inject(index, Fault::CrashBefore);
        world.run();
        if let Some(error) = &world.refused {
            return Err(failed(&world.disk, "the workload", &Violation::Refused(error.to_string())));
        }
        world.disk.crash();
        counts.crash_points += 1;
        let most_exhaustive = if random.percent(4) { 10 } else { 5 };
        for (number, image) in images(&world.disk, most_exhaustive, &mut random).iter().enumerate() {
            let promise = promise_after_cut(case);
            let found = if number % 8 == 7 {
                examine_crashing_recovery(image, &world.oracle, promise, case, &mut random, counts)
            } else {
                examine(image, &world.oracle, promise, case, &mut random, counts)
            };
            found.map_err(|found| {
                let what = format!("image {number} of a crash before call {index}");
                failed(&world.disk, &what, &found)
            })?;
        }
    }
    Ok(())
}

/// A case with kills at chosen calls, in the workload that the case is without them.
fn with_kills(mut case: Case) -> Case {
    let mut whole = World::new(&case);
    whole.run();
    let length = whole.disk.next_operation();
    let mut random = Random(case.seed ^ 0x0DD);
    for _ in 0..random.below(4) {
        let fault = match random.below(3) {
            0 => Fault::KillBefore,
            1 => Fault::KillAfter,
            _ => Fault::KillAfterPart(random.index(2000)),
        };
        case.faults.push((random.below(length), fault));
    }
    case
}

fn one_case(seed: u64, counts: &mut Counts) -> Result<(), String> {
    let mut case = with_kills(Case::of(seed));
    if let Some(steps) = number_from_environment("TAFFRAIL_SIM_STEPS") {
        case.steps = usize::try_from(steps).unwrap_or(usize::MAX);
    }
    if let Some(kept) = number_from_environment("TAFFRAIL_SIM_FAULTS") {
        case.faults = kept_faults(&case, kept);
    }
    let fails = |case: &Case| crash_everywhere(case, &mut Counts::default()).err();
    crash_everywhere(&case, counts).map_err(|found| {
        let (found, smallest, kept) = shrunk(&case, found, &fails);
        let (seed, steps) = (smallest.seed, smallest.steps);
        format!(
            "{found}\nthe smallest case: TAFFRAIL_SIM_SEED={seed} TAFFRAIL_SIM_STEPS={steps} TAFFRAIL_SIM_FAULTS={kept}"
        )
    })
}

/// The faults of a case whose bits are set.
fn kept_faults(case: &Case, kept: u64) -> Vec<(u64, Fault)> {
    let bit = |(place, _): &(usize, &(u64, Fault))| kept >> place & 1 == 1;
    case.faults.iter().enumerate().filter(bit).map(|(_, fault)| *fault).collect()
}

/// The smallest case that fails as well, with what is found in it, and the bits of the faults that it keeps: as few steps as do,
/// then as few faults.
fn shrunk(case: &Case, found: String, fails: &dyn Fn(&Case) -> Option<String>) -> (String, Case, u64) {
    let (mut found, mut smallest) = (found, case.clone());
    if let Some((steps, text)) =
        (1..case.steps).find_map(|steps| fails(&Case { steps, ..case.clone() }).map(|text| (steps, text)))
    {
        (found, smallest.steps) = (text, steps);
    }
    let mut kept = (1_u64 << case.faults.len()) - 1;
    let without = |kept: u64, place: usize, steps| {
        let fewer = kept & !(1 << place);
        let trial = Case { faults: kept_faults(case, fewer), steps, ..case.clone() };
        (fewer != kept).then(|| fails(&trial).map(|text| (text, trial, fewer)))?
    };
    while let Some(smaller) = (0..case.faults.len()).find_map(|place| without(kept, place, smallest.steps)) {
        (found, smallest, kept) = smaller;
    }
    (found, smallest, kept)
}

/// Cases on all cores until enough states have been examined; the first finding ends it.
fn until(states: u64, first_seed: u64) -> Result<Counts, String> {
    let (next_seed, examined, stop) = (AtomicU64::new(first_seed), AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut counts = Counts::default();
        while examined.load(Ordering::Relaxed) < states && !stop.load(Ordering::Relaxed) {
            let before = counts.states;
            if let Err(found) = one_case(next_seed.fetch_add(1, Ordering::Relaxed), &mut counts) {
                stop.store(true, Ordering::Relaxed);
                return Err(found);
            }
            examined.fetch_add(counts.states - before, Ordering::Relaxed);
        }
        Ok(counts)
    };
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let results: Vec<Result<Counts, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a panic".into()))).collect()
    });
    let mut counts = Counts::default();
    for result in results {
        counts.add(&result?);
    }
    Ok(counts)
}

#[test]
fn sim_no_crash_loses_what_was_acknowledged_or_makes_a_store_unusable() {
    tell("crash-states", &["P1", "P2", "P4", "P5", "P6", "P7"], || {
        let counts = examine_states();
        let figures = vec![
            ("crash_states", counts.states),
            ("acknowledged_lost", 0),
            ("false_truncations", 0),
            ("false_refusals", 0),
            ("workloads", counts.cases),
            ("crash_points", counts.crash_points),
            ("crashes_in_recovery", counts.crashes_in_recovery),
            ("torn_tails", counts.torn_tails),
            ("appends_afterwards", counts.appends_after),
        ];
        (counts.states, figures)
    });
}

/// Examines one seed, or as many states as are wanted; panics at the first finding.
fn examine_states() -> Counts {
    let result = match number_from_environment("TAFFRAIL_SIM_SEED") {
        Some(seed) => {
            let mut counts = Counts::default();
            one_case(seed, &mut counts).map(|()| counts)
        }
        None => until(number_from_environment("TAFFRAIL_SIM_STATES").unwrap_or(STATES), 1),
    };
    result.unwrap_or_else(|found| panic!("{found}"))
}

/// A failure that is planted: three batches are acknowledged, and a process was killed in the midst of a write.
fn planted(case: &Case) -> Option<String> {
    let mut world = World::new(case);
    world.run();
    let acknowledged = world.oracle.submitted.iter().filter(|submitted| matches!(submitted.outcome, Outcome::Acked(_)));
    let reached = |(index, fault): &(u64, Fault)| {
        *index < world.disk.next_operation() && matches!(fault, Fault::KillAfterPart(_))
    };
    let fails = acknowledged.count() >= 3 && case.faults.iter().any(reached);
    fails.then(|| format!("planted: {} calls", world.disk.next_operation()))
}

#[test]
fn sim_a_failing_case_shrinks_to_one_that_fails_as_well_and_has_nothing_to_spare() {
    let mut shrunk_cases = 0;
    for seed in 1..400 {
        let case = with_kills(Case::of(seed));
        let Some(found) = planted(&case) else { continue };
        let (found, smallest, kept) = shrunk(&case, found, &planted);
        assert_eq!(planted(&smallest), Some(found), "seed {seed}: it is seen again, call for call");
        // As it is told: by seed, steps and faults.
        let again = Case { steps: smallest.steps, faults: kept_faults(&case, kept), ..with_kills(Case::of(seed)) };
        assert_eq!(planted(&again), planted(&smallest), "seed {seed}");
        let spared = (0..case.faults.len()).filter(|place| kept >> place & 1 == 1).map(|place| kept & !(1 << place));
        for fewer in spared {
            let trial = Case { faults: kept_faults(&case, fewer), ..smallest.clone() };
            assert_eq!(planted(&trial), None, "seed {seed}: a fault could be spared");
        }
        let fewer_steps = |steps| Case { steps, ..case.clone() };
        assert!((1..smallest.steps).all(|steps| planted(&fewer_steps(steps)).is_none()), "seed {seed}");
        shrunk_cases += 1;
    }
    assert!(shrunk_cases > 20, "{shrunk_cases} cases fail: nothing was tested");
}

#[test]
fn sim_a_case_is_replayed_call_for_call() {
    for seed in 1..60 {
        let calls = |_| {
            let mut world = World::new(&with_kills(Case::of(seed)));
            world.run();
            let calls: Vec<String> = world.disk.ops().iter().map(ToString::to_string).collect();
            (calls, world.disk.pending_units().iter().map(|unit| format!("{unit:?}")).collect::<Vec<_>>())
        };
        assert_eq!(calls(1), calls(2), "seed {seed}");
        assert!(calls(3).0.len() > 10, "seed {seed}");
    }
}
