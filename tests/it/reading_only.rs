//! Commands that read leave everything as it is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::kit::{Directory, command, run, snapshot};
use crate::lab_result::tell;

pub(crate) const READING: [&[&str]; 9] = [
    &["log", "dump"],
    &["log", "dump", "--reverse", "-n", "2", "--json"],
    &["log", "dump", "--run", "r", "--type", "t", "--where", "data.n > 3", "--grep", "n"],
    &["log", "verify"],
    &["log", "verify", "--depth", "chain", "--json"],
    &["log", "stat", "--by", "run"],
    &["log", "stat", "--json"],
    &["store", "info"],
    &["log", "append", "--dry-run", "--run", "r", "--type", "t", "{}"],
];

pub(crate) fn filled(directory: &Directory) -> std::path::PathBuf {
    let store = directory.store();
    let lines: String = (0..50).map(|n| format!("{{\"run\":\"r\",\"type\":\"t\",\"data\":{{\"n\":{n}}}}}\n")).collect();
    assert_eq!(run(&store, &["log", "append", "--create"], &lines).exit, Some(0));
    store
}

/// Bytes of an append that a crash cut short.
pub(crate) fn tear(store: &Path) {
    let segment = store.join("segments/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    let end = end.next_multiple_of(8) + 8;
    bytes[end..end + 3].copy_from_slice(b"abc");
    std::fs::write(&segment, bytes).expect("written");
}

#[test]
fn reading_leaves_bytes_times_and_names_as_they_were() {
    tell("reading-writes-nothing", &["P9"], || (read_everything(), vec![]));
}

/// How many commands were run.
fn read_everything() -> u64 {
    let directory = Directory::new("reading");
    let store = filled(&directory);
    for torn in [false, true] {
        if torn {
            tear(&store);
        }
        let before = snapshot(&store);
        for arguments in READING {
            let answer = run(&store, arguments, "");
            let judges = ["verify", "info", "stat"].iter().any(|word| arguments.contains(word));
            let expected = if torn && judges { 3 } else { 0 };
            assert_eq!(answer.exit, Some(expected), "{arguments:?}: {} {}", answer.data, answer.notes);
            assert!(snapshot(&store) == before, "{arguments:?} changed the store");
        }
    }
    2 * READING.len() as u64
}

#[test]
fn a_directory_that_nobody_may_write_to_is_read_all_the_same() {
    let directory = Directory::new("readonly");
    let store = filled(&directory);
    let mode = |mode: u32| std::fs::Permissions::from_mode(mode);
    for path in [store.clone(), store.join("segments")] {
        std::fs::set_permissions(&path, mode(0o555)).expect("its owner may");
    }
    for file in snapshot(&store).keys().filter(|path| path.is_file()) {
        std::fs::set_permissions(file, mode(0o444)).expect("its owner may");
    }
    std::fs::set_permissions(directory.path(), mode(0o755)).expect("its owner may");
    let before = snapshot(&store);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    for arguments in READING {
        let mut command = command(&store, arguments);
        if is_root {
            // Permissions mean nothing to root.
            std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("SKIPPED: the command cannot be started as another user here: {error}");
                return;
            }
        };
        let notes = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {notes}");
    }
    assert!(snapshot(&store) == before);
    let mut append = command(&store, &["log", "append", "--json", "--run", "r", "--type", "t", "1"]);
    if is_root {
        std::os::unix::process::CommandExt::uid(&mut append, 65_534);
    }
    let output = append.output().expect("it started before");
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one object");
    assert_eq!(error["code"], "T0309");
}

#[test]
fn a_lone_segment_dumps_and_verifies() {
    let directory = Directory::new("lone");
    let store = filled(&directory);
    let alone = directory.path().join("0000000001.seg");
    std::fs::copy(store.join("segments/0000000001.seg"), &alone).expect("copied");
    let dump = run(&alone, &["log", "dump", "-o", "jsonl"], "");
    assert_eq!((dump.exit, dump.lines().len()), (Some(0), 52), "{}", dump.notes);
    assert_eq!(dump.lines()[51]["run"], "r");
    assert_eq!(run(&alone, &["log", "verify"], "").exit, Some(0));
    for arguments in [&["store", "info", "--json"][..], &["log", "append", "--json", "--run", "r", "--type", "t", "1"]]
    {
        let answer = run(&alone, arguments, "");
        assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(2), Some("T0149")));
    }
}
