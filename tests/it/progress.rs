//! What a person sees of long work: bars on the terminal, gone when the work is done, and nowhere else.

use std::path::Path;

use serde_json::Value;

use crate::compaction::filled;
use crate::kit::{Answer, Directory, run};
use crate::terminal::run_on_terminal;

/// What a terminal is told before a line of it is drawn anew.
const ERASE: &str = "\u{1b}[2K";

/// The command shows these bars one after the other, and leaves none of them behind.
fn assert_shows(store: &Path, arguments: &[&str], bars: &[&str]) -> Answer {
    let shown = run_on_terminal(store, arguments);
    let mut rest = shown.notes.as_str();
    for bar in bars {
        let Some((_, behind)) = rest.split_once(&format!("{bar} [")) else {
            panic!("no bar {bar:?}: {shown:?}");
        };
        rest = behind;
    }
    let (_, last) = rest.rsplit_once(ERASE).expect("the last one is erased");
    assert!(!last.contains('%'), "a bar is left behind: {shown:?}");
    shown
}

/// Without a terminal, in JSON and with `-q` it shows none.
fn assert_shows_none(store: &Path, arguments: &[&str]) {
    for silent in ["-q", "--json"] {
        let answer = run_on_terminal(store, &[arguments, &[silent]].concat());
        assert!(!answer.notes.contains('%'), "{silent}: {answer:?}");
    }
    let piped = run(store, arguments, "");
    assert!(!piped.notes.contains('%'), "{piped:?}");
}

/// Shows a plan, and carries it out: each with its bars.
fn assert_plan_shows(store: &Path, words: &[&str], planning: &[&str], applying: &[&str]) {
    assert_shows(store, words, planning);
    assert_shows_none(store, words);
    let plan: Value = serde_json::from_str(&run(store, &[words, &["--json"]].concat(), "").data).expect("a plan");
    let (name, lost) = (plan["name"].as_str().expect("a name"), plan["lost"].as_u64().unwrap_or(0).to_string());
    let mut apply = [words, &["--apply", "--plan", name, "--reason", "a test"]].concat();
    if lost != "0" {
        apply.extend(["--accept-loss", &lost]);
    }
    let answer = assert_shows(store, &apply, &[planning, applying].concat());
    assert_eq!(answer.exit, Some(0), "{answer:?}");
}

#[test]
fn compaction_undo_and_removal_show_how_far_they_are() {
    let directory = Directory::new("progress-compaction");
    let store = filled(&directory, 6);
    assert_shows(&store, &["log", "verify"], &["verifying"]);
    assert_shows_none(&store, &["log", "verify"]);
    let compact = ["log", "compact", "--finished"];
    assert_plan_shows(&store, &compact, &["reading"], &["compacting"]);
    assert_plan_shows(&store, &["store", "undo"], &["reading"], &["putting back"]);
    assert_plan_shows(&store, &["store", "forget"], &["reading"], &["removing"]);
}

#[test]
fn repairs_and_their_undo_show_how_far_they_are() {
    let directory = Directory::new("progress-repair");
    let store = filled(&directory, 3);
    let segment = store.join("segments/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&segment, bytes).expect("written");
    assert_plan_shows(&store, &["log", "repair", "--mode", "salvage"], &["planning", "verifying"], &["repairing"]);
    assert_plan_shows(&store, &["store", "undo"], &["reading"], &["putting back"]);
}

#[test]
fn redactions_show_how_far_they_are() {
    let directory = Directory::new("progress-redact");
    let store = filled(&directory, 30);
    std::fs::create_dir_all(store.join("quarantine/abc")).expect("made");
    std::fs::write(store.join("quarantine/abc/x.bin"), "x").expect("written");
    let looking = ["searching events", "searching what stays", "searching files"];
    assert_plan_shows(&store, &["log", "redact", "--event", "1000,1200"], &looking, &["rewriting segments"]);
}

#[test]
fn bundles_show_how_far_they_are() {
    let directory = Directory::new("progress-bundle");
    let store = filled(&directory, 3);
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (shown, piped) = (path("shown.tfb"), path("piped.tfb"));
    assert_shows(&store, &["log", "export", "--bundle", &shown], &["copying"]);
    let answer = run(&store, &["log", "export", "--bundle", &piped], "");
    assert!(answer.exit == Some(0) && !answer.notes.contains('%'), "{answer:?}");
    let new = directory.path().join("new");
    assert_shows(&new, &["log", "import", &shown], &["checking", "verifying", "restoring"]);
    // Into a store that has another log, its runs are added.
    let elsewhere = Directory::new("progress-other");
    let other = elsewhere.store();
    assert_eq!(run(&other, &["log", "append", "--run", "a", "--create", "--type", "tick", "1"], "").exit, Some(0));
    assert_shows(&other, &["log", "import", &shown], &["checking", "verifying", "importing"]);
}
