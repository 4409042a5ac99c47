//! Every mutating command, killed at every call that changes a file, and with every such call failing in six ways.
//!
//! Needs strace and the right to trace. strace fails the call without running it, which is what a disk does that refuses;
//! a call of which a part has happened is what the simulated disk is for. A kill hits the process as it enters the call.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::faults::{self, Fault, Harm};
use crate::kit::Directory;
use crate::mutations::{Case, MUTATIONS, Mutation, Prepared};
use crate::oracle;
use crate::result::{Check, missing, size};

/// Runs the command once with the fault, and judges what is left. Whether it was killed.
fn one(mutation: &Mutation, prepared: &Prepared, fault: &Fault, place: &Path) -> Result<bool, String> {
    let store = place.join("store");
    prepared.copy_to(&store);
    let answer = mutation.run(fault.strace(), &store, prepared.beside());
    let case = Case { mutation, beside: prepared.beside(), store: &store, before: &prepared.before, answer: &answer };
    // Where no write succeeds any more, the error can not be printed either.
    let is_mute = fault.call == "write" && matches!(fault.harm, Harm::FromNowOn(_)) && answer.exit == Some(74);
    let coded = if is_mute { Ok(()) } else { oracle::is_coded(answer.exit, &answer.notes) };
    let judged = coded.and_then(|()| (mutation.judge)(&case));
    std::fs::remove_dir_all(place).expect("removed");
    judged.map_err(|error| format!("{} under {fault:?}: {error}; it had answered {answer:?}", mutation.name))?;
    Ok(answer.exit.is_none())
}

fn check(mutation: &Mutation, check: &mut Check) {
    let prepared = Prepared::new(mutation);
    let directory = Directory::new("injected");
    let (log, counted) = (directory.path().join("strace"), directory.path().join("counted"));
    prepared.copy_to(&counted);
    let answer = mutation.run(faults::counting(&log), &counted, prepared.beside());
    assert_eq!(answer.exit, Some(0), "{}: {answer:?}", mutation.name);
    let counts = faults::counts(&std::fs::read_to_string(&log).expect("what strace wrote"));
    let syncs: u64 = ["fsync", "fdatasync"].iter().filter_map(|call| counts.get(call)).sum();
    assert!(syncs > 0 && counts.values().sum::<u64>() > 3, "{}: {counts:?}", mutation.name);
    let faults = faults::all(&counts);
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..size("TAFFRAIL_LAB_THREADS", 3) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = faults.get(number) else { return };
                    let place = directory.path().join(number.to_string());
                    std::fs::create_dir(&place).expect("a directory");
                    let outcome = one(mutation, &prepared, fault, &place);
                    outcomes.lock().expect("nobody panics").push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("nobody panics");
    let killed = outcomes.iter().filter(|outcome| **outcome == Ok(true)).count() as u64;
    let wanted = faults.iter().filter(|fault| matches!(fault.harm, Harm::Kill)).count() as u64;
    for outcome in outcomes {
        check.case(outcome.map(|_| ()));
    }
    // A call or two may come to lie in another thread.
    assert!(killed <= wanted && killed + 2 + wanted / 10 >= wanted, "{}: {killed} of {wanted} killed", mutation.name);
    check.count("calls", counts.values().sum());
    check.count("kills", killed);
    check.count("commands", 1);
}

#[test]
#[ignore = "takes minutes and needs strace; the lab runs it"]
fn every_mutating_command_survives_a_kill_and_six_errors_at_every_call_that_changes_a_file() {
    let mut result = Check::new("syscall-injection", &["P1", "P2", "P5", "P6", "P7"]);
    if let Some(why) = missing("strace", &["-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EIO", "true"]) {
        return result.skip(&why);
    }
    let only = std::env::var("TAFFRAIL_LAB_ONLY").unwrap_or_default();
    for mutation in MUTATIONS.iter().filter(|mutation| only.is_empty() || mutation.name == only) {
        check(mutation, &mut result);
    }
    result.end();
}
