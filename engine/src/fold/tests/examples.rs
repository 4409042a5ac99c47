//! The examples, run as processes of their own; and the kit for tests of folds.

#[path = "../../../examples/clock_fold.rs"]
mod clock_fold;
#[path = "../../../examples/nightly.rs"]
mod nightly;

use super::{AllJobs, Job, Jobs, queued};
use crate::storage::{Disk, Storage};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What one of the ignored tests below prints in a process of its own.
fn output(of: &str, directory: &Path) -> String {
    let name = format!("{}::{of}", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &name]).current_dir(directory);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("running 1 test"), "{text}");
    text.lines().filter(|line| !line.starts_with("test result")).map(|line| format!("{line}\n")).collect()
}

#[test]
#[ignore = "run by other tests, as a process"]
fn nightly_process() {
    nightly::main().unwrap();
}

#[test]
#[ignore = "run by other tests, as a process"]
fn clock_process() {
    clock_fold::main().unwrap();
}

#[test]
#[ignore = "run by other tests, as a process"]
fn states_process() {
    clock_fold::states().unwrap();
}

#[test]
fn fold_the_embedding_example_does_what_it_says() {
    let directory: PathBuf = std::env::temp_dir().join(format!("taffrail-nightly-{}", std::process::id()));
    Disk::new(&directory).create_dir("").unwrap();
    let first = output("nightly_process", &directory);
    let second = output("nightly_process", &directory);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(first.contains("2 events, 1 of 1 checkpoints equal\n"), "{first}");
    assert!(second.contains("4 events, 2 of 2 checkpoints equal\n"), "{second}");
}

#[test]
fn fold_two_processes_give_the_same_canonical_bytes() {
    let here = std::env::temp_dir();
    let first = output("states_process", &here);
    assert_eq!(first.matches("{\"tal\":[5,3]}").count(), 2, "{first}");
    assert_eq!(first, output("states_process", &here));
}

#[test]
fn fold_that_reads_the_clock_is_caught_with_event_and_field() {
    let told = output("clock_process", &std::env::temp_dir());
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

#[test]
fn fold_a_crash_at_any_call_leaves_a_state_that_the_run_has_had() {
    let events: Vec<Job> = (0..5).flat_map(|n| [queued(&n.to_string()), Job::Done { exit: n }]).collect();
    crate::lab_result::tell("fold-crashes", &["P1", "P3", "P7"], || {
        let states = crate::testkit::crash_everywhere::<Jobs>(&events);
        assert!(states > 200, "{states}");
        (states, vec![("crash_states", states)])
    });
    // A fold that counts how often it is asked has another state after a crash.
    let check = std::panic::AssertUnwindSafe(|| crate::testkit::crash_everywhere::<Asked>(&events));
    let told = std::panic::catch_unwind(check).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("call ") && told.contains("power cut "), "{told}");
}

/// Not deterministic: the state depends on how often the process has folded.
struct Asked;

impl crate::Fold for Asked {
    const NAME: &'static str = "acme.asked";
    const VERSION: u32 = 1;
    type Event = Job;
    type State = u64;

    fn apply(asked: &mut u64, _: &crate::Recorded<Job>) {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        *asked = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}
