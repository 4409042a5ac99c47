//! Many processes on one store.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Directory, answer, dump, run, spawn};
use crate::lab_result::tell;

const WRITERS: usize = 4;
const APPENDS: usize = 5_000;
const RUNS: [&str; 3] = ["nightly", "release", "fix"];

fn line(writer: usize, number: usize) -> String {
    let run = RUNS[number % RUNS.len()];
    format!("{{\"run\":\"{run}\",\"type\":\"tick\",\"data\":{{\"writer\":{writer},\"number\":{number}}}}}\n")
}

/// Writes lines in chunks, as a program that appends now and then does.
fn feed(mut input: ChildStdin, writer: usize, numbers: impl IntoIterator<Item = usize>) {
    let numbers: Vec<usize> = numbers.into_iter().collect();
    for chunk in numbers.chunks(100) {
        let text: String = chunk.iter().map(|number| line(writer, *number)).collect();
        if input.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn data_of(events: &[Value], writer: usize) -> Vec<u64> {
    let of_writer = events.iter().filter(|event| event["type"] == "tick" && event["data"]["writer"] == writer);
    of_writer.map(|event| event["data"]["number"].as_u64().expect("a number")).collect()
}

/// Seqs are dense, revisions of every run too.
fn assert_dense(events: &[Value]) {
    let mut revisions = std::collections::BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], index + 1);
        if let Some(run) = event["run"].as_str() {
            let revision = revisions.entry(run.to_owned()).or_insert(0_u64);
            *revision += 1;
            assert_eq!(event["revision"], *revision, "{run}");
        }
    }
}

fn append_all(store: &Path, writer: usize) {
    let mut child = spawn(store, &["log", "append", "--create"]);
    let input = child.stdin.take().expect("a pipe");
    let answer = std::thread::scope(|scope| {
        scope.spawn(move || feed(input, writer, 0..APPENDS));
        answer(child)
    });
    assert_eq!(answer.exit, Some(0), "writer {writer}: {}", answer.notes);
    assert_eq!(answer.notes, "");
}

/// Is killed every 50 ms, starts again behind what was acknowledged, and returns the numbers that were.
fn append_with_kills(store: &Path, writer: usize) -> BTreeSet<usize> {
    let mut acknowledged = BTreeSet::new();
    let mut kills = 0;
    loop {
        let left: Vec<usize> = (0..APPENDS).filter(|number| !acknowledged.contains(number)).collect();
        if left.is_empty() {
            assert!(kills > 0, "the writer was never killed");
            return acknowledged;
        }
        // Few at a time, so that kills find it at work.
        let now: Vec<usize> = left.iter().copied().take(400).collect();
        let mut child = spawn(store, &["log", "append", "--create"]);
        let input = child.stdin.take().expect("a pipe");
        let killed = kills < 10;
        let answer = std::thread::scope(|scope| {
            let numbers = now.clone();
            scope.spawn(move || feed(input, writer, numbers));
            if killed {
                std::thread::sleep(Duration::from_millis(50));
                let _dead_already = child.kill();
                kills += 1;
            }
            answer(child)
        });
        assert!(answer.exit.is_none() || answer.exit == Some(0), "{}", answer.notes);
        // What was acknowledged is found by its place in the input: batches are acknowledged in order.
        let events: usize = count_acknowledged(&answer.data);
        acknowledged.extend(now.into_iter().take(events));
    }
}

/// How many events the acknowledgements are of. Openings and registrations come before the first of a batch; the rest of a
/// batch is dense.
fn count_acknowledged(data: &str) -> usize {
    let whole = data.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let acknowledgements = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("a whole line"));
    let count = |ack: Value| {
        assert_eq!(ack["schema"], "taffrail.appended/1");
        assert!(ack["durable"].as_u64() >= ack["last"].as_u64(), "{ack}");
        ack["last"].as_u64().expect("a seq") - ack["first"].as_u64().expect("a seq") + 1
    };
    usize::try_from(acknowledgements.map(count).sum::<u64>()).expect("few")
}

#[test]
fn many_writers_share_a_store_and_one_of_them_dies_again_and_again() {
    tell("many-writers", &["P1", "P2"], || (share_a_store(), vec![("processes", WRITERS as u64)]));
}

/// How many events were appended.
fn share_a_store() -> u64 {
    let directory = Directory::new("many");
    let store = directory.store();
    let acknowledged = std::thread::scope(|scope| {
        let store = &store;
        for writer in 1..WRITERS {
            scope.spawn(move || append_all(store, writer));
        }
        append_with_kills(store, 0)
    });
    let events = dump(&store);
    assert_dense(&events);
    for writer in 1..WRITERS {
        let expected: Vec<u64> = (0..APPENDS as u64).collect();
        assert!(data_of(&events, writer) == expected, "writer {writer}: each once, in order");
    }
    let of_killed: BTreeSet<u64> = data_of(&events, 0).into_iter().collect();
    assert!(acknowledged.iter().all(|number| of_killed.contains(&(*number as u64))), "acknowledged, and lost");
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "{}", verified.data);
    events.len() as u64
}

#[test]
fn readers_beside_writers_never_see_damage() {
    tell("readers-beside-writers", &["P4", "P9"], || (read_beside_writers(), vec![]));
}

/// How often the whole log was read meanwhile.
fn read_beside_writers() -> u64 {
    let directory = Directory::new("beside");
    let store = directory.store();
    let first = run(&store, &["log", "append", "--create"], &line(9, 0));
    assert_eq!(first.exit, Some(0));
    std::thread::scope(|scope| {
        let store = &store;
        let writers: Vec<_> = (0..2).map(|writer| scope.spawn(move || append_all(store, writer))).collect();
        let mut before = 0;
        let mut rounds = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            let events = dump(store);
            assert_dense(&events);
            assert!(events.len() >= before, "the log never shrinks");
            before = events.len();
            for command in [&["log", "verify", "--json"][..], &["store", "info", "--json"]] {
                let answer = run(store, command, "");
                assert_eq!(answer.exit, Some(0), "{command:?}: {} {}", answer.data, answer.notes);
            }
            rounds += 1;
        }
        assert!(rounds > 0);
        rounds
    })
}
