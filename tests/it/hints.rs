//! Every hint is a step that can be taken: who follows them ends with a store that is in order.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compaction::filled;
use crate::kit::{Answer, Directory, run};

const MOST_STEPS: usize = 6;

fn segment(store: &Path, number: u32) -> PathBuf {
    store.join(format!("segments/{number:010}.seg"))
}

fn hint(answer: &Answer) -> String {
    let lines = answer.data.lines().chain(answer.notes.lines());
    let mut hints = lines.filter_map(|line| line.trim_start().strip_prefix("hint: "));
    hints.next_back().unwrap_or_else(|| panic!("no hint: {answer:?}")).to_owned()
}

/// Does what a hint says. A plan is carried out.
fn follow(store: &Path, hint: &str) {
    let Some(words) = hint.strip_prefix("taffrail ") else {
        let status = Command::new("sh").args(["-c", hint]).status().expect("a shell");
        assert!(status.success(), "{hint}");
        return;
    };
    let words: Vec<&str> = words.split(' ').collect();
    let plan = run(store, &[&words[..], &["--json"]].concat(), "");
    let plan: serde_json::Value = serde_json::from_str(&plan.data).unwrap_or_else(|_| panic!("{hint}: {plan:?}"));
    let (name, lost) = (plan["name"].as_str().expect("a name"), plan["lost"].as_u64().unwrap_or(0).to_string());
    let agreed = ["--apply", "--plan", name, "--accept-loss", &lost, "--reason", "a test"];
    let applied = run(store, &[&words[..], &agreed].concat(), "");
    assert_eq!(applied.exit, Some(0), "{hint}: {applied:?}");
}

/// Follows the hints of `log verify` until it has none; gives what it said at first, and the hints.
fn put_in_order(store: &Path) -> (String, Vec<String>) {
    let first = run(store, &["log", "verify"], "");
    let mut hints = Vec::new();
    let mut answer = run(store, &["log", "verify"], "");
    while answer.exit != Some(0) {
        hints.push(hint(&answer));
        assert!(hints.len() <= MOST_STEPS, "hints lead nowhere: {hints:?}: {answer:?}");
        follow(store, &hints[hints.len() - 1]);
        answer = run(store, &["log", "verify"], "");
    }
    (first.data, hints)
}

/// The line of the table about a segment, without its width.
fn row(verified: &str, number: u32) -> String {
    let row = verified.lines().find(|line| line.trim_start().starts_with(&format!("seg {number} ")));
    row.expect("a row").split_whitespace().collect::<Vec<_>>().join(" ")
}

const SALVAGE: &str = "taffrail log repair --mode salvage";

/// `log verify` called swapped files `ok`, though they were the damage that it told of.
#[test]
fn swapped_segments_are_told_apart_and_get_their_names_back() {
    let directory = Directory::new("hints-swapped");
    let store = filled(&directory, 6);
    let aside = directory.path().join("aside");
    std::fs::rename(segment(&store, 1), &aside).expect("moved");
    std::fs::rename(segment(&store, 2), segment(&store, 1)).expect("moved");
    std::fs::rename(&aside, segment(&store, 2)).expect("moved");
    let (verified, hints) = put_in_order(&store);
    for (name, holds) in [(1, 2), (2, 1)] {
        let row = row(&verified, name);
        assert!(row.contains("MISNAMED") && row.ends_with(&format!("is segment {holds}")), "{row}");
    }
    assert_eq!(hints, [SALVAGE]);
}

/// `log verify` said `FOREIGN 0 of 0 events` of a file of another store, as if nothing were missing, and hinted at a salvage,
/// which refuses to touch it.
#[test]
fn a_segment_of_another_store_is_moved_away_and_what_it_displaced_is_missing() {
    let directory = Directory::new("hints-foreign");
    let store = filled(&directory, 6);
    let elsewhere = Directory::new("hints-elsewhere");
    let other = filled(&elsewhere, 6);
    std::fs::copy(segment(&other, 2), segment(&store, 2)).expect("copied");
    let refused = run(&store, &["log", "repair", "--mode", "salvage"], "");
    assert!(refused.notes.starts_with("error[T0304]"), "{refused:?}");
    let (verified, hints) = put_in_order(&store);
    let row = row(&verified, 2);
    let missing = row.strip_prefix("seg 2 FOREIGN 0 of ").and_then(|rest| rest.split(' ').next()).expect(&row);
    assert!(missing.parse::<u32>().is_ok_and(|missing| missing > 10), "{row}");
    let moved = format!("mv -n {} ", segment(&store, 2).display());
    assert!(hints[0].starts_with(&moved) && hints[1..] == [SALVAGE], "{hints:?}");
    assert_eq!(hint(&refused), hints[0], "the repair says the same");
}

#[test]
fn a_second_copy_of_a_segment_is_called_one() {
    let directory = Directory::new("hints-copy");
    let store = filled(&directory, 6);
    std::fs::copy(segment(&store, 2), segment(&store, 1)).expect("copied");
    let (verified, hints) = put_in_order(&store);
    let row = row(&verified, 1);
    assert!(row.contains("COPY 0 of ") && row.ends_with("is segment 2"), "{row}");
    assert!(hints[0].starts_with("mv -n ") && hints[1..] == [SALVAGE], "{hints:?}");
}

#[test]
fn a_directory_in_the_place_of_a_segment_is_moved_away_first() {
    let directory = Directory::new("hints-directory");
    let store = filled(&directory, 6);
    std::fs::remove_file(segment(&store, 2)).expect("removed");
    std::fs::create_dir(segment(&store, 2)).expect("made");
    let (_, hints) = put_in_order(&store);
    assert!(hints[0].starts_with("mv -n ") && hints[1..] == [SALVAGE], "{hints:?}");
}

/// A lone segment was to be repaired, which only a store's directory can be.
#[test]
fn what_is_damaged_and_alone_is_read() {
    let directory = Directory::new("hints-lone");
    let store = filled(&directory, 6);
    let lone = directory.path().join("lone.seg");
    let mut bytes = std::fs::read(segment(&store, 1)).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&lone, bytes).expect("written");
    let verified = run(&lone, &["log", "verify"], "");
    assert_eq!((verified.exit, hint(&verified).as_str()), (Some(4), "taffrail log dump"));
    assert!(run(&lone, &["log", "dump"], "").data.lines().count() > 10);
}

/// T0407 hinted at its explanation, and a help that the engine had named was taken for advice in words.
#[test]
fn what_can_not_be_redacted_hints_at_what_can() {
    let directory = Directory::new("hints-redact");
    let store = filled(&directory, 1);
    for words in [&["--field", "token"][..], &["--pattern", "("], &[]] {
        let refused = run(&store, &[&["log", "redact"], words].concat(), "");
        assert!(refused.notes.starts_with("error[T0407]"), "{refused:?}");
        assert_eq!(hint(&refused), "taffrail log redact --help");
    }
    std::fs::write(store.join("config.toml"), "[redaction]\nsecrets = [\"PIN\"]\n").expect("written");
    let mut command = crate::kit::command(&store, &["log", "append", "--run", "a", "--create", "--type", "t", "1"]);
    let output = command.env("PIN", "123").output().expect("it runs");
    let notes = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(notes.starts_with("error[T0407]") && notes.ends_with("hint: taffrail store info\n"), "{notes}");
    let info = crate::kit::command(&store, &["store", "info"]).env("PIN", "123").output().expect("it runs");
    let told = String::from_utf8(info.stdout).expect("UTF-8");
    assert!(info.status.success() && told.contains("PIN"), "{told}");
}
