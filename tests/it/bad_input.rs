//! What commands say to what they cannot use: exit code and error, both asserted.

use std::io::Write;
use std::process::{Command, Stdio};

use taffrail::Journal;

use crate::kit::{Directory, run, snapshot};

fn one_event(store: &std::path::Path) {
    let answer = run(store, &["log", "append", "--create", "--run", "nightly", "--type", "deploy.done", "1"], "");
    assert_eq!(answer.exit, Some(0), "{}", answer.notes);
}

#[test]
fn commands_refuse_what_they_cannot_use_and_touch_nothing() {
    let directory = Directory::new("bad");
    let store = directory.store();
    one_event(&store);
    let table: &[(&[&str], i32, &str, &str)] = &[
        (&["log", "dump", "--rnu", "nightly"], 2, "T0102", "--rnu"),
        (&["log", "dump", "--type", "deploy.dome"], 2, "T0148", "did you mean deploy.done?"),
        (&["log", "dump", "--run", "nightlx"], 1, "T0141", "nightly"),
        (&["log", "dump", "--where", "a = 1"], 2, "T0201", "expected"),
        (&["log", "dump", "--grep", "("], 2, "T0203", "unclosed"),
        (&["log", "dump", "x..y"], 2, "T0120", "x"),
        (&["log", "dump", "99"], 1, "T0146", "99"),
        (&["log", "dump", "--at", "snap:latest"], 1, "T0146", "snapshot"),
        (&["log", "dump", "--at", "before:publish"], 1, "T0146", "step"),
        (&["log", "verify", "-o", "hex"], 2, "T0107", "hex"),
        (&["log", "append", "--run", "other", "--type", "t", "1"], 1, "T0141", "other"),
        (&["log", "append", "--run", "nihgtly", "--type", "t", "1"], 1, "T0141", "the nearest: nightly"),
        (&["log", "mark", "here", "--run", "nightl"], 1, "T0141", "the nearest: nightly"),
        (&["log", "append", "--run", "nightly", "--type", "T", "1"], 2, "T0142", "type"),
        (&["log", "append", "--create", "--run", " ", "--type", "t", "1"], 2, "T0142", "run"),
        (&["log", "append", "--run", "nightly", "--type", "t", "{\"a\":}"], 2, "T0147", "not JSON"),
        (&["log", "append", "--run", "nightly", "--type", "taffrail.run", "1"], 7, "T0150", "reserved"),
        (&["log", "append", "--run", "nightly", "--type", "t", "--expect", "9", "1"], 7, "T0145", "revision 9"),
        (&["log", "append", "--run", "nightly", "--type", "t"], 2, "T0104", "nothing to append"),
        (&["log", "mark", "a..b"], 2, "T0142", "mark"),
        (&["store", "init"], 2, "T0113", "already"),
    ];
    let before = snapshot(&store.join("segments"));
    for (arguments, exit, code, part) in table {
        // The format of an error is JSON even where `-o hex` was asked for and refused.
        let arguments: Vec<&str> = match arguments.contains(&"-o") {
            true => arguments.to_vec(),
            false => [arguments, &["--json"][..]].concat(),
        };
        let answer = run(&store, &arguments, "");
        assert_eq!((answer.exit, answer.data.lines().count() < 2), (Some(*exit), true), "{arguments:?}: {answer:?}");
        assert!(answer.notes.contains(code) && answer.notes.contains(part), "{arguments:?}: {}", answer.notes);
        if !arguments.contains(&"-o") {
            assert_eq!(answer.error()["code"], *code);
        }
    }
    assert!(snapshot(&store.join("segments")) == before, "something was appended");
}

/// Half of the errors hinted at `taffrail explain`, where one command is known that helps; and a bad export was said to be at the
/// store, though it is not the store that is wrong.
#[test]
fn errors_hint_at_the_command_that_helps_and_name_what_is_wrong() {
    let directory = Directory::new("hints");
    let store = directory.store();
    one_event(&store);
    let hint = |words: &[&str]| {
        let answer = run(&store, &[words, &["--json"]].concat(), "");
        answer.error()["hint"].as_str().expect("a hint").to_owned()
    };
    let made = hint(&["log", "append", "--run", "new run", "--type", "t", "{\"a\": 1}"]);
    assert_eq!(made, "taffrail log append --create --run 'new run' --type t '{\"a\": 1}'");
    assert_eq!(hint(&["run", "show", "nobody"]), "taffrail run list");
    assert_eq!(hint(&["log", "dump", "--at", "mark:none"]), "taffrail log stat");
    let answer = run(&store, &["run", "show", "nihgtly"], "");
    assert_eq!(answer.notes.matches("nightly").count(), 1, "said once: {answer:?}");
    let lines = directory.path().join("lines");
    std::fs::write(&lines, "root:x:0:0\n").expect("written");
    let path = lines.to_str().expect("UTF-8");
    let answer = run(&store, &["log", "import", path], "");
    assert!(answer.notes.contains("this is neither an export nor a bundle nor a directory of runs"), "{answer:?}");
    assert!(answer.notes.contains(&format!("\n  at {path}\n")), "{answer:?}");
    let answer = run(&store, &["log", "export", "--bundle", "/nonexistent/b.tfb"], "");
    assert!(answer.notes.contains("\n  at /nonexistent\n") && answer.exit == Some(74), "{answer:?}");
}

#[test]
fn a_bad_line_stops_before_it_and_what_came_before_is_kept() {
    let directory = Directory::new("line");
    let store = directory.store();
    one_event(&store);
    let good = |n: u32| format!("{{\"run\":\"nightly\",\"type\":\"t\",\"data\":{n}}}\n");
    for (bad, code, exit) in [
        ("nope\n", "T0147", 2),
        ("{\"run\":\"gone\",\"type\":\"t\"}\n", "T0141", 1),
        ("{\"type\":\"t\"}\n", "T0147", 2),
    ] {
        let input = [good(1), good(2), bad.to_owned(), good(3)].concat();
        let atomic = run(&store, &["log", "append", "--json", "--atomic"], &input);
        assert_eq!((atomic.exit, atomic.data.as_str()), (Some(exit), ""), "{bad}: {atomic:?}");
        let count = run(&store, &["log", "dump", "-o", "jsonl"], "").lines().len();
        let answer = run(&store, &["log", "append", "--json"], &input);
        assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(exit), Some(code)), "{answer:?}");
        assert_eq!(answer.error()["context"]["line"], 3);
        let appended: u64 =
            answer.lines().iter().map(|ack| ack["last"].as_u64().unwrap() - ack["first"].as_u64().unwrap() + 1).sum();
        assert_eq!(appended, 2, "{bad}");
        let after = run(&store, &["log", "dump", "-o", "jsonl", "--type", "t"], "").lines();
        assert_eq!(after.last().expect("events")["data"], 2);
        assert!(after.len() <= count + 2);
    }
}

#[test]
fn directories_and_files_that_are_no_store_are_told_apart() {
    let directory = Directory::new("foreign");
    std::fs::write(directory.path().join("notes.txt"), "mine").expect("written");
    let refused = run(directory.path(), &["store", "init", "--json"], "");
    assert_eq!((refused.exit, refused.error()["code"].as_str()), (Some(2), Some("T0306")));
    for arguments in [&["log", "dump", "--json"][..], &["log", "verify", "--json"], &["store", "info", "--json"]] {
        let answer = run(directory.path(), arguments, "");
        assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(2), Some("T0110")), "{arguments:?}");
    }
    let gone = run(&directory.path().join("gone"), &["log", "dump", "--json"], "");
    assert_eq!((gone.exit, gone.error()["code"].as_str()), (Some(2), Some("T0111")));
    let foreign = directory.path().join("0000000001.seg");
    std::fs::write(&foreign, vec![7; 70_000]).expect("written");
    let answer = run(&foreign, &["log", "dump", "--json"], "");
    assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(4), Some("T0305")));
    assert_eq!(run(&foreign, &["log", "verify"], "").exit, Some(4));
}

#[test]
fn a_newer_format_is_named_and_never_guessed_at() {
    let directory = Directory::new("newer");
    let store = directory.store();
    one_event(&store);
    let segment = store.join("segments/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    for block in [0, 4096] {
        // Format version and reader floor, and the block's checksum over it.
        bytes[block + 8..block + 12].copy_from_slice(&[9, 0, 9, 0]);
        let crc = crc32c(&bytes[block..block + 508]);
        bytes[block + 508..block + 512].copy_from_slice(&crc.to_le_bytes());
    }
    std::fs::write(&segment, bytes).expect("written");
    let before = snapshot(&store);
    let append = ["log", "append", "--json", "--run", "nightly", "--type", "t", "1"];
    for arguments in [&["log", "dump", "--json"][..], &append] {
        let answer = run(&store, arguments, "");
        assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(8), Some("T0307")), "{arguments:?}");
    }
    for arguments in [&["log", "verify"][..], &["store", "info"]] {
        assert_eq!(run(&store, arguments, "").exit, Some(8), "{arguments:?}");
    }
    let segments = |path: &std::path::PathBuf| path.starts_with(store.join("segments"));
    let of_segments = |taken: std::collections::BTreeMap<_, _>| {
        taken.into_iter().filter(|(path, _)| segments(path)).collect::<Vec<_>>()
    };
    assert!(of_segments(snapshot(&store)) == of_segments(before));
}

/// CRC-32C as the format has it, bit by bit: a second opinion.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn a_lock_held_past_the_timeout_is_exit_6() {
    let directory = Directory::new("locked");
    let store = directory.store();
    one_event(&store);
    let owner = Journal::options().exclusive(true).open(&store).expect("an exclusive owner");
    let answer = run(
        &store,
        &["log", "append", "--json", "--lock-timeout", "100ms", "--run", "nightly", "--type", "t", "1"],
        "",
    );
    assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(6), Some("T0311")));
    let info = run(&store, &["store", "info", "--json"], "");
    assert_eq!(info.exit, Some(0), "{}", info.notes);
    assert_eq!(info.lines()[0]["owner"]["process_id"], std::process::id());
    assert_eq!(info.lines()[0]["owner"]["state"], "alive");
    owner.close().expect("closed");
    assert_eq!(run(&store, &["log", "append", "--run", "nightly", "--type", "t", "1"], "").exit, Some(0));
}

#[test]
fn payloads_cannot_move_the_cursor_and_large_batches_are_refused_whole() {
    let directory = Directory::new("payload");
    let store = directory.store();
    let evil = "{\"run\":\"r\\u202e\",\"type\":\"t\",\"data\":\"\u{202e}\u{9b}31m\\u001b[2J\u{7f}\"}\n";
    assert_eq!(run(&store, &["log", "append", "--create"], evil).exit, Some(0));
    for format in ["human", "json", "jsonl", "hex"] {
        let dumped = run(&store, &["log", "dump", "-o", format], "").data;
        let hidden = |character: char| {
            (character.is_control() && character != '\n') || ('\u{202a}'..='\u{202e}').contains(&character)
        };
        assert!(!dumped.contains(hidden), "{format}: {dumped:?}");
    }
    assert!(run(&store, &["log", "dump", "-o", "raw", "--type", "t"], "").data.contains('\u{202e}'));
    let data = "x".repeat(9 << 20);
    let lines = format!("{{\"run\":\"r2\",\"type\":\"t\",\"data\":\"{data}\"}}\n").repeat(4);
    let answer = run(&store, &["log", "append", "--json", "--create", "--atomic"], &lines);
    assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(2), Some("T0144")));
    let split = run(&store, &["log", "append", "--json", "--create"], &lines);
    assert_eq!((split.exit, split.lines().len() > 1), (Some(0), true), "{}", split.notes);
    let long = format!("{{\"run\":\"r2\",\"type\":\"t\",\"data\":\"{}\"}}\n", "x".repeat(17 << 20));
    let answer = run(&store, &["log", "append", "--json"], &long);
    assert_eq!((answer.exit, answer.error()["context"]["line"].as_u64()), (Some(2), Some(1)));
    // Longer than any line: refused where it stands, behind what was appended and acknowledged.
    let endless = format!("{{\"run\":\"r2\",\"type\":\"t\",\"data\":1}}\n{}", "x".repeat(40 << 20));
    let answer = run(&store, &["log", "append", "--json"], &endless);
    let error = answer.error();
    assert_eq!((answer.exit, &error["code"]), (Some(2), &serde_json::json!("T0144")), "{error}");
    assert_eq!(error["context"]["line"], 2, "{error}");
    assert_eq!(error["context"]["durable"], answer.lines()[0]["durable"], "{error}");
}

#[test]
fn configuration_errors_are_located() {
    let directory = Directory::new("config");
    let store = directory.store();
    std::fs::write(store.join("config.toml"), "sync = \"always\"\nsnyc = 1\n").expect("written");
    let answer = run(&store, &["store", "info", "--json"], "");
    assert_eq!((answer.exit, answer.error()["code"].as_str()), (Some(2), Some("T0130")));
    assert_eq!(answer.error()["context"]["line"], 2);
    std::fs::write(store.join("config.toml"), "lock_timeout = \"7s\"\n").expect("written");
    let info = run(&store, &["store", "info", "--json"], "");
    let setting = |index: usize| info.lines()[0]["configuration"][index].clone();
    assert_eq!((setting(2)["value"].as_str(), setting(2)["source"].as_str()), (Some("7s"), Some("store")));
    assert_eq!(setting(0)["source"], "default");
}

/// A limit on the size of files stands for a full disk where none can be mounted.
///
/// Bug: the signal that comes with such a limit ended the process, without a word of what had failed.
#[test]
fn a_full_disk_fails_the_append_and_harms_nothing() {
    let directory = Directory::new("full");
    let store = directory.store();
    one_event(&store);
    let script = "ulimit -f 128; exec \"$@\"";
    let arguments = ["log", "append", "--json", "--run", "nightly", "--type", "t"];
    let mut limited = Command::new("sh");
    limited.args(["-c", script, "sh", env!("CARGO_BIN_EXE_taffrail-under-test")]).args(arguments);
    limited.env("TAFFRAIL_STORE", &store).env("XDG_CONFIG_HOME", "/nonexistent");
    let mut child =
        limited.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
    let line = format!("{{\"data\":\"{}\"}}\n", "7".repeat(200_000));
    child.stdin.take().expect("a pipe").write_all(line.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("it ends");
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{notes}");
    assert!(notes.contains("T0312"), "{notes}");
    assert_eq!(run(&store, &["log", "verify"], "").exit, Some(0));
    one_event(&store);
}
