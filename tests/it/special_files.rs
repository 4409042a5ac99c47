//! Something else in the place of a file of the store.
//!
//! Bug: with a named pipe, a device, a directory or a link in the place of one of the store's files, commands said "Invalid
//! argument" or "there is no store here", and a lost segment was told as one that had never been there.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::kit::{Answer, Directory, command, run, snapshot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Pipe,
    Link,
    Socket,
    Directory,
    Device,
}

impl Special {
    const ALL: [Special; 5] = [Special::Pipe, Special::Link, Special::Socket, Special::Directory, Special::Device];

    fn words(self) -> &'static str {
        match self {
            Special::Pipe => "a named pipe",
            Special::Link => "a symbolic link",
            Special::Socket => "a socket",
            Special::Directory => "a directory",
            Special::Device => "a device",
        }
    }

    /// Puts it in the place of a file; a link leads to that file itself, somewhere else. `false` where that needs rights
    /// that this process has not.
    fn put(self, path: &Path, elsewhere: &Path) -> bool {
        let _may_be_missing = std::fs::rename(path, elsewhere);
        if !elsewhere.exists() {
            std::fs::write(elsewhere, b"somebody else's").expect("written");
        }
        match self {
            Special::Link => symlink(elsewhere, path).expect("a link"),
            Special::Directory => std::fs::create_dir(path).expect("a directory"),
            Special::Socket => drop(UnixListener::bind(path).expect("a socket")),
            Special::Pipe | Special::Device => {
                let mut make = std::process::Command::new("mknod");
                make.arg(path).args(if self == Special::Pipe { &["p"][..] } else { &["c", "1", "3"] });
                let made = make.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
                assert!(made || self == Special::Device, "a named pipe can be made by anybody");
                return made;
            }
        }
        true
    }
}

/// Runs a command that must not wait for anything.
fn run_in_time(store: &Path, arguments: &[&str]) -> Answer {
    let mut command = command(store, arguments);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Read meanwhile: a pipe that is full would look like a command that waits.
    let reading = [read_all(child.stdout.take().expect("a pipe")), read_all(child.stderr.take().expect("a pipe"))];
    let mut looks = 0;
    while child.try_wait().expect("it is a child").is_none() {
        looks += 1;
        if looks > 30_000 {
            child.kill().expect("it is a child");
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let exit = child.wait().expect("it has ended").code();
    let [data, notes] = reading.map(|text| text.join().expect("it is text"));
    Answer { exit, data, notes }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

pub(crate) fn three_segments(directory: &Directory) -> PathBuf {
    let store = directory.path().join("store");
    assert_eq!(run(&store, &["store", "init", "--segment-size", "64KiB"], "").exit, Some(0));
    // A batch is as much as the pipe gives at a time, and goes into one segment: so one batch at a time.
    let text = "x".repeat(2000);
    let line = format!("{{\"run\":\"r\",\"type\":\"t\",\"data\":\"{text}\"}}\n");
    for _ in 0..20 {
        assert_eq!(run(&store, &["log", "append", "--create"], &line.repeat(10)).exit, Some(0));
        if store.join("segments/0000000003.seg").exists() {
            break;
        }
    }
    std::fs::write(store.join("runs.idx"), b"no index").expect("written");
    assert!(store.join("segments/0000000003.seg").exists());
    store
}

const APPEND: &[&str] = &["log", "append", "--json", "--run", "r", "--type", "t", "1"];
const DUMP: &[&str] = &["log", "dump", "--json"];
const VERIFY: &[&str] = &["log", "verify", "--json"];
const INFO: &[&str] = &["store", "info", "--json"];

/// (what, exits of dump, verify, info and append, the code of an append that is refused)
type Case = (&'static str, [i32; 4], &'static str);

const CASES: [Case; 7] = [
    ("LOCK", [0, 4, 74, 74], "T0314"),
    ("watermark", [0, 4, 74, 74], "T0314"),
    ("runs.idx", [0, 0, 0, 0], ""),
    ("config.toml", [0, 4, 74, 74], "T0314"),
    ("segments/0000000001.seg", [4, 4, 4, 4], "T0303"),
    // Bug: an append said that the machine had refused (74), and `store info` that the store is damaged (4).
    ("segments/0000000002.seg", [4, 4, 4, 4], "T0303"),
    ("segments/0000000003.seg", [4, 4, 4, 4], "T0303"),
];

#[test]
fn what_is_no_file_is_told_and_neither_followed_nor_waited_for() {
    let mut cases = 0;
    for special in Special::ALL {
        for (name, exits, code) in CASES {
            cases += 1;
            let directory = Directory::new("special");
            let store = three_segments(&directory);
            let elsewhere = directory.path().join("elsewhere");
            if !special.put(&store.join(name), &elsewhere) {
                println!("no device can be made here, so that none is tried");
                cases -= 1;
                continue;
            }
            let before = (snapshot(&store), std::fs::read(&elsewhere).expect("it is there"));
            let told = |answer: &Answer| format!("{name} is {special:?}: {} {}", answer.data, answer.notes);
            for (arguments, exit) in [DUMP, VERIFY, INFO].into_iter().zip(exits) {
                let answer = run_in_time(&store, arguments);
                assert_eq!(answer.exit, Some(exit), "{arguments:?} {}", told(&answer));
                assert!(snapshot(&store) == before.0, "{arguments:?} changed the store: {}", told(&answer));
            }
            let verified = run_in_time(&store, VERIFY);
            let findings = &verified.lines()[0]["findings"];
            let is_told = |finding: &serde_json::Value| finding["found"] == special.words();
            assert!(findings.as_array().expect("a list").iter().any(is_told), "{}", told(&verified));
            let appended = run_in_time(&store, APPEND);
            assert_eq!(appended.exit, Some(exits[3]), "{}", told(&appended));
            if appended.exit != Some(0) {
                let error = appended.error();
                let message = error["message"].as_str().expect("text");
                assert_eq!(error["code"], code, "{}", told(&appended));
                assert!(message.contains(special.words()), "{}", told(&appended));
                assert!(snapshot(&store) == before.0, "a refused append changed the store: {}", told(&appended));
            }
            assert_eq!(std::fs::read(&elsewhere).expect("it is there"), before.1, "{}", told(&appended));
        }
    }
    println!(
        "lab-result {{\"check\":\"special-files\",\"promise\":[\"P8\",\"P9\"],\"cases\":{cases},\"failures\":0,\"skipped\":null,\
         \"figures\":{{}}}}"
    );
}

#[test]
fn a_linked_directory_of_segments_is_told_and_no_store_is_made_behind_it() {
    let directory = Directory::new("linked");
    let store = three_segments(&directory);
    let elsewhere = directory.path().join("elsewhere");
    std::fs::rename(store.join("segments"), &elsewhere).expect("moved");
    symlink(&elsewhere, store.join("segments")).expect("a link");
    let before = snapshot(&elsewhere);
    for arguments in [DUMP, VERIFY, INFO, APPEND] {
        let answer = run_in_time(&store, arguments);
        assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(74), Some("T0314")), "{}", answer.notes);
        let message = answer.error()["message"].as_str().expect("text").to_owned();
        assert!(message.ends_with("segments is a symbolic link, not a directory"), "{message}");
    }
    assert!(snapshot(&elsewhere) == before);
    let linked = directory.path().join("whole");
    symlink(&store, &linked).expect("a link");
    std::fs::remove_file(store.join("segments")).expect("removed");
    std::fs::rename(&elsewhere, store.join("segments")).expect("moved");
    assert_eq!(run_in_time(&linked, DUMP).exit, Some(0), "the path of a store is the user's own, and may be a link");
}

#[test]
fn snapshots_that_are_no_files_are_passed_over() {
    let directory = Directory::new("snapshots");
    let store = three_segments(&directory);
    let elsewhere = directory.path().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).expect("a directory");
    symlink(&elsewhere, store.join("snapshots")).expect("a link");
    for arguments in [&["snap", "list", "--json"][..], &["run", "list", "--json"]] {
        let answer = run_in_time(&store, arguments);
        assert_eq!(answer.exit, Some(0), "{arguments:?} {}", answer.notes);
    }
    let verified = run_in_time(&store, VERIFY);
    assert_eq!(verified.exit, Some(0), "{}", verified.data);
    assert_eq!(verified.lines()[0]["findings"][0]["kind"], "WRONG_KIND");
    std::fs::remove_file(store.join("snapshots")).expect("removed");
    std::fs::create_dir_all(store.join("snapshots/run-1")).expect("a directory");
    assert!(Special::Pipe.put(&store.join("snapshots/run-1/9.snap"), &directory.path().join("other")));
    for arguments in [&["snap", "list", "--json"][..], &["run", "list", "--json"]] {
        let answer = run_in_time(&store, arguments);
        assert_eq!(answer.exit, Some(0), "{arguments:?} {}", answer.notes);
    }
}

/// Plans a change, and carries that plan out if there is one: how it ended.
fn carried_out(store: &Path, words: &[&str]) -> Answer {
    let planned = run_in_time(store, &[words, &["--json"]].concat());
    let plan: serde_json::Value =
        planned.data.lines().next().map_or(serde_json::Value::Null, |line| serde_json::from_str(line).expect("JSON"));
    let Some(name) = plan["name"].as_str() else { return planned };
    let lost = plan["lost"].as_u64().unwrap_or_default().to_string();
    let mut apply = vec!["--plan", name, "--reason", "test", "--apply", "--json"];
    if lost != "0" {
        apply.extend(["--accept-loss", &lost]);
    }
    run_in_time(store, &[words, &apply].concat())
}

/// Repairs keep originals, redactions forget copies, and compactions move segments, all below the store: a link in the place of
/// such a directory leads none of them elsewhere.
#[test]
fn nothing_is_written_or_removed_behind_a_linked_directory() {
    for name in ["quarantine", "archive", "spool", "blobs", "snapshots"] {
        let directory = Directory::new("behind");
        let store = three_segments(&directory);
        assert_eq!(run(&store, &["run", "list"], "").exit, Some(0));
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).expect("a directory");
        std::fs::write(elsewhere.join("x.bin"), "xxxxx").expect("written");
        let _may_be_missing = std::fs::remove_dir_all(store.join(name));
        symlink(&elsewhere, store.join(name)).expect("a link");
        let before = snapshot(&elsewhere);
        let mut refused = 0;
        let mut carry_out = |words: &[&str]| {
            let answer = carried_out(&store, words);
            assert!(
                matches!(answer.exit, Some(0 | 1 | 4 | 7 | 74)),
                "{name}: {words:?} {} {}",
                answer.data,
                answer.notes
            );
            if answer.exit == Some(74) {
                let code = answer.error()["code"].as_str().expect("a code").to_owned();
                assert!(["T0309", "T0314"].contains(&code.as_str()), "{name}: {words:?} {}", answer.notes);
                refused += 1;
            }
            assert!(snapshot(&elsewhere) == before, "{name}: {words:?} {} {}", answer.data, answer.notes);
        };
        carry_out(&["log", "redact", "--pattern", "x{5}"]);
        carry_out(&["snap", "create"]);
        carry_out(&["run", "close", "r"]);
        carry_out(&["log", "compact", "--finished", "--keep-last", "0"]);
        let segment = store.join("segments/0000000001.seg");
        let mut bytes = std::fs::read(&segment).expect("a segment");
        bytes[20_000] ^= 1;
        std::fs::write(&segment, bytes).expect("written");
        carry_out(&["log", "repair", "--mode", "salvage"]);
        if name == "quarantine" {
            assert!(refused > 0, "where originals are kept is needed");
        }
    }
}

#[test]
fn the_users_own_configuration_is_neither_waited_for_nor_read_without_end() {
    let directory = Directory::new("user");
    let store = directory.store();
    let place = directory.path().join("taffrail");
    std::fs::create_dir(&place).expect("a directory");
    let path = place.join("config.toml");
    let info = || {
        let mut command = command(&store, INFO);
        let output = command.env("XDG_CONFIG_HOME", directory.path()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(Special::Pipe.put(&path, &directory.path().join("other")));
    let (exit, notes) = info();
    assert_eq!(exit, Some(74), "{notes}");
    std::fs::remove_file(&path).expect("removed");
    let endless = std::fs::File::create(&path).expect("made");
    endless.set_len(1 << 40).expect("a hole");
    let (exit, notes) = info();
    assert_eq!(exit, Some(2), "{notes}");
    assert!(notes.contains("T0130"), "{notes}");
}
