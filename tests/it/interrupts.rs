//! SIGINT, as Ctrl-C sends it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::imports::{content, make_run};
use crate::kit::{Directory, command, run, spawn};

/// What any of this may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether whoever started the tests had the signal ignored, as shells do for jobs in the background.
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 2 != 0)
}

/// Starts a command that gets the signal, however the tests were started.
fn start(store: &Path, arguments: &[&str]) -> Child {
    let plain = command(store, arguments);
    let mut command = if is_ignored() {
        let mut wrapped = Command::new("env");
        wrapped.arg("--default-signal=INT").arg(plain.get_program()).args(plain.get_args());
        wrapped.env("XDG_CONFIG_HOME", "/nonexistent").env("TAFFRAIL_STORE", store);
        wrapped
    } else {
        plain
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts")
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success(), "the command has ended before it was interrupted");
}

/// Asks every millisecond, as long as there is patience; whether the answer was yes in the end.
fn becomes_true(mut question: impl FnMut() -> bool) -> bool {
    (0..PATIENCE.as_millis()).any(|_| {
        let answer = question();
        if !answer {
            std::thread::sleep(Duration::from_millis(1));
        }
        answer
    })
}

fn ended(child: &mut Child) -> ExitStatus {
    if !becomes_true(|| child.try_wait().expect("a child").is_some()) {
        child.kill().expect("it has not ended");
        panic!("the command does not end");
    }
    child.wait().expect("a child")
}

/// The lines of a command as they come, each with its newline.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    std::thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|len| len > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn notes_of(child: &mut Child) -> String {
    let mut notes = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut notes).expect("UTF-8");
    notes
}

fn ticks(run: &str, numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("{{\"run\":\"{run}\",\"type\":\"tick\",\"data\":{{\"n\":{number}}}}}\n")).collect()
}

fn append(store: &Path, run_name: &str, numbers: std::ops::Range<u32>) {
    assert_eq!(run(store, &["log", "append", "--create"], &ticks(run_name, numbers)).exit, Some(0));
}

/// A run that is opened while the log is followed was once shown by its number, since names were looked up only once.
#[test]
fn a_followed_log_shows_what_other_processes_append_until_it_is_interrupted() {
    let directory = Directory::new("follow");
    let store = directory.store();
    append(&store, "first", 0..2);
    let mut child = start(&store, &["log", "dump", "--follow", "--type", "tick", "-o", "jsonl"]);
    let lines = lines_of(&mut child);
    let next = || -> (Value, Value) {
        let line = lines.recv_timeout(PATIENCE).expect("a line");
        let event: Value = serde_json::from_str(&line).expect("a whole line");
        (event["run"].clone(), event["data"]["n"].clone())
    };
    for number in 0..2 {
        assert_eq!(next(), ("first".into(), number.into()));
    }
    for run_name in ["second", "third"] {
        append(&store, run_name, 0..3);
        for number in 0..3 {
            assert_eq!(next(), (run_name.into(), number.into()));
        }
    }
    // Nothing happens now, and it waits.
    assert!(child.try_wait().expect("a child").is_none());
    interrupt(&child);
    assert_eq!((ended(&mut child).code(), notes_of(&mut child).as_str()), (Some(130), ""));
    assert!(lines.recv_timeout(PATIENCE).is_err(), "nothing more is printed");
}

#[test]
fn a_followed_log_that_is_interrupted_amid_its_work_ends_with_a_whole_line() {
    let directory = Directory::new("follow-busy");
    let store = directory.store();
    append(&store, "busy", 0..1);
    for format in ["human", "jsonl"] {
        let mut writer = spawn(&store, &["log", "append"]);
        let mut input = writer.stdin.take().expect("a pipe");
        let mut child = start(&store, &["log", "dump", "--follow", "--type", "tick", "-o", format]);
        let lines = lines_of(&mut child);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for hundred in 0..200 {
                    input.write_all(ticks("busy", hundred * 100..(hundred + 1) * 100).as_bytes()).expect("written");
                }
            });
            let mut shown: Vec<String> = (0..500).map(|_| lines.recv_timeout(PATIENCE).expect("a line")).collect();
            interrupt(&child);
            // Whoever is interrupted may be waiting for this reader.
            shown.extend(lines.iter());
            assert_eq!((ended(&mut child).code(), notes_of(&mut child).as_str()), (Some(130), ""), "{format}");
            assert!(shown.iter().all(|line| line.ends_with('\n')), "{format}: {:?}", shown.last());
            if format == "jsonl" {
                assert!(shown.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{:?}", shown.last());
            }
        });
        assert!(ended(&mut writer).success());
    }
}

#[test]
fn an_import_that_is_interrupted_leaves_a_clean_store_and_is_resumed() {
    let directory = Directory::new("interrupted-import");
    let source = directory.path().join("source");
    for number in 0..4 {
        make_run(&source, &format!("run-{number}"), 2_000);
    }
    let source = source.to_str().expect("UTF-8");
    let whole = directory.store();
    assert_eq!(run(&whole, &["log", "import", source], "").exit, Some(0));
    let other = Directory::new("interrupted-store");
    let store = other.store();
    let mut child = start(&store, &["log", "import", "--json", source]);
    let is_under_way =
        || taffrail::Reader::open(&store).is_ok_and(|reader| reader.runs().is_ok_and(|runs| !runs.is_empty()));
    assert!(becomes_true(is_under_way), "the import does not begin");
    interrupt(&child);
    assert_eq!(ended(&mut child).code(), Some(130));
    let error: Value = serde_json::from_str(&notes_of(&mut child)).expect("one object");
    assert_eq!((&error["schema"], &error["code"]), (&"taffrail.error/1".into(), &"T0182".into()));
    let added = error["context"]["events"].as_u64().expect("a number");
    assert!((1..8_000).contains(&added), "{error}");
    let verified = run(&store, &["log", "verify"], "");
    assert_eq!(verified.exit, Some(0), "nothing is torn: {}", verified.data);
    assert_eq!(content(&store).len() as u64, added, "what was reported is there");
    let hint = error["hint"].as_str().expect("a hint").to_owned();
    assert_eq!(hint, format!("taffrail log import {source}"));
    assert_eq!(run(&store, &["log", "import", source], "").exit, Some(0));
    assert_eq!(content(&store), content(&whole));
}

/// It waits for standard input, where nobody asks whether it was interrupted.
#[test]
fn a_command_that_waits_for_input_ends_at_once() {
    let directory = Directory::new("interrupted-append");
    let store = directory.store();
    let mut child = start(&store, &["log", "append", "--create"]);
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(ticks("a", 0..1).as_bytes()).expect("written");
    let acknowledgement = lines_of(&mut child).recv_timeout(PATIENCE).expect("an acknowledgement");
    assert!(acknowledgement.contains("taffrail.appended/1"), "{acknowledgement}");
    interrupt(&child);
    assert_eq!((ended(&mut child).code(), notes_of(&mut child).as_str()), (Some(130), ""));
    assert_eq!(
        run(&store, &["log", "dump", "--type", "tick"], "").data.lines().count(),
        2,
        "the heading and the event"
    );
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
}
