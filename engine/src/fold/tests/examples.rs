//! The examples, run as the processes that they are; and the kit for tests of folds.

use super::{AllJobs, Job, Jobs, queued};
use crate::storage::{Disk, Storage};
use std::path::PathBuf;
use std::process::Command;

/// An example that `cargo test` has built beside the tests.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build -p taffrail --examples`", path.display());
    Command::new(path)
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fold_the_embedding_example_does_what_it_says() {
    let directory: PathBuf = std::env::temp_dir().join(format!("taffrail-nightly-{}", std::process::id()));
    Disk::new(&directory).create_dir("").unwrap();
    let first = output(example("nightly").arg(&directory));
    let second = output(example("nightly").arg(&directory));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(first, "2 events, 1 of 1 checkpoints equal\n");
    assert_eq!(second, "4 events, 2 of 2 checkpoints equal\n");
}

#[test]
fn fold_two_processes_give_the_same_canonical_bytes() {
    let first = output(example("clock_fold").arg("states"));
    assert_eq!(first.lines().count(), 3);
    assert_eq!(first, output(example("clock_fold").arg("states")));
}

#[test]
fn fold_that_reads_the_clock_is_caught_with_event_and_field() {
    let told = output(&mut example("clock_fold"));
    assert!(told.contains("honest:   3 events, 1 of 1 checkpoints equal"), "{told}");
    assert!(told.contains("careless: error[T0503]") && told.contains("diverged at seq 5: NONDETERMINISM"), "{told}");
    assert!(told.contains("\n  tal "), "{told}");
}

#[test]
fn fold_the_kit_accepts_honest_folds_and_refuses_others() {
    let events = [queued("a"), Job::Progress(1), Job::Done { exit: 1 }, queued("b")];
    crate::testkit::any_chunking::<Jobs>(&events);
    crate::testkit::replay_twice::<AllJobs>(&events);
    let state = crate::testkit::given::<Jobs>(&events[..1]);
    let check = std::panic::AssertUnwindSafe(|| {
        state.then_state(&super::Tally::default());
    });
    assert!(std::panic::catch_unwind(check).is_err());
}
